"""Reads `config/alert_rules.toml` into a `RuleBook`, with every problem found at once."""

import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from gateway.domain.alerting.posture import PlannedPosture
from gateway.domain.alerting.rows import Mute, Posture, PostureLevel
from gateway.domain.alerting.rules import (
    Causes,
    Decision,
    KindRule,
    Matter,
    Rule,
    RuleBook,
    decide,
    problems,
    unknown_recipients,
)
from gateway.domain.event import EventKind, Severity
from gateway.errors import SettingsError
from gateway.resources import data_dir

T = TypeVar("T")


def default_path() -> Path:
    """The rules that come with Sightline."""
    return data_dir("config") / "alert_rules.toml"


def load(path: Path | None = None, recipients: Collection[str] | None = None) -> RuleBook:
    """Read and check the rules.

    Args:
        path: default: those that come with Sightline.
        recipients: names that rules may use; None = they are not compared.

    Raises:
        SettingsError: with every problem found, each starting with where it is.
    """
    data = read(path or default_path())
    found = _unknown("", data, RuleBook)
    for kind, values in _table(data, "kinds").items():
        found += _unknown(f"kinds.{kind}.", values, KindRule)
    found += _unknown("causes.", _table(data, "causes"), Causes)
    rules = data.get("rules", [])
    for n, values in enumerate(rules if isinstance(rules, list) else []):
        found += _unknown(f"rules.{n}.", values, Rule)
    windows = data.get("postures", [])
    for n, values in enumerate(windows if isinstance(windows, list) else []):
        found += _unknown(f"postures.{n}.", values, PlannedPosture)
    book = _parse(data, RuleBook, found)
    found += problems(book)
    if recipients is not None:
        found += unknown_recipients(book, recipients)
    if found:
        raise SettingsError(found)
    return book


def read(path: Path) -> dict[str, Any]:
    """A TOML file.

    Raises:
        SettingsError: it cannot be read.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError([f"{path}: cannot be read: {error.strerror}"]) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError([f"{path}: not valid TOML: {error}"]) from error


def _table(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = data.get(name, {})
    return found if isinstance(found, dict) else {}


def _unknown(where: str, values: object, kind: type) -> list[str]:
    known = {f.name for f in fields(kind)}
    given = values if isinstance(values, dict) else {}
    return [f"{where}{name}: is not known here" for name in given if name not in known]


def _parse(data: object, kind: type[T], found: list[str]) -> T:
    try:
        return TypeAdapter(kind).validate_python(data)
    except ValidationError as error:
        told = [
            f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in error.errors()
        ]
        raise SettingsError(found + told) from None


# --- declared cases


@dataclass(frozen=True, slots=True)
class Expected:
    """What a case expects; what is not given is not compared."""

    recipients: tuple[str, ...] | None = None
    rule: str | None = None
    delay_s: float | None = None
    escalate_s: float | None = None
    dispatch_s: float | None = None
    close_s: float | None = None
    reason: str | None = None
    """A part of it."""


TIMES = ("delay_s", "escalate_s", "dispatch_s", "close_s")
"""Fields of a rule that a case may expect too."""


@dataclass(frozen=True, slots=True)
class Case:
    """One declared case: given this incident, the rules must decide so."""

    name: str
    kind: EventKind
    at: datetime
    expect: Expected
    severity: Severity | None = None
    """Default: that of its kind."""
    area: str = ""
    posture: PostureLevel = PostureLevel.ROUTINE
    planned: bool = False
    inhibited_by: str | None = None
    muted: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a case came out; no differences = as expected."""

    case: Case
    decision: Decision
    differences: tuple[str, ...]


def load_cases(path: Path) -> tuple[Case, ...]:
    """Read declared cases: a list `[[cases]]`.

    Raises:
        SettingsError: with every problem found.
    """
    data = read(path)
    found = [f"{name}: is not known here" for name in data if name != "cases"]
    rows = data.get("cases", [])
    for n, values in enumerate(rows if isinstance(rows, list) else []):
        found += _unknown(f"cases.{n}.", values, Case)
        found += _unknown(f"cases.{n}.expect.", _table(values, "expect"), Expected)
    cases = _parse(rows, tuple[Case, ...], found)
    found += [f"cases.{n}.at: has no offset" for n, c in enumerate(cases) if c.at.tzinfo is None]
    if not cases:
        found.append(f"{path}: holds no [[cases]]")
    if found:
        raise SettingsError(found)
    return cases


def try_case(book: RuleBook, case: Case, recipients: Collection[str]) -> Outcome:
    """Decide one case.

    Args:
        book: the rules.
        case: what is decided, and what is expected.
        recipients: those that can be told, by name.
    """
    severity = case.severity or book.kind(case.kind).severity
    matter = Matter(
        "case", case.kind, severity, case.area, case.at, case.planned, case.inhibited_by
    )
    postures = [Posture("case", case.posture, "", case.at, None, "case", "case")]
    late = datetime.max.replace(tzinfo=case.at.tzinfo)
    mutes = [Mute("case", "case", "case", case.at, late)] if case.muted else []
    decision = decide(book, matter, postures, mutes, case.at, recipients)
    expect, found = case.expect, []
    if expect.recipients is not None and decision.recipients != expect.recipients:
        found.append(f"recipients: {list(decision.recipients)}, not {list(expect.recipients)}")
    if expect.rule is not None and decision.rule_name != expect.rule:
        found.append(f"rule: {decision.rule_name!r}, not {expect.rule!r}")
    for name in TIMES:
        wanted = getattr(expect, name)
        time_s = getattr(decision.rule, name) if decision.rule else 0.0
        if wanted is not None and time_s != wanted:
            found.append(f"{name}: {time_s:g}, not {wanted:g}")
    if expect.reason is not None and expect.reason not in decision.reason:
        found.append(f"reason: {decision.reason!r} does not hold {expect.reason!r}")
    return Outcome(case, decision, tuple(found))
