"""Quirks 1-17 and 31-36 of real devices, each with its reply under tests/data/onvif."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from fakes.onvif_device import (
    DATA,
    TR2,
    OnvifDevice,
    Request,
    Writes,
    envelope,
    recorded,
    reply,
    time_reply,
)
from fakes.onvif_watch import Watch, causes, credential, each_transport, trace  # noqa: F401
from lxml import etree

from adapters.onvif import addressing, auth, content
from adapters.onvif.replies import FaultKind, Soap, read
from adapters.onvif.transport import Reply
from gateway.domain.observation import AuthScheme, FaultCause, Verdict


@pytest.fixture
async def watch() -> AsyncIterator[Watch]:
    async with Watch() as watching:
        yield watching


def soap(name: str, **values: str) -> Soap:
    """A recorded reply, read."""
    head, _, body = recorded(name, **values).partition(b"\r\n\r\n")
    found = read(Reply(int(head.split()[1]), {}, body))
    assert isinstance(found, Soap), found
    return found


def challenges(name: str, **values: str) -> list[str]:
    """The `WWW-Authenticate` headers of a recorded reply."""
    head = recorded(name).partition(b"\r\n\r\n")[0].decode()
    for key, value in values.items():
        head = head.replace("{{" + key + "}}", value)
    return re.findall(r"(?im)^www-authenticate: (.*?)\r?$", head)


def unless_authorized(name: str, camera: OnvifDevice, nonce: str) -> Writes:
    """Answer with a recorded challenge until `Authorization` comes, then with the device itself."""

    async def write(request: Request, writer: asyncio.StreamWriter) -> None:
        if "authorization" in request.headers:
            assert f'nonce="{nonce}"' in request.headers["authorization"]
            writer.write(reply(envelope(camera._content(request))))
        else:
            raw = recorded(name).replace(b"{{nonce}}", nonce.encode())
            writer.write(raw)

    return write


async def test_quirk_01_a_clock_reset_by_months_is_a_clock_fault_and_signing_still_works(
    watch: Watch,
) -> None:
    reset = datetime(2000, 1, 1, 0, 3, 17, tzinfo=UTC)
    skew_s = (reset - datetime.now(UTC)).total_seconds()
    time_told = recorded("quirk-01-time-after-power-loss.http")
    async with OnvifDevice(
        skew_s=skew_s, window_s=8, replies={"GetSystemDateAndTime": time_told}
    ) as camera:
        answer = await watch.signed(camera.device())
    assert causes(answer) == {FaultCause.CLOCK}
    assert FaultCause.AUTH in answer.tested
    assert camera.refused == []


async def test_quirk_01_a_clock_that_moved_is_measured_again_and_the_signature_repeated(
    watch: Watch,
) -> None:
    camera = OnvifDevice(skew_s=0.0)

    async def drifts(_: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(time_reply(camera.skew_s))
        await writer.drain()
        camera.skew_s = 300.0  # it rebooted just after telling the time

    camera.replies["GetSystemDateAndTime"] = drifts
    async with camera:
        answer = await watch.signed(camera.device())
    assert FaultCause.AUTH not in causes(answer)
    assert FaultCause.AUTH in answer.tested
    assert len(camera.refused) == 1


async def test_quirk_02_a_time_behind_a_login_comes_from_the_date_header(watch: Watch) -> None:
    date = format_datetime(datetime.now(UTC), usegmt=True)
    locked = recorded("quirk-02-time-demands-login.http").replace(b"{{date}}", date.encode())
    async with OnvifDevice(replies={"GetSystemDateAndTime": locked}) as camera:
        answer = await watch.signed(camera.device())
    assert answer.found == ()
    assert answer.clock_offset_s == pytest.approx(0, abs=1.1)
    assert {FaultCause.AUTH, FaultCause.CLOCK} <= answer.tested


@pytest.mark.parametrize(
    ("name", "measured"),
    [("quirk-02-local-time-only.http", True), ("quirk-02-impossible-time.http", False)],
)
async def test_quirk_02_a_reply_without_a_usable_utc_time_is_good(
    watch: Watch, name: str, measured: bool
) -> None:
    date = format_datetime(datetime.now(UTC), usegmt=True)
    told = recorded(name).replace(b"{{date}}", date.encode())
    async with OnvifDevice(replies={"GetSystemDateAndTime": told}) as camera:
        answer = await watch.reach(camera.device())
    assert (answer.verdict, answer.found) == (Verdict.ANSWERED, ())
    assert (answer.clock_offset_s is not None) is measured
    assert (FaultCause.CLOCK in answer.tested) is measured


async def test_quirk_03_created_ends_with_z(watch: Watch) -> None:
    camera = OnvifDevice()

    async def insists(request: Request, writer: asyncio.StreamWriter) -> None:
        created = re.search(r"Created[^>]*>([^<]*)<", request.body)
        good = created is not None and created[1].endswith("Z")
        page = recorded("quirk-03-created-without-zulu.http")
        writer.write(reply(envelope(camera._content(request))) if good else page)

    camera.replies["GetDeviceInformation"] = insists
    async with camera:
        answer = await watch.signed(camera.device())
    assert answer.found == ()
    assert FaultCause.AUTH in answer.tested


@pytest.mark.parametrize(
    ("quirk", "name"),
    [(4, "quirk-04-digest-only-with-a-page.http"), (5, "quirk-05-login-to.http")],
)
async def test_quirks_04_and_05_a_digest_only_device_is_answered_by_digest_and_remembered(
    watch: Watch, quirk: int, name: str
) -> None:
    camera = OnvifDevice()
    for operation in ("GetDeviceInformation", "GetServices", "GetProfiles", "GetStreamUri"):
        camera.replies[operation] = unless_authorized(name, camera, f"n{quirk}")
    async with camera:
        answer = await watch.signed(camera.device())
        before = len(camera.seen)
        again = await watch.signed(camera.device())
    assert (answer.found, again.found) == ((), ())
    assert watch.memory[camera.device().id].scheme is AuthScheme.DIGEST
    assert not any("UsernameToken" in request.body for request in camera.seen[before:])


async def test_quirk_04_a_token_answered_by_400_and_a_page_leads_to_digest(watch: Watch) -> None:
    camera = OnvifDevice(login="MD5")

    async def picky(request: Request, writer: asyncio.StreamWriter) -> None:
        if "UsernameToken" in request.body:
            writer.write(recorded("quirk-04-bad-request-with-a-page.http"))
            return
        refusal = camera._checked(request)
        writer.write(refusal or reply(envelope(camera._content(request))))

    camera.replies["GetDeviceInformation"] = picky
    async with camera:
        answer = await watch.signed(camera.device())
    assert answer.found == ()
    assert FaultCause.AUTH in answer.tested


async def test_quirk_05_the_token_has_no_timestamp_and_no_must_understand(watch: Watch) -> None:
    camera = OnvifDevice()

    async def picky(request: Request, writer: asyncio.StreamWriter) -> None:
        wrong = "Timestamp" in request.body or "mustUnderstand" in request.body
        page = recorded("quirk-05-timestamp-refused.http")
        writer.write(page if wrong else reply(envelope(camera._content(request))))

    camera.replies["GetDeviceInformation"] = picky
    async with camera:
        answer = await watch.signed(camera.device())
    assert answer.found == ()


async def test_quirk_06_each_url_has_its_own_nonce_and_sha_256_is_preferred(watch: Watch) -> None:
    issued: dict[str, str] = {}
    camera = OnvifDevice()

    async def bound(request: Request, writer: asyncio.StreamWriter) -> None:
        given = request.headers.get("authorization", "")
        if request.path in issued and f'nonce="{issued[request.path]}"' in given:
            assert "algorithm=SHA-256" in given
            writer.write(reply(envelope(camera._content(request))))
            return
        assert not given, "a nonce of another URL was used"
        issued[request.path] = f"n{len(issued)}"
        raw = recorded("quirk-06-nonce-of-another-url.http")
        writer.write(raw.replace(b"{{nonce}}", issued[request.path].encode()))

    for operation in ("GetDeviceInformation", "GetServices", "GetProfiles", "GetStreamUri"):
        camera.replies[operation] = bound
    async with camera:
        answer = await watch.signed(camera.device())
    assert answer.found == ()
    assert len(issued) == 2


async def test_quirk_07_a_401_that_closes_on_a_good_credential_is_busy_not_a_fault(
    watch: Watch,
) -> None:
    async with OnvifDevice() as camera:
        await watch.signed(camera.device())
        busy_once = [recorded("quirk-07-users-are-full.http")]

        async def busy(request: Request, writer: asyncio.StreamWriter) -> None:
            content_ = reply(envelope(camera._content(request)))
            writer.write(busy_once.pop() if busy_once else content_)

        camera.replies["GetDeviceInformation"] = busy
        answer = await watch.signed(camera.device())
    assert answer.found == ()
    assert FaultCause.AUTH in answer.tested
    assert len(watch.memory[camera.device().id].refused_at) == 1, "it counts as a refused login"


async def test_quirk_07_refused_again_it_was_not_busy(watch: Watch) -> None:
    async with OnvifDevice() as camera:
        await watch.signed(camera.device())
        camera.replies["GetDeviceInformation"] = recorded("quirk-07-users-are-full.http")
        answer = await watch.signed(camera.device())
        asked = camera.operations.count("GetDeviceInformation")
        paused = await watch.signed(camera.device())
        assert camera.operations.count("GetDeviceInformation") == asked
    assert causes(answer) == {FaultCause.AUTH}
    assert FaultCause.AUTH not in paused.tested


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("quirk-08-attempts-left.http", FaultCause.AUTH),
        ("quirk-08-no-attempt-left.http", FaultCause.LOCKED_OUT),
        ("quirk-08-locked.http", FaultCause.LOCKED_OUT),
        ("quirk-08-locked-page.http", FaultCause.LOCKED_OUT),
    ],
)
async def test_quirk_08_a_bad_password_and_a_locked_account_are_told_apart(
    watch: Watch, name: str, cause: FaultCause
) -> None:
    async with OnvifDevice(replies={"GetDeviceInformation": recorded(name)}) as camera:
        answer = await watch.signed(camera.device())
    assert causes(answer) == {cause}
    assert (FaultCause.AUTH in answer.tested) is (cause is FaultCause.AUTH)
    assert camera.operations.count("GetDeviceInformation") == 1


async def test_quirk_09_a_user_without_the_right_to_profiles_is_no_fault(watch: Watch) -> None:
    refused = recorded("quirk-09-no-right-to-profiles.http")
    async with OnvifDevice(replies={"GetProfiles": refused}) as camera:
        answer = await watch.signed(camera.device())
    assert answer.found == ()
    assert FaultCause.AUTH in answer.tested


async def test_quirk_10_special_characters_never_reach_the_xml() -> None:
    camera = OnvifDevice()

    async def parses(request: Request, writer: asyncio.StreamWriter) -> None:
        page = recorded("quirk-10-password-broke-the-xml.http")
        try:
            root = etree.fromstring(request.body.encode())
        except etree.XMLSyntaxError:
            writer.write(page)
            return
        assert root.findtext(".//{*}Username") == 'a<b>&"ü'
        writer.write(reply(envelope(camera._content(request))))

    camera.replies["GetDeviceInformation"] = parses
    secret = "</Password>&\"'<!--"
    async with camera, Watch({"district": credential(secret, 'a<b>&"ü')}) as watch:
        answer = await watch.signed(camera.device())
    assert answer.found == ()
    assert not any(secret in request.body for request in camera.seen)


@pytest.mark.parametrize(
    ("name", "asked_at"),
    [
        ("quirk-11-private-addresses.http", "/onvif/Media?channel=1"),
        ("quirk-11-loopback-wrong-path.http", "/onvif/media_service"),
    ],
)
async def test_quirk_11_only_the_path_of_a_returned_address_is_used(
    watch: Watch, name: str, asked_at: str
) -> None:
    async with OnvifDevice() as camera:
        camera.replies["GetServices"] = recorded(name, port=str(camera.port))

        async def profiles(request: Request, writer: asyncio.StreamWriter) -> None:
            missing = request.path == "/onvif/nothing_here"
            lost = reply("", "404 Not Found", "text/plain")
            writer.write(lost if missing else reply(envelope(camera._content(request))))

        camera.replies["GetProfiles"] = profiles
        camera.replies["GetStreamUri"] = recorded("quirk-11-stream-elsewhere.http")
        deadline = type(watch.clock.now())(watch.clock.now() + 10)
        answer = (await watch.probe.explain(camera.device(), deadline))[1]
    used = [r.path for r in camera.seen if r.operation == "GetProfiles"]
    assert used[-1] == asked_at
    assert answer.found == ()
    assert "profiles True 2: main sub" in trace(answer)
    assert "foreign_url None stream address names 10.9.8.7:554" in trace(answer)
    assert "secret" not in trace(answer)
    if "private" in name:
        assert "foreign_url None names 192.168.1.64" in trace(answer)


async def test_quirk_12_the_web_port_is_not_onvif_and_dead_ports_are_not_asked(
    watch: Watch,
) -> None:
    async with OnvifDevice(replies={"*": recorded("quirk-12-web-port.http")}) as web:
        answer = await watch.reach(web.device())
    assert causes(answer) == {FaultCause.NOT_ONVIF}
    async with OnvifDevice() as dead, OnvifDevice() as camera:
        camera.replies["GetServices"] = recorded(
            "quirk-12-dead-event-port.http", dead=str(dead.port)
        )
        answer = await watch.signed(camera.device())
        assert dead.connections == 0
    assert answer.found == ()


def test_quirk_13_a_subscription_that_is_no_url_is_asked_at_the_event_service() -> None:
    found = addressing.subscription(
        soap("quirk-13-subscription-is-a-urn.http"), "10.0.0.9", 80, "/onvif/event_service"
    )
    assert found == addressing.Subscription("/onvif/event_service")


def test_quirk_14_reference_parameters_are_echoed_in_the_header() -> None:
    found = addressing.subscription(
        soap("quirk-14-subscription-id.http"), "10.0.0.9", 80, "/onvif/event_service"
    )
    assert found.path == "/onvif/services"
    text = addressing.header("urn:a", "http://10.0.0.9/onvif/services", "urn:m", found.parameters)
    root = etree.fromstring(f"<h>{text}</h>")
    assert root.findtext("{http://www.axis.com/2009/event}SubscriptionId") == "17"


def test_quirk_15_event_calls_carry_ws_addressing() -> None:
    without = soap("quirk-15-no-addressing.http")
    assert without.fault is not None
    assert without.fault.kind is FaultKind.AUTH
    root = etree.fromstring(f"<h>{addressing.header('urn:a?x=1&y', 'http://d/', 'urn:m')}</h>")
    wsa = f"{{{addressing.WSA}}}"
    values = [root.findtext(wsa + name) for name in ("Action", "To", "MessageID")]
    assert values == ["urn:a?x=1&y", "http://d/", "urn:m"]


async def test_quirk_16_a_media_call_refused_at_one_path_is_made_at_the_next(watch: Watch) -> None:
    async with OnvifDevice(media="/onvif/device_service") as camera:

        async def profiles(request: Request, writer: asyncio.StreamWriter) -> None:
            wrong = request.path == "/onvif/device_service"
            page = recorded("quirk-16-wrong-service.http")
            writer.write(page if wrong else reply(envelope(camera._content(request))))

        camera.replies["GetProfiles"] = profiles
        answer = await watch.signed(camera.device())
    used = [r.path for r in camera.seen if r.operation == "GetProfiles"]
    assert used == ["/onvif/device_service", "/onvif/media_service"]
    assert answer.found == ()


async def test_quirk_17_tls_bytes_on_a_plain_port_are_a_tls_fault(watch: Watch) -> None:
    alert = (DATA / "quirk-17-tls-alert.bin").read_bytes()
    async with OnvifDevice(replies={"*": alert}, closes=True) as camera:
        answer = await watch.reach(camera.device())
    assert answer.verdict is Verdict.ANSWERED
    assert causes(answer) == {FaultCause.TLS}
    assert "speaks TLS" in answer.found[0].detail


async def test_quirk_31_a_refusal_with_undeclared_prefixes_is_still_a_refusal(
    watch: Watch,
) -> None:
    refusal = recorded("quirk-31-undeclared-prefix.http")
    async with OnvifDevice(replies={"GetDeviceInformation": refusal}) as camera:
        answer = await watch.signed(camera.device())
    assert causes(answer) == {FaultCause.AUTH}


def test_quirk_31_an_undeclared_prefix_does_not_hide_a_good_reply() -> None:
    reading = soap("quirk-31-undeclared-wsa.http")
    assert reading.mended == "undeclared prefix wsa"
    assert addressing.subscription(reading, "h", 80, "/e").path == "/onvif/sub/3"


@pytest.mark.parametrize(
    ("name", "model"),
    [("quirk-32-gbk-model.http", "网络摄像机"), ("quirk-32-broken-utf8.http", "IPC")],
)
async def test_quirk_32_broken_text_does_not_hide_the_serial_number(
    watch: Watch, name: str, model: str
) -> None:
    async with OnvifDevice(replies={"GetDeviceInformation": recorded(name)}) as camera:
        good = await watch.signed(camera.device(serial="SN-7"))
        other = await watch.signed(camera.device(serial="SN-8"))
    assert good.found == ()
    assert causes(other) == {FaultCause.WRONG_DEVICE}
    assert content.identity(soap(name)).model.startswith(model)


@pytest.mark.parametrize(
    ("broken", "name"),
    [
        ("GetServices", "quirk-33-no-services.http"),
        ("GetServices", "quirk-33-no-capabilities.http"),
        ("GetCapabilities", "quirk-33-no-capabilities.http"),
    ],
)
async def test_quirk_33_either_list_of_services_will_do(
    watch: Watch, broken: str, name: str
) -> None:
    async with OnvifDevice(replies={broken: recorded(name)}) as camera:
        answer = await watch.signed(camera.device())
    assert answer.found == ()
    assert camera.operations[-2:] == ["GetProfiles", "GetStreamUri"]


async def test_quirk_34_profiles_only_in_media2_are_found(watch: Watch) -> None:
    async with OnvifDevice() as camera:
        port = str(camera.port)
        camera.replies["GetServices"] = recorded("quirk-34-media2-only.http", port=port)
        camera.replies["GetProfiles"] = recorded("quirk-34-profiles-of-media2.http")
        answer = await watch.signed(camera.device())
    asked = [r for r in camera.seen if r.operation in ("GetProfiles", "GetStreamUri")]
    assert [r.path for r in asked] == ["/onvif/Media2", "/onvif/Media2"]
    assert all(TR2 in r.body for r in asked)
    assert "MediaProfile000" in asked[1].body
    assert answer.found == ()


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("quirk-35-password-in-the-address.http", "/onvif-http/snapshot?Profile_1"),
        ("quirk-35-rtsp-as-snapshot.http", ""),
        ("quirk-35-no-uri.http", ""),
    ],
)
def test_quirk_35_a_snapshot_address_without_a_password_or_none_at_all(
    name: str, path: str
) -> None:
    assert content.snapshot_path(soap(name), "10.0.0.9", 80) == path


def test_quirk_35_a_picture_behind_digest_can_be_asked_for() -> None:
    asked = auth.challenge(challenges("quirk-35-digest-for-the-picture.http"))
    assert asked is not None
    header = auth.authorization(asked, credential("p", "u"), "/snap.jpg", "00", method="GET")
    assert 'uri="/snap.jpg"' in header
    assert header != auth.authorization(asked, credential("p", "u"), "/snap.jpg", "00")


async def test_quirk_36_interfaces_not_implemented_is_no_fault(watch: Watch) -> None:
    missing = recorded("quirk-36-interfaces-not-implemented.http")
    async with OnvifDevice(replies={"GetNetworkInterfaces": missing}) as camera:
        answer = await watch.signed(camera.device(serial="DS-2CD0001", mac="00:11:22:33:44:55"))
    assert answer.found == ()
    assert FaultCause.WRONG_DEVICE in answer.tested
    assert camera.operations[-1] == "GetStreamUri"
