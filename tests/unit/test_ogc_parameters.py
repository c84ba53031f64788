"""`bbox` and `datetime` of OGC API - Features."""

from datetime import UTC, datetime, timedelta

import pytest
import shapely

from gateway.web.ogc.asked import Box, parse_box, parse_window


def test_a_box_is_read_and_checked() -> None:
    assert parse_box("1,2,3,4") == parse_box(" 1, 2,-9,3,4,9") == Box(1, 2, 3, 4)
    for wrong in ("", "1,2,3", "1,2,3,4,5", "a,b,c,d", "1,4,3,2", "1,2,9,3,4,-9", "1,2,nan,4",
                  "1,2,inf,4"):  # fmt: skip
        with pytest.raises(ValueError):
            parse_box(wrong)


def test_a_box_over_the_180th_meridian_holds_both_sides() -> None:
    over = Box(170.0, -10.0, -170.0, 10.0)
    shapes = shapely.points([(175.0, 0.0), (-175.0, 0.0), (0.0, 0.0), (175.0, 20.0)])
    assert over.meets(shapes).tolist() == [True, True, False, False]
    assert over.touches(shapely.bounds(shapes)).tolist() == [True, True, False, False]
    assert [over.holds(p.x, p.y) for p in shapes] == [True, True, False, False]
    assert not over.holds(None, 0.0)


def test_a_box_without_extent_is_a_line_or_a_point() -> None:
    square = shapely.box(0, 0, 2, 2)
    for thin in (Box(1, 1, 1, 1), Box(1, -5, 1, 5), Box(-5, 1, 5, 1)):
        assert thin.meets([square, shapely.Point(3, 3)]).tolist() == [True, False]


AT = datetime(2026, 5, 1, 10, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "since", "until"),
    [
        ("2026-05-01T10:00:00Z", AT, AT + timedelta(seconds=1)),
        ("2026-05-01T18:00:00+08:00", AT, AT + timedelta(seconds=1)),
        ("2026-05-01T10:00:00.0Z", AT, AT + timedelta(microseconds=1)),
        ("2026-05-01T10:00:00Z/2026-05-01T10:00:00Z", AT, AT + timedelta(seconds=1)),
        ("2026-05-01T10:00:00Z/..", AT, None),
        ("2026-05-01T10:00:00Z/", AT, None),
        ("../2026-05-01T10:00:00.5Z", None, AT + timedelta(microseconds=500_001)),
        ("/2026-05-01T10:00:00Z", None, AT + timedelta(seconds=1)),
        ("2026-05-01T10:00:00Z/9999-12-31T23:59:59Z", AT, None),
    ],
)
def test_times_and_intervals_become_windows(
    text: str, since: datetime | None, until: datetime | None
) -> None:
    assert parse_window(text) == (since, until)


@pytest.mark.parametrize(
    "text",
    ["", "..", "/", "../..", "2026-05-01", "2026-05-01T10:00:00", "x/..",
     "2026-05-01T10:00:00Z/2026-05-01T09:00:00Z",
     "2026-05-01T10:00:00Z/../2026-05-01T11:00:00Z"],
)  # fmt: skip
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_window(text)
