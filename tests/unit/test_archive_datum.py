"""Datums: there and back, against known points, and the three-hypothesis test."""

import numpy as np
import pytest
from archive_files import PLACES, codes, plan
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.datum import (
    NAMES,
    Datum,
    bd09_from_gcj02,
    from_wgs84,
    gcj02_from_wgs84,
    parse_datum,
    point_to_wgs84,
    to_wgs84,
)

ACCURACY_DEG = 1e-9
DEGREE_M = 111_195.0


@given(
    longitude=st.floats(75.0, 135.0), latitude=st.floats(5.0, 53.0), datum=st.sampled_from(Datum)
)
def test_the_way_there_and_back_ends_where_it_began(
    longitude: float, latitude: float, datum: Datum
) -> None:
    there = from_wgs84(np.array([longitude]), np.array([latitude]), datum)
    back = point_to_wgs84(float(there[0][0]), float(there[1][0]), datum)
    assert back == pytest.approx((longitude, latitude), abs=ACCURACY_DEG)


def test_published_points_come_out_to_the_centimetre() -> None:
    # The worked example of coordtransform (npm, MIT): 116.404 E, 39.915 N in Beijing.
    one, two = np.array([116.404]), np.array([39.915])
    gcj = gcj02_from_wgs84(one, two)
    assert (gcj[0][0], gcj[1][0]) == pytest.approx(
        (116.41024449916938, 39.91640428150164), abs=1e-7
    )
    bd = bd09_from_gcj02(one, two)
    assert (bd[0][0], bd[1][0]) == pytest.approx((116.41036949371029, 39.92133699351021), abs=1e-7)


@pytest.mark.parametrize(
    ("datum", "least", "most"), [(Datum.GCJ02, 461, 525), (Datum.BD09, 1240, 1337)]
)
def test_the_shift_in_yuyang_is_what_was_measured(datum: Datum, least: int, most: int) -> None:
    longitude, latitude = (
        axis.ravel()
        for axis in np.meshgrid(np.linspace(109, 110.4, 60), np.linspace(37.9, 38.9, 60))
    )
    shifted = from_wgs84(longitude, latitude, datum)
    east = (shifted[0] - longitude) * DEGREE_M * np.cos(np.radians(latitude))
    distance = np.hypot(east, (shifted[1] - latitude) * DEGREE_M)
    assert least - 3 <= distance.min() < distance.max() <= most + 3


def test_outside_china_gcj02_is_wgs84() -> None:
    paris = np.array([2.35]), np.array([48.85])
    assert gcj02_from_wgs84(*paris) == paris
    assert to_wgs84(*paris, Datum.GCJ02) == paris


@pytest.mark.parametrize(
    ("text", "datum"),
    [("WGS84", Datum.WGS84), ("wgs-84", Datum.WGS84), ("CGCS2000", Datum.WGS84),
     ("EPSG:4326", Datum.WGS84), ("GCJ-02", Datum.GCJ02), ("火星坐标系", Datum.GCJ02),
     ("bd_09", Datum.BD09), ("百度坐标系", Datum.BD09), ("北京54", None), ("", None)],
)  # fmt: skip
def test_datums_are_known_by_the_names_of_the_field(text: str, datum: Datum | None) -> None:
    assert parse_datum(text) is datum


def test_every_listed_spelling_is_one_that_parsing_reaches() -> None:
    for name, datum in NAMES.items():
        assert parse_datum(name.upper()) is datum


@pytest.mark.parametrize(("name", "datum"), [("gcj-02", Datum.GCJ02), ("bd-09", Datum.BD09)])
def test_a_declared_datum_is_converted_and_kept_with_its_source(name: str, datum: Datum) -> None:
    right = plan(*PLACES, "good-cameras.csv").inventory
    found = plan(*PLACES, f"good-declared-{name}.csv")
    assert codes(found) == set()
    for camera_id, camera in found.inventory.cameras.items():
        assert camera.longitude == pytest.approx(right.cameras[camera_id].longitude, abs=2e-7)
        assert camera.latitude == pytest.approx(right.cameras[camera_id].latitude, abs=2e-7)
        assert camera.archive["datum"] == datum
        source = float(camera.archive["source_longitude"])
        assert 0.004 < source - (camera.longitude or 0) < 0.02


def test_an_undeclared_datum_can_be_given_with_the_import() -> None:
    found = plan(*PLACES, "bad-suspected_datum.csv", datum=Datum.GCJ02)
    assert codes(found) == set()
    assert found.unmapped == 0


def test_a_wrong_declaration_is_suspected_too() -> None:
    found = plan(*PLACES, "good-cameras.csv", datum=Datum.BD09)
    assert codes(found) == {"suspected_datum"}
    assert "best WGS-84, taken as BD-09" in found.repairs[0].reason
