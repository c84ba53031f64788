"""Rows of the ledger in two time bases."""

from dataclasses import fields
from datetime import UTC, datetime, timedelta

import pytest

from gateway.domain.camera import ChannelId, DeviceId, NodeId
from gateway.domain.ledger import (
    Changes,
    ChannelRecord,
    ClockStep,
    Ending,
    Fault,
    GapReason,
    GatewayGap,
    Incident,
    Outage,
    State,
    stamp,
)
from gateway.domain.observation import DeviceMemory, FaultCause, Instant, OutageCause

IN_UTC = {"alerts", "event_incidents"}
"""Added after stamping."""
ZERO = datetime(2026, 11, 23, tzinfo=UTC)


def utc(at: Instant) -> datetime:
    return ZERO + timedelta(seconds=at)


def outage(ended: float | None = None) -> Outage[Instant]:
    return Outage(
        id="o",
        channel=ChannelId("c"),
        cause=OutageCause.REFUSED,
        last_seen_at=None,
        failed_at=Instant(10.0),
        confirmed_at=Instant(20.0),
        last_failed_at=Instant(18.0),
        ended_at=None if ended is None else Instant(ended),
        bad_s=7.5,
        reason=("tcp: failed", "x"),
        ending=None if ended is None else Ending.RECOVERED,
    )


def test_stamping_turns_times_and_nothing_else() -> None:
    row = stamp(outage(30.0), utc)
    assert row.failed_at == utc(Instant(10.0))
    assert row.confirmed_at == utc(Instant(20.0))
    assert row.ended_at == utc(Instant(30.0))
    assert row.last_seen_at is None
    assert (row.bad_s, row.reason, row.ending) == (7.5, ("tcp: failed", "x"), Ending.RECOVERED)


def test_an_open_row_stays_open() -> None:
    assert stamp(outage(), utc).ended_at is None


def test_changes_are_stamped_with_all_their_rows() -> None:
    at = Instant(1.0)
    memory = (DeviceId("d"), DeviceMemory(refused_at=(1.0,)))
    changes: Changes[Instant] = Changes(
        sequence=3,
        outages=(outage(),),
        faults=(Fault("f", ChannelId("c"), FaultCause.CLOCK, at, at, at, at),),
        incidents=(Incident("i", NodeId("n"), OutageCause.UPLINK, at, at, at),),
        gaps=(GatewayGap("g", GapReason.BLIND, at),),
        channels=(ChannelRecord(ChannelId("c"), State.ONLINE, at, at, at),),
        clock_steps=(ClockStep("s", at, 3600.0),),
        memories=(memory,),
        watched_until_at=at,
    )
    written = stamp(changes, utc)
    for f in fields(written):
        if f.name in {"sequence", "rollups", "memories", "watched_until_at", *IN_UTC}:
            continue
        (row,) = getattr(written, f.name)
        for part in fields(row):
            if part.name.endswith("_at"):
                value = getattr(row, part.name)
                assert value is None or value.tzinfo is UTC, part.name
    assert written.memories == (memory,)
    assert written.watched_until_at == utc(at)
    assert written.sequence == 3


@pytest.mark.parametrize(
    ("changes", "anything"),
    [
        (Changes(5), False),
        (Changes(5, outages=(outage(),)), True),
        (Changes(5, watched_until_at=Instant(1.0)), True),
    ],
)
def test_changes_are_true_when_there_is_something_to_write(
    changes: Changes[Instant], anything: bool
) -> None:
    assert bool(changes) == anything
