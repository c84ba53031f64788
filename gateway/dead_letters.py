"""Dead letters: found by what they are about, and sent again one at a time or many at once.

A message that was refused for good, or given up, stays in the outbox until somebody sends it again. What a
newer message of the same incident overtook stays dead, since that one says more.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime

from gateway.domain.alerting.retry import replayed
from gateway.domain.alerting.rows import Alert, AlertState
from gateway.errors import Refused
from gateway.ports import Store

PAGE = 200
REVISIONS_MOST = 1_000
REPLAYED_MOST = 1_000
"""Sent again in one call: the recipient is told at its own rate anyway, and one answer must end."""


@dataclass(frozen=True, slots=True)
class Letters:
    """Which dead letters; "" matches all.

    Attributes:
        reason: a part of why it is dead, in upper or lower case.
        recipient: by name.
        key: incident key.
    """

    reason: str = ""
    recipient: str = ""
    key: str = ""

    def __str__(self) -> str:
        """For the audit log."""
        given = [("reason", self.reason), ("recipient", self.recipient), ("key", self.key)]
        return ", ".join(f"{name} {text!r}" for name, text in given if text) or "all"


ALL = Letters()


@dataclass(frozen=True, slots=True)
class Replayed:
    """What became of a call.

    Attributes:
        again: pending once more.
        refused: those that stay dead, and why.
        more: others match that were not looked at; call again.
    """

    again: tuple[Alert, ...] = ()
    refused: tuple[tuple[Alert, str], ...] = ()
    more: bool = False


async def dead_letters(store: Store, wanted: Letters, after: int = 0) -> AsyncIterator[Alert]:
    """Those that match, oldest first.

    Args:
        store: open.
        wanted: which.
        after: only those behind this cursor.

    Raises:
        StoreUnavailable: the store does not answer.
    """
    part = wanted.reason.casefold()
    while True:
        rows = await store.events.alerts(
            after_cursor=after,
            limit=PAGE,
            key=wanted.key,
            state=AlertState.DEAD,
            recipient=wanted.recipient,
        )
        for alert in rows:
            if part in alert.reason.casefold():
                yield alert
        if len(rows) < PAGE:
            return
        after = rows[-1].cursor


async def replay(store: Store, alert: Alert, now: datetime, who: str) -> Alert:
    """A dead letter goes out again, with its id.

    Raises:
        Refused: it is no dead letter, or a newer message of the incident says more.
        StoreUnavailable: it was not stored.
    """
    rows = await store.events.alerts(key=alert.key, recipient=alert.recipient, limit=REVISIONS_MOST)
    later = [row for row in rows if row.revision > alert.revision]
    again = replayed(alert, later, now, who)
    if isinstance(again, str):
        raise Refused(again)
    await store.events.settle_alerts([again])
    return again


async def replay_all(
    store: Store, wanted: Letters, now: datetime, who: str, most: int = REPLAYED_MOST
) -> Replayed:
    """All that match go out again, oldest first: messages of one incident keep their order.

    Of several that wait together the deliverer sends the newest, which says what the older ones would.

    Args:
        store: open.
        wanted: which.
        now: when.
        who: asked for it.
        most: of them, at most.

    Raises:
        StoreUnavailable: not all were stored; call again.
    """
    again: list[Alert] = []
    refused: list[tuple[Alert, str]] = []
    async for alert in dead_letters(store, wanted):
        if len(again) >= most:
            return Replayed(tuple(again), tuple(refused), more=True)
        try:
            again.append(await replay(store, alert, now, who))
        except Refused as error:
            refused.append((alert, str(error)))
    return Replayed(tuple(again), tuple(refused))
