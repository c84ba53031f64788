"""Which posture (平战联控) holds at a place and time, which windows are planned, and who silenced what."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta

from gateway.domain.alerting.hours import DAY_MINUTES, SHANGHAI, span_of
from gateway.domain.alerting.rows import Mute, Posture, PostureLevel
from gateway.errors import Refused

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
SCHEDULE = "schedule"
"""Who set what a planned window brought."""
PLANNED = "planned-"
"""How ids of planned windows begin."""
DIVISION_DIGITS = 12


def holds(posture: Posture, area: str, at: datetime, grid: str = "") -> bool:
    """A posture covers a place at a time.

    Args:
        posture: for the beginning of a division code, or for a grid cell.
        area: division code of the place, as many digits as are known.
        at: the time.
        grid: the cell of the place, where it is known.
    """
    ended = posture.until_at is not None and at >= posture.until_at
    # Codes of cells need not be of one length: cell g1 is not g10.
    begins = area.startswith(posture.area) or grid.startswith(posture.area)
    covers = grid == posture.area or (begins and is_division(posture.area))
    return covers and posture.from_at <= at and not ended


def level_at(postures: Iterable[Posture], area: str, at: datetime, grid: str = "") -> PostureLevel:
    """The posture of the smallest area that covers a place.

    Of equal areas, what a person set goes before what was planned, then the one that began last.

    Args:
        postures: all that are known.
        area: division code of the place, as many digits as are known; "" = only known as the district.
        at: the time.
        grid: the cell of the place, where it is known.
    """
    found = [posture for posture in postures if holds(posture, area, at, grid)]
    nearest = max(
        found,
        key=lambda one: (
            bool(grid) and one.area == grid,
            len(one.area),
            one.actor != SCHEDULE,
            one.from_at,
            one.id,
        ),
        default=None,
    )
    return PostureLevel.ROUTINE if nearest is None else nearest.level


def is_division(area: str) -> bool:
    """The beginning of a division code (district, township, village), or "" = the district."""
    return not area or (area.isascii() and area.isdecimal() and len(area) <= DIVISION_DIGITS)


def is_known_division(area: str, codes: Iterable[str]) -> bool:
    """The beginning of one of these division codes; any, where there is none (no archive yet)."""
    if not is_division(area):
        return False
    known = tuple(codes)
    return not area or not known or any(code.startswith(area) for code in known)


# --- ending one


def to_end(rows: Iterable[Posture], posture_id: str) -> Posture:
    """The one that is to be ended.

    Raises:
        Refused: none that holds or will has this id, or a planned window brought it.
    """
    if posture_id.startswith(PLANNED):
        raise Refused("this window is planned in the rules: set routine for its area instead")
    found = next((row for row in rows if row.id == posture_id), None)
    if found is None:
        raise Refused(f"no posture that holds or will has the id {posture_id}")
    return found


def ended_at(row: Posture, now: datetime) -> Posture:
    """A posture that ends now; one that had not begun never will."""
    return replace(row, from_at=min(row.from_at, now), until_at=now)


# --- planned windows


@dataclass(frozen=True, slots=True)
class PlannedPosture:
    """A window of `config/alert_rules.toml` that comes by itself. An empty list matches everything.

    Attributes:
        areas: beginnings of division codes, or grid cells; none = the district.
        hours: `HH:MM-HH:MM` Asia/Shanghai of each day; a span may run past midnight; none = all day.
        weekdays: `mon` to `sun`, of the day on which a span begins.
        from_day / until_day: the first and the last such day.
        reason: for the audit log and for people.
    """

    name: str
    reason: str
    level: PostureLevel = PostureLevel.HEIGHTENED
    areas: tuple[str, ...] = ()
    hours: tuple[str, ...] = ()
    weekdays: tuple[str, ...] = ()
    from_day: date | None = None
    until_day: date | None = None


def occurrences(
    planned: Iterable[PlannedPosture], since: datetime, until: datetime
) -> Iterator[Posture]:
    """What planned windows bring between two times, those that have begun included."""
    first = since.astimezone(SHANGHAI).date() - timedelta(days=1)
    days = (until.astimezone(SHANGHAI).date() - first).days
    for window in planned:
        for n in range(days + 1):
            day = first + timedelta(days=n)
            if not _is_on(window, day):
                continue
            for posture in _of_day(window, day):
                if posture.from_at < until and (posture.until_at or until) > since:
                    yield posture


def _is_on(window: PlannedPosture, day: date) -> bool:
    return (
        (not window.weekdays or WEEKDAYS[day.weekday()] in window.weekdays)
        and (window.from_day is None or day >= window.from_day)
        and (window.until_day is None or day <= window.until_day)
    )


def _of_day(window: PlannedPosture, day: date) -> Iterator[Posture]:
    midnight = datetime.combine(day, time(), SHANGHAI)
    for hours in window.hours or ("00:00-24:00",):
        first, last = span_of(hours)
        last += DAY_MINUTES if last <= first else 0
        for area in window.areas or ("",):
            yield Posture(
                f"{PLANNED}{window.name}-{day:%Y%m%d}-{hours}-{area or 'all'}",
                window.level,
                area,
                midnight + timedelta(minutes=first),
                midnight + timedelta(minutes=last),
                SCHEDULE,
                f"{window.name}: {window.reason}",
            )


def planned_problems(windows: Sequence[PlannedPosture]) -> list[str]:
    """Everything that is wrong with planned windows, one sentence each, starting with where."""
    found = []
    names = [window.name for window in windows]
    for n, window in enumerate(windows):
        where = f"postures.{n} ({window.name})"
        if not window.name or not window.name.isprintable() or not window.reason.strip():
            found.append(f"{where}: name and reason: must be short texts")
        if names.index(window.name) != n:
            found.append(f"{where}: the name stands at {names.index(window.name)} too")
        found += [
            f"{where}: weekdays: {day!r} is none of {' '.join(WEEKDAYS)}"
            for day in window.weekdays
            if day not in WEEKDAYS
        ]
        for hours in window.hours:
            try:
                span_of(hours)
            except ValueError:
                found.append(f"{where}: hours: {hours!r} is not HH:MM-HH:MM")
        days = (window.from_day, window.until_day)
        if days[0] is not None and days[1] is not None and days[1] < days[0]:
            found.append(f"{where}: until_day lies before from_day")
    return found


def unknown_areas(
    windows: Sequence[PlannedPosture], divisions: Collection[str], grids: Collection[str]
) -> list[str]:
    """Every area of a planned window that is nowhere, one sentence each, starting with where.

    Args:
        windows: of the rules.
        divisions: codes that the archive knows; none = it cannot be told which are wrong.
        grids: grid cells of the archive.
    """
    found = []
    for n, window in enumerate(windows):
        for area in window.areas:
            where = f"postures.{n} ({window.name}): areas: {area!r}"
            if area in grids or not area:
                continue
            if not is_division(area):
                found.append(
                    f"{where} is neither the beginning of a division code nor a grid cell of the "
                    "archive: the window holds nowhere there"
                )
            elif not is_known_division(area, divisions):
                found.append(
                    f"{where}: no division of the archive begins so: the window holds nowhere there"
                )
    return found


# --- silence


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
