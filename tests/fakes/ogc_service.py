"""A service with something in every layer of OGC API - Features, and two clients of it: ours and GDAL's."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import shapely
from fakes.ledger_rows import RECORD
from fakes.ogc_shapes import FEATURES
from fakes.small_model import model_of
from fakes.web_service import WebService, channel, district, running
from shapely.geometry import box, mapping, shape

from gateway.domain.coverage.figures import PlaceFacts, designed_area
from gateway.domain.coverage.model import CoverageModel, Floats
from gateway.domain.coverage.place import CandidateSite, PlaceList, SiteId
from gateway.domain.coverage.plane import DISTRICT
from gateway.domain.coverage.rows import BlindSpot, CoverageChanges
from gateway.domain.ledger import ChannelRecord, Outage, State
from gateway.domain.observation import OutageCause
from gateway.ports import LedgerKind, LedgerQuery, Role
from gateway.resources import data_dir
from gateway.runtime.coverage import CoverageWorker
from gateway.runtime.model_source import Built

Many = dict[str, Any]
READER = Path(__file__).parents[1] / "wire" / "clients" / "gdal_reader.py"
DOCUMENT: dict[str, Any] = json.loads((data_dir("config") / "openapi.json").read_bytes())
CAMERAS, OUTAGES, SPOTS, SITES = 150, 130, 60, 75
LAYERS = ["cameras", "outages", "blind-spots", "coverage", "grids", "places", "candidates"]
SHAPES: list[dict[str, Any]] = [
    {"type": "Point", "coordinates": [109.7, 38.3]},
    {"type": "LineString", "coordinates": [[109.7, 38.3], [109.71, 38.31]]},
    mapping(box(109.72, 38.3, 109.73, 38.31)),
]
MODEL: CoverageModel = replace(
    model_of(
        [box(0, 0, 60, 40), box(40, 0, 100, 40)],
        [[(50.0, 20.0)], [(10.0, 20.0)], [(90.0, 20.0)]],
        size_m=500.0,
    ),
    channels=(channel(0), channel(1)),
)
FACTS = PlaceFacts(
    ("广场", "路口", "校门"), ("square", "road", "gate"), ("", "", ""), ("", "", ""), ("", "", ""),
    ("", "", ""), (1.0, 1.0, 1.0), tuple(json.dumps(one).encode() for one in SHAPES),
)  # fmt: skip
SITE_ROWS = [
    CandidateSite(
        SiteId(f"s{n:03d}"), f"杆{n}", "pole", 109.7 + n / 1000, 38.2, n % 2 == 0, None, float(n)
    )
    for n in range(SITES)
]


async def source() -> AsyncIterator[Built | Floats]:
    yield Built("first", MODEL, FACTS)
    yield designed_area(MODEL)


def worker_of(service: WebService) -> CoverageWorker:
    return CoverageWorker(service.store, service.clock, service.projection, source, 0.0)


def outages(now: datetime) -> list[Outage[datetime]]:
    """One an hour, each 20 minutes long; the newest still stands."""
    rows = []
    for n in range(OUTAGES):
        failed = now - timedelta(hours=n, minutes=30, microseconds=123_456)
        ended = None if n == 0 else failed + timedelta(minutes=20)
        rows.append(
            Outage(
                f"o{n:03d}", channel(n), OutageCause.POWER, failed - timedelta(seconds=30), failed,
                failed + timedelta(seconds=10), failed + timedelta(minutes=19), ended, incident="i1",
            )
        )  # fmt: skip
    return rows


def spots(rows: list[Outage[datetime]]) -> list[BlindSpot]:
    """A triangle for each of the first outages, a step further east each."""
    return [
        BlindSpot(
            f"b-{row.id}", row.channel, row.id, row.incident, (), "power", row.last_seen_at,
            row.failed_at, row.confirmed_at, row.last_failed_at, row.ended_at, None,
            mapping(shapely.Polygon([(x := 109.7 + n / 100, 38.2), (x + 0.005, 38.2), (x, 38.205)])),
            12.5, 3.0,
        )
        for n, row in enumerate(rows[:SPOTS])
    ]  # fmt: skip


@asynccontextmanager
async def filled() -> AsyncIterator[WebService]:
    """A service with something in every layer; two cameras have no position."""
    inventory = district(CAMERAS)
    cameras = dict(inventory.cameras)
    for n in (7, 99):
        cameras[channel(n)] = replace(cameras[channel(n)], longitude=None, latitude=None)
    inventory = replace(inventory, cameras=cameras)
    async with running(inventory, coverage=worker_of) as one:
        worker = one.coverage
        assert isinstance(worker, CoverageWorker)
        await one.store.save_import(RECORD, one.projection.inventory)
        sites = PlaceList.of(candidates=reversed(SITE_ROWS))
        await one.store.coverage.save_places(replace(RECORD, id="places"), sites)
        rows = outages(one.now())
        records = tuple(ChannelRecord(channel(n), State.ONLINE, one.now()) for n in range(CAMERAS))
        await one.change(outages=tuple(reversed(rows)), channels=records)
        await one.set_state(State.OFFLINE, 0)
        await one.store.coverage.commit(CoverageChanges(1, one.now(), tuple(spots(rows))))
        await worker._build()
        yield one
        await worker.close()


async def gdal(service: WebService, *jobs: Many, role: Role = Role.ADMIN) -> Many:
    """What GDAL's client reads, job by job; fails with what it complains about."""
    env = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    env |= {"GDAL_HTTP_AUTH": "BEARER", "GDAL_HTTP_BEARER": service.tokens[role]}
    child = await asyncio.create_subprocess_exec(
        sys.executable, str(READER), f"{service.url}/ogc", json.dumps(jobs),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=env,
    )  # fmt: skip
    async with asyncio.timeout(60):
        out, complaints = await child.communicate()
    assert child.returncode == 0, complaints.decode()
    found: Many = json.loads(out)
    return found


async def page(service: WebService, layer: str, **query: Any) -> Many:
    """One page."""
    found: Many = await service.get(f"/ogc/collections/{layer}/items", params=query)
    conforms(found, FEATURES)
    assert found["numberReturned"] == len(found["features"])
    return found


async def every(service: WebService, layer: str, **query: Any) -> list[Many]:
    """All features by following the links."""
    found = await page(service, layer, **query)
    features: list[Many] = found["features"]
    while (url := href(found, "next")) is not None:
        found = await service.get(url.removeprefix(service.url))
        conforms(found, FEATURES)
        assert found["features"], (
            "a next page was promised, and GDAL takes an empty one for the end"
        )
        features += found["features"]
    return features


async def names(service: WebService, layer: str, **query: Any) -> list[str]:
    return [one["id"] for one in await every(service, layer, **query)]


def href(document: Many, rel: str) -> str | None:
    found = [one["href"] for one in document["links"] if one["rel"] == rel]
    return found[0] if found else None


def conforms(content: Any, schema: Many) -> None:
    """Raise unless the content is what the standard says, and what the document says."""
    jsonschema.validate(content, schema, cls=jsonschema.Draft7Validator)
    if "x-ours" in schema:
        jsonschema.validate(content, {"$ref": schema["x-ours"], **DOCUMENT})


async def stored(one: WebService) -> list[Outage[datetime]]:
    """The outages of the service, newest first."""
    return list((await one.store.ledger(LedgerKind.OUTAGES, LedgerQuery(limit=1000))).rows)


def expected(one: WebService) -> dict[str, dict[str, Any]]:
    """Id and geometry of every feature, from what the service was given."""
    cameras = one.projection.inventory.cameras
    points: dict[str, Any] = {
        camera.id: None
        if camera.longitude is None or camera.latitude is None
        else shapely.Point(camera.longitude, camera.latitude)
        for camera in cameras.values()
    }
    rows = outages(one.now())
    cells: dict[str, Any] = {
        grid: shapely.transform(cell, DISTRICT.to_lonlat)
        for grid, cell in sorted(zip(MODEL.grids, MODEL.cells, strict=True))
    }
    return {
        "cameras": points,
        "outages": {row.id: points[row.channel] for row in rows},
        "blind-spots": {spot.id: shape(dict(spot.polygon or {})) for spot in spots(rows)},
        "coverage": cells,
        "grids": cells,
        "places": {f"p{n}": shape(one) for n, one in enumerate(SHAPES)},
        "candidates": {s.id: shapely.Point(s.longitude, s.latitude) for s in SITE_ROWS},
    }
