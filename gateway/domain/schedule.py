"""When is a device due: a stable, even spread over the interval, and an agenda of what is next."""

import heapq
from dataclasses import dataclass
from hashlib import blake2b
from math import ceil

from gateway.domain.camera import DeviceId
from gateway.domain.observation import Instant, Step


def phase(device: DeviceId, interval_s: float, seed: str = "") -> float:
    """Where in the interval a device is asked: the same after every restart, even over a fleet."""
    digest = blake2b(f"{seed}/{device}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64 * interval_s


def next_due(phase_s: float, interval_s: float, after: Instant) -> Instant:
    """The first slot of a device that is later than `after` by more than a millisecond.

    Without the millisecond, rounding would give the very slot that was just served once more.
    """
    turns = ceil((after - phase_s) / interval_s)
    due = phase_s + turns * interval_s
    return Instant(due if due > after + 0.001 else due + interval_s)


@dataclass(frozen=True, slots=True, order=True)
class Due:
    """One entry of the agenda."""

    at: Instant
    device: DeviceId
    step: Step
    routine: bool
    """False: asked for by the judge or by a person (a re-check), outside the routine."""


class Agenda:
    """What is to be asked next, earliest first. A later wish for the same thing is dropped."""

    def __init__(self) -> None:
        self._heap: list[Due] = []
        self._wishes: dict[tuple[DeviceId, Step, bool], Instant] = {}

    def __len__(self) -> int:
        return len(self._wishes)

    def put(self, due: Due) -> None:
        """Note a check; of two of the same kind for one device only the earlier one stays."""
        key = (due.device, due.step, due.routine)
        noted = self._wishes.get(key)
        if noted is not None and noted <= due.at:
            return
        self._wishes[key] = due.at
        heapq.heappush(self._heap, due)

    def drop(self, device: DeviceId) -> None:
        """Forget everything about a device."""
        for key in [k for k in self._wishes if k[0] == device]:
            del self._wishes[key]

    def pop_due(self, now: Instant, most: int) -> list[Due]:
        """Take out what is due at `now`, at most `most` entries, earliest first."""
        taken: list[Due] = []
        while self._heap and self._heap[0].at <= now and len(taken) < most:
            due = heapq.heappop(self._heap)
            key = (due.device, due.step, due.routine)
            if self._wishes.get(key) == due.at:
                del self._wishes[key]
                taken.append(due)
        return taken

    def next_at(self) -> Instant | None:
        """When the next entry is due; entries that were dropped may make this too early."""
        return self._heap[0].at if self._heap else None
