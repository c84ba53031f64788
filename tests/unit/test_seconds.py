"""Every second has one owner, in days of Shanghai."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.camera import ChannelId
from gateway.domain.seconds import (
    BUCKETS,
    Book,
    Kind,
    bucket_edge_ms,
    bucket_of,
    day_of,
    day_start,
    quantile_ms,
    split,
)

A, B, C = ChannelId("a"), ChannelId("b"), ChannelId("c")
DAY = "2026-11-23"
MIDNIGHT = datetime(2026, 11, 22, 16, 0, tzinfo=UTC).timestamp()
NOON = MIDNIGHT + 12 * 3600


def test_days_are_shanghais() -> None:
    assert day_of(MIDNIGHT - 1) == "2026-11-22"
    assert day_of(MIDNIGHT) == DAY
    assert day_start(DAY) == MIDNIGHT


def test_a_span_is_cut_by_hour_and_day() -> None:
    assert list(split(MIDNIGHT - 1800, MIDNIGHT + 3600 + 10)) == [
        ("2026-11-22", 23, 1800.0),
        (DAY, 0, 3600.0),
        (DAY, 1, 10.0),
    ]
    assert list(split(NOON, NOON)) == []
    assert list(split(NOON, NOON - 5)) == []


@given(st.floats(1.6e9, 2.2e9), st.floats(0, 200_000))
def test_a_cut_span_keeps_its_length(start: float, length: float) -> None:
    parts = list(split(start, start + length))
    assert sum(s for _, _, s in parts) == pytest.approx((start + length) - start, abs=1e-5)
    assert all(0 < s <= 3600 and 0 <= slot < 24 for _, slot, s in parts)


@given(st.floats(0.0, 10.0))
def test_a_round_trip_lies_below_the_edge_of_its_bucket(rtt_s: float) -> None:
    bucket = bucket_of(rtt_s)
    assert 0 <= bucket < BUCKETS
    if bucket < BUCKETS - 1:
        assert rtt_s * 1000 <= bucket_edge_ms(bucket) * 1.001


def test_quantiles_are_edges_of_buckets() -> None:
    histogram = [0] * BUCKETS
    assert quantile_ms(histogram, 0.5) == 0.0
    histogram[4], histogram[10] = 90, 10
    assert quantile_ms(histogram, 0.5) == bucket_edge_ms(4)
    assert quantile_ms(histogram, 0.95) == bucket_edge_ms(10)
    assert quantile_ms(histogram, 1.1) == bucket_edge_ms(BUCKETS - 1)


def test_seconds_given_are_seconds_owned() -> None:
    book = Book((A, B))
    book.add(1, Kind.GOOD, NOON, NOON + 100)
    book.add(1, Kind.BAD, NOON + 100, NOON + 130)
    assert book.owned(1, Kind.GOOD) == 100
    assert book.owned(1, Kind.BAD) == 30
    assert book.owned(0, Kind.GOOD) == 0
    assert book.days == (DAY,)


def test_a_row_holds_24_slots_of_each_kind() -> None:
    book = Book((A,))
    for kind in Kind:
        book.add(0, kind, NOON, NOON + 1 + kind)
    (row,) = book.portion(0, 1)
    assert (row.channel, row.day) == (A, DAY)
    found = [
        columns[12]
        for columns in (
            row.good_s,
            row.bad_s,
            row.bad_upstream_s,
            row.maintenance_s,
            row.unobserved_s,
            row.degraded_s,
        )
    ]
    assert found == [1, 2, 3, 4, 5, 6]
    assert all(len(c) == 24 for c in (row.good_s, row.probes, row.rtt_p50_ms, row.rtt_p95_ms))


def test_seconds_can_be_given_to_another_kind_but_never_more_than_there_are() -> None:
    book = Book((A,))
    book.add(0, Kind.BAD, NOON, NOON + 50)
    book.move(0, Kind.BAD, Kind.BAD_UPSTREAM, NOON, NOON + 80)
    assert (book.owned(0, Kind.BAD), book.owned(0, Kind.BAD_UPSTREAM)) == (0, 50)
    book.move(0, Kind.BAD_UPSTREAM, Kind.BAD, NOON, NOON + 20)
    assert (book.owned(0, Kind.BAD), book.owned(0, Kind.BAD_UPSTREAM)) == (20, 30)


def test_only_changed_rows_are_written_and_only_once() -> None:
    book = Book((A, B, C))
    book.add(0, Kind.GOOD, NOON, NOON + 1)
    book.add(2, Kind.GOOD, NOON, NOON + 1)
    assert [r.channel for r in book.portion(0, 1)] == [A, C]
    assert book.portion(0, 1) == []


def test_portions_cover_everybody_once() -> None:
    channels = tuple(ChannelId(str(i)) for i in range(200))
    book = Book(channels)
    for index in range(200):
        book.add(index, Kind.GOOD, NOON, NOON + 1)
    portions = [book.portion(number, 64) for number in range(64)]
    assert sorted(r.channel for rows in portions for r in rows) == sorted(channels)
    assert max(len(rows) for rows in portions) <= 4


def test_probes_and_round_trips_are_counted_by_the_hour() -> None:
    book = Book((A, B))
    for rtt in (0.010, 0.010, 0.010, 0.3):
        book.probe((0,), rtt, NOON)
    book.probe((0, 1), None, NOON)
    first, second = book.portion(0, 1)
    assert first.probes[12] == 5
    assert second.probes[12] == 1
    assert first.rtt_p50_ms[12] == pytest.approx(bucket_edge_ms(bucket_of(0.010)))
    assert first.rtt_p95_ms[12] == pytest.approx(bucket_edge_ms(bucket_of(0.3)))
    assert second.rtt_p50_ms[12] == 0.0
    book.probe((0,), 0.010, NOON + 3600)
    (first,) = book.portion(0, 1)
    assert first.rtt_p95_ms[12] == pytest.approx(bucket_edge_ms(bucket_of(0.3)))
    assert first.rtt_p95_ms[13] == pytest.approx(bucket_edge_ms(bucket_of(0.010)))


def test_a_day_is_let_go_when_all_of_it_is_written() -> None:
    book = Book((A,))
    book.add(0, Kind.GOOD, MIDNIGHT - 10, MIDNIGHT + 10)
    book.close_before(DAY)
    assert set(book.days) == {"2026-11-22", DAY}
    book.portion(0, 1)
    book.close_before(DAY)
    assert book.days == (DAY,)


def test_a_year_of_days_holds_no_more_than_two() -> None:
    book = Book((A,))
    for day in range(365):
        start = MIDNIGHT + day * 86_400
        book.add(0, Kind.GOOD, start, start + 86_400)
        book.portion(0, 1)
        book.close_before(day_of(start + 86_400))
        assert len(book.days) <= 2


def test_rows_written_before_a_restart_are_gone_on_with() -> None:
    book = Book((A, B))
    book.add(0, Kind.GOOD, NOON, NOON + 100)
    book.probe((0,), 0.01, NOON)
    (row,) = book.portion(0, 1)
    again = Book((B, A))
    again.take([row], {B: 0, A: 1})
    again.take([row], {B: 0})
    assert again.portion(0, 1) == [], "what came from the store is not written again"
    again.add(1, Kind.BAD, NOON + 100, NOON + 110)
    (more,) = again.portion(0, 1)
    assert (more.channel, more.good_s[12], more.bad_s[12], more.probes[12]) == (A, 100, 10, 1)


def test_a_book_moves_to_another_list_of_channels() -> None:
    book = Book((A, B, C))
    for index in range(3):
        book.add(index, Kind.GOOD, NOON, NOON + 10 * (index + 1))
        book.probe((index,), 0.01, NOON)
    new = ChannelId("new")
    moved, gone = book.moved_to((C, new, A))
    assert [(r.channel, r.good_s[12]) for r in gone] == [(B, 20.0)]
    assert [moved.owned(i, Kind.GOOD) for i in range(3)] == [30, 0, 10]
    rows = {r.channel: r for r in moved.portion(0, 1)}
    assert set(rows) == {A, C}
    assert rows[C].rtt_p50_ms[12] == pytest.approx(bucket_edge_ms(bucket_of(0.01)))


def test_neighbours_move_together() -> None:
    book = Book((A, B, C))
    for index in range(3):
        book.add(index, Kind.GOOD, NOON, NOON + 10 * (index + 1))
    moved, gone = book.moved_to((ChannelId("new"), A, B, C))
    assert gone == []
    assert [moved.owned(i, Kind.GOOD) for i in range(4)] == [0, 10, 20, 30]


def test_a_row_that_is_taken_replaces_what_was_there() -> None:
    book = Book((A, B))
    book.add(0, Kind.GOOD, NOON, NOON + 10)
    book.add(1, Kind.BAD, NOON, NOON + 5)
    other = Book((B,))
    other.add(0, Kind.GOOD, NOON, NOON + 7)
    book.take(other.portion(0, 1), {B: 1})
    assert (book.owned(1, Kind.GOOD), book.owned(1, Kind.BAD)) == (7, 0)
    assert book.owned(0, Kind.GOOD) == 10


def test_a_book_that_was_flushed_moves_whole() -> None:
    book = Book((A, B))
    book.add(0, Kind.GOOD, NOON, NOON + 10)
    book.portion(0, 1)
    moved, gone = book.moved_to((B, A))
    assert gone == []
    assert moved.portion(0, 1) == []
    assert moved.owned(1, Kind.GOOD) == 10


def test_the_same_list_of_channels_is_the_same_book() -> None:
    book = Book((A, B))
    assert book.moved_to((A, B)) == (book, [])


def test_what_was_not_flushed_before_a_crash_is_missing() -> None:
    book = Book((A,))
    book.add(0, Kind.GOOD, NOON + 1800, NOON + 3600 + 1200)
    # Crashed at 13:30, back at 15:10: lost are 13:20-15:10; of 12:00-12:30 nothing can be said.
    back = NOON + 3 * 3600 + 600
    missing = book.missing(0, DAY, back)
    assert sum(end - start for start, end in missing) == pytest.approx(110 * 60)
    assert missing[-1][1] == back
    assert all(NOON + 3600 <= start < end <= back for start, end in missing)


def test_hours_that_are_owned_whole_miss_nothing() -> None:
    book = Book((A,))
    book.add(0, Kind.GOOD, NOON, NOON + 3 * 3600)
    assert book.missing(0, DAY, NOON + 3 * 3600) == []


def test_nothing_is_missing_of_a_day_that_was_never_begun() -> None:
    assert Book((A,)).missing(0, DAY, NOON) == []


def test_missing_ends_with_its_day() -> None:
    book = Book((A,))
    book.add(0, Kind.GOOD, MIDNIGHT + 22 * 3600, MIDNIGHT + 23 * 3600)
    missing = book.missing(0, DAY, MIDNIGHT + 30 * 3600)
    assert missing == [(MIDNIGHT + 23 * 3600, MIDNIGHT + 24 * 3600)]
