"""OGC API - Features: documents, filters and paging, and GDAL's own client reading every layer."""

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import shapely
from fakes.ledger_rows import RECORD
from fakes.small_model import model_of
from fakes.web_service import WebService, channel, district, running
from openapi_spec_validator import validate
from shapely.geometry import box, mapping, shape

from gateway.domain.coverage.figures import Divided, PlaceFacts, designed_area
from gateway.domain.coverage.model import CoverageModel, Floats
from gateway.domain.coverage.place import CandidateSite, PlaceList, SiteId
from gateway.domain.coverage.plane import DISTRICT
from gateway.domain.coverage.rows import BlindSpot, CoverageChanges
from gateway.domain.ledger import ChannelRecord, Outage, State
from gateway.domain.observation import OutageCause
from gateway.ports import Role
from gateway.resources import data_dir
from gateway.runtime.coverage import CoverageWorker
from gateway.runtime.model_source import Built

READER = Path(__file__).parent / "clients" / "gdal_reader.py"
DOCUMENT: dict[str, Any] = json.loads((data_dir("config") / "openapi.json").read_bytes())
CAMERAS, OUTAGES, SPOTS, SITES = 150, 130, 60, 75
LAYERS = ["cameras", "outages", "blind-spots", "coverage", "grids", "places", "candidates"]
SHAPES = [
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


async def gdal(service: WebService, layer: str, role: Role = Role.ADMIN, **options: Any) -> Any:
    """What GDAL's client reads; fails with what it complains about."""
    env = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    env |= {"GDAL_HTTP_AUTH": "BEARER", "GDAL_HTTP_BEARER": service.tokens[role]}
    child = await asyncio.create_subprocess_exec(
        sys.executable, str(READER), f"{service.url}/ogc", layer, json.dumps(options),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=env,
    )  # fmt: skip
    async with asyncio.timeout(60):
        out, complaints = await child.communicate()
    assert child.returncode == 0, complaints.decode()
    return json.loads(out)


def shapes_of(found: Any) -> list[Any]:
    return [None if one is None else shapely.from_wkb(one) for one in found["geometry"]]


async def every(service: WebService, layer: str, query: str = "") -> list[Any]:
    """All features by following the links."""
    url: str | None = f"{service.url}/ogc/collections/{layer}/items?{query}"
    features: list[Any] = []
    while url is not None:
        page = await service.get(url.removeprefix(service.url))
        features += page["features"]
        links = {link["rel"]: link["href"] for link in page["links"]}
        url = links.get("next")
        assert url is None or page["features"], "GDAL takes an empty page for the end"
    return features


async def test_gdal_reads_every_feature_of_every_layer() -> None:
    async with filled() as one:
        assert await gdal(one, "-") == LAYERS
        for layer in LAYERS:
            found = await gdal(one, layer, PAGE_SIZE=50)
            print(layer, found["gdal"], found["crs"], len(found["rows"]), found["rows"][0])
