"""Which posture (平战联控) holds at a place and time, and who silenced what there."""

from collections.abc import Iterable
from datetime import datetime

from gateway.domain.alerting.rows import Mute, Posture, PostureLevel


def holds(posture: Posture, area: str, at: datetime) -> bool:
    """A posture covers a place (by the beginning of its division code) at a time."""
    ended = posture.until_at is not None and at >= posture.until_at
    return area.startswith(posture.area) and posture.from_at <= at and not ended


def level_at(postures: Iterable[Posture], area: str, at: datetime) -> PostureLevel:
    """The posture of the smallest area that covers a place; of equal ones the one set last.

    Args:
        postures: all that are known.
        area: division code of the place, as many digits as are known.
        at: when.
    """
    found = [posture for posture in postures if holds(posture, area, at)]
    nearest = max(found, key=lambda p: (len(p.area), p.from_at, p.id), default=None)
    return PostureLevel.ROUTINE if nearest is None else nearest.level


def muted_by(mutes: Iterable[Mute], *, kind: str, area: str, key: str, at: datetime) -> Mute | None:
    """The silence that covers an incident, the one that lasts longest first; None = none."""
    found = [
        mute
        for mute in mutes
        if mute.from_at <= at < mute.until_at
        and mute.kind in {"", kind}
        and area.startswith(mute.area)
        and mute.key in {"", key}
    ]
    return max(found, key=lambda mute: (mute.until_at, mute.id), default=None)
