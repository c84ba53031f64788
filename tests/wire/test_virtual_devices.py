"""What virtual devices answer: logins, lockout, digests, and each quirk and trouble."""

import asyncio
import hashlib
import re
import secrets
import ssl
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import pytest
from lxml import etree
from wire.virtual_fleet import TR2, TRT, Client, Fleet, Got, ask, call, wsse

from adapters.virtual.bad_replies import BAD_VARIANTS, HUGE_BYTES
from adapters.virtual.login import LOCKOUT_AFTER, LoginRules
from adapters.virtual.model import Personality, Quirk, Signing, Trouble
from adapters.virtual.server import DistrictServer, utc_now
from gateway.domain.camera import DeviceId

PASSWORD = "A1b2-secret"
INFORMATION = "GetDeviceInformation"


def signed(operation: str = INFORMATION, **how: Any) -> bytes:
    return call(operation, header=wsse(**how))


def text(got: Got, name: str) -> str:
    found = re.search(rf"<[\w-]+:{name}[^>]*>([^<]*)</".encode(), got.body)
    return found[1].decode() if found else ""


def challenge_of(got: Got) -> dict[str, str]:
    pairs = re.findall(r'(\w+)=(?:"([^"]*)"|([^\s,]+))', got.headers["www-authenticate"])
    return {name: quoted or bare for name, quoted, bare in pairs}


def authorization(
    challenge: dict[str, str],
    uri: str = "/onvif/device_service",
    *,
    method: str = "POST",
    count: int = 1,
    password: str = PASSWORD,
) -> dict[str, str]:
    """An HTTP Digest header by RFC 7616."""
    name = {"MD5": "md5", "SHA-256": "sha256"}[challenge["algorithm"]]

    def digest(content: str) -> str:
        return hashlib.new(name, content.encode()).hexdigest()

    cnonce, nc = secrets.token_hex(8), f"{count:08x}"
    nonce, realm = challenge["nonce"], challenge["realm"]
    secret = digest(f"admin:{realm}:{password}")
    response = digest(f"{secret}:{nonce}:{nc}:{cnonce}:auth:{digest(f'{method}:{uri}')}")
    return {
        "Authorization": (
            f'Digest username="admin", realm="{realm}", nonce="{nonce}", uri="{uri}", '
            f"algorithm={challenge['algorithm']}, qop=auth, nc={nc}, "
            f'cnonce="{cnonce}", response="{response}"'
        )
    }


# --- WS-UsernameToken
@pytest.mark.parametrize("zulu", [True, False])
async def test_a_right_token_is_let_in_whichever_way_utc_is_written(zulu: bool) -> None:
    fleet = Fleet()
    device = fleet.add()
    async with fleet.served() as server:
        got = await ask(device, signed(zulu=zulu))
        assert (got.status, text(got, "SerialNumber")) == (200, "SN000001")
        assert server.devices[device].refused_logins == 0


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ({"password": "wrong"}, "wrong password"),
        ({"username": "root"}, "wrong user"),
        ({"skew_s": 9.0}, "created in the future"),
        ({"skew_s": -9.0}, "created too long ago"),
    ],
)
async def test_a_wrong_token_is_refused_and_counted(how: dict[str, Any], why: str) -> None:
    fleet = Fleet()
    device = fleet.add()
    async with fleet.served() as server:
        got = await ask(device, signed(**how))
        assert got.status in {400, 401}, why
        assert b"ter:NotAuthorized" in got.body
        assert server.devices[device].refused_logins == 1
        assert server.stats()["refused_logins_max_in_31_min"] == 1


async def test_a_token_cannot_be_used_twice() -> None:
    fleet = Fleet()
    device = fleet.add()
    async with fleet.served() as server:
        body = signed()
        assert (await ask(device, body)).status == 200
        assert (await ask(device, body)).status in {400, 401}
        assert server.devices[device].refused_logins == 1


async def test_the_window_for_created_can_be_set_and_is_by_the_clock_of_the_device() -> None:
    fleet = Fleet()
    device = fleet.add(Personality(quirk=Quirk.CLOCK_SKEW))
    async with fleet.served(LoginRules("admin", PASSWORD, created_window_s=1.6)) as server:
        skew = server.devices[device].skew_s
        assert 2 <= abs(skew) <= 8
        assert (await ask(device, signed())).status in {400, 401}
        assert (await ask(device, signed(skew_s=skew))).status == 200


async def test_an_unsigned_call_is_refused_without_counting_as_a_login() -> None:
    fleet = Fleet()
    device = fleet.add()
    async with fleet.served() as server:
        assert (await ask(device, call(INFORMATION))).status in {400, 401}
        assert server.devices[device].refused_logins == 0


async def test_a_device_locks_after_refused_logins_and_then_refuses_the_right_one() -> None:
    fleet = Fleet()
    device = fleet.add(Personality(quirk=Quirk.LOCKOUT))
    async with fleet.served() as server:
        for _ in range(LOCKOUT_AFTER):
            await ask(device, signed(password="wrong"))
        got = await ask(device, signed())
        assert got.status == 401
        assert b"locked" in got.body
        assert server.devices[device].refused_logins == LOCKOUT_AFTER + 1
        assert (await ask(device, call("GetSystemDateAndTime"))).status == 200


# --- HTTP Digest
@pytest.mark.parametrize(
    ("signing", "algorithm"),
    [(Signing.DIGEST_MD5, "MD5"), (Signing.DIGEST_SHA256, "SHA-256")],
)
async def test_a_digest_device_challenges_and_lets_the_right_answer_in(
    signing: Signing, algorithm: str
) -> None:
    fleet = Fleet()
    device = fleet.add(Personality(signing=signing))
    async with fleet.served() as server, Client(device) as client:
        got = await client.ask(signed())
        assert got.status == 401
        challenge = challenge_of(got)
        assert challenge["algorithm"] == algorithm
        assert (await client.ask(call(INFORMATION), headers=authorization(challenge))).status == 200
        good = authorization(challenge, count=2)
        assert (await client.ask(call(INFORMATION), headers=good)).status == 200
        assert server.devices[device].refused_logins == 0
        replayed = await client.ask(call(INFORMATION), headers=good)
        assert replayed.status == 401
        bad = authorization(challenge_of(replayed), password="wrong")
        assert (await client.ask(call(INFORMATION), headers=bad)).status == 401
        assert server.devices[device].refused_logins == 2


async def test_an_old_nonce_is_called_stale_and_is_not_a_refused_login() -> None:
    fleet = Fleet()
    device = fleet.add(Personality(signing=Signing.DIGEST_MD5))
    rules = LoginRules("admin", PASSWORD, digest_nonce_s=0.2)
    async with fleet.served(rules) as server, Client(device) as client:
        challenge = challenge_of(await client.ask(call(INFORMATION)))
        await asyncio.sleep(0.3)
        got = await client.ask(call(INFORMATION), headers=authorization(challenge))
        assert got.status == 401
        fresh = challenge_of(got)
        assert fresh["stale"] == "true"
        good = authorization(fresh)
        assert (await client.ask(call(INFORMATION), headers=good)).status == 200
        assert server.devices[device].refused_logins == 0


async def test_a_nonce_can_be_bound_to_its_url() -> None:
    fleet = Fleet()
    device = fleet.add(Personality(signing=Signing.DIGEST_MD5, quirk=Quirk.NONCE_PER_URL))
    async with fleet.served(), Client(device) as client:
        challenge = challenge_of(await client.ask(call(INFORMATION)))
        media = "/onvif/media_service"
        body = call("GetProfiles", TRT)
        got = await client.ask(body, media, headers=authorization(challenge, media))
        assert got.status == 401
        fresh = authorization(challenge_of(got), media)
        assert (await client.ask(body, media, headers=fresh)).status == 200


async def test_an_http_client_nobody_here_wrote_gets_a_snapshot_by_digest() -> None:
    fleet = Fleet()
    device = fleet.add(channels=3)
    async with fleet.served():
        digest = aiohttp.DigestAuthMiddleware("admin", PASSWORD)
        async with aiohttp.ClientSession(middlewares=(digest,)) as session:
            async with session.get(f"http://{device}/onvif/snapshot/3") as response:
                picture = await response.read()
                assert response.content_type == "image/jpeg"
            assert picture.startswith(b"\xff\xd8\xff")
            assert picture.endswith(b"\xff\xd9")
            async with session.get(f"http://{device}/onvif/snapshot/4") as response:
                assert response.status == 404


# --- quirks
async def quirky(quirk: Quirk, body: bytes, path: str = "/onvif/device_service") -> Got:
    fleet = Fleet()
    device = fleet.add(Personality(quirk=quirk))
    async with fleet.served():
        return await ask(device, body, path)


async def test_time_may_need_a_login_while_the_date_header_is_right() -> None:
    got = await quirky(Quirk.TIME_NEEDS_AUTH, call("GetSystemDateAndTime"))
    assert got.status in {400, 401}
    off = parsedate_to_datetime(got.headers["date"]) - utc_now()
    assert abs(off.total_seconds()) < 3
    assert (await quirky(Quirk.TIME_NEEDS_AUTH, signed("GetSystemDateAndTime"))).status == 200


async def test_time_may_come_without_utc() -> None:
    got = await quirky(Quirk.LOCAL_TIME_ONLY, call("GetSystemDateAndTime"))
    assert b"UTCDateTime" not in got.body
    assert b"LocalDateTime" in got.body


async def test_a_zulu_only_device_refuses_an_offset() -> None:
    assert (await quirky(Quirk.ZULU_ONLY, signed(zulu=False))).status in {400, 401}
    assert (await quirky(Quirk.ZULU_ONLY, signed())).status == 200


async def test_a_busy_device_refuses_a_right_login_now_and_then_without_counting_it() -> None:
    fleet = Fleet()
    device = fleet.add(Personality(quirk=Quirk.BUSY))
    async with fleet.served() as server:
        got = [await ask(device, signed()) for _ in range(8)]
        assert [g.status for g in got] == [200, 200, 200, 401, 200, 200, 200, 401]
        assert got[3].headers["connection"] == "close"
        assert server.devices[device].refused_logins == 0
        assert server.devices[device].busy_refusals == 2


async def test_addresses_given_out_may_be_wrong() -> None:
    got = await quirky(Quirk.WRONG_XADDR, call("GetServices"))
    addresses = re.findall(rb"<tds:XAddr>http://([^/]+)/", got.body)
    assert set(addresses) <= {b"192.168.1.64", b"127.0.0.1"}
    assert len(addresses) == 4


async def test_a_media_call_at_the_wrong_service_may_be_a_fault() -> None:
    body = call("GetProfiles", TRT, header=wsse())
    got = await quirky(Quirk.WRONG_SERVICE_FAULT, body)
    assert got.status == 500
    assert b"ter:ActionNotSupported" in got.body
    body = call("GetProfiles", TRT, header=wsse())
    assert (await quirky(Quirk.WRONG_SERVICE_FAULT, body, "/onvif/media_service")).status == 200


async def test_profiles_may_exist_in_media2_only() -> None:
    capabilities = await quirky(Quirk.MEDIA2_ONLY, call("GetCapabilities"))
    assert b"<tt:Media>" not in capabilities.body
    old = await quirky(Quirk.MEDIA2_ONLY, call("GetProfiles", TRT, header=wsse()))
    assert old.status == 500
    new = await quirky(Quirk.MEDIA2_ONLY, call("GetProfiles", TR2, header=wsse()))
    assert b"<tt:SourceToken>VideoSource_1</tt:SourceToken>" in new.body


async def test_a_fault_may_use_a_prefix_that_it_never_declares() -> None:
    got = await quirky(Quirk.UNDECLARED_PREFIX, call(INFORMATION))
    assert b"ter:NotAuthorized" in got.body
    assert b"xmlns:ter" not in got.body


async def test_a_model_name_may_be_gbk_in_a_utf8_reply() -> None:
    got = await quirky(Quirk.BAD_UTF8, signed())
    with pytest.raises(UnicodeDecodeError):
        got.body.decode()
    assert "高清网络摄像机".encode("gbk") in got.body


async def test_capabilities_and_interfaces_may_be_missing() -> None:
    assert (await quirky(Quirk.NO_CAPABILITIES, call("GetCapabilities"))).status == 500
    assert (await quirky(Quirk.NO_CAPABILITIES, call("GetServices"))).status == 200
    got = await quirky(Quirk.NO_INTERFACES, signed("GetNetworkInterfaces"))
    assert b"ter:ActionNotSupported" in got.body


@pytest.mark.parametrize("quirk", [Quirk.CHUNKED, Quirk.CLOSE_DELIMITED])
async def test_a_reply_may_be_framed_in_other_ways(quirk: Quirk) -> None:
    got = await quirky(quirk, call("GetSystemDateAndTime"))
    assert "content-length" not in got.headers
    assert etree.fromstring(got.body).tag.endswith("Envelope")


# --- troubles that let a device answer
async def test_another_password_another_identity_and_a_lock_are_seen_by_a_signed_call() -> None:
    fleet = Fleet()
    device = fleet.add()
    async with fleet.served() as server:
        server.apply(device, Trouble.AUTH)
        assert (await ask(device, signed())).status in {400, 401}
        server.apply(device, Trouble.LOCKED_OUT)
        assert b"locked" in (await ask(device, signed())).body
        assert server.devices[device].refused_logins == 2
        server.apply(device, Trouble.WRONG_DEVICE)
        assert text(await ask(device, signed()), "SerialNumber") not in {"", "SN000001"}
        mac = text(await ask(device, signed("GetNetworkInterfaces")), "HwAddress")
        assert mac != "02:00:00:00:00:01"
        server.heal(device)
        assert text(await ask(device, signed()), "SerialNumber") == "SN000001"


async def test_a_clock_in_trouble_is_minutes_off_everywhere() -> None:
    fleet = Fleet()
    device = fleet.add()
    async with fleet.served() as server:
        server.apply(device, Trouble.CLOCK)
        got = await ask(device, call("GetSystemDateAndTime"))
        off = (parsedate_to_datetime(got.headers["date"]) - utc_now()).total_seconds()
        assert 100 < off < 700
        assert (await ask(device, signed())).status in {400, 401}
        assert (
            await ask(device, signed(skew_s=server.devices[device].clock - utc()))
        ).status == 200


def utc() -> float:
    return utc_now().timestamp()


async def test_a_web_page_may_answer() -> None:
    fleet = Fleet()
    device = fleet.add()
    async with fleet.served() as server:
        server.apply(device, Trouble.NOT_ONVIF)
        got = await ask(device, call("GetSystemDateAndTime"))
        assert (got.status, got.headers["content-type"][:9]) == (200, "text/html")


async def broken(variant: str) -> tuple[DistrictServer, DeviceId]:
    """A fleet with a device that shows this variant of `bad_response`."""
    fleet = Fleet()
    for _ in range(200):
        fleet.add()
    server = DistrictServer(fleet.district())
    device = next(i for i, d in server.devices.items() if d.bad_variant == variant)
    await server.start()
    server.apply(device, Trouble.BAD_RESPONSE)
    return server, device


@pytest.mark.parametrize("variant", BAD_VARIANTS)
async def test_replies_may_be_broken_in_four_ways(variant: str) -> None:
    server, device = await broken(variant)
    try:
        async with Client(device) as client:
            await client.send(call("GetSystemDateAndTime"))
            head = (await client.reader.readuntil(b"\r\n\r\n")).decode()
            if variant == "endless":
                first = await client.reader.read(100)
                second = await asyncio.wait_for(client.reader.read(100), 3)
                assert first
                assert second
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(client.reader.read(), 1.2)
                server.heal(device)
                with pytest.raises(ConnectionResetError):
                    await asyncio.wait_for(client.reader.read(), 2)
                return
            promised = int(re.findall(r"Content-Length: (\d+)", head)[0])
            body = (
                await client.reader.read()
                if variant == "truncated"
                else (await client.reader.readexactly(promised))
            )
            if variant == "truncated":
                assert len(body) < promised
            elif variant == "huge":
                assert promised > 256 * 1024
                assert promised > HUGE_BYTES * 0.9
            else:
                assert b"<!DOCTYPE" in body
                with pytest.raises(etree.XMLSyntaxError):
                    etree.fromstring(body, etree.XMLParser(resolve_entities=True))
    finally:
        await server.close()


async def test_tls_devices_shake_hands_and_fail_to_when_in_trouble() -> None:
    fleet = Fleet()
    device, plain = fleet.add(tls=True), fleet.add()
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    host, _, port = device.partition(":")
    async with fleet.served() as server:
        reader, writer = await asyncio.open_connection(host, int(port), ssl=context)
        body = call("GetSystemDateAndTime")
        head = f"POST /onvif/device_service HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        server.apply(device, Trouble.TLS)
        with pytest.raises((ConnectionResetError, ssl.SSLError)):
            await reader.readexactly(100_000)
        writer.close()
        with pytest.raises(ssl.SSLError):
            await asyncio.open_connection(host, int(port), ssl=context)
        with pytest.raises(ValueError, match="TLS"):
            server.apply(plain, Trouble.TLS)


# --- the protocol
async def test_requests_sent_ahead_are_answered_in_order() -> None:
    fleet = Fleet()
    device = fleet.add(Personality(slow_s=0.02))
    async with fleet.served(), Client(device) as client:
        await client.send(call("GetSystemDateAndTime"))
        await client.send(call("GetServices"))
        assert b"GetSystemDateAndTimeResponse" in (await client.read()).body
        assert b"GetServicesResponse" in (await client.read()).body


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"POST /onvif/device_service HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 411),
        (b"POST /onvif/device_service HTTP/1.1\r\nContent-Length: 999999\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nX: " + b"x" * 20_000, 431),
        (b"GET /onvif/device_service HTTP/1.1\r\n\r\n", 405),
        (b"POST /elsewhere HTTP/1.1\r\nContent-Length: 0\r\n\r\n", 404),
        (b"POST /onvif/device_service HTTP/1.1\r\nContent-Length: 4\r\n\r\n<no>", 400),
    ],
)
async def test_what_is_no_request_gets_a_status_and_no_crash(
    request_bytes: bytes, status: int
) -> None:
    fleet = Fleet()
    device = fleet.add()
    async with fleet.served(), Client(device) as client:
        client.writer.write(request_bytes)
        assert (await client.read()).status == status


async def test_rtsp_options_is_answered_for_devices_checked_that_way() -> None:
    fleet = Fleet()
    device = fleet.add()
    async with fleet.served(), Client(device) as client:
        client.writer.write(b"OPTIONS rtsp://x/ RTSP/1.0\r\nCSeq: 7\r\n\r\n")
        head = (await client.reader.readuntil(b"\r\n\r\n")).decode()
        assert head.startswith("RTSP/1.0 200 OK")
        assert "CSeq: 7" in head


async def test_soap_11_is_answered_in_soap_11() -> None:
    from wire.virtual_fleet import TDS, envelope

    fleet = Fleet()
    device = fleet.add()
    soap11 = "http://schemas.xmlsoap.org/soap/envelope/"
    async with fleet.served():
        body = envelope(f'<GetServices xmlns="{TDS}"/>', namespace=soap11)
        got = await ask(device, body)
        assert got.headers["content-type"].startswith("text/xml")
        assert etree.fromstring(got.body).tag == f"{{{soap11}}}Envelope"
