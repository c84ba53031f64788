"""Who is told about an incident, when, and why: the rules of `config/alert_rules.toml`, decided purely.

The first rule that matches decides. Every decision says in words why it fell that way.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from gateway.domain.alerting.hours import SHANGHAI, span_of, within
from gateway.domain.alerting.loop import Limits
from gateway.domain.alerting.posture import PlannedPosture, level_at, muted_by, planned_problems
from gateway.domain.alerting.rows import Mute, Posture, PostureLevel
from gateway.domain.event import EventKind, Severity

FEED = "feed"
"""The pull side: `/api/v1/alerts`. It gets whatever a rule lets through, also without recipients."""
SEVERITIES = tuple(Severity)
RADIUS_MOST_M = 80.0
"""Places are compared within squares of this size."""


TOLD_IN_MAINTENANCE = frozenset(
    {EventKind.SMOKE, EventKind.GAS, EventKind.SOS, EventKind.WATER_LEVEL}
)
"""Where lives are at stake nobody waits for the end of a window; who tests such a sensor sets a mute."""


class Makes(StrEnum):
    """When signals of a kind make an incident."""

    ALWAYS = "always"
    HEIGHTENED = "heightened"
    """Only where the posture is heightened; otherwise it is a plain signal: counted, no more."""
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class KindRule:
    """How signals of one kind become an incident.

    Attributes:
        severity: of a new incident.
        incident: whether they make one.
        window_s: without an end of its own an incident is over when nothing came for so long.
        stuck_s: a state whose end was never told is given up after so long (stuck contacts); 0 = never.
        linger_s: for so long after its end what comes again belongs to it.
        radius_m: other sources of the same kind within so many metres belong to it.
        raise_at: from so many signals or channels on the severity is one step higher; 0 = never.
    """

    severity: Severity = Severity.MINOR
    incident: Makes = Makes.ALWAYS
    window_s: float = 600.0
    stuck_s: float = 86_400.0
    linger_s: float = 10.0
    radius_m: float = 50.0
    raise_at: int = 0


@dataclass(frozen=True, slots=True)
class Causes:
    """Which kinds explain which later ones at the same device or place.

    Attributes:
        within_s: the later one begins at most so long after the last signal of the earlier one.
        of: earlier kind -> later kinds.
    """

    within_s: float = 120.0
    of: Mapping[EventKind, tuple[EventKind, ...]] = field(default_factory=dict)

    def before(self, later: EventKind) -> tuple[EventKind, ...]:
        """The kinds that explain one."""
        return tuple(earlier for earlier, laters in self.of.items() if later in laters)


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the table. An empty list matches everything.

    Attributes:
        areas: beginnings of division codes.
        severity: at least.
        hours: `HH:MM-HH:MM` Asia/Shanghai; a span may run past midnight.
        recipients: by name; the feed always gets it too. None at all = the feed only.
        delay_s: hold-down: told only if it still stands so long after it was noticed.
        repeat_s: told again so often until the center has received it; 0 = once.
        escalate_s: overdue when not received so long after it was told; 0 = never.
        dispatch_s: likewise when not dispatched, nor in progress.
        close_s: likewise when not closed, nor marked as a false alarm.
        escalate_to: who is told then, beside the recipients.
        digest_s: gathered into one message for so long; 0 = each by itself.
        tell: False = recorded, told to nobody.
    """

    name: str
    kinds: tuple[EventKind, ...] = ()
    areas: tuple[str, ...] = ()
    severity: Severity = Severity.INFO
    hours: tuple[str, ...] = ()
    postures: tuple[PostureLevel, ...] = ()
    recipients: tuple[str, ...] = ()
    delay_s: float = 0.0
    repeat_s: float = 0.0
    escalate_s: float = 0.0
    dispatch_s: float = 0.0
    close_s: float = 0.0
    escalate_to: tuple[str, ...] = ()
    digest_s: float = 0.0
    tell: bool = True

    @property
    def limits(self) -> Limits:
        """How long the center may take for each step."""
        return Limits(self.escalate_s, self.dispatch_s, self.close_s)


@dataclass(frozen=True, slots=True)
class RuleBook:
    """All of `config/alert_rules.toml`."""

    update_every_s: float = 60.0
    kinds: Mapping[EventKind, KindRule] = field(default_factory=dict)
    causes: Causes = Causes()
    rules: tuple[Rule, ...] = ()
    postures: tuple[PlannedPosture, ...] = ()

    def kind(self, kind: EventKind) -> KindRule:
        """The rule of a kind, or the default one."""
        return self.kinds.get(kind, DEFAULT_KIND)


DEFAULT_KIND = KindRule()


@dataclass(frozen=True, slots=True)
class Matter:
    """What a decision is asked for.

    Attributes:
        key: incident key.
        area: division code of its place, as many digits as are known.
        grid: the cell of its place, where it is known.
        since_at: when it was noticed.
        planned: maintenance: not told, but for `TOLD_IN_MAINTENANCE`.
        inhibited_by: key of a lost uplink above it, if any.
    """

    key: str
    kind: EventKind
    severity: Severity
    area: str
    since_at: datetime
    planned: bool = False
    inhibited_by: str | None = None
    grid: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """Who is told, when, and why. `recipients` holds the feed too; empty = nobody."""

    recipients: tuple[str, ...]
    reason: str
    rule: Rule | None = None
    posture: PostureLevel = PostureLevel.ROUTINE

    @property
    def rule_name(self) -> str:
        """The rule that decided, if one did."""
        return "" if self.rule is None else self.rule.name


def decide(
    book: RuleBook,
    matter: Matter,
    postures: Iterable[Posture],
    mutes: Iterable[Mute],
    at: datetime,
    configured: Collection[str] = (),
) -> Decision:
    """Who is told about an incident now.

    Args:
        book: the rules.
        matter: the incident.
        postures: all that are known.
        mutes: all that are known.
        at: now.
        configured: recipients that can be reached; others of a rule are left out.
    """
    posture = level_at(postures, matter.area, at, matter.grid)
    if matter.planned and matter.kind not in TOLD_IN_MAINTENANCE:
        return Decision((), "planned: inside a maintenance window", None, posture)
    if matter.inhibited_by is not None:
        return Decision((), f"inhibited by {matter.inhibited_by}", None, posture)
    mute = muted_by(mutes, kind=matter.kind, area=matter.area, key=matter.key, at=at)
    if mute is not None:
        until = mute.until_at.astimezone(SHANGHAI).isoformat(timespec="minutes")
        reason = f"muted by {mute.actor} until {until}: {mute.reason}"
        return Decision((), reason, None, posture)
    rule = next((rule for rule in book.rules if matches(rule, matter, posture, at)), None)
    if rule is None:
        return Decision((), "no rule matches", None, posture)
    if not rule.tell:
        return Decision((), f"rule {rule.name}: recorded, told to nobody", rule, posture)
    told = tuple(name for name in rule.recipients if name in configured)
    above = tuple(name for name in rule.escalate_to if name in configured)
    if above != rule.escalate_to:
        rule = replace(rule, escalate_to=above)
    return Decision((FEED, *told), _why(rule, matter, posture), rule, posture)


def _why(rule: Rule, matter: Matter, posture: PostureLevel) -> str:
    place = f" in {matter.area}" if matter.area else ""
    text = f"rule {rule.name}: {matter.kind} {matter.severity}{place}, posture {posture}"
    return f"{text}, held down for {rule.delay_s:g} s" if rule.delay_s else text


def matches(rule: Rule, matter: Matter, posture: PostureLevel, at: datetime) -> bool:
    """A rule speaks about an incident."""
    return (
        (not rule.kinds or matter.kind in rule.kinds)
        and (not rule.areas or matter.area.startswith(rule.areas))
        and SEVERITIES.index(matter.severity) >= SEVERITIES.index(rule.severity)
        and (not rule.postures or posture in rule.postures)
        and (not rule.hours or any(within(hours, at) for hours in rule.hours))
    )


def raised(severity: Severity, steps: int = 1) -> Severity:
    """One step more urgent, as far as there is one."""
    return SEVERITIES[min(SEVERITIES.index(severity) + steps, len(SEVERITIES) - 1)]


# --- are they sound?


def problems(book: RuleBook) -> list[str]:
    """Everything that is wrong with rules that can be read, one sentence each, starting with where."""
    found = [
        f"kinds.{kind}{text}" for kind, of in book.kinds.items() for text in _kind_problems(of)
    ]
    found += [
        f"kinds.{kind}.linger_s: must be at least causes.within_s ({book.causes.within_s:g}): "
        "it is joined by what follows so much later"
        for kind in book.causes.of
        if book.kind(kind).linger_s < book.causes.within_s
    ]
    if book.update_every_s <= 0:
        found.append("update_every_s: must be above 0")
    found += planned_problems(book.postures)
    names = [rule.name for rule in book.rules]
    for n, rule in enumerate(book.rules):
        found += [f"rules.{n} ({rule.name}): {text}" for text in _rule_problems(rule)]
        if names.index(rule.name) != n:
            found.append(
                f"rules.{n}: the name {rule.name!r} stands at {names.index(rule.name)} too"
            )
        narrow = rule.kinds or rule.areas or rule.hours or rule.postures
        if n + 1 < len(book.rules) and not narrow and rule.severity is Severity.INFO:
            found.append(f"rules.{n} ({rule.name}): matches all; what follows never decides")
    return found


def unknown_recipients(book: RuleBook, known: Collection[str]) -> list[str]:
    """Every name of a recipient that stands for nobody, one sentence each, starting with where.

    A name that is mistyped would be left out of every decision, and nobody would be told.
    """
    names = ", ".join(known)
    return [
        f"rules.{n} ({rule.name}): {where}: {name!r} is no recipient; known are {names}; others need "
        f"[recipients.{name}] in the settings"
        for n, rule in enumerate(book.rules)
        for where, given in (("recipients", rule.recipients), ("escalate_to", rule.escalate_to))
        for name in given
        if name not in known and name != FEED
    ]


def _kind_problems(rule: KindRule) -> list[str]:
    found = []
    if not 0 <= rule.radius_m <= RADIUS_MOST_M:
        found.append(f".radius_m: must be from 0 to {RADIUS_MOST_M:g} metres")
    if min(rule.window_s, rule.stuck_s, rule.linger_s, rule.raise_at) < 0:
        found.append(": windows and counts must not be negative")
    return found


def _rule_problems(rule: Rule) -> list[str]:
    found = []
    if not rule.name or not rule.name.isprintable():
        found.append("name: must be a short text")
    for hours in rule.hours:
        try:
            span_of(hours)
        except ValueError:
            found.append(f"hours: {hours!r} is not HH:MM-HH:MM")
    found += [f"areas: {area!r} is no division code" for area in rule.areas if not area.isdecimal()]
    limits = rule.limits.given
    found += _time_problems(rule, limits)
    if rule.digest_s and (rule.repeat_s or limits):
        found.append("digest_s: a digest is neither repeated nor escalated")
    if FEED in (*rule.recipients, *rule.escalate_to):
        found.append(f"recipients: {FEED!r} always gets it; name the others only")
    if not rule.tell and (rule.recipients or rule.delay_s or limits):
        found.append("tell = false: tells nobody, so nothing else can be asked for")
    if (rule.delay_s or rule.digest_s) and (EventKind.BLIND_SPOT in rule.kinds):
        found.append("blind_spot: is told with coverage's own rows, so without delay or digest")
    return found


def _time_problems(rule: Rule, limits: tuple[float, ...]) -> list[str]:
    found = []
    if min(rule.delay_s, rule.repeat_s, rule.digest_s, *limits) < 0:
        found.append("times must not be negative")
    elif list(limits) != sorted(limits):
        found.append("escalate_s, dispatch_s, close_s: no step may be due before the one before it")
    if rule.escalate_to and not limits:
        found.append("escalate_to: needs escalate_s, dispatch_s or close_s")
    return found
