"""Rows of coverage with every field set, and builders for the plain ones; times as `ledger_rows`."""

from typing import Any

from fakes.ledger_rows import at, channel

from gateway.domain.camera import DivisionCode, GridId
from gateway.domain.coverage.place import (
    CandidateSite,
    Footprint,
    Geometry,
    Place,
    PlaceId,
    PlaceList,
    ProhibitedArea,
    SiteId,
)
from gateway.domain.coverage.rows import BlindSpot, CoverageBasis, PlaceInterval, PlaceState
from gateway.ports.coverage import PlanRecord, PlanStatus

SQUARE: Geometry = {
    "type": "Polygon",
    "coordinates": [[[109.7, 38.2], [109.71, 38.2], [109.71, 38.210000000001], [109.7, 38.2]]],
}
ROAD: Geometry = {"type": "LineString", "coordinates": [[109.7, 38.2], [109.8, 38.3]]}
GATE: Geometry = {"type": "Point", "coordinates": [109.734512345678, 38.285]}

PLACES = PlaceList.of(
    places=(
        Place(PlaceId("p2"), "世纪广场", "square", SQUARE, weight=5.5),
        Place(
            PlaceId("p1"),
            "第一小学“校门”",
            "school_gate",
            GATE,
            weight=2.0,
            level="identify",
            accepted=False,
            township=DivisionCode("610802101"),
            village=DivisionCode("610802101201"),
            grid=GridId("g1"),
            source="重点部位.csv:7",
        ),
        Place(PlaceId("p0"), "长城路", "road", ROAD),
    ),
    footprints=(Footprint("b9", SQUARE), Footprint("b1", SQUARE)),
    prohibited=(ProhibitedArea("x2", "女生宿舍", "dormitory", SQUARE),),
    candidates=(
        CandidateSite(SiteId("s2"), "灯杆", "pole", 109.7, 38.2, True, False, 12_000.0),
        CandidateSite(SiteId("s1"), "墙", "wall", 109.8, 38.3),
    ),
)


def blind_spot(
    row_id: str, number: int, failed: float, ended: float | None = None, **more: Any
) -> BlindSpot:
    """A blind spot of one channel, from `failed` to `ended`, in minutes."""
    values: dict[str, Any] = {
        "outage": f"o-{row_id}",
        "incident": None,
        "joint": (),
        "cause": "timeout",
        "last_seen_at": None,
        "failed_at": at(failed),
        "opened_at": at(failed),
        "ended_at": None if ended is None else at(ended),
    }
    return BlindSpot(id=row_id, channel=channel(number), **{**values, **more})


def interval(
    row_id: str, place: str, started: float, ended: float | None = None, **more: Any
) -> PlaceInterval:
    """A place that was blind from `started` to `ended`, in minutes."""
    values: dict[str, Any] = {
        "state": PlaceState.BLIND,
        "weight_lost": 1.0,
        "causes": (),
        "after_at": None,
        "started_at": at(started),
        "ended_at": None if ended is None else at(ended),
    }
    return PlaceInterval(id=row_id, place=PlaceId(place), **{**values, **more})


FULL_SPOT = BlindSpot(
    id="b-full",
    channel=channel(1),
    outage="o-full",
    incident="i-full",
    joint=(channel(2), channel(3)),
    cause="maintenance",
    last_seen_at=at(0),
    failed_at=at(1),
    opened_at=at(1.5),
    last_failed_at=at(3),
    ended_at=at(4),
    observed_until_at=at(4),
    polygon=SQUARE,
    area_m2=1234.5,
    area_now_m2=0.25,
    places=(PlaceId("p2"), PlaceId("p1")),
    weight=7.5,
    grids=(GridId("g2"), GridId("g1")),
    planned=True,
)
BARE_SPOT = blind_spot("b-bare", 2, 5)
FULL_INTERVAL = PlaceInterval(
    id="v-full",
    place=PlaceId("p1"),
    state=PlaceState.UNVERIFIED,
    weight_lost=0.5,
    causes=(channel(1), channel(2)),
    after_at=at(0),
    started_at=at(1),
    before_at=at(3),
    ended_at=at(4),
)
BASIS = CoverageBasis(at(0), "import-1", 12.5, 10.25, 3, 2)
BARE_INTERVAL = interval("v-bare", "p2", 5)
PLAN = PlanRecord(
    id="plan-1",
    name="补盲一期",
    created_at=at(0),
    actor="规划员",
    status=PlanStatus.DONE,
    request={"sites": 50, "lenses": ["4mm"], "note": "“靠近学校”"},
    progress=1.0,
    finished_at=at(1),
    result={"gain": 12.5, "sites": [{"id": "s1", "azimuth_deg": 45.0}], "gap": 0.0125},
    reason="",
)
