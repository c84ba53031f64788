"""Ending a silence before its time."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from gateway.domain.alerting.rows import Mute
from gateway.errors import Refused


def mute_to_end(rows: Iterable[Mute], mute_id: str, now: datetime) -> Mute:
    """The one that is to be ended.

    Raises:
        Refused: none that holds or will has this id.
    """
    found = next((row for row in rows if row.id == mute_id and row.until_at > now), None)
    if found is None:
        raise Refused(f"no mute that holds or will has the id {mute_id}")
    return found


def mute_ended(row: Mute, now: datetime) -> Mute:
    """A mute that ends now; one that had not begun never will."""
    return replace(row, from_at=min(row.from_at, now), until_at=now)


def told(row: Mute) -> str:
    """What a mute silences, whose it is and why, for the audit log."""
    kind, area, key = (one or "all" for one in (row.kind, row.area, row.key))
    return f"{kind} {area} {key} until {row.until_at.isoformat()}, by {row.actor}: {row.reason}"
