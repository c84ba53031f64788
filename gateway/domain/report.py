"""The report of a window: outages and online rate by group, with every denominator shown.

The same rows feed the screen, the CSV and the workbook.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from gateway.domain.camera import ChannelId
from gateway.domain.ledger import Outage, RollUp
from gateway.domain.rates import Tally, overlap_s, slack_of, tally_by
from gateway.domain.seconds import DAY_S, day_start

FORMULA = (
    "在线率 = 正常 ÷ (总时长 − 未观测 − 检修 − 存量故障)；不计上联 = 正常 ÷ (正常 + 本身离线)；"
    "完好率 = (正常 − 带故障) ÷ 同一分母。online = good / (elapsed - unobserved - maintenance - takeover)"
)
UNASSIGNED = "未归属"
_HOUR_S = 3600.0
_FORMULA_STARTS = frozenset("=+-@\t\r\n＝＋－＠")
"""OWASP's list; the full-width forms count in East Asian versions of spreadsheets."""


@dataclass(frozen=True, slots=True)
class Group:
    """One line of the report.

    Attributes:
        channels: channels in use.
        outages: outages that overlap the window, takeover and planned ones left out.
        takeover: channels never seen good (存量故障), in no rate.
    """

    key: str
    name: str
    channels: int = 0
    outages: int = 0
    takeover: int = 0
    sums: Tally = field(default_factory=Tally)


@dataclass(frozen=True, slots=True)
class Report:
    """A report: its window (Shanghai days, both included), its lines and their total."""

    first_day: str
    last_day: str
    since: datetime
    until: datetime
    groups: tuple[Group, ...]
    total: Group


def days_between(first_day: str, last_day: str) -> tuple[str, ...]:
    """The ISO days of a window, both included."""
    at, last = (datetime.fromisoformat(day) for day in (first_day, last_day))
    return tuple((at + timedelta(days=n)).date().isoformat() for n in range((last - at).days + 1))


def window_of(first_day: str, last_day: str) -> tuple[datetime, datetime]:
    """The half-open UTC window of Shanghai days, both included."""
    since = datetime.fromtimestamp(day_start(first_day), UTC)
    return since, datetime.fromtimestamp(day_start(last_day) + DAY_S, UTC)


def takeover_seconds(
    outages: Iterable[Outage[datetime]], days: Sequence[str], as_of: datetime
) -> dict[tuple[ChannelId, str], float]:
    """Seconds of each channel and day inside a takeover outage."""
    found: dict[tuple[ChannelId, str], float] = {}
    for outage in outages:
        if not outage.takeover:
            continue
        for day in days:
            since, until = window_of(day, day)
            seconds = overlap_s(outage.failed_at, outage.ended_at or as_of, since, until)
            if seconds:
                key = (outage.channel, day)
                found[key] = found.get(key, 0.0) + seconds
    return found


def build(
    *,
    first_day: str,
    last_day: str,
    today: str,
    as_of: datetime,
    group_of: Mapping[ChannelId, str],
    in_use: Iterable[ChannelId],
    names: Mapping[str, str],
    rollups: Sequence[RollUp],
    outages: Sequence[Outage[datetime]],
) -> Report:
    """Add up a window.

    Args:
        first_day: Shanghai day (ISO).
        last_day: Shanghai day (ISO), included.
        as_of: where an open outage ends for now.
        today: the Shanghai day that is not over: what is not recorded of it is not yet counted.
            A second of an earlier day that nobody recorded was not observed, and counts as such.
        group_of: the group of every channel, decommissioned ones included.
        in_use: the channels in use.
        names: display names of groups; they also give the order of the lines.
        rollups: those of the window.
        outages: those that overlap the window.
    """
    days = days_between(first_day, last_day)
    since, until = window_of(first_day, last_day)
    key_of = _lookup(group_of)
    takeover = takeover_seconds(outages, days, as_of)
    sums = tally_by(rollups, key_of, takeover)
    for outage in outages:
        key = key_of(outage.channel)
        sums[key] = sums.get(key, Tally()) + slack_of(outage, since, until)
    channels = set(in_use)
    sizes = Counter(key_of(channel) for channel in channels)
    for key, seconds in _unrecorded(channels, rollups, [d for d in days if d < today], key_of):
        sums[key] = sums.get(key, Tally()) + Tally(unobserved_s=seconds)
    counted = Counter(key_of(o.channel) for o in outages if not (o.takeover or o.planned))
    never = Counter(key_of(channel) for channel in {o.channel for o in outages if o.takeover})
    order = [*names, *sorted(k for k in {*sums, *sizes} if k not in names)]
    groups = tuple(
        Group(
            key=key,
            name=names.get(key) or key or UNASSIGNED,
            channels=sizes[key],
            outages=counted[key],
            takeover=never[key],
            sums=sums.get(key, Tally()),
        )
        for key in order
        if key in sums or key in sizes
    )
    return Report(first_day, last_day, since, until, groups, total_of(groups))


def _lookup(group_of: Mapping[ChannelId, str]) -> Callable[[ChannelId], str]:
    def key_of(channel: ChannelId) -> str:
        return group_of.get(channel, "")

    return key_of


def _unrecorded(
    channels: set[ChannelId],
    rollups: Iterable[RollUp],
    complete_days: Sequence[str],
    key_of: Callable[[ChannelId], str],
) -> Iterable[tuple[str, float]]:
    """Seconds of complete days that no roll-up owns, by group."""
    complete = set(complete_days)
    left = Counter[ChannelId]()
    for day in rollups:
        if day.day in complete and day.channel in channels:
            kinds = (day.good_s, day.bad_s, day.bad_upstream_s, day.maintenance_s, day.unobserved_s)
            left[day.channel] += round(sum(map(sum, kinds)))
    for channel in sorted(channels):
        missing_s = DAY_S * len(complete) - left[channel]
        if missing_s > 0:
            yield key_of(channel), float(missing_s)


def total_of(groups: Sequence[Group]) -> Group:
    """The sum of the lines."""
    return Group(
        key="total",
        name="合计",
        channels=sum(g.channels for g in groups),
        outages=sum(g.outages for g in groups),
        takeover=sum(g.takeover for g in groups),
        sums=sum((g.sums for g in groups), Tally()),
    )


Cell = str | int | float | None


def _hours(name: str) -> Callable[[Group], Cell]:
    return lambda group: round(getattr(group.sums, name) / _HOUR_S, 3)


def _rate(name: str) -> Callable[[Group], Cell]:
    def rate(group: Group) -> Cell:
        value = getattr(group.sums, name)
        return None if value is None else round(value, 6)

    return rate


COLUMNS: tuple[tuple[str, str, Callable[[Group], Cell]], ...] = (
    ("code", "编码", lambda g: g.key),
    ("name", "名称", lambda g: g.name),
    ("channels", "路数", lambda g: g.channels),
    ("online_rate", "在线率", _rate("online_rate")),
    ("online_rate_without_upstream", "在线率(不计上联)", _rate("online_rate_without_upstream")),
    ("online_rate_low", "在线率下限", _rate("online_rate_low")),
    ("online_rate_high", "在线率上限", _rate("online_rate_high")),
    ("good_condition_rate", "完好率", _rate("good_condition_rate")),
    ("elapsed_h", "总时长(小时)", _hours("elapsed_s")),
    ("denominator_h", "计入时长(小时)", _hours("denominator_s")),
    ("good_h", "正常(小时)", _hours("good_s")),
    ("degraded_h", "其中带故障(小时)", _hours("degraded_s")),
    ("bad_h", "本身离线(小时)", _hours("bad_s")),
    ("bad_upstream_h", "上联离线(小时)", _hours("bad_upstream_s")),
    ("maintenance_h", "检修(小时)", _hours("maintenance_s")),
    ("unobserved_h", "未观测(小时)", _hours("unobserved_s")),
    ("takeover_h", "存量故障(小时)", _hours("takeover_s")),
    ("takeover_channels", "存量故障(路)", lambda g: g.takeover),
    ("outages", "离线记录(条)", lambda g: g.outages),
)
"""Key, heading, value: the columns of the report everywhere."""


def headings() -> list[str]:
    """Headings in both languages."""
    return [f"{chinese} {key}" for key, chinese, _ in COLUMNS]


def cells(group: Group) -> list[Cell]:
    """One line of the table."""
    return [value(group) for _, _, value in COLUMNS]


def safe_text(text: str) -> str:
    """Text that no spreadsheet takes for a formula: such a start gets an apostrophe before it."""
    return f"'{text}" if text[:1] in _FORMULA_STARTS else text
