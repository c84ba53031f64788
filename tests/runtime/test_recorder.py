"""The recorder before a store that goes away (reliability §3.3)."""

import asyncio
from collections.abc import Callable
from datetime import datetime

import pytest
from fakes.clock import FakeClock, turns

from adapters.memory import MemoryStore
from gateway.domain.camera import ChannelId
from gateway.domain.ledger import Changes, ChannelRecord, Outage, RollUp, State, stamp
from gateway.domain.observation import Instant, OutageCause
from gateway.errors import StoreUnavailable
from gateway.runtime.recorder import Recorder

ZERO = (0.0,) * 24


class Away(MemoryStore):
    """A memory store that can be away, and remembers every commit."""

    def __init__(self) -> None:
        super().__init__("memory:")
        self.away = False
        self.commits: list[Changes[datetime]] = []
        self.during: Callable[[], None] = lambda: None
        self.written = asyncio.Event()

    async def commit(self, changes: Changes[datetime]) -> None:
        self.during()
        await asyncio.sleep(0)
        if self.away:
            raise StoreUnavailable("the store is away")
        await super().commit(changes)
        self.commits.append(changes)
        self.written.set()


class Desk:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = Away()
        self.recorder = Recorder(self.store, self.clock)

    def outage(self, channel: str, sequence: int, ended: float | None = None) -> None:
        at = Instant(1000.0)
        row = Outage(
            id=f"o-{channel}",
            channel=ChannelId(channel),
            cause=OutageCause.REFUSED,
            last_seen_at=at,
            failed_at=at,
            confirmed_at=at,
            last_failed_at=at,
            ended_at=None if ended is None else Instant(ended),
        )
        self.submit(Changes(sequence, outages=(row,)))

    def submit(self, changes: Changes[Instant]) -> None:
        self.recorder.submit(stamp(changes, self.clock.utc))


@pytest.fixture
async def desk() -> Desk:
    desk = Desk()
    await desk.store.open()
    return desk


async def test_what_was_submitted_is_written_in_one_transaction(desk: Desk) -> None:
    desk.outage("a", 1)
    desk.outage("b", 2)
    assert desk.recorder.pending == 2
    assert await desk.recorder.flush()
    (commit,) = desk.store.commits
    assert commit.sequence == 2
    assert {row.channel for row in commit.outages} == {"a", "b"}
    assert desk.recorder.pending == 0


async def test_a_row_that_changes_while_the_store_is_away_is_kept_once_newest_wins(
    desk: Desk,
) -> None:
    desk.store.away = True
    for turn in range(50):
        desk.outage("a", turn + 1, None if turn < 49 else 1300.0)
        assert not await desk.recorder.flush()
    assert desk.recorder.pending == 1
    assert (desk.recorder.available, desk.recorder.reason) == (False, "the store is away")
    desk.store.away = False
    assert await desk.recorder.flush()
    assert desk.recorder.available
    (row,) = desk.store.commits[0].outages
    assert row.ended_at == desk.clock.utc(Instant(1300.0))


async def test_a_row_that_changes_during_a_failing_commit_stays_the_newer_one(desk: Desk) -> None:
    desk.outage("a", 1)
    desk.store.away = True
    desk.store.during = lambda: desk.outage("a", 2, 1300.0)
    assert not await desk.recorder.flush()
    desk.store.during = lambda: None
    desk.store.away = False
    assert await desk.recorder.flush()
    (row,) = desk.store.commits[0].outages
    assert row.ended_at is not None
    assert desk.store.commits[0].sequence == 2


async def test_nothing_is_lost_when_writing_is_cancelled(desk: Desk) -> None:
    desk.outage("a", 1)
    task = asyncio.create_task(desk.recorder.flush())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await desk.recorder.flush()
    assert [row.channel for row in desk.store.commits[-1].outages] == ["a"]


async def test_every_kind_of_row_has_a_key_of_its_own(desk: Desk) -> None:
    channel = ChannelId("a")
    rollups = tuple(
        RollUp(channel, day, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO, (0,) * 24, ZERO, ZERO)
        for day in ("2026-11-22", "2026-11-23")
    )
    record = ChannelRecord(channel, State.ONLINE, Instant(1.0))
    desk.submit(Changes(1, channels=(record,), rollups=rollups))
    desk.submit(Changes(2, channels=(record,), rollups=rollups[1:]))
    assert desk.recorder.pending == 3


async def test_watched_until_is_written_every_ten_seconds_and_only_then(desk: Desk) -> None:
    assert await desk.recorder.flush()
    first = desk.clock.utc(desk.clock.now())
    desk.clock.move(5.0)
    assert await desk.recorder.flush()
    desk.clock.move(5.0)
    assert await desk.recorder.flush()
    assert [c.watched_until_at for c in desk.store.commits] == [
        first,
        desk.clock.utc(desk.clock.now()),
    ]


async def test_watched_until_is_what_is_known_not_the_present_and_no_less_often(
    desk: Desk,
) -> None:
    back_s = 40.0
    desk.recorder.known_until = lambda now: Instant(now - back_s)
    assert await desk.recorder.flush()
    desk.clock.move(9.0)
    assert await desk.recorder.flush()
    back_s = 12.0
    desk.clock.move(1.0)
    assert await desk.recorder.flush()
    start = desk.clock.now() - 10.0
    told = [
        desk.clock.instant(c.watched_until_at) for c in desk.store.commits if c.watched_until_at
    ]
    assert told == pytest.approx([start - 40.0, start + 10.0 - 12.0])


async def test_watched_until_does_not_run_ahead_of_rows_that_were_not_written(desk: Desk) -> None:
    await desk.recorder.flush()
    desk.store.away = True
    desk.outage("a", 1)
    desk.clock.move(11.0)
    assert not await desk.recorder.flush()
    desk.store.away = False
    assert await desk.recorder.flush()
    last = desk.store.commits[-1]
    assert last.watched_until_at is not None
    assert [row.channel for row in last.outages] == ["a"], "in one transaction with the rows"


async def test_watched_until_is_not_claimed_by_a_commit_that_failed(desk: Desk) -> None:
    desk.store.away = True
    assert not await desk.recorder.flush()
    desk.store.away = False
    assert await desk.recorder.flush()
    assert desk.store.commits[-1].watched_until_at is not None


async def test_the_last_flush_says_until_when_it_was_watched(desk: Desk) -> None:
    await desk.recorder.flush()
    desk.clock.move(3.0)
    assert await desk.recorder.flush(last=True)
    assert desk.store.commits[-1].watched_until_at == desk.clock.utc(desk.clock.now())


async def test_the_loop_writes_and_tries_again_until_the_store_is_back(desk: Desk) -> None:
    desk.store.away = True
    running = asyncio.create_task(desk.recorder.run())
    desk.outage("a", 1)
    await asyncio.sleep(0.25)
    assert desk.store.commits == []
    assert desk.recorder.pending == 1
    desk.store.away = False
    await asyncio.wait_for(desk.store.written.wait(), 5.0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert [row.channel for row in desk.store.commits[0].outages] == ["a"]


async def test_the_loop_survives_being_stopped_at_any_moment(desk: Desk) -> None:
    for wait in (0.0, 0.05, 0.11):
        running = asyncio.create_task(desk.recorder.run())
        desk.outage(f"c{wait}", 1)
        await asyncio.sleep(wait)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await turns()
    assert await desk.recorder.flush()
    written = {row.channel for c in desk.store.commits for row in c.outages}
    assert written == {"c0.0", "c0.05", "c0.11"}
