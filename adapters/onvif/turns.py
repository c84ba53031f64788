"""When which pull point has its turn: one agenda for what is due, one queue for what costs a login.

No timer and no task a device; looked at some twenty times a second.
"""

import heapq
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Final

from adapters.onvif.pull_point import NEVER, Phase, PullPoint
from gateway.domain.camera import DeviceId

BEGUN_AT_ONCE: Final = 100
"""Subscriptions begun without letting the loop breathe."""


class Turns:
    """Agenda and queue over the pull points.

    Args:
        points: all of them; those that leave it are forgotten here by themselves.
        per_s: how many of the queue have their turn a second.
    """

    def __init__(self, points: Mapping[DeviceId, PullPoint], per_s: float) -> None:
        self._points = points
        self._per_s = per_s
        self._agenda: list[tuple[float, DeviceId]] = []
        self._queue: deque[DeviceId] = deque()
        self._credit = 0.0
        self._filled_at: float | None = None

    def at(self, point: PullPoint, phase: Phase, at: float) -> None:
        """Look at it then, and not before."""
        point.phase = phase
        point.due = at
        heapq.heappush(self._agenda, (at, point.device.id))

    def enqueue(self, point: PullPoint) -> None:
        """It waits for its turn among those that need a subscription."""
        point.phase = Phase.QUEUED
        point.due = NEVER
        self._queue.append(point.device.id)

    def due(self, now: float) -> Iterator[PullPoint]:
        """Those that are due, earliest first; entries that were overtaken are dropped."""
        agenda = self._agenda
        while agenda and agenda[0][0] <= now:
            at, device = heapq.heappop(agenda)
            point = self._points.get(device)
            if point is not None and point.due == at:
                yield point

    def begun(self, now: float) -> Iterator[PullPoint]:
        """Those of the queue whose turn it is: no more a second than allowed (quirk 26)."""
        passed_s = 0.0 if self._filled_at is None else now - self._filled_at
        self._filled_at = now
        self._credit = min(max(1.0, self._per_s), self._credit + passed_s * self._per_s)
        for _ in range(min(len(self._queue), int(self._credit), BEGUN_AT_ONCE)):
            point = self._points.get(self._queue.popleft())
            if point is not None and point.phase is Phase.QUEUED:
                self._credit -= 1.0
                yield point
