"""What the links of an alert are held against: every grid cell measured, every camera looked through.

Shares no code with what links: cells, posts and positions come from the archive files, views from `sight.py`,
who was down from the truth log.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from adapters.virtual import plane
from adapters.virtual.intervals import TAKEOVER
from adapters.virtual.model import TruthRow
from adapters.virtual.sight import GROUND_STEP_M, Sight, area_density
from adapters.virtual.truth import when
from gateway.domain.camera import ChannelId

_HAIR_M = 1.0
"""The two flat maps differ by less: cells that are as near as that may change places."""
_SAMPLES_SURE = 3
"""A cell with so many points of a view in it is looked into for sure."""
ROLES = ("grid_worker", "beat_officer", "village_chief", "volunteers")


class Cells:
    """All grid cells of a district, as the archive file has them.

    Args:
        grids: the GeoJSON file.
    """

    def __init__(self, grids: Path) -> None:
        features = json.loads(grids.read_text(encoding="utf-8"))["features"]
        self.facts = {str(feature["id"]): feature["properties"] for feature in features}
        self.ids = list(self.facts)
        degrees = np.array([shapely.from_geojson(json.dumps(f["geometry"])) for f in features])
        self.shapes = shapely.transform(degrees, plane.to_metres)
        self.tree = shapely.STRtree(self.shapes)

    def problem(self, data: Mapping[str, Any]) -> str:
        """What is wrong with the cells and posts of an alert; "" = nothing."""
        links = data.get("links") or []
        return self._near(data, links) or next(filter(None, map(self._posts, links)), "")

    def _near(self, data: Mapping[str, Any], links: Sequence[Mapping[str, Any]]) -> str:
        at = position(data)
        if at is None:
            return ""
        away = shapely.distance(self.shapes, shapely.Point(at))
        inside = {self.ids[n] for n in np.flatnonzero(away <= _HAIR_M).tolist()}
        told = [link for link in links if link["reason"] != "in_view"]
        holding = [link["grid"] for link in told if link["reason"] == "contains"]
        if len(holding) > 1 or not set(holding) <= inside:
            return f"it lies in {sorted(inside) or 'no cell'}, told was {holding}"
        if not holding and (away <= 0).any():
            return f"it lies in {sorted(inside)}, told was no cell"
        by_id = dict(zip(self.ids, away.tolist(), strict=True))
        for link in told:
            if abs(by_id[link["grid"]] - link["distance_m"]) > _HAIR_M + 0.01 * link["distance_m"]:
                return (
                    f"{link['grid']} is {by_id[link['grid']]:.1f} m away, not {link['distance_m']}"
                )
        farthest = max((by_id[link["grid"]] for link in told), default=0.0)
        nearer = {self.ids[n] for n in np.flatnonzero(away < farthest - _HAIR_M).tolist()}
        left_out = nearer - {link["grid"] for link in told}
        return f"nearer cells are left out: {sorted(left_out)}" if left_out else ""

    def _posts(self, link: Mapping[str, Any]) -> str:
        """Village, beat and the posts to inform are those of the archive."""
        grid = str(link["grid"])
        facts = self.facts[grid]
        if (link["village"], link["beat"]) != (facts["village_code"], facts["beat"] or ""):
            return f"{grid}: village and beat are {facts['village_code']} {facts['beat']}"
        wanted = {role: facts.get(role) or f"{role}@{grid}" for role in ROLES}
        told = {post["role"]: post["contact"] for post in link["posts"]}
        return "" if told == wanted else f"{grid}: its posts are {wanted}, told were {told}"

    def around(self, points: plane.Points) -> tuple[set[str], set[str]]:
        """The cells that some points lie in for sure; those that they may lie in."""
        spots = shapely.points(points)
        sure = self.tree.query(spots, predicate="within")[1]
        maybe = self.tree.query(spots, predicate="dwithin", distance=_HAIR_M)[1]
        return {self.ids[n] for n in sure.tolist()}, {self.ids[n] for n in maybe.tolist()}

    def seen(self, surely: plane.Points, maybe: plane.Points) -> tuple[set[str], set[str]]:
        """The cells that a view reaches into for sure; those that it may reach into."""
        hits = np.bincount(
            self.tree.query(shapely.points(surely), predicate="within")[1],
            minlength=len(self.ids),
        )
        near = self.tree.query(
            shapely.points(maybe), predicate="dwithin", distance=2 * GROUND_STEP_M
        )[1]
        sure = {self.ids[n] for n in np.flatnonzero(hits >= _SAMPLES_SURE).tolist()}
        return sure, {self.ids[n] for n in near.tolist()}


class Views:
    """Who sees what an alert is about, and whether each saw then.

    Args:
        sight: all cameras.
        cells: all grid cells.
        truth: the district's log.
        settle_s: a camera that has been down for so long is known to be; one that was well again for so
            long, likewise.
    """

    def __init__(
        self, sight: Sight, cells: Cells, truth: Sequence[TruthRow], settle_s: float
    ) -> None:
        self._sight, self._cells = sight, cells
        self._settle = timedelta(seconds=settle_s)
        self._px_per_m = area_density()
        self._rows: dict[ChannelId, list[TruthRow]] = defaultdict(list)
        self._everybody: list[TruthRow] = []
        self._nodes: dict[str, set[ChannelId]] = defaultdict(set)
        for row in truth:
            if not row.channels:
                self._everybody.append(row)
            for channel in row.channels:
                self._rows[channel].append(row)
            if row.node:
                self._nodes[str(row.node)].update(row.channels)

    def problem(self, event: Mapping[str, Any]) -> str:
        """What is wrong with cameras, cells in view or cells of a node; "" = nothing."""
        data = event["data"]
        if data["source"]["type"] == "node":
            return self._below(data)
        return self._cameras(data, when(event["time"])) or self._in_view(data)

    def _below(self, data: Mapping[str, Any]) -> str:
        """The cells of a node's alert are those that the cameras below it stand in."""
        channels = self._nodes[str(data["source"]["id"])]
        sure, maybe = self._cells.around(np.array([self._sight.at[c] for c in channels]))
        told = {link["grid"] for link in data["links"]}
        if not told or not told <= maybe:
            return f"no camera below it stands in {sorted(told - maybe) or 'any cell that is told'}"
        if data["links_total"] > len(maybe):
            return f"{data['links_total']} cells are told, its cameras stand in {len(maybe)}"
        if data["counts"]["channels"] == len(channels) and data["links_total"] < len(sure):
            return f"its cameras stand in {len(sure)} cells, told were {data['links_total']}"
        return ""

    def _cameras(self, data: Mapping[str, Any], at: datetime) -> str:
        point = position(data)
        if point is None:
            return ""
        seen_by = self._sight.of_point(point, self._px_per_m)
        told = {ChannelId(one["channel"]): one["view"] for one in data["cameras"]}
        strangers = told.keys() - seen_by.maybe
        if strangers:
            return f"{sorted(strangers)} cannot see the place"
        whole = len(told) == data["cameras_total"]
        left_out = seen_by.surely - told.keys()
        if (whole and left_out) or data["cameras_total"] < len(seen_by.surely):
            return f"{sorted(left_out)} see the place and were left out"
        for channel, view in told.items():
            if view == "seeing" and self._down(channel, at):
                return f"{channel} was down and is told to see"
            if view != "seeing" and self._well(channel, at, data):
                return f"{channel} was well and is told to be {view}"
        return ""

    def _down(self, channel: ChannelId, at: datetime) -> bool:
        """It had been dead long enough for everybody to know, and still was."""
        return any(
            row.kind in {"outage", "uplink", "switch", TAKEOVER}
            and when(row.began) + self._settle < at
            and (row.ended is None or when(row.ended) > at)
            for row in self._rows[channel]
        )

    def _well(self, channel: ChannelId, at: datetime, data: Mapping[str, Any]) -> bool:
        """Nothing in the script touched it or the gateway lately, and it is not what this is about."""
        if channel == data["source"]["id"] or position(data) == self._sight.at[channel]:
            return False
        return not any(
            when(row.began) <= at and (row.ended is None or when(row.ended) + self._settle >= at)
            for row in (*self._rows[channel], *self._everybody)
        )

    def _in_view(self, data: Mapping[str, Any]) -> str:
        """The cells that the camera itself looks into; a sensor looks nowhere."""
        links = data["links"]
        told = {link["grid"] for link in links if link["reason"] == "in_view"}
        if data["source"]["type"] != "channel":
            return f"a sensor looks into no cell, told was {sorted(told)}" if told else ""
        sure, maybe = self._cells.seen(
            *self._sight.ground(ChannelId(data["source"]["id"]), self._px_per_m)
        )
        if not told <= maybe:
            return f"it does not look into {sorted(told - maybe)}"
        left_out = sure - {link["grid"] for link in links}
        if left_out and len(links) == data["links_total"]:
            return f"it looks into {sorted(left_out)}, which are left out"
        return ""


def position(data: Mapping[str, Any]) -> tuple[float, float] | None:
    """Where an alert is, metres in the plane; None = it has no position."""
    place = data.get("place") or {}
    if place.get("longitude") is None:
        return None
    ((x, y),) = plane.to_metres(np.array([[place["longitude"], place["latitude"]]])).tolist()
    return x, y


def told_otherwise(
    messages: Sequence[Mapping[str, Any]], rows: Collection[Mapping[str, Any]]
) -> list[tuple[str, str]]:
    """Where the center's log and the gateway's own rows of its messages differ.

    Args:
        messages: the events that the center took, repeats left out.
        rows: of `/api/v1/alerts?recipient=center`.

    Returns:
        Incident key and reason of each difference.
    """
    got = {str(event["id"]): event["data"] for event in messages}
    found = []
    for row in rows:
        data = got.pop(str(row["id"]), None)
        if data is None and row["state"] == "delivered":
            found.append((str(row["key"]), "the gateway says delivered, the center has nothing"))
        elif data is not None:
            known = (row["key"], row["revision"], row["phase"])
            if known != (data["key"], data["revision"], data["phase"]):
                found.append((str(row["key"]), f"the center was told otherwise than {known}"))
    found += [(str(data["key"]), "the gateway does not know this message") for data in got.values()]
    return found
