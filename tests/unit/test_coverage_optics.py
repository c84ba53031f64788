"""What is data: the ladder of pixel densities, kinds of places, assumptions; and ranges from it."""

import math
import tomllib
from typing import get_args

import numpy as np
import pytest
from fakes.coverage_town import optics

from gateway.coverage_config import EDITION, load_ladder, load_optics, load_place_kinds
from gateway.domain.coverage.ladder import Ladder
from gateway.errors import UsageError
from gateway.resources import data_dir
from gateway.settings import CoverageSettings


def test_each_edition_has_its_own_densities() -> None:
    old, new = load_ladder("2015"), load_ladder("2025")
    assert old.name != new.name
    assert list(old.steps.values()) == [12.5, 25, 62.5, 125, 250]
    assert old.area_level == "detect"
    assert new.px_per_m("scrutinise") == 1500


def test_a_level_of_the_other_edition_is_never_made_weaker() -> None:
    old, new = load_ladder("2015"), load_ladder("2025")
    for asked, answering in ((old, new), (new, old)):
        for level, density in asked.steps.items():
            step = answering.step(level)
            if step is None:
                assert density > max(answering.steps.values())
            else:
                assert answering.px_per_m(level) == answering.steps[step] >= density


def test_an_unknown_edition_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="2015, 2025"):
        load_ladder("1999")


@pytest.mark.parametrize(
    "row",
    [
        {"name": "x", "steps": {"a": 2.0, "b": 1.0}, "area_level": "a"},
        {"name": "x", "steps": {"a": 0.0, "b": 1.0}, "area_level": "a"},
        {"name": "x", "steps": {"a": 1.0}, "area_level": "c"},
        {"name": "x", "steps": {"a": 1.0}, "area_level": "a", "instead": {"old": "c"}},
    ],
    ids=["falls", "zero", "area level", "instead"],
)
def test_a_ladder_that_contradicts_itself_is_refused(row: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="must rise"):
        Ladder.of("mine", {"editions": {"mine": row}})


def test_every_edition_and_table_names_its_source() -> None:
    for name in ("pixel_density", "place_kinds", "optics"):
        table = tomllib.loads((data_dir("config") / f"{name}.toml").read_text(encoding="utf-8"))
        rows = table.get("editions", {"": table}).values()
        assert all(row["source"] for row in rows), name


def test_the_settings_offer_the_editions_that_there_are() -> None:
    offered = get_args(CoverageSettings.model_fields["edition"].annotation)
    table = tomllib.loads((data_dir("config") / "pixel_density.toml").read_text("utf-8"))
    assert set(offered) == set(table["editions"])
    assert CoverageSettings().edition == EDITION


def test_every_kind_of_place_asks_for_a_level_of_each_edition() -> None:
    kinds = load_place_kinds()
    virtual = {"school", "hospital", "station", "square", "market", "park", "road"}
    assert {*virtual, "village_entrance"} <= set(kinds)
    for edition in ("2015", "2025"):
        ladder = load_ladder(edition)
        for kind in kinds.values():
            assert ladder.step(kind.level)
            assert kind.weight > 0
            assert kind.zh
            assert kind.en


def test_a_place_asks_for_its_own_level_then_for_that_of_its_kind_then_for_the_area_level() -> None:
    assert optics().place_px_per_m("school", "recognise") == 125
    assert optics().place_px_per_m("school", "") == 62.5
    assert optics().place_px_per_m("school", "no such level") == 62.5
    assert optics().place_px_per_m("no such kind", "") == 25
    assert load_optics("2025").place_px_per_m("square", "") == 40


def test_ranges_are_those_of_the_worked_example() -> None:
    width, field = np.array([1920.0, 2560.0]), np.array([90.0, 45.0])
    ranges = {
        name: optics().range_m(width, field, density).tolist()
        for name, density in optics().ladder.steps.items()
    }
    assert ranges["detect"] == pytest.approx([38.4, 123.6], abs=0.1)
    assert ranges["observe"] == pytest.approx([15.4, 49.4], abs=0.1)
    assert ranges["recognise"] == pytest.approx([7.7, 24.7], abs=0.1)
    assert ranges["identify"] == pytest.approx([3.8, 12.4], abs=0.1)


def test_a_lens_that_sees_all_round_spreads_its_pixels_over_the_circle() -> None:
    (metres,) = optics().range_m(np.array([3840.0]), np.array([360.0]), 25.0)
    assert metres == pytest.approx(3840 / 25 / (2 * math.pi))


@pytest.mark.parametrize(
    ("resolution", "model", "width"),
    [
        ("2560*1440", "", 2560),
        ("3840 x 2160", "", 3840),
        ("1920×1080", "DS-2CD3T86FWDV2-I8S", 1920),
        ("1080P", "", 1920),
        ("4 MP", "", 2560),
        ("400万", "", 2560),
        ("6", "", 1920),
        ("", "DS-2CD3T46WD-I5", 2560),
        ("sharp", "DS-2CD3T46WD-I5", 2560),
        ("", "unheard-of", None),
        ("sharp", "", None),
    ],
)
def test_picture_widths_are_read_as_archives_write_them(
    resolution: str, model: str, width: float | None
) -> None:
    assert optics().width_of(resolution, model) == width
