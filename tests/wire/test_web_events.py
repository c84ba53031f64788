"""The interface of events and alerts: lists, the feed, posture, mutes, rules."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

from fakes.event_rows import alert, event, event_incident
from fakes.web_service import WebService, district, running

from gateway.domain.alerting.rows import GridLink, LinkReason, Receipt, ReceiptStep
from gateway.domain.camera import GridId
from gateway.domain.event import Event, EventKind, EventSource, Sensor, SensorId
from gateway.ports import Role
from gateway.ports.events import EventChanges

LINK = GridLink(GridId("g1"), LinkReason.CONTAINS, 0.0, None)


async def fill(service: WebService) -> None:
    await service.store.events.commit(
        EventChanges(
            events=(event("e1", 0), event("e2", 1, kind=EventKind.DOOR)),
            incidents=(event_incident("ev-1", 0, links=(LINK,)), event_incident("ev-2", 5, 6)),
            alerts=tuple(alert(f"a{n}", "ev-1", n, recipient="feed") for n in (1, 2, 3)),
            receipts=(Receipt("r1", "ev-1", ReceiptStep.RECEIVED, service.now(), "综治中心"),),
        )
    )


async def test_signals_and_incidents_are_listed_newest_first_and_filtered() -> None:
    async with running(district(3)) as service:
        await fill(service)

        events = await service.get("/api/v1/events?limit=1")
        rest = await service.get(events["next"])
        smoke = await service.get("/api/v1/events?kind=smoke")
        still = await service.get("/api/v1/event-incidents?open=true&grid=g1")

    assert [one["id"] for one in events["items"] + rest["items"]] == ["e2", "e1"]
    assert [one["id"] for one in smoke["items"]] == ["e1"]
    assert [one["id"] for one in still["items"]] == ["ev-1"]
    assert still["items"][0]["links"][0]["reason"] == "contains"


async def test_a_sensor_is_told_with_the_name_that_the_registry_has_for_it_now() -> None:
    async with running(district(3)) as service:
        assert service.desk is not None
        known, other = SensorId("sensor-0240"), SensorId("sensor-9")
        nameless = SensorId("sensor-1")
        sensors = [
            Sensor(known, "东门烟感", EventKind.SMOKE, "a"),
            Sensor(nameless, "", EventKind.GAS, "b"),
        ]
        service.desk.atlas.take_sensors(sensors)
        of: dict[str, Any] = {"channel": None}
        events = [event(f"e{n}", n, sensor=one) for n, one in enumerate([known, nameless, other])]
        incidents = (event_incident("ev-1", 0, sensor=known, **of), event_incident("ev-2", 1))
        await service.store.events.commit(EventChanges(events=tuple(events), incidents=incidents))
        listed = await service.get("/api/v1/events")
        open_now = await service.get("/api/v1/event-incidents")
        one = await service.get("/api/v1/event-incidents/ev-1")
        renamed = [replace(sensors[0], name="东门烟感二号")]
        service.desk.atlas.take_sensors(renamed)
        again = await service.get("/api/v1/event-incidents/ev-1")

    names = {row["sensor"]: row["sensor_name"] for row in listed["items"]}
    assert names == {"sensor-0240": "东门烟感", "sensor-1": None, "sensor-9": None}
    assert [row["sensor_name"] for row in open_now["items"]] == [None, "东门烟感"]
    assert (one["sensor_name"], again["sensor_name"]) == ("东门烟感", "东门烟感二号")


async def test_an_incident_comes_with_its_messages_and_what_the_center_did() -> None:
    async with running(district(3)) as service:
        await fill(service)

        found = await service.get("/api/v1/event-incidents/ev-1")
        status, problem, _ = await service.call("GET", "/api/v1/event-incidents/none")

    assert [one["revision"] for one in found["alerts"]] == [1, 2, 3]
    assert "body" not in found["alerts"][0]
    assert found["receipts"][0]["step"] == "received"
    assert (status, problem["title"]) == (404, "There is no such thing")


async def test_the_feed_is_read_on_from_where_it_was_left() -> None:
    async with running(district(3)) as service:
        await fill(service)
        first = await service.get("/api/v1/alerts?limit=2", role=Role.CENTER)
        second = await service.get(f"/api/v1/alerts?after={first['after']}", role=Role.CENTER)
        third = await service.get(f"/api/v1/alerts?after={second['after']}", role=Role.CENTER)
        status, _, _ = await service.call("GET", "/api/v1/alerts", role=Role.VIEWER)

    assert [one["id"] for one in first["items"] + second["items"]] == ["a1", "a2", "a3"]
    assert (first["more"], second["more"]) == (True, False)
    assert (third["items"], third["after"]) == ([], second["after"])
    assert first["items"][0]["body"]["specversion"] == "1.0"
    assert status == 403


async def test_a_posture_is_set_with_who_why_until_and_written_into_the_audit_log() -> None:
    async with running(district(3)) as service:
        until = (service.now() + timedelta(hours=2)).isoformat()
        body = {"level": "heightened", "area": "610802001", "until": until, "reason": "重大活动"}
        status, posture, _ = await service.call(
            "POST", "/api/v1/postures", role=Role.OPERATOR, json=body
        )
        listed = await service.get("/api/v1/postures")
        (line, *_) = await service.store.audit()
        stored = await service.store.events.load(service.now())

    assert status == 201
    assert posture["actor"] == "operator token"
    assert [one["id"] for one in listed["items"]] == [posture["id"]]
    assert (line.action, line.target) == ("posture.set", "610802001")
    assert stored.postures[0].reason == "重大活动"


async def test_a_posture_is_ended_by_its_id_and_one_to_come_is_taken_back() -> None:
    async with running(district(3)) as service:
        hours = [(service.now() + timedelta(hours=n)).isoformat() for n in range(4)]
        body = {"level": "heightened", "area": "all", "until": hours[2], "reason": "重大活动"}
        ids = []
        for more in ({}, {"from": hours[1]}):
            _, posture, _ = await service.call("POST", "/api/v1/postures", json=body | more)
            ids.append(posture["id"])
        ended = [
            await service.call("DELETE", f"/api/v1/postures/{one}", role=Role.OPERATOR)
            for one in ids
        ]
        again, _, _ = await service.call("DELETE", f"/api/v1/postures/{ids[0]}")
        left = await service.get("/api/v1/postures")
        lines = await service.store.audit()

    assert [status for status, _, _ in ended] == [200, 200]
    assert all(row["until_at"] is not None for _, row, _ in ended)
    assert again == 404
    assert left["items"] == []
    assert [line.action for line in lines] == ["posture.end"] * 2 + ["posture.set"] * 2


async def test_a_window_that_ends_before_it_begins_and_an_unknown_cell_are_refused() -> None:
    async with running(district(3)) as service:
        assert service.desk is not None
        service.desk.atlas.take_inventory(district(3))
        hours = [(service.now() + timedelta(hours=n)).isoformat() for n in range(4)]
        body = {"level": "heightened", "until": hours[1], "reason": "r"}
        answers = [
            await service.call("POST", "/api/v1/postures", json=body | more)
            for more in (
                {"area": "all", "from": hours[2]},
                {"area": "all", "from": "soon"},
                {"area": "g-none"},
                {"area": "610802100g0"},
            )
        ]

    assert [status for status, _, _ in answers] == [400, 400, 400, 201]
    names = [problem["errors"][0]["name"] for _, problem, _ in answers[:3]]
    assert names == ["until", "from", "area"]


async def test_a_mute_of_everything_names_nothing() -> None:
    async with running(district(3)) as service:
        until = (service.now() + timedelta(hours=2)).isoformat()
        body = {"kind": "all", "area": "all", "key": "all", "until": until, "reason": "联调"}
        status, mute, _ = await service.call("POST", "/api/v1/mutes", role=Role.ADMIN, json=body)
        listed = await service.get("/api/v1/mutes")

    assert status == 201
    assert (mute["kind"], mute["area"], mute["key"]) == ("", "", "")
    assert len(listed["items"]) == 1


async def test_a_mute_is_ended_before_its_time_and_what_it_silenced_is_told() -> None:
    async with running(district(3)) as service:
        assert service.desk is not None
        until = (service.now() + timedelta(hours=2)).isoformat()
        body = {"kind": "smoke", "area": "all", "key": "all", "until": until, "reason": "联调"}
        _, mute, _ = await service.call("POST", "/api/v1/mutes", role=Role.OPERATOR, json=body)
        now = service.now()
        smoke = Event(
            "s1", EventSource.HTTP, EventKind.SMOKE, now, sensor=SensorId("x"), active=True
        )
        work = asyncio.create_task(service.desk.deliver([smoke]))
        while not work.done():
            await asyncio.sleep(0)
            await service.desk.flush()
        await work
        silent = await service.get("/api/v1/alerts", role=Role.CENTER)

        path = f"/api/v1/mutes/{mute['id']}"
        refused, _, _ = await service.call("DELETE", path, role=Role.VIEWER)
        status, ended, _ = await service.call("DELETE", f"{path}?reason=over", role=Role.OPERATOR)
        await service.desk.flush(last=True)
        told = await service.get("/api/v1/alerts", role=Role.CENTER)
        again, _, _ = await service.call("DELETE", path, role=Role.OPERATOR)
        strange, _, _ = await service.call("DELETE", "/api/v1/mutes/%20", role=Role.OPERATOR)
        left = await service.get("/api/v1/mutes")
        lines = await service.store.audit()

    assert (silent["items"], refused, status, again, strange) == ([], 403, 200, 404, 404)
    assert ended["until_at"] < mute["until_at"]
    assert [one["phase"] for one in told["items"]] == ["open"]
    assert left["items"] == []
    assert [line.action for line in lines][:2] == ["mute.end", "mute.set"]
    assert lines[0].detail.startswith("over (smoke all all until ")
    assert lines[0].detail.endswith("by operator token: 联调)")


async def test_everything_that_is_wrong_with_a_body_is_said_at_once() -> None:
    async with running(district(3)) as service:
        past = {"level": "war", "area": "x", "until": "2020-01-01T00:00:00Z", "reason": "r"}
        status, problem, _ = await service.call(
            "POST", "/api/v1/postures", role=Role.ADMIN, json=past
        )
        never = {"kind": "ghost", "area": "all", "key": "all", "until": "soon", "reason": "r"}
        _, other, _ = await service.call("POST", "/api/v1/mutes", role=Role.ADMIN, json=never)

    assert status == 400
    assert {one["name"] for one in problem["errors"]} == {"level", "area", "until"}
    assert {one["name"] for one in other["errors"]} == {"kind", "until"}


async def test_the_rules_are_shown_in_order() -> None:
    async with running(district(3)) as service:
        found = await service.get("/api/v1/alert-rules")

    assert found["items"][0]["name"] == "life"
    assert found["items"][0]["recipients"] == ["center"]
