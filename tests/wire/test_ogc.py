"""OGC API - Features: documents, paging, filters, roles."""

import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import shapely
from fakes.ogc_service import (
    CAMERAS,
    DOCUMENT,
    LAYERS,
    MODEL,
    OUTAGES,
    conforms,
    every,
    filled,
    gdal,
    href,
    names,
    page,
    stored,
    worker_of,
)
from fakes.ogc_shapes import COLLECTION, FEATURE, LANDING
from fakes.web_service import channel, district, running
from openapi_spec_validator import OpenAPIV30SpecValidator, validate
from shapely.geometry import box, shape

from gateway.domain.coverage.plane import DISTRICT
from gateway.domain.coverage.rows import CoverageChanges
from gateway.domain.ledger import Changes, Outage
from gateway.domain.observation import OutageCause
from gateway.ports import LedgerKind, LedgerQuery, Page, Role
from gateway.ports.coverage import BlindSpotQuery
from gateway.web.ogc import ledger as ogc_ledger
from gateway.web.reply import iso

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


# --- filters


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


async def test_a_small_box_costs_no_reading_of_the_whole_history(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with filled() as one:
        read: list[int] = []
        ledger = one.store.ledger

        async def counted(kind: LedgerKind, query: LedgerQuery) -> Page[Any]:
            found = await ledger(kind, query)
            read.append(len(found.rows))
            return found

        monkeypatch.setattr(one.store, "ledger", counted)
        assert await names(one, "outages", bbox="109.70001,38.1,109.7000105,38.3") == ["o010"]
        assert read == [1]


async def test_a_box_with_few_blind_spots_is_read_in_bounded_parts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ogc_ledger, "BUDGET", 12)
    monkeypatch.setattr(ogc_ledger, "MOST", 55)
    async with filled() as one:
        url: str | None = "/ogc/collections/blind-spots/items?bbox=109.7,38.2,109.78,38.21&limit=6"
        found, sizes = [], []
        while url is not None:
            told = await one.get(url.removeprefix(one.url))
            url = href(told, "next")
            sizes.append(len(told["features"]))
            assert sizes[-1] or url is None  # GDAL takes an empty page for the end
            found += [feature["id"] for feature in told["features"]]
        assert found == [f"b-o{n:03d}" for n in range(9)]  # the nine newest of sixty
        assert sizes == [6, 3, 0]
        status, body, _ = await one.call(
            "GET", "/ogc/collections/blind-spots/items?bbox=100,20,101,21&limit=4"
        )
        assert (status, body["errors"][0]["name"]) == (400, "bbox")
        assert "datetime" in body["detail"]


async def test_blind_spots_say_until_when_they_were_observed() -> None:
    async with filled() as one:
        before = (await page(one, "blind-spots", limit=1))["features"][0]["properties"]
        assert before["observed_until_at"] is None
        (spot,) = (await one.store.coverage.blind_spots(BlindSpotQuery(limit=1)))[0]
        unwatched = replace(spot, observed_until_at=spot.opened_at)
        await one.store.coverage.commit(CoverageChanges(9, one.now(), (unwatched,)))
        after = (await page(one, "blind-spots", limit=1))["features"][0]["properties"]
        assert after["observed_until_at"] == iso(spot.opened_at)


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
