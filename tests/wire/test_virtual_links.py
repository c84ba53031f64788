"""What alerts link to is held against the archive by brute force: each wrong link is found."""

from collections.abc import Mapping
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely

from adapters.virtual.files import write_archive
from adapters.virtual.fleet import build_district
from adapters.virtual.links import ROLES, Cells, Views, told_otherwise
from adapters.virtual.model import TruthRow, VirtualDistrict
from adapters.virtual.plane import to_degrees
from adapters.virtual.sight import Sight, area_density
from gateway.domain.camera import ChannelId, NodeId

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
SETTLE_S = 60.0
Message = dict[str, Any]


@pytest.fixture(scope="module")
def district() -> VirtualDistrict:
    return build_district(1, 600, port=8000, tls_port=8443, killable_port=8001, canary_port=8002)


@pytest.fixture(scope="module")
def archive(
    district: VirtualDistrict, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, Path]:
    return write_archive(district, tmp_path_factory.mktemp("archive") / "new")


@pytest.fixture(scope="module")
def cells(archive: Mapping[str, Path]) -> Cells:
    return Cells(archive["grids"])


@pytest.fixture(scope="module")
def sight(archive: Mapping[str, Path]) -> Sight:
    return Sight({name: str(path) for name, path in archive.items()})


def place(at: tuple[float, float]) -> dict[str, float]:
    ((longitude, latitude),) = to_degrees(np.array([at])).tolist()
    return {"longitude": longitude, "latitude": latitude}


def link(cells: Cells, grid: str, reason: str, distance_m: float) -> dict[str, Any]:
    facts = cells.facts[grid]
    contacts = [
        {"role": role, "contact": facts.get(role) or f"{role}@{grid}", "title": ""}
        for role in ROLES
    ]
    return {
        "grid": grid, "reason": reason, "distance_m": distance_m, "village": facts["village_code"],
        "beat": facts["beat"] or "", "posts": contacts,
    }  # fmt: skip


def message(
    cells: Cells, sight: Sight, at: tuple[float, float], source: Mapping[str, str]
) -> Message:
    """A right alert about something at a place, measured here."""
    away = shapely.distance(cells.shapes, shapely.Point(at)).tolist()
    near = sorted(zip(away, cells.ids, strict=True))[:6]
    links = [link(cells, grid, "near" if far else "contains", far) for far, grid in near]
    seen_by = sorted(sight.of_point(at, area_density()).surely)
    cameras = [{"channel": channel, "view": "seeing", "distance_m": 0.0} for channel in seen_by]
    data = {
        "key": "k", "revision": 1, "phase": "open", "source": source, "place": place(at),
        "links": links, "links_total": len(links), "counts": {},
        "cameras": cameras, "cameras_total": len(cameras),
    }  # fmt: skip
    return {"id": "m1", "time": NOW.isoformat(), "data": data}


@pytest.fixture(scope="module")
def smoke(cells: Cells, sight: Sight) -> Message:
    """Of a sensor with one camera at least that sees it, and none in doubt."""
    beside = [(x + 20.0, y + 8.0) for x, y in list(sight.at.values())[:200]]
    at = next(at for at in beside if sight.of_point(at, area_density()).clear)
    return message(cells, sight, at, {"type": "sensor", "id": "sensor-0001"})


def views(sight: Sight, cells: Cells, *truth: TruthRow) -> Views:
    return Views(sight, cells, truth, SETTLE_S)


def down(channel: str, began_s: float, ended_s: float | None = None) -> TruthRow:
    began = NOW - timedelta(seconds=began_s)
    ended = None if ended_s is None else (NOW - timedelta(seconds=ended_s)).isoformat()
    return TruthRow(
        "outage", "refuse", (ChannelId(channel),), None, None, began.isoformat(), ended, "x"
    )


def changed(event: Message, **data: Any) -> Message:
    copy = deepcopy(event)
    copy["data"].update(data)
    return copy


def test_a_right_message_has_no_problem(smoke: Message, cells: Cells, sight: Sight) -> None:
    assert cells.problem(smoke["data"]) == ""
    assert views(sight, cells).problem(smoke) == ""


def test_a_wrong_cell_beat_or_post_is_found(smoke: Message, cells: Cells) -> None:
    links = smoke["data"]["links"]
    without_the_nearest = [links[0], *links[2:]]
    assert "left out" in cells.problem({**smoke["data"], "links": without_the_nearest})
    elsewhere = [{**links[0], "grid": links[3]["grid"]}, *links[1:]]
    assert "it lies in" in cells.problem({**smoke["data"], "links": elsewhere})
    assert "beat" in cells.problem({**smoke["data"], "links": [{**links[0], "beat": "?"}]})
    posts = [{**links[0]["posts"][0], "contact": "somebody"}, *links[0]["posts"][1:]]
    wrong = [{**links[0], "posts": posts}, *links[1:]]
    assert "posts" in cells.problem({**smoke["data"], "links": wrong})
    assert "posts" in cells.problem(
        {**smoke["data"], "links": [{**links[0], "posts": []}, *links[1:]]}
    )


def test_a_camera_that_cannot_see_the_place_or_was_left_out_is_found(
    smoke: Message, cells: Cells, sight: Sight
) -> None:
    told = smoke["data"]["cameras"]
    assert told
    stranger = {
        "channel": max(sight.at, key=lambda c: abs(sight.at[c][0])),
        "view": "seeing", "distance_m": 1.0,
    }  # fmt: skip
    look = views(sight, cells)
    assert "cannot see" in look.problem(changed(smoke, cameras=[*told, stranger]))
    assert "left out" in look.problem(changed(smoke, cameras=[], cameras_total=0))


def test_a_camera_is_told_to_see_only_while_it_is_up(
    smoke: Message, cells: Cells, sight: Sight
) -> None:
    told = smoke["data"]["cameras"]
    one = told[0]["channel"]
    blind = [{**told[0], "view": "not_seeing"}, *told[1:]]
    assert "was down" in views(sight, cells, down(one, 100)).problem(smoke)
    assert not views(sight, cells, down(one, 100)).problem(changed(smoke, cameras=blind))
    assert "was well" in views(sight, cells).problem(changed(smoke, cameras=blind))
    just_now = down(one, 20)
    assert not views(sight, cells, just_now).problem(smoke), "nobody can know yet"
    back = views(sight, cells, down(one, 300, 200))
    assert "was well" in back.problem(changed(smoke, cameras=blind))


def test_cells_in_view_are_those_that_the_camera_looks_into(cells: Cells, sight: Sight) -> None:
    found = {}
    for channel in sorted(sight.at)[:60]:
        sure, maybe = cells.seen(*sight.ground(channel, area_density()))
        assert sure <= maybe
        found[channel] = sure
        if len(sure) > 1:
            break
    channel = max(found, key=lambda one: len(found[one]))
    event = message(cells, sight, sight.at[channel], {"type": "channel", "id": channel})
    near = event["data"]["links"]
    seen = [link(cells, grid, "in_view", 0.0) for grid in sorted(found[channel])]
    by_grid = {one["grid"]: one for one in [*seen, *near]}
    links = list(by_grid.values())
    look = views(sight, cells)
    whole = changed(event, links=links, links_total=len(links))
    assert not look.problem(whole)
    only = [link(cells, near[-1]["grid"], "near", 1.0)]
    assert "left out" in look.problem(changed(event, links=only, links_total=1))
    far = link(cells, cells.ids[-1], "in_view", 0.0)
    assert "does not look into" in look.problem(changed(whole, links=[*links, far]))
    sensor = changed(whole, source={"type": "sensor", "id": "s"}, links=[far])
    assert "looks into no cell" in look.problem(sensor)


def test_an_alert_about_a_node_lists_the_cells_of_the_cameras_below_it(
    district: VirtualDistrict, cells: Cells, sight: Sight
) -> None:
    channels = tuple(sorted(sight.at)[:30])
    row = TruthRow("uplink", "drop_syn", channels, None, NodeId("n1"), NOW.isoformat(), None, "u")
    inside = {camera.id: str(camera.grid) for camera in district.channels}
    grids = sorted({inside[channel] for channel in channels})
    data: dict[str, Any] = {
        "key": "k", "revision": 1, "phase": "open", "source": {"type": "node", "id": "n1"},
        "place": {"longitude": None}, "links_total": len(grids), "counts": {"channels": 30},
        "links": [link(cells, grid, "contains", 0.0) for grid in grids[:12]],
    }  # fmt: skip
    event = {"id": "m", "time": NOW.isoformat(), "data": data}
    look = views(sight, cells, row)
    assert not look.problem(event)
    strange = link(cells, next(g for g in cells.ids if g not in grids), "contains", 0.0)
    assert "stands in" in look.problem(changed(event, links=[strange]))
    assert "any cell" in look.problem(changed(event, links=[]))
    assert "cells" in look.problem(changed(event, links_total=len(grids) + 9))
    assert "cells" in look.problem(changed(event, links_total=1, links=data["links"][:1]))


def test_what_the_gateway_says_it_told_is_what_the_center_has() -> None:
    message = {"id": "m1", "data": {"key": "k", "revision": 1, "phase": "open"}}
    row = {"id": "m1", "key": "k", "revision": 1, "phase": "open", "state": "delivered"}
    assert not told_otherwise([message], [row])
    assert not told_otherwise([], [{**row, "state": "pending"}])
    assert not told_otherwise([], [{**row, "state": "superseded"}])
    for messages, rows in (
        ([], [row]),
        ([message], []),
        ([message], [{**row, "phase": "close"}]),
        ([message], [{**row, "revision": 2}]),
    ):
        ((key, _),) = told_otherwise(messages, rows)
        assert key == "k"
