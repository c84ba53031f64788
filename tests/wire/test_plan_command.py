"""`sightline plan` on a store, without a running service."""

import asyncio
import json
import os
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fakes.coverage_town import camera, degrees, point
from fakes.ledger_rows import RECORD

from gateway.domain.camera import Device, Node, NodeId, NodeKind
from gateway.domain.coverage.place import CandidateSite, Place, PlaceId, PlaceList, SiteId
from gateway.inventory import Inventory
from gateway.opening import open_store
from gateway.planning import PlanRequest
from gateway.runtime.planning import PlanChild
from gateway.settings import Settings, StoreSettings


def run(folder: Path, *arguments: str, said: str = "") -> tuple[int, str, str]:
    """Exit code, standard output, standard error."""
    done = subprocess.run(
        [sys.executable, "-m", "gateway", *arguments, "--config", str(folder / "sightline.toml")],
        capture_output=True, text=True, timeout=100, check=False, input=said,
        env={**os.environ, "COLUMNS": "200"},
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def sightline(folder: Path, *arguments: str, verb: str = "plan") -> tuple[int, Any, str]:
    """Exit code, JSON of standard output, standard error."""
    code, told, said = run(folder, verb, *arguments, "--json")
    return code, json.loads(told or "null"), said


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one camera, three places and three poles."""
    made = tmp_path_factory.mktemp("plan")
    made.chmod(0o711)
    (made / "sightline.toml").write_text(f'[store]\nstate_dir = "{made / "state"}"\n')

    async def fill() -> None:
        one = camera("c0", 0, 0)
        node = Node(NodeId("core"), NodeKind.CORE, "core", None)
        inventory = Inventory.of([one], [Device(one.device, "10.0.0.1", 80, node.id)], [node])
        places = [
            Place(PlaceId(f"p{n}"), f"部位{n}", "road", point(1000 * n, 20)) for n in range(3)
        ]
        poles = [CandidateSite(SiteId(f"s{n}"), f"杆{n}", "pole", *degrees(1000 * n, 45))
                 for n in range(3)]  # fmt: skip
        settings = Settings(store=StoreSettings(state_dir=made / "state"))
        async with open_store(settings) as store:
            await store.save_import(RECORD, inventory)
            told = PlaceList.of(places, candidates=poles)
            await store.coverage.save_places(replace(RECORD, id="places"), told)

    asyncio.run(fill())
    return made


def test_a_plan_is_told_exported_and_kept(folder: Path) -> None:
    code, plan, said = sightline(
        folder, "--sites", "5", "--name", "试点", "--export", str(folder / "plan.geojson")
    )
    assert code == 0, said
    assert sorted(row["site"] for row in plan["sites"]) == ["s1", "s2"]
    assert (plan["gain"], plan["gap"]) == (plan["bound"], 0.0)
    assert any("cost not known at 2 of 2" in note for note in plan["notes"])
    features = json.loads((folder / "plan.geojson").read_text())["features"]
    assert len(features) == 4

    async def kept() -> Any:
        settings = Settings(store=StoreSettings(state_dir=folder / "state"))
        async with open_store(settings) as store:
            return await store.coverage.plan(plan["id"]), await store.audit(1)

    record, (line,) = asyncio.run(kept())
    assert (record.name, record.result["gain"]) == ("试点", plan["gain"])
    assert (line.action, line.target) == ("plan", plan["id"])


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((), "give sites or budget"),
        (("--sites", "0"), "sites: must be"),
        (("--sites", "1", "--lens", "fisheye"), "there is no 'fisheye'"),
        (("--sites", "1", "--export", "plan.pdf"), "must end in .geojson or .xlsx"),
    ],
)
def test_a_wrong_call_says_why(folder: Path, arguments: tuple[str, ...], reason: str) -> None:
    code, told, _ = sightline(folder, *arguments)
    assert code == 2
    assert reason in told["problems"][0]


async def test_the_child_of_the_service_reads_the_store_beside_it(folder: Path) -> None:
    settings = Settings(store=StoreSettings(state_dir=folder / "state"))
    async with open_store(settings):  # somebody keeps the embedded server up, as the service does
        child = PlanChild("gateway.commands.build_plan", pickle.dumps(settings))
        try:
            await child.start()
            lines = [line async for line in child.ask({"plan": PlanRequest(sites=1).as_dict()})]
        finally:
            await child.close()
    assert lines[0]["progress"] < 1
    assert lines[-1]["result"]["gain"] == 1.0
    assert child.process is not None
    assert child.process.returncode is not None


def test_plans_that_are_kept_are_listed_shown_compared_and_exported(folder: Path) -> None:
    made = [sightline(folder, "--sites", n, "--name", f"方案{n}")[1] for n in ("1", "2")]
    one, two = (plan["id"] for plan in made)
    code, told, said = sightline(folder, "list", "--limit", "2", verb="plans")
    assert code == 0, said
    assert [(plan["id"], plan["status"]) for plan in told["items"]] == [
        (two, "done"),
        (one, "done"),
    ]
    assert not {"result"} & told["items"][0].keys()
    assert sightline(folder, "show", one, verb="plans")[1] == made[0]
    code, told, said = sightline(folder, "compare", one, two, verb="plans")
    assert code == 0, said
    assert [plan["gain"] for plan in told["plans"]] == [1.0, 2.0]
    assert (len(told["both"]), told["only_first"], len(told["only_second"])) == (1, [], 1)
    file = folder / "kept.xlsx"
    assert sightline(folder, "export", one, str(file), verb="plans")[0] == 0
    assert file.read_bytes()[:2] == b"PK"


def test_plans_are_told_to_people(folder: Path) -> None:
    plan = sightline(folder, "--sites", "2", "--budget", "90000000", "--name", "年度")[1]["id"]
    code, told, said = run(folder, "plans", "list")
    assert code == 0, said
    assert plan in told
    assert "2 个点位，预算 90,000,000 元" in told
    code, told, said = run(folder, "plans", "compare", plan, plan)
    assert code == 0, said
    assert "两者都有 2 个点位" in told
    assert "仅方案一 0 个点位" in told
    code, told, said = run(folder, "plans", "show", plan)
    assert code == 0, said
    assert "方案 plan: 年度" in told
    code, told, said = run(folder, "plans", "export", plan, str(folder / "told.geojson"))
    assert code == 0, said
    assert "已导出 年度" in told


def test_a_change_by_hand_is_tried(folder: Path) -> None:
    file = folder / "changes.json"
    longitude, latitude = degrees(1000, 45)
    added = {"do": "add", "longitude": longitude, "latitude": latitude, "azimuth_deg": 180}
    file.write_text(json.dumps({"changes": [added, {"do": "remove", "channel": "c0"}]}))
    code, told, said = sightline(folder, "what-if", str(file), verb="plans")
    assert code == 0, said
    assert [one["place"] for one in told["gained"]["places"]] == ["p1"]
    assert [one["place"] for one in told["lost"]["places"]] == ["p0"]
    assert told["net_weight"] == 0.0
    code, shown, said = run(folder, "plans", "what-if", "-", said=file.read_text())
    assert code == 0, said
    assert "部位1" in shown
    assert "净增权重 0.00" in shown


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "is not JSON"),
        ("[]", "changes must stand in a JSON object"),
        ('{"changes": []}', "must be a list of 1 to 50 changes"),
        ('{"changes": [{"do": "fly"}]}', "changes[0].do must be remove, move, turn or add"),
        ('{"changes": [{"do": "turn", "channel": "c0"}]}', "needs azimuth_deg"),
        ('{"changes": [{"do": "remove", "channel": "nobody"}]}', "nobody"),
    ],
)
def test_a_change_that_makes_no_sense_is_refused_with_its_place(
    folder: Path, text: str, reason: str
) -> None:
    file = folder / "wrong.json"
    file.write_text(text)
    code, told, _ = sightline(folder, "what-if", str(file), verb="plans")
    assert code == 2
    assert reason in told["problems"][0]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("show", "nothing"), "no plan has the id 'nothing'"),
        (("compare", "nothing", "else"), "no plan has the id 'nothing'"),
        (("what-if", "/nowhere.json"), "No such file"),
        (("export", "nothing", "/nowhere/plan.xlsx"), "there is no folder"),
    ],
)
def test_a_wrong_call_about_plans_says_why(
    folder: Path, arguments: tuple[str, ...], reason: str
) -> None:
    code, told, _ = sightline(folder, *arguments, verb="plans")
    assert code == 2
    assert reason in told["problems"][0]
