"""What is gathered for one message (合并推送): a row of the outbox each, until the digest is told.

A gathered incident is stored with what caused it, as an alert to the recipient `digest:<rule>` that nobody
fetches. When the digest is told it is superseded by that; what a crash left pending is gathered again.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from gateway.domain.alerting.cloudevent import Family, Subject, message_id
from gateway.domain.alerting.plan import Planner
from gateway.domain.alerting.rows import Alert, AlertState
from gateway.domain.alerting.rules import FEED, SEVERITIES, Decision, Rule, RuleBook
from gateway.domain.event import EventKind, Severity
from gateway.ports.events import GATHERED


@dataclass(slots=True)
class Digest:
    """What one rule gathers now.

    Attributes:
        since: when the first incident came; names the digest.
        items: what is told of each incident, by key.
        rows: of the outbox, by key.
    """

    since: datetime
    decision: Decision
    items: dict[str, dict[str, Any]] = field(default_factory=dict)
    rows: dict[str, Alert] = field(default_factory=dict)


class Digests:
    """The digests that are being gathered. One owner: the teller.

    Args:
        book: the rules.
        planner: makes the messages.
    """

    def __init__(self, book: RuleBook, planner: Planner) -> None:
        self.book = book
        self.planner = planner
        self.settled: list[Alert] = []
        """Gathered rows whose digest was told, to be written after it."""
        self._open: dict[str, Digest] = {}
        self._taken: dict[str, set[str]] = {}
        """By incident that stands: the rules whose digest has it, told or not."""

    def __len__(self) -> int:
        """Incidents that stand and were gathered."""
        return len(self._taken)

    def restore(
        self, rows: Iterable[Alert], told: Iterable[str], recipients: Iterable[str]
    ) -> None:
        """Go on with what was gathered before a restart.

        Args:
            rows: gathered ones that are pending, and those of incidents that stand.
            told: ids of the digests of these rows (`ids`) that are in the outbox already.
            recipients: the configured ones.
        """
        known = set(told)
        for name, pending in _by_rule(rows).items():
            for row in pending:
                self._taken.setdefault(row.key, set()).add(name)
            left = [row for row in pending if row.state is AlertState.PENDING]
            if not left:
                continue
            since = min(row.created_at for row in left)
            digest_id = _id(name, since)
            if digest_id in known:  # told; a crash came before its rows were settled
                self.settled += [_superseded(row, digest_id) for row in left]
                continue
            rule = next((rule for rule in self.book.rules if rule.name == name), Rule(name))
            to = tuple(one for one in rule.recipients if one in set(recipients))
            digest = self._open[name] = Digest(since, Decision((FEED, *to), left[0].reason, rule))
            for row in left:
                digest.rows[row.key] = row
                digest.items[row.key] = _item_of_row(row)

    def take(self, subject: Subject, decision: Decision, now: datetime) -> tuple[Alert, ...]:
        """Gather an incident, once for each rule; returns the row to store with it."""
        name = decision.rule_name
        digest = self._open.get(name)
        if name in self._taken.get(subject.key, ()):
            if digest is not None and subject.key in digest.items:
                digest.items[subject.key] = _item(subject)
            return ()
        if digest is None:
            digest = self._open[name] = Digest(now, decision)
        row = self.planner.gather(subject, decision, now, f"{GATHERED}{name}")
        digest.items[subject.key] = _item(subject)
        digest.rows[subject.key] = row
        self._taken.setdefault(subject.key, set()).add(name)
        return (row,)

    def forget(self, key: str) -> None:
        """An incident is over; its digest still tells of it."""
        self._taken.pop(key, None)

    def tell(self, now: datetime) -> list[Alert]:
        """The digests whose time is over."""
        alerts: list[Alert] = []
        for name, digest in list(self._open.items()):
            rule = digest.decision.rule
            if rule is None or now < digest.since + timedelta(seconds=rule.digest_s):
                continue
            del self._open[name]
            subject = _subject(name, digest, now)
            alerts += self.planner.note(subject, digest.decision, now).alerts
            digest_id = _id(name, digest.since)
            self.settled += [_superseded(row, digest_id) for row in digest.rows.values()]
        return alerts


def ids(rows: Iterable[Alert]) -> list[str]:
    """The ids that the digests of some gathered rows have in the feed, if they were told."""
    return [
        _id(name, min(row.created_at for row in left))
        for name, pending in _by_rule(rows).items()
        if (left := [row for row in pending if row.state is AlertState.PENDING])
    ]


def _by_rule(rows: Iterable[Alert]) -> dict[str, list[Alert]]:
    found: dict[str, list[Alert]] = {}
    for row in rows:
        found.setdefault(row.recipient.removeprefix(GATHERED), []).append(row)
    return found


def _key(name: str, since: datetime) -> str:
    return f"digest-{name}-{int(since.timestamp())}"


def _id(name: str, since: datetime) -> str:
    return message_id(FEED, _key(name, since), 1)


def _superseded(row: Alert, by: str) -> Alert:
    return replace(row, state=AlertState.SUPERSEDED, superseded_by=by, next_at=None)


def _item(subject: Subject) -> dict[str, Any]:
    return {
        "key": subject.key,
        "kind": str(subject.kind),
        "severity": str(subject.severity),
        "title": subject.title,
        "area": subject.area,
        "began_at": subject.began_at.isoformat(),
    }


def _item_of_row(row: Alert) -> dict[str, Any]:
    data = row.body["data"]
    item = {name: data[name] for name in ("key", "kind", "severity", "title", "area")}
    return {**item, "began_at": datetime.fromisoformat(data["began_at"]).isoformat()}


def _subject(name: str, digest: Digest, now: datetime) -> Subject:
    items: Sequence[dict[str, Any]] = list(digest.items.values())
    first = min(items, key=lambda one: datetime.fromisoformat(one["began_at"]))
    return Subject(
        key=_key(name, digest.since),
        family=Family.DIGEST,
        kind=EventKind(first["kind"]),
        severity=max((Severity(one["severity"]) for one in items), key=SEVERITIES.index),
        area="",
        noticed_at=digest.since,
        began_at=datetime.fromisoformat(first["began_at"]),
        last_at=now,
        ended_at=now,
        title=f"{len(items)} 件合并推送",
        data={"items": items},
    )
