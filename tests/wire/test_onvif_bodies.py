"""Bodies that are long, endless, split, cut or hostile: always an answer, never trouble for us."""

import asyncio
import re
import tracemalloc
from collections.abc import AsyncIterator, Iterator

import pytest
from fakes.onvif_device import OnvifDevice, Request, envelope, reply, time_reply
from fakes.onvif_watch import Watch, causes, each_transport  # noqa: F401

from adapters.onvif.replies import Soap, read
from adapters.onvif.transport import BODY_LIMIT, Reply
from gateway.domain.observation import FaultCause, Verdict

SOAP = "application/soap+xml; charset=utf-8"


@pytest.fixture
async def watch() -> AsyncIterator[Watch]:
    async with Watch() as watching:
        yield watching


def good_body() -> bytes:
    return time_reply().partition(b"\r\n\r\n")[2]


def pieces(body: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


async def test_a_chunked_answer_in_small_writes_is_good(watch: Watch) -> None:
    async def chunked(_: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for piece in pieces(good_body(), 100):
            writer.write(b"%x;ext=1\r\n%s\r\n" % (len(piece), piece))
            await writer.drain()
            await asyncio.sleep(0)
        writer.write(b"0\r\nX-Trailer: 1\r\n\r\n")

    async with OnvifDevice(replies={"*": chunked}) as camera:
        answers = [await watch.reach(camera.device()) for _ in range(2)]
        assert camera.connections == 1
    assert [a.found for a in answers] == [(), ()]


async def test_a_close_delimited_answer_is_good(watch: Watch) -> None:
    async def until_close(_: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.0 200 OK\r\nContent-Type: text/xml\r\n\r\n" + good_body())

    async with OnvifDevice(replies={"*": until_close}, closes=True) as camera:
        answer = await watch.reach(camera.device())
    assert (answer.verdict, answer.found) == (Verdict.ANSWERED, ())


async def test_an_answer_split_at_every_byte_is_good(watch: Watch) -> None:
    async def drip(_: Request, writer: asyncio.StreamWriter) -> None:
        for piece in pieces(time_reply(), 1):
            writer.write(piece)
            await writer.drain()

    async with OnvifDevice(replies={"*": drip}) as camera:
        answer = await watch.reach(camera.device())
    assert answer.found == ()


async def test_a_slow_drip_is_cut_at_the_deadline(watch: Watch) -> None:
    async def drip(_request: Request, writer: asyncio.StreamWriter) -> None:
        for piece in pieces(time_reply(), 20):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.1)

    async with OnvifDevice(replies={"*": drip}) as camera:
        answer = await watch.reach(camera.device(), 0.6)
    assert answer.verdict is Verdict.ANSWERED
    assert causes(answer) == {FaultCause.BAD_RESPONSE}
    assert answer.ended - answer.started < 0.6


@pytest.mark.parametrize("announced", [True, False], ids=["content-length", "chunked"])
async def test_ten_megabytes_are_cut_at_256_kb(watch: Watch, announced: bool) -> None:
    size = 10 * 1024 * 1024
    sent = 0

    async def huge(_request: Request, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        head = f"Content-Length: {size}" if announced else "Transfer-Encoding: chunked"
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: {SOAP}\r\n{head}\r\n\r\n".encode())
        piece = b"<a>" * 5461 + b"x"
        for _ in range(size // len(piece)):
            writer.write(piece if announced else b"%x\r\n%s\r\n" % (len(piece), piece))
            sent += len(piece)
            await writer.drain()

    async with OnvifDevice(replies={"*": huge}) as camera:
        tracemalloc.start()
        answer = await watch.reach(camera.device())
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert answer.verdict is Verdict.ANSWERED
    assert [(f.cause, f.detail) for f in answer.found] == [
        (FaultCause.BAD_RESPONSE, "the body is over 256 kB")
    ]
    assert sent < size
    assert peak < 16 * BODY_LIMIT


async def test_a_never_ending_body_is_cut_at_the_cap_or_the_deadline(watch: Watch) -> None:
    async def endless(_: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"1\r\n \r\n")
            await writer.drain()
            await asyncio.sleep(0.01)

    async with OnvifDevice(replies={"*": endless}) as camera:
        answer = await watch.reach(camera.device(), 0.5)
    assert answer.verdict is Verdict.ANSWERED
    assert [f.detail for f in answer.found] == ["the body did not end in time"]
    assert answer.ended - answer.started < 0.5


async def test_less_than_announced_is_truncated(watch: Watch) -> None:
    async def cut(_: Request, writer: asyncio.StreamWriter) -> None:
        raw = time_reply()
        writer.write(raw[:-150])
        await writer.drain()
        writer.close()

    async with OnvifDevice(replies={"*": cut}) as camera:
        answer = await watch.reach(camera.device())
    assert [(f.cause, f.detail) for f in answer.found] == [(FaultCause.BAD_RESPONSE, "truncated")]


@pytest.mark.parametrize("keep", [30, 200, 500])
async def test_a_body_cut_by_the_device_itself_is_truncated(watch: Watch, keep: int) -> None:
    async with OnvifDevice(replies={"*": reply(good_body()[:keep])}) as camera:
        answer = await watch.reach(camera.device())
    assert [f.detail for f in answer.found] == ["truncated"]


async def test_a_wrong_length_does_not_hide_a_whole_answer(watch: Watch) -> None:
    async def too_long(_: Request, writer: asyncio.StreamWriter) -> None:
        raw = time_reply()
        writer.write(re.sub(rb"Content-Length: \d+", b"Content-Length: 9999", raw))
        await writer.drain()
        writer.close()

    async with OnvifDevice(replies={"*": too_long}) as camera:
        answer = await watch.reach(camera.device())
    assert answer.found == ()


BOMB = (
    '<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;">'
    '<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]>'
    '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body><x>&c;</x></s:Body>'
    "</s:Envelope>"
)
FILE = BOMB.replace('<!ENTITY a "aaaaaaaaaa">', '<!ENTITY a SYSTEM "file:///etc/passwd">')


@pytest.mark.parametrize("body", [BOMB, FILE], ids=["bomb", "external"])
async def test_a_doctype_is_refused_before_parsing(watch: Watch, body: str) -> None:
    async with OnvifDevice(replies={"*": reply(body)}) as camera:
        answer = await watch.reach(camera.device())
    assert [(f.cause, f.detail) for f in answer.found] == [
        (FaultCause.BAD_RESPONSE, "a DOCTYPE is refused")
    ]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32"])
async def test_a_doctype_hidden_by_an_encoding_is_refused_too(watch: Watch, encoding: str) -> None:
    async with OnvifDevice(replies={"*": reply(BOMB.encode(encoding))}) as camera:
        answer = await watch.reach(camera.device())
    assert causes(answer) <= {FaultCause.BAD_RESPONSE, FaultCause.NOT_ONVIF}
    assert answer.found


def test_deep_nesting_is_refused_by_the_parser() -> None:
    body = envelope("<a>" * 5000 + "</a>" * 5000).encode()
    found = read(Reply(200, {}, body))
    assert not isinstance(found, Soap)
    assert found.cause is FaultCause.BAD_RESPONSE


async def test_a_redirecting_body_page_and_a_401_page_are_read_by_their_status(
    watch: Watch,
) -> None:
    page = reply("<html>" * 1000, "401 Unauthorized", "text/html")
    async with OnvifDevice(replies={"*": page}) as camera:
        answer = await watch.reach(camera.device())
    assert (answer.verdict, answer.found) == (Verdict.ANSWERED, ())


async def test_trailing_nul_bytes_and_line_ends_are_forgiven(watch: Watch) -> None:
    async with OnvifDevice(replies={"*": reply(good_body() + b"\r\n\0\0")}) as camera:
        answer = await watch.reach(camera.device())
    assert answer.found == ()


async def test_compressed_without_being_asked_is_not_read(watch: Watch) -> None:
    import gzip

    packed = reply(gzip.compress(good_body()), "200 OK", SOAP, "Content-Encoding: gzip")
    async with OnvifDevice(replies={"*": packed}) as camera:
        answer = await watch.reach(camera.device())
    assert answer.verdict is Verdict.ANSWERED
    assert len(answer.found) == 1
