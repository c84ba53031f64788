"""What is read from the archive of a camera, and what is assumed."""

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from fakes.coverage_town import camera, optics

from gateway.domain.camera import Camera
from gateway.domain.coverage.archive_view import ArchiveViews, Missing, read_views
from gateway.domain.coverage.model import Confidence
from gateway.domain.coverage.plane import DISTRICT
from gateway.domain.coverage.sectors import Side, reaches, sectors

FULL = {
    "ptz_type": "3", "azimuth": "90", "horizontal_field_angle": "60", "max_view_distance": "40",
    "resolution": "2560*1440",
}  # fmt: skip


def read(*cameras: Camera) -> ArchiveViews:
    return read_views(cameras, optics(), DISTRICT)


def told(archive: Mapping[str, str]) -> ArchiveViews:
    return read(camera("a", 0, 0, archive))


def without(*keys: str, **more: str) -> dict[str, str]:
    return {**{k: v for k, v in FULL.items() if k not in keys}, **more}


def test_only_cameras_in_use_that_have_a_position_have_views() -> None:
    good = camera("good", 10, 20)
    views = read(
        replace(good, longitude=None),
        replace(good, latitude=None),
        replace(good, in_use=False),
        replace(good, longitude=math.nan),
        good,
    )
    assert views.channels == ("good",)
    assert views.xy[0] == pytest.approx([10, 20], abs=1e-3)
    assert read().channels == ()


@pytest.mark.parametrize(
    ("code", "degrees"),
    [(1, 90), (2, 270), (3, 180), (4, 0), (5, 135), (6, 45), (7, 225), (8, 315)],
)
def test_the_compass_code_is_where_the_camera_looks_to(code: int, degrees: float) -> None:
    views = told(without("azimuth", direction_type=str(code)))
    assert views.azimuth_deg[0] == degrees
    assert views.azimuth_error_deg[0] == optics().compass_error_deg
    assert views.confidence[0] == Confidence.DERIVED


@pytest.mark.parametrize(
    ("fields", "degrees"),
    [
        ({"azimuth": "370"}, None),
        ({"azimuth": "-90"}, 270.0),
        ({"azimuth": "here"}, None),
        ({"direction_type": "210"}, 210.0),
        ({"direction_type": "7.5"}, 7.5),
        ({"direction_type": "sky"}, None),
        ({"direction_type": "西北"}, 315.0),
        ({"azimuth": "12", "direction_type": "3"}, 12.0),
        ({"azimuth": "360"}, 0.0),
    ],
)
def test_a_direction_may_be_written_in_many_ways(
    fields: dict[str, str], degrees: float | None
) -> None:
    (found,) = told(without("azimuth", **fields)).azimuth_deg
    assert math.isnan(found) if degrees is None else found == degrees


@pytest.mark.parametrize(
    ("archive", "confidence"),
    [
        (FULL, Confidence.SURVEYED),
        (without("resolution"), Confidence.SURVEYED),
        (without("horizontal_field_angle"), Confidence.DERIVED),
        (without("max_view_distance"), Confidence.DERIVED),
        (without("max_view_distance", "resolution"), Confidence.DEFAULT),
        (without("max_view_distance", "horizontal_field_angle"), Confidence.DEFAULT),
        (without("azimuth"), Confidence.DEFAULT),
        (without("azimuth", "horizontal_field_angle", ptz_type="6"), Confidence.SURVEYED),
        ({}, Confidence.DEFAULT),
    ],
)
def test_how_sure_a_view_is_depends_on_what_the_archive_has(
    archive: dict[str, str], confidence: Confidence
) -> None:
    assert told(archive).confidence[0] == confidence


def test_what_makes_no_sense_counts_as_missing() -> None:
    views = told(without(horizontal_field_angle="400", max_view_distance="0", resolution="good"))
    lacking = {name for name, flags in views.missing.items() if flags[0]}
    assert lacking == {Missing.FIELD, Missing.DISTANCE, Missing.RESOLUTION}
    assert views.field_deg.mid[0] == optics().field_deg.mid
    assert views.distance_m.mid[0] == optics().view_m.mid


@pytest.mark.parametrize(
    ("archive", "field_deg", "all_round"),
    [
        (without("azimuth", "horizontal_field_angle", ptz_type="6"), 360, True),
        (without("azimuth", "horizontal_field_angle", ptz_type="7"), 360, True),
        (without("horizontal_field_angle", ptz_type="6"), 180, False),
        (without("horizontal_field_angle", ptz_type="7"), 75, False),
        (without(ptz_type="6", horizontal_field_angle="180"), 180, False),
        (without(horizontal_field_angle="360"), 360, True),
        (without("azimuth", "horizontal_field_angle", ptz_type="nonsense"), 75, False),
    ],
)
def test_structures_that_see_all_round_do_so_unless_the_archive_gives_a_direction(
    archive: dict[str, str], field_deg: float, all_round: bool
) -> None:
    views = told(archive)
    assert views.field_deg.mid[0] == field_deg
    assert views.all_round[0] == all_round


def test_a_silent_field_is_read_off_cameras_of_the_same_model_then_of_the_same_structure() -> None:
    least = optics().least
    tele = [
        camera(f"t{i}", i, 0, without(max_view_distance="120"), model="T") for i in range(least)
    ]
    wide = [camera(f"w{i}", i, 9, without(max_view_distance="30"), model="W") for i in range(least)]
    few = [camera(f"f{i}", i, 9, without(max_view_distance="99"), model="F") for i in range(3)]
    silent = without("max_view_distance")
    views = read(
        *tele, *wide, *few,
        camera("tele", 0, 0, silent, model="T"),
        camera("few", 0, 0, silent, model="F"),
        camera("nameless", 0, 0, silent),
        camera("dome", 0, 0, {**silent, "ptz_type": "1"}),
    )  # fmt: skip
    tele_m, few_m, nameless_m, dome_m = views.distance_m.mid[-4:]
    assert tele_m == pytest.approx(120)
    everyone = [120] * least + [30] * least + [99] * 3
    assert few_m == nameless_m == pytest.approx(math.sqrt(np.mean(np.square(everyone))))
    assert dome_m == optics().view_m.mid
    for triple in (views.distance_m, views.field_deg, views.width_px):
        assert (triple.lo <= triple.mid).all()
        assert (triple.mid <= triple.hi).all()


def test_one_camera_has_several_ranges_none_beyond_its_view_distance() -> None:
    views = told(FULL)
    ranges = [sectors(views, optics(), d).radius_m[0] for d in (25.0, 62.5, 125.0, 250.0)]
    by_pixels = [2560 / (2 * d * math.tan(math.radians(30))) for d in (25.0, 62.5, 125.0, 250.0)]
    assert ranges == pytest.approx([40.0, *by_pixels[1:]])


def test_a_core_lies_in_its_view_and_a_view_in_its_utmost_extent() -> None:
    archives = [FULL, without("azimuth", direction_type="3"), {}, without("resolution")]
    views = read(*(camera(str(i), 0, 0, a) for i, a in enumerate(archives)))
    core, mid, utmost = (sectors(views, optics(), 25.0, side) for side in Side)
    assert (core.radius_m <= mid.radius_m).all()
    assert (mid.radius_m <= utmost.radius_m).all()
    seen = core.radius_m > 0
    assert seen.tolist() == [True, True, False, True]
    assert (core.half_rad <= mid.half_rad)[seen].all()
    assert (mid.half_rad <= utmost.half_rad).all()


def test_a_narrow_view_with_a_rough_direction_is_certain_of_nothing() -> None:
    views = told(without("azimuth", direction_type="3", horizontal_field_angle="30"))
    assert sectors(views, optics(), 25.0, Side.LOWER).radius_m[0] == 0


def test_without_a_direction_the_expected_view_has_the_area_of_the_wedge_it_must_be() -> None:
    aimless, aimed = told(without("azimuth")), told(FULL)
    disc, wedge = (sectors(v, optics(), 25.0) for v in (aimless, aimed))
    assert disc.half_rad[0] == pytest.approx(math.pi)
    areas = [s.half_rad[0] * s.radius_m[0] ** 2 for s in (disc, wedge)]
    assert areas[0] == pytest.approx(areas[1])
    assert sectors(aimless, optics(), 25.0, Side.UPPER).half_rad[0] == pytest.approx(math.pi)


def test_only_cameras_that_can_turn_have_a_reach_beside_their_home_view() -> None:
    views = read(
        camera("fixed", 0, 0, FULL),
        camera("dome", 0, 0, {**FULL, "ptz_type": "1"}),
        camera("half dome", 0, 0, {**FULL, "ptz_type": "2"}),
    )
    discs = reaches(views, optics(), 25.0)
    assert (discs.radius_m > 0).tolist() == [False, True, False]
    assert discs.half_rad[1] == pytest.approx(math.pi)
    home = sectors(views, optics(), 25.0)
    assert home.half_rad[1] == pytest.approx(math.radians(30))
