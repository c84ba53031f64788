"""Reading of replies and addresses, by table."""

from datetime import UTC, datetime

import pytest
from fakes.onvif_device import envelope, time_reply
from hypothesis import given
from hypothesis import strategies as st

from adapters.onvif import content
from adapters.onvif.replies import FaultKind, Soap, fault_kind, mend, read
from adapters.onvif.transport import Reply
from adapters.onvif.verdict import reach
from gateway.domain.observation import Finding, Verdict


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Sender not Authorized", FaultKind.AUTH),
        ("ter:NotAuthorized", FaultKind.AUTH),
        ("wsse:FailedAuthentication", FaultKind.AUTH),
        ("Authority failure:You still have 26 attempt(s)", FaultKind.AUTH),
        ("You still have 0 attempt(s)", FaultKind.LOCKED),
        ("The account is locked", FaultKind.LOCKED),
        ("Too many failed logins", FaultKind.LOCKED),
        ("NotAuthorized: please unlock the lens", FaultKind.AUTH),
        ("wsse:MessageExpired", FaultKind.CLOCK),
        ("Time stamp not in range", FaultKind.CLOCK),
        ("Optional Action Not Implemented", FaultKind.UNSUPPORTED),
        ("ter:ActionNotSupported", FaultKind.UNSUPPORTED),
        ("Internal error", FaultKind.OTHER),
    ],
)
def test_faults_are_told_apart_by_their_words(text: str, kind: FaultKind) -> None:
    assert fault_kind(text) is kind


@pytest.mark.parametrize(
    ("address", "path", "foreign"),
    [
        ("http://10.0.0.9/onvif/media", "/onvif/media", ""),
        ("http://10.0.0.9:80/onvif/media?x=1&y=%20", "/onvif/media?x=1&y=%20", ""),
        ("http://192.168.1.64:8000/a", "/a", "192.168.1.64:8000"),
        ("https://10.0.0.9/a", "/a", "10.0.0.9"),
        ("http://10.0.0.9/a b\r\nX: 1", "/a%20bX:%201", ""),
        ("/relative/path", "/relative/path", ""),
        ("urn:uuid:1", "", ""),
        ("file:///etc/passwd", "", ""),
        ("http://[broken", "", ""),
        ("http://10.0.0.9:99999/a", "", ""),
        ("http://10.0.0.9", "", ""),
        ("", "", ""),
        ("//evil/a", "/a", "evil"),
    ],
)
def test_only_path_and_query_of_an_address_are_used(address: str, path: str, foreign: str) -> None:
    assert content.located(address, "10.0.0.9", 80) == content.Located(path, foreign)


@given(st.text(max_size=300))
def test_no_address_makes_a_path_that_is_not_one_line_of_ascii(address: str) -> None:
    path = content.located(address, "10.0.0.9", 80).path
    assert path.isascii()
    assert not set(path) & set(" \r\n\t")
    assert path == "" or path.startswith("/")


@given(st.binary(max_size=2000))
def test_any_bytes_are_either_soap_or_a_finding(body: bytes) -> None:
    assert isinstance(read(Reply(200, {}, body)), Soap | Finding)


@given(st.data())
def test_a_mutated_reply_never_raises_and_never_kills(data: st.DataObject) -> None:
    body = bytearray(time_reply().partition(b"\r\n\r\n")[2])
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at] = data.draw(st.integers(0, 255))
    reached = reach(Reply(200, {}, bytes(body)), lambda: datetime.now(UTC), 10.0)
    assert reached.verdict is Verdict.ANSWERED


@pytest.mark.parametrize("status", list(range(100, 600, 1)))
def test_any_status_line_is_an_answer(status: int) -> None:
    for body in (b"", b"<html>", envelope("<x/>").encode()):
        reached = reach(Reply(status, {}, body), lambda: datetime.now(UTC), 10.0)
        assert reached.verdict is Verdict.ANSWERED
        assert {f.cause for f in reached.found} <= reached.tested


def test_mending_says_what_it_did() -> None:
    text, what = mend(b"<Envelope a:b='1'><ter:x/>\x01\xff</Envelope>")
    assert 'xmlns:a="urn:undeclared:a" xmlns:ter="urn:undeclared:ter"' in text
    assert "control characters" in what
    assert "undeclared prefix a ter" in what


@pytest.mark.parametrize(
    ("text", "mac"),
    [
        ("00-11-22-AA-bb-CC", "001122aabbcc"),
        ("0011.22aa.bbcc", "001122aabbcc"),
        ("x", ""),
        ("", ""),
    ],
)
def test_hardware_addresses_are_compared_without_their_dress(text: str, mac: str) -> None:
    assert content.plain_mac(text) == mac


@pytest.mark.parametrize("value", ["", "yesterday", "Mon, 99 Foo 2020 00:00:00 GMT"])
def test_a_senseless_date_header_is_no_time(value: str) -> None:
    assert content.header_time({"date": value}) is None
