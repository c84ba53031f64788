"""`check_by = rtsp`: any RTSP status line is an answer."""

import asyncio
import contextlib
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.absent import absent
from fakes.leap_clock import LeapClock
from fakes.raw_server import raw_server

from adapters.rtsp import RtspProbe
from gateway.domain.camera import CheckBy, Device, DeviceId, NodeId
from gateway.domain.observation import Answer, FaultCause, Instant, OutageCause, Step, Verdict
from gateway.ports import ProbeContext


async def check(port: int, limit_s: float = 2.0, host: str = "127.0.0.1") -> Answer:
    clock = LeapClock()
    device = Device(DeviceId(f"{host}:{port}"), host, port, NodeId("n"), check_by=CheckBy.RTSP)
    return await RtspProbe(ProbeContext(clock)).check(
        device, Step.REACH, Instant(clock.now() + limit_s)
    )


@pytest.mark.parametrize(
    "line",
    [
        b"RTSP/1.0 200 OK\r\n",
        b"RTSP/1.0 401 Unauthorized\r\n",
        b"RTSP/1.0 454 \r\n",
        b"RTSP/2.0 501\n",
    ],
)
async def test_any_status_line_is_an_answer(line: bytes) -> None:
    heard: list[bytes] = []

    async def answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        for byte in line + b"CSeq: 1\r\n\r\n":
            writer.write(bytes([byte]))
            await writer.drain()

    async with raw_server(answers) as port:
        answer = await check(port)
    assert (answer.verdict, answer.found, answer.chain) == (Verdict.ANSWERED, (), ())
    assert answer.tested == {FaultCause.BAD_RESPONSE}
    assert answer.rtt_s is not None
    assert heard == [f"OPTIONS rtsp://127.0.0.1:{port}/ RTSP/1.0\r\nCSeq: 1\r\n\r\n".encode()]


@pytest.mark.parametrize("junk", [b"HTTP/1.1 400 Bad\r\n\r\n", b"", b"x" * 5000, b"RTSP/1.0 2"])
async def test_what_is_not_rtsp_is_a_bad_response(junk: bytes) -> None:
    async def answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(junk)

    async with raw_server(answers) as port:
        answer = await check(port)
    assert answer.verdict is Verdict.ANSWERED
    assert [finding.cause for finding in answer.found] == [FaultCause.BAD_RESPONSE]


async def test_a_reset_is_a_bad_response() -> None:
    async def resets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.abort()

    async with raw_server(resets) as port:
        answer = await check(port)
    assert [finding.cause for finding in answer.found] == [FaultCause.BAD_RESPONSE]


@pytest.mark.parametrize(
    ("said", "verdict"), [(b"", Verdict.NO_ANSWER), (b"RTSP/1.0 200", Verdict.ANSWERED)]
)
async def test_silence_is_a_timeout_and_an_endless_line_a_bad_response(
    said: bytes, verdict: Verdict
) -> None:
    async def hangs(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        await reader.read()

    async with raw_server(hangs) as port:
        answer = await check(port, 0.4)
    assert answer.verdict is verdict
    assert answer.cause == (OutageCause.TIMEOUT if not said else None)
    assert answer.ended - answer.started < 0.4


async def test_a_closed_port_is_refused() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        answer = await check(holder.getsockname()[1])
    assert (answer.verdict, answer.cause) == (Verdict.NO_ANSWER, OutageCause.REFUSED)


async def test_explain_shows_tcp_and_rtsp() -> None:
    async def answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"RTSP/1.0 200 OK\r\n\r\n")
        await reader.read()

    clock = LeapClock()
    async with raw_server(answers) as port:
        device = Device(DeviceId("x"), "127.0.0.1", port, NodeId("n"))
        probe = RtspProbe(ProbeContext(clock))
        (answer,) = await probe.explain(device, Instant(clock.now() + 2))
        with pytest.raises(ValueError, match="SIGNED"):
            await probe.check(device, Step.SIGNED, Instant(clock.now() + 2))
    assert [(step.name, step.detail) for step in answer.chain] == [("tcp", ""), ("rtsp", "200 OK")]


GST = """
import gi
gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gst, GstRtspServer, GLib
Gst.init(None)
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service("0")
server.attach(None)
print(server.get_bound_port(), flush=True)
GLib.MainLoop().run()
"""


@pytest.fixture
def gstreamer(tmp_path: Path) -> Iterator[int]:
    python = shutil.which("python3", path="/usr/bin")
    script = tmp_path / "server.py"
    script.write_text(GST)
    if python is None or python == sys.executable:
        absent("no system Python beside the virtual environment")
    child = subprocess.Popen(
        [python, script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        line = child.stdout.readline() if child.stdout else ""
        if not line:
            absent("GStreamer's RTSP server is not installed (gir1.2-gst-rtsp-server-1.0)")
        yield int(line)
    finally:
        child.kill()
        child.wait()
        with contextlib.suppress(AttributeError):
            child.stdout.close()  # type: ignore[union-attr]


@pytest.mark.slow
async def test_gstreamers_rtsp_server_answers(gstreamer: int) -> None:
    answer = await check(gstreamer)
    assert (answer.verdict, answer.found) == (Verdict.ANSWERED, ())
