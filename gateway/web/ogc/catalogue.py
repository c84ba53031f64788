"""The collections: what they are called, who may read them, where they come from."""

from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import web

from gateway.web.access import ROLES, Access
from gateway.web.auth import CONTEXT, IDENTITY
from gateway.web.ogc.layers import Candidates, Coverage, Grids, Places
from gateway.web.ogc.ledger import BlindSpots, Cameras, Outages
from gateway.web.ogc.source import Source

CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"


@dataclass(frozen=True, slots=True)
class Collection:
    """One layer.

    Attributes:
        access: that of its routes.
        timed: features have a time that `datetime` selects by; without, all of them match.
        from_coverage: is there only while coverage is switched on.
    """

    id: str
    title: str
    description: str
    access: Access = Access.READ
    timed: bool = False
    from_coverage: bool = False


COLLECTIONS: tuple[Collection, ...] = (
    Collection(
        "cameras",
        "Cameras 摄像机",
        "Every camera of the archive with its state now. Without a position: no geometry.",
    ),
    Collection(
        "outages",
        "Outages 离线记录",
        "Newest first, where the camera stands. The true start lies up to start_uncertain_s before "
        "failed_at, the true end between last_failed_at and ended_at.",
        timed=True,
    ),
    Collection(
        "blind-spots",
        "Blind spots 监控盲区",
        "Newest first: what an outage took out of sight when it opened; area_now_m2 of it is left.",
        timed=True,
    ),
    Collection(
        "coverage",
        "Coverage by grid cell 网格覆盖",
        "Share of the listed places and area seen in each grid cell, as designed and now.",
        from_coverage=True,
    ),
    Collection(
        "grids",
        "Grid cells 网格",
        "The grid cells that have a shape.",
        from_coverage=True,
    ),
    Collection(
        "places",
        "Listed places 重点部位",
        "What must be seen, and how it is seen now.",
        from_coverage=True,
    ),
    Collection(
        "candidates",
        "Candidate sites 备选点位",
        "Where a camera could be mounted.",
        access=Access.PLAN,
    ),
)
BY_ID: Mapping[str, Collection] = {one.id: one for one in COLLECTIONS}

SOURCES: web.AppKey[dict[str, Source]] = web.AppKey("ogc_sources", dict[str, Source])


def sources() -> dict[str, Source]:
    """What the collections of one application read from."""
    cameras = Cameras()
    return {
        "cameras": cameras,
        "outages": Outages(cameras),
        "blind-spots": BlindSpots(),
        "coverage": Coverage(),
        "grids": Grids(),
        "places": Places(),
        "candidates": Candidates(),
    }


def is_there(request: web.Request, collection: Collection) -> bool:
    """Whether a collection is served by this service and to this caller."""
    if collection.from_coverage and request.app[CONTEXT].coverage is None:
        return False
    return request[IDENTITY].role in ROLES[collection.access]
