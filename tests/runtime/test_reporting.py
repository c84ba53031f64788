"""What reports and availability read from the store."""

from datetime import datetime, timedelta

import pytest
from fakes.coverage_rows import BASIS
from fakes.ledger_rows import at

from adapters.memory import MemoryStore
from gateway.domain.coverage.rows import CoverageChanges
from gateway.domain.ledger import Changes, GapReason, GatewayGap
from gateway.reporting import PAGE, read_availability


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
