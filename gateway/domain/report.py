"""The report of a window: outages and online rate by group, with every denominator shown.

The same rows feed the screen, the CSV and the workbook.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from gateway.domain.camera import ChannelId
from gateway.domain.ledger import DaySeconds, Outage
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
    """Seconds of each channel and day inside a takeover outage, until it was accepted as work."""
    found: dict[tuple[ChannelId, str], float] = {}
    for outage in outages:
        if not outage.takeover:
            continue
        for day in days:
            since, until = window_of(day, day)
            ended_at = outage.accepted_at or outage.ended_at or as_of
            seconds = overlap_s(outage.failed_at, ended_at, since, until)
            if seconds:
                key = (outage.channel, day)
                found[key] = found.get(key, 0.0) + seconds
    return found


class DaySums:
    """One day added up by group, portion by portion: the fleet's rows are never held at once.

    Args:
        group_of: the group of every channel, decommissioned ones included.
        takeover: what `takeover_seconds` found.
        complete: channels whose day is over: a second of it that nobody recorded was not observed,
            and counts as such. Empty for today: what is not yet recorded is not yet counted.
    """

    def __init__(
        self,
        group_of: Mapping[ChannelId, str],
        takeover: Mapping[tuple[ChannelId, str], float],
        complete: Iterable[ChannelId] = (),
    ) -> None:
        self._group_of = group_of
        self._takeover = takeover
        self._missing_s: dict[ChannelId, float] = dict.fromkeys(complete, float(DAY_S))
        self._sums: dict[str, Tally] = {}

    def add(self, rows: Sequence[DaySeconds]) -> None:
        """Some rows of the day, each channel once."""
        found = tally_by(rows, lambda channel: self._group_of.get(channel, ""), self._takeover)
        self._sums = merged(self._sums, found)
        for row in rows:
            if row.channel in self._missing_s:
                self._missing_s[row.channel] -= row.elapsed_s

    def result(self) -> dict[str, Tally]:
        """The sums by group."""
        missing: dict[str, float] = {}
        for channel, missing_s in self._missing_s.items():
            if missing_s >= 1:
                key = self._group_of.get(channel, "")
                missing[key] = missing.get(key, 0.0) + missing_s
        return merged(self._sums, {k: Tally(unobserved_s=s) for k, s in missing.items()})


def merged(one: Mapping[str, Tally], other: Mapping[str, Tally]) -> dict[str, Tally]:
    """Both together, by group."""
    return {key: one.get(key, Tally()) + other.get(key, Tally()) for key in {**one, **other}}


def build(
    *,
    first_day: str,
    last_day: str,
    group_of: Mapping[ChannelId, str],
    in_use: Iterable[ChannelId],
    names: Mapping[str, str],
    sums: Mapping[str, Tally],
    outages: Sequence[Outage[datetime]],
) -> Report:
    """Put a report together.

    Args:
        first_day: Shanghai day (ISO).
        last_day: Shanghai day (ISO), included.
        group_of: the group of every channel, decommissioned ones included.
        in_use: the channels in use.
        names: display names of groups; they also give the order of the lines.
        sums: those of all days (`DaySums`), merged.
        outages: those that overlap the window.
    """
    since, until = window_of(first_day, last_day)
    slack: dict[str, Tally] = {}
    counted, never = Counter[str](), Counter[str]()
    for outage in outages:
        key = group_of.get(outage.channel, "")
        slack[key] = slack.get(key, Tally()) + slack_of(outage, since, until)
        counted[key] += not (outage.unaccepted or outage.planned)
    for channel in {outage.channel for outage in outages if outage.unaccepted}:
        never[group_of.get(channel, "")] += 1
    whole = merged(sums, slack)
    sizes = Counter(group_of.get(channel, "") for channel in in_use)
    known = {**dict.fromkeys(sorted(names)), **dict.fromkeys(sorted({*whole, *sizes}))}
    groups = tuple(
        Group(
            key=key,
            name=names.get(key) or key or UNASSIGNED,
            channels=sizes[key],
            outages=counted[key],
            takeover=never[key],
            sums=whole.get(key, Tally()),
        )
        for key in known
        if key in whole or key in sizes
    )
    return Report(first_day, last_day, since, until, groups, total_of(groups))


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
