"""What reports and availability read from the store."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from fakes.coverage_rows import BASIS, interval
from fakes.ledger_rows import at

from adapters.memory import MemoryStore
from gateway.domain.coverage.availability import AvailabilitySums
from gateway.domain.coverage.rows import CoverageChanges, PlaceInterval
from gateway.domain.ledger import Changes, GapReason, GatewayGap
from gateway.reporting import PAGE, read_availability


async def test_availability_is_added_up_portion_by_portion(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = MemoryStore("memory:")
    await store.open()
    rows = tuple(interval(f"i{n}", f"p{n}", n, n + 30) for n in range(1300))
    await store.coverage.commit(CoverageChanges(1, at(0), intervals=rows, basis=BASIS))
    added: list[int] = []
    add = AvailabilitySums.add

    def counting(sums: AvailabilitySums, portion: Sequence[PlaceInterval]) -> None:
        added.append(len(portion))
        add(sums, portion)

    monkeypatch.setattr(AvailabilitySums, "add", counting)
    found = await read_availability(store, at(0), at(2000))
    assert added == [500, 500, 300]
    assert found.lost == pytest.approx(1300 * rows[0].weight_lost / 2)


async def test_every_gap_of_the_gateway_counts_however_many_there_are() -> None:
    store = MemoryStore("memory:")
    await store.open()
    count = PAGE + 200

    def gap(n: int) -> GatewayGap[datetime]:
        return GatewayGap(f"g{n:04d}", GapReason.STALLED, at(10 * n), at(10 * n + 5))

    await store.commit(Changes(1, gaps=tuple(gap(n) for n in range(count))))
    await store.coverage.commit(CoverageChanges(1, at(0), basis=BASIS))
    window = timedelta(seconds=10 * count)
    found = await read_availability(store, at(0), at(0) + window)
    assert found.whole == pytest.approx(BASIS.reached * window.total_seconds() / 3600)
    assert found.unknown == pytest.approx(found.whole / 2)
