"""`check_by = tcp`: the device lives when its port accepts a connection."""

from collections.abc import Sequence

from adapters.dial import MEANING, dial
from gateway.domain.camera import Device, DeviceId
from gateway.domain.observation import (
    Answer,
    FaultCause,
    Finding,
    Instant,
    Step,
    TraceStep,
    Verdict,
)
from gateway.ports import ProbeContext

MARGIN_S = 0.05


class TcpProbe:
    """Connects and hangs up; only `Step.REACH`. It can find no fault, so `tested` is empty."""

    def __init__(self, context: ProbeContext) -> None:
        self._clock = context.clock
        self._connect_s = context.connect_s

    async def check(self, device: Device, step: Step, deadline: Instant) -> Answer:
        """Connect once.

        Raises:
            ValueError: for a step other than REACH.
        """
        if step is not Step.REACH:
            raise ValueError(f"tcp has no step {step.name}")
        return await self._connect(device, deadline, traced=False)

    async def explain(self, device: Device, deadline: Instant) -> Sequence[Answer]:
        """The one answer, with its chain."""
        return (await self._connect(device, deadline, traced=True),)

    def forget(self, device: DeviceId) -> None:
        """Nothing is kept."""

    async def close(self) -> None:
        """Nothing is open."""

    async def _connect(self, device: Device, deadline: Instant, *, traced: bool) -> Answer:
        started = self._clock.now()
        limit_s = min(self._connect_s, deadline - started - MARGIN_S)
        line = await dial(device.host, device.port, limit_s)
        line.hang_up()
        ended = self._clock.now()
        chain = (TraceStep("tcp", line.trouble is None, line.detail, line.seconds * 1000),)
        if line.trouble is None:
            return Answer(
                Step.REACH,
                started,
                ended,
                Verdict.ANSWERED,
                chain=chain if traced else (),
                rtt_s=line.seconds,
            )
        meaning = MEANING[line.trouble]
        found = (Finding(meaning.fault, line.detail),) if meaning.fault else ()
        return Answer(
            Step.REACH,
            started,
            ended,
            meaning.verdict,
            meaning.cause,
            frozenset[FaultCause](),
            found,
            chain,
        )
