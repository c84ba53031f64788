"""The recorder and the outbox: no alert is dropped, no settled one opened again."""

import dataclasses
from datetime import datetime

import pytest
from fakes.clock import FakeClock
from fakes.event_rows import alert, event_incident

from adapters.memory import MemoryStore
from gateway.domain.alerting.rows import AlertState
from gateway.domain.ledger import Changes
from gateway.errors import StoreUnavailable
from gateway.runtime.recorder import Recorder


class Away(MemoryStore):
    """A memory store that can be away."""

    away = False

    async def commit(self, changes: Changes[datetime]) -> None:
        if self.away:
            raise StoreUnavailable("the store is away")
        await super().commit(changes)


@pytest.fixture
async def store() -> Away:
    store = Away()
    await store.open()
    return store


async def test_alerts_and_event_incidents_of_several_batches_are_all_written(store: Away) -> None:
    recorder = Recorder(store, FakeClock())
    store.away = True
    grown = event_incident("x", 0, signals=2)
    recorder.submit(Changes(1, alerts=(alert("a1", "k"),), event_incidents=(grown,)))
    assert not await recorder.flush()
    later = dataclasses.replace(grown, signals=3)
    recorder.submit(Changes(2, alerts=(alert("a2", "k", 2),), event_incidents=(later,)))
    assert not await recorder.flush()
    assert recorder.pending == 3
    store.away = False
    assert await recorder.flush()
    assert [a.id for a in await store.events.alerts()] == ["a1", "a2"]
    assert await store.events.incident("x") == later


@pytest.mark.parametrize("away", [True, False])
async def test_an_alert_settled_while_it_waits_stays_settled(store: Away, away: bool) -> None:
    recorder = Recorder(store, FakeClock())
    first = alert("a1", "k")
    settled = dataclasses.replace(first, state=AlertState.SUPERSEDED, superseded_by="a2")
    store.away = away
    recorder.submit(Changes(1, alerts=(first,)))
    recorder.submit(Changes(2, alerts=(settled,)))
    if away:
        assert not await recorder.flush()
    recorder.submit(Changes(3, alerts=(first,)))
    store.away = False
    assert await recorder.flush()
    (found,) = await store.events.alerts()
    assert dataclasses.replace(found, cursor=0) == settled


async def test_the_newer_of_two_pending_snapshots_counts(store: Away) -> None:
    recorder = Recorder(store, FakeClock())
    first = alert("a1", "k")
    recorder.submit(Changes(1, alerts=(first,)))
    recorder.submit(Changes(2, alerts=(dataclasses.replace(first, reason="held"),)))
    assert await recorder.flush()
    assert [a.reason for a in await store.events.alerts()] == ["held"]
