"""The ring of changes behind the stream."""

import asyncio

from gateway.feed import RING, Feed


def ids(feed: Feed, after: int) -> list[int] | None:
    items = feed.after(after)
    return None if items is None else [item.id for item in items]


def test_a_new_feed_is_empty() -> None:
    feed = Feed("run")
    assert feed.last_id == 0
    assert ids(feed, 0) == []


def test_items_are_numbered_and_replayed_from_where_a_reader_was() -> None:
    feed = Feed("run")
    for text in "abc":
        feed.publish("letter", text)
    assert ids(feed, 0) == [1, 2, 3]
    assert ids(feed, 2) == [3]
    assert ids(feed, 3) == []


def test_a_reader_that_was_away_too_long_is_told_so() -> None:
    feed = Feed("run")
    for number in range(RING + 10):
        feed.publish("n", number)
    assert ids(feed, 9) is None
    replay = ids(feed, 10)
    assert replay is not None
    assert (replay[0], len(replay)) == (11, RING)


def test_a_number_that_was_never_given_is_of_another_run() -> None:
    feed = Feed("run")
    feed.publish("n", 1)
    assert ids(feed, 7) is None
    assert ids(feed, -5) is None


async def test_waiting_returns_at_once_when_something_is_there() -> None:
    feed = Feed("run")
    feed.publish("n", 1)
    await asyncio.wait_for(feed.wait(0, 60.0), 1.0)


async def test_every_waiting_reader_is_woken() -> None:
    feed = Feed("run")
    readers = [asyncio.create_task(feed.wait(0, 60.0)) for _ in range(3)]
    await asyncio.sleep(0)
    feed.publish("n", 1)
    await asyncio.wait_for(asyncio.gather(*readers), 1.0)


async def test_waiting_ends_after_its_time() -> None:
    await asyncio.wait_for(Feed("run").wait(0, 0.01), 1.0)
