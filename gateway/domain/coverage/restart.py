"""The running state of coverage from what is stored: after a restart, and after an import."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from gateway.domain.camera import ChannelId
from gateway.domain.coverage.intervals import CLASS_OF_ROW, closed
from gateway.domain.coverage.live import CoverageState, Rows, ended
from gateway.domain.coverage.model import CoverageModel, Shape
from gateway.domain.coverage.place import Geometry
from gateway.domain.coverage.rows import BlindSpot, PlaceInterval
from gateway.domain.coverage.sight import Bounds, Row, Sight, SightBook, ViewChange
from gateway.domain.ledger import Changes, Fault, Outage, State


@dataclass(frozen=True, slots=True)
class Known:
    """What is known at a start.

    Attributes:
        as_of_at: up to when the stored rows tell everything; None = there are none.
        spots / intervals: the stored rows that are open.
        ledger: outages and faults that stand, or that ended after `as_of_at`.
        present: every channel as it is now.
        now_at: the present.
        counted_from: when the import of the model began to count; no row of it begins before.
            None = rows are as old as what they tell.
    """

    as_of_at: datetime | None
    spots: Sequence[BlindSpot]
    intervals: Sequence[PlaceInterval]
    ledger: Sequence[Row]
    present: Mapping[ChannelId, Sight]
    now_at: datetime
    counted_from: datetime | None = None


def restart(
    model: CoverageModel, to_geojson: Callable[[Shape], Geometry], known: Known
) -> tuple[CoverageState, SightBook, Rows]:
    """The state as of the stored rows, then everything that happened since, then the present.

    Returns:
        The state, the book of sights that feeds it, and the rows that differ from the stored ones.
    """
    state, book = CoverageState(model, to_geojson), SightBook()
    state.intervals.counted_from = known.counted_from
    as_of = known.as_of_at or known.now_at
    opened = {spot.outage: spot.opened_at for spot in known.spots}
    stood = [row for row in known.ledger if _stood(row, as_of, opened)]
    before = book.load(_sights(known.present, stood, as_of))
    before.sort(key=lambda one: _loss_order(one, opened))
    kept = _Kept()
    state.apply(before, as_of)
    kept.take(_adopt(state, known, as_of))
    told = {row.id for row in stood}
    later = [row for row in known.ledger if row.id not in told and _after(row, as_of)]
    for at, changes in _moments(later, stood):
        kept.take(state.apply(book.apply(changes), at))
    kept.take(state.apply(book.load(known.present), known.now_at))
    return state, book, kept.rows()


def _loss_order(change: ViewChange, opened: Mapping[str, datetime]) -> tuple[datetime, str]:
    cause = change.cause
    at = change.when.at if cause is None else opened.get(cause.row, cause.confirmed_at)
    return at, change.channel


def _stood(row: Row, as_of: datetime, opened: Mapping[str, datetime]) -> bool:
    if row.id in opened:
        return True
    return row.confirmed_at <= as_of and (row.ended_at is None or row.ended_at > as_of)


def _after(row: Row, as_of: datetime) -> bool:
    return row.ended_at is None or row.ended_at > as_of


def _sights(
    present: Mapping[ChannelId, Sight], stood: Iterable[Row], as_of: datetime
) -> dict[ChannelId, Sight]:
    """Every channel as it was at a time; a state that is older than the time stood then."""
    found = {
        channel: Sight(sight.state if sight.since_at <= as_of else _before(sight), sight.since_at)
        for channel, sight in present.items()
    }
    for row in stood:
        sight = found.get(row.channel)
        if sight is None:
            continue
        if isinstance(row, Outage):
            sight.outage = replace(row, ended_at=None)
        else:
            sight.faults[row.cause] = replace(row, ended_at=None)
    return found


def _before(sight: Sight) -> State:
    return State.DECOMMISSIONED if sight.state is State.DECOMMISSIONED else State.ONLINE


def _moments(
    later: Sequence[Row], stood: Sequence[Row]
) -> Iterable[tuple[datetime, Changes[datetime]]]:
    """What happened after the stored rows, in order, as batches of the judge."""
    held = [*later, *stood]
    happened: list[tuple[datetime, Row]] = [
        *((row.confirmed_at, replace(row, ended_at=None)) for row in later),
        *((row.ended_at, row) for row in held if row.ended_at is not None),
    ]
    for at, row in sorted(happened, key=lambda one: (one[0], one[1].ended_at is None, one[1].id)):
        if isinstance(row, Fault):
            yield at, Changes(0, faults=(row,))
        else:
            yield at, Changes(0, outages=(row,))


def _adopt(state: CoverageState, known: Known, as_of: datetime) -> Rows:
    """Put the stored rows in the place of those just made; close what does not stand any more."""
    spots = {spot.id: spot for spot in known.spots}
    fresh: list[BlindSpot] = []
    for camera, row in state.open.items():
        stored = spots.pop(row.id, None)
        if stored is None:
            fresh.append(row)
            continue
        # What stood as the row was opened stays; what is left of it may have changed with the archive.
        adopted = replace(stored, area_now_m2=row.area_now_m2, incident=row.incident)
        near = abs(stored.area_now_m2 - row.area_now_m2) < 1.0
        state.open[camera] = stored if near and stored.incident == row.incident else adopted
        if state.open[camera] is adopted:
            fresh.append(adopted)
    gone = Bounds(as_of, as_of)
    fresh += [ended(spot, gone) for spot in spots.values()]
    return Rows(tuple(fresh), tuple(_adopt_intervals(state, known, gone)))


def _adopt_intervals(state: CoverageState, known: Known, gone: Bounds) -> Iterable[PlaceInterval]:
    place = {name: n for n, name in enumerate(state.model.places)}
    made = dict(state.intervals.open)
    for row in known.intervals:
        seers = tuple(sorted(state.number.get(c, -1) for c in row.causes))
        g = state.groups.key.get((place.get(row.place, -1), seers))
        stands = g is not None and state.counters.seen[g] == CLASS_OF_ROW[row.state]
        if g is not None and stands and row.weight_lost == state.groups.weight[g]:
            state.intervals.adopt(g, row)
            made.pop(g, None)
            continue
        until = gone.not_before(Bounds(row.after_at, row.started_at))
        yield closed(row, until)
        if g is not None and stands:  # an import gave the place another weight: it counts from now
            made[g] = state.intervals.renew(g, until)
    yield from made.values()


class _Kept:
    """Rows by id: the last of each counts."""

    def __init__(self) -> None:
        self.spots: dict[str, BlindSpot] = {}
        self.intervals: dict[str, PlaceInterval] = {}

    def take(self, rows: Rows) -> None:
        self.spots |= {row.id: row for row in rows.blind_spots}
        self.intervals |= {row.id: row for row in rows.intervals}

    def rows(self) -> Rows:
        return Rows(tuple(self.spots.values()), tuple(self.intervals.values()))
