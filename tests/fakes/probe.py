"""Devices as a probe in fake time: who answers, who hangs, who refuses."""

from collections.abc import Callable, Sequence

from fakes.clock import FakeClock

from gateway.domain.camera import Device, DeviceId
from gateway.domain.observation import Answer, Instant, OutageCause, Step, Verdict


class FakeProbe:
    """Implements `ports.Probe`.

    Attributes:
        hangs: hosts that accept and keep silent until the deadline.
        broken: hosts for which the probe itself has a bug.
        took_s: how long a good answer takes.
        asked: (instant, device, step) of every check that began.
        most: how many checks were under way at once, at most.
    """

    def __init__(self, clock: FakeClock, took_s: float = 0.01) -> None:
        self.clock = clock
        self.took_s = took_s
        self.hangs: Callable[[Device], bool] = lambda _device: False
        self.untold: Callable[[Device], bool] = lambda _device: False
        self.broken: set[str] = set()
        self.asked: list[tuple[float, DeviceId, Step]] = []
        self.under_way: dict[DeviceId, int] = {}
        self.most = 0
        self.most_of_one = 0
        self.forgotten: list[DeviceId] = []
        self.closed = False

    async def check(self, device: Device, step: Step, deadline: Instant) -> Answer:
        """One check, in fake time."""
        started = self.clock.now()
        self.asked.append((started, device.id, step))
        if device.host in self.broken:
            msg = "a bug in the probe"
            raise RuntimeError(msg)
        hangs = self.hangs(device)
        self.under_way[device.id] = self.under_way.get(device.id, 0) + 1
        self.most = max(self.most, sum(self.under_way.values()))
        self.most_of_one = max(self.most_of_one, self.under_way[device.id])
        try:
            await self.clock.sleep_until(deadline if hangs else Instant(started + self.took_s))
        finally:
            self.under_way[device.id] -= 1
        verdict = Verdict.NO_ANSWER if hangs else Verdict.ANSWERED
        if self.untold(device):
            verdict = Verdict.COULD_NOT_TELL
        cause = OutageCause.TIMEOUT if verdict is Verdict.NO_ANSWER else None
        return Answer(step, started, self.clock.now(), verdict, cause)

    async def explain(self, device: Device, deadline: Instant) -> Sequence[Answer]:
        """The whole ladder: one step here."""
        return [await self.check(device, Step.REACH, deadline)]

    def forget(self, device: DeviceId) -> None:
        """Note who was forgotten."""
        self.forgotten.append(device)

    async def close(self) -> None:
        """Note that it was closed."""
        self.closed = True
