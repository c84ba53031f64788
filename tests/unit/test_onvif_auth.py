"""Signatures against the standards' own examples, and the budget of refusals."""

import base64
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.onvif import auth, budget
from gateway.domain.camera import DeviceId
from gateway.domain.observation import AuthScheme, DeviceMemory
from gateway.ports import Credential, Secret

MUFASA = Credential("x", "Mufasa", Secret("Circle of Life"))
RFC_7616 = (
    'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={}, '
    'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", '
    'opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
)
CNONCE = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_digest_gives_the_responses_of_rfc_7616(algorithm: str, response: str) -> None:
    asked = auth.challenge([RFC_7616.format(algorithm)])
    assert asked is not None
    header = auth.authorization(asked, MUFASA, "/dir/index.html", CNONCE, method="GET")
    assert f'response="{response}"' in header
    assert "nc=00000001" in header
    assert "nc=00000002" in auth.authorization(asked.used, MUFASA, "/x", CNONCE)


def test_digest_without_qop_gives_the_response_of_rfc_2069() -> None:
    asked = auth.challenge(['Digest realm="testrealm@host.com", nonce="dcd98b", opaque="5c"'])
    assert asked is not None
    header = auth.authorization(asked, MUFASA, "/a", "c")
    assert "qop" not in header
    assert "cnonce" not in header
    assert "algorithm" not in header


def test_sha_256_is_chosen_over_md5_and_basic_is_never_answered() -> None:
    one_header = (
        'Basic realm="a, Digest b", Digest realm="r", nonce="1", algorithm=MD5, '
        'Digest realm="r", nonce="2", algorithm=SHA-256, qop="auth"'
    )
    for headers in ([one_header], one_header.replace(", Digest", "\nDigest").split("\n")):
        asked = auth.challenge(headers)
        assert asked is not None
        assert (asked.nonce, asked.algorithm) == ("2", "SHA-256")
    assert auth.challenge(['Basic realm="x"']) is None


@pytest.mark.parametrize(
    "header",
    [
        'Digest realm="x"',
        'Digest nonce="1", algorithm=SHA-512',
        'Digest nonce="1", qop="auth-int"',
        "",
    ],
)
def test_a_challenge_we_cannot_answer_is_none(header: str) -> None:
    assert auth.challenge([header]) is None


@given(st.lists(st.text(alphabet='Digest nonce="1",\\ =x\udcff\r', max_size=60), max_size=3))
def test_no_challenge_of_a_device_raises(headers: list[str]) -> None:
    asked = auth.challenge(headers)
    if asked is not None:
        assert auth.authorization(asked, MUFASA, "/", "c").startswith("Digest ")


def test_session_variants_and_stale_are_understood() -> None:
    asked = auth.challenge(
        ['Digest realm="r", nonce="n", algorithm=MD5-sess, qop=auth, stale=TRUE']
    )
    assert asked is not None
    assert asked.stale
    plain = auth.challenge(['Digest realm="r", nonce="n", algorithm=MD5, qop=auth'])
    assert plain is not None
    assert not plain.stale
    assert auth.authorization(asked, MUFASA, "/", "c") != auth.authorization(
        plain, MUFASA, "/", "c"
    )


def test_quotes_and_line_ends_cannot_break_the_header() -> None:
    asked = auth.challenge(['Digest realm="a\\"b", nonce="n"'])
    assert asked is not None
    assert asked.realm == 'a"b'
    user = Credential("x", 'u"\r\nX-Evil: 1', Secret("p"))
    header = auth.authorization(asked, user, "/", "c")
    assert "\n" not in header
    assert 'realm="a\\"b"' in header


def test_the_username_token_is_the_digest_of_the_standard() -> None:
    at = datetime(2010, 9, 16, 7, 50, 45, tzinfo=UTC)
    user = Credential("x", "user", Secret("userpassword"))
    nonce = base64.b64decode("LKqI6G/AikKCQrN0zqZFlg==")
    # The worked example of the ONVIF Application Programmer's Guide.
    assert auth.token_values(user, nonce, at) == {
        "username": "user",
        "digest": "tuOSpGlFlIXsozq4HFNeeGeFLEI=",
        "nonce": "LKqI6G/AikKCQrN0zqZFlg==",
        "created": "2010-09-16T07:50:45Z",
    }


def test_the_budget_is_two_refusals_in_31_minutes() -> None:
    memory = DeviceMemory(secret_tag="t")
    assert budget.may_sign(memory)
    memory = budget.refused(memory, 100.0)
    assert budget.may_sign(memory)
    memory = budget.refused(memory, 200.0)
    assert not budget.may_sign(memory)
    assert budget.resumes_at(memory) == 100.0 + 31 * 60
    assert budget.may_sign(budget.current(memory, "t", 100.0 + 31 * 60))
    assert not budget.may_sign(budget.current(memory, "t", 99.0 + 31 * 60))


def test_another_credential_starts_with_a_clean_memory_but_keeps_the_connection_habit() -> None:
    memory = DeviceMemory(AuthScheme.DIGEST, (1.0, 2.0), keeps=True, secret_tag="old")
    assert budget.current(memory, "new", 3.0) == DeviceMemory(keeps=True, secret_tag="new")


def test_acceptance_does_not_wipe_refusals_out() -> None:
    memory = budget.refused(DeviceMemory(secret_tag="t"), 1.0)
    assert budget.accepted(memory, AuthScheme.DIGEST).refused_at == (1.0,)


def test_the_secret_tag_tells_credentials_apart_and_is_no_password() -> None:
    tags = {
        budget.secret_tag(Credential("a", user, Secret(word))) for user in "uv" for word in "pq"
    }
    assert len(tags) == 4
    assert all(len(tag) == 10 for tag in tags)


def test_the_breaker_counts_devices_not_refusals_and_only_recent_ones() -> None:
    breaker = budget.Breaker(devices=3, window_s=600.0)
    for at in range(10):
        breaker.refused("s", "t", DeviceId("one"), float(at))
    breaker.refused("s", "t", DeviceId("two"), 700.0)
    breaker.refused("s", "t", DeviceId("three"), 701.0)
    assert not breaker.is_open("s", "t", 702.0)
    breaker.refused("s", "t", DeviceId("four"), 702.0)
    assert breaker.is_open("s", "t", 703.0)
    assert not breaker.is_open("other", "t", 703.0)
    assert breaker.open_sets(703.0) == {"s"}
    assert not breaker.is_open("s", "t", 702.0 + 31 * 60)
