"""Every second has one owner, whatever happens (semantics §6)."""

from itertools import pairwise
from random import Random

import pytest
from fakes.fleet import Fleet, two_townships
from fakes.scene import Scene, Trouble
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.domain.ledger import Outage
from gateway.domain.observation import Instant, Observation, OutageCause


def scene() -> Scene:
    return Scene(two_townships().build(), phases={"e0": 10.0}, canary=True)


def test_between_two_good_checks_good_between_two_bad_bad() -> None:
    s = scene()
    s.down("e0", 15.0, 155.0)
    s.run(220.0)
    (row,) = s.outages_of("e0")
    assert row.ended_at is not None
    seconds = s.seconds("e0")
    # Good up to failed_at, bad up to ended_at; before the first check nothing is known.
    assert seconds["unobserved"] == pytest.approx(10.02, abs=0.05)
    assert seconds["bad"] == pytest.approx(row.ended_at - row.failed_at, abs=0.05)
    assert seconds["good"] == pytest.approx(220.0 - seconds["bad"] - seconds["unobserved"])


def test_a_gap_over_three_cadences_is_unobserved_from_the_last_check() -> None:
    s = scene().run(40.5)
    s.watching = False
    s.run(200.0)
    s.watching = True
    s.run(230.0)
    # Not known before 10.02; not watched from 40.02 to 220.02.
    assert s.seconds("e0")["unobserved"] == pytest.approx(10.0 + 180.0, abs=0.1)


def test_a_gap_of_less_is_not() -> None:
    s = scene().run(40.5)
    s.watching = False
    s.run(120.0)
    s.watching = True
    s.run(160.0)
    assert s.seconds("e0")["unobserved"] == pytest.approx(10.0, abs=0.1)


def test_a_dip_is_bad_for_as_long_as_it_was_seen_and_makes_no_row() -> None:
    s = scene()
    s.down("e0", 39.0, 47.0)
    s.run(100.0)
    assert s.outages == {}
    assert s.seconds("e0")["bad"] == pytest.approx(10.0, abs=0.1)


def test_seconds_known_as_bad_before_the_cause_was_understood_become_upstream() -> None:
    # A single outage is confirmed and flushed; a node verdict comes later.
    fleet = Fleet()
    fleet.uplink("east")
    fleet.uplink("west")
    fleet.cameras_at("east", ["a", "b", "c", "d"])
    fleet.cameras_at("west", ["w"])
    phases = {"a": 1.0, "b": 20.0, "c": 21.0, "d": 22.0, "w": 15.0}
    s = Scene(fleet.build(), phases=phases, canary=True)
    s.down("a", 25.0, 300.0)
    for name in ("b", "c", "d"):
        s.untold(name, 25.0, 60.0)
        s.down(name, 60.0, 300.0)
    s.run(58.0)
    s.flush()
    s.run(400.0)
    (row,) = s.outages_of("a")
    seconds = s.seconds("a")
    if row.cause is OutageCause.UPLINK:
        assert seconds["bad"] == pytest.approx(0.0, abs=0.1)
    assert seconds["bad"] + seconds["upstream"] == pytest.approx(row.bad_s, abs=0.1)


# --- properties

NAMES = ("e0", "e1", "w0", "w1")


@st.composite
def scripts(draw: st.DrawFn) -> list[tuple[str, Trouble]]:
    """Dips, deaths, our own troubles, cuts of everybody."""
    found = []
    for _ in range(draw(st.integers(0, 6))):
        start = draw(st.floats(0.0, 500.0))
        length = draw(st.sampled_from([2.0, 9.0, 16.0, 25.0, 70.0, 200.0]))
        who = draw(st.sampled_from([(n,) for n in NAMES] + [("e0", "e1"), NAMES]))
        kind = draw(st.sampled_from(["refused", "timeout", "untold"]))
        for name in who:
            trouble = Trouble(start, start + length)
            if kind == "untold":
                trouble.untold = True
            else:
                trouble.cause = OutageCause(kind)
            found.append((name, trouble))
    return found


def play(s: Scene, script: list[tuple[str, Trouble]]) -> None:
    for name, t in script:
        s._trouble(name, Trouble(s.start + t.start, s.start + t.end, t.cause, untold=t.untold))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(scripts(), st.booleans(), st.lists(st.tuples(st.floats(0, 600), st.floats(1, 200))))
def test_all_seconds_have_one_owner_and_rows_keep_their_order(
    script: list[tuple[str, Trouble]],
    canary: bool,
    pauses: list[tuple[float, float]],
) -> None:
    s = Scene(two_townships(cameras=2).build(), canary=canary, tick_s=0.5)
    play(s, script)

    def pause() -> None:
        at = s.since(s.clock.now())
        s.watching = not any(a <= at < a + length for a, length in pauses[:2])

    s.run(700.0, pause)
    for channel in s.judge.lives:
        assert sum(s.seconds(channel).values()) == pytest.approx(700.0, abs=0.2)
    for row in s.outages.values():
        _in_order(row)
    open_rows = [r.channel for r in s.outages.values() if r.ended_at is None]
    assert len(open_rows) == len(set(open_rows))


def _in_order(row: Outage[Instant]) -> None:
    assert row.takeover or (row.last_seen_at is not None and row.last_seen_at <= row.failed_at)
    assert row.failed_at <= row.confirmed_at
    if row.ended_at is not None:
        assert row.failed_at <= row.ended_at
        assert row.last_failed_at <= row.ended_at
        length = row.ended_at - row.failed_at
        assert row.bad_s + row.unobserved_s <= length + 0.1
        if not row.flapping:
            assert row.bad_s + row.unobserved_s == pytest.approx(length, abs=0.1)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(scripts(), st.lists(st.floats(20.0, 500.0), max_size=2), st.floats(1.0, 100.0))
def test_restarts_neither_lose_nor_double_anything(
    script: list[tuple[str, Trouble]], deaths: list[float], pause_s: float
) -> None:
    s = Scene(two_townships(cameras=2).build(), canary=True, tick_s=0.5)
    play(s, script)
    began = s.start
    for at in sorted(deaths):
        if began + at > s.clock.now():
            s.run(began + at - s.start)
        s = s.restarted(pause_s)
    s.run(s.since(s.clock.now()) + 400.0)
    s.troubles.clear()
    s.run(s.since(s.clock.now()) + 400.0)
    assert all(row.ended_at is not None for row in s.outages.values())
    assert all(row.ended_at is not None for row in s.incidents.values())
    for name in NAMES:
        rows = s.outages_of(name)
        for first, second in pairwise(rows):
            assert first.ended_at is not None
            assert first.ended_at <= second.failed_at
        for row in rows:
            _in_order(row)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(scripts(), st.randoms(use_true_random=False))
def test_the_same_observations_give_the_same_rows_whatever_the_batches(
    script: list[tuple[str, Trouble]], chance: Random
) -> None:
    script = [(name, t) for name, t in script if not t.untold]
    s = Scene(two_townships(cameras=2).build(), canary=True, tick_s=0.5)
    play(s, script)
    heard: list[tuple[float, list[Observation]]] = []
    give = s.give

    def overhear(batch: list[Observation], now: Instant) -> None:
        heard.append((now, list(batch)))
        give(batch, now)

    s.give = overhear  # type: ignore[method-assign]
    s.run(500.0)
    again = Scene(two_townships(cameras=2).build(), canary=False, tick_s=0.5)
    canary_at = again.start
    for now, batch in heard:
        again.clock.move(now - again.clock.now())
        if now >= canary_at:
            canary_at = Instant(now + 2.0)
            again.judge.canary(Instant(now))
        cut = chance.randint(0, len(batch))
        again.give(batch[:cut], Instant(now))
        again.give(batch[cut:], Instant(now))
    assert {i: _facts(r) for i, r in s.outages.items()} == {
        i: _facts(r) for i, r in again.outages.items()
    }
    for channel in s.judge.lives:
        first, second = s.seconds(channel), again.seconds(channel)
        # A node verdict may come one sweep later: bad or upstream, the sum is the same.
        assert first["good"] == pytest.approx(second["good"], abs=0.01)
        assert first["unobserved"] == pytest.approx(second["unobserved"], abs=0.01)


def _facts(row: Outage[Instant]) -> tuple[object, ...]:
    # Of an open row the last failed check is only known as of when it was written.
    last_failed = None if row.ended_at is None else row.last_failed_at
    return row.channel, row.last_seen_at, row.failed_at, last_failed, row.ended_at
