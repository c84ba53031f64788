"""What waits for a recipient that was taken out of the settings is given up with a reason, and not lost."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from fakes.outbox import message, put, states
from structlog.testing import capture_logs

from adapters.memory import MemoryStore
from gateway.dead_letters import Letters, dead_letters, replay_all
from gateway.domain.alerting.retry import NO_ADDRESS
from gateway.domain.alerting.rows import Alert, AlertPhase, AlertState
from gateway.errors import StoreUnavailable
from gateway.runtime import unreached
from gateway.runtime.unreached import PAGE, Unreached

NOW = datetime(2026, 3, 2, 4, tzinfo=UTC)


async def store_with(*alerts: Alert) -> MemoryStore:
    store = MemoryStore()
    await store.open()
    await put(store, *alerts)
    return store


async def until(what: Callable[[], Any]) -> None:
    async with asyncio.timeout(5):
        while not await what():  # noqa: ASYNC110 - of a loop that tells nobody
            await asyncio.sleep(0.01)


async def test_only_what_waits_for_nobody_becomes_dead_letters_and_it_is_said() -> None:
    done = replace(message("e", 1, NOW, recipient="duty"), state=AlertState.DELIVERED)
    gathered = message("g", 1, NOW, recipient="digest:doors")
    mine = message("a", 1, NOW)
    lost = [message(f"k{n}", 1, NOW, recipient="duty") for n in range(PAGE + 1)]
    store = await store_with(mine, done, gathered, *lost)
    with capture_logs() as logs:
        assert await Unreached(store, ["center"]).give_up() == PAGE + 1
        assert await Unreached(store, ["center"]).give_up() == 0

    known = await states(store)
    assert (known["a/1"], known["e/1"], known["g/1"]) == ("pending", "delivered", "pending")
    dead = [row async for row in dead_letters(store, Letters(recipient="duty"))]
    assert {row.key for row in dead} == {row.key for row in lost}
    assert {(row.reason, row.attempts, row.next_at) for row in dead} == {(NO_ADDRESS, 0, None)}
    (told,) = logs
    assert (told["recipient"], told["messages"]) == ("duty", PAGE + 1)
    assert "sightline alerts replay --recipient duty" in told["fix"]


async def test_they_are_sent_again_once_the_recipient_is_back() -> None:
    first = message("k", 1, NOW, recipient="duty")
    last = message("k", 2, NOW, AlertPhase.CLOSE, recipient="duty")
    store = await store_with(first, last)
    await Unreached(store, []).give_up()
    again = await replay_all(store, Letters(reason="no address"), NOW, "operator")
    assert [row.revision for row in again.again] == [1, 2]
    assert await Unreached(store, ["duty"]).give_up() == 0
    assert await store.events.pending_alerts("duty") == (2, NOW)


async def test_what_an_open_thread_brings_later_is_given_up_too_and_a_store_may_be_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(unreached, "EVERY_S", 0.01)
    monkeypatch.setattr(unreached, "RETRY_S", 0.01)
    store = await store_with(message("k", 1, NOW, recipient="duty"))
    real, away = store.events.pending_recipients, [True]

    async def sometimes() -> Any:
        if away:
            raise StoreUnavailable("away")
        return await real()

    monkeypatch.setattr(store.events, "pending_recipients", sometimes)
    work = asyncio.create_task(Unreached(store, ["center"]).run())
    try:
        await asyncio.sleep(0.05)
        assert await states(store) == {"k/1": "pending"}
        away.clear()

        async def given_up() -> bool:
            return set((await states(store)).values()) == {"dead"}

        await until(given_up)
        await put(store, message("k", 2, NOW, AlertPhase.CLOSE, recipient="duty"))
        await until(given_up)
        assert len(await states(store)) == 2
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
