"""Which signals belong to one incident (事件): same kind, place and time; or one explains the other.

An incident grows while its signals come, is over when its last standing signal ended (and nothing came again
for `linger_s`), and ages out when signals without an end stop coming, or a state stands too long for its
kind (stuck contacts); a lost picture stands as long as it takes. A tamper that is followed by signal loss or
outage of the same device is ONE incident, more urgent than either.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import blake2b
from math import cos, floor, hypot, radians

from gateway.domain.alerting.rows import EventIncident
from gateway.domain.alerting.rules import RADIUS_MOST_M, Makes, RuleBook, raised
from gateway.domain.camera import DeviceId
from gateway.domain.event import Event, EventKind

CASES_MOST = 20_000
"""Open at the same time; beyond it the one that was silent longest ages out early."""
DEGREE_M = 111_320.0
SQUARE_DEG = RADIUS_MOST_M / DEGREE_M / 0.6
"""Side of a square of the place index: no two places within the largest radius are two squares apart,
up to latitude 53."""
FOLLOWED_BY = "followed by "
Source = tuple[EventKind, str, str]
"""What stands: kind, channel or sensor or device, token."""


@dataclass(frozen=True, slots=True)
class Where:
    """Where a signal comes from, as the archive knows it."""

    longitude: float | None = None
    latitude: float | None = None
    device: DeviceId | None = None


@dataclass(slots=True)
class Case:
    """An open incident.

    Attributes:
        standing: sources that began and have not ended.
        over_at: when the last of them ended; it closes `linger_s` later.
        joined: outage incidents that it explains; it stays open as long as they do.
        raised_by: why its severity was raised already.
        names: kinds and subjects that find it.
        given_up: why nobody will tell its end; it closes at once.
    """

    row: EventIncident
    device: DeviceId | None
    standing: set[Source] = field(default_factory=set)
    over_at: datetime | None = None
    joined: set[str] = field(default_factory=set)
    raised_by: frozenset[str] = frozenset()
    names: set[tuple[EventKind, str]] = field(default_factory=set)
    given_up: str = ""


@dataclass(frozen=True, slots=True)
class Taken:
    """What a signal did. `case` is None when it is no part of an incident."""

    case: Case | None
    reason: str
    opened: bool = False
    changed: bool = False
    """Something that people are told about: severity, cause, end or its return."""


def subject_of(event: Event) -> str:
    """What the signal is about: sensor, channel or device."""
    return event.sensor or event.channel or event.device or ""


def incident_id(event: Event) -> str:
    """The key of an incident, from its first signal: the same after a replay."""
    content = f"{event.kind}\n{subject_of(event)}\n{event.id}".encode()
    return f"ev-{blake2b(content, digest_size=8).hexdigest()}"


def distance_m(a: Where, longitude: float, latitude: float) -> float | None:
    """Metres between two places near each other; None when one has no position."""
    if a.longitude is None or a.latitude is None:
        return None
    east = (longitude - a.longitude) * cos(radians((latitude + a.latitude) / 2))
    return hypot(east, latitude - a.latitude) * DEGREE_M


class Correlator:
    """The open event incidents. Pure: times come with the calls.

    Args:
        book: what makes an incident, and what explains what.
    """

    def __init__(self, book: RuleBook) -> None:
        self.book = book
        self.cases: dict[str, Case] = {}
        self._by_name: dict[tuple[EventKind, str], str] = {}
        self._standing: dict[Source, str] = {}
        self._stands: Counter[tuple[EventKind, str]] = Counter()
        self._by_device: dict[DeviceId, set[str]] = defaultdict(set)
        self._by_square: dict[tuple[int, int], set[str]] = defaultdict(set)
        self._by_joined: dict[str, str] = {}

    # --- signals

    def makes_incident(self, kind: EventKind, *, heightened: bool) -> bool:
        """Signals of this kind make an incident; otherwise they are counted, no more."""
        makes = self.book.kind(kind).incident
        return makes is Makes.ALWAYS or (makes is Makes.HEIGHTENED and heightened)

    def knows(self, event: Event) -> bool:
        """A signal belongs to an incident that is open, whatever its kind makes otherwise."""
        source: Source = (event.kind, subject_of(event), event.token)
        return source in self._standing or source[:2] in self._by_name

    def stands(self, kind: EventKind, subject: str) -> bool:
        """A state of a kind began at a sensor, channel or device, and has not ended."""
        return (kind, subject) in self._stands

    def take(self, event: Event, where: Where, *, heightened: bool = False) -> Taken:
        """Put a signal where it belongs."""
        source: Source = (event.kind, subject_of(event), event.token)
        if event.active is False:
            return self._end(event, source)
        case = self._same(event, where)
        if case is not None:
            changed = case.over_at is not None
            self._grow(case, event, source)
            changed |= self._raise_by_count(case)
            return Taken(case, "grows: same kind and place", changed=changed)
        explained = self.explained_by(event.kind, where, event.received_at)
        if explained is not None:
            self._grow(explained, event, source)
            self._name(explained, event.kind, subject_of(event))
            changed = self._raise(explained, event.kind)
            return Taken(explained, f"follows {explained.row.kind}", changed=changed)
        if not self.makes_incident(event.kind, heightened=heightened):
            return Taken(None, "plain signal: counted")
        return Taken(self._open(event, where, source), "new", opened=True, changed=True)

    def _same(self, event: Event, where: Where) -> Case | None:
        rule = self.book.kind(event.kind)
        own = self.cases.get(self._by_name.get((event.kind, subject_of(event)), ""))
        if own is not None and not self._due(own, event.received_at):
            return own
        near = [
            (apart, case.row.id, case)
            for apart, case in self._around(where)
            if case.row.kind is event.kind and apart <= rule.radius_m
        ]
        near = [found for found in near if not self._due(found[2], event.received_at)]
        return min(near, key=lambda found: found[:2])[2] if near else None

    def _around(self, where: Where) -> Iterable[tuple[float, Case]]:
        """The incidents in the squares around a place, with their distance; those have a position."""
        for square in _squares(where.longitude, where.latitude, 1):
            for key in self._by_square.get(square, ()):
                case = self.cases[key]
                row = case.row
                yield distance_m(where, row.longitude or 0.0, row.latitude or 0.0) or 0.0, case

    def _open(self, event: Event, where: Where, source: Source) -> Case:
        rule = self.book.kind(event.kind)
        row = EventIncident(
            id=incident_id(event),
            kind=event.kind,
            severity=rule.severity,
            began_at=event.received_at,
            last_at=event.received_at,
            signals=event.count,
            channel=event.channel,
            sensor=event.sensor,
            longitude=where.longitude,
            latitude=where.latitude,
            first_event=event.id,
            last_event=event.id,
        )
        case = Case(row, where.device)
        self._add(case, subject_of(event))
        self._stand(case, event, source)
        return case

    def _stand(self, case: Case, event: Event, source: Source) -> None:
        if event.active:
            case.standing.add(source)
            if source not in self._standing:
                self._stands[source[:2]] += 1
            self._standing[source] = case.row.id

    def _let_go(self, source: Source) -> str | None:
        """A source stands no more; returns the key of its incident."""
        key = self._standing.pop(source, None)
        if key is not None:
            self._stands[source[:2]] -= 1
            if not self._stands[source[:2]]:
                del self._stands[source[:2]]
        return key

    def _grow(self, case: Case, event: Event, source: Source) -> None:
        case.row = replace(
            case.row,
            last_at=max(case.row.last_at, event.received_at),
            signals=case.row.signals + event.count,
            last_event=event.id,
        )
        case.over_at = None
        self._stand(case, event, source)

    def _end(self, event: Event, source: Source) -> Taken:
        key = self._let_go(source) or self._by_name.get(source[:2], "")
        case = self.cases.get(key)
        if case is None:
            return Taken(None, "ends nothing that is open")
        case.standing.discard(source)
        at = max(case.row.last_at, event.received_at)
        case.row = replace(case.row, last_at=at, last_event=event.id)
        if not case.standing and not case.joined:
            case.over_at = at
            return Taken(case, "over", changed=True)
        return Taken(case, "one of its signals is over")

    # --- causes

    def explained_by(self, kind: EventKind, where: Where, at: datetime) -> Case | None:
        """The open incident that explains a later signal or outage of the same device or place."""
        earlier = self.book.causes.before(kind)
        within = timedelta(seconds=self.book.causes.within_s)
        found = []
        for case in self._neighbours(where):
            row = case.row
            if row.kind in earlier and row.began_at <= at <= row.last_at + within:
                found.append((row.began_at, row.id, case))
        return min(found, key=lambda one: one[:2])[2] if found else None

    def _neighbours(self, where: Where) -> Iterable[Case]:
        if where.device is not None:
            for key in self._by_device.get(where.device, ()):
                yield self.cases[key]
        for apart, case in self._around(where):
            if apart <= self.book.kind(case.row.kind).radius_m:
                yield case

    def join(self, case: Case, outage_incident: str) -> bool:
        """An outage incident is explained by a case; False when that was known."""
        if outage_incident in case.joined:
            return False
        case.joined.add(outage_incident)
        self._by_joined[outage_incident] = case.row.id
        case.over_at = None
        self._raise(case, EventKind.OUTAGE)
        return True

    def joined(self, outage_incident: str) -> Case | None:
        """The case that explains an outage incident."""
        return self.cases.get(self._by_joined.get(outage_incident, ""))

    def release(self, outage_incident: str, at: datetime) -> Case | None:
        """An outage incident ended; returns the case that it had joined."""
        case = self.joined(outage_incident)
        if case is None:
            return None
        del self._by_joined[outage_incident]
        case.joined.discard(outage_incident)
        case.row = replace(case.row, last_at=max(case.row.last_at, at))
        if not case.standing and not case.joined:
            case.over_at = case.row.last_at
        return case

    def _raise(self, case: Case, by: EventKind) -> bool:
        if by in case.raised_by:
            return False
        first = not case.raised_by
        case.raised_by |= {by}
        severity = raised(case.row.severity) if first else case.row.severity
        note = "; ".join(filter(None, (case.row.note, f"{FOLLOWED_BY}{by}")))
        case.row = replace(case.row, severity=severity, note=note)
        return True

    def _raise_by_count(self, case: Case) -> bool:
        rule = self.book.kind(case.row.kind)
        many = bool(rule.raise_at) and case.row.signals >= rule.raise_at
        if not many or "count" in case.raised_by:
            return False
        case.raised_by |= {"count"}
        case.row = replace(case.row, severity=raised(case.row.severity))
        return True

    # --- time

    def tick(self, now: datetime) -> list[Case]:
        """Close what is over at `now`; returns the closed cases."""
        closed = []
        due = [case for case in self.cases.values() if self._due(case, now)]
        for case in due + self._too_many({case.row.id for case in due}):
            ended, note = self._ending(case, now)
            notes = "; ".join(filter(None, (case.row.note, note)))
            case.row = replace(case.row, ended_at=ended, note=notes)
            self._remove(case)
            closed.append(case)
        return closed

    def _too_many(self, closing: set[str]) -> list[Case]:
        """The longest silent ones of those beyond what may be open."""
        left = [c for key, c in self.cases.items() if key not in closing and not c.joined]
        left.sort(key=lambda case: (case.row.last_at, case.row.id))
        return left[: max(0, len(self.cases) - len(closing) - CASES_MOST)]

    def _due(self, case: Case, now: datetime) -> bool:
        rule = self.book.kind(case.row.kind)
        if case.given_up:
            return True
        if case.joined:
            return False
        if case.over_at is not None:
            return now >= case.over_at + timedelta(seconds=rule.linger_s)
        if case.standing and not rule.stuck_s:
            return False
        limit_s = rule.stuck_s if case.standing else rule.window_s
        return now >= case.row.last_at + timedelta(seconds=limit_s)

    def _ending(self, case: Case, now: datetime) -> tuple[datetime, str]:
        if case.given_up:
            return case.over_at or now, case.given_up
        if case.over_at is not None:
            return case.over_at, ""
        if case.standing:  # nothing says that it ended before we stopped believing it
            return now, "stuck: no end was told"
        return case.row.last_at, "no more signals"

    def give_up(self, case: Case, reason: str) -> None:
        """Nobody will tell its end: its source is gone. It closes with the next `tick`."""
        case.given_up = reason

    # --- the book

    def restore(self, row: EventIncident, device: DeviceId | None) -> Case:
        """Go on with an incident that was open before a restart; what stands of it: `stand_again`."""
        subject = row.sensor or row.channel or device or ""
        case = Case(row, device, raised_by=self._raised_before(row))
        self._add(case, subject)
        return case

    def _raised_before(self, row: EventIncident) -> frozenset[str]:
        notes = row.note.split("; ") if row.note else []
        found = {note.removeprefix(FOLLOWED_BY) for note in notes if note.startswith(FOLLOWED_BY)}
        many = self.book.kind(row.kind).raise_at
        return frozenset(found | ({"count"} if many and row.signals >= many else set()))

    def stand_again(self, event: Event, where: Where) -> Case | None:
        """What a signal of before a restart left standing: the newest of each source, oldest first.

        Returns:
            The incident that it belongs to; None = it was none of those that are open.
        """
        source: Source = (event.kind, subject_of(event), event.token)
        case = self.cases.get(incident_id(event)) or self._same(event, where)
        if case is None:
            case = self.explained_by(event.kind, where, event.received_at)
        if case is None or event.received_at < case.row.began_at:
            return None
        self._name(case, event.kind, subject_of(event))
        case.over_at = None
        self._stand(case, event, source)
        if event.active is False:
            self._let_go(source)
            case.standing.discard(source)
            case.over_at = None if case.standing else case.row.last_at
        return case

    def put(self, case: Case, row: EventIncident) -> None:
        """Replace the row of a case (its links, its cameras)."""
        case.row = row

    def _add(self, case: Case, subject: str) -> None:
        self.cases[case.row.id] = case
        self._name(case, case.row.kind, subject)
        if case.device is not None:
            self._by_device[case.device].add(case.row.id)
        for square in _squares(case.row.longitude, case.row.latitude, 0):
            self._by_square[square].add(case.row.id)

    def _name(self, case: Case, kind: EventKind, subject: str) -> None:
        case.names.add((kind, subject))
        self._by_name[kind, subject] = case.row.id

    def _remove(self, case: Case) -> None:
        key = case.row.id
        del self.cases[key]
        for name in case.names:
            if self._by_name.get(name) == key:
                del self._by_name[name]
        for source in case.standing:
            if self._standing.get(source) == key:  # not one that stands in a newer incident
                self._let_go(source)
        for outage_incident in case.joined:
            self._by_joined.pop(outage_incident, None)
        if case.device is not None:
            self._by_device[case.device].discard(key)
            if not self._by_device[case.device]:
                del self._by_device[case.device]
        for square in _squares(case.row.longitude, case.row.latitude, 0):
            self._by_square[square].discard(key)
            if not self._by_square[square]:
                del self._by_square[square]


def _squares(
    longitude: float | None, latitude: float | None, around: int
) -> Iterable[tuple[int, int]]:
    if longitude is None or latitude is None:
        return
    x, y = floor(longitude / SQUARE_DEG), floor(latitude / SQUARE_DEG)
    for dx in range(-around, around + 1):
        for dy in range(-around, around + 1):
            yield x + dx, y + dy
