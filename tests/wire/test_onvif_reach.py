"""Step 1 against real sockets: every row of "what counts as an answer" (semantics §2)."""

import asyncio
import errno
import resource
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from fakes.certificate import old_server_context, server_context
from fakes.onvif_device import OnvifDevice, Request, envelope, fault, reply, time_reply
from fakes.onvif_watch import Watch, causes, each_transport, trace  # noqa: F401
from fakes.raw_server import raw_server

from adapters import dial
from gateway.domain.camera import Device, DeviceId, NodeId
from gateway.domain.observation import FaultCause, OutageCause, Verdict

ALL = {FaultCause.NOT_ONVIF, FaultCause.BAD_RESPONSE, FaultCause.TLS, FaultCause.CLOCK}


@pytest.fixture
async def watch() -> AsyncIterator[Watch]:
    async with Watch() as watching:
        yield watching


@pytest.fixture
def tls(tmp_path: Path) -> ssl.SSLContext:
    return server_context(tmp_path)


def at(port: int, *, tls: bool = False, host: str = "127.0.0.1") -> Device:
    return Device(DeviceId(f"{host}:{port}"), host, port, NodeId("n"), tls=tls)


@pytest.fixture
def closed_port() -> Iterator[int]:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


async def test_a_good_device_answers_with_nothing_found_and_an_empty_chain(watch: Watch) -> None:
    async with OnvifDevice() as camera:
        answer = await watch.reach(camera.device())
    assert answer.verdict is Verdict.ANSWERED
    assert (answer.found, answer.chain) == ((), ())
    assert answer.tested == ALL
    assert answer.rtt_s is not None
    assert 0 < answer.rtt_s < 1
    assert answer.clock_offset_s == pytest.approx(0, abs=0.6)
    assert camera.operations == ["GetSystemDateAndTime"]
    assert not camera.seen[0].signed


@pytest.mark.parametrize("skew_s", [-3600.0, -9.0, 9.0, 86_400.0 * 300])
async def test_the_clock_offset_is_measured_and_a_fault_beyond_ten_seconds(
    watch: Watch, skew_s: float
) -> None:
    async with OnvifDevice(skew_s=skew_s) as camera:
        answer = await watch.reach(camera.device())
    assert answer.clock_offset_s == pytest.approx(skew_s, abs=0.6)
    assert causes(answer) == ({FaultCause.CLOCK} if abs(skew_s) > 10 else set())


async def test_a_slow_reply_does_not_shift_the_clock_by_more_than_half_its_time(
    watch: Watch,
) -> None:
    async def late(_: Request, writer: asyncio.StreamWriter) -> None:
        now = time_reply()
        await asyncio.sleep(1.0)
        writer.write(now)

    async with OnvifDevice(replies={"*": late}) as camera:
        answer = await watch.reach(camera.device())
    assert answer.rtt_s == pytest.approx(1.0, abs=0.3)
    assert answer.clock_offset_s == pytest.approx(-0.5, abs=0.8)


@pytest.mark.parametrize(
    ("status", "tests_service"),
    [
        ("401 Unauthorized", True),
        ("403 Forbidden", True),
        ("429 Too Many Requests", False),
        ("503 Service Unavailable", False),
    ],
)
async def test_a_status_line_is_life_and_the_date_header_tells_the_clock(
    watch: Watch, status: str, tests_service: bool
) -> None:
    date = "Date: Mon, 23 Nov 2020 08:00:00 GMT"
    page = reply("<!DOCTYPE html><html>no</html>", status, "text/html", date)
    async with OnvifDevice(replies={"*": page}) as camera:
        answer = await watch.reach(camera.device())
    assert answer.verdict is Verdict.ANSWERED
    assert causes(answer) == {FaultCause.CLOCK}
    assert (FaultCause.NOT_ONVIF in answer.tested) is tests_service
    assert FaultCause.CLOCK in answer.tested


async def test_without_any_time_the_clock_is_not_tested(watch: Watch) -> None:
    page = reply("<html>no</html>", "401 Unauthorized", "text/html")
    async with OnvifDevice(replies={"*": page}) as camera:
        answer = await watch.reach(camera.device())
    assert answer.verdict is Verdict.ANSWERED
    assert answer.found == ()
    assert answer.clock_offset_s is None
    assert FaultCause.CLOCK not in answer.tested


async def test_a_refused_connection_is_no_answer(watch: Watch, closed_port: int) -> None:
    answer = await watch.reach(at(closed_port))
    assert (answer.verdict, answer.cause) == (Verdict.NO_ANSWER, OutageCause.REFUSED)
    assert answer.tested == frozenset()
    assert trace(answer).startswith("tcp False ECONNREFUSED")


async def test_a_dropped_syn_is_a_timeout_within_the_connect_limit() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]
        try:
            for filler in fillers:
                filler.setblocking(False)
                filler.connect_ex(("127.0.0.1", port))
            async with Watch(connect_s=0.5) as watch:
                answer = await watch.reach(at(port))
        finally:
            for filler in fillers:
                filler.close()
    assert (answer.verdict, answer.cause) == (Verdict.NO_ANSWER, OutageCause.TIMEOUT)
    assert 0.4 < answer.ended - answer.started < 1.0
    assert "no connection" in trace(answer)


async def test_accepted_and_silent_is_a_timeout_that_returns_before_the_deadline(
    watch: Watch,
) -> None:
    async def silent(*_: object) -> None:
        await asyncio.sleep(5)

    async with OnvifDevice(replies={"*": silent}) as camera:
        answer = await watch.reach(camera.device(), 0.6)
    assert (answer.verdict, answer.cause) == (Verdict.NO_ANSWER, OutageCause.TIMEOUT)
    assert answer.ended - answer.started < 0.6
    assert "http False accepted, then silent" in trace(answer)


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        (errno.EHOSTUNREACH, OutageCause.UNREACHABLE),
        (errno.ENETUNREACH, OutageCause.UNREACHABLE),
        (errno.ETIMEDOUT, OutageCause.TIMEOUT),
    ],
)
def test_errors_from_the_path_are_no_answer(code: int, cause: OutageCause) -> None:
    trouble = dial.trouble_of(OSError(code, "x"), "127.0.0.1")
    assert dial.MEANING[trouble] == dial.Meaning(Verdict.NO_ANSWER, cause)


@pytest.mark.parametrize(
    "code", [errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS, errno.EPERM, 0]
)
def test_errors_of_our_own_host_are_could_not_tell(code: int) -> None:
    trouble = dial.trouble_of(OSError(code, "x"), "127.0.0.1")
    assert dial.MEANING[trouble].verdict is Verdict.COULD_NOT_TELL


def test_every_trouble_has_a_meaning() -> None:
    assert set(dial.MEANING) == set(dial.Trouble)


def test_network_unreachable_is_ours_when_our_own_host_has_no_route() -> None:
    nowhere = "2001:db8::1"
    if dial.has_route(nowhere):
        pytest.skip("this machine has a route for IPv6 documentation addresses")
    trouble = dial.trouble_of(OSError(errno.ENETUNREACH, "x"), nowhere)
    assert trouble is dial.Trouble.OURS


async def test_no_free_file_descriptor_is_could_not_tell(watch: Watch) -> None:
    async with OnvifDevice() as camera:
        await watch.reach(camera.device())
        other = at(camera.port, host="127.0.0.2")
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        with socket.socket() as last:
            resource.setrlimit(resource.RLIMIT_NOFILE, (last.fileno() + 1, hard))
            try:
                answer = await watch.reach(other)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert answer.verdict is Verdict.COULD_NOT_TELL
    assert (answer.cause, answer.found, answer.tested) == (None, (), frozenset())
    assert "EMFILE" in trace(answer)


@pytest.mark.parametrize("abort", [True, False], ids=["reset", "closed"])
async def test_a_connection_that_ends_without_a_byte_is_a_bad_response(
    watch: Watch, abort: bool
) -> None:
    async def gone(_: Request, writer: asyncio.StreamWriter) -> None:
        if abort:
            writer.transport.abort()
        else:
            writer.close()

    async with OnvifDevice(replies={"*": gone}) as camera:
        answer = await watch.reach(camera.device())
        assert camera.connections == 1, "a fresh connection is not retried"
    assert answer.verdict is Verdict.ANSWERED
    assert causes(answer) == {FaultCause.BAD_RESPONSE}


@pytest.mark.parametrize("abort", [True, False], ids=["reset", "closed"])
async def test_the_same_on_a_kept_connection_is_asked_again_on_a_fresh_one(
    watch: Watch, abort: bool
) -> None:
    async def gone(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.connection > 1 or len(camera.seen) == 1:
            writer.write(time_reply())
        elif abort:
            writer.transport.abort()
        else:
            writer.close()

    async with OnvifDevice(replies={"*": gone}) as camera:
        await watch.reach(camera.device())
        answer = await watch.reach(camera.device())
        assert (len(camera.seen), camera.connections) == (3, 2)
    assert (answer.verdict, answer.found) == (Verdict.ANSWERED, ())


async def test_a_kept_connection_reset_and_the_port_closed_is_refused(watch: Watch) -> None:
    async with OnvifDevice() as camera:
        await watch.reach(camera.device())
    answer = await watch.reach(camera.device())
    assert (answer.verdict, answer.cause) == (Verdict.NO_ANSWER, OutageCause.REFUSED)


@pytest.mark.parametrize("junk", [b"\x00\x01\x02garbage\r\n\r\n", b"220 FTP ready\r\n\r\n"])
async def test_bytes_that_are_not_http_are_a_bad_response(watch: Watch, junk: bytes) -> None:
    async with OnvifDevice(replies={"*": junk}, closes=True) as camera:
        answer = await watch.reach(camera.device())
    assert answer.verdict is Verdict.ANSWERED
    assert causes(answer) == {FaultCause.BAD_RESPONSE}
    assert FaultCause.NOT_ONVIF not in answer.tested, "what is hidden is not tested"


async def test_a_header_that_never_ends_is_a_bad_response_at_the_deadline(watch: Watch) -> None:
    async def drip(_request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        for _ in range(50):
            writer.write(b"X-A: 1\r\n")
            await asyncio.sleep(0.05)

    async with OnvifDevice(replies={"*": drip}) as camera:
        answer = await watch.reach(camera.device(), 0.5)
    assert answer.verdict is Verdict.ANSWERED
    assert causes(answer) == {FaultCause.BAD_RESPONSE}
    assert answer.ended - answer.started < 0.5


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1], ids=str)
async def test_a_camera_that_knows_only_old_tls_answers(
    watch: Watch, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    async with OnvifDevice(tls=old_server_context(tmp_path, version)) as camera:
        answer = await watch.reach(at(camera.port, tls=True))
    assert (answer.verdict, causes(answer)) == (Verdict.ANSWERED, set())


async def test_a_tls_device_with_its_own_certificate_answers(
    watch: Watch, tls: ssl.SSLContext
) -> None:
    async with OnvifDevice(tls=tls) as camera:
        answer = await watch.reach(camera.device())
        again = await watch.reach(camera.device())
        assert camera.connections == 1
    assert (answer.verdict, answer.found, again.found) == (Verdict.ANSWERED, (), ())


@pytest.mark.parametrize(
    "hello", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x15\x03\x03\x00\x02\x02\x28", b""]
)
async def test_a_failed_handshake_is_a_tls_fault(watch: Watch, hello: bytes) -> None:
    async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(hello)

    async with raw_server(garbage) as port:
        answer = await watch.reach(at(port, tls=True))
    assert answer.verdict is Verdict.ANSWERED
    assert causes(answer) == {FaultCause.TLS}
    assert answer.tested == {FaultCause.TLS}
    assert "tls False" in trace(answer)


async def test_a_handshake_that_never_ends_is_silence() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with raw_server(silent) as port, Watch(connect_s=0.3) as watch:
        answer = await watch.reach(at(port, tls=True))
    assert (answer.verdict, answer.cause) == (Verdict.NO_ANSWER, OutageCause.TIMEOUT)


async def test_a_redirect_is_life_and_is_never_followed(watch: Watch) -> None:
    async with OnvifDevice() as elsewhere:
        where = f"Location: http://127.0.0.1:{elsewhere.port}/onvif/device_service"
        moved = reply("", "302 Found", "text/html", where)
        async with OnvifDevice(replies={"*": moved}) as camera:
            answer = await watch.reach(camera.device())
        assert elsewhere.connections == 0
    assert [(f.cause, f.detail) for f in answer.found] == [(FaultCause.NOT_ONVIF, "redirect")]


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        ("<html><body>login</body></html>", "200 OK", "text/html"),
        ("<!DOCTYPE html><html></html>", "200 OK", "text/html"),
        ("Not Found", "404 Not Found", "text/plain"),
        ("", "404 Not Found", "text/plain"),
        ('{"error": 1}', "200 OK", "application/json"),
        ("<status>ok</status>", "200 OK", "text/xml"),
        ("<html>oops</html>", "500 Internal Server Error", "text/html"),
        ("<a:Envelope xmlns:a='urn:x'><b/></a:Envelope>", "200 OK", "text/xml"),
    ],
)
async def test_what_is_not_soap_is_not_onvif(
    watch: Watch, body: str, status: str, kind: str
) -> None:
    async with OnvifDevice(replies={"*": reply(body, status, kind)}) as camera:
        answer = await watch.reach(camera.device())
    assert causes(answer) == {FaultCause.NOT_ONVIF}
    assert answer.verdict is Verdict.ANSWERED


async def test_a_fault_that_demands_a_login_is_a_sign_of_health(watch: Watch) -> None:
    refusal = fault("ter:NotAuthorized", "Sender not Authorized")
    async with OnvifDevice(replies={"*": refusal}) as camera:
        answer = await watch.reach(camera.device())
    assert answer.found == ()
    assert FaultCause.NOT_ONVIF in answer.tested


async def test_a_fault_of_the_service_itself_is_a_bad_response(watch: Watch) -> None:
    broken = fault("ter:Action", "Internal error 17", "500 Internal Server Error")
    async with OnvifDevice(replies={"*": broken}) as camera:
        answer = await watch.reach(camera.device())
    assert causes(answer) == {FaultCause.BAD_RESPONSE}
    assert "Internal error 17" in answer.found[0].detail


async def test_a_reply_to_another_question_is_a_bad_response(watch: Watch) -> None:
    other = reply(envelope("<tds:GetHostnameResponse/>"))
    async with OnvifDevice(replies={"*": other}) as camera:
        answer = await watch.reach(camera.device())
    assert causes(answer) == {FaultCause.BAD_RESPONSE}


async def test_the_request_asks_for_no_compression_and_tells_nothing_about_us(
    watch: Watch,
) -> None:
    async with OnvifDevice() as camera:
        await watch.reach(camera.device())
    headers = camera.seen[0].headers
    assert set(headers) == {"host", "content-type", "content-length"}
    assert headers["content-type"].startswith("application/soap+xml; charset=utf-8; action=")


async def test_explain_shows_every_step_with_its_time(watch: Watch) -> None:
    async with OnvifDevice() as camera:
        deadline = watch.clock.now() + 10
        answers = await watch.probe.explain(camera.device(), type(watch.clock.now())(deadline))
    assert [a.step.name for a in answers] == ["REACH", "SIGNED"]
    names = [step.name for step in answers[0].chain]
    assert names == ["tcp", "http", "soap", "clock"]
    assert answers[0].chain[0].ms > 0
    assert {"auth", "identity", "profiles", "stream_uri"} <= {s.name for s in answers[1].chain}


async def test_explain_stops_where_the_device_stops(watch: Watch, closed_port: int) -> None:
    deadline = type(watch.clock.now())(watch.clock.now() + 3)
    answers = await watch.probe.explain(at(closed_port), deadline)
    assert [a.verdict for a in answers] == [Verdict.NO_ANSWER]


async def test_cancelling_a_check_closes_its_connection(watch: Watch) -> None:
    closed = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        closed.set()

    async with raw_server(silent) as port:
        task = asyncio.create_task(watch.reach(at(port)))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(closed.wait(), 2)
