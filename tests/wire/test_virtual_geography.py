"""The land of the virtual district: names, shapes, the partition of each level by the next."""

import csv
from collections import defaultdict

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from adapters.virtual import plane
from adapters.virtual.geography import GRID_COUNT, Geography, build_geography, share_out
from adapters.virtual.names import (
    DISTRICT_CODE,
    SYNTHETIC,
    division_rows,
    is_street,
    road_stem,
    spoken,
    stem,
    townships,
    villages,
)
from gateway.domain.camera import DivisionCode
from gateway.resources import data_dir

DIVISIONS = tuple(row.division for row in division_rows())


@pytest.fixture(scope="module")
def land() -> Geography:
    return build_geography(11, DIVISIONS)


def test_the_district_has_31_townships_and_408_villages_four_of_them_marked_synthetic() -> None:
    assert len(townships(DIVISIONS)) == 31
    assert len(villages(DIVISIONS)) == 408
    made_up = [row.division for row in division_rows() if row.source == SYNTHETIC]
    assert len(made_up) == 4
    assert all(division.code.endswith("990") for division in made_up)


def test_every_division_hangs_below_one_that_is_listed() -> None:
    codes = [division.code for division in DIVISIONS]
    assert len(set(codes)) == len(codes) == 440
    for division in DIVISIONS[1:]:
        assert division.parent in codes
        assert division.code.startswith(str(division.parent))
    assert DIVISIONS[0].code == DISTRICT_CODE
    assert DIVISIONS[0].parent is None


def test_the_source_note_names_every_made_up_village() -> None:
    note = (data_dir("config") / "divisions.SOURCE.md").read_text(encoding="utf-8")
    with (data_dir("config") / "divisions.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["source"] == SYNTHETIC:
                assert row["code"] in note
                assert row["name"] in note


@pytest.mark.parametrize(
    ("name", "said", "bare", "road"),
    [
        ("普惠泉社区居委会", "普惠泉社区", "普惠泉", "普惠泉"),
        ("常乐路社区居委会", "常乐路社区", "常乐路", "常乐"),
        ("鱼河村委会", "鱼河村", "鱼河", "鱼河"),
        ("边墙社区", "边墙社区", "边墙", "边墙"),
        ("鱼河镇", "鱼河镇", "鱼河", "鱼河"),
    ],
)
def test_names_are_shortened_as_people_say_them(name: str, said: str, bare: str, road: str) -> None:
    assert (spoken(name), stem(name), road_stem(name)) == (said, bare, road)


def test_there_are_3641_valid_cells_numbered_within_their_village(land: Geography) -> None:
    assert len(land.cells) == len({cell.id for cell in land.cells}) == GRID_COUNT
    numbers = defaultdict(list)
    for cell, shape in zip(land.cells, land.shapes, strict=True):
        assert shape.is_valid
        assert shape.area > 0
        assert cell.id.startswith(cell.village)
        numbers[cell.village].append(int(cell.id[12:]))
    assert set(numbers) == {village.code for village in villages(DIVISIONS)}
    assert all(sorted(found) == list(range(1, len(found) + 1)) for found in numbers.values())
    assert min(len(found) for found in numbers.values()) >= 3


def test_cells_partition_the_district_without_overlap_or_hole(land: Geography) -> None:
    whole = shapely.union_all(list(land.shapes))
    assert isinstance(whole, shapely.Polygon)
    holes = sum(shapely.Polygon(ring).area for ring in whole.interiors)
    assert holes < 1e-7 * whole.area
    assert sum(shape.area for shape in land.shapes) == pytest.approx(whole.area, rel=1e-6)
    west, south, east, north = whole.bounds
    assert west > 109.0
    assert south > 37.8
    assert east < 110.4
    assert north < 39.0


def test_every_township_is_one_piece_of_land(land: Geography) -> None:
    parts = defaultdict(list)
    for cell, shape in zip(land.cells, land.shapes, strict=True):
        parts[cell.village[:9]].append(shape)
    for code, shapes in parts.items():
        largest = max(shapely.get_parts(shapely.union_all(shapes)), key=lambda part: part.area)
        assert largest.area > 0.97 * sum(shape.area for shape in shapes), code


def test_streets_are_small_and_central_and_towns_are_large(land: Geography) -> None:
    area: dict[str, float] = defaultdict(float)
    for cell, shape in zip(land.cells, land.shapes, strict=True):
        area[cell.village[:9]] += shape.area
        if is_street(DivisionCode(cell.village[:9])):
            assert shape.distance(shapely.Point(109.73, 38.28)) < 0.12
    streets = [value for code, value in area.items() if code[6:] < "100"]
    towns = [value for code, value in area.items() if code[6:] >= "100"]
    assert max(streets) * 5 < min(towns)


def test_rings_are_closed_and_run_as_geojson_wants(land: Geography) -> None:
    for cell in land.cells:
        for outer, *_ in cell.polygons:
            assert outer[0] == outer[-1]
            assert shapely.LinearRing(outer).is_ccw


def test_the_same_seed_draws_the_same_land_and_another_does_not(land: Geography) -> None:
    assert build_geography(11, DIVISIONS).cells == land.cells
    assert build_geography(12, DIVISIONS).cells != land.cells


@pytest.mark.parametrize("seed", [11, 121])  # 121: a hamlet had fallen outside the district
def test_every_hamlet_lies_in_a_cell_of_its_own_village(seed: int) -> None:
    drawn = build_geography(seed, DIVISIONS)
    for village in drawn.villages.values():
        found = drawn.cell_of(plane.to_degrees(np.array(village.hamlets)))
        assert {drawn.cells[index].village for index in found} == {village.code}
        assert len(set(found)) == len(village.hamlets)


def test_a_point_is_found_in_its_cell_and_outside_in_none(land: Geography) -> None:
    picks = list(range(0, len(land.cells), 17))
    inside = [land.shapes[index].representative_point() for index in picks]
    found = land.cell_of(np.array([(point.x, point.y) for point in inside] + [(108.0, 38.0)]))
    assert found == [*picks, -1]


@given(
    st.integers(0, 20_000),
    st.lists(st.floats(0.01, 100), min_size=1, max_size=40),
    st.integers(0, 3),
)
def test_sharing_out_gives_all_and_at_least_the_least(
    total: int, weights: list[float], least: int
) -> None:
    if total < least * len(weights):
        with pytest.raises(ValueError, match="cannot give"):
            share_out(total, weights, least)
        return
    parts = share_out(total, weights, least)
    assert sum(parts) == total
    assert min(parts) >= least
