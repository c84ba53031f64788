"""What is past its retention goes once a night."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fakes.clock import FakeClock

from gateway.errors import StoreUnavailable
from gateway.runtime.retention import Retention, next_night
from gateway.settings import StoreSettings

NIGHT = datetime(2026, 11, 23, 19, 45, tzinfo=UTC)
"""03:45 on the 24th in Shanghai."""


class Pruned:
    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.away = False

    async def prune(self, *asked: Any) -> None:
        if self.away:
            raise StoreUnavailable("away")
        self.calls.append(asked)


def test_the_next_night_is_the_next_quarter_to_four_in_shanghai() -> None:
    assert next_night(datetime(2026, 11, 23, 4, 0, tzinfo=UTC)) == NIGHT
    assert next_night(NIGHT) == NIGHT + timedelta(days=1)
    assert next_night(NIGHT - timedelta(seconds=1)) == NIGHT


@pytest.mark.parametrize("away_for_s", [0, 1500])
async def test_it_removes_once_a_night_and_again_while_the_store_is_away(away_for_s: int) -> None:
    store, clock = Pruned(), FakeClock(wall=NIGHT - timedelta(hours=1))
    kept = Retention(store, clock, StoreSettings(event_days=7))  # type: ignore[arg-type]
    removed: list[datetime] = []
    for _ in range(3 * 24 * 60):
        clock.move(60.0)
        now = clock.utc(clock.now())
        store.away = NIGHT <= now < NIGHT + timedelta(seconds=away_for_s)
        before = len(store.calls)
        await kept.look()
        removed += [now] * (len(store.calls) - before)
    late = timedelta(seconds=away_for_s and 1800)
    assert removed == [NIGHT + late, NIGHT + timedelta(days=1), NIGHT + timedelta(days=2)]
    assert store.calls[0][1:] == (400, 1096, 7)
