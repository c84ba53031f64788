"""`check_by = rtsp`: the device lives when it answers OPTIONS with any RTSP status line (RFC 2326)."""

import asyncio
import re
from collections.abc import Sequence

from adapters.dial import MEANING, Dialled, Trouble, describe, dial, trouble_of
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
STATUS_LINE = re.compile(rb"RTSP/\d\.\d (\d{3})(?: ([^\r\n]*))?\r?\n")
LINE_LIMIT = 1024
TESTED = frozenset({FaultCause.BAD_RESPONSE})


class RtspProbe:
    """Sends one unsigned OPTIONS on a fresh connection; only `Step.REACH`."""

    def __init__(self, context: ProbeContext) -> None:
        self._clock = context.clock
        self._connect_s = context.connect_s

    async def check(self, device: Device, step: Step, deadline: Instant) -> Answer:
        """Ask OPTIONS once.

        Raises:
            ValueError: for a step other than REACH.
        """
        if step is not Step.REACH:
            raise ValueError(f"rtsp has no step {step.name}")
        return await self._options(device, deadline, traced=False)

    async def explain(self, device: Device, deadline: Instant) -> Sequence[Answer]:
        """The one answer, with its chain."""
        return (await self._options(device, deadline, traced=True),)

    def forget(self, device: DeviceId) -> None:
        """Nothing is kept."""

    async def close(self) -> None:
        """Nothing is open."""

    async def _options(self, device: Device, deadline: Instant, *, traced: bool) -> Answer:
        started = self._clock.now()
        loop = asyncio.get_running_loop()
        loop_deadline = loop.time() + deadline - started - MARGIN_S
        limit_s = min(self._connect_s, loop_deadline - loop.time())
        line = await dial(device.host, device.port, limit_s)
        chain = [TraceStep("tcp", line.trouble is None, line.detail, line.seconds * 1000)]
        trouble, detail, rtt_s = line.trouble, line.detail, None
        if trouble is None:
            asked = loop.time()
            try:
                trouble, detail = await _ask(line, device, loop_deadline)
            finally:
                line.hang_up()
            rtt_s = loop.time() - asked
            chain.append(TraceStep("rtsp", trouble is None, detail, rtt_s * 1000))
        ended = self._clock.now()
        if trouble is None:
            kept = tuple(chain) if traced else ()
            return Answer(
                Step.REACH,
                started,
                ended,
                Verdict.ANSWERED,
                tested=TESTED,
                chain=kept,
                rtt_s=rtt_s,
            )
        meaning = MEANING[trouble]
        answered = meaning.verdict is Verdict.ANSWERED
        return Answer(
            Step.REACH,
            started,
            ended,
            meaning.verdict,
            meaning.cause,
            TESTED if answered else frozenset(),
            (Finding(meaning.fault, detail),) if meaning.fault else (),
            tuple(chain),
            rtt_s if answered else None,
        )


async def _ask(line: Dialled, device: Device, loop_deadline: float) -> tuple[Trouble | None, str]:
    """Send OPTIONS and read up to the end of the status line."""
    assert line.reader is not None  # noqa: S101 - dialled without trouble
    assert line.writer is not None  # noqa: S101
    host = f"[{device.host}]" if ":" in device.host else device.host
    request = f"OPTIONS rtsp://{host}:{device.port}/ RTSP/1.0\r\nCSeq: 1\r\n\r\n"
    heard = b""
    try:
        line.writer.write(request.encode())
        async with asyncio.timeout_at(loop_deadline):
            while b"\n" not in heard and len(heard) < LINE_LIMIT:
                chunk = await line.reader.read(LINE_LIMIT)
                if not chunk:
                    break
                heard += chunk
    except TimeoutError:
        silent = "accepted, then silent", "the status line never ended"
        return (Trouble.GARBLED, silent[1]) if heard else (Trouble.TIMEOUT, silent[0])
    except OSError as error:
        return trouble_of(error, device.host), describe(error)
    if match := STATUS_LINE.match(heard):
        return None, (match[1] + b" " + (match[2] or b"")).decode("ascii", "replace").strip()
    if not heard:
        return Trouble.CLOSED, "closed without a byte"
    return Trouble.GARBLED, "not RTSP"
