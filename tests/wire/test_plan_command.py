"""`sightline plan` on a store, without a running service."""

import asyncio
import json
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


def sightline(folder: Path, *arguments: str) -> tuple[int, Any, str]:
    """Exit code, JSON of standard output, standard error."""
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "plan", *arguments, "--json",
         "--config", str(folder / "sightline.toml")],
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    return done.returncode, json.loads(done.stdout or "null"), done.stderr


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
