"""`sightline coverage` on a store, without a running service."""

import asyncio
import json
import os
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

from gateway.commands.coverage_tables import NO_LIST, summary
from gateway.commands.coverage_words import (
    CAUSE,
    CONFIDENCE,
    FIELD,
    PLACE_STATE,
    SURE,
    area,
    figure,
    percent,
    some,
)
from gateway.commands.options import SHANGHAI, out
from gateway.domain.camera import Device, Node, NodeId, NodeKind
from gateway.domain.coverage.archive_view import Missing
from gateway.domain.coverage.bounds import Sure
from gateway.domain.coverage.figures import CoverageBy
from gateway.domain.coverage.model import Confidence
from gateway.domain.coverage.place import Place, PlaceId, PlaceList, ProhibitedArea
from gateway.domain.coverage.rows import CoverageChanges, PlaceState
from gateway.domain.ledger import Changes, ChannelRecord, State
from gateway.domain.observation import FaultCause, OutageCause
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
                1,
                at(5),
                (blind_spot("b", 1, 5, places=(PlaceId("p1"),)),),
                (
                    interval("v", "p1", 5, 15),
                    interval("w", "p0", 20, 25),
                    interval("x", "p2", 20, 25),
                ),
                basis=BASIS,
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
    assert told["designed_bounds"] == {
        "lower_share": pytest.approx(2 / 3),
        "expected_share": 1.0,
        "upper_share": 1.0,
    }
    code, told, said = sightline(folder, "repair-order")
    assert [one["adds"] for one in told["items"]] == [1.0], said
    code, told, said = sightline(folder, "redundancy")
    assert sorted(one["channel"] for one in told["failures"]) == ["c0", "c2"], said


def test_listed_places_are_told_with_their_state(folder: Path) -> None:
    code, told, said = sightline(folder, "places", "--limit", "2")
    assert (code, [one["id"] for one in told["items"]]) == (0, ["p0", "p1"]), said
    code, rest, said = sightline(folder, "places", "--from", str(told["next"]))
    assert (code, [one["id"] for one in rest["items"]], rest["next"]) == (0, ["p2"], None), said
    code, told, said = sightline(folder, "places", "--state", "blind", "--kind", "road")
    assert (code, [one["name"] for one in told["items"]]) == (0, ["部位1"]), said
    assert sightline(folder, "places", "--gaps")[1]["items"] == []
    assert sightline(folder, "places", "--township", "nowhere")[1]["items"] == []


def test_blind_spots_are_filtered(folder: Path) -> None:
    every = sightline(folder, "blind-spots")[1]["items"]
    (spot,) = every
    for chosen in (
        ("--channel", spot["channel"]),
        ("--place", spot["places"][0]),
        ("--since", at(0).isoformat()),
    ):
        assert sightline(folder, "blind-spots", *chosen)[1]["items"] == every, chosen
    for other in (
        ("--channel", "nobody"),
        ("--place", "nowhere"),
        ("--township", "nowhere"),
        ("--incident", "none"),
        ("--until", at(0).isoformat()),
    ):
        assert sightline(folder, "blind-spots", *other)[1]["items"] == [], other
    assert sightline(folder, "blind-spots", "--since", "yesterday")[0] == 2


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


def test_the_edition_of_the_pixel_densities_can_be_chosen_and_is_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    areas = []
    for edition in ("2015", "2025"):
        monkeypatch.setenv("SIGHTLINE_COVERAGE__EDITION", edition)
        code, told, said = sightline(folder, "bounds", "--by", "grid")
        assert (code, told["ladder"]) == (0, f"IEC 62676-4:{edition}"), said
        areas.append(told["area_m2"]["expected"])
    assert areas[0] > 2 * areas[1], "40 px/m instead of 25"
    code, told, said = sightline(folder, "summary")
    assert (code, told["ladder"]) == (0, "IEC 62676-4:2025"), said
    monkeypatch.setenv("SIGHTLINE_COVERAGE__EDITION", "1999")
    assert sightline(folder, "summary")[0] == 2


def test_the_past_is_told_from_the_store(folder: Path) -> None:
    code, told, said = sightline(folder, "blind-spots")
    assert (code, told["open"], [one["id"] for one in told["items"]]) == (0, 1, ["b"]), said
    moment = (at(6)).isoformat()
    code, told, said = sightline(folder, "at", moment)
    assert (told["lost"], told["designed"], told["seen"]) == (1.0, 10.25, 9.25), said
    first, last = at(0).isoformat(), (at(0) + timedelta(hours=1)).isoformat()
    code, told, said = sightline(folder, "availability", "--from", first, "--to", last)
    assert (told["whole_h"], told["lost_h"]) == (10.25, pytest.approx(20 / 60)), said


def test_the_past_is_told_page_by_page(folder: Path) -> None:
    moment = at(22).isoformat()
    _, whole, said = sightline(folder, "at", moment)
    assert ([one["place"] for one in whole["items"]], whole["next"]) == (["p0", "p2"], None), said
    _, first, _ = sightline(folder, "at", moment, "--limit", "1")
    assert ([one["place"] for one in first["items"]], first["next"]) == (["p0"], "p0")
    _, second, _ = sightline(folder, "at", moment, "--limit", "1", "--after", first["next"])
    assert ([one["place"] for one in second["items"]], second["next"]) == (["p2"], None)
    assert second["lost"] == whole["lost"] == 2.0
    assert "续页：--after p0" in printed(folder, "at", moment, "--limit", "1")


def test_availability_keeps_the_limit_of_the_api(folder: Path) -> None:
    window = "--from", "2026-03-01T00:00:00Z", "--to", "2026-06-01T00:00:00Z"
    assert sightline(folder, "availability", *window)[0] == 0
    window = "--from", "2026-02-28T23:59:59Z", "--to", "2026-06-01T00:00:00Z"
    code, told, said = sightline(folder, "availability", *window)
    assert (code, told["error"]) == (2, "UsageError")
    assert "--from: at most 92 days before `to`" in said


def test_a_wrong_time_is_a_wrong_call(folder: Path) -> None:
    for wrong in (("at", "yesterday"), ("at", "2099-01-01T00:00:00Z"),
                  ("at", "0001-01-01T00:00:00Z"),
                  ("availability", "--from", "2026-03-01"),
                  ("availability", "--to", "0001-01-01T00:00:00Z")):  # fmt: skip
        code, told, _ = sightline(folder, *wrong)
        assert (code, told["error"]) == (2, "UsageError")


def printed(folder: Path, *arguments: str) -> str:
    """What a person reads, on a wide terminal."""
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "coverage", *arguments,
         "--config", str(folder / "sightline.toml")],
        capture_output=True, text=True, timeout=100, check=False,
        env={**os.environ, "COLUMNS": "200"},
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout


def cells(text: str) -> list[list[str]]:
    """The rows of a printed table."""
    lines = [line for line in text.splitlines() if line.startswith("│")]
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]


def test_people_read_words_and_readable_areas(folder: Path) -> None:
    told = printed(folder, "intrusions")
    ((_, _, area_name, _, sure, overlap, _),) = cells(told)
    assert (area_name, sure, overlap) == ("病房", "确定", "64 m²")
    told = printed(folder, "bounds", "--by", "grid")
    assert "可视权重（确定 / 按档案 / 可能）" in told
    ((*_, cell_area, estimate),) = cells(told)
    assert (cell_area, estimate) == ("0.44 km²", "2,661 m² / 5,871 m² / 14,986 m²")
    assert "视场来源：缺省 1 路，推算 0 路，实测 2 路" in told
    assert "expected" not in told
    assert cells(printed(folder, "redundancy"))[0][-1] == "部位0"
    assert cells(printed(folder, "survey-order"))[0][-1] == "方位角"
    (spot,) = cells(printed(folder, "blind-spots"))
    assert (spot[2], spot[-1]) == ("超时无应答", "部位1")
    place = cells(printed(folder, "places", "--state", "blind"))[0]
    assert (place[1], place[2], place[5], place[6]) == ("部位1", "道路", "失视", "1.00")


def test_people_read_the_headline_as_sentences(folder: Path) -> None:
    told = printed(folder, "summary", "--by", "kind")
    assert "重点部位可视率 66.67%（设计 100.00%；" in told
    assert "重点部位 3 处，权重 3.00：可视 2 处，失视 1 处" in told
    assert "设计可视率受档案缺失字段影响，介于 66.67% 与 100.00% 之间" in told
    assert cells(told)[0][0] == "道路"
    told = printed(folder, "at", at(6).isoformat())
    assert "可视权重 9.25（设计 10.25" in told


def test_without_a_list_the_headline_says_how_to_draft_one(tmp_path: Path) -> None:
    (tmp_path / "sightline.toml").write_text('[store]\ndsn = "memory:"\n')
    told = printed(tmp_path, "summary")
    assert (
        "尚未录入重点部位清单，无法计算可视率。可先从档案生成草稿：`sightline import places --suggest`"
    ) in told
    assert "可视率 0" not in told
    code, shape, _ = sightline(tmp_path, "summary")
    assert (code, shape["listed"], shape["seen_share"]) == (0, False, None)
    assert NO_LIST not in str(shape)


def test_drafts_do_not_count_and_the_headline_says_how_to_accept_them(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(out, "width", 200)
    shape = dict.fromkeys(("places", "cameras", "blind_spots", "lost_area_m2"), 0)
    summary({**shape, "listed": False, "ladder": "x", "drafts": 7, "parts": [], "as_of": at(0),
             "designed_bounds": None},
            CoverageBy.KIND, {})  # fmt: skip
    told = capsys.readouterr().out
    assert "7 处草稿" in told
    assert "sightline import places --accept" in told
    assert NO_LIST not in told


def test_figures_for_people_have_no_exponent_and_readable_units() -> None:
    assert [area(m2) for m2 in (0.0, 9.46, 64.4, 99_999.0, 12_345_678.9)] == [
        "0 m²", "9.5 m²", "64 m²", "99,999 m²", "12.35 km²"
    ]  # fmt: skip
    assert figure(1234567.891) == "1,234,567.89"
    assert (percent(None), percent(2 / 3)) == ("-", "66.67%")
    assert some([f"部位{n}" for n in range(5)]) == "部位0、部位1、部位2 等 5 处"


def test_every_code_that_people_may_meet_has_a_word() -> None:
    assert {one.value for one in (*OutageCause, *FaultCause)} | {"maintenance"} == set(CAUSE)
    assert {one.name.lower() for one in Sure} == set(SURE)
    assert {one.name.lower() for one in Confidence} == set(CONFIDENCE)
    assert {one.value for one in PlaceState} == set(PLACE_STATE)
    assert {one.value for one in Missing} == set(FIELD)


def test_the_report_has_the_coverage_availability_of_its_days(folder: Path) -> None:
    day = at(10).astimezone(SHANGHAI).date().isoformat()
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "report", "--from", day, "--to", day, "--json",
         "--config", str(folder / "sightline.toml")],
        capture_output=True, text=True, timeout=100, check=True,
    )  # fmt: skip
    told = json.loads(done.stdout)["coverage_availability"]
    assert told["due_h"] > told["lost_h"] > 0
    assert 0 < told["share_least"] <= told["share"] <= told["share_most"] < 1
