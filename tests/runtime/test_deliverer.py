"""Delivery in scripted time: order, retries, compaction, rate, a center and a store that go away."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from fakes.clock import NOON, FakeClock, turns
from fakes.outbox import SOURCE, message, put, states

from adapters.memory import MemoryStore
from gateway.domain.alerting.heartbeat import TYPE
from gateway.domain.alerting.retry import Delivery, replayed
from gateway.domain.alerting.rows import Alert, AlertPhase, AlertState
from gateway.domain.observation import Instant
from gateway.errors import StoreUnavailable
from gateway.runtime.deliverer import Deliverer, DeliveryLimits

GOOD = Delivery(delivered=True, reason="200")
DOWN = Delivery(delivered=False, reason="cannot be connected to")


@dataclass
class Center:
    """A sink whose answers a test decides, and what reached it.

    `takes` says which attempts reach the center although it does not say so.
    """

    clock: FakeClock
    answer: Callable[[Alert], Delivery] = lambda _: GOOD
    takes_s: float = 0.0
    got: list[tuple[float, Alert]] = field(default_factory=list)
    beats: list[tuple[float, Alert]] = field(default_factory=list)
    attempts: list[float] = field(default_factory=list)
    at_once: int = 0
    at_once_most: int = 0

    async def send(self, alert: Alert) -> Delivery:
        """One attempt."""
        if alert.body["type"] == TYPE:
            delivery = self.answer(alert)
            if delivery.delivered:
                self.beats.append((self.clock.now(), alert))
            return delivery
        self.at_once += 1
        self.at_once_most = max(self.at_once, self.at_once_most)
        try:
            self.attempts.append(self.clock.now())
            if self.takes_s:
                await self.clock.sleep_until(Instant(self.clock.now() + self.takes_s))
            delivery = self.answer(alert)
            if delivery.delivered:
                self.got.append((self.clock.now(), alert))
            return delivery
        finally:
            self.at_once -= 1

    async def close(self) -> None:
        """Nothing is held."""

    @property
    def names(self) -> list[str]:
        """`key/revision` of what arrived, in order."""
        return [f"{alert.key}/{alert.revision}" for _, alert in self.got]

    def duplicated(self) -> int:
        """Further ids for one revision."""
        ids: dict[tuple[str, int], set[str]] = {}
        for _, alert in self.got:
            ids.setdefault((alert.key, alert.revision), set()).add(alert.id)
        return sum(len(found) - 1 for found in ids.values())


class Store(MemoryStore):
    """The memory store with switches: away altogether, or only for settling."""

    is_away = False
    settles = True

    def check_open(self) -> None:
        """Every call asks this."""
        if self.is_away:
            raise StoreUnavailable("switched off by the test")
        super().check_open()


@dataclass
class Scene:
    """A deliverer at work in scripted time."""

    clock: FakeClock
    store: Store
    center: Center
    deliverer: Deliverer

    @property
    def now(self) -> datetime:
        """The scripted UTC time."""
        return self.clock.utc(self.clock.now())

    async def tell(self, *alerts: Alert) -> None:
        """Commit alerts and wake the deliverer, as the desk does."""
        await put(self.store, *alerts)
        self.deliverer.wake()
        await turns(30)

    async def pass_s(self, seconds: float, tick_s: float = 0.1) -> None:
        """Let time pass."""
        for _ in range(round(seconds / tick_s)):
            self.clock.move(tick_s)
            await turns(12)


@asynccontextmanager
async def scene(**limits: Any) -> AsyncIterator[Scene]:
    """A running deliverer over an empty outbox."""
    clock = FakeClock()
    store = Store()
    await store.open()
    center = Center(clock)
    numbers = replace(DeliveryLimits(), **limits)
    deliverer = Deliverer(store, clock, "center", center, numbers, source=SOURCE, draw=lambda: 0.5)
    work = asyncio.create_task(deliverer.run())
    try:
        await turns(10)
        yield Scene(clock, store, center, deliverer)
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)


def many(count: int, at: datetime) -> Sequence[Alert]:
    return [message(f"k{n:04d}", 1, at) for n in range(count)]


async def test_what_is_committed_is_sent_at_once_and_settled() -> None:
    async with scene() as s:
        await s.tell(message("k", 1, s.now))

        assert s.center.names == ["k/1"]
        (row,) = await s.store.events.alerts()
        assert (row.state, row.attempts, row.delivered_at) == (AlertState.DELIVERED, 1, s.now)
        assert s.deliverer.report()["delivered"] == 1


async def test_what_nobody_woke_us_for_is_found_within_two_seconds() -> None:
    async with scene() as s:
        await put(s.store, message("k", 1, s.now))
        await s.pass_s(2.2)

        assert s.center.names == ["k/1"]


async def test_another_recipient_s_messages_are_left_alone() -> None:
    async with scene() as s:
        await s.tell(message("k", 1, s.now, recipient="feed"))
        await s.pass_s(10)

        assert s.center.attempts == []


async def test_revisions_of_an_incident_arrive_in_order_also_when_the_first_is_slow() -> None:
    async with scene() as s:
        s.center.takes_s = 3.0
        await s.tell(message("k", 1, s.now), message("z", 1, s.now))
        await s.tell(message("k", 2, s.now), message("k", 3, s.now, AlertPhase.CLOSE))
        await s.pass_s(12)

        assert [name for name in s.center.names if name[0] == "k"] == ["k/1", "k/3"]
        assert await states(s.store) == {
            "k/1": "delivered", "k/2": "superseded", "k/3": "delivered", "z/1": "delivered",
        }  # fmt: skip


async def test_attempts_are_bounded_and_one_incident_has_one_at_a_time() -> None:
    async with scene(parallel=4, rate_per_s=1000.0) as s:
        s.center.takes_s = 1.0
        await s.tell(*many(20, s.now))
        await s.pass_s(8)

        assert len(s.center.got) == 20
        assert s.center.at_once_most == 4


async def test_a_message_that_fails_alone_waits_longer_each_time_while_others_pass() -> None:
    async with scene() as s:
        s.center.answer = lambda a: Delivery(delivered=a.key != "bad", reason="500")
        await s.tell(message("bad", 1, s.now))
        for n in range(60):
            await s.tell(message(f"k{n}", 1, s.now))
            await s.pass_s(1)

        assert len(s.center.got) == 60
        (bad,) = await s.store.events.alerts(key="bad")
        assert (bad.state, bad.reason) == (AlertState.PENDING, "500")
        assert 4 <= bad.attempts <= 5  # after 3.75, 7.5, 15, 30 s
        assert not s.deliverer.reach.away


async def test_retry_after_holds_everything_back() -> None:
    async with scene() as s:
        s.center.answer = lambda _: Delivery(delivered=False, after_s=30.0, reason="429")
        await s.tell(message("k", 1, s.now))
        s.center.answer = lambda _: GOOD
        await s.tell(message("z", 1, s.now))
        await s.pass_s(29)
        assert len(s.center.attempts) == 1
        await s.pass_s(3)

        assert sorted(s.center.names) == ["k/1", "z/1"]


async def test_a_dead_letter_says_why_holds_nothing_up_and_can_be_replayed() -> None:
    async with scene() as s:
        s.center.answer = lambda a: (
            GOOD if a.key != "bad" else Delivery(False, retry=False, reason="422 Unprocessable")
        )
        await s.tell(message("bad", 1, s.now), message("good", 1, s.now))
        (dead,) = await s.store.events.alerts(state="dead")
        assert (dead.key, dead.reason) == ("bad", "422 Unprocessable")
        assert s.center.names == ["good/1"]

        s.center.answer = lambda _: GOOD
        again = replayed(dead, (), s.now, "operator")
        assert isinstance(again, Alert)
        await s.store.events.settle_alerts([again])
        s.deliverer.wake()
        await turns(30)

        assert s.center.names == ["good/1", "bad/1"]
        assert s.center.got[1][1].id == dead.id


async def test_given_up_after_three_days_of_a_message_that_is_never_taken() -> None:
    async with scene(heartbeat_s=3600.0, look_s=600.0) as s:
        s.center.answer = lambda _: Delivery(delivered=False, reason="500")
        await s.tell(message("k", 1, s.now))
        await s.pass_s(3 * 86_400 + 7200, tick_s=60.0)

        (row,) = await s.store.events.alerts()
        assert row.state is AlertState.DEAD
        assert row.reason.startswith("given up after ")
        assert len(s.center.attempts) < 5_000


async def test_an_hour_without_the_center_loses_and_doubles_nothing_and_drains_at_the_rate() -> (
    None
):
    async with scene(rate_per_s=50.0) as s:
        await s.tell(*(message(f"known{n}", 1, s.now) for n in range(20)))
        await s.pass_s(1)
        assert len(s.center.got) == 20
        s.center.answer = lambda _: DOWN
        went = s.clock.now()
        told = 0
        for minute in range(60):
            fresh = [message(f"m{minute}-{n}", 1, s.now) for n in range(30)]
            await s.tell(*fresh)
            if minute == 10:
                await s.tell(*(message(f"known{n}", 2, s.now, AlertPhase.CLOSE) for n in range(10)))
            if minute % 3 == 2:  # over before anybody heard of it
                await s.tell(
                    *(message(f"m{minute}-{n}", 2, s.now, AlertPhase.CLOSE) for n in range(15))
                )
            told += 30
            await s.pass_s(60, tick_s=1.0)
        assert len(s.center.got) == 20
        assert s.deliverer.reach.away
        assert len(s.center.attempts) - 20 < 3600 / 5, "nobody hammers a center that is down"

        s.center.answer = lambda _: GOOD
        back = s.clock.now()
        await s.pass_s(90, tick_s=0.05)

        arrived = Counter(name for name in s.center.names)
        found = await states(s.store)
        assert set(found.values()) == {"delivered", "superseded"}
        assert {name for name, state in found.items() if state == "delivered"} == set(arrived)
        assert max(arrived.values()) == 1
        assert s.center.duplicated() == 0
        closed_unheard = [name for name in arrived if name.startswith("m") and name.endswith("/2")]
        assert len(closed_unheard) == 20 * 15
        assert not [name for name in closed_unheard if f"{name[:-1]}1" in arrived]
        assert len(arrived) == 20 + 10 + told
        drained = max(at for at, _ in s.center.got) - back
        assert told / 50 <= drained < 60
        by_second = Counter(int(at) for at, _ in s.center.got if at >= back)
        assert max(by_second.values()) <= 50 + 10
        assert back - went == 3600
        assert await _superseded_by_what_arrived(s)


async def _superseded_by_what_arrived(s: Scene) -> bool:
    rows = {row.id: row for row in await s.store.events.alerts(limit=100_000)}
    gone = [row for row in rows.values() if row.state is AlertState.SUPERSEDED]
    return bool(gone) and all(
        rows[row.superseded_by or ""].state is AlertState.DELIVERED for row in gone
    )


async def test_one_poisoned_message_does_not_make_the_center_away() -> None:
    async with scene() as s:
        s.center.answer = lambda a: Delivery(delivered=a.key != "poison", reason="500")
        await s.tell(message("poison", 1, s.now))
        await s.tell(*many(40, s.now))
        await s.pass_s(30)

        assert len(s.center.got) == 40


async def test_a_settled_delivery_is_not_lost_when_the_store_goes_away_in_between() -> None:
    async with scene() as s:
        s.center.takes_s = 1.0
        await s.tell(message("k", 1, s.now))
        s.store.is_away = True
        await s.pass_s(5)
        assert s.center.names == ["k/1"]
        s.store.is_away = False
        await s.pass_s(5)

        assert s.center.names == ["k/1"], "it was settled, not sent again"
        assert await states(s.store) == {"k/1": "delivered"}


async def test_a_crash_between_sending_and_settling_sends_the_same_id_again() -> None:
    async with scene() as s:
        s.center.takes_s = 0.5
        await s.tell(message("k", 1, s.now))
        s.store.is_away = True
        await s.pass_s(1)
        assert s.center.names == ["k/1"]
        s.store.is_away = False
        # The process ends here; another one begins with what the store says.
        center = Center(s.clock)
        after = Deliverer(s.store, s.clock, "center", center, source=SOURCE)
        work = asyncio.create_task(after.run())
        await turns(30)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)

        assert center.got[0][1].id == s.center.got[0][1].id


async def test_the_store_may_be_away_for_long() -> None:
    async with scene() as s:
        s.store.is_away = True
        await s.pass_s(120, tick_s=1.0)
        s.store.is_away = False
        await s.tell(message("k", 1, s.now))
        await s.pass_s(3)

        assert s.center.names == ["k/1"]


async def test_a_heartbeat_comes_every_minute_also_while_messages_hang() -> None:
    async with scene() as s:
        s.center.takes_s = 3600.0
        await s.tell(*many(50, s.now))
        await s.pass_s(300, tick_s=1.0)

        at = [t for t, _ in s.center.beats]
        assert len(at) == 6
        assert {round(b - a) for a, b in pairwise(at)} == {60}
        newest = s.center.beats[-1][1].body["data"]
        assert newest["number"] == 6
        assert newest["pending"] == 50
        assert newest["oldest_pending_s"] > 200


async def test_a_heartbeat_that_arrives_brings_the_center_back_at_once() -> None:
    async with scene(heartbeat_s=5.0) as s:
        s.center.answer = lambda _: DOWN
        await s.tell(*many(10, s.now))
        await s.pass_s(120, tick_s=1.0)
        before = s.deliverer.reach
        s.center.answer = lambda _: GOOD
        await s.pass_s(6)

        assert before.away
        assert not s.deliverer.reach.away
        await s.pass_s(15)
        assert len(s.center.got) == 10


async def test_a_sink_with_a_defect_is_a_failed_attempt_and_not_the_end() -> None:
    async with scene() as s:

        def broken(alert: Alert) -> Delivery:
            if alert.key == "bad":
                raise RuntimeError("defect")
            return GOOD

        s.center.answer = broken
        await s.tell(message("bad", 1, s.now), message("good", 1, s.now))
        await s.pass_s(2)

        assert s.center.names == ["good/1"]
        (bad,) = await s.store.events.alerts(key="bad")
        assert bad.reason == "sink failed: RuntimeError"


async def test_what_is_on_its_way_at_the_end_arrives_and_is_settled() -> None:
    clock = FakeClock()
    store = Store()
    await store.open()
    center = Center(clock, takes_s=0.5)
    deliverer = Deliverer(store, clock, "center", center, source=SOURCE)
    await put(store, message("k", 1, NOON))
    work = asyncio.create_task(deliverer.run())
    await turns(20)
    assert center.attempts
    work.cancel()
    await turns(5)
    clock.move(0.6)
    await asyncio.gather(work, return_exceptions=True)

    assert center.names == ["k/1"]
    assert await states(store) == {"k/1": "delivered"}


async def test_an_old_message_that_waits_alone_is_sent_as_it_is() -> None:
    async with scene() as s:
        await s.tell(message("k", 1, s.now - timedelta(hours=5)))

        assert s.center.names == ["k/1"]
