"""What every store promises about events and alerts. Runs on each adapter, on each server."""

import dataclasses
import json
from datetime import timedelta
from typing import Any

import pytest
from fakes import event_rows as rows
from fakes import ledger_rows
from fakes.event_rows import alert, event, event_incident, work_order
from fakes.ledger_rows import at, channel, outage

from gateway.domain.alerting.marks import marks_in
from gateway.domain.alerting.rows import (
    Alert,
    AlertPhase,
    AlertState,
    EventIncident,
    GridLink,
    LinkReason,
    WorkOrderState,
)
from gateway.domain.camera import DeviceId, GridId
from gateway.domain.coverage.rows import CoverageChanges
from gateway.domain.event import EventKind, SensorId
from gateway.domain.ledger import Changes
from gateway.errors import Conflict, StoreUnavailable
from gateway.ports import LedgerKind, LedgerQuery, Store
from gateway.ports.events import EventChanges, EventLive, EventQuery

EVERYTHING = EventChanges(
    events=(rows.FULL_EVENT, rows.BARE_EVENT),
    incidents=(rows.FULL_INCIDENT, rows.BARE_INCIDENT),
    alerts=(rows.FULL_ALERT, alert("a1", "x-bare")),
    receipts=(rows.RECEIPT,),
    work_orders=(rows.FULL_ORDER,),
)


async def add(store: Store, *alerts: Alert) -> None:
    await store.events.commit(EventChanges(alerts=alerts))


async def stored(store: Store, row_id: str) -> Alert:
    (found,) = [a for a in await store.events.alerts(limit=1000) if a.id == row_id]
    return found


async def due(store: Store, now: float, limit: int = 100) -> list[str]:
    return [a.id for a in await store.events.due_alerts("center", at(now), limit)]


async def alert_ids(store: Store, **query: Any) -> list[str]:
    return [a.id for a in await store.events.alerts(**query)]


async def event_ids(store: Store, **query: Any) -> list[str]:
    return [row.id for row in (await store.events.events(EventQuery(limit=1000, **query)))[0]]


async def incident_ids(store: Store, **query: Any) -> list[str]:
    return [row.id for row in (await store.events.incidents(EventQuery(limit=1000, **query)))[0]]


def settled(row: Alert, state: AlertState = AlertState.DELIVERED, **more: Any) -> Alert:
    return dataclasses.replace(row, state=state, attempts=row.attempts + 1, **more)


# ---------------------------------------------------------------- the registry


async def test_the_sensor_registry_becomes_what_was_saved_last(store: Store) -> None:
    await store.events.save_sensors(rows.SENSORS)
    assert list(await store.events.load_sensors()) == list(rows.SENSORS[::-1])
    moved = dataclasses.replace(rows.SENSORS[1], longitude=109.9, latitude=38.4)
    await store.events.save_sensors([moved])
    assert list(await store.events.load_sensors()) == [moved]
    await store.events.save_sensors([])
    assert list(await store.events.load_sensors()) == []


# ---------------------------------------------------------------- one batch


async def test_every_row_comes_back_with_every_field(store: Store) -> None:
    await store.events.commit(EVERYTHING)
    events, _ = await store.events.events(EventQuery())
    assert list(events) == [rows.BARE_EVENT, rows.FULL_EVENT]
    incidents, _ = await store.events.incidents(EventQuery())
    assert list(incidents) == [rows.BARE_INCIDENT, rows.FULL_INCIDENT]
    assert await store.events.incident("x-full") == rows.FULL_INCIDENT
    assert await store.events.incident("none") is None
    assert list(await store.events.receipts("x-full")) == [rows.RECEIPT]
    assert list(await store.events.work_orders()) == [rows.FULL_ORDER]
    first, second = await store.events.alerts()
    assert dataclasses.replace(first, cursor=0) == rows.FULL_ALERT
    assert (second.id, second.cursor > first.cursor > 0) == ("a1", True)


async def test_the_body_of_an_alert_comes_back_in_its_own_words(store: Store) -> None:
    await add(store, rows.FULL_ALERT)
    found = await stored(store, "a-full")
    assert json.dumps(found.body) == json.dumps(rows.FULL_ALERT.body)


async def test_a_batch_written_twice_changes_nothing(store: Store) -> None:
    await store.events.commit(EVERYTHING)
    before = await store.events.load(at(6)), await store.events.alerts()
    pages = [await store.events.events(EventQuery()), await store.events.incidents(EventQuery())]
    await store.events.commit(EVERYTHING)
    assert (await store.events.load(at(6)), await store.events.alerts()) == before
    again = [await store.events.events(EventQuery()), await store.events.incidents(EventQuery())]
    assert again == pages


async def test_later_snapshots_replace_rows(store: Store) -> None:
    await store.events.commit(EVERYTHING)
    grown = dataclasses.replace(rows.BARE_EVENT, count=2, last_at=at(9), value=1.5)
    closed = dataclasses.replace(
        rows.BARE_INCIDENT, ended_at=at(9), signals=9, links=rows.FULL_INCIDENT.links
    )
    await store.events.commit(EventChanges(events=(grown,), incidents=(closed,)))
    assert (await store.events.events(EventQuery()))[0][0] == grown
    assert await store.events.incident("x-bare") == closed
    assert (await store.events.load(at(9))).incidents == ()


async def test_a_message_that_comes_again_takes_back_no_count(store: Store) -> None:
    counted = event("e", 1, count=57, last_at=at(9))
    await store.events.commit(EventChanges(events=(counted,)))
    await store.events.commit(EventChanges(events=(event("e", 20),)))
    assert list((await store.events.events(EventQuery()))[0]) == [counted]


async def test_a_reading_that_is_no_number_does_not_stop_a_batch(store: Store) -> None:
    for number, value in enumerate((float("nan"), float("inf"), float("-inf"))):
        broken = event(f"e{number}", number, value=value, topic="a\x00b\udcff", token="\x00")
        await store.events.commit(EventChanges(events=(broken,)))
    found, _ = await store.events.events(EventQuery())
    assert [row.value for row in found] == [None, None, None]


async def test_a_refused_batch_leaves_nothing_behind(store: Store) -> None:
    await add(store, alert("a1", "k"))
    with pytest.raises(Conflict):
        await store.events.commit(
            EventChanges((rows.BARE_EVENT,), (rows.BARE_INCIDENT,), (alert("a2", "k"),))
        )
    with pytest.raises(ValueError):
        await store.events.commit(EventChanges(events=(event("e", 0), event("f", 0, count=0))))
    assert await event_ids(store) == []
    assert await incident_ids(store) == []
    assert await alert_ids(store) == ["a1"]


async def test_alerts_and_event_incidents_of_a_judged_batch_stand_or_fall_with_it(
    store: Store,
) -> None:
    batch = Changes(
        1,
        outages=(outage("o", 1, 0),),
        alerts=(alert("a1", "i"),),
        event_incidents=(rows.FULL_INCIDENT,),
    )
    await store.commit(batch)
    await store.commit(batch)
    assert await alert_ids(store) == ["a1"]
    assert await store.events.incident("x-full") == rows.FULL_INCIDENT
    with pytest.raises(Conflict):
        await store.commit(
            Changes(
                2,
                outages=(outage("p", 1, 1),),
                alerts=(alert("a2", "j"),),
                event_incidents=(rows.BARE_INCIDENT,),
            )
        )
    with pytest.raises(Conflict):
        await store.commit(Changes(3, outages=(outage("q", 2, 1),), alerts=(alert("a3", "i"),)))
    assert await alert_ids(store) == ["a1"]
    assert await incident_ids(store) == ["x-full"]
    page = await store.ledger(LedgerKind.OUTAGES, LedgerQuery())
    assert [row.id for row in page.rows] == ["o"]


# ---------------------------------------------------------------- a restart


async def test_a_restart_finds_what_it_needs(store: Store) -> None:
    await store.events.commit(
        EventChanges(
            events=(event("old", -60.001), event("e2", -1), event("e1", -59)),
            incidents=(rows.FULL_INCIDENT, rows.BARE_INCIDENT),
            work_orders=(rows.FULL_ORDER, work_order("w", 0)),
        )
    )
    ended = dataclasses.replace(rows.POSTURE, id="t0", until_at=at(0))
    endless = dataclasses.replace(rows.POSTURE, id="t2", until_at=None, from_at=at(-5))
    for posture in (ended, rows.POSTURE, endless):
        await store.events.save_posture(posture)
    for mute in (rows.MUTE, dataclasses.replace(rows.MUTE, id="m0", until_at=at(0))):
        await store.events.save_mute(mute)
    await store.events.save_subscription(DeviceId("10.1.0.2:80"), '{"a": 1}')
    await store.events.save_subscription(DeviceId("10.1.0.1:80"), "x")
    await store.events.save_subscription(DeviceId("10.1.0.1:80"), "")
    await store.events.save_subscription(DeviceId("10.1.0.3:80"), "")
    assert list(await store.events.postures(at(0))) == [endless, rows.POSTURE]
    assert list(await store.events.mutes(at(0))) == [rows.MUTE]
    live = await store.events.load(at(0))
    assert live == EventLive(
        incidents=(rows.BARE_INCIDENT,),
        recent=("e1", "e2"),
        revisions={},
        postures=(endless, rows.POSTURE),
        mutes=(rows.MUTE,),
        work_orders=(work_order("w", 0),),
        subscriptions=((DeviceId("10.1.0.2:80"), '{"a": 1}'),),
    )


async def test_a_restart_finds_what_may_stand_of_open_incidents(store: Store) -> None:
    door = {"kind": EventKind.DOOR, "device": DeviceId("10.1.0.2:80")}
    await store.events.commit(
        EventChanges(
            events=(
                event("before", -9, token="0"),
                event("first", -8, active=True, token="1"),
                event("grown", -2.5, active=True, last_at=at(-1.9), token="1"),
                event("over", -2, active=False, token="1"),
                event("other", -6, active=True, token="2"),
                event("d1", -5, active=True, **door),
                event("d2", -4, active=False, **door),
            ),
            incidents=(
                event_incident("open", -8, first_event="first"),
                event_incident("closed", -20, -10, first_event="before"),
            ),
        )
    )
    live = await store.events.load(at(0), {EventKind.SMOKE: (EventKind.DOOR,)})
    assert [row.id for row in live.signals] == ["first", "other", "d2", "grown"]
    alone = await store.events.load(at(0), {EventKind.DOOR: (EventKind.TAMPER,)})
    assert [row.id for row in alone.signals] == ["first", "other", "grown"]


async def test_the_loop_back_of_many_incidents_is_one_question(store: Store) -> None:
    first, second = rows.RECEIPT, dataclasses.replace(rows.RECEIPT, id="later", at=at(900))
    other = dataclasses.replace(rows.RECEIPT, id="other", key="x-other")
    none = dataclasses.replace(rows.RECEIPT, id="none", key="x-none")
    await store.events.commit(EventChanges(receipts=(second, first, other, none)))
    found = await store.events.receipts_of([first.key, "x-other", "nobody"])
    assert {key: [row.id for row in of] for key, of in found.items()} == {
        first.key: [first.id, "later"],
        "x-other": ["other"],
    }
    assert not await store.events.receipts_of([])


async def test_without_an_open_incident_nothing_may_stand(store: Store) -> None:
    await store.events.commit(EventChanges(events=(event("e", -1, active=True),)))
    assert (await store.events.load(at(0))).signals == ()


async def test_what_digests_gather_is_found_while_it_waits_and_by_its_incident(
    store: Store,
) -> None:
    to: dict[str, Any] = {"recipient": "digest:doors", "phase": AlertPhase.CLOSE}
    first, second = alert("g1", "a", **to), alert("g2", "b", **to)
    await add(store, first, second, alert("x", "a"), alert("y", "c", recipient="digestive"))
    assert [row.id for row in await store.events.gathered([])] == ["g1", "g2"]
    done = settled(first, AlertState.SUPERSEDED, superseded_by="z")
    await store.events.settle_alerts([done])
    assert [row.id for row in await store.events.gathered([])] == ["g2"]
    assert [row.id for row in await store.events.gathered(["a"])] == ["g1", "g2"]
    assert (await store.events.load(at(0))).revisions == {
        ("center", "a"): 1,
        ("digestive", "c"): 1,
    }


async def test_a_restart_finds_the_newest_revision_of_what_is_not_closed(store: Store) -> None:
    data: dict[str, Any] = {
        "severity": "major",
        "reasons": [],
        "counts": {"signals": 3},
        "escalation": None,
    }
    body = {"type": "cn.sightline.incident.updated.v1", "data": {**data, "title": "烟雾"}}
    await add(
        store,
        alert("a1", "open", 1),
        alert("a2", "open", 2, body=body),
        alert("b1", "closed", 1),
        alert("b2", "closed", 2, phase=AlertPhase.CLOSE),
        alert("c1", "open", 1, recipient="other"),
        alert("d1", "note", 1, phase=AlertPhase.CLOSE),
    )
    live = await store.events.load(at(0))
    assert dict(live.revisions) == {
        ("center", "open"): 2,
        ("other", "open"): 1,
    }
    assert set(live.told) == set(live.said) == set(live.revisions)
    said = live.said["center", "open"]
    assert said["type"] == body["type"]
    assert {name: said["data"][name] for name in data} == data
    assert marks_in(said) == ("major  2", "")
    assert marks_in(live.said["other", "open"]) == (None, None)
    assert all(opened <= newest for opened, newest in live.told.values())


# ---------------------------------------------------------------- the outbox


async def test_of_each_incident_only_the_first_unsettled_revision_is_due(store: Store) -> None:
    await add(
        store,
        alert("a2", "a", 2),
        alert("b1", "b", 1),
        alert("a1", "a", 1),
        alert("c1", "a", 1, recipient="other"),
    )
    assert await due(store, 0) == ["b1", "a1"]
    await store.events.settle_alerts([settled(alert("a1", "a"), AlertState.DEAD)])
    assert await due(store, 0) == ["a2", "b1"]
    assert await due(store, 0, limit=1) == ["a2"]


async def test_an_alert_that_waits_holds_back_the_later_ones_of_its_incident(store: Store) -> None:
    await add(store, alert("a1", "a", 1), alert("a2", "a", 2), alert("b1", "b"))
    waiting = settled(alert("a1", "a"), AlertState.PENDING, next_at=at(5), reason="503")
    await store.events.settle_alerts([waiting])
    assert await due(store, 4.9) == ["b1"]
    assert await due(store, 5) == ["a1", "b1"]
    (found,) = await store.events.due_alerts("center", at(5), 1)
    assert found == dataclasses.replace(waiting, cursor=found.cursor)


async def test_settling_changes_how_it_went_and_nothing_else(store: Store) -> None:
    await add(store, alert("a1", "a"))
    before = await stored(store, "a1")
    other = settled(
        before,
        delivered_at=at(3),
        superseded_by="a9",
        reason="ok",
        body={"forged": True},
        key="z",
        revision=9,
        phase=AlertPhase.CLOSE,
        cursor=99,
    )
    await store.events.settle_alerts([other])
    assert await stored(store, "a1") == dataclasses.replace(
        before,
        state=AlertState.DELIVERED,
        attempts=1,
        delivered_at=at(3),
        superseded_by="a9",
        reason="ok",
    )
    await store.events.settle_alerts([])
    await store.events.settle_alerts([settled(alert("unknown", "a"))])
    assert await alert_ids(store) == ["a1"]


@pytest.mark.parametrize("state", [AlertState.DELIVERED, AlertState.SUPERSEDED])
async def test_a_settled_alert_never_becomes_pending_again(store: Store, state: AlertState) -> None:
    first = alert("a1", "a")
    await add(store, first)
    await store.events.settle_alerts([settled(first, state)])
    before = await stored(store, "a1")
    await add(store, first)
    await store.commit(Changes(1, alerts=(first,)))
    await store.coverage.commit(CoverageChanges(1, at(0), alerts=(first,)))
    await store.events.settle_alerts([settled(first, AlertState.PENDING, next_at=at(1))])
    assert await stored(store, "a1") == before
    assert await due(store, 9) == []


async def test_a_dead_letter_is_not_due_and_can_be_replayed(store: Store) -> None:
    first = alert("a1", "a")
    await add(store, first)
    await store.events.settle_alerts([settled(first, AlertState.DEAD, reason="410")])
    await add(store, first)
    assert await due(store, 9) == []
    assert await alert_ids(store, state="dead") == ["a1"]
    await store.events.settle_alerts([first])
    assert await due(store, 9) == ["a1"]


async def test_one_revision_of_an_incident_is_one_message_to_a_recipient(store: Store) -> None:
    await add(store, alert("a1", "a"), alert("a1-other", "a", recipient="other"))
    with pytest.raises(Conflict):
        await add(store, alert("a1-again", "a"))
    with pytest.raises(Conflict):
        await add(store, alert("b1", "b"), alert("b1-again", "b"))
    assert await alert_ids(store) == ["a1", "a1-other"]


async def test_alerts_are_read_behind_a_cursor_by_key_and_by_state(store: Store) -> None:
    assert await store.events.last_cursor() == 0
    await add(store, *(alert(f"a{n}", f"k{n % 2}", 1 + n // 2) for n in range(6)))
    assert await store.events.last_cursor() == (await store.events.alerts())[-1].cursor
    first = await store.events.alerts(limit=2)
    assert [a.id for a in first] == ["a0", "a1"]
    assert await alert_ids(store, after_cursor=first[-1].cursor) == ["a2", "a3", "a4", "a5"]
    assert await alert_ids(store, key="k1") == ["a1", "a3", "a5"]
    await store.events.settle_alerts([settled(alert("a1", "k1"))])
    assert await alert_ids(store, key="k1", state="pending") == ["a3", "a5"]
    assert await alert_ids(store, state="delivered") == ["a1"]
    assert await alert_ids(store, after_cursor=10**12) == []


# ---------------------------------------------------------------- reading


async def test_one_recipient_does_not_see_what_waits_for_another(store: Store) -> None:
    await add(
        store,
        alert("a1", "k1", created=5),
        alert("a2", "k2", created=3),
        alert("f1", "k1", created=1, recipient="feed"),
        alert("d1", "k3", created=0, state=AlertState.DEAD),
    )

    assert await alert_ids(store, recipient="feed") == ["f1"]
    assert await alert_ids(store, recipient="center", state="pending", key="k1") == ["a1"]
    assert await store.events.pending_alerts("center") == (2, at(3))
    assert await store.events.pending_alerts("feed") == (1, at(1))
    assert await store.events.pending_alerts("nobody") == (0, None)


async def test_the_recipients_that_messages_wait_for_are_told_with_their_number(
    store: Store,
) -> None:
    assert await store.events.pending_recipients() == {}
    await add(
        store,
        alert("a1", "k1", 1),
        alert("a2", "k1", 2),
        alert("b1", "k1", recipient="duty"),
        alert("c1", "k1", recipient="gone", state=AlertState.DEAD),
        alert("d1", "k1", recipient="done", state=AlertState.DELIVERED),
        alert("e1", "k1", recipient="digest:doors"),
        alert("f1", "k1", recipient="digestive"),
    )
    waiting = await store.events.pending_recipients()
    assert dict(waiting) == {"center": 2, "duty": 1, "digestive": 1}


async def test_one_message_is_found_by_its_id(store: Store) -> None:
    await add(store, rows.FULL_ALERT)

    found = await store.events.alert("a-full")

    assert found is not None
    assert dataclasses.replace(found, cursor=0) == rows.FULL_ALERT
    assert await store.events.alert("nobody") is None


async def test_pages_of_events_and_incidents_join_without_gap_or_repeat(store: Store) -> None:
    events = tuple(event(f"e{n:02d}", n // 3) for n in range(20))
    incidents = tuple(event_incident(f"x{n:02d}", n // 3, 50) for n in range(20))
    await store.events.commit(EventChanges(events, incidents))
    for call, prefix in ((store.events.events, "e"), (store.events.incidents, "x")):
        seen: list[str] = []
        query = EventQuery(limit=7)
        while True:
            found, after = await call(query)
            seen += [row.id for row in found]
            if after is None:
                break
            assert len(found) == 7
            query = dataclasses.replace(query, after=after)
        assert seen == [f"{prefix}{n:02d}" for n in reversed(range(20))]


async def test_events_are_filtered_by_what_they_carry(store: Store) -> None:
    await store.save_import(ledger_rows.RECORD, ledger_rows.archive())
    await store.events.save_sensors(rows.SENSORS)
    await store.events.commit(
        EventChanges(
            events=(
                event("camera", 0, channel=channel(1), kind=EventKind.TAMPER, active=True),
                event("smoke", 10, sensor=SensorId("s2"), active=False, last_at=at(30), count=2),
                event("water", 20, sensor=SensorId("s1"), kind=EventKind.WATER_LEVEL),
            )
        )
    )
    assert await event_ids(store, open_only=True) == ["camera"]
    assert await event_ids(store, channel=channel(1)) == ["camera"]
    assert await event_ids(store, sensor="s1") == ["water"]
    assert await event_ids(store, kind=EventKind.SMOKE) == ["smoke"]
    assert await event_ids(store, grid="g1") == ["smoke", "camera"]
    assert await event_ids(store, grid="g9") == []
    assert await event_ids(store, since=at(25)) == ["smoke"]
    assert await event_ids(store, since=at(20)) == ["water", "smoke"]
    assert await event_ids(store, until=at(10)) == ["camera"]


async def test_event_incidents_are_filtered_by_what_they_carry(store: Store) -> None:
    near = (GridLink(GridId("g2"), LinkReason.NEAR, 5.0, 1.0),)
    await store.events.commit(
        EventChanges(
            incidents=(
                rows.FULL_INCIDENT,
                event_incident("open", 10, links=near),
                event_incident("sensor", 20, 30, sensor="s1", kind=EventKind.GAS),
            )
        )
    )
    assert await incident_ids(store, open_only=True) == ["open"]
    assert await incident_ids(store, channel=channel(1)) == ["x-full"]
    assert await incident_ids(store, sensor="s1") == ["sensor"]
    assert await incident_ids(store, kind=EventKind.GAS) == ["sensor"]
    assert await incident_ids(store, grid="g2") == ["open", "x-full"]
    assert await incident_ids(store, grid="g1") == ["x-full"]
    assert await incident_ids(store, since=at(30)) == ["open"]
    assert await incident_ids(store, until=at(10)) == ["x-full"]


# ---------------------------------------------------------------- the loop back


async def test_what_the_center_said_is_kept_as_it_was_said(store: Store) -> None:
    later = dataclasses.replace(rows.RECEIPT, id="r0", at=at(9), grid=None)
    other = dataclasses.replace(rows.RECEIPT, id="r2", key="other")
    changed = dataclasses.replace(rows.RECEIPT, text="没收到")
    for receipt in (later, rows.RECEIPT, other, changed):
        await store.events.commit(EventChanges(receipts=(receipt,)))
    assert list(await store.events.receipts("x-full")) == [rows.RECEIPT, later]


async def test_work_orders_are_newest_first_and_a_closed_one_stays_closed(store: Store) -> None:
    order, done = work_order("w1", 0), work_order("w2", 5, WorkOrderState.DONE, done_at=at(6))
    await store.events.commit(EventChanges(work_orders=(order, done, rows.FULL_ORDER)))
    assert [o.id for o in await store.events.work_orders()] == ["w2", "w-full", "w1"]
    assert [o.id for o in await store.events.work_orders(open_only=True)] == ["w2", "w1"]
    assert [o.id for o in await store.events.work_orders(limit=1)] == ["w2"]
    closed = dataclasses.replace(done, state=WorkOrderState.CLOSED, closed_at=at(9))
    await store.events.commit(EventChanges(work_orders=(closed,)))
    await store.events.commit(EventChanges(work_orders=(done,)))
    assert closed in await store.events.work_orders()
    assigned = dataclasses.replace(order, state=WorkOrderState.ASSIGNED, assignee="运维甲")
    await store.events.commit(EventChanges(work_orders=(assigned,)))
    assert list(await store.events.work_orders(open_only=True)) == [assigned]


# ---------------------------------------------------------------- retention


async def test_events_go_first_and_the_rest_with_the_rollups(store: Store) -> None:
    now = at(50) + timedelta(days=31)
    await store.events.commit(
        EventChanges(
            events=(event("old", 0), event("repeated", 0, last_at=now), event("new", 99)),
            incidents=(
                event_incident("old", 0, 1),
                event_incident("open", 0),
                event_incident("new", 0, 99),
            ),
            work_orders=(
                work_order("old", 0, WorkOrderState.CLOSED, closed_at=at(1)),
                work_order("cancelled", 0, WorkOrderState.CANCELLED),
                work_order("open", 0),
                work_order("new", 0, WorkOrderState.CLOSED, closed_at=at(99)),
            ),
        )
    )
    await store.prune(now, audit_days=400, rollup_days=31, event_days=31)
    assert await event_ids(store) == ["new", "repeated"]
    assert sorted(await incident_ids(store)) == ["new", "open"]
    assert sorted(o.id for o in await store.events.work_orders()) == ["new", "open"]
    await store.prune(now + timedelta(days=58), audit_days=400, rollup_days=1000)
    assert await event_ids(store) == ["new", "repeated"]
    await store.prune(now + timedelta(days=60), audit_days=400, rollup_days=1000)
    assert await event_ids(store) == ["repeated"]
    assert sorted(await incident_ids(store)) == ["new", "open"]


async def test_the_signals_that_an_open_incident_goes_on_with_stay_as_long_as_it_is_open(
    store: Store,
) -> None:
    def lost(ended: float | None) -> EventIncident:
        row = event_incident("lost", 0, ended)
        return dataclasses.replace(row, first_event="first", last_event="last")

    events = (event("first", 0), event("between", 1), event("last", 2))
    await store.events.commit(EventChanges(events=events, incidents=(lost(None),)))
    years = at(2) + timedelta(days=800)
    await store.prune(years, audit_days=400, rollup_days=31, event_days=31)
    assert await event_ids(store) == ["last", "first"]

    await store.events.commit(EventChanges(incidents=(lost(3),)))
    await store.prune(years, audit_days=400, rollup_days=31, event_days=31)
    assert await event_ids(store) == []


async def test_alerts_go_only_as_whole_conversations_that_ended(store: Store) -> None:
    done = AlertState.DELIVERED
    close: dict[str, Any] = {"phase": AlertPhase.CLOSE, "state": done}
    await add(
        store,
        alert("gone1", "gone", 1, state=done),
        alert("gone2", "gone", 2, state=AlertState.DEAD),
        alert("gone3", "gone", 3, **close),
        alert("open1", "open", 1, state=done),
        alert("open2", "open", 2, state=done),
        alert("late1", "late", 1, state=done),
        alert("late2", "late", 2, created=99, **close),
        alert("waits1", "waits", 1),
        alert("waits2", "waits", 2, **close),
        alert("again1", "again", 1, **close),
        alert("again2", "again", 2, state=done),
        alert("other1", "gone", 1, recipient="other", state=done),
    )
    receipts = [dataclasses.replace(rows.RECEIPT, id=k, key=k) for k in ("gone", "open", "none")]
    await store.events.commit(EventChanges(receipts=tuple(receipts)))
    await store.prune(at(50) + timedelta(days=31), audit_days=400, rollup_days=31)
    kept = ["open1", "open2", "late1", "late2", "waits1", "waits2", "again1", "again2", "other1"]
    assert await alert_ids(store) == kept
    left = [r.id for key in ("gone", "open", "none") for r in await store.events.receipts(key)]
    assert left == ["gone", "open"]
    await add(store, alert("gone-again", "gone", 1))
    assert (await alert_ids(store))[-1] == "gone-again"


async def test_a_closed_store_says_so(store: Store) -> None:
    await store.close()
    with pytest.raises(StoreUnavailable):
        await store.events.load(at(0))
    with pytest.raises(StoreUnavailable):
        await store.events.commit(EVERYTHING)
    with pytest.raises(StoreUnavailable):
        await store.events.due_alerts("center", at(0), 1)
