"""Draft a list of places from the archive (semantics §8): position types, village entrances.

Drafts count only once somebody accepted them.
"""

import hashlib
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping

from gateway.domain.camera import Camera
from gateway.domain.coverage.archive_view import direction_of
from gateway.domain.coverage.optics import PlaceKind
from gateway.domain.coverage.place import Place, PlaceId

SAME_M = 80.0
"""Cameras of one kind within such squares stand at one place."""
ENTRANCE = "village_entrance"
_ENTRANCE_WORDS = ("村口", "进村", "入村")
_CLASS_WEIGHT: Mapping[str, float] = {"1": 1.5, "2": 1.0, "3": 0.7}
"""By point class (监控点位类型): a first-class point (一类) counts more than its kind alone."""
_AHEAD_M = 12.0
"""A place lies before its camera, not under it."""
_M_PER_DEG = 111_320.0
SOURCE = "suggested"


def suggest_places(cameras: Iterable[Camera], kinds: Mapping[str, PlaceKind]) -> list[Place]:
    """Draft places, in a stable order: cameras of one kind that stand together are one place."""
    by_code = {str(k.position_type): key for key, k in kinds.items() if k.position_type is not None}
    groups: dict[tuple[str, int, int], list[Camera]] = defaultdict(list)
    for camera in cameras:
        if not camera.in_use or camera.longitude is None or camera.latitude is None:
            continue
        kind = _kind(camera, by_code)
        if kind:
            north = camera.latitude * _M_PER_DEG
            east = camera.longitude * _M_PER_DEG * math.cos(math.radians(38.3))
            groups[kind, int(east // SAME_M), int(north // SAME_M)].append(camera)
    return [_draft(kind, members, kinds[kind]) for (kind, _, _), members in sorted(groups.items())]


def _kind(camera: Camera, by_code: Mapping[str, str]) -> str:
    words = f"{camera.name} {camera.archive.get('point_common_name', '')}"
    if any(word in words for word in _ENTRANCE_WORDS):
        return ENTRANCE
    return by_code.get(camera.archive.get("position_type", "").lstrip("0"), "")


def _draft(kind: str, members: list[Camera], known: PlaceKind) -> Place:
    first = min(members, key=lambda camera: camera.id)
    classes = (_CLASS_WEIGHT.get(c.archive.get("point_type", ""), 1.0) for c in members)
    longitude, latitude = _ahead(first)
    digest = hashlib.sha256(f"{kind}:{first.id}".encode()).hexdigest()[:10]
    return Place(
        id=PlaceId(f"draft-{kind}-{digest}"),
        name=first.archive.get("address") or first.name,
        kind=kind,
        geometry={"type": "Point", "coordinates": [longitude, latitude]},
        weight=round(known.weight * max(classes), 2),
        accepted=False,
        township=first.township,
        village=first.village,
        grid=first.grid,
        source=SOURCE,
    )


def _ahead(camera: Camera) -> tuple[float, float]:
    """A point a few metres before a camera, where its direction is known; else where it stands."""
    longitude, latitude = camera.longitude or 0.0, camera.latitude or 0.0
    direction = direction_of(camera)
    if direction is not None:
        angle = math.radians(direction[0])
        latitude += _AHEAD_M * math.cos(angle) / _M_PER_DEG
        longitude += _AHEAD_M * math.sin(angle) / _M_PER_DEG / math.cos(math.radians(latitude))
    return round(longitude, 7), round(latitude, 7)
