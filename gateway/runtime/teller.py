"""Who is told what about an incident, and when: rules, posture, mutes and receipts meet the threads."""

from collections.abc import Collection, Container, Iterable
from datetime import datetime, timedelta
from heapq import nsmallest

from gateway.domain.alerting.cloudevent import Family, Subject
from gateway.domain.alerting.loop import current, overdue
from gateway.domain.alerting.marks import incident_mark
from gateway.domain.alerting.plan import Nudge, Planner
from gateway.domain.alerting.rows import (
    Alert,
    EventIncident,
    Receipt,
)
from gateway.domain.alerting.rules import Decision, Matter, RuleBook, decide
from gateway.domain.alerting.titles import CABINET_OPENED, TITLES
from gateway.domain.event import EventKind, SensorId
from gateway.runtime.atlas import Atlas
from gateway.runtime.digests import Digests
from gateway.runtime.mutes import Mutes
from gateway.runtime.postures import Postures

LOOK_AGAIN = timedelta(seconds=10)
"""A decision not to tell is looked at again so often: a mute ends, an uplink comes back."""
PLANS_MOST = 50
"""Incidents are planned in portions of so many, some 15 ms: longer, and the loop stands still for checks."""
FOLLOWS_THE_NETWORK = frozenset(
    {EventKind.SIGNAL_LOSS, EventKind.OUTAGE, EventKind.HARDWARE_FAILURE, EventKind.BLIND_SPOT}
)
"""Kinds that a lost uplink above explains; smoke behind one is still smoke."""


class Teller:
    """Decides and plans. One owner: the desk.

    Args:
        book: the rules.
        atlas: where things are.
        planner: the threads.
        recipients: names of the configured ones.
        postures: which hold.
        mutes: likewise.

    Attributes:
        due: when each open incident is to be looked at again.
    """

    def __init__(
        self,
        book: RuleBook,
        atlas: Atlas,
        planner: Planner,
        recipients: Collection[str],
        postures: Postures,
        mutes: Mutes,
    ) -> None:
        self.book = book
        self.atlas = atlas
        self.planner = planner
        self.recipients = frozenset(recipients)
        self.postures = postures
        self.mutes = mutes
        self.receipts: dict[str, list[Receipt]] = {}
        self.due: dict[str, datetime] = {}
        self.digests = Digests(book, planner)
        self._again: set[str] = set()
        """Those of `due` that nothing happened to: they go behind the others."""

    def decide_again(self, keys: Iterable[str], now: datetime) -> None:
        """Posture or mutes changed."""
        for key in keys:
            self.due[key] = now
            self._again.add(key)

    def turns(self, among: Container[str], now: datetime) -> list[str]:
        """Whose time has come, of some: few at once, who waited longest first; the rest stays due."""
        due = (
            (key in self._again, at, key)
            for key, at in self.due.items()
            if at <= now and key in among
        )
        return [key for _, _, key in nsmallest(PLANS_MOST, due)]

    def forget(self, key: str) -> None:
        """An incident is over, or part of another one, without having been told."""
        self._look_at(key, None)
        self.receipts.pop(key, None)
        self.digests.forget(key)

    def _look_at(self, key: str, at: datetime | None, *, again: bool = False) -> None:
        self._again.discard(key)
        if at is None:
            self.due.pop(key, None)
            return
        self.due[key] = at
        if again:
            self._again.add(key)

    def plan(
        self, subject: Subject, now: datetime, *, planned: bool = False, above: str | None = None
    ) -> tuple[Alert, ...]:
        """The messages that are due for one incident now; `due` says when to ask again.

        Args:
            subject: the incident.
            now: the time.
            planned: it lies in a maintenance window.
            above: key of the lost uplink above it.
        """
        matter = Matter(
            subject.key,
            subject.kind,
            subject.severity,
            subject.area,
            subject.noticed_at,
            planned=planned,
            inhibited_by=above if subject.kind in FOLLOWS_THE_NETWORK else None,
            grid=subject.grid,
        )
        decision = decide(
            self.book,
            matter,
            self.postures.holding,
            self.mutes.rows.values(),
            now,
            self.recipients,
        )
        open_now = subject.ended_at is None
        if open_now and self._is_gathered(subject, decision):
            self._look_at(subject.key, None)
            return self.digests.take(subject, decision, now)
        result = self.planner.plan(subject, decision, now, self._nudge(subject.key, decision, now))
        due = [at for at in (result.due_at, self._looked_at_again(subject, decision, now)) if at]
        if open_now:
            self._look_at(subject.key, min(due, default=None), again=not decision.recipients)
        else:
            self.forget(subject.key)
        return result.alerts

    def _is_gathered(self, subject: Subject, decision: Decision) -> bool:
        """A digest tells of it; not of what was told by itself already, which goes on so to its end.

        Nor of a blind key place: a rule for all kinds does not mean to let that wait.
        """
        return (
            decision.rule is not None
            and decision.rule.digest_s > 0
            and subject.kind is not EventKind.BLIND_SPOT
            and subject.key not in self.planner.threads
        )

    def _looked_at_again(
        self, subject: Subject, decision: Decision, now: datetime
    ) -> datetime | None:
        """When the decision may fall otherwise without anything happening."""
        if not decision.recipients and subject.ended_at is None:
            return now + LOOK_AGAIN
        opened_at = self.planner.opened_at(subject.key)
        if opened_at is None or decision.rule is None:
            return None
        return decision.rule.limits.next_at(opened_at, now)

    def _nudge(self, key: str, decision: Decision, now: datetime) -> Nudge:
        receipts = self.receipts.get(key, [])
        opened_at = self.planner.opened_at(key)
        late = None
        if opened_at is not None and decision.rule is not None:
            late = overdue(opened_at, receipts, decision.rule.limits, now)
        step = current(receipts)
        told = {} if step is None else {"receipt": str(step)}
        if late is None:
            return Nudge(bool(receipts), told=told)
        return Nudge(bool(receipts), late.reason, late.due_at, told)

    def subject(self, row: EventIncident) -> Subject:
        """What is told about an event incident now."""
        atlas = self.atlas
        sensor = atlas.sensors.get(SensorId(row.sensor)) if row.sensor else None
        camera = atlas.inventory.cameras.get(row.channel) if row.channel else None
        name = sensor.name if sensor is not None else camera.name if camera is not None else ""
        source = {
            "type": "sensor" if row.sensor else "channel" if row.channel else "device",
            "id": row.sensor or row.channel or "",
            "name": name,
        }
        data = {
            "place": atlas.place(row),
            "links": atlas.tell_links(row.links),
            "cameras": atlas.tell_cameras(row),
            "source": source,
            "counts": {"signals": row.signals},
            "caused_by": row.caused_by,
            "reasons": [row.note] if row.note else [],
        }
        cabinet = row.kind is EventKind.TAMPER and bool(row.sensor)
        kind = CABINET_OPENED if cabinet else TITLES[row.kind]
        return Subject(
            key=row.id,
            family=Family.INCIDENT,
            kind=row.kind,
            severity=row.severity,
            area=atlas.area_of_row(row),
            grid=atlas.grid_of_row(row),
            noticed_at=row.began_at,
            began_after_at=None,
            began_at=row.began_at,
            last_at=row.last_at,
            ended_at=row.ended_at,
            title=f"{kind}：{name}" if name else kind,
            data=data,
            mark=incident_mark(row.severity, row.note, row.signals),
        )
