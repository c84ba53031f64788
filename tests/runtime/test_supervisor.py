"""Stages that fail are restarted; a hopeless one ends the service."""

import asyncio
from collections import deque

import pytest

from gateway.runtime.supervisor import StageFailed, restarting_too_fast, supervise


async def test_a_stage_that_fails_is_restarted_and_its_siblings_go_on() -> None:
    turns, alive = [], []

    async def fails_twice() -> None:
        turns.append(1)
        if len(turns) < 3:
            raise RuntimeError("a bug")

    async def goes_on() -> None:
        while len(turns) < 3:
            alive.append(1)
            await asyncio.sleep(0)

    await asyncio.wait_for(supervise({"a": fails_twice, "b": goes_on}, pause_s=0.001), 5.0)
    assert len(turns) == 3
    assert len(alive) > 3


async def test_a_stage_that_fails_again_and_again_ends_the_service() -> None:
    turns = []

    async def fails() -> None:
        turns.append(1)
        raise RuntimeError("a bug")

    stopped = asyncio.Event()

    async def sibling() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            stopped.set()

    with pytest.raises(ExceptionGroup) as caught:
        await asyncio.wait_for(supervise({"a": fails, "b": sibling}, pause_s=0.001), 5.0)
    (error,) = caught.value.exceptions
    assert isinstance(error, StageFailed)
    assert "a failed 6 times in a minute" in str(error)
    assert len(turns) == 6
    assert stopped.is_set()


async def test_cancelling_ends_all_stages() -> None:
    ended = []

    async def stage() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(1)

    task = asyncio.create_task(supervise({"a": stage, "b": stage}))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == [1, 1]


def test_restarts_outside_the_window_do_not_count() -> None:
    restarts = deque([0.0, 1.0, 2.0, 3.0, 4.0, 5.0])
    assert restarting_too_fast(restarts, 5.0)
    assert not restarting_too_fast(restarts, 60.5)
    assert list(restarts) == [1.0, 2.0, 3.0, 4.0, 5.0]
