"""覆盖可用率 equals a replay second by second, however the rows are cut into portions."""

import dataclasses
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.coverage.availability import HOUR_S, LOST, AvailabilitySums
from gateway.domain.coverage.place import PlaceId
from gateway.domain.coverage.rows import PlaceInterval, PlaceState

T0 = datetime(2026, 3, 1, tzinfo=UTC)
END = 40
Gaps = list[tuple[int, int]]
Weights = list[tuple[int, float]]
STATES = (PlaceState.BLIND, PlaceState.PARTLY, PlaceState.UNKNOWN, PlaceState.UNVERIFIED)


def second(n: int) -> datetime:
    return T0 + timedelta(seconds=n)


@dataclasses.dataclass(frozen=True)
class Part:
    """An interval in whole seconds; `after` <= `start` <= `before` <= `end`, open without `end`."""

    state: PlaceState
    weight: float
    after: int | None
    start: int
    before: int | None
    end: int | None

    def row(self, n: int) -> PlaceInterval:
        after, before, end = (
            None if at is None else second(at) for at in (self.after, self.before, self.end)
        )
        return PlaceInterval(
            f"i{n}", PlaceId("p"), self.state, self.weight, (), after, second(self.start),
            before, end,
        )  # fmt: skip


@st.composite
def parts(draw: st.DrawFn) -> Part:
    after, start, before, end = sorted(draw(st.tuples(*[st.integers(-10, END + 10)] * 4)))
    is_open, bare = draw(st.booleans()), draw(st.booleans())
    return Part(
        draw(st.sampled_from(STATES)),
        float(draw(st.integers(1, 9))),
        None if bare else after,
        start,
        None if is_open or bare else before,
        None if is_open else end,
    )


spans = st.tuples(st.integers(-10, END + 10), st.integers(0, 15)).map(lambda s: (s[0], s[0] + s[1]))
weightings = st.dictionaries(
    st.integers(-10, END + 5), st.integers(0, 99).map(float), max_size=3
).map(lambda held: sorted(held.items()))


def replay(given_parts: list[Part], gaps: Gaps, weights: Weights) -> dict[str, float]:
    """What each second of the window was, by semantics.md §8: the gap first, then the rows."""
    told = dict.fromkeys(("whole", "unknown", "lost", "lost_least", "lost_most", "unverified"), 0.0)
    for now in range(END):
        valid = [weight for begin, weight in weights if begin <= now]
        if not valid:
            continue
        told["whole"] += valid[-1]
        if any(begin <= now < end for begin, end in gaps):
            told["unknown"] += valid[-1]
            continue
        for part in given_parts:
            end = END if part.end is None else part.end
            stands = part.start <= now < end
            if part.state in LOST:
                most = part.start if part.after is None else part.after
                least = end if part.before is None else part.before
                told["lost"] += part.weight * stands
                told["lost_most"] += part.weight * (most <= now < end)
                told["lost_least"] += part.weight * (part.start <= now < least)
            elif part.state is PlaceState.UNKNOWN:
                told["unknown"] += part.weight * stands
            else:
                told["unverified"] += part.weight * stands
    return {name: value / HOUR_S for name, value in told.items()}


@given(st.lists(parts(), max_size=8), st.lists(spans, max_size=4), weightings, st.integers(1, 8))
def test_it_is_the_same_as_a_replay_whatever_the_portions(
    given_parts: list[Part], gaps: Gaps, weights: Weights, portion: int
) -> None:
    rows = [part.row(n) for n, part in enumerate(given_parts)]

    def sums() -> AvailabilitySums:
        return AvailabilitySums(
            [(second(begin), second(end)) for begin, end in gaps],
            (second(0), second(END)),
            [(second(begin), weight) for begin, weight in weights],
        )

    whole, cut = sums(), sums()
    whole.add(rows)
    for start in range(0, len(rows), portion):
        cut.add(rows[start : start + portion])
    found = whole.result()
    assert cut.result() == found
    expected = replay(given_parts, gaps, weights)
    told = dataclasses.asdict(found)
    assert {name: told[name] for name in expected} == pytest.approx(expected, abs=1e-12)
    assert found.due == pytest.approx(expected["whole"] - expected["unknown"], abs=1e-12)
