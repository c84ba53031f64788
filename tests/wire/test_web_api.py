"""Cameras, ledger, summary, wall and tables over real HTTP."""

import csv
import io
from collections import Counter
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from fakes.ledger_rows import RECORD, rollup
from fakes.web_service import WebService, channel, district, running

from gateway.domain.ledger import (
    ChannelRecord,
    Fault,
    GapReason,
    GatewayGap,
    Incident,
    Outage,
    State,
)
from gateway.domain.observation import FaultCause, Observation, OutageCause, Verdict
from gateway.domain.seconds import day_of
from gateway.ports import Role
from gateway.web.reply import iso

TYPE = "urn:sightline:problem:"


async def pages(service: WebService, path: str | None) -> list[dict[str, Any]]:
    """All items of a list, following `next`."""
    items: list[dict[str, Any]] = []
    while path:
        page = await service.get(path)
        items += page["items"]
        path = page["next"]
    return items


def outage(service: WebService, number: int, minutes_ago: float, **more: Any) -> Outage[datetime]:
    failed = service.now() - timedelta(minutes=minutes_ago)
    row = Outage(
        f"o{number}-{minutes_ago}",
        channel(number),
        OutageCause.REFUSED,
        failed - timedelta(seconds=30),
        failed,
        failed,
        failed,
    )
    return replace(row, **more)


# --- cameras
async def test_the_last_failed_check_of_an_open_outage_is_the_last_one() -> None:
    async with running(district(4)) as service:
        row = outage(service, 2, 5)
        await service.change(outages=(row,))
        path = f"/api/v1/cameras/{channel(2)}"
        assert (await service.get(path))["outage"]["last_failed_at"] == iso(row.last_failed_at)
        started = service.clock.now()
        silent = replace(service.answer(), verdict=Verdict.NO_ANSWER, cause=OutageCause.TIMEOUT)
        view = service.projection.channels[channel(2)]
        observed = Observation(channel(2), view.device.id, replace(silent, started=started))
        service.projection.observe(observed)
        found = await service.get(path)
        assert found["outage"]["last_failed_at"] == iso(service.clock.utc(started))


async def test_pages_hold_every_camera_once_in_the_order_of_the_archive() -> None:
    async with running(district(230)) as service:
        items = await pages(service, "/api/v1/cameras?limit=100")
        assert [item["id"] for item in items] == [channel(n) for n in range(230)]
        assert [item["index"] for item in items] == list(range(230))


async def test_an_import_between_two_pages_loses_no_camera() -> None:
    async with running(district(100)) as service:
        first = await service.get("/api/v1/cameras?limit=40")
        grown = district(150)
        new = {channel(n): grown.cameras[channel(n)] for n in range(100, 150)}
        order = {**new, **grown.cameras}  # new ones in front: all numbers change
        service.projection.load(replace(grown, cameras=order), service.now())
        seen = first["items"] + await pages(service, first["next"])
        assert {channel(n) for n in range(100)} <= {item["id"] for item in seen}
        assert max(Counter(item["id"] for item in seen).values()) == 1


async def test_the_link_header_names_the_next_page() -> None:
    async with running(district(30)) as service:
        _, body, response = await service.call("GET", "/api/v1/cameras?limit=10&q=路口")
        assert response.headers["Link"] == f'<{body["next"]}>; rel="next"'
        _, body, response = await service.call("GET", "/api/v1/cameras?limit=30")
        assert body["next"] is None
        assert "Link" not in response.headers


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("township=610802101", lambda n: n % 3 == 1),
        ("village=610802101201", lambda n: n % 3 == 1 and n % 2 == 1),
        ("grid=610802100g1", lambda n: n % 3 == 0 and n % 4 == 1),
        ("vendor=大华", lambda n: n % 3 == 1),
        ("state=decommissioned", lambda n: n % 50 == 49),
        ("state=offline", lambda n: n == 7),
        ("fault=clock", lambda n: n == 8),
        ("takeover=true", lambda n: n == 7),
        ("takeover=false&limit=1000", lambda n: n != 7),
        ("q=10.0.0.42", lambda n: n == 42),
        ("q=路口42号", lambda n: n == 42),
        (f"q={channel(42)}", lambda n: n == 42),
        ("q=nothing", lambda n: n < 0),
        ("state=unknown&township=610802101&q=东街", lambda n: n % 3 == 1 and n % 4 == 0),
    ],
)
async def test_filters_narrow_the_list(query: str, expected: Any) -> None:
    async with running(district(120)) as service:
        now = service.now()
        clock: Fault[datetime] = Fault("f", channel(8), FaultCause.CLOCK, now, now, now, now)
        await service.change(
            outages=(outage(service, 7, 1, takeover=True, last_seen_at=None),),
            faults=(clock,),
            channels=(ChannelRecord(channel(7), State.OFFLINE, now),),
        )
        items = await pages(service, f"/api/v1/cameras?{query}")
        got = {int(item["id"][-6:]) for item in items}
        if "state=unknown" in query:
            assert got == {n for n in range(120) if expected(n) and n % 50 != 49 and n != 7}
        else:
            assert got == {n for n in range(120) if expected(n)}


async def test_one_camera_shows_archive_way_and_open_rows_but_no_secret() -> None:
    async with running(district(10)) as service:
        row = outage(service, 3, 1)
        await service.change(outages=(row,))
        camera = await service.get(f"/api/v1/cameras/{channel(3)}")
        assert camera["outage"]["id"] == row.id
        assert [node["id"] for node in camera["path"]] == ["access-0", "core"]
        assert camera["township_name"] == "第0镇"
        assert camera["archive"] == {"SecurityLevelCode": "A"}
        assert "never-shown" not in str(camera)


async def test_a_trace_shows_the_last_answers_and_keeps_what_was_learned_for_signing() -> None:
    async with running(district(10)) as service:
        service.observe(3)
        for _ in range(7):
            service.observe(3, good=False)
        trace = await service.get(f"/api/v1/cameras/{channel(3)}/trace")
        assert trace["last_good"]["rtt_s"] == 0.0125
        assert trace["last_answer"]["found"] == [{"cause": "clock", "detail": "90 s behind"}]
        assert [step["name"] for step in trace["last_answer"]["chain"]] == ["tcp", "clock"]
        assert len(trace["failures"]) == 5
        assert "memory" not in trace["last_answer"]
        started = datetime.fromisoformat(trace["last_answer"]["started_at"])
        assert abs(started - service.now()) < timedelta(seconds=10)


async def test_history_holds_rows_and_days_of_the_window() -> None:
    async with running(district(10)) as service:
        recent, old = outage(service, 3, 60), outage(service, 3, 60 * 24 * 80)
        old = replace(old, ended_at=old.failed_at + timedelta(hours=1))
        today = day_of(service.now().timestamp())
        day = replace(rollup(3, today, good=1800.0), channel=channel(3))
        await service.store.commit(_changes(outages=(recent, old), rollups=(day,)))
        path = f"/api/v1/cameras/{channel(3)}/history"
        history = await service.get(path)
        assert [row["id"] for row in history["outages"]] == [recent.id]
        assert history["days"][0]["online_rate"] == 0.5
        assert history["days"][0]["good_s"] == [1800.0] * 24
        since = (service.now() - timedelta(days=90)).isoformat().replace("+00:00", "Z")
        longer = await service.get(f"{path}?since={since}")
        assert [row["id"] for row in longer["outages"]] == [recent.id, old.id]
        too_long = (service.now() - timedelta(days=93)).isoformat().replace("+00:00", "Z")
        status, problem, _ = await service.call("GET", f"{path}?since={too_long}")
        assert (status, problem["errors"][0]["name"]) == (400, "since")


def _changes(**rows: Any) -> Any:
    from gateway.domain.ledger import Changes

    return Changes(sequence=1, **rows)


# --- the ledger
async def test_outages_are_paged_without_loss_while_rows_are_added() -> None:
    async with running(district(120)) as service:
        rows = tuple(outage(service, n, n / 10) for n in range(100))
        await service.change(outages=rows)
        page = await service.get("/api/v1/outages?limit=30")
        seen = page["items"]
        extra = 100
        while page["next"]:
            await service.change(outages=(outage(service, extra, -extra / 1000),))
            extra += 1
            page = await service.get(page["next"])
            seen += page["items"]
        assert [row["id"] for row in seen] == [row.id for row in rows]


async def test_rows_carry_the_names_of_the_camera_and_its_places() -> None:
    async with running(district(10)) as service:
        await service.change(outages=(outage(service, 4, 1),))
        row = (await service.get("/api/v1/outages"))["items"][0]
        assert row["camera_name"] == "东街路口4号"
        assert (row["township"], row["township_name"]) == ("610802101", "第1镇")
        assert row["village_name"] == "第1镇0村"
        assert row["failed_at"].endswith("Z")


async def test_ledger_filters_are_handed_to_the_store() -> None:
    async with running(district(30)) as service:
        await service.store.save_import(RECORD, service.projection.inventory)
        closed = outage(service, 1, 60, ended_at=service.now() - timedelta(minutes=50))
        rows = (closed, outage(service, 2, 10, incident="i1"), outage(service, 3, 5))
        await service.change(outages=rows)
        since = (service.now() - timedelta(minutes=20)).strftime("%Y-%m-%dT%H:%M:%SZ")
        until = (service.now() - timedelta(minutes=8)).strftime("%Y-%m-%dT%H:%M:%SZ")
        wanted = {
            "": [3, 2, 1],
            "open=true": [3, 2],
            f"channel={channel(2)}": [2],
            "incident=i1": [2],
            "cause=refused": [3, 2, 1],
            "cause=uplink": [],
            "township=610802101": [1],
            f"since={since}": [3, 2],
            f"until={until}": [2, 1],
        }
        for query, numbers in wanted.items():
            items = await pages(service, f"/api/v1/outages?{query}")
            assert [int(item["channel"][-6:]) for item in items] == numbers, query


async def test_faults_and_gaps_are_listed() -> None:
    async with running(district(10)) as service:
        now = service.now()
        fault: Fault[datetime] = Fault("f1", channel(2), FaultCause.AUTH, now, now, now, now)
        await service.change(faults=(fault,), gaps=(GatewayGap("g1", GapReason.BLIND, now),))
        assert (await service.get("/api/v1/faults"))["items"][0]["cause"] == "auth"
        assert (await service.get("/api/v1/gateway-gaps"))["items"][0]["reason"] == "blind"


async def test_an_incident_shows_children_notes_and_who_is_to_mend_it() -> None:
    async with running(district(10)) as service:
        now = service.now()
        cut: Incident[datetime] = Incident("i1", channel(1), OutageCause.UPLINK, now, now, now)
        cut = replace(cut, root=type(cut.root)("access-1"), children=2, open_children=2)
        merged = replace(cut, id="i2", merged_into="i1")
        rows = (outage(service, 1, 1, incident="i1"), outage(service, 4, 1, incident="i1"))
        await service.change(incidents=(cut, merged), outages=rows)
        until = (now + timedelta(hours=2)).isoformat()
        ack = {"text": "运维已出发", "until": until}
        status, note, _ = await service.call("POST", "/api/v1/incidents/i1/acknowledge", json=ack)
        assert status == 201
        assert (note["actor"], note["kind"]) == ("admin token", "acknowledge")
        await service.call("POST", "/api/v1/incidents/i1/notes", json={"text": "光缆断"})
        found = await service.get("/api/v1/incidents/i1")
        assert (found["root_name"], found["root_kind"]) == ("接入1", "access")
        assert found["maintainer"] == "运维甲"
        assert {row["id"] for row in found["outages"]} == {row.id for row in rows}
        assert [note["text"] for note in found["notes"]] == ["运维已出发", "光缆断"]
        listed = (await service.get("/api/v1/incidents"))["items"]
        assert [one["id"] for one in listed] == ["i1"]
        assert len(listed[0]["notes"]) == 2
        every = (await service.get("/api/v1/incidents?include_merged=true"))["items"]
        assert {one["id"] for one in every} == {"i1", "i2"}


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        ({"text": "x"}, 400, "bad-body"),
        ({"text": "", "until": "2099-01-01T00:00:00Z"}, 400, "bad-body"),
        ({"text": 3, "until": "2099-01-01T00:00:00Z"}, 400, "bad-body"),
        ({"text": "x", "until": "tomorrow"}, 400, "bad-body"),
        ({"text": "x", "until": "2099-01-01T00:00:00Z", "more": 1}, 400, "bad-body"),
        ({"text": "\x00", "until": "2099-01-01T00:00:00Z"}, 400, "bad-body"),
        ([], 400, "bad-body"),
        ({"text": "x", "until": "2001-01-01T00:00:00Z"}, 409, "refused"),
    ],
)
async def test_an_acknowledgement_needs_why_and_until(body: Any, status: int, kind: str) -> None:
    async with running(district(3)) as service:
        now = service.now()
        row: Incident[datetime] = Incident("i1", channel(1), OutageCause.REFUSED, now, now, now)
        await service.change(incidents=(row,))
        got, problem, _ = await service.call("POST", "/api/v1/incidents/i1/acknowledge", json=body)
        assert (got, problem["type"]) == (status, TYPE + kind)
        assert not await service.store.audit()


async def test_a_closed_incident_takes_notes_but_no_acknowledgement() -> None:
    async with running(district(3)) as service:
        now = service.now()
        row = Incident("i1", channel(1), OutageCause.REFUSED, now, now, now, ended_at=now)
        await service.change(incidents=(row,))
        body = {"text": "x", "until": "2099-01-01T00:00:00Z"}
        got, _, _ = await service.call("POST", "/api/v1/incidents/i1/acknowledge", json=body)
        assert got == 409
        got, _, _ = await service.call("POST", "/api/v1/incidents/i1/notes", json={"text": "x"})
        assert got == 201


# --- the whole fleet
@pytest.mark.parametrize("by", ["township", "village", "grid", "vendor"])
async def test_counts_always_add_up_to_the_fleet(by: str) -> None:
    async with running(district(200)) as service:
        for n, state in enumerate(State):
            await service.set_state(state, *range(n * 20, n * 20 + 20))
        found = await service.get(f"/api/v1/summary?by={by}")
        fleet = found["fleet"]
        assert fleet["total"] == 200
        for name in [*(state.value for state in State), "in_use", "total"]:
            assert sum(group[name] for group in found["items"]) == fleet[name]
        for group in [*found["items"], fleet]:
            states = {state.value: group[state.value] for state in State}
            assert sum(states.values()) == group["total"]
            assert group["total"] - states["decommissioned"] == group["in_use"]
        assert all(group["name"] for group in found["items"])


async def test_the_wall_holds_every_channel_with_its_state() -> None:
    async with running(district(100)) as service:
        await service.set_state(State.OFFLINE, 5)
        wall = await service.get("/api/v1/wall")
        assert len(wall["channels"]) == len(wall["states"]) == 100
        letters = wall["codes"]
        assert set(letters.values()) == {state.value for state in State}
        assert letters[wall["states"][5]] == "offline"
        assert letters[wall["states"][49]] == "decommissioned"
        name, town = wall["channels"][5][1], wall["divisions"][wall["channels"][5][2]]
        assert (name, town[:2]) == ("西街路口5号", ["610802102", "第2镇"])
        await service.set_state(State.ONLINE, 5)
        service.clock.ahead_s += 2
        again = await service.get("/api/v1/wall")
        assert letters[again["states"][5]] == "online"
        assert again["channels"] == wall["channels"]


async def test_the_wall_follows_an_import() -> None:
    async with running(district(100)) as service:
        await service.get("/api/v1/wall")
        service.projection.load(district(130), service.now())
        wall = await service.get("/api/v1/wall")
        assert len(wall["channels"]) == len(wall["states"]) == 130


async def test_packed_and_plain_answers_are_the_same() -> None:
    async with running(district(300)) as service:
        for path in ("/api/v1/wall", "/api/v1/cameras?limit=300", "/api/v1/summary?by=village"):
            async with service.session.get(
                service.url + path, headers=service.headers() | {"Accept-Encoding": "identity"}
            ) as plain:
                assert "Content-Encoding" not in plain.headers
                body = await plain.read()
            async with service.session.get(
                service.url + path, headers=service.headers() | {"Accept-Encoding": "gzip"}
            ) as packed:
                assert packed.headers["Content-Encoding"] == "gzip"
                assert int(packed.headers["Content-Length"]) < len(body) / 3
                assert await packed.read() == body


async def test_the_same_content_is_not_sent_again_but_says_how_fresh_it_is() -> None:
    async with running(district(50)) as service:
        for path in ("/api/v1/wall", "/api/v1/summary", "/api/v1/cameras", "/api/v1/outages"):
            _, _, first = await service.call("GET", path)
            tag = {"If-None-Match": first.headers["ETag"]}
            await service.change()  # a batch that changes nothing: only as_of moves
            service.clock.ahead_s += 2
            status, body, second = await service.call("GET", path, headers=tag)
            assert (status, body) == (304, "")
            assert second.headers["Sightline-As-Of"] > first.headers["Sightline-As-Of"]
            await service.change(outages=(outage(service, len(path), 1),))
            await service.set_state(State.OFFLINE, len(path))
            service.clock.ahead_s += 2
            assert (await service.call("GET", path, headers=tag))[0] == 200


async def test_head_answers_like_get_without_a_body() -> None:
    async with running(district(50)) as service:
        _, _, got = await service.call("GET", "/api/v1/cameras")
        status, body, head = await service.call("HEAD", "/api/v1/cameras")
        assert (status, body) == (200, None)
        assert head.headers["ETag"] == got.headers["ETag"]


async def table(service: WebService, query: str = "") -> tuple[list[list[str]], bytes]:
    url = f"{service.url}/api/v1/online-rate.csv{query}"
    async with service.session.get(url, headers=service.headers()) as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
        assert "attachment" in response.headers["Content-Disposition"]
        raw = await response.read()
    return list(csv.reader(io.StringIO(raw.decode("utf-8-sig")))), raw


async def test_the_online_rate_shows_its_denominator_and_what_nobody_saw() -> None:
    async with running(district(12)) as service:
        today = day_of(service.now().timestamp())
        none = (0.0,) * 24
        hour = (3600.0, *none[1:])
        day = replace(rollup(0, today), channel=channel(0), good_s=none, bad_s=none)
        rows = (
            replace(day, good_s=hour),
            replace(day, channel=channel(3), bad_s=hour),
            replace(day, channel=channel(6), bad_upstream_s=hour),
            replace(day, channel=channel(9), unobserved_s=hour),
        )
        await service.store.commit(_changes(rollups=rows))
        lines, raw = await table(service)
        assert raw.startswith(b"\xef\xbb\xbf")
        keys = [heading.split()[-1] for heading in lines[0]]
        town = dict(zip(keys, lines[1], strict=True))
        assert town["name"] == "第0镇"
        assert float(town["online_rate"]) == pytest.approx(1 / 3, abs=1e-6)
        assert float(town["online_rate_without_upstream"]) == 0.5
        assert (town["unobserved_h"], town["bad_upstream_h"], town["elapsed_h"]) == (
            "1.0",
            "1.0",
            "4.0",
        )
        other = dict(zip(keys, lines[2], strict=True))
        assert other["online_rate"] == ""
        total = next(line for line in lines if line[0] == "total")
        assert total[2] == "12"


async def test_no_cell_of_the_table_becomes_a_formula() -> None:
    async with running(district(3)) as service:
        cameras = {
            key: replace(camera, manufacturer="=HYPERLINK(1)")
            for key, camera in service.projection.inventory.cameras.items()
        }
        inventory = replace(service.projection.inventory, cameras=cameras)
        service.projection.load(inventory, service.now())
        lines, _ = await table(service, "?by=vendor")
        assert lines[1][:2] == ["'=HYPERLINK(1)", "'=HYPERLINK(1)"]


@pytest.mark.parametrize("day", ["tomorrow", "2026-13-01", "20260301", "9999-12-31"])
async def test_only_days_that_began_have_a_table(day: str) -> None:
    async with running(district(3)) as service:
        status, problem, _ = await service.call("GET", f"/api/v1/online-rate.csv?date={day}")
        assert (status, problem["errors"][0]["name"]) == (400, "date")


async def test_a_day_that_is_over_counts_unrecorded_seconds_as_unobserved() -> None:
    async with running(district(3)) as service:
        yesterday = date.fromisoformat(day_of(service.now().timestamp())) - timedelta(days=1)
        lines, _ = await table(service, f"?date={yesterday}")
        keys = [heading.split()[-1] for heading in lines[0]]
        assert dict(zip(keys, lines[1], strict=True))["unobserved_h"] == "24.0"


async def test_imports_show_what_came_in() -> None:
    async with running(district(3)) as service:
        await service.store.save_import(RECORD, service.projection.inventory)
        (item,) = (await service.get("/api/v1/imports"))["items"]
        assert item["counts"] == {"added": 2, "changed": 0, "quarantined": 1}
        assert item["repairs"] == {"defect": 1, "note": 1}


# --- errors
@pytest.mark.parametrize(
    ("method", "path", "options", "status", "kind"),
    [
        ("GET", "/api/v1/nothing", {}, 404, "not-found"),
        ("GET", "/nothing.html", {}, 404, "not-found"),
        ("GET", "/api/v1/cameras/none", {}, 404, "not-found"),
        ("GET", "/api/v1/incidents/none", {}, 404, "not-found"),
        ("GET", "/api/v1/incidents/%00", {}, 404, "not-found"),
        ("PUT", "/api/v1/cameras", {}, 405, "bad-method"),
        ("POST", "/livez", {}, 405, "bad-method"),
        ("POST", "/", {}, 405, "bad-method"),
        ("GET", "/api/v1/cameras?limit=0", {}, 400, "bad-parameters"),
        ("GET", "/api/v1/cameras?colour=red", {}, 400, "bad-parameters"),
        ("GET", "/api/v1/cameras?cursor=x", {}, 400, "bad-cursor"),
        ("GET", "/api/v1/outages?cursor=x", {}, 400, "bad-cursor"),
        ("GET", "/api/v1/outages?since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z", {}, 400,
         "bad-parameters"),
        ("POST", "/api/v1/incidents/i1/notes", {"data": b"x" * 70_000,
         "headers": {"Content-Type": "application/json"}}, 413, "too-large"),
        ("POST", "/api/v1/incidents/i1/notes", {"data": b"{"  ,
         "headers": {"Content-Type": "application/json"}}, 400, "bad-body"),
        ("POST", "/api/v1/incidents/i1/notes", {"data": {"text": "form"}}, 415, "not-json"),
        ("GET", "/metrics/devices", {}, 404, "switched-off"),
        ("GET", "/probe", {}, 400, "bad-parameters"),
        ("GET", "/probe?target=10.0.0.1:80", {}, 404, "not-found"),
    ],
)  # fmt: skip
async def test_every_error_is_a_problem_document(
    method: str, path: str, options: dict[str, Any], status: int, kind: str
) -> None:
    async with running(district(3)) as service:
        got, problem, response = await service.call(method, path, **options)
        assert (got, problem["type"]) == (status, TYPE + kind)
        assert response.content_type == "application/problem+json"
        assert problem["status"] == status
        assert problem["title"]
        assert "Content-Security-Policy" in response.headers
        if status == 405:
            assert response.headers["Allow"]


async def test_a_store_that_is_away_is_a_503_that_says_when_to_come_again() -> None:
    async with running(district(3)) as service:
        await service.get("/api/v1/me")
        service.store.is_away = True
        for path in ("/api/v1/outages", "/api/v1/online-rate.csv", "/api/v1/imports"):
            status, problem, response = await service.call("GET", path)
            assert (status, problem["type"]) == (503, TYPE + "store-unavailable")
            assert response.headers["Retry-After"] == "5"
        for path in ("/api/v1/cameras", "/api/v1/summary", "/api/v1/wall"):
            assert (await service.call("GET", path))[0] == 200  # the present needs no store


async def test_a_defect_of_ours_is_a_500_without_its_inner_words() -> None:
    async with running(district(3)) as service:
        service.trouble = RuntimeError("secret inner words")
        status, problem, _ = await service.call("POST", f"/api/v1/cameras/{channel(1)}/check")
        assert (status, problem["type"]) == (500, TYPE + "our-trouble")
        assert "inner words" not in str(problem)


async def test_viewers_see_stats() -> None:
    async with running(district(3)) as service:
        assert (await service.get("/api/v1/stats", Role.VIEWER))["checks"] == 0
