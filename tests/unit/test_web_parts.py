"""Parts of the web side that need no server: limits, tokens, cursors, the page of metrics."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp.test_utils import make_mocked_request

from gateway.domain.observation import Instant
from gateway.errors import StoreUnavailable
from gateway.ports import Role, Token
from gateway.web.device_metrics import label
from gateway.web.limits import KEYS_MAX, RateLimit
from gateway.web.params import Params, parse_time
from gateway.web.problems import Problem
from gateway.web.tokens import PREFIX, TokenBook, digest, is_valid, mint

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def test_a_bucket_gives_its_calls_and_then_one_at_a_time() -> None:
    limit = RateLimit(60)
    assert [limit.take("a", Instant(0)) for _ in range(60)] == [0.0] * 60
    assert limit.take("a", Instant(0)) == pytest.approx(1.0)
    assert limit.take("b", Instant(0)) == 0.0
    assert limit.take("a", Instant(0.5)) == pytest.approx(0.5)
    assert limit.take("a", Instant(1.5)) == 0.0


def test_full_buckets_are_forgotten_before_they_fill_the_memory() -> None:
    limit = RateLimit(1)
    for n in range(KEYS_MAX + 1):
        limit.take(str(n), Instant(n * 61.0))
    assert len(limit._buckets) <= KEYS_MAX


def test_a_token_is_long_random_and_stored_as_a_hash() -> None:
    secret, row = mint("x", Role.VIEWER, NOW, None)
    other, _ = mint("x", Role.VIEWER, NOW, None)
    assert secret.startswith(PREFIX)
    assert len(secret) == len(PREFIX) + 43
    assert secret != other
    assert row.digest == digest(secret)
    assert secret not in repr(row)


def test_a_token_ends_at_its_time_and_when_revoked() -> None:
    _, row = mint("x", Role.VIEWER, NOW, NOW + timedelta(hours=1))
    assert is_valid(row, NOW)
    assert not is_valid(row, NOW + timedelta(hours=1))
    revoked = Token(row.id, row.name, row.role, row.digest, NOW, None, NOW)
    assert not is_valid(revoked, NOW)


async def test_nonsense_does_not_make_us_ask_the_store_each_time() -> None:
    reads: list[int] = []
    time = [0.0]

    async def read() -> Sequence[Token]:
        reads.append(1)
        return []

    book = TokenBook(read, lambda: Instant(time[0]))
    for _ in range(50):
        assert await book.find("nonsense", NOW) is None
    assert len(reads) == 1
    time[0] = 1.5
    await book.find("nonsense", NOW)
    assert len(reads) == 2


async def test_many_callers_at_once_cause_one_read() -> None:
    reads: list[int] = []
    secret, row = mint("x", Role.VIEWER, NOW, None)

    async def read() -> Sequence[Token]:
        reads.append(1)
        await asyncio.sleep(0.01)
        return [row]

    book = TokenBook(read, lambda: Instant(0))
    found = await asyncio.gather(*(book.find(secret, NOW) for _ in range(20)))
    assert found == [row] * 20
    assert len(reads) == 1


async def test_a_store_that_hangs_does_not_hang_known_callers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.web.tokens.WAIT_S", 0.05)
    secret, row = mint("x", Role.VIEWER, NOW, None)
    time, hang = [0.0], [False]

    async def read() -> Sequence[Token]:
        if hang[0]:
            await asyncio.sleep(60)
        return [row]

    book = TokenBook(read, lambda: Instant(time[0]))
    assert await book.find(secret, NOW) == row
    time[0], hang[0] = 10.0, True
    assert await asyncio.wait_for(book.find(secret, NOW), 2) == row
    await book.close()


async def test_no_caller_waits_for_the_store_while_tokens_are_in_use() -> None:
    secret, row = mint("x", Role.VIEWER, NOW, None)
    time, answers = [0.0], asyncio.Event()
    answers.set()

    async def read() -> Sequence[Token]:
        await answers.wait()
        return [row]

    book = TokenBook(read, lambda: Instant(time[0]))
    assert await book.find(secret, NOW) == row
    answers.clear()
    time[0] = 4.9
    async with asyncio.timeout(0.5):  # what reads again has not ended
        assert await book.find(secret, NOW) == row
        assert await book.find(secret, NOW) == row
    await book.close()


async def test_a_token_that_was_revoked_is_refused_after_five_seconds_at_the_latest() -> None:
    secret, row = mint("x", Role.VIEWER, NOW, None)
    time, rows = [0.0], [row]

    async def read() -> Sequence[Token]:
        return list(rows)

    book = TokenBook(read, lambda: Instant(time[0]))
    assert await book.find(secret, NOW) == row
    time[0] = 3.0  # read ahead, as of now
    assert await book.find(secret, NOW) == row
    await asyncio.sleep(0)
    rows.clear()
    time[0] = 8.1
    assert await book.find(secret, NOW) is None


async def test_tokens_never_read_let_nobody_in() -> None:
    async def read() -> Sequence[Token]:
        raise StoreUnavailable("away")

    book = TokenBook(read, lambda: Instant(0))
    with pytest.raises(StoreUnavailable):
        await book.find("x", NOW)


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-03-01T00:00:00Z", "2026-03-01T00:00:00+00:00"),
        ("2026-03-01T08:00:00+08:00", "2026-03-01T00:00:00+00:00"),
        ("2026-03-01T08:00:00 08:00", "2026-03-01T00:00:00+00:00"),
        ("2026-03-01T00:00:00.123456Z", "2026-03-01T00:00:00.123456+00:00"),
    ],
)
def test_times_are_read_as_utc(text: str, utc: str) -> None:
    assert parse_time(text).isoformat() == utc


@pytest.mark.parametrize(
    "text", ["", "now", "2026-03-01T00:00:00", "2026-13-01T00:00:00Z", "0001-01-01T00:00:00+08:00"]
)
def test_a_time_without_an_offset_or_sense_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"offset|ISO 8601"):
        parse_time(text)


def params(query: str, allowed: set[str], path: str = "/x") -> Params:
    return Params(make_mocked_request("GET", f"{path}?{query}"), allowed)


def test_all_errors_of_a_query_are_told_at_once() -> None:
    found = params("limit=0&since=never&what=1&open=yes&open=no", {"limit", "since", "open"})
    found.limit()
    found.time("since")
    found.flag("open")
    with pytest.raises(Problem) as caught:
        found.check()
    names = [error["name"] for error in caught.value.members["errors"]]
    assert sorted(names) == ["limit", "open", "open", "since", "what"]


@pytest.mark.parametrize("limit", ["0", "1001", "-1", "1.5", "１", "", "9" * 400, "x"])
def test_a_limit_is_a_number_within_bounds(limit: str) -> None:
    found = params(f"limit={limit}", {"limit"})
    found.limit()
    assert found.errors


@pytest.mark.parametrize("key", ["", "i", "id", "id1", "id12", "镇东"])
def test_a_cursor_comes_back_as_it_was(key: str) -> None:
    first = params("q=镇&limit=10", {"q", "limit", "cursor"})
    url = first.next_url([key, 7])
    assert url is not None
    second = params(url.partition("?")[2], {"q", "limit", "cursor"})
    assert second.cursor((str, int)) == [key, 7]
    assert second.given["limit"] == "10"


@pytest.mark.parametrize(
    "cursor", ["x", "====", "bm90anNvbg", "W10", "WyJhIl0", "W3t9XQ", "é", "a" * 5000, "MQ", "IiI"]
)
def test_a_cursor_that_is_not_ours_is_refused(cursor: str) -> None:
    with pytest.raises(Problem):
        params(f"cursor={cursor}", {"cursor"}).cursor((str, int))


def test_a_cursor_belongs_to_its_route_filters_and_key() -> None:
    url = params("q=a", {"q", "cursor"}).next_url(["id", 7]) or ""
    cursor = url.partition("cursor=")[2]
    for other in (
        params(f"q=b&cursor={cursor}", {"q", "cursor"}),
        params(f"q=a&cursor={cursor}", {"q", "cursor"}, path="/y"),
    ):
        with pytest.raises(Problem):
            other.cursor((str, int))
    with pytest.raises(Problem):
        params(f"q=a&cursor={cursor}", {"q", "cursor"}).cursor((int, str))


def test_there_is_no_next_page_after_the_last() -> None:
    assert params("", set()).next_url(None) is None


def test_label_values_are_escaped() -> None:
    assert label('a"b\\c\nd') == 'a\\"b\\\\c\\nd'
