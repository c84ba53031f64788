"""What we send is what zeep would send; what we read is what zeep would read."""

import json
import re

import pytest
from fakes.onvif_device import DATA, OnvifDevice, Request, envelope, recorded, reply, time_reply
from fakes.onvif_watch import made_once
from lxml import etree

from adapters.onvif import content, templates
from adapters.onvif.codec import GSDT_ACTION, GSDT_BODY, parse_templates
from adapters.onvif.replies import Soap, read
from adapters.onvif.transport import Reply


def canonical(text: bytes | str) -> bytes:
    """Exclusive canonical form with all prefixes renamed away."""
    root = etree.fromstring(text.encode() if isinstance(text, str) else text)
    return repr(
        [(e.tag, sorted(e.attrib.items()), (e.text or "").strip()) for e in root.iter()]
    ).encode()


def test_the_fixed_bytes_of_the_hot_check_are_what_zeep_builds() -> None:
    made = made_once()["GetSystemDateAndTime"]
    assert canonical(GSDT_BODY) == canonical(made.fill({}, signed=False))
    assert GSDT_ACTION in made.headers["Content-Type"]


def test_templates_carry_every_value_once_and_escaped() -> None:
    values = {name: f"<{name}&>" for name in templates.MARKS}
    body = made_once()["GetStreamUri"].fill(values, signed=True)
    root = etree.fromstring(body)
    assert root.findtext(".//{*}Username") == "<username&>"
    assert root.findtext(".//{*}Nonce") == "<nonce&>"
    assert root.findtext(".//{*}Created") == "<created&>"
    assert root.findtext(".//{*}ProfileToken") == "<token&>"
    assert b"@@" not in body


def test_no_template_can_create_a_subscription() -> None:
    assert not any(
        "Subscription" in name or "Subscription" in made.plain for name, made in made_once().items()
    )


def test_templates_survive_the_way_through_the_child_process() -> None:
    printed = json.dumps(templates.build()).encode()
    assert parse_templates(printed) == made_once()


ZEEP_CLIENTS = templates.clients()


class _Response:
    """What zeep wants to know about an HTTP reply."""

    def __init__(self, raw: bytes) -> None:
        head, _, self.content = raw.partition(b"\r\n\r\n")
        self.status_code = int(head.split()[1])
        self.headers = {"Content-Type": "application/soap+xml; charset=utf-8"}
        self.encoding = "utf-8"


def by_zeep(service: str, operation: str, raw: bytes) -> object:
    client = ZEEP_CLIENTS[service]
    bound = templates.binding(client, service)
    return bound.process_reply(client, bound.get(operation), _Response(raw))


def by_us(raw: bytes) -> Soap:
    found = read(Reply(200, {}, raw.partition(b"\r\n\r\n")[2]))
    assert isinstance(found, Soap)
    return found


@pytest.mark.parametrize(
    "raw", [time_reply(), time_reply(-1e8), recorded("quirk-01-time-after-power-loss.http")]
)
def test_zeep_reads_the_same_time(raw: bytes) -> None:
    theirs = by_zeep("device", "GetSystemDateAndTime", raw)
    date, time = theirs.UTCDateTime.Date, theirs.UTCDateTime.Time  # type: ignore[attr-defined]
    ours = content.device_time(by_us(raw))
    assert ours is not None
    assert (ours.year, ours.month, ours.day) == (date.Year, date.Month, date.Day)
    assert (ours.hour, ours.minute, ours.second) == (time.Hour, time.Minute, time.Second)


def test_zeep_reads_the_same_identity() -> None:
    request = Request("/", {}, "<x:Body><GetDeviceInformation/>", 1)
    raw = reply(envelope(OnvifDevice()._content(request)))
    theirs, ours = by_zeep("device", "GetDeviceInformation", raw), content.identity(by_us(raw))
    assert ours.serial == theirs.SerialNumber  # type: ignore[attr-defined]
    assert ours.model == theirs.Model  # type: ignore[attr-defined]


def test_zeep_reads_the_same_services() -> None:
    raw = recorded("quirk-11-private-addresses.http", port="80")
    theirs = by_zeep("device", "GetServices", raw)
    assert content.services(by_us(raw)) == {s.Namespace: s.XAddr for s in theirs}  # type: ignore[attr-defined]


def test_every_recorded_reply_is_used_by_a_test() -> None:
    here = DATA.parent.parent
    used = "".join(path.read_text() for path in here.rglob("test_onvif_*.py"))
    names = {path.name for path in DATA.iterdir()} - {"README.md"}
    assert {name for name in names if name not in used} == set()
    numbers = {int(n) for n in re.findall(r"quirk-(\d\d)", " ".join(names))}
    without = {10, 24}  # these show in what does not come
    assert set(range(1, 37)) == numbers | without
