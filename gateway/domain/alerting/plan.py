"""Which message is due to whom now (semantics §9): one open, few updates, one close, numbered without holes.

A thread is what one recipient was told about one incident. It is opened when its rule's hold-down is over,
updated at most every 60 s when something changed that is worth telling, and closed once.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from gateway.domain.alerting.cloudevent import SOURCE, Subject, body, message_id
from gateway.domain.alerting.marks import marks_in
from gateway.domain.alerting.rows import NOTHING, Alert, AlertPhase, AlertState, Body, Planned
from gateway.domain.alerting.rules import FEED, Decision


@dataclass(slots=True)
class Thread:
    """What one recipient knows of one incident.

    Attributes:
        revision: of the newest message.
        told_at: when that was planned.
        opened_at: when the first one was.
        updated_at: when the newest update was planned; None = none yet.
        mark / urgent: of the subject as told; None = not known (a message of before a restart).
    """

    revision: int
    told_at: datetime
    opened_at: datetime
    updated_at: datetime | None = None
    mark: str | None = None
    urgent: str | None = None


@dataclass(frozen=True, slots=True)
class Nudge:
    """What the loop back adds: reminders and escalation.

    Attributes:
        acknowledged: the center has received it: no more reminders.
        overdue: why it is escalated; "" = it is not.
        overdue_at: since when it is.
        told: added to `data` of every message (receipt step, escalation).
    """

    acknowledged: bool = False
    overdue: str = ""
    overdue_at: datetime | None = None
    told: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


NO_NUDGE = Nudge()


class Planner:
    """All threads that are open. Pure: times come with the calls.

    Args:
        update_every_s: updates of a thread come at most so often.
        source: names the gateway in messages.
    """

    def __init__(self, update_every_s: float = 60.0, source: str = SOURCE) -> None:
        self.update_every = timedelta(seconds=update_every_s)
        self.source = source
        self.threads: dict[str, dict[str, Thread]] = {}

    def restore(
        self,
        revisions: Mapping[tuple[str, str], int],
        now: datetime,
        told: Mapping[tuple[str, str], tuple[datetime, datetime]] = MappingProxyType({}),
        said: Mapping[tuple[str, str], Body] = MappingProxyType({}),
    ) -> None:
        """Go on with the threads of before a restart.

        Args:
            revisions: the newest one by (recipient, key).
            now: stands for the times that are not known.
            told: when the first and the newest message of each were planned.
            said: the newest message of each (see `marks_in`); what it did not tell is told in its turn.
        """
        for (recipient, key), revision in revisions.items():
            opened_at, told_at = told.get((recipient, key), (now, now))
            updated_at = told_at if revision > 1 else None
            marks = marks_in(said.get((recipient, key), NOTHING))
            thread = Thread(revision, told_at, opened_at, updated_at, *marks)
            self.threads.setdefault(key, {})[recipient] = thread

    def opened_at(self, key: str) -> datetime | None:
        """When the first recipient beside the feed was told first; None = nobody was."""
        threads = self.threads.get(key, {}).items()
        return min((t.opened_at for name, t in threads if name != FEED), default=None)

    def gather(self, subject: Subject, decision: Decision, now: datetime, recipient: str) -> Alert:
        """The row of an incident that a digest will tell of; its area stands in it."""
        nudge = Nudge(told={"area": subject.area})
        return self._say(subject, decision, now, nudge, recipient, None, AlertPhase.CLOSE)[0]

    def note(self, subject: Subject, decision: Decision, now: datetime) -> Planned:
        """A message that stands for itself (a digest): opened and closed in one."""
        alerts = tuple(
            self._say(subject, decision, now, NO_NUDGE, recipient, None, AlertPhase.CLOSE)[0]
            for recipient in decision.recipients
        )
        return Planned(alerts, decision.reason)

    def plan(
        self, subject: Subject, decision: Decision, now: datetime, nudge: Nudge = NO_NUDGE
    ) -> Planned:
        """The messages that are due for one incident."""
        threads = self.threads.setdefault(subject.key, {})
        if subject.ended_at is not None:
            return self._close(subject, decision, now, nudge)
        alerts: list[Alert] = []
        dues: list[datetime] = []
        for recipient in self._recipients(decision, nudge):
            thread = threads.get(recipient)
            phase = AlertPhase.OPEN if thread is None else AlertPhase.UPDATE
            due = self._due(subject, decision, thread, now, nudge)
            if due is None:
                continue
            if due > now:
                dues.append(due)
                continue
            alert, threads[recipient] = self._say(
                subject, decision, now, nudge, recipient, thread, phase
            )
            alerts.append(alert)
            if decision.rule is not None and decision.rule.repeat_s:
                dues.append(now + timedelta(seconds=decision.rule.repeat_s))
        if not threads:
            del self.threads[subject.key]
        return Planned(tuple(alerts), decision.reason, min(dues, default=None))

    @staticmethod
    def _recipients(decision: Decision, nudge: Nudge) -> Iterable[str]:
        more = decision.rule.escalate_to if nudge.overdue and decision.rule else ()
        return dict.fromkeys((*decision.recipients, *(more if decision.recipients else ())))

    def _due(
        self,
        subject: Subject,
        decision: Decision,
        thread: Thread | None,
        now: datetime,
        nudge: Nudge,
    ) -> datetime | None:
        """When the next message of a thread is due; None = nothing is to be said."""
        rule = decision.rule
        if thread is None:
            delay_s = rule.delay_s if rule is not None and not nudge.overdue else 0.0
            return subject.noticed_at + timedelta(seconds=delay_s)
        urgent = subject.urgent + nudge.overdue
        if thread.mark is None:  # told before a restart: what it said is not known, so it stands
            thread.mark = subject.mark
        if thread.urgent is None:
            thread.urgent = subject.urgent
            # ... but for the escalation, which says itself since when it was to be told.
            if nudge.overdue_at is not None and thread.told_at >= nudge.overdue_at:
                thread.urgent = urgent
        if thread.urgent != urgent:
            return now if thread.updated_at is None else thread.updated_at + self.update_every
        if thread.mark != subject.mark:
            return thread.told_at + self.update_every
        if rule is not None and rule.repeat_s and not nudge.acknowledged:
            pause = max(self.update_every, timedelta(seconds=rule.repeat_s))
            return thread.told_at + pause
        return None

    def _close(self, subject: Subject, decision: Decision, now: datetime, nudge: Nudge) -> Planned:
        threads = self.threads.pop(subject.key)
        if not threads:
            return Planned((), "over before it was told")
        alerts = tuple(
            self._say(subject, decision, now, nudge, recipient, thread, AlertPhase.CLOSE)[0]
            for recipient, thread in threads.items()
        )
        return Planned(alerts, "over")

    def _say(
        self,
        subject: Subject,
        decision: Decision,
        now: datetime,
        nudge: Nudge,
        recipient: str,
        thread: Thread | None,
        phase: AlertPhase,
    ) -> tuple[Alert, Thread]:
        revision = 1 if thread is None else thread.revision + 1
        told = {
            "rule": decision.rule_name,
            "reason": decision.reason,
            "posture": str(decision.posture),
            "escalation": nudge.overdue or None,
            **nudge.told,
        }
        content = body(
            subject,
            recipient=recipient,
            revision=revision,
            phase=phase,
            now=now,
            source=self.source,
            told=told,
        )
        # The feed is fetched, not sent: what stands in it is settled.
        fetched = recipient == FEED
        alert = Alert(
            id=message_id(recipient, subject.key, revision),
            key=subject.key,
            revision=revision,
            phase=phase,
            recipient=recipient,
            created_at=now,
            body=content,
            state=AlertState.DELIVERED if fetched else AlertState.PENDING,
            next_at=None if fetched else now,
            delivered_at=now if fetched else None,
            reason=decision.reason,
        )
        updated_at = now if phase is AlertPhase.UPDATE else None
        urgent = subject.urgent + nudge.overdue
        opened_at = now if thread is None else thread.opened_at
        return alert, Thread(revision, now, opened_at, updated_at, subject.mark, urgent)
