"""Messages of recipients that the settings no longer name: dead letters, instead of waiting for nobody.

A deliverer fetches the messages of its own recipient only. What waits for one whose section was taken out,
and what its open threads still bring (a close, say), would be pending for good and be seen nowhere.
"""

import asyncio
from collections.abc import Collection

import structlog

from gateway.domain.alerting.retry import NO_ADDRESS, without_address
from gateway.domain.alerting.rows import AlertState
from gateway.errors import StoreUnavailable
from gateway.metrics import DELIVERIES
from gateway.ports import Store

log = structlog.get_logger("sightline.unreached")
EVERY_S = 60.0
RETRY_S = 1.0
PAGE = 200


class Unreached:
    """Gives up what waits for recipients without an address, at the start and once a minute.

    Args:
        store: open.
        reached: names of the recipients that messages are sent to.
    """

    def __init__(self, store: Store, reached: Collection[str]) -> None:
        self._store = store
        self._reached = frozenset(reached)

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                await self.give_up()
            except StoreUnavailable as error:
                log.debug("messages without an address wait for the store", reason=str(error))
                await asyncio.sleep(RETRY_S)
            else:
                await asyncio.sleep(EVERY_S)

    async def give_up(self) -> int:
        """Make dead letters of them; returns how many.

        Raises:
            StoreUnavailable: not all were settled; the next look goes on.
        """
        waiting = await self._store.events.pending_recipients()
        given_up = 0
        for recipient in sorted(set(waiting) - self._reached):
            number = await self._give_up_of(recipient)
            given_up += number
            log.warning(
                "messages for a recipient without an address are dead letters now",
                recipient=recipient,
                messages=number,
                reason=NO_ADDRESS,
                fix=f"name its url again and restart, then: "
                f"sightline alerts replay --recipient {recipient}",
            )
        return given_up

    async def _give_up_of(self, recipient: str) -> int:
        given_up = 0
        while True:
            rows = await self._store.events.alerts(
                state=AlertState.PENDING, recipient=recipient, limit=PAGE
            )
            await self._store.events.settle_alerts([without_address(row) for row in rows])
            DELIVERIES.labels(recipient, "dead").inc(len(rows))
            given_up += len(rows)
            if len(rows) < PAGE:
                return given_up
