"""Rates from owned seconds (semantics §6): what is good, of what, and what stays open.

    online rate (在线率)          = good / (elapsed - unobserved - maintenance - takeover)
    the same without upstream     = good / (good + bad)
    good-condition rate (完好率)  = (good - degraded) / the first denominator

Takeover (存量故障) seconds are the bad seconds of channels never seen good; they are shown apart.
Bounds: an outage began somewhere in (last_seen_at, failed_at] and ended in (last_failed_at,
ended_at]; the seconds count from failed_at to ended_at, so the truth may have `slack_start_s` more
and `slack_end_s` fewer bad seconds.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from types import MappingProxyType

from gateway.domain.camera import ChannelId
from gateway.domain.ledger import DaySeconds, Outage

NO_TAKEOVER: Mapping[tuple[ChannelId, str], float] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Tally:
    """Seconds of some channels and days, by who owns them, and the rates they give.

    Attributes:
        degraded_s: the part of `good_s` during which a fault was open.
        takeover_s: bad seconds of channels never seen good; in no rate.
        slack_start_s / slack_end_s: how many seconds more / fewer may have been bad.
    """

    good_s: float = 0.0
    bad_s: float = 0.0
    bad_upstream_s: float = 0.0
    maintenance_s: float = 0.0
    unobserved_s: float = 0.0
    degraded_s: float = 0.0
    takeover_s: float = 0.0
    slack_start_s: float = 0.0
    slack_end_s: float = 0.0

    def __add__(self, other: "Tally") -> "Tally":
        """Sums add up; rates are computed from sums, never averaged."""
        return Tally(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(Tally)))

    @property
    def elapsed_s(self) -> float:
        """All seconds, whoever owns them."""
        return self.denominator_s + self.maintenance_s + self.unobserved_s + self.takeover_s

    @property
    def denominator_s(self) -> float:
        """The seconds that count."""
        return self.good_s + self.bad_s + self.bad_upstream_s

    @property
    def online_rate(self) -> float | None:
        """With upstream failures held against the cameras; None = nothing was observed."""
        return _ratio(self.good_s, self.denominator_s)

    @property
    def online_rate_without_upstream(self) -> float | None:
        """With the seconds behind failed network nodes left out."""
        return _ratio(self.good_s, self.good_s + self.bad_s)

    @property
    def good_condition_rate(self) -> float | None:
        """Seconds without any open fault."""
        return _ratio(self.good_s - self.degraded_s, self.denominator_s)

    @property
    def online_rate_low(self) -> float | None:
        """The online rate if every outage began as early as it may have."""
        return _ratio(self.good_s - self.slack_start_s, self.denominator_s)

    @property
    def online_rate_high(self) -> float | None:
        """The online rate if every outage ended as early as it may have."""
        return _ratio(self.good_s + self.slack_end_s, self.denominator_s)

    def as_dict(self) -> dict[str, float | None]:
        """Sums and rates by name, rates rounded to 6 places."""
        shown: dict[str, float | None] = {}
        for f in fields(Tally):
            shown[f"total_{f.name}"] = round(getattr(self, f.name), 3)
        shown["total_elapsed_s"] = round(self.elapsed_s, 3)
        for name in RATES:
            rate = getattr(self, name)
            shown[name] = None if rate is None else round(rate, 6)
        return shown


RATES = (
    "online_rate",
    "online_rate_without_upstream",
    "good_condition_rate",
    "online_rate_low",
    "online_rate_high",
)


def _ratio(part: float, whole: float) -> float | None:
    return min(1.0, max(0.0, part / whole)) if whole > 0 else None


def tally(
    days: Iterable[DaySeconds],
    takeover: Mapping[tuple[ChannelId, str], float] = NO_TAKEOVER,
) -> Tally:
    """Add up days.

    Args:
        days: any number of channels and days.
        takeover: seconds of a day (by channel and ISO day) inside a takeover outage; so many of
            the bad seconds of that day are shown apart.
    """
    good = bad = upstream = maintenance = unobserved = degraded = apart = 0.0
    for day in days:
        apart_s = min(day.bad_s, takeover.get((day.channel, day.day), 0.0)) if takeover else 0.0
        good += day.good_s
        bad += day.bad_s - apart_s
        apart += apart_s
        upstream += day.bad_upstream_s
        maintenance += day.maintenance_s
        unobserved += day.unobserved_s
        degraded += day.degraded_s
    return Tally(good, bad, upstream, maintenance, unobserved, degraded, apart)


def tally_by(
    days: Iterable[DaySeconds],
    group_of: Callable[[ChannelId], str],
    takeover: Mapping[tuple[ChannelId, str], float] = NO_TAKEOVER,
) -> dict[str, Tally]:
    """Add up days by group."""
    found: dict[str, list[DaySeconds]] = {}
    for day in days:
        found.setdefault(group_of(day.channel), []).append(day)
    return {group: tally(those, takeover) for group, those in found.items()}


def overlap_s(
    start: datetime | None, end: datetime | None, since: datetime, until: datetime
) -> float:
    """Seconds of [start, end) inside [since, until); a missing bound has no length."""
    if start is None or end is None:
        return 0.0
    return max(0.0, (min(end, until) - max(start, since)).total_seconds())


def slack_of(outage: Outage[datetime], since: datetime, until: datetime) -> Tally:
    """How much earlier an outage may have begun and ended, inside a window.

    Planned and takeover rows have none: their seconds are in no rate, unless they were accepted.
    """
    if outage.planned or outage.unaccepted:
        return Tally()
    end_s = overlap_s(outage.last_failed_at, outage.ended_at, since, until)
    return Tally(
        slack_start_s=overlap_s(outage.last_seen_at, outage.failed_at, since, until),
        slack_end_s=max(0.0, end_s - outage.unobserved_s),
    )
