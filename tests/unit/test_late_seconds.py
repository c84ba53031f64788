"""Seconds that are told after their day was written and let go."""

from datetime import UTC, datetime

from gateway.domain.camera import ChannelId
from gateway.domain.seconds import Book, Kind

A, B = ChannelId("a"), ChannelId("b")
YESTERDAY, TODAY = "2026-11-22", "2026-11-23"
MIDNIGHT = datetime(2026, 11, 22, 16, 0, tzinfo=UTC).timestamp()


def closed() -> Book:
    """A book whose yesterday is written and let go."""
    book = Book((A, B))
    book.probe((0,), 0.01, MIDNIGHT - 5)
    book.add(0, Kind.GOOD, MIDNIGHT - 600, MIDNIGHT)
    assert [row.day for row in book.portion(0, 1)] == [YESTERDAY]
    book.close_before(TODAY)
    return book


def test_a_row_that_was_written_whole_is_not_overwritten_by_what_comes_late() -> None:
    book = closed()
    book.add(0, Kind.UNOBSERVED, MIDNIGHT - 60, MIDNIGHT + 60)
    book.move(0, Kind.GOOD, Kind.BAD, MIDNIGHT - 60, MIDNIGHT)
    book.probe((0,), 0.01, MIDNIGHT - 1)
    (row,) = book.portion(0, 1)
    assert (row.day, row.unobserved_s[0], sum(row.unobserved_s)) == (TODAY, 60.0, 60.0)


def test_a_late_probe_of_an_hour_not_begun_opens_no_closed_day() -> None:
    book = closed()
    book.probe((1,), None, MIDNIGHT - 2 * 3600)
    assert book.portion(0, 1) == []


def test_a_closed_day_stays_closed_in_a_book_that_moved() -> None:
    moved, _ = closed().moved_to((B, A))
    moved.probe((0,), None, MIDNIGHT - 1)
    moved.add(1, Kind.GOOD, MIDNIGHT - 60, MIDNIGHT)
    assert moved.portion(0, 1) == []


def test_probes_of_today_are_counted_after_the_move() -> None:
    book = closed()
    book.probe((0,), 0.01, MIDNIGHT + 1)
    moved, _ = book.moved_to((B, A))
    moved.probe((1,), 0.01, MIDNIGHT + 2)
    (row,) = moved.portion(0, 1)
    assert (row.channel, row.probes[0]) == (A, 2)
