"""`sightline coverage` on a store, without a running service."""

import asyncio
import json
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fakes.coverage_rows import BASIS, blind_spot, interval
from fakes.coverage_town import box, camera, cell, point
from fakes.ledger_rows import RECORD, at

from gateway.commands.coverage import _cell
from gateway.domain.camera import Device, Node, NodeId, NodeKind
from gateway.domain.coverage.place import Place, PlaceId, PlaceList, ProhibitedArea
from gateway.domain.coverage.rows import CoverageChanges
from gateway.domain.ledger import Changes, ChannelRecord, State
from gateway.inventory import Inventory
from gateway.opening import open_store
from gateway.settings import Settings, StoreSettings

FIELDS = {"ptz_type": "3", "horizontal_field_angle": "90", "max_view_distance": "50",
          "resolution": "2560*1440"}  # fmt: skip


def sightline(folder: Path, *arguments: str) -> tuple[int, Any, str]:
    """Exit code, JSON of standard output, standard error."""
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "coverage", *arguments, "--json",
         "--config", str(folder / "sightline.toml")],
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    return done.returncode, json.loads(done.stdout or "null"), done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with two cameras, one of which is off, three places and a room."""
    made = tmp_path_factory.mktemp("coverage")
    made.chmod(0o711)
    (made / "sightline.toml").write_text(f'[store]\nstate_dir = "{made / "state"}"\n')

    async def fill() -> None:
        cameras = [
            camera("c0", 0, 0, {**FIELDS, "azimuth": "0"}),
            camera("c1", 1000, 0, {**FIELDS, "azimuth": "0"}),
            camera("c2", 2000, 0, FIELDS),
        ]
        node = Node(NodeId("core"), NodeKind.CORE, "core", None)
        devices = [Device(one.device, f"10.0.0.{n}", 80, node.id) for n, one in enumerate(cameras)]
        cells = [cell("g", -100, -100, 2100, 100)]
        places = [
            Place(PlaceId(f"p{n}"), f"部位{n}", "road", point(1000 * n, 20)) for n in range(3)
        ]
        room = ProhibitedArea("ward", "病房", "ward", box(-4, 25, 4, 33))
        async with open_store(Settings(store=StoreSettings(state_dir=made / "state"))) as store:
            inventory = Inventory.of(cameras, devices, [node], grids=cells)
            await store.save_import(RECORD, inventory)
            told = PlaceList.of(places, prohibited=[room])
            await store.coverage.save_places(replace(RECORD, id="places"), told)
            states = (State.ONLINE, State.OFFLINE, State.ONLINE)
            records = [
                ChannelRecord(one.id, state, at(5))
                for one, state in zip(cameras, states, strict=True)
            ]
            await store.commit(Changes(1, channels=tuple(records)))
            changes = CoverageChanges(
                1, at(5), (blind_spot("b", 1, 5),), (interval("v", "p1", 5, 15),), basis=BASIS
            )
            await store.coverage.commit(changes)

    asyncio.run(fill())
    return made


def test_the_present_is_told_from_the_store(folder: Path) -> None:
    code, told, said = sightline(folder, "summary", "--by", "kind")
    assert code == 0, said
    assert told["seen_share"] == pytest.approx(2 / 3)
    assert told["blind_share"] == pytest.approx(1 / 3)
    assert [(part["code"], part["places"]) for part in told["parts"]] == [("road", 3)]
    code, told, said = sightline(folder, "repair-order")
    assert [one["adds"] for one in told["items"]] == [1.0], said
    code, told, said = sightline(folder, "redundancy")
    assert sorted(one["channel"] for one in told["failures"]) == ["c0", "c2"], said


def test_how_far_to_trust_it_is_told_from_the_store(folder: Path) -> None:
    code, told, said = sightline(folder, "bounds", "--by", "grid")
    assert code == 0, said
    assert told["weight"] == {"lower": 2.0, "expected": 3.0, "upper": 3.0}
    assert [part["code"] for part in told["items"]] == ["g"]
    code, told, said = sightline(folder, "survey-order")
    assert [one["channel"] for one in told["items"]] == ["c2"], said
    code, told, said = sightline(folder, "intrusions")
    assert code == 1, said
    assert [(one["channel"], one["area"]) for one in told["items"]] == [("c0", "ward")]


def test_the_past_is_told_from_the_store(folder: Path) -> None:
    code, told, said = sightline(folder, "blind-spots")
    assert (code, told["open"], [one["id"] for one in told["items"]]) == (0, 1, ["b"]), said
    moment = (at(6)).isoformat()
    code, told, said = sightline(folder, "at", moment)
    assert (told["lost"], told["designed"], told["seen"]) == (1.0, 10.25, 9.25), said
    first, last = at(0).isoformat(), (at(0) + timedelta(hours=1)).isoformat()
    code, told, said = sightline(folder, "availability", "--from", first, "--to", last)
    assert (told["whole_h"], told["lost_h"]) == (10.25, pytest.approx(10 / 60)), said


def test_a_wrong_time_is_a_wrong_call(folder: Path) -> None:
    for wrong in (("at", "yesterday"), ("at", "2099-01-01T00:00:00Z"),
                  ("availability", "--from", "2026-03-01")):  # fmt: skip
        code, told, _ = sightline(folder, *wrong)
        assert (code, told["error"]) == (2, "UsageError")


def test_figures_for_people_have_no_exponent() -> None:
    assert _cell("lost_m2", 1234567.89) == "1,234,567.9"
    assert _cell("adds", 1234567.891) == "1,234,567.89"
