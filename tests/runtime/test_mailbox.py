"""The bounded queue between the loops."""

import asyncio

from gateway.runtime.mailbox import Mailbox


async def test_items_come_out_in_order_in_batches() -> None:
    box: Mailbox[int] = Mailbox("order", 10)
    box.put([1, 2, 3])
    box.put([4])
    assert await box.take(3, 0.1) == [1, 2, 3]
    assert await box.take(3, 0.1) == [4]


async def test_there_is_no_room_when_it_is_full_yet_nothing_is_refused() -> None:
    box: Mailbox[int] = Mailbox("full", 2)
    assert box.room
    box.put([1, 2])
    full = not box.room
    assert full
    box.put([3])
    assert await box.take(10, 0.1) == [1, 2, 3]
    assert box.room


async def test_taking_from_an_empty_one_returns_after_the_timeout() -> None:
    box: Mailbox[int] = Mailbox("empty", 2)
    assert await box.take(10, 0.01) == []


async def test_a_waiting_taker_is_woken() -> None:
    box: Mailbox[int] = Mailbox("wake", 2)
    taker = asyncio.create_task(box.take(10, 5.0))
    await asyncio.sleep(0)
    box.put([7])
    assert await asyncio.wait_for(taker, 1.0) == [7]


async def test_a_taker_that_is_cancelled_loses_nothing() -> None:
    box: Mailbox[int] = Mailbox("cancel", 2)
    taker = asyncio.create_task(box.take(10, 5.0))
    await asyncio.sleep(0)
    box.put([7])
    taker.cancel()
    await asyncio.gather(taker, return_exceptions=True)
    assert await box.take(10, 0.1) == [7]
