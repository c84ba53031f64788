"""Coverage over HTTP: what the worker knows, in the shapes of the interface document."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from fakes.coverage_town import box as box_at
from fakes.coverage_town import camera, cell, optics, point
from fakes.small_model import model_of
from fakes.web_service import WebService, channel, district, running
from shapely import GEOSException
from shapely.geometry import box, shape

from gateway.domain.coverage.build import make_scene
from gateway.domain.coverage.build import model_of as model_of_scene
from gateway.domain.coverage.figures import CoverageBy, PlaceFacts, designed_area
from gateway.domain.coverage.model import CoverageModel, Floats
from gateway.domain.coverage.place import Place, PlaceId, PlaceList, ProhibitedArea
from gateway.domain.coverage.trust import BoundedPart, bounds_by, trust_of
from gateway.domain.ledger import Changes, ChannelRecord, GapReason, GatewayGap, Outage, State
from gateway.domain.observation import OutageCause
from gateway.ports import Role
from gateway.resources import data_dir
from gateway.runtime import coverage_recount, model_source
from gateway.runtime.coverage import CoverageWorker
from gateway.runtime.model_source import Built, Part, Source, facts_of
from gateway.web import coverage_shapes

DOCUMENT: dict[str, Any] = json.loads((data_dir("config") / "openapi.json").read_bytes())
PAIR: CoverageModel = replace(
    model_of([box(0, 0, 60, 40), box(40, 0, 100, 40)], [[(50.0, 20.0)], [(10.0, 20.0)]]),
    channels=(channel(0), channel(1)),
)
POINT = b'{"type":"Point","coordinates":[109.7,38.3]}'
FACTS = PlaceFacts(
    ("广场", "路口"), ("square", "road"), ("", ""), ("t", "t"), ("", ""), ("", ""), (1.0, 1.0),
    (POINT, POINT),
)  # fmt: skip


async def source() -> AsyncIterator[Built | Floats]:
    yield Built("first", PAIR, FACTS)
    yield designed_area(PAIR)


def worker_of(service: WebService) -> CoverageWorker:
    return CoverageWorker(service.store, service.clock, service.projection, source, 0.0)


@asynccontextmanager
async def blinded() -> AsyncIterator[tuple[WebService, Outage[datetime]]]:
    """A service whose first camera is down."""
    async with running(district(4), coverage=worker_of) as one:
        worker = one.coverage
        assert isinstance(worker, CoverageWorker)
        now = one.now()
        states = tuple(ChannelRecord(channel(n), State.ONLINE, now) for n in range(4))
        await one.change(channels=states)
        await worker._build()
        one.clock.ahead_s += 60.0
        now = one.now()
        lost = Outage(
            "o1", channel(0), OutageCause.POWER, now - timedelta(seconds=50),
            now - timedelta(seconds=20), now, now, incident="i1",
        )  # fmt: skip
        record = ChannelRecord(channel(0), State.OFFLINE, now)
        await one.change(outages=(lost,), channels=(record,))
        view = one.projection.channels[channel(0)]
        worker.submit(_changes(view.outage, record))
        await worker.step()
        await worker.flush()
        yield one, lost
        await worker.close()


def _changes(outage: Any, record: Any) -> Any:
    return Changes(2, outages=(outage,), channels=(record,))


def conforms(content: Any, name: str) -> None:
    """Raise unless the content is what the document says."""
    jsonschema.validate(content, {"$ref": f"#/components/schemas/{name}", **DOCUMENT})


async def test_the_headline_and_its_parts() -> None:
    async with blinded() as (one, _):
        told = await one.get("/api/v1/coverage", Role.VIEWER)
        conforms(told, "Coverage")
        assert (told["seen_share"], told["blind_share"], told["designed_share"]) == (0.5, 0.5, 1.0)
        assert (told["blind_spots"], told["lost_area_m2"], told["listed"]) == (1, 1600.0, True)
        for by in ("grid", "village", "township", "kind"):
            parts = await one.get(f"/api/v1/coverage?by={by}")
            conforms(parts, "Coverage")
            assert sum(part["weight"] for part in parts["parts"]) == 2.0
        status, _, _ = await one.call("GET", "/api/v1/coverage?by=street")
        assert status == 400


async def test_blind_spots_now_and_in_history() -> None:
    async with blinded() as (one, lost):
        page = await one.get("/api/v1/coverage/blind-spots?open=true")
        conforms(page, "BlindSpots")
        (spot,) = page["items"]
        assert (spot["channel"], spot["outage"], spot["incident"]) == (channel(0), "o1", "i1")
        assert datetime.fromisoformat(spot["failed_at"]) == lost.failed_at
        assert spot["camera_name"]
        assert "polygon" not in spot
        with_polygon = await one.get("/api/v1/coverage/blind-spots?polygon=true&limit=1")
        conforms(with_polygon, "BlindSpots")
        assert shape(with_polygon["items"][0]["polygon"]).area > 0
        assert (await one.get("/api/v1/coverage/blind-spots?place=p0"))["items"] == []


async def test_places_are_paged_and_filtered() -> None:
    async with blinded() as (one, _):
        first = await one.get("/api/v1/coverage/places?limit=1")
        conforms(first, "ListedPlaces")
        second = await one.get(first["next"])
        assert [place["id"] for place in (*first["items"], *second["items"])] == ["p0", "p1"]
        assert second["next"] is None
        blind = await one.get("/api/v1/coverage/places?state=blind&kind=road&township=t")
        assert [place["name"] for place in blind["items"]] == ["路口"]


async def test_places_with_parts_that_nobody_ever_sees_are_listed() -> None:
    road = [(50.0, 20.0), *((x, 100.0) for x in range(3))]  # one point of four is seen
    model = model_of([box(0, 0, 60, 40)], [road, [(10.0, 20.0)]], [8.0, 1.0])

    async def gappy() -> AsyncIterator[Built | Floats]:
        yield Built("first", replace(model, channels=(channel(0),)), FACTS)
        yield designed_area(model)

    def worker(service: WebService) -> CoverageWorker:
        return CoverageWorker(service.store, service.clock, service.projection, gappy, 0.0)

    async with running(district(4), coverage=worker) as one:
        assert isinstance(one.coverage, CoverageWorker)
        await one.set_state(State.ONLINE, 0)
        await one.coverage._build()
        found = await one.get("/api/v1/coverage/places?gaps=true")
        conforms(found, "ListedPlaces")
        (place,) = found["items"]
        assert (place["id"], place["state"]) == ("p0", "seen")
        assert (place["never_weight"], place["blind_weight"]) == (6.0, 0.0)
        rest = await one.get("/api/v1/coverage/places?gaps=false")
        assert [place["id"] for place in rest["items"]] == ["p1"]
        layer = await one.get("/ogc/collections/places/items")
        assert [f["properties"]["never_weight"] for f in layer["features"]] == [6.0, 0.0]
        await one.coverage.close()


async def test_redundancy_and_repair_order() -> None:
    async with blinded() as (one, _):
        found = await one.get("/api/v1/coverage/redundancy")
        conforms(found, "Redundancy")
        assert [one["channel"] for one in found["failures"]] == [channel(1)]
        order = await one.get("/api/v1/coverage/repair-order", Role.PLANNER)
        conforms(order, "RepairOrder")
        assert order["items"][0]["adds"] == 1.0
        assert order["items"][0]["node_name"] == "接入0"


async def test_availability_and_the_past() -> None:
    async with blinded() as (one, lost):
        one.clock.ahead_s += 3600.0
        found = await one.get("/api/v1/coverage/availability")
        conforms(found, "CoverageAvailability")
        assert found["lost_h"] == pytest.approx(3620 / 3600, abs=0.01)
        assert found["share_least"] < found["share"] <= found["share_most"]
        after = (lost.failed_at + timedelta(seconds=1)).isoformat().replace("+00:00", "Z")
        past = await one.get(f"/api/v1/coverage/at?time={after}")
        conforms(past, "PastCoverage")
        assert (past["lost"], past["designed"], past["seen"]) == (1.0, 2.0, 1.0)
        assert (past["observed"], past["next"]) == (True, None)
        before = await one.get("/api/v1/coverage/at?time=2020-01-01T00:00:00Z")
        conforms(before, "PastCoverage")
        assert (before["weight"], before["lost"], before["items"]) == (None, 0.0, [])
        gap = GatewayGap("g", GapReason.BLIND, lost.failed_at)
        await one.store.commit(Changes(3, gaps=(gap,)))
        past = await one.get(f"/api/v1/coverage/at?time={after}")
        conforms(past, "PastCoverage")
        assert (past["observed"], past["seen"], past["unknown"]) == (False, None, 2.0)
        for wrong in (
            "at",
            "at?time=2099-01-01T00:00:00Z",
            "availability?from=2099-01-01T00:00:00Z",
            "availability?to=0001-01-01T00:00:00Z",
            "availability?from=2020-01-01T00:00:00Z&to=2020-04-03T00:00:00Z",
        ):
            status, _, _ = await one.call("GET", f"/api/v1/coverage/{wrong}")
            assert status == 400


LAYERS = {"views": 2, "blind-spots": 1, "places": 2, "cameras": 2, "grids": 16, "townships": 0}


@pytest.mark.parametrize(("name", "count"), LAYERS.items())
async def test_layers_are_geojson_in_degrees(name: str, count: int) -> None:
    async with blinded() as (one, _):
        found = await one.get(f"/api/v1/coverage/layers/{name}.geojson", Role.VIEWER)
        conforms(found, "Features")
        assert len(found["features"]) == count
        for feature in found["features"]:
            x, y = shape(feature["geometry"]).centroid.coords[0]
            assert (round(x, 1), round(y, 1)) == (109.7, 38.3)


async def test_a_recount_is_asked_by_operators_and_audited() -> None:
    async with blinded() as (one, _):
        status, _, _ = await one.call("POST", "/api/v1/coverage/recount", Role.VIEWER)
        assert status == 403
        status, done, _ = await one.call("POST", "/api/v1/coverage/recount", Role.OPERATOR)
        assert status == 200
        conforms(done, "RecountDone")
        assert done["equal"]
        assert (await one.get("/api/v1/coverage"))["recount"]["equal"]
        assert (await one.store.audit(1))[0].action == "coverage.recount"


async def test_a_recount_that_fails_is_told_beside_the_last_that_did_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(_: Any) -> Any:
        raise GEOSException("TopologyException")

    recount = "/api/v1/coverage/recount"
    async with blinded() as (one, _):
        assert (await one.get("/api/v1/coverage"))["recount_failure"] is None
        await one.call("POST", recount, Role.OPERATOR)
        with monkeypatch.context() as patched:
            patched.setattr(coverage_recount, "recount", broken)
            status, body, _ = await one.call("POST", recount, Role.OPERATOR)
        assert (status, body["type"].rpartition(":")[2]) == (503, "unavailable")
        told = await one.get("/api/v1/coverage", Role.VIEWER)
        conforms(told, "Coverage")
        assert told["recount"]["equal"]
        assert told["recount_failure"]["reason"] == body["detail"]
        await one.call("POST", recount, Role.OPERATOR)
        assert (await one.get("/api/v1/coverage"))["recount_failure"] is None


async def test_before_the_model_is_built_and_without_coverage_the_answer_says_so() -> None:
    async with running(district(4), coverage=worker_of) as one:
        status, body, _ = await one.call("GET", "/api/v1/coverage")
        assert (status, body["type"].rpartition(":")[2]) == (503, "unavailable")
    async with running(district(4)) as one:
        status, body, _ = await one.call("GET", "/api/v1/coverage/places")
        assert (status, body["type"].rpartition(":")[2]) == (404, "switched-off")


TRUSTED_PLACES = PlaceList.of(
    [
        Place(PlaceId("ahead"), "路口", "road", point(0, 20), weight=2.0),
        Place(PlaceId("maybe"), "广场", "square", point(1000, 20), weight=5.0),
        Place(PlaceId("never"), "村口", "road", point(0, 5000), weight=3.0),
    ],
    prohibited=[
        ProhibitedArea("ward", "病房", "ward", box_at(-4, 25, 4, 33)),
        ProhibitedArea("bath", "浴室", "bathroom", box_at(1038, -2, 1044, 2)),
    ],
)
NORTH = {
    "ptz_type": "3", "azimuth": "0", "horizontal_field_angle": "90", "max_view_distance": "50",
    "resolution": "2560*1440",
}  # fmt: skip


async def trusted_source() -> AsyncIterator[Part]:
    aimless = {key: value for key, value in NORTH.items() if key != "azimuth"}
    cameras = [camera(channel(0), 0, 0, NORTH), camera(channel(1), 1000, 0, aimless)]
    cells = [cell("g1", -100, -100, 100, 100), cell("g2", 900, -100, 1100, 100)]
    scene = make_scene(cameras, cells, TRUSTED_PLACES, optics())
    model = model_of_scene(scene)
    yield Built("first", model, facts_of(model, TRUSTED_PLACES))
    yield designed_area(model)
    yield trust_of(scene, TRUSTED_PLACES.prohibited)


@asynccontextmanager
async def trusted() -> AsyncIterator[WebService]:
    """A service whose model is followed by what it rests on."""

    def worker(service: WebService) -> CoverageWorker:
        return CoverageWorker(service.store, service.clock, service.projection, trusted_source, 0.0)

    async with running(district(4), coverage=worker) as one:
        assert isinstance(one.coverage, CoverageWorker)
        await one.coverage._build()
        status, body, _ = await one.call("GET", "/api/v1/coverage/bounds")
        assert (status, body["type"].rpartition(":")[2]) == (503, "unavailable")
        await one.coverage._finish()
        yield one
        await one.coverage.close()


async def broken_source() -> AsyncIterator[Part]:
    yield Built("first", PAIR, FACTS)
    yield designed_area(PAIR)
    raise RuntimeError("out of memory")


async def endless_source() -> AsyncIterator[Part]:
    yield Built("first", PAIR, FACTS)
    yield designed_area(PAIR)
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("parts", "reason"),
    [(broken_source, "see the log"), (endless_source, "more than 0.05 s"), (source, "is missing")],
)
async def test_trust_that_is_not_coming_is_not_told_as_being_computed(
    parts: Source, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_source, "PART_S", 0.05)

    def worker(service: WebService) -> CoverageWorker:
        return CoverageWorker(service.store, service.clock, service.projection, parts, 0.0)

    async with running(district(4), coverage=worker) as one:
        assert isinstance(one.coverage, CoverageWorker)
        await one.coverage._build()
        for finished in (False, True):
            status, body, _ = await one.call("GET", "/api/v1/coverage/bounds")
            assert (status, body["type"].rpartition(":")[2]) == (503, "unavailable")
            assert ("being computed" in body["detail"]) is not finished
            assert (reason in body["detail"]) is finished
            await asyncio.wait_for(one.coverage._finish(), 5.0)
        await one.coverage.close()


BOUNDS = "/api/v1/coverage/bounds"


async def every_page(one: WebService, path: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    following: str | None = path
    while following is not None:
        page = await one.get(following)
        items += page["items"]
        following = page["next"]
    return items


async def test_the_bounds_of_parts_are_computed_once_a_model(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[CoverageBy] = []

    def counted(what: CoverageBy, *of: Any) -> list[BoundedPart]:
        asked.append(what)
        return bounds_by(what, *of)

    monkeypatch.setattr(coverage_shapes, "bounds_by", counted)
    async with trusted() as one:
        assert isinstance(one.coverage, CoverageWorker)
        codes = [part["code"] for part in await every_page(one, f"{BOUNDS}?by=grid&limit=1")]
        await one.coverage.step(settle=True)
        whole = [part["code"] for part in await every_page(one, f"{BOUNDS}?by=grid")]
        assert (codes, asked) == (whole, [CoverageBy.GRID])
        await every_page(one, f"{BOUNDS}?by=kind")
        one.clock.ahead_s += 60.0
        await one.coverage._build()
        await one.coverage._finish()
        await every_page(one, f"{BOUNDS}?by=kind")
        assert asked == [CoverageBy.GRID, CoverageBy.KIND, CoverageBy.KIND]


async def test_bounds_of_the_district_and_of_its_parts() -> None:
    async with trusted() as one:
        told = await one.get("/api/v1/coverage/bounds", Role.VIEWER)
        conforms(told, "CoverageBoundsPage")
        assert told["weight"] == {"lower": 2.0, "expected": 7.0, "upper": 7.0}
        assert told["listed_weight"] == 10.0
        assert told["cameras"] == {"default": 1, "derived": 0, "surveyed": 1}
        assert (told["by"], told["items"], told["next"]) == (None, [], None)
        for by in ("grid", "village", "township", "kind"):
            conforms(await one.get(f"/api/v1/coverage/bounds?by={by}"), "CoverageBoundsPage")
            parts = await every_page(one, f"/api/v1/coverage/bounds?by={by}&limit=1")
            assert sum(part["listed_weight"] for part in parts) == 10.0
            assert sum(part["weight"]["expected"] for part in parts) == 7.0
        kinds = await every_page(one, "/api/v1/coverage/bounds?by=kind&limit=1")
        assert [part["code"] for part in kinds] == ["road", "square"]
        assert kinds[1]["weight"] == {"lower": 0.0, "expected": 5.0, "upper": 5.0}


async def test_the_headline_says_how_far_it_can_be_off() -> None:
    async with blinded() as (one, _):
        assert (await one.get("/api/v1/coverage"))["designed_bounds"] is None  # not computed yet
    async with trusted() as one:
        told = await one.get("/api/v1/coverage")
        conforms(told, "Coverage")
        bounds = {"lower_share": 0.2, "expected_share": 0.7, "upper_share": 0.7}
        assert told["designed_bounds"] == pytest.approx(bounds)
        assert told["designed_share"] == pytest.approx(0.7)


async def test_the_survey_order_names_the_field_that_costs_most() -> None:
    async with trusted() as one:
        told = await one.get("/api/v1/coverage/survey-order")
        conforms(told, "SurveyOrder")
        (item,) = told["items"]
        assert (item["rank"], item["channel"], item["weight"]) == (1, channel(1), 5.0)
        assert [field["field"] for field in item["fields"]] == ["azimuth"]
        assert told["by_field"]["azimuth"] == item["fields"][0]["weight"] > 0
        for nobody in ("field=resolution", "township=610802999"):
            assert (await one.get(f"/api/v1/coverage/survey-order?{nobody}"))["items"] == []
        assert len((await one.get("/api/v1/coverage/survey-order?field=azimuth"))["items"]) == 1


async def test_cameras_that_look_into_rooms_are_listed_with_how_sure_that_is() -> None:
    async with trusted() as one:
        told = await one.get("/api/v1/coverage/intrusions")
        conforms(told, "Intrusions")
        (item,) = told["items"]
        assert (item["channel"], item["area"], item["sure"]) == (channel(0), "ward", "certain")
        assert item["overlap_m2"] == pytest.approx(64.0, abs=0.5)
        assert (told["cameras"], told["areas"]) == (1, 1)
        both = await every_page(one, "/api/v1/coverage/intrusions?possible=true&limit=1")
        assert [(item["area"], item["sure"]) for item in both] == [
            ("ward", "certain"), ("bath", "possible"),
        ]  # fmt: skip
        elsewhere = await one.get("/api/v1/coverage/intrusions?township=610802999")
        assert (elsewhere["items"], elsewhere["cameras"]) == ([], 0)


async def test_what_stands_between_imports_is_not_modified_and_a_wrong_call_says_why() -> None:
    async with trusted() as one:
        for path in ("bounds?by=grid", "survey-order", "intrusions"):
            _, _, whole = await one.call("GET", f"/api/v1/coverage/{path}")
            status, _, _ = await one.call(
                "GET", f"/api/v1/coverage/{path}", headers={"If-None-Match": whole.headers["ETag"]}
            )
            assert status == 304
        for wrong in (
            "bounds?by=street",
            "survey-order?field=x",
            "intrusions?cursor=x",
            "bounds?a=1",
        ):
            status, body, _ = await one.call("GET", f"/api/v1/coverage/{wrong}")
            assert status == 400
            assert body["type"].startswith("urn:sightline:problem:bad-")
