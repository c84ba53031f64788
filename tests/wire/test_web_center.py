"""The loop back through the interface: receipts by token and by signature, dead letters, work orders."""

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fakes.outbox import OLD_SECRET, SECRET, message, put
from fakes.web_service import WebService, channel, district, running
from standardwebhooks import Webhook

from adapters.virtual.center import VirtualCenter
from adapters.virtual.center_answers import Gateway
from gateway.domain.alerting.rows import AlertPhase, AlertState, WorkOrder, WorkOrderState
from gateway.ports import Role, Secret
from gateway.ports.events import EventChanges
from gateway.runtime.center import make_sink
from gateway.runtime.clock import SystemClock
from gateway.settings import CenterSettings

KEY = "incident-1"
RECEIPTS = f"/api/v1/alerts/{KEY}/receipts"


@pytest.fixture
async def service() -> AsyncIterator[WebService]:
    async with running(district(12), center_secrets=(Secret(SECRET), Secret(OLD_SECRET))) as one:
        await put(one.store, message(KEY, 1, one.now()))
        yield one


async def step(
    service: WebService, name: str, role: Role = Role.CENTER, **more: str
) -> tuple[int, Any]:
    body = {"id": f"r-{name}", "step": name, "actor": "值班员", **more}
    status, answer, _ = await service.call("POST", RECEIPTS, role, json=body)
    return status, answer


async def test_the_loop_goes_from_receipt_to_closing(service: WebService) -> None:
    for name in ("received", "dispatched", "in_progress", "closed"):
        status, answer = await step(service, name, text="已派", grid="610802101g1")
        assert (status, answer["taken"]) == (201, True)

    rows = (await service.get(RECEIPTS))["items"]
    assert [row["step"] for row in rows] == ["received", "dispatched", "in_progress", "closed"]
    assert {row["grid"] for row in rows} == {"610802101g1"}
    audit = (await service.get("/api/v1/audit"))["items"]
    assert [line["action"] for line in audit if line["action"].startswith("receipt.")] == [
        "receipt.closed", "receipt.in_progress", "receipt.dispatched", "receipt.received",
    ]  # fmt: skip


async def test_a_repeat_changes_nothing_and_a_step_back_is_refused_with_the_reason(
    service: WebService,
) -> None:
    assert (await step(service, "received"))[0] == 201
    assert (await step(service, "received"))[0] == 200
    assert (await step(service, "received", id="other"))[0] == 200
    assert (await step(service, "closed"))[0] == 201

    status, answer = await step(service, "in_progress")

    assert (status, answer["detail"]) == (409, "closed is final")
    assert len((await service.get(RECEIPTS))["items"]) == 2


async def test_an_empty_remark_is_none(service: WebService) -> None:
    status, answer = await step(service, "received", text="")
    assert status == 201, answer
    assert (await service.get(RECEIPTS))["items"][0]["text"] == ""


@pytest.mark.parametrize(
    ("role", "expected"),
    [(Role.CENTER, 201), (Role.OPERATOR, 201), (Role.VIEWER, 403), (Role.PLANNER, 403)],
)
async def test_only_the_center_and_those_who_speak_for_it_may_answer(
    service: WebService, role: Role, expected: int
) -> None:
    assert (await step(service, "received", role))[0] == expected


async def test_an_incident_that_nobody_was_told_of_has_no_receipts(service: WebService) -> None:
    body = {"id": "r", "step": "received", "actor": "x"}
    path = "/api/v1/alerts/unknown/receipts"

    assert (await service.call("POST", path, Role.CENTER, json=body))[0] == 404
    assert (await service.call("GET", path))[0] == 404


async def test_everything_wrong_in_a_receipt_is_said_at_once(service: WebService) -> None:
    body = {"step": "eaten", "actor": 5, "grid": "", "key": "another", "extra": 1}

    status, answer, _ = await service.call("POST", RECEIPTS, Role.CENTER, json=body)

    assert status == 400
    assert {e["name"] for e in answer["errors"]} == {"id", "step", "actor", "grid", "key", "extra"}


# --- signed


def signed(
    body: dict[str, Any],
    *,
    secret: str = SECRET,
    message_id: str = "w1",
    age: timedelta = timedelta(0),
) -> dict[str, Any]:
    """The options of a signed POST."""
    text = json.dumps(body, ensure_ascii=False)
    at = datetime.now(UTC) - age
    headers = {
        "Content-Type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign(message_id, at, text),
    }
    return {"data": text.encode(), "headers": headers}


RECEIPT = {"id": "r1", "key": KEY, "step": "received", "actor": "中心系统"}


@pytest.mark.parametrize("secret", [SECRET, OLD_SECRET])
async def test_a_signed_receipt_needs_no_token(service: WebService, secret: str) -> None:
    status, answer, _ = await service.call("POST", RECEIPTS, None, **signed(RECEIPT, secret=secret))

    assert (status, answer["taken"]) == (201, True)
    (line, *_) = (await service.get("/api/v1/audit"))["items"]
    assert (line["actor"], line["role"]) == ("center by signature (signature)", "center")


async def test_a_retry_of_a_signed_receipt_is_a_repeat(service: WebService) -> None:
    options = signed(RECEIPT)
    assert (await service.call("POST", RECEIPTS, None, **signed(RECEIPT)))[0] == 201
    assert (await service.call("POST", RECEIPTS, None, **options))[0] == 200
    assert (
        await service.call("POST", RECEIPTS, None, **signed(RECEIPT, age=timedelta(seconds=9)))
    )[0] == 200


@pytest.mark.parametrize(
    "made",
    [
        lambda: signed(RECEIPT, secret="whsec_" + "QUJD" * 8),
        lambda: signed(RECEIPT, age=timedelta(minutes=6)),
        lambda: signed(RECEIPT, age=timedelta(minutes=-6)),
        lambda: {**signed(RECEIPT), "data": json.dumps({**RECEIPT, "step": "closed"}).encode()},
        lambda: {"data": b"{}", "headers": {"webhook-signature": "v1,nonsense"}},
        lambda: {"data": b"\xff\xfe", "headers": {**signed(RECEIPT)["headers"]}},
    ],
    ids=["foreign secret", "old", "early", "changed", "nonsense", "no text"],
)
async def test_what_is_not_genuine_is_refused(
    service: WebService, made: Callable[[], dict[str, Any]]
) -> None:
    options = made()  # now: what is too young to be true grows older while other tests run
    status, answer, _ = await service.call("POST", RECEIPTS, None, **options)

    assert status == 401
    assert answer["type"].endswith(":bad-signature")
    assert (await service.get(RECEIPTS))["items"] == []


async def test_a_signed_id_counts_for_one_content_only(service: WebService) -> None:
    assert (await service.call("POST", RECEIPTS, None, **signed(RECEIPT)))[0] == 201
    other = signed({**RECEIPT, "id": "r2", "step": "closed"})

    status, answer, _ = await service.call("POST", RECEIPTS, None, **other)

    assert status == 409
    assert "something else before" in answer["detail"]


async def test_a_signed_receipt_counts_for_the_incident_it_names_and_no_other(
    service: WebService,
) -> None:
    await put(service.store, message("incident-2", 1, service.now()))
    elsewhere = "/api/v1/alerts/incident-2/receipts"
    anywhere = {k: v for k, v in RECEIPT.items() if k != "key"}

    assert (await service.call("POST", elsewhere, None, **signed(RECEIPT)))[0] == 400
    assert (await service.call("POST", elsewhere, None, **signed(anywhere, message_id="w2")))[
        0
    ] == 400


async def test_a_signature_opens_nothing_but_the_receipts(service: WebService) -> None:
    order = {"key": KEY, "channels": [channel(1)]}

    assert (await service.call("POST", "/api/v1/work-orders", None, **signed(order)))[0] in {
        401,
        403,
    }
    assert (await service.call("GET", "/api/v1/alerts", None, **signed({})))[0] == 401


async def test_without_secrets_nothing_signed_is_taken() -> None:
    async with running(district(12)) as service:
        await put(service.store, message(KEY, 1, service.now()))

        assert (await service.call("POST", RECEIPTS, None, **signed(RECEIPT)))[0] == 401


# --- dead letters


async def test_a_dead_letter_is_listed_with_its_reason_and_replayed(service: WebService) -> None:
    dead = replace(
        message("k2", 1, service.now()), state=AlertState.DEAD, reason="410 Gone", next_at=None
    )
    await put(service.store, dead)

    (item,) = (await service.get("/api/v1/dead-letters", Role.OPERATOR))["items"]
    assert (item["id"], item["reason"]) == (dead.id, "410 Gone")
    path = f"/api/v1/dead-letters/{dead.id}/replay"
    status, answer, _ = await service.call("POST", path, Role.OPERATOR)

    assert (status, answer["state"], answer["attempts"]) == (200, "pending", 0)
    due = await service.store.events.due_alerts("center", service.now(), 10)
    assert dead.id in {alert.id for alert in due}
    status, answer, _ = await service.call("POST", path, Role.OPERATOR)
    assert (status, answer["detail"]) == (
        409,
        "only dead letters are replayed; this one is pending",
    )


async def test_a_dead_letter_that_a_newer_message_overtook_is_not_replayed(
    service: WebService,
) -> None:
    now = service.now()
    dead = replace(message("k2", 1, now), state=AlertState.DEAD)
    closed = replace(message("k2", 2, now, AlertPhase.CLOSE), state=AlertState.DELIVERED)
    await put(service.store, dead, closed)

    status, answer, _ = await service.call(
        "POST", f"/api/v1/dead-letters/{dead.id}/replay", Role.OPERATOR
    )

    assert status == 409
    assert "says more" in answer["detail"]


async def test_dead_letters_are_found_by_reason_recipient_and_key(service: WebService) -> None:
    now = service.now()
    rows = [
        replace(message(key, 1, now, recipient=to), state=AlertState.DEAD, reason=reason)
        for key, to, reason in (
            ("d1", "center", "401 Unauthorized"),
            ("d2", "duty", "401 Unauthorized"),
            ("d3", "center", "410 Gone"),
        )
    ]
    await put(service.store, *rows)

    async def keys(query: str) -> list[str]:
        page = await service.get(f"/api/v1/dead-letters?{query}", Role.OPERATOR)
        return [item["key"] for item in page["items"]]

    assert await keys("reason=unauthorized") == ["d1", "d2"]
    assert await keys("reason=401&recipient=duty") == ["d2"]
    assert await keys("key=d3") == ["d3"]
    first = await service.get("/api/v1/dead-letters?reason=401&limit=1", Role.OPERATOR)
    second = await service.get(first["next"], Role.OPERATOR)
    assert [item["key"] for item in (*first["items"], *second["items"])] == ["d1", "d2"]
    assert second["next"] is None


async def test_dead_letters_that_match_are_sent_again_in_one_call(service: WebService) -> None:
    now = service.now()
    rows = [
        replace(message(f"d{n}", 1, now), state=AlertState.DEAD, reason=reason)
        for n, reason in enumerate(("401", "410 Gone", "401"))
    ]
    over = replace(message("d4", 1, now), state=AlertState.DEAD, reason="401")
    told = replace(message("d4", 2, now, AlertPhase.CLOSE), state=AlertState.DELIVERED)
    await put(service.store, *rows, over, told)
    path = "/api/v1/dead-letters/replay"

    wrongs: tuple[dict[str, Any], ...] = (
        {}, {"all": False}, {"all": True, "reason": "401"}, {"all": 1}, {"ids": []},
    )  # fmt: skip
    for wrong in wrongs:
        assert (await service.call("POST", path, Role.OPERATOR, json=wrong))[0] == 400, wrong
    assert (await service.call("POST", path, Role.VIEWER, json={"all": True}))[0] == 403
    body = {"reason": "401"}
    status, done, _ = await service.call("POST", path, Role.OPERATOR, json=body)
    assert (status, done["replayed"], done["more"]) == (200, [rows[0].id, rows[2].id], False)
    assert [one["id"] for one in done["refused"]] == [over.id]
    _, rest, _ = await service.call("POST", path, Role.OPERATOR, json={"all": True})

    assert rest["replayed"] == [rows[1].id]
    due = await service.store.events.due_alerts("center", service.now(), 10)
    assert {row.id for row in rows} <= {alert.id for alert in due}
    lines = [line for line in await service.store.audit() if line.action == "alert.replay"]
    assert [line.detail for line in lines] == ["all", "reason '401'"]


async def test_pages_of_dead_letters_join(service: WebService) -> None:
    now = service.now()
    dead = [replace(message(f"d{n}", 1, now), state=AlertState.DEAD) for n in range(5)]
    await put(service.store, *dead)
    found, path = [], "/api/v1/dead-letters?limit=2"
    while path:
        page = await service.get(path)
        found += [item["key"] for item in page["items"]]
        path = page["next"]

    assert found == [f"d{n}" for n in range(5)]


# --- work orders


async def test_a_work_order_is_assigned_done_and_closed_by_a_healthy_device(
    service: WebService,
) -> None:
    body = {"key": KEY, "channels": [channel(1)], "text": "换电源"}
    status, order, _ = await service.call("POST", "/api/v1/work-orders", Role.OPERATOR, json=body)
    assert (status, order["state"], order["created_by"]) == (201, "open", "operator token")
    path = f"/api/v1/work-orders/{order['id']}"
    assigned = {"state": "assigned", "assignee": "运维甲"}
    status, order, _ = await service.call("PATCH", path, Role.OPERATOR, json=assigned)
    assert (status, order["state"], order["assignee"]) == (200, "assigned", "运维甲")
    status, order, _ = await service.call("PATCH", path, Role.OPERATOR, json={"state": "done"})
    assert (status, order["state"]) == (200, "done")
    assert order["done_at"] is not None
    assert len((await service.get("/api/v1/work-orders?open=true"))["items"]) == 1

    assert service.desk is not None
    service.desk.orders.seen_good_at = lambda _: service.now()
    await service.desk.flush()

    (item,) = (await service.get("/api/v1/work-orders"))["items"]
    assert item["state"] == "closed"
    assert (await service.get("/api/v1/work-orders?open=true"))["items"] == []
    status, answer, _ = await service.call(
        "PATCH", path, Role.OPERATOR, json={"state": "cancelled"}
    )
    assert (status, answer["detail"]) == (409, "after closed not cancelled")


async def test_a_work_order_says_whether_its_time_is_up(service: WebService) -> None:
    now = service.now()
    due = (now + timedelta(hours=1)).isoformat()
    body = {"key": KEY, "channels": [channel(1)], "due_at": due}
    status, order, _ = await service.call("POST", "/api/v1/work-orders", Role.OPERATOR, json=body)
    assert (status, order["overdue"]) == (201, False)
    late = WorkOrder(
        "late", KEY, (channel(1),), WorkOrderState.ASSIGNED, now - timedelta(days=2), "值班员",
        assignee="运维甲", due_at=now - timedelta(minutes=1),
    )  # fmt: skip
    await service.store.events.commit(EventChanges(work_orders=(late,)))

    items = (await service.get("/api/v1/work-orders"))["items"]
    assert {item["id"]: item["overdue"] for item in items} == {order["id"]: False, "late": True}
    assert service.desk is not None
    service.desk.orders.add(late)
    _, moved, _ = await service.call(
        "PATCH", "/api/v1/work-orders/late", Role.OPERATOR, json={"state": "done"}
    )
    assert moved["overdue"] is False


async def test_a_cancelled_work_order_stays_so(service: WebService) -> None:
    body = {"key": KEY, "channels": [channel(1)], "assignee": "运维甲"}
    _, order, _ = await service.call("POST", "/api/v1/work-orders", Role.OPERATOR, json=body)
    path = f"/api/v1/work-orders/{order['id']}"
    for _ in range(2):
        status, order, _ = await service.call(
            "PATCH", path, Role.OPERATOR, json={"state": "cancelled"}
        )
        assert (status, order["state"]) == (200, "cancelled")

    assert (await service.get("/api/v1/work-orders?open=true"))["items"] == []


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ({}, {"key", "channels"}),
        ({"key": "k", "channels": []}, {"channels"}),
        ({"key": "k", "channels": ["61080299991320000001"]}, {"channels"}),
        ({"key": "k", "channels": [channel(1)], "due_at": "2001-01-01T00:00:00Z"}, {"due_at"}),
        ({"key": "k", "channels": [channel(1)], "state": "closed"}, {"state"}),
    ],
)
async def test_a_work_order_that_makes_no_sense_is_refused(
    service: WebService, body: dict[str, Any], names: set[str]
) -> None:
    status, answer, _ = await service.call("POST", "/api/v1/work-orders", Role.OPERATOR, json=body)

    assert status == 400
    assert {e["name"] for e in answer["errors"]} == names


@pytest.mark.parametrize("body", [{"state": "closed"}, {"state": "assigned"}, {}])
async def test_people_cannot_close_a_work_order_nor_assign_it_to_nobody(
    service: WebService, body: dict[str, str]
) -> None:
    made = {"key": KEY, "channels": [channel(1)]}
    _, order, _ = await service.call("POST", "/api/v1/work-orders", Role.OPERATOR, json=made)

    status, _, _ = await service.call(
        "PATCH", f"/api/v1/work-orders/{order['id']}", Role.OPERATOR, json=body
    )

    assert status == 400


# --- the virtual center against it


@pytest.mark.parametrize("by_token", [True, False])
async def test_the_virtual_center_answers_all_steps_of_what_it_was_told(
    service: WebService, by_token: bool, tmp_path: Any
) -> None:
    gateway = Gateway(service.url, service.tokens[Role.CENTER] if by_token else "")
    secret_file = tmp_path / "secret"
    secret_file.write_text(SECRET)
    async with VirtualCenter((SECRET,), gateway=gateway, log=tmp_path / "log.jsonl") as center:
        settings = CenterSettings(url=center.url, secret_file=secret_file)
        sink = make_sink(settings, (Secret(SECRET),), SystemClock())
        now = service.now()
        closing = message(KEY, 2, now, AlertPhase.CLOSE)
        await put(service.store, closing)
        for alert in (message(KEY, 1, now), closing):
            assert (await sink.send(alert)).delivered
        await sink.close()
        assert center.answers is not None
        await center.answers.until(4)
        report = center.report()

    assert report["acknowledged"] == {
        "received": 1, "dispatched": 1, "in_progress": 1, "closed": 1,
    }  # fmt: skip
    assert report["refused"] == 0
    rows = (await service.get(RECEIPTS))["items"]
    assert rows[-1]["step"] == "closed"
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text("utf-8").splitlines()]
    assert [line["fate"] for line in lines] == ["new", "new"]
