"""The start of the event desk on a store with months behind it: it reads what is open, no more."""

import json
from collections.abc import Sequence
from typing import Any

from fakes.event_rows import alert, event, event_incident
from fakes.ledger_rows import at

from adapters.postgres.queries import SQL
from adapters.postgres.store import PostgresStore
from gateway.domain.alerting.marks import SAID
from gateway.domain.event import EventKind
from gateway.ports.events import EventChanges

EVENTS = """
    INSERT INTO sightline.events (id, source, kind, received_at, channel, token, unit, topic, count,
        extra)
    SELECT 'e' || n, 'onvif_pull', CASE n % 5 WHEN 0 THEN 'line_crossing' ELSE 'motion' END,
           $1::timestamptz + n * interval '1 second', 'c' || n % 50, '', '', '', 1, '{}'
    FROM generate_series(1, 100000) AS n"""
ALERTS = """
    INSERT INTO sightline.alerts (id, key, revision, phase, recipient, created_at, body, state,
        attempts, reason)
    SELECT 'a' || n, 'k' || n / 5, 1 + n % 5,
           CASE n % 5 WHEN 0 THEN 'open' WHEN 4 THEN 'close' ELSE 'update' END,
           CASE n % 10 / 5 WHEN 0 THEN 'center' ELSE 'digest:doors' END,
           $1, '{}', 'delivered', 1, ''
    FROM generate_series(0, 99999) AS n"""
MOST_EVENTS = 1_000
"""Rows of 10 sources, 2 steps each, and a minute of each: far below the 20,000 of their kind."""


def scans(plan: dict[str, Any]) -> Sequence[tuple[str, str, float]]:
    """Table, kind of scan and rows read, the filtered ones too, of each scan of a table in a plan."""
    found = [row for part in plan.get("Plans", ()) for row in scans(part)]
    if "Relation Name" in plan:
        thrown = plan.get("Rows Removed by Filter", 0)
        rows = (plan["Actual Rows"] + thrown) * plan["Actual Loops"]
        found.append((plan["Relation Name"], plan["Node Type"], rows))
    return found


async def read(store: PostgresStore, name: str, *args: object) -> Sequence[tuple[str, str, float]]:
    text = await store._database.value(
        f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {SQL[name]}", *args
    )
    return scans(json.loads(text)[0]["Plan"])


async def test_a_start_steps_from_source_to_source_among_a_hundred_thousand_signals(
    postgres: PostgresStore,
) -> None:
    await postgres._database.execute(EVENTS, at(0))
    crossing = event_incident("x", 0, kind=EventKind.LINE_CROSSING, first_event="e5")
    await postgres.events.commit(EventChanges(incidents=(crossing,)))
    live = await postgres.events.load(at(9_999))
    assert [row.id for row in live.signals] == ["e5", *(f"e{n}" for n in range(99_955, 100_001, 5))]
    found = await read(postgres, "signals_of_open", ["line_crossing"], [at(0)], ["e5"])
    assert {kind for _, kind, _ in found} <= {"Index Scan", "Index Only Scan"}
    assert 0 < sum(rows for *_, rows in found) < MOST_EVENTS


async def test_a_start_reads_no_message_of_what_is_closed_among_a_hundred_thousand(
    postgres: PostgresStore,
) -> None:
    await postgres._database.execute(ALERTS, at(0))
    await postgres._database.execute("VACUUM ANALYZE sightline.alerts")
    await postgres.events.commit(
        EventChanges(
            events=(event("e", 0),),
            alerts=(alert("o1", "still", created=1), alert("o2", "still", 2, created=2)),
        )
    )
    live = await postgres.events.load(at(3))
    assert dict(live.revisions) == {("center", "still"): 2}
    assert dict(live.told) == {("center", "still"): (at(1), at(2))}
    found = await read(postgres, "revisions", [*SAID])
    assert sum(rows for _, kind, rows in found if kind != "Index Only Scan") < 10
    assert sum(rows for *_, rows in found) < 40_100  # first and last words: 20,000 threads
    found = await read(postgres, "gathered", ["k1", "still"])
    assert {kind for _, kind, _ in found} <= {"Index Scan", "Bitmap Heap Scan"}
    assert 0 < sum(rows for *_, rows in found) < 20
    assert [row.id for row in await postgres.events.gathered(["k1"])] == [
        f"a{n}" for n in range(5, 10)
    ]
