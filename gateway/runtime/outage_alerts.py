"""Alerts of the ledger's incidents and of blind spots, for the transactions that write those.

pipeline => outages => tell => the transaction of the ledger's rows
coverage => blind_spots => tell => coverage's own transaction
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

import structlog

from gateway.domain.alerting.correlate import Case, Correlator
from gateway.domain.alerting.plan import Planner
from gateway.domain.alerting.rows import Alert
from gateway.domain.coverage.rows import BlindSpot
from gateway.domain.event import EventKind
from gateway.domain.ledger import Changes
from gateway.runtime.ledger_alerts import Known, LedgerAlerts
from gateway.runtime.teller import Teller

log = structlog.get_logger("sightline.desk")


class OutageAlerts:
    """Plans what is told about outages and blind spots. One owner: the desk, whose parts it works on.

    Args:
        ledger: the open incidents of the ledger.
        correlator: event incidents, which may explain an outage.
        planner: the threads.
        teller: decides.
        now: the time.
        touch: told of event incidents that changed by it.
    """

    def __init__(
        self,
        ledger: LedgerAlerts,
        correlator: Correlator,
        planner: Planner,
        teller: Teller,
        now: Callable[[], datetime],
        touch: Callable[[Case], None],
    ) -> None:
        self.ledger = ledger
        self.correlator = correlator
        self.planner = planner
        self.teller = teller
        self.now = now
        self.touch = touch
        self.spots: dict[str, BlindSpot] = {}
        """The newest row of each open blind spot that stands for itself."""

    def outages(self, changes: Changes[datetime]) -> Changes[datetime]:
        """The same batch with the alerts of its incidents, and of those whose turn has come.

        Called for each batch before the recorder gets it, empty ones included: it is what moves time
        for incidents of the ledger. Never waits. A change of posture makes all of them due at once:
        few are planned with each batch (`Teller.turns`), the rest with the next ones, four a second
        or more.
        """
        now = self.now()
        alerts: list[Alert] = []
        touched, over = self.ledger.take(changes)
        for known in over:
            alerts += self._over(known, now)
        asked = {known.row.id for known in touched}
        for key in sorted({*asked, *self.teller.turns(self.ledger.open, now)}):
            alerts += self._plan_known(self.ledger.open[key], now)
        return replace(changes, alerts=(*changes.alerts, *alerts)) if alerts else changes

    def _plan_known(self, known: Known, now: datetime) -> tuple[Alert, ...]:
        row = known.row
        kind = self.ledger.kind(row)
        if kind is EventKind.OUTAGE and not row.planned and row.id not in self.planner.threads:
            case = self.correlator.joined(row.id) or self.correlator.explained_by(
                kind, self.ledger.where(row), row.began_at
            )
            if case is not None:
                if self.correlator.join(case, row.id):
                    log.info("outage explained", outage=row.id, by=case.row.id)
                    self.touch(case)
                self.teller.forget(row.id)
                return ()
        subject = self.ledger.subject(known)
        return self.teller.plan(subject, now, planned=row.planned)

    def _over(self, known: Known, now: datetime) -> tuple[Alert, ...]:
        row = known.row
        ended_at = row.ended_at or now
        case = self.correlator.release(row.id, ended_at)
        if case is not None:
            self.touch(case)
        if row.id not in self.planner.threads:
            self.teller.forget(row.id)
            return ()
        subject = replace(self.ledger.subject(known), ended_at=ended_at)
        return self.teller.plan(subject, now, planned=row.planned)

    def blind_spots(self, rows: Sequence[BlindSpot]) -> tuple[Alert, ...]:
        """The alerts of blind spots that no outage stands behind, for coverage's own transaction.

        Called for each of coverage's rounds, those without rows included: it is what moves time for
        these. Lost places of an outage are told as an update of its incident, with the next batch.
        """
        now = self.now()
        touched, own = self.ledger.take_blind(rows)
        self.teller.due.update((key, now) for key in touched)
        asked = {row.id: row for row in own}
        for key in self.teller.turns(self.spots, now):
            asked.setdefault(key, self.spots[key])
        return tuple(alert for row in asked.values() for alert in self._plan_spot(row, now))

    def _plan_spot(self, row: BlindSpot, now: datetime) -> tuple[Alert, ...]:
        stands = row.ended_at is None and (row.places or row.id in self.planner.threads)
        if stands:
            self.spots[row.id] = row
        else:
            self.spots.pop(row.id, None)
            if row.id not in self.planner.threads:
                self.teller.forget(row.id)
                return ()
        return self.teller.plan(self.ledger.blind_subject(row), now, planned=row.planned)
