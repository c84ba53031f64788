"""The rows of the coverage ledger. Times are aware UTC; rows are whole snapshots keyed by `id`."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from gateway.domain.alerting.rows import Alert
from gateway.domain.camera import ChannelId, GridId
from gateway.domain.coverage.place import Geometry, PlaceId


class PlaceState(StrEnum):
    """How a place is seen at its level."""

    SEEN = "seen"
    PARTLY = "partly"
    """Some of its sample points are blind."""
    UNVERIFIED = "unverified"
    UNKNOWN = "unknown"
    BLIND = "blind"
    NEVER = "never"
    """A static gap (固有盲区): no view reaches it with every camera up."""


@dataclass(frozen=True, slots=True)
class BlindSpot:
    """A dynamic blind spot (临时盲区): what one camera's outage took out of sight.

    The open rows are disjoint: a piece that A and B both saw belongs to the one that was lost last,
    and moves nowhere when A stays down. When A comes back first, the piece leaves B's row.

    Attributes:
        channel / outage / incident: what caused it.
        joint: other cameras that also saw a part of it and were down already (jointly responsible).
        last_seen_at / failed_at: the true start lies in (last_seen_at, failed_at].
        last_failed_at / ended_at: the true end lies in (last_failed_at, ended_at]; None while open.
        observed_until_at: up to when it was known to stand.
        polygon: what was lost when it opened (WGS-84); `area_m2` of it; `area_now_m2` of what is left.
        places: those that lost their last view on some part; `weight` = the weight lost at opening.
        grids: cells it lies in, largest part first.
        cause: of the outage, or `maintenance`, or `stream`.
    """

    id: str
    channel: ChannelId
    outage: str
    incident: str | None
    joint: tuple[ChannelId, ...]
    cause: str
    last_seen_at: datetime | None
    failed_at: datetime
    opened_at: datetime
    last_failed_at: datetime | None = None
    ended_at: datetime | None = None
    observed_until_at: datetime | None = None
    polygon: Geometry | None = None
    area_m2: float = 0.0
    area_now_m2: float = 0.0
    places: tuple[PlaceId, ...] = ()
    weight: float = 0.0
    grids: tuple[GridId, ...] = ()
    planned: bool = False


@dataclass(frozen=True, slots=True)
class PlaceInterval:
    """A part of a place was not well seen from one time to another. SEEN and NEVER have no rows.

    A row is for the points of the place that the same cameras see (its causes), so rows of one place may
    overlap in time and their weights add up; rows of one place and the same causes never overlap. The
    hole while the gateway itself did not watch is a gateway-gap row, not one here.

    Attributes:
        state: constant over the interval: UNVERIFIED, UNKNOWN, PARTLY (a part of the place is blind) or
            BLIND (that part is all of it that is ever seen).
        weight_lost: of its points that are blind (PARTLY, BLIND), unknown or unverified.
        causes: channels jointly responsible.
        after_at / started_at: the true start lies in (after_at, started_at]; joint = the latest of
            the causes.
        before_at / ended_at: the true end lies in (before_at, ended_at]; None while open.
    """

    id: str
    place: PlaceId
    state: PlaceState
    weight_lost: float
    causes: tuple[ChannelId, ...]
    after_at: datetime | None
    started_at: datetime
    before_at: datetime | None = None
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class CoverageBasis:
    """What coverage counts from one import to the next: the weights that its rows are parts of.

    Attributes:
        valid_from: when the model was taken, some seconds after its import; valid until the next one.
        import_id: the newest import in it.
        listed: weight of all listed places.
        reached: of those, what some view reaches by design.
        ladder: name of the standard, with its edition, whose pixel densities counted.
    """

    valid_from: datetime
    import_id: str
    listed: float
    reached: float
    places: int
    cameras: int
    ladder: str = ""


@dataclass(frozen=True, slots=True)
class CoverageChanges:
    """One batch of the coverage worker: one transaction, harmless when written twice.

    `sequence` is the last batch of the judge that it contains; `basis` is there when it changed.
    """

    sequence: int
    as_of_at: datetime
    blind_spots: tuple[BlindSpot, ...] = ()
    intervals: tuple[PlaceInterval, ...] = ()
    alerts: tuple[Alert, ...] = ()
    basis: CoverageBasis | None = None
