"""Repeats dropped, storms counted: what of the events that come in becomes a row.

A plain signal (motion, a line crossed) is one row a device, kind, token and minute, with its count. Signals
that make incidents have a row each, until more than `storm_rows` of one source come within the minute.
Memory is bounded whatever comes in.
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from gateway.domain.alerting.correlate import subject_of
from gateway.domain.event import Event

Minute = tuple[str, str, str, object, int]
"""Of one source: subject, kind, token, state (None for plain signals), minute."""
REPEATS_FOR = timedelta(hours=1)
REPEATS_MOST = 60_000
PLAIN_REPEATS_MOST = 20_000
MINUTES_MOST = 20_000


class Repeats:
    """Ids of the last hour, each with the batch that stores it. The oldest go first when there are many."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._seen: OrderedDict[str, tuple[datetime, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._seen)

    def batch_of(self, event_id: str, now: datetime) -> int | None:
        """The batch of an id that came before within the hour; None = it is new."""
        found = self._seen.get(event_id)
        return None if found is None or found[0] < now - REPEATS_FOR else found[1]

    def add(self, event_id: str, now: datetime, batch: int) -> None:
        """Remember an id."""
        self._seen[event_id] = (now, batch)
        self._seen.move_to_end(event_id)
        while len(self._seen) > self.most:
            self._seen.popitem(last=False)


@dataclass(slots=True)
class _Bucket:
    row: Event
    rows: int = 1
    dirty: bool = False


class Signals:
    """The rows of the minute that runs, and those that wait to be written again with a higher count.

    Args:
        storm_rows: rows of one source and minute before its signals are counted in the last of them.
    """

    def __init__(self, storm_rows: int = 20) -> None:
        self.storm_rows = storm_rows
        self.counted = 0
        self.dropped = 0
        """Minutes that were given up unwritten, because too many were open."""
        self._minutes: OrderedDict[Minute, _Bucket] = OrderedDict()
        self._urgent: dict[str, Event] = {}

    def keep(self, event: Event, *, plain: bool) -> tuple[Event | None, str]:
        """The row to write for an event now (None = it is counted in one written later), and its id."""
        state = None if plain else event.active
        minute = int(event.received_at.timestamp() // 60)
        key: Minute = (subject_of(event), event.kind, event.token, state, minute)
        bucket = self._minutes.get(key)
        if bucket is None:
            self._minutes[key] = _Bucket(event)
            if len(self._minutes) > MINUTES_MOST:
                _, lost = self._minutes.popitem(last=False)
                self.dropped += lost.dirty
            return event, event.id
        if not plain and bucket.rows < self.storm_rows:
            bucket.rows += 1
            bucket.row = event
            return event, event.id
        self.counted += event.count
        bucket.row = replace(
            bucket.row, count=bucket.row.count + event.count, last_at=event.received_at
        )
        if plain:
            bucket.dirty = True
        else:
            self._urgent[bucket.row.id] = bucket.row
        return None, bucket.row.id

    def take_urgent(self) -> Iterable[Event]:
        """Rows of signals that make incidents whose count grew: whoever brought them waits for these."""
        rows = list(self._urgent.values())
        self._urgent.clear()
        return rows

    def take(self, now: datetime) -> Iterable[Event]:
        """Rows of plain signals whose count grew. Minutes that are over leave."""
        running = int(now.timestamp() // 60)
        rows = []
        for key, bucket in list(self._minutes.items()):
            if bucket.dirty:
                rows.append(bucket.row)
                bucket.dirty = False
            if key[4] < running:
                del self._minutes[key]
        return rows
