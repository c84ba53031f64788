"""The comparison of blind spots with the truth, and who sees what by brute force."""

import csv
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from adapters.virtual import plane
from adapters.virtual.blind_truth import BlindVerdict, SpotRow, compare_spots, read_spots
from adapters.virtual.intervals import Rules, WatchedSpan
from adapters.virtual.model import TruthRow
from adapters.virtual.sight import Sight, Viewers
from gateway.domain.camera import ChannelId

START = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
SPAN = WatchedSpan(START, START + timedelta(seconds=180), frozenset())
A, B = ChannelId("a"), ChannelId("b")
ONE = Viewers(frozenset({A}), frozenset({A}))
TWO = Viewers(frozenset({A, B}), frozenset({A, B}))


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def truth(channel: str, began: float, ended: float | None, kind: str = "outage") -> TruthRow:
    return TruthRow(
        kind, "refuse", (ChannelId(channel),), None, None, at(began).isoformat(),
        None if ended is None else at(ended).isoformat(), f"{channel}{began}",
    )  # fmt: skip


def spot(channel: ChannelId, began: float, ended: float | None, *places: str) -> SpotRow:
    return SpotRow(
        f"{channel}{began}", channel, at(began - 10), at(began + 5),
        None if ended is None else at(ended + 5), frozenset(places),
    )  # fmt: skip


def hold(truths: list[TruthRow], *spots: SpotRow, **seen: Viewers) -> BlindVerdict:
    return compare_spots(truths, spots, seen, SPAN, Rules())


def counts(found: BlindVerdict) -> tuple[int, int]:
    return found.missed, found.invented


def test_a_place_that_hangs_on_one_camera_goes_blind_with_it() -> None:
    found = hold([truth("a", 20, 100)], spot(A, 20, 100, "p"), p=ONE)
    assert counts(found) == (0, 0)
    assert (found.places_due, found.opened, found.closed) == (1, 1, 1)
    missed = hold([truth("a", 20, 100)], p=ONE)
    assert counts(missed) == (1, 0)
    without_the_place = hold([truth("a", 20, 100)], spot(A, 20, 100), p=ONE)
    assert counts(without_the_place) == (1, 0)
    twice = hold(
        [truth("a", 20, 100)],
        spot(A, 20, 100, "p"), replace(spot(A, 20, 100, "p"), id="again"), p=ONE,
    )  # fmt: skip
    assert counts(twice) == (1, 0)


def test_a_place_that_two_see_goes_blind_with_the_later_one() -> None:
    both = [truth("a", 20, 110), truth("b", 40, 120)]
    rows = (spot(A, 20, 110), spot(B, 40, 120, "p"))
    assert counts(hold(both, *rows, p=TWO)) == (0, 0)
    wrong = (spot(A, 20, 110, "p"), spot(B, 40, 120))
    assert hold(both, *wrong, p=TWO).missed == 1
    one = [truth("a", 20, 110)]
    assert counts(hold(one, spot(A, 20, 110, "p"), p=TWO)) == (0, 1), "b saw it all the time"


def test_short_and_late_losses_are_not_due_but_may_be_told() -> None:
    assert hold([truth("a", 20, 60)], p=ONE).places_due == 0
    assert hold([truth("a", 150, None)], p=ONE).places_due == 0
    assert counts(hold([truth("a", 20, 60)], spot(A, 20, 60, "p"), p=ONE)) == (0, 0)
    assert hold([truth("a", 20, None)], p=ONE).places_due == 1


def test_a_row_without_a_loss_in_its_bounds_is_invented() -> None:
    assert counts(hold([], spot(A, 20, 100), p=ONE)) == (0, 1)
    assert counts(hold([truth("a", 50, 120)], spot(A, 20, 100, "p"), p=ONE)) == (1, 1)
    out_of_sight = hold([truth("b", 20, 100)], spot(B, 20, 100, "p"), p=ONE)
    assert counts(out_of_sight) == (0, 1)


def test_a_row_ends_when_its_camera_is_back() -> None:
    assert counts(hold([truth("a", 20, 90)], spot(A, 20, None, "p"), p=ONE)) == (0, 1)
    assert counts(hold([truth("a", 20, 130)], spot(A, 20, None, "p"), p=ONE)) == (0, 0)
    assert counts(hold([truth("a", 20, 130)], spot(A, 20, 100, "p"), p=ONE)) == (0, 1)
    assert counts(hold([truth("a", 20, None)], spot(A, 20, 100, "p"), p=ONE)) == (0, 1)


def test_what_is_in_doubt_is_left_alone_and_counted() -> None:
    doubt = Viewers(frozenset({A}), frozenset({A, B}))
    found = hold([truth("a", 20, 100)], p=doubt, q=Viewers(frozenset(), frozenset()))
    assert counts(found) == (0, 0)
    assert (found.places_due, found.places_judged, found.places_unclear) == (0, 0, 1)
    flaps = hold([truth("a", 20, 100, kind="flapping")], p=ONE)
    assert counts(flaps) == (0, 0)


def test_rows_are_read_from_the_interface_once() -> None:
    item: dict[str, Any] = {
        "id": "x", "channel": "a", "last_seen_at": None, "failed_at": at(5).isoformat(),
        "ended_at": None, "places": ["p"], "more": 1, "opened_at": at(8).isoformat(),
        "outage": "o", "joint": ["b"],
    }  # fmt: skip
    later = {**item, "ended_at": at(9).isoformat(), "last_seen_at": at(1).isoformat()}
    (row,) = read_spots([item, later])
    assert (row.last_seen_at, row.ended_at, row.places) == (at(1), at(9), frozenset({"p"}))
    assert (row.opened_at, row.outage, row.joint) == (at(8), "o", frozenset({B}))


def test_a_row_stands_soon_after_the_cut_and_the_confirmation() -> None:
    one = replace(spot(A, 20, 100, "p"), outage="o")
    confirmed = {"o": at(50)}

    def late(opened_s: float, *more: TruthRow) -> int:
        rows = [replace(one, opened_at=at(opened_s))]
        truths = [truth("a", 20, 100), *more]
        return compare_spots(truths, rows, {"p": ONE}, SPAN, Rules(), confirmed=confirmed).late

    assert late(50.9) == 0
    assert late(51.1) == 1, "after the confirmation"
    confirmed["o"] = at(84.5)
    assert late(85.0) == 0, "2 cadences and 5 s after the cut"
    assert late(85.1) == 1
    blind = TruthRow("blind", "blind", (), None, None, at(30).isoformat(), at(60).isoformat(), "b")
    assert late(85.1, blind) == 0, "the gateway itself saw nothing meanwhile"


def test_a_joint_cause_was_down_too() -> None:
    both = [truth("a", 20, 110), truth("b", 40, 120)]
    shared = replace(spot(B, 40, 120, "p"), joint=frozenset({A}))
    assert counts(hold(both, spot(A, 20, 110), shared, p=TWO)) == (0, 0)
    early = [truth("a", 10, 30), truth("b", 40, 120)]
    assert hold(early, replace(shared, places=frozenset()), p=TWO).invented == 1


def test_a_camera_that_alone_sees_some_ground_leaves_a_row_without_any_place() -> None:
    def missed(*spots: SpotRow, began: float = 20) -> tuple[int, int]:
        found = compare_spots(
            [truth("a", began, None)], spots, {}, SPAN, Rules(), alone=lambda one: one == A
        )
        return found.ground_due, found.missed

    assert missed() == (1, 1)
    assert missed(spot(A, 20, None)) == (1, 0)
    assert missed(began=150) == (0, 0), "it is not due yet"


def town(
    folder: Path, cameras: list[dict[str, Any]], walls: list[list[tuple[float, float]]]
) -> Any:
    """Places north, east and far north of the middle; cameras as told; walls as rings in metres."""

    def degrees(*points: tuple[float, float]) -> list[list[float]]:
        import numpy as np

        rows: list[list[float]] = plane.to_degrees(np.array(points)).tolist()
        return rows

    def features(name: str, rows: list[dict[str, Any]]) -> str:
        path = folder / f"{name}.geojson"
        path.write_text(json.dumps({"features": rows}))
        return str(path)

    points = {"north": (0.0, 20.0), "east": (20.0, 0.0), "far": (0.0, 70.0)}
    places = [
        {"properties": {"id": name, "kind": "square"},
         "geometry": {"type": "Point", "coordinates": degrees(point)[0]}}
        for name, point in points.items()
    ]  # fmt: skip
    places.append(
        {"properties": {"id": "road", "kind": "road"}, "geometry": {"type": "LineString"}}
    )
    rings = [{"geometry": {"type": "Polygon", "coordinates": [degrees(*ring)]}} for ring in walls]
    path = folder / "cameras.csv"
    with path.open("w", newline="") as file:
        (lon, lat) = degrees((0.0, 0.0))[0]
        base = {
            "in_use": "1", "longitude": lon, "latitude": lat, "horizontal_field_angle": "60",
            "max_view_distance": "80", "resolution": "1920*1080",
        }  # fmt: skip
        rows = [base | row for row in cameras]
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return {
        "cameras": str(path),
        "places": features("places", places),
        "footprints": features("footprints", rings),
    }


WALL = [(-5.0, 8.0), (5.0, 8.0), (5.0, 12.0), (-5.0, 12.0), (-5.0, 8.0)]
AWAY = [(500.0, 8.0), (505.0, 8.0), (505.0, 12.0), (500.0, 12.0), (500.0, 8.0)]


def test_a_camera_sees_what_lies_in_its_angle_and_range(tmp_path: Path) -> None:
    north = {"device_id": "a", "azimuth": "0"}
    edge = {"device_id": "b", "azimuth": "30.5"}
    found = Sight(town(tmp_path, [north, edge], [AWAY])).viewers()
    assert set(found) == {"north", "east", "far"}, "lines and areas are left out"
    assert found["north"] == Viewers(frozenset({A}), frozenset({A, B})), "b looks along its edge"
    assert found["east"] == Viewers(frozenset(), frozenset())
    assert not found["far"].maybe, "66 m at 25 pixels a metre"


def test_alone_is_who_sees_ground_that_nobody_else_may_see(tmp_path: Path) -> None:
    north = {"device_id": "a", "azimuth": "0"}
    twin = {"device_id": "b", "azimuth": "2"}
    assert Sight(town(tmp_path, [north], [AWAY])).is_alone(A, 25.0)
    both = Sight(town(tmp_path, [north, twin], [AWAY]))
    assert not both.is_alone(A, 25.0)
    assert not both.is_alone(ChannelId("nobody"), 25.0)


def test_a_building_hides_what_is_behind_it(tmp_path: Path) -> None:
    north = {"device_id": "a", "azimuth": "0"}
    assert not Sight(town(tmp_path, [north], [WALL])).viewers()["north"].maybe
    beside = [(x + 4.9, y) for x, y in WALL]
    assert Sight(town(tmp_path, [north], [beside])).viewers()["north"] == Viewers(
        frozenset(), frozenset({A})
    ), "along a wall nobody can tell"
    under = [(x, y - 8.5) for x, y in WALL]
    assert Sight(town(tmp_path, [north], [under])).viewers()["north"].maybe == {A}, (
        "its own building"
    )
