"""The virtual town: buildings stand clear of poles and places, free poles carry nothing."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import shapely
from numpy.typing import NDArray

from adapters.virtual import plane
from adapters.virtual.files import CANDIDATE_COLUMNS, write_archive
from adapters.virtual.fleet import build_district
from adapters.virtual.model import VirtualDistrict
from adapters.virtual.townscape import points_of


@pytest.fixture(scope="module")
def district() -> VirtualDistrict:
    return build_district(5, 120, port=1, tls_port=2, killable_port=3, canary_port=4)


def shapes(district: VirtualDistrict) -> NDArray[np.object_]:
    rings = [plane.to_metres(np.array(b.geometry["coordinates"][0])) for b in district.buildings]  # type: ignore[index]
    return np.array([shapely.Polygon(ring) for ring in rings], dtype=object)


def test_thousands_of_buildings_overlap_nothing(district: VirtualDistrict) -> None:
    buildings = shapes(district)
    assert len(buildings) > 5000
    assert shapely.is_valid(buildings).all()
    assert shapely.is_ccw(shapely.get_exterior_ring(buildings)).all()
    # Published degrees are rounded to 0.1 m.
    pairs = shapely.STRtree(buildings).query(shapely.buffer(buildings, -0.2), "intersects")
    assert (pairs[0] == pairs[1]).all()


def test_no_wall_touches_a_camera_a_free_pole_or_a_listed_point(district: VirtualDistrict) -> None:
    tree = shapely.STRtree(shapes(district))
    cameras = [(c.longitude, c.latitude) for c in district.channels if c.longitude is not None]
    poles = [(p.longitude, p.latitude) for p in district.poles]
    points = plane.to_metres(np.array(cameras + poles)).tolist()
    points += points_of(p.geometry for p in district.places)
    near = tree.query(shapely.points(points), "dwithin", distance=2.5)
    assert near.size == 0


def test_private_areas_are_some_of_the_buildings(district: VirtualDistrict) -> None:
    walls = [building.geometry for building in district.buildings]
    assert 10 <= len(district.private_areas) <= 300
    assert all(area.geometry in walls for area in district.private_areas)


def test_free_poles_carry_no_camera_and_are_the_same_each_time(district: VirtualDistrict) -> None:
    cameras = {(c.longitude, c.latitude) for c in district.channels}
    assert not any((pole.longitude, pole.latitude) in cameras for pole in district.poles)
    again = build_district(5, 120, port=1, tls_port=2, killable_port=3, canary_port=4)
    assert again.poles == district.poles
    assert again.buildings == district.buildings


def test_candidates_are_a_table_that_says_what_nobody_knows(
    district: VirtualDistrict, tmp_path: Path
) -> None:
    files = write_archive(district, tmp_path)
    with files["candidates"].open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == CANDIDATE_COLUMNS
    assert len(rows) == len(district.poles)
    assert {row["power"] for row in rows} == {"", "0", "1"}
    for name, wanted in (
        ("footprints", district.buildings),
        ("prohibited", district.private_areas),
    ):
        features = json.loads(files[name].read_text(encoding="utf-8"))["features"]
        assert [feature["id"] for feature in features] == [one.id for one in wanted]
