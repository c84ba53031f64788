"""Which signals are only counted, and which incident the others belong to."""

from datetime import datetime

from gateway.domain.alerting.correlate import Correlator, Taken
from gateway.domain.alerting.rules import Makes, RuleBook
from gateway.domain.event import Event
from gateway.metrics import EVENT_INCIDENTS
from gateway.runtime.atlas import Atlas
from gateway.runtime.postures import Postures


class Sorter:
    """Asks the rules, the posture and the open incidents. One owner: the desk, whose parts it works on."""

    def __init__(
        self, book: RuleBook, correlator: Correlator, atlas: Atlas, postures: Postures
    ) -> None:
        self.book = book
        self.correlator = correlator
        self.atlas = atlas
        self.postures = postures

    def is_plain(self, event: Event, now: datetime) -> bool:
        """A signal that is counted, no more."""
        makes = self.book.kind(event.kind).incident
        if makes is Makes.ALWAYS or self.correlator.knows(event):
            return False
        if self.book.causes.before(event.kind) and event.active is not False:
            where = self.atlas.where(event)
            if self.correlator.explained_by(event.kind, where, event.received_at) is not None:
                return False
        return makes is Makes.NEVER or not self._heightened(event, now)

    def _heightened(self, event: Event, now: datetime) -> bool:
        return self.postures.heightened(self.atlas.area(event), now, self.atlas.grid(event))

    def correlate(self, event: Event, now: datetime) -> Taken:
        """Put a signal into its incident; a new one is linked to its cells and cameras."""
        makes = self.book.kind(event.kind).incident
        heightened = makes is not Makes.HEIGHTENED or self._heightened(event, now)
        taken = self.correlator.take(event, self.atlas.where(event), heightened=heightened)
        if taken.case is not None and taken.opened:
            EVENT_INCIDENTS.labels("opened").inc()
            self.correlator.put(taken.case, self.atlas.link(taken.case.row))
        return taken
