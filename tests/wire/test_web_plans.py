"""Expansion plans over real HTTP, computed in a real child process."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse
from fakes.coverage_town import box, camera, degrees, point
from fakes.ledger_rows import RECORD
from fakes.web_service import WebService, running
from python_calamine import CalamineWorkbook

from gateway.domain.camera import Device, Node, NodeId, NodeKind
from gateway.domain.coverage.place import (
    CandidateSite,
    Place,
    PlaceId,
    PlaceList,
    ProhibitedArea,
    SiteId,
)
from gateway.inventory import Inventory
from gateway.plan_files import to_xlsx
from gateway.ports import Role
from gateway.ports.coverage import PlanRecord, PlanStatus
from gateway.runtime.planning import QUEUED_MAX, Planning, memory_told

CHILD = "gateway.commands.build_plan"
PLANS = "/api/v1/plans"


def site(name: str, x: float, y: float) -> CandidateSite:
    lon, lat = degrees(x, y)
    return CandidateSite(SiteId(name), f"={name}", "pole", lon, lat, power=True, cost=9_000.0)


def village() -> tuple[Inventory, PlaceList]:
    """Two cameras, six places in a row, a pole beside each, and a room that nobody may look into."""
    cameras = [camera("c0", 0, 0), camera("c1", 1000, 0)]
    node = Node(NodeId("core"), NodeKind.CORE, "core", None)
    devices = [Device(one.device, "10.0.0.1", n, node.id) for n, one in enumerate(cameras)]
    inventory = Inventory.of(cameras, devices, [node])
    places = [
        Place(PlaceId(f"p{n}"), f"部位{n}", "road", point(1000 * n, 20), float(n + 1), "detect")
        for n in range(6)
    ]
    sites = [site(f"s{n}", 1000 * n, 45) for n in range(6)]
    room = ProhibitedArea("r", "宿舍", "room", box(5000 - 20, -5, 5000 + 20, 12))
    return inventory, PlaceList.of(places, (), [room], sites)


@asynccontextmanager
async def planning_service(*, works: bool = True) -> AsyncIterator[WebService]:
    """The web side with the queue of jobs; with `works` jobs are really done."""
    inventory, places = village()

    def make(service: WebService) -> Planning:
        return Planning(service.store, service.clock, CHILD, lambda: memory_told(service.store))

    async with running(inventory, planning=make) as service:
        await service.store.save_import(RECORD, inventory)
        await service.store.coverage.save_places(replace(RECORD, id="places"), places)
        planning = service.planning
        assert isinstance(planning, Planning)
        work = asyncio.create_task(planning.run()) if works else None
        try:
            yield service
        finally:
            if work is not None:
                work.cancel()
                await asyncio.wait({work})
            assert planning._desk is None or not works


async def submit(service: WebService, **body: Any) -> str:
    status, made, response = await service.call("POST", PLANS, Role.PLANNER, json=body)
    assert status == 202, made
    assert response.headers["Location"] == f"{PLANS}/{made['id']}"
    assert "result" not in made
    return str(made["id"])


async def done(service: WebService, plan_id: str) -> Any:
    """The plan, when it has ended."""
    async with asyncio.timeout(60):
        while True:
            plan = await service.get(f"{PLANS}/{plan_id}")
            if plan["status"] not in {"queued", "running"}:
                return plan
            await asyncio.sleep(0.05)


async def begun(service: WebService, plan_id: str) -> None:
    """Wait until a plan is being computed."""
    async with asyncio.timeout(20):
        while True:
            if (await service.get(f"{PLANS}/{plan_id}"))["status"] == "running":
                return
            await asyncio.sleep(0.01)


async def bytes_of(service: WebService, path: str) -> tuple[bytes, ClientResponse]:
    async with service.session.get(service.url + path, headers=service.headers()) as response:
        assert response.status == 200
        return await response.read(), response


async def test_a_plan_is_computed_stored_listed_and_exported() -> None:
    async with planning_service() as service:
        first = await submit(service, sites=2, name="第一批")
        second = await submit(service, sites=3)
        plan = await done(service, first)
        assert plan["status"] == "done", plan
        result = plan["result"]
        # p0 and p1 are seen already; the view on p5 would look into the room.
        assert [row["site"] for row in result["sites"]] == ["s4", "s3"]
        assert (result["gain"], result["already"]["weight_seen"]) == (9.0, 3.0)
        assert result["gain"] <= result["bound"]
        assert 0 <= result["gap"] <= 0.02
        assert (plan["progress"], plan["actor"]) == (1.0, "planner token")
        await done(service, second)
        listed = await service.get(PLANS)
        assert [one["id"] for one in listed["items"]] == [second, first]
        assert all("result" not in one for one in listed["items"])
        both = await service.get(f"{PLANS}/compare?first={first}&second={second}")
        assert (both["both"], both["only_second"]) == (["s4", "s3"], ["s2"])
        await _exported(service, first)


async def _exported(service: WebService, plan_id: str) -> None:
    body, response = await bytes_of(service, f"{PLANS}/{plan_id}/export.geojson")
    features = json.loads(body)["features"]
    assert response.content_type == "application/geo+json"
    assert {one["geometry"]["type"] for one in features} == {"Point", "Polygon"}
    assert len(features) == 4
    body, _ = await bytes_of(service, f"{PLANS}/{plan_id}/export.xlsx")
    book = CalamineWorkbook.from_filelike(io.BytesIO(body))
    assert book.sheet_names == ["点位", "摄像机", "新增部位", "边际曲线", "先调向", "说明"]
    rows = book.get_sheet_by_name("点位").to_python()
    assert [row[2] for row in rows[1:]] == ["=s4", "=s3"]  # a text, and no formula


def test_no_text_of_a_plan_becomes_a_formula(tmp_path: Path) -> None:
    import zipfile

    row = {"rank": 1, "site": "=1+1", "name": "@SUM(A1)", "kind": "+x", "longitude": 109.7,
           "latitude": 38.2, "gain": 1.0, "cost": 1.0, "cost_known": True, "power": None,
           "network": True, "cameras": [], "places": []}  # fmt: skip
    now = datetime.now(UTC)
    plan = PlanRecord("p", "=cmd", now, "a", PlanStatus.DONE, {}, result={"sites": [row]})
    file = tmp_path / "plan.xlsx"
    file.write_bytes(to_xlsx(plan))
    with zipfile.ZipFile(file) as book:
        sheets = [book.read(name).decode() for name in book.namelist() if "worksheets" in name]
    assert sheets
    assert not [sheet for sheet in sheets if "<f>" in sheet]


async def test_a_running_plan_is_cancelled_and_its_process_ends() -> None:
    async with planning_service() as service:
        running_id = await submit(service, sites=2)
        waiting_id = await submit(service, sites=3)
        await begun(service, running_id)
        for plan_id in (waiting_id, running_id):
            status, body, _ = await service.call("POST", f"{PLANS}/{plan_id}/cancel", Role.PLANNER)
            assert (status, body["status"]) == (200, "cancelled")
        for plan_id in (waiting_id, running_id):
            assert (await done(service, plan_id))["status"] == "cancelled"
        status, _, _ = await service.call("POST", f"{PLANS}/{running_id}/cancel", Role.PLANNER)
        assert status == 409
        third = await submit(service, sites=1)
        assert (await done(service, third))["status"] == "done"
        status, body, _ = await service.call("DELETE", f"{PLANS}/{third}", Role.PLANNER)
        assert (status, body["deleted"]) == (200, True)
        assert (await service.call("GET", f"{PLANS}/{third}"))[0] == 404


async def test_a_plan_that_cannot_be_made_says_why() -> None:
    async with planning_service() as service:
        await service.store.coverage.save_places(replace(RECORD, id="empty"), PlaceList.of())
        plan = await done(service, await submit(service, sites=2))
        assert plan["status"] == "failed"
        assert "nothing to plan for" in plan["reason"]
        status, problem, _ = await service.call("GET", f"{PLANS}/{plan['id']}/export.xlsx")
        assert (status, problem["detail"]) == (409, "the plan has no result: it is failed")


async def test_a_job_that_a_service_left_behind_is_told_as_failed() -> None:
    async with planning_service(works=False) as service:
        record = PlanRecord(
            "old", "", datetime.now(UTC), "a", PlanStatus.RUNNING, {"sites": 1}, progress=0.5
        )
        await service.store.coverage.save_plan(record)
        planning = service.planning
        assert isinstance(planning, Planning)
        work = asyncio.create_task(planning.run())
        plan = await done(service, "old")
        work.cancel()
        assert (plan["status"], plan["reason"]) == (
            "failed", "the service ended before the plan was done",
        )  # fmt: skip


async def test_a_full_queue_refuses() -> None:
    async with planning_service(works=False) as service:
        for _ in range(QUEUED_MAX):
            await submit(service, sites=1)
        status, problem, _ = await service.call("POST", PLANS, Role.PLANNER, json={"sites": 1})
        assert status == 409
        assert "plans are waiting" in problem["detail"]


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ({}, "sites"), ({"sites": 0}, "sites"), ({"sites": 1.5}, "sites"),
        ({"sites": True}, "sites"), ({"budget": -1}, "budget"), ({"sites": 1, "x": 1}, "x"),
        ({"sites": 1, "lenses": []}, "lenses"), ({"sites": 1, "candidates": "all"}, "candidates"),
    ],
)  # fmt: skip
async def test_wrong_requests_name_the_field(body: Any, name: str) -> None:
    async with planning_service(works=False) as service:
        status, problem, _ = await service.call("POST", PLANS, Role.PLANNER, json=body)
        assert (status, problem["errors"][0]["name"]) == (400, name)
        status, problem, _ = await service.call(
            "POST", PLANS, Role.PLANNER, json={"sites": 1, "lenses": ["fisheye"]}
        )
        assert status == 400
        assert "fisheye" in problem["detail"]


async def test_only_planners_plan_and_readers_read() -> None:
    async with planning_service(works=False) as service:
        for role in (Role.VIEWER, Role.OPERATOR, Role.CENTER, Role.AUDITOR):
            assert (await service.call("POST", PLANS, role, json={"sites": 1}))[0] == 403
        assert (await service.call("GET", PLANS, Role.VIEWER))[0] == 200
        assert (await service.call("GET", PLANS, Role.AUDITOR))[0] == 403


async def test_what_if_answers_at_once_after_the_first_question() -> None:
    async with planning_service() as service:
        lon, lat = degrees(2000, 0)
        changes = [
            {"do": "remove", "channel": "c0"},
            {"do": "add", "longitude": lon, "latitude": lat, "azimuth_deg": 0, "lens": "standard"},
        ]
        path = "/api/v1/coverage/what-if"
        found: Any = None
        for _ in range(2):
            status, found, _ = await service.call(
                "POST", path, Role.PLANNER, json={"changes": changes}
            )
            assert status == 200, found
        assert [one["place"] for one in found["gained"]["places"]] == ["p2"]
        assert [one["place"] for one in found["lost"]["places"]] == ["p0"]
        assert found["net_weight"] == 2.0
        assert found["seconds"] <= 0.2
        for wrong in ([], [{"do": "fly"}], [{"channel": "c0"}], [{"do": "remove"}], ["x"],
                      [{"do": "remove", "channel": "nobody"}]):  # fmt: skip
            status, _, _ = await service.call("POST", path, Role.PLANNER, json={"changes": wrong})
            assert status == 400, wrong


async def test_where_coverage_is_switched_off_nothing_is_planned() -> None:
    async with running(Inventory()) as service:
        status, problem, _ = await service.call("POST", PLANS, Role.PLANNER, json={"sites": 1})
        assert (status, problem["type"].rpartition(":")[2]) == (404, "switched-off")
