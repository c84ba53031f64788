"""Keeps the stages running: a failed one is restarted with back-off, a hopeless one ends the service."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping

import structlog

from gateway.errors import SightlineError, StoreTaken
from gateway.metrics import RESTARTS

log = structlog.get_logger("sightline.supervisor")
RESTARTS_MOST = 5
RESTARTS_WINDOW_S = 60.0
Stage = Callable[[], Awaitable[None]]


class StageFailed(SightlineError):
    """A stage failed too often to go on."""


def restarting_too_fast(restarts: deque[float], now: float) -> bool:
    """More than 5 restarts within 60 s; `restarts` holds monotonic times and is pruned."""
    while restarts and restarts[0] < now - RESTARTS_WINDOW_S:
        restarts.popleft()
    return len(restarts) > RESTARTS_MOST


async def _keep(name: str, stage: Stage, pause_s: float) -> None:
    restarts: deque[float] = deque()
    while True:
        try:
            await stage()
        except StoreTaken:  # no restart helps, and going on would harm
            raise
        except Exception as error:
            RESTARTS.labels(name).inc()
            restarts.append(time.monotonic())
            log.exception("stage failed", stage=name, restarts=len(restarts))
            if restarting_too_fast(restarts, time.monotonic()):
                raise StageFailed(f"{name} failed {len(restarts)} times in a minute") from error
            await asyncio.sleep(min(5.0, pause_s * 2 ** len(restarts)))
        else:
            return


async def supervise(stages: Mapping[str, Stage], pause_s: float = 0.1) -> None:
    """Run all stages until cancelled; one that fails is restarted, its siblings go on.

    Args:
        stages: the loops by name.
        pause_s: what the pause before a restart grows from, doubling each time up to 5 s.

    Raises:
        ExceptionGroup: of `StageFailed`, when one failed more than 5 times in a minute, or of
            `StoreTaken`.
    """
    async with asyncio.TaskGroup() as group:
        for name, stage in stages.items():
            group.create_task(_keep(name, stage, pause_s), name=name)
