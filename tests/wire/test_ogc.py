"""OGC API - Features: documents, filters and paging, and GDAL's own client reading every layer."""

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import shapely
from fakes.ledger_rows import RECORD
from fakes.small_model import model_of
from fakes.web_service import WebService, channel, district, running
from openapi_spec_validator import OpenAPIV30SpecValidator, validate
from shapely.geometry import box, mapping, shape

from gateway.domain.coverage.figures import PlaceFacts, designed_area
from gateway.domain.coverage.model import CoverageModel, Floats
from gateway.domain.coverage.place import CandidateSite, PlaceList, SiteId
from gateway.domain.coverage.plane import DISTRICT
from gateway.domain.coverage.rows import BlindSpot, CoverageChanges
from gateway.domain.ledger import Changes, ChannelRecord, Outage, State
from gateway.domain.observation import OutageCause
from gateway.ports import LedgerKind, LedgerQuery, Role
from gateway.resources import data_dir
from gateway.runtime.coverage import CoverageWorker
from gateway.runtime.model_source import Built
from gateway.web.ogc.asked import Asked, Box, parse_box, parse_window
from gateway.web.ogc.catalogue import CRS84
from gateway.web.params import Params
from gateway.web.reply import iso

READER = Path(__file__).parent / "clients" / "gdal_reader.py"
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


Many = dict[str, Any]


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


# --- the shapes of 17-069r4, as far as they can be told in JSON Schema
LINK: Many = {
    "type": "object",
    "required": ["href", "rel", "type"],
    "properties": {
        "href": {"type": "string", "pattern": "^https?://"},
        "rel": {"type": "string"},
        "type": {"type": "string"},
    },
}
LINKS: Many = {"type": "array", "items": LINK, "minItems": 1}
LANDING: Many = {"type": "object", "required": ["links"], "properties": {"links": LINKS}}
COLLECTION: Many = {
    "type": "object",
    "required": ["id", "links"],
    "properties": {
        "id": {"type": "string"},
        "title": {"type": "string"},
        "links": LINKS,
        "itemType": {"const": "feature"},
        "crs": {"type": "array", "items": {"type": "string"}, "contains": {"const": CRS84}},
        "extent": {
            "properties": {
                "spatial": {
                    "required": ["bbox"],
                    "properties": {
                        "crs": {"const": CRS84},
                        "bbox": {
                            "minItems": 1,
                            "items": {
                                "type": "array", "items": {"type": "number"},
                                "minItems": 4, "maxItems": 4,
                            },
                        },
                    },
                },
                "temporal": {
                    "required": ["interval"],
                    "properties": {
                        "interval": {
                            "minItems": 1,
                            "items": {
                                "type": "array", "items": {"type": ["string", "null"]},
                                "minItems": 2, "maxItems": 2,
                            },
                        }
                    },
                },
            }
        },
    },
}  # fmt: skip
GEOMETRY: Many = {
    "oneOf": [
        {"type": "null"},
        {
            "type": "object",
            "required": ["type", "coordinates"],
            "properties": {
                "type": {"enum": ["Point", "LineString", "Polygon", "MultiPolygon"]},
                "coordinates": {"type": "array"},
            },
        },
    ]
}
FEATURE: Many = {
    "type": "object",
    "required": ["type", "id", "geometry", "properties"],
    "properties": {
        "type": {"const": "Feature"},
        "id": {"type": ["string", "integer"]},
        "geometry": GEOMETRY,
        "properties": {"type": "object"},
        "links": LINKS,
    },
}
FEATURES: Many = {
    "type": "object",
    "required": ["type", "features", "links", "timeStamp", "numberReturned"],
    "properties": {
        "type": {"const": "FeatureCollection"},
        "features": {"type": "array", "items": FEATURE},
        "links": LINKS,
        "timeStamp": {"type": "string", "pattern": "^[0-9-]+T[0-9:.]+Z$"},
        "numberReturned": {"type": "integer", "minimum": 0},
        "numberMatched": {"type": "integer", "minimum": 0},
    },
    "x-ours": "#/components/schemas/OgcFeatures",
}


# --- documents


async def test_the_landing_page_leads_to_everything_and_needs_no_token() -> None:
    async with filled() as one:
        landing = await one.get("/ogc", None)
        assert await one.get("/ogc/", None) == landing
        conforms(landing, LANDING)
        assert href(landing, "self") == f"{one.url}/ogc"
        kinds = {link["rel"]: link["type"] for link in landing["links"]}
        assert kinds == {
            "self": "application/json",
            "service-desc": "application/vnd.oai.openapi+json;version=3.0",
            "conformance": "application/json",
            "data": "application/json",
        }
        for rel, url in ((link["rel"], link["href"]) for link in landing["links"]):
            status, _, response = await one.call("GET", url.removeprefix(one.url), Role.VIEWER)
            assert (status, response.headers["Content-Type"]) == (200, kinds[rel])
        conformance = await one.get("/ogc/conformance?f=json", None)
        assert {name.rpartition("/")[2] for name in conformance["conformsTo"]} == {
            "core", "geojson", "oas30",
        }  # fmt: skip
        assert (await one.call("GET", "/ogc/collections", None))[0] == 401


async def test_the_interface_below_ogc_is_a_document_of_openapi_3_0() -> None:
    async with filled() as one:
        told = await one.get("/ogc/api", None)
    validate(told, cls=OpenAPIV30SpecValidator)
    assert told["openapi"].startswith("3.0.")
    assert told["servers"] == [{"url": one.url}]
    assert set(told["paths"]) == {path for path in DOCUMENT["paths"] if path.startswith("/ogc")}
    for needed in ("limit", "bbox", "datetime"):
        (found,) = (p for p in told["components"]["parameters"].values() if p["name"] == needed)
        assert (found["in"], found.get("required"), found["style"]) == ("query", None, "form")
        assert found["explode"] is False


async def test_collections_tell_what_and_where_they_are() -> None:
    async with filled() as one:
        told = await one.get("/ogc/collections")
        assert [c["id"] for c in told["collections"]] == LAYERS
        assert href(told, "self") == f"{one.url}/ogc/collections"
        for collection in told["collections"]:
            conforms(collection, COLLECTION)
            address = href(collection, "self")
            assert address == f"{one.url}/ogc/collections/{collection['id']}"
            assert href(collection, "items") == f"{address}/items"
            assert await one.get(address.removeprefix(one.url)) == collection
            features = await every(one, collection["id"])
            known = [shape(f["geometry"]) for f in features if f["geometry"] is not None]
            around = collection["extent"].get("spatial", {"bbox": [None]})["bbox"][0]
            if collection["id"] == "outages":  # of all cameras: wider than their outages
                assert box(*around).covers(shapely.union_all(known))
            elif around is not None:
                assert around == pytest.approx(shapely.total_bounds(known).tolist(), abs=1e-9)
            timed = collection["id"] in {"outages", "blind-spots"}
            assert ("temporal" in collection["extent"]) == timed


# --- every feature


@pytest.mark.parametrize("layer", LAYERS)
async def test_a_layer_is_the_same_in_pages_of_any_size_and_one_by_one(layer: str) -> None:
    async with filled() as one:
        whole = await page(one, layer, limit=10_000)
        assert href(whole, "next") is None
        assert whole["numberMatched"] == len(whole["features"])
        for limit in (7, 5, 3):  # 5 and 3 divide the numbers of most layers
            assert whole["features"] == (await every(one, layer, limit=limit))
        assert len({feature["id"] for feature in whole["features"]}) == len(whole["features"])
        for feature in whole["features"][:5]:
            address = f"/ogc/collections/{layer}/items/{feature['id']}"
            single = await one.get(address)
            conforms(single, FEATURE)
            links = single.pop("links")
            assert single == feature
            assert {link["rel"]: link["href"] for link in links} == {
                "self": f"{one.url}{address}",
                "collection": f"{one.url}/ogc/collections/{layer}",
            }
        for wrong in ("nothing", "zzzz", "%00", "a%2Fb"):
            status, _, _ = await one.call("GET", f"/ogc/collections/{layer}/items/{wrong}")
            assert status == 404


async def test_rows_that_come_while_somebody_pages_hide_no_other() -> None:
    async with filled() as one:
        before = await names(one, "outages")
        first = await page(one, "outages", limit=50)
        late = Outage(
            "late", channel(3), OutageCause.POWER, None, one.now(), one.now(), one.now()
        )  # fmt: skip
        await one.store.commit(Changes(2, outages=(late,)))
        following = href(first, "next")
        assert following is not None
        rest = await one.get(following.removeprefix(one.url))
        found = [*first["features"], *rest["features"]]
        assert [f["id"] for f in found] == before[:100]
        assert (await names(one, "outages"))[0] == "late"


async def test_gdal_reads_every_feature_of_every_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = spied(monkeypatch)
    async with filled() as one:
        read = await gdal(one, *({"layer": layer, "PAGE_SIZE": 20} for layer in LAYERS))
        assert read["layers"] == LAYERS
        for layer, found in zip(LAYERS, read["found"], strict=True):
            source = expected(one)[layer]
            assert found["crs"] == "EPSG:4326"
            assert [row["id"] for row in found["rows"]] == list(source)
            shapes = [None if g is None else shapely.from_wkb(g) for g in found["geometry"]]
            for here, there in zip(shapes, source.values(), strict=True):
                assert (here is None) == (there is None)
                assert here is None or here.normalize().equals_exact(there.normalize(), 2e-7)
            pages = [q for name, q in asked if name == layer and "cursor" in q]
            assert len(pages) >= len(source) // 20 - (len(source) % 20 == 0), layer
            features = await every(one, layer)
            for row, feature in zip(found["rows"], features, strict=True):
                for name, value in feature["properties"].items():
                    if value is not None and not name.endswith(("_at", "as_of")):
                        assert row[name] == value, (layer, name)


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


def spied(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, str]]]:
    """Layer and parameters of every request for features."""
    seen: list[tuple[str, dict[str, str]]] = []
    real = Asked.of

    def of(params: Params) -> Asked:
        seen.append((params.request.path.split("/")[3], params.given))
        return real(params)

    monkeypatch.setattr(Asked, "of", of)
    return seen


async def test_gdal_pushes_its_filters_and_misses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = spied(monkeypatch)
    async with filled() as one:
        rows = await stored(one)
        early, late = rows[40].failed_at, rows[20].failed_at
        read = await gdal(
            one,
            {"layer": "cameras", "bbox": [109.70001, 38.1, 109.70003, 38.3]},
            {"layer": "blind-spots", "bbox": [109.7049, 38.2049, 109.7101, 38.21]},
            {"layer": "outages", "where": f"failed_at >= '{gdal_time(late)}'"},
            {"layer": "outages", "where": f"failed_at <= '{gdal_time(early)}'"},
            {"layer": "outages", "where": f"failed_at = '{gdal_time(early)}'"},
            {
                "layer": "outages",
                "where": f"failed_at >= '{gdal_time(early)}' AND failed_at <= '{gdal_time(late)}'",
            },
        )
        ids = [[row["id"] for row in found["rows"]] for found in read["found"]]
        assert ids[0] == [channel(n) for n in range(10, 31)]
        assert ids[1] == ["b-o001"]  # the corner of b-o000 that its bounds hold is empty
        assert [len(found) for found in ids[2:]] == [21, OUTAGES - 40, 1, 21]
        assert ids[5] == [row.id for row in rows[20:41]]
        boxes = [q["bbox"] for _, q in asked if "bbox" in q]
        assert len(boxes) >= 2
        windows = {q["datetime"].replace("..", "") for _, q in asked if "datetime" in q}
        first, last = (at.strftime("%Y-%m-%dT%H:%M:%SZ") for at in (early, late))
        assert windows == {f"{last}/", f"/{first}", first, f"{first}/{last}"}


def gdal_time(at: datetime) -> str:
    """As GDAL has it: milliseconds, the rest cut off."""
    return at.strftime("%Y/%m/%d %H:%M:%S") + f".{at.microsecond // 1000:03d}+00"


# --- filters


def test_a_box_is_read_and_checked() -> None:
    assert parse_box("1,2,3,4") == parse_box(" 1, 2,-9,3,4,9") == Box(1, 2, 3, 4)
    for wrong in ("", "1,2,3", "1,2,3,4,5", "a,b,c,d", "1,4,3,2", "1,2,9,3,4,-9", "1,2,nan,4",
                  "1,2,inf,4"):  # fmt: skip
        with pytest.raises(ValueError):
            parse_box(wrong)


def test_a_box_over_the_180th_meridian_holds_both_sides() -> None:
    over = Box(170.0, -10.0, -170.0, 10.0)
    shapes = shapely.points([(175.0, 0.0), (-175.0, 0.0), (0.0, 0.0), (175.0, 20.0)])
    assert over.meets(shapes).tolist() == [True, True, False, False]
    assert over.touches(shapely.bounds(shapes)).tolist() == [True, True, False, False]
    assert [over.holds(p.x, p.y) for p in shapes] == [True, True, False, False]
    assert not over.holds(None, 0.0)


def test_a_box_without_extent_is_a_line_or_a_point() -> None:
    square = shapely.box(0, 0, 2, 2)
    for thin in (Box(1, 1, 1, 1), Box(1, -5, 1, 5), Box(-5, 1, 5, 1)):
        assert thin.meets([square, shapely.Point(3, 3)]).tolist() == [True, False]


AT = datetime(2026, 5, 1, 10, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "since", "until"),
    [
        ("2026-05-01T10:00:00Z", AT, AT + timedelta(seconds=1)),
        ("2026-05-01T18:00:00+08:00", AT, AT + timedelta(seconds=1)),
        ("2026-05-01T10:00:00.0Z", AT, AT + timedelta(microseconds=1)),
        ("2026-05-01T10:00:00Z/2026-05-01T10:00:00Z", AT, AT + timedelta(seconds=1)),
        ("2026-05-01T10:00:00Z/..", AT, None),
        ("2026-05-01T10:00:00Z/", AT, None),
        ("../2026-05-01T10:00:00.5Z", None, AT + timedelta(microseconds=500_001)),
        ("/2026-05-01T10:00:00Z", None, AT + timedelta(seconds=1)),
        ("2026-05-01T10:00:00Z/9999-12-31T23:59:59Z", AT, None),
    ],
)
def test_times_and_intervals_become_windows(
    text: str, since: datetime | None, until: datetime | None
) -> None:
    assert parse_window(text) == (since, until)


@pytest.mark.parametrize(
    "text",
    ["", "..", "/", "../..", "2026-05-01", "2026-05-01T10:00:00", "x/..",
     "2026-05-01T10:00:00Z/2026-05-01T09:00:00Z",
     "2026-05-01T10:00:00Z/../2026-05-01T11:00:00Z"],
)  # fmt: skip
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_window(text)


async def test_a_box_takes_what_shares_a_point_with_it() -> None:
    async with filled() as one:
        assert await names(one, "cameras", bbox="109.70001,38.1,109.70003,38.3", limit=4) == [
            channel(n) for n in range(10, 31)
        ]
        assert channel(7) not in await names(one, "cameras", bbox="-180,-90,180,90")
        assert await names(one, "outages", bbox="109.70001,38.1,109.7000105,38.3") == ["o010"]
        # Of the triangles b-o000 (from 109.7 E) and b-o001: one touches, the other's bounds do.
        corner = "109.7049,38.2049,109.7101,38.21"
        assert await names(one, "blind-spots", bbox=corner) == ["b-o001"]
        assert await names(one, "blind-spots", bbox="109.7,38.2,-5,109.78,38.21,900", limit=3) == [
            f"b-o{n:03d}" for n in range(9)
        ]
        assert await names(one, "places", bbox="109.705,38.303,109.709,38.307") == ["p1"]
        assert await names(one, "places", bbox="109.701,38.304,109.703,38.308") == []
        assert await names(one, "candidates", bbox="109.7995,38,110,39") == []
        assert await names(one, "candidates", bbox="109.7715,38,110,39", limit=1) == [
            "s072", "s073", "s074"
        ]  # fmt: skip
        first = shapely.transform(MODEL.cells[0], DISTRICT.to_lonlat).centroid
        for layer in ("grids", "coverage"):
            around = f"{first.x},{first.y},{first.x},{first.y}"
            assert await names(one, layer, bbox=around) == [MODEL.grids[0]]
            assert sorted(await names(one, layer, bbox="109,38,110,39", limit=9)) == sorted(
                MODEL.grids
            )


async def test_a_time_takes_what_stood_then_and_all_that_has_no_time() -> None:
    async with filled() as one:
        rows = await stored(one)
        during = iso(rows[5].failed_at + timedelta(minutes=5))
        assert await names(one, "outages", datetime=during) == ["o005"]
        assert await names(one, "blind-spots", datetime=during) == ["b-o005"]
        between = iso(rows[5].failed_at - timedelta(minutes=5))
        assert await names(one, "outages", datetime=between) == []
        window = f"{iso(rows[8].ended_at)}/{during}"  # the end is a part of it
        assert await names(one, "outages", datetime=window, limit=2) == [
            "o005", "o006", "o007", "o008",
        ]  # fmt: skip
        assert await names(one, "outages", datetime=f"{iso(one.now())}/..") == ["o000"]
        assert len(await names(one, "outages", datetime=f"../{during}", limit=20)) == OUTAGES - 5
        for layer in ("cameras", "grids", "coverage", "places", "candidates"):
            then = await names(one, layer, datetime="1999-01-01T00:00:00Z/..")
            assert then == await names(one, layer)


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("colour=red", "colour"),
        ("bbox=1,2,3", "bbox"),
        ("datetime=yesterday", "datetime"),
        ("limit=0", "limit"),
        ("limit=-1", "limit"),
        ("limit=ten", "limit"),
        ("limit=", "limit"),
        ("limit=1&limit=2", "limit"),
        ("f=html", "f"),
        ("bbox-crs=http://www.opengis.net/def/crs/EPSG/0/4326", "bbox-crs"),
    ],
)
async def test_wrong_parameters_are_named_in_a_problem(query: str, name: str) -> None:
    async with filled() as one:
        for layer in LAYERS:
            status, body, response = await one.call(
                "GET", f"/ogc/collections/{layer}/items?{query}"
            )
            assert (status, response.content_type) == (400, "application/problem+json")
            assert [error["name"] for error in body["errors"]] == [name]


async def test_other_documents_take_no_parameter_but_the_format() -> None:
    async with filled() as one:
        paths = ("", "/conformance", "/api", "/collections", "/collections/cameras")
        for path in (*paths, f"/collections/cameras/items/{channel(0)}"):
            assert (await one.call("GET", f"/ogc{path}?f=json"))[0] == 200
            assert (await one.call("GET", f"/ogc{path}?limit=1"))[0] == 400


async def test_more_than_the_most_is_the_most() -> None:
    async with filled() as one:
        for many in ("10001", "99999999999999999999999999", "00010000"):
            assert len((await page(one, "cameras", limit=many))["features"]) == CAMERAS


async def test_a_forged_cursor_is_refused() -> None:
    async with filled() as one:
        following = href(await page(one, "outages", limit=2), "next") or ""
        cursor = re.sub(".*cursor=", "", following)
        for query in (f"cursor={cursor}&bbox=1,2,3,4", "cursor=nonsense", f"cursor={cursor[:-3]}"):
            status, body, _ = await one.call("GET", f"/ogc/collections/outages/items?{query}")
            assert (status, body["type"]) == (400, "urn:sightline:problem:bad-cursor")
        status, _, _ = await one.call("GET", f"/ogc/collections/cameras/items?cursor={cursor}")
        assert status == 400


# --- who may, and when not


async def test_candidate_sites_are_for_planners_and_nobody_else_sees_that_there_are_any() -> None:
    async with filled() as one:
        assert (await gdal(one, role=Role.VIEWER))["layers"] == LAYERS[:-1]
        for role in (Role.PLANNER, Role.ADMIN):
            told = await one.get("/ogc/collections", role)
            assert told["collections"][-1]["id"] == "candidates"
            assert len((await one.get("/ogc/collections/candidates/items", role))["features"])
        for path in (
            "candidates",
            "candidates/items",
            "candidates/items/s001",
            "c%61ndidates/items",
        ):
            status, _, _ = await one.call("GET", f"/ogc/collections/{path}", Role.VIEWER)
            assert status in {403, 404}, path
            assert (await one.call("GET", f"/ogc/collections/{path}", None))[0] == 401
        for layer in LAYERS:
            assert (await one.call("GET", f"/ogc/collections/{layer}/items", Role.AUDITOR))[
                0
            ] == 403


async def test_without_coverage_its_layers_are_not_there() -> None:
    async with running(district(4)) as one:
        told = await one.get("/ogc/collections", Role.VIEWER)
        assert [c["id"] for c in told["collections"]] == ["cameras", "outages", "blind-spots"]
        for layer in ("coverage", "grids", "places"):
            status, body, _ = await one.call("GET", f"/ogc/collections/{layer}/items")
            assert (status, body["type"]) == (404, "urn:sightline:problem:switched-off")
        assert await names(one, "candidates") == []
        assert (await one.call("GET", "/ogc/collections/colours"))[0] == 404


async def test_before_the_model_is_built_its_layers_say_so() -> None:
    async with running(district(4), coverage=worker_of) as one:
        told = await one.get("/ogc/collections", Role.VIEWER)
        by_id = {c["id"]: c for c in told["collections"]}
        assert "extent" not in by_id["grids"]
        assert (await one.call("GET", "/ogc/collections/grids/items"))[0] == 503
        assert len(await names(one, "cameras")) == 4


# --- headers


async def test_an_unchanged_page_is_not_sent_again_though_its_time_moved_on() -> None:
    async with filled() as one:
        path = "/ogc/collections/outages/items?limit=5"
        _, before, response = await one.call("GET", path)
        one.clock.ahead_s += 5
        known = {"If-None-Match": response.headers["ETag"]}
        assert (await one.call("GET", path, headers=known))[0] == 304
        _, after, _ = await one.call("GET", path)
        assert after["timeStamp"] > before["timeStamp"]
        assert response.content_type == "application/geo+json"
        assert f'<{href(before, "next")}>; rel="next"' in response.headers["Link"]


async def test_addresses_are_those_that_the_client_used() -> None:
    async with filled() as one:
        proxied = {"Host": "gis.example:8443", "X-Forwarded-Proto": "https"}
        _, told, _ = await one.call("GET", "/ogc", headers=proxied)
        assert href(told, "data") == "https://gis.example:8443/ogc/collections"
        _, told, _ = await one.call("GET", "/ogc", headers={"Host": "a<b>;rel=x"})
        assert href(told, "data") == "/ogc/collections"
