"""Options, plans, re-aiming and changes by hand in small towns, against slow and simple recounts."""

from typing import Any

import numpy as np
import pytest
import shapely
from fakes.coverage_town import box, camera, degrees, houses, point, stands
from shapely import LineString, Point

from gateway.domain.camera import Camera, ChannelId
from gateway.domain.coverage.place import (
    CandidateSite,
    Footprint,
    Place,
    PlaceId,
    PlaceList,
    ProhibitedArea,
    SiteId,
)
from gateway.domain.coverage.plane import DISTRICT
from gateway.domain.planning.lenses import Lens
from gateway.domain.planning.options import make_options
from gateway.domain.planning.reaim import reaim
from gateway.domain.planning.sight_lines import exact
from gateway.domain.planning.what_if import Change, Now, what_if
from gateway.errors import UsageError
from gateway.inventory import Inventory
from gateway.planning import Planner, PlanRequest, Source, load_catalogue
from gateway.settings import CoverageSettings

NORTH = {"ptz_type": "3", "azimuth": "0", "horizontal_field_angle": "90",
         "max_view_distance": "50", "resolution": "2560*1440"}  # fmt: skip
LENS = Lens("test", 90.0, 2560.0, 60.0)


def place(name: str, x: float, y: float, weight: float = 1.0, level: str = "detect") -> Place:
    return Place(PlaceId(name), name, "road", point(x, y), weight, level)


def site(name: str, x: float, y: float, **known: Any) -> CandidateSite:
    lon, lat = degrees(x, y)
    return CandidateSite(SiteId(name), name, "pole", lon, lat, **known)


def planner(cameras: list[Camera], places: list[Place], **more: Any) -> Planner:
    return Planner(Inventory.of(cameras), PlaceList.of(places, **more))


def town(seed: int, *, eyes: int = 6, poles: int = 12, listed: int = 60) -> Planner:
    """Houses, some cameras, poles and places between them, and a prohibited yard."""
    blocks = houses(seed)
    spots = stands(seed + 1, eyes + poles + listed, blocks)
    draw = np.random.default_rng(seed)
    levels = ["detect", "observe", "monitor"]
    return planner(
        [camera(f"c{n}", *at(spots, n), {"ptz_type": "3", "azimuth": str(draw.integers(360)),
                                     "horizontal_field_angle": "80", "max_view_distance": "50",
                                     "resolution": "1920*1080"}) for n in range(eyes)],
        [place(f"p{n:03}", *at(spots, eyes + poles + n), float(draw.integers(1, 4)), levels[n % 3])
         for n in range(listed)],
        footprints=[Footprint(str(n), DISTRICT.shape_to_geojson(house))
                    for n, house in enumerate(blocks)],
        prohibited=[ProhibitedArea("yard", "yard", "room", box(90, 90, 130, 130))],
        candidates=[site(f"s{n:02}", *at(spots, eyes + n)) for n in range(poles)],
    )  # fmt: skip


def at(spots: Any, n: int) -> tuple[float, float]:
    return float(spots[n][0]), float(spots[n][1])


def stands_clear(made: Planner, stand: Any, point_xy: Any, slack_m: float) -> bool | None:
    """Whether a straight line meets no house; None where it is a matter of `slack_m`."""
    line = LineString([stand, point_xy])
    depth = max((line.intersection(h).length for h in made.scene.obstacles.shapes), default=0.0)
    near = min((line.distance(h) for h in made.scene.obstacles.shapes), default=1e9)
    if depth > 2 * slack_m:
        return False
    return True if near > slack_m else None


@pytest.mark.parametrize("seed", [1, 2])
def test_an_option_sees_what_lies_in_its_angle_range_and_line_of_sight(seed: int) -> None:
    made = town(seed)
    scene = made.scene
    xy = made.plane.to_xy(
        np.array([(s.longitude, s.latitude) for s in made.places.candidates.values()])
    )
    every = np.arange(len(scene.points.xy))
    options = make_options(scene, xy, (LENS,), load_catalogue(), every)
    checked = 0
    for option in range(len(options.site)):
        stand, seen = xy[options.site[option]], set(options.covers.of(option).tolist())
        for p in every.tolist():
            away = scene.points.xy[p] - stand
            density = float(scene.points.px_per_m[p])
            reach = min(60.0, 2560 / (2 * density * np.tan(np.radians(45))))
            bearing = np.degrees(np.arctan2(*away))
            off = abs((bearing - options.azimuth_deg[option] + 180) % 360 - 180)
            if np.hypot(*away) > reach or off > 45:
                assert p not in seen
                continue
            clear = stands_clear(made, stand, scene.points.xy[p], 0.7)
            if clear is not None:
                assert (p in seen) is clear
                checked += 1
    assert checked > 60


@pytest.mark.parametrize("seed", range(3))
def test_no_planned_view_looks_into_a_prohibited_area_and_no_site_stands_in_one(seed: int) -> None:
    made = town(seed, poles=40)
    result = made.plan(PlanRequest(sites=12, per_site=3, lenses=("wide", "long")))
    yard = made.scene.prohibited[0]
    assert result["candidates"]["options_into_prohibited_area"] > 0
    assert len(result["sites"]) > 3
    for row in result["sites"]:
        lon_lat = np.array([[row["longitude"], row["latitude"]]])
        assert not yard.contains(Point(made.plane.to_xy(lon_lat)[0]))
        for one in row["cameras"]:
            view = made.plane.shape_to_xy(one["view"])
            # The outline that is shown is simplified by up to 0.3 m: what is left after that much counts.
            core = view.buffer(-made.scene.optics.simplify_m)
            assert core.intersection(yard).area <= made.scene.optics.intrusion_m2


def test_a_site_in_a_prohibited_area_is_left_out() -> None:
    yard = ProhibitedArea("yard", "yard", "room", box(-5, -5, 5, 5))
    made = planner(
        [], [place("p", 0, 20)], candidates=[site("in", 0, 0), site("out", 0, 10)],
        prohibited=[yard],
    )  # fmt: skip
    result = made.plan(PlanRequest(sites=2))
    assert [row["site"] for row in result["sites"]] == ["out"]
    assert result["candidates"]["in_prohibited_area"] == 1


@pytest.mark.parametrize("request_", [
    PlanRequest(sites=4), PlanRequest(sites=3, per_site=2, lenses=("wide", "narrow")),
    PlanRequest(budget=40_000.0), PlanRequest(sites=4, backup=0.5),
])  # fmt: skip
def test_the_gain_of_a_plan_is_what_building_it_by_hand_would_give(request_: PlanRequest) -> None:
    made = town(5)
    result = made.plan(request_)
    assert result["gain"] > 0
    weight = made.scene.points.weight
    now = Now.of(made.scene, made.views, made.sees)
    views = now.count.astype(int)
    for row in result["sites"]:
        at = made.plane.to_xy(np.array([[row["longitude"], row["latitude"]]]))[0]
        lens = load_catalogue().lenses
        empty = Now.of(made.scene, made.views[:0], _nobody(len(weight)))
        changes = [
            Change(xy=tuple(at), azimuth_deg=c["azimuth_deg"], lens=lens[c["lens"]])
            for c in row["cameras"]
        ]
        views[what_if(empty, changes).gained] += 1
    first = weight[(now.count == 0) & (views > 0)].sum()
    second = weight[(now.count < 2) & (views >= 2)].sum() * request_.backup
    # what_if looks at simplified outlines, options at discs: a point may lie between the two.
    assert result["gain"] == pytest.approx(first + second, abs=weight.max() * 2)
    assert result["gain"] <= result["bound"]


def _nobody(points: int) -> Any:
    from gateway.domain.coverage.model import Csr

    return Csr(np.zeros(1, dtype=np.int32), np.empty(0, dtype=np.int32))


def test_nothing_is_built_twice() -> None:
    seeing = camera("c", 0, 0)
    made = planner([seeing], [place("seen", 0, 20), place("blind", 0, -20)],
                   candidates=[site("north", 0, 40), site("south", 0, -40)])  # fmt: skip
    result = made.plan(PlanRequest(sites=2))
    assert [row["site"] for row in result["sites"]] == ["south"]
    assert [row["place"] for row in result["sites"][0]["places"]] == ["blind"]
    assert result["already"]["weight_seen"] == 1.0
    assert (result["already"]["places_seen"], result["already"]["places"]) == (1, 2)


def test_a_second_view_from_the_pole_of_the_first_is_no_backup() -> None:
    made = planner([camera("c", 0, 0)], [place("seen", 0, 20)],
                   candidates=[site("same pole", 3, 0), site("nowhere", 900, 0)])  # fmt: skip
    assert made.plan(PlanRequest(sites=2, backup=0.5))["sites"] == []
    apart = planner([camera("c", 0, 0)], [place("seen", 0, 20)], candidates=[
        site("same pole", 3, 0), site("across the road", 0, 40),
    ])  # fmt: skip
    result = apart.plan(PlanRequest(sites=2, backup=0.5))
    assert [(row["site"], row["gain"]) for row in result["sites"]] == [("across the road", 0.5)]
    near = Planner(apart.inventory, apart.places, CoverageSettings(visit_m=1.0))
    assert near.plan(PlanRequest(sites=2, backup=0.5))["gain"] == 0.5
    assert len(near.plan(PlanRequest(sites=2, backup=0.5))["sites"]) == 1


def test_the_edition_of_the_pixel_densities_decides_how_far_is_near_enough() -> None:
    far = {"ptz_type": "3", "azimuth": "0", "horizontal_field_angle": "90",
           "max_view_distance": "200", "resolution": "2560*1440"}  # fmt: skip
    old = planner([camera("c", 0, 0, far)], [place("p", 0, 45)])  # 51 m at 25 px/m, 32 m at 40
    new = Planner(old.inventory, old.places, CoverageSettings(edition="2025"))
    assert (len(old.sees.index), len(new.sees.index)) == (1, 0)
    told = [made.plan(PlanRequest(sites=1)) for made in (old, new)]
    assert [one["ladder"] for one in told] == ["IEC 62676-4:2015", "IEC 62676-4:2025"]
    assert [one["already"]["weight_seen"] for one in told] == [1.0, 0.0]


def test_what_is_not_known_of_a_site_is_told() -> None:
    made = planner([], [place("a", 0, 20), place("b", 500, 20)], candidates=[
        site("known", 0, 40, power=True, network=False, cost=5_000.0), site("unknown", 500, 40),
    ])  # fmt: skip
    result = made.plan(PlanRequest(sites=2, candidates=Source.LIST))
    notes = " ".join(result["notes"])
    for said in ("power not known at 1 of 2", "network not known at 1 of 2", "cost not known at 1",
                 "no network at 1 of 2"):  # fmt: skip
        assert said in notes
    assert result["cost"] == 5_000.0 + load_catalogue().default_cost


def test_without_a_list_the_sites_of_cameras_are_taken_and_that_is_told() -> None:
    made = planner([camera("c", 0, 0), camera("d", 0, 0)], [place("behind", 0, -20)])
    result = made.plan(PlanRequest(sites=1))
    assert result["candidates"]["source"] == "existing"
    assert result["candidates"]["sites"] == 1
    assert "There is no candidate list" in result["notes"][0]
    assert result["gain"] == 1.0
    with pytest.raises(UsageError, match="no candidate sites"):
        made.plan(PlanRequest(sites=1, candidates=Source.LIST))


def test_no_place_to_be_seen_is_refused() -> None:
    with pytest.raises(UsageError, match="nothing to plan for"):
        planner([camera("c", 0, 0)], [])


def test_wrong_requests_name_every_reason() -> None:
    with pytest.raises(UsageError) as caught:
        PlanRequest(per_site=0, backup=2.0).check()
    for name in ("sites or budget", "per_site", "backup"):
        assert name in str(caught.value)
    with pytest.raises(UsageError, match="there is no 'fisheye'"):
        PlanRequest(sites=1, lenses=("fisheye",)).check()
    assert PlanRequest.of(PlanRequest(sites=3, lenses=("wide",)).as_dict()).lenses == ("wide",)


def test_a_lens_that_sees_all_round_has_one_direction() -> None:
    made = planner([], [place("a", 0, 10), place("b", 0, -10)], candidates=[site("s", 0, 0)])
    panorama = Lens("round", 360.0, 6000.0, 30.0)
    options = make_options(
        made.scene, np.array([[0.0, 0.0]]), (panorama,), load_catalogue(), np.arange(2)
    )
    assert len(options.site) == 1
    assert options.covers.of(0).tolist() == [0, 1]


def test_a_camera_that_looks_at_nothing_is_to_be_turned() -> None:
    made = planner(
        [camera("idle", 0, 0), camera("busy", 300, 0), camera("round", 600, 0, {"ptz_type": "6"})],
        [place("behind", 0, -20, 2.0), place("front", 300, 20, 5.0), place("rear", 300, -20, 1.0)],
    )
    turns = reaim(made.scene, made.sees, 8).turns
    assert [turn.channel for turn in turns] == ["idle"]
    assert (turns[0].new_azimuth_deg, turns[0].gain, turns[0].loss) == (135.0, 2.0, 0.0)
    assert turns[0].net == 2.0


def test_no_camera_is_turned_towards_a_prohibited_area() -> None:
    fence = ProhibitedArea("room", "room", "room", box(-3, -12, 3, -6))
    made = planner([camera("idle", 0, 0)], [place("behind", 0, -20)], prohibited=[fence])
    assert reaim(made.scene, made.sees, 8).turns == ()


def test_a_camera_is_turned_to_its_second_best_where_the_best_is_forbidden() -> None:
    fence = ProhibitedArea("room", "room", "room", box(-3, -12, 3, -6))
    made = planner(
        [camera("idle", 0, 0)], [place("behind", 0, -20, 5.0), place("east", 20, -1)],
        prohibited=[fence],
    )  # fmt: skip
    (turn,) = reaim(made.scene, made.sees, 8).turns
    assert (turn.gain, turn.new_azimuth_deg) == (1.0, 90.0)


def test_two_cameras_are_not_turned_to_the_same_place() -> None:
    made = planner(
        [camera("a", 0, 0), camera("b", 4, 0)], [place("behind", 2, -20, 5.0), place("w", -40, 0)]
    )
    aimed = reaim(made.scene, made.sees, 8)
    assert [(turn.channel, turn.gain) for turn in aimed.turns] == [("a", 5.0), ("b", 1.0)]
    assert reaim(made.scene, made.sees, 8, most=1).turns == aimed.turns[:1]
    assert np.bincount(aimed.sees.index, minlength=2).tolist() == [1, 1]


def test_what_one_turn_uncovers_another_may_pick_up() -> None:
    made = planner(
        [camera("a", 0, 0), camera("b", 5, 40, {**NORTH, "azimuth": "90"})],
        [place("north", 0, 20, 2.0), place("behind", 0, -20, 5.0)],
    )
    aimed = reaim(made.scene, made.sees, 8)
    assert [(t.channel, t.gain, t.loss) for t in aimed.turns] == [("a", 5.0, 2.0), ("b", 2.0, 0.0)]
    assert np.bincount(aimed.sees.index, minlength=2).tolist() == [1, 1]


def test_a_plan_tells_what_it_still_adds_after_the_turns() -> None:
    made = planner(
        [camera("idle", 0, 0)], [place("behind", 0, -20, 2.0), place("far", 500, 20, 1.0)],
        candidates=[site("south", 0, -40), site("east", 500, 40)],
    )  # fmt: skip
    result = made.plan(PlanRequest(sites=2))
    assert (result["gain"], result["reaim_net"], result["gain_after_reaim"]) == (3.0, 2.0, 1.0)
    assert {row["site"]: row["gain_after_reaim"] for row in result["sites"]} == {
        "south": 0.0, "east": 1.0,
    }  # fmt: skip


def test_listed_and_existing_sites_can_be_compared_together() -> None:
    made = planner(
        [camera("listed too", 0, 0), camera("other", 500, 0)],
        [place("a", 0, -20), place("b", 500, -20)], candidates=[site("pole", 5, 0)],
    )  # fmt: skip
    result = made.plan(PlanRequest(sites=3, candidates=Source.BOTH))
    assert sorted(row["site"] for row in result["sites"]) == ["other", "pole"]
    assert (result["candidates"]["source"], result["candidates"]["sites"]) == ("both", 2)
    assert "compared together" in result["notes"][0]
    bare = planner([camera("c", 0, 0)], [place("a", 0, -20)])
    assert bare.plan(PlanRequest(sites=1, candidates=Source.BOTH))["gain"] == 1.0


def test_no_view_is_counted_on_through_a_prohibited_area_that_lies_beyond_the_area_level() -> None:
    sharp = {"ptz_type": "3", "azimuth": "0", "horizontal_field_angle": "60",
             "max_view_distance": "300", "resolution": "3840*2160"}  # fmt: skip
    room = ProhibitedArea("room", "room", "room", box(-15, -200, 15, -160))
    far = place("behind it", 0, -230, level="monitor")
    made = planner([camera("idle", 0, 0, sharp)], [far], prohibited=[room])
    assert reaim(made.scene, made.sees, 8).turns == ()
    now = Now.of(made.scene, made.views, made.sees)
    turned = what_if(now, [Change(ChannelId("idle"), azimuth_deg=180.0)])
    assert (turned.gained.tolist(), turned.intruding) == ([0], (0,))
    free = planner([camera("idle", 0, 0, sharp)], [far])
    assert [turn.gain for turn in reaim(free.scene, free.sees, 8).turns] == [1.0]


@pytest.mark.parametrize("seed", range(2))
def test_turning_by_hand_gains_and_loses_what_re_aiming_promised(seed: int) -> None:
    made = town(seed, eyes=20)
    now = Now.of(made.scene, made.views, made.sees)
    weight = made.scene.points.weight
    aimed = reaim(made.scene, made.sees, 8)
    assert len(aimed.turns) > 2
    changes, net = [], 0.0
    for turn in aimed.turns:
        assert turn.net > 0
        changes.append(Change(turn.channel, azimuth_deg=turn.new_azimuth_deg))
        net += turn.net
        found = what_if(now, changes)
        won = weight[found.gained].sum() - weight[found.lost].sum()
        # what_if looks at simplified outlines, turns at discs: points may lie between the two.
        assert net == pytest.approx(won, abs=3.0)
    after = np.bincount(aimed.sees.index, minlength=len(weight))
    assert weight[after > 0].sum() - weight[now.count > 0].sum() == pytest.approx(net)


def test_removing_a_camera_loses_what_only_it_sees() -> None:
    made = planner([camera("a", 0, 0), camera("b", 0, 0)], [place("p", 0, 20), place("q", 40, 20)])
    now = Now.of(made.scene, made.views, made.sees)
    alone = what_if(now, [Change(ChannelId("a"), remove=True)])
    assert alone.lost.size == 0
    assert alone.lost_m2 == pytest.approx(0.0, abs=1e-6)
    both = what_if(now, [Change(ChannelId("a"), remove=True), Change(ChannelId("b"), remove=True)])
    assert both.lost.tolist() == [0]
    assert both.lost_m2 == pytest.approx(made.views[0].area)
    assert both.intruding == ()


def test_moving_and_refitting_a_camera() -> None:
    made = planner([camera("a", 0, 0)], [place("p", 0, 20), place("q", 0, 90, level="monitor")])
    now = Now.of(made.scene, made.views, made.sees)
    moved = what_if(now, [Change(ChannelId("a"), xy=(0.0, 60.0))])
    assert (moved.gained.tolist(), moved.lost.tolist()) == ([1], [0])
    longer = what_if(now, [Change(ChannelId("a"), lens=load_catalogue().lenses["long"])])
    assert (longer.gained.tolist(), longer.lost.tolist()) == ([1], [])


def test_a_new_camera_that_looks_where_none_may_is_told() -> None:
    fence = ProhibitedArea("room", "room", "room", box(-3, 10, 3, 16))
    made = planner([camera("a", 500, 0), camera("round", 900, 0, {"ptz_type": "6"})],
                   [place("p", 0, 20)], prohibited=[fence])  # fmt: skip
    now = Now.of(made.scene, made.views, made.sees)
    added = what_if(now, [
        Change(xy=(500.0, 0.0), azimuth_deg=0.0, lens=LENS), Change(xy=(0.0, 0.0), lens=LENS),
        Change(ChannelId("round"), xy=(905.0, 0.0)),
    ])  # fmt: skip
    assert added.intruding == (1,)
    assert added.gained.tolist() == [0]
    assert added.gained_m2 > shapely.area(made.views[0])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ([Change(ChannelId("nobody"))], "no camera in use"),
        ([Change(ChannelId("a")), Change(ChannelId("a"))], "twice"),
        ([Change(xy=(0.0, 0.0))], "position and a lens"),
        ([Change(ChannelId("aimless"))], "direction"),
    ],
)
def test_changes_that_cannot_be_made_are_refused(changes: list[Change], reason: str) -> None:
    made = planner(
        [camera("a", 0, 0), camera("aimless", 50, 0, {"ptz_type": "3"})], [place("p", 0, 20)]
    )
    with pytest.raises(UsageError, match=reason):
        what_if(Now.of(made.scene, made.views, made.sees), changes)


def test_an_exact_view_is_a_sector_where_nothing_stands() -> None:
    made = planner([], [place("p", 0, 20)], candidates=[site("s", 0, 0)])
    options = make_options(
        made.scene, np.array([[0.0, 0.0]]), (LENS,), load_catalogue(), np.arange(1)
    )
    (view,) = exact(made.scene, options.sectors(made.scene, np.array([[0.0, 0.0]]), np.array([0])))
    reach = min(60.0, 2560 / (2 * 25 * np.tan(np.radians(45))))
    assert view.area == pytest.approx(np.pi * reach**2 / 4, rel=1e-3)
