"""Where things are: the cells around an incident, the cameras that can see it, and the places by name."""

from dataclasses import replace
from typing import Any

import pytest
from fakes.clock import NOON
from fakes.sixteen_cells import GRIDS, MODEL, SPOT, archive

from gateway.domain.alerting.rows import EventIncident, LinkReason
from gateway.domain.camera import ChannelId
from gateway.domain.coverage.place import Place, PlaceId
from gateway.domain.coverage.view import ViewState
from gateway.domain.event import EventKind, Severity
from gateway.domain.linking import NEAREST, RADIUS_M, CellIndex
from gateway.runtime.atlas import Atlas
from gateway.settings import EventSettings


def atlas(nearest: int = NEAREST, radius_m: float = RADIUS_M) -> Atlas:
    """Of a town of sixteen cells, before coverage has a model."""
    found = Atlas(nearest, radius_m)
    found.take_inventory(archive())
    found.cells = CellIndex(GRIDS)
    return found


def incident(**more: Any) -> EventIncident:
    row = EventIncident("ev-1", EventKind.TAMPER, Severity.MAJOR, NOON, NOON)
    return replace(row, **{"longitude": SPOT[0], "latitude": SPOT[1], **more})


def by_reason(row: EventIncident, reason: LinkReason) -> list[str]:
    return [link.grid for link in row.links if link.reason is reason]


def test_an_incident_of_a_sensor_has_its_cell_the_nearest_and_the_cameras_that_see_it() -> None:
    town = atlas()
    town.take_views(MODEL, {})
    town.view_state = lambda channel: (
        ViewState.NOT_SEEING if channel == "c0001" else ViewState.SEEING
    )

    row = town.link(incident(sensor="s1"))

    assert by_reason(row, LinkReason.CONTAINS) == ["g0"]
    assert len(by_reason(row, LinkReason.NEAR)) == NEAREST
    assert by_reason(row, LinkReason.IN_VIEW) == []  # a sensor looks nowhere
    assert [(one.channel, one.view) for one in row.cameras] == [
        ("c0001", "not_seeing"),
        ("c0000", "seeing"),
    ]
    assert [one.distance_m for one in row.cameras] == [1.4, 36.0]


def test_an_incident_of_a_camera_has_the_cells_that_it_looks_into_each_once() -> None:
    town = atlas(nearest=0)
    town.take_views(MODEL, {})

    row = town.link(incident(channel=ChannelId("c0000")))

    looked_into = set(by_reason(row, LinkReason.IN_VIEW))
    assert by_reason(row, LinkReason.CONTAINS) == ["g0"]
    assert by_reason(row, LinkReason.NEAR) == []
    assert "g0" not in looked_into
    assert looked_into == {
        MODEL.grids[g] for g in range(1, len(GRIDS)) if MODEL.cells[g].intersects(MODEL.views[0])
    }
    assert len(looked_into) == 1

    with_neighbours = atlas()
    with_neighbours.take_views(MODEL, {})
    grids = [link.grid for link in with_neighbours.link(incident(channel=ChannelId("c0000"))).links]
    assert len(grids) == len(set(grids))
    assert with_neighbours.looks_into(ChannelId("c0000")) != ()
    assert with_neighbours.looks_into(ChannelId("stranger")) == ()


def test_before_coverage_has_a_model_nobody_is_said_to_look_anywhere() -> None:
    row = atlas().link(incident(channel=ChannelId("c0000")))

    assert by_reason(row, LinkReason.CONTAINS) == ["g0"]
    assert by_reason(row, LinkReason.IN_VIEW) == []
    assert row.cameras == ()
    assert atlas().looks_into(ChannelId("c0000")) == ()


def test_an_incident_without_a_position_has_the_cell_of_the_archive_and_no_cameras() -> None:
    town = atlas()
    town.take_views(MODEL, {})

    row = town.link(incident(longitude=None, latitude=None, channel=ChannelId("c0002")))

    assert [(link.grid, link.reason) for link in row.links] == [("g0", LinkReason.CONTAINS)]
    assert row.cameras == ()


@pytest.mark.parametrize(
    ("nearest", "radius_m", "near"),
    [(3, 2000.0, 3), (0, 2000.0, 0), (16, 0.0, 0), (16, 37.0, 2), (16, 2000.0, 15)],
)
def test_how_many_cells_and_how_far_is_as_it_was_set(
    nearest: int, radius_m: float, near: int
) -> None:
    town = atlas(nearest, radius_m)
    # 14 m off the outer corner of its cell: two cells across its other sides are 36 m away, the next 51 m.
    found = town.link(incident(sensor="s1"))
    reach = [link.distance_m for link in found.links if link.reason is LinkReason.NEAR]

    assert len(reach) == near
    assert all(distance <= radius_m for distance in reach)
    one = town.cells_of_channels([ChannelId("c0000")])  # of an outage: the same
    assert [link.grid for link in one] == [link.grid for link in found.links]


def test_the_settings_mean_what_linking_does_without_any() -> None:
    assert (EventSettings().nearest, EventSettings().radius_m) == (NEAREST, RADIUS_M)


def test_listed_places_are_told_by_name_as_coverage_has_them() -> None:
    town = atlas()
    places = {PlaceId("p1"): Place(PlaceId("p1"), "小纪汗小学", "school", {})}
    town.take_views(MODEL, places)

    assert town.tell_places([PlaceId("p1"), PlaceId("p2"), PlaceId("p1")]) == [
        {"place": "p1", "name": "小纪汗小学", "kind": "school"},
        {"place": "p2", "name": "", "kind": ""},
    ]


def test_cameras_are_told_as_they_see_now() -> None:
    town = atlas()
    town.take_views(MODEL, {})
    town.view_state = lambda _: ViewState.SEEING
    row = town.link(incident(sensor="s1"))
    town.view_state = lambda _: ViewState.NOT_SEEING

    assert [one.view for one in row.cameras] == ["seeing", "seeing"]
    assert {one["view"] for one in town.tell_cameras(row)} == {"not_seeing"}


def test_what_was_linked_before_there_was_a_model_gets_its_views_and_keeps_its_cells() -> None:
    town = atlas(nearest=1)
    before = town.link(incident(channel=ChannelId("c0000")))
    assert town.complete(before) is before
    town.take_views(MODEL, {})
    after = town.complete(before)

    assert after == town.link(incident(channel=ChannelId("c0000")))
    assert len(after.links) > len(before.links)
    assert town.complete(after) is after
    nowhere = incident(longitude=None, latitude=None)
    assert town.complete(nowhere) is nowhere
