"""How many cameras each village gets, where they stand and look, and which share a device."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from adapters.virtual.catalogue import draw_lens
from adapters.virtual.fields import View
from adapters.virtual.geography import Geography, VillageLand, share_out
from adapters.virtual.names import is_community, is_street
from adapters.virtual.streets import Setting, Stand, Streets
from gateway.domain.camera import DivisionCode, StructureType

TOWNSHIPS = 31
FULL_SIZE = 12_328
LEAST = 50
"""Cameras, so that every mechanism finds a place."""
_PER_TOWNSHIP = 20
"""A small district keeps as many townships as get about so many cameras."""
_PER_VILLAGE = 6
_RECORDERS, _MULTI_LENS = 72, 60
"""NVRs and multi-lens cameras at full size."""
_RECORDER_CHANNELS = (4, 6, 8, 8, 10, 12, 16)
_URBAN_COMMUNITY, _URBAN_VILLAGE, _TOWN_SEAT, _RURAL_VILLAGE = 57.0, 33.0, 88.0, 19.0
"""About so many cameras each, at full size."""
CUT_CHANNELS = 360
"""About so many channels hang on the uplink that may be cut, at full size."""

_S = StructureType
_STRUCTURES: Mapping[Setting, Mapping[StructureType, int]] = {
    Setting.ENTRANCE: {_S.FIXED: 80, _S.DOME_PTZ: 20},
    Setting.SQUARE: {_S.DOME_PTZ: 45, _S.FIXED: 45, _S.PANORAMIC: 10},
    Setting.JUNCTION: {_S.FIXED: 72, _S.DOME_PTZ: 27, _S.PANORAMIC: 1},
    Setting.SCHOOL: {_S.FIXED: 80, _S.DOME_PTZ: 20},
    Setting.STREET: {_S.FIXED: 88, _S.DOME_PTZ: 9, _S.HALF_DOME: 3},
    Setting.HAMLET: {_S.FIXED: 82, _S.DOME_PTZ: 8, _S.HALF_DOME: 10},
    Setting.TRUNK: {_S.FIXED: 85, _S.DOME_PTZ: 15},
}
_RECORDED: Mapping[StructureType, int] = {_S.FIXED: 62, _S.HALF_DOME: 33, _S.DOME_PTZ: 5}
_PER_POLE: Mapping[Setting, tuple[int, ...]] = {
    Setting.ENTRANCE: (1, 2, 2),
    Setting.SQUARE: (1, 2, 3),
    Setting.JUNCTION: (1, 2, 2, 3, 4),
    Setting.SCHOOL: (1, 2),
    Setting.STREET: (1, 1, 2),
    Setting.HAMLET: (1,),
    Setting.TRUNK: (1, 2),
}
_TURNS_DEG = (0.0, 180.0, 90.0, 270.0, 45.0, 225.0, 135.0, 315.0)
"""Where the cameras of one pole look, from the direction of the road; more than 8 start over."""


@dataclass(frozen=True, slots=True)
class Unit:
    """What will be one device: its views, one a channel."""

    village: DivisionCode
    views: tuple[View, ...]
    recorder: bool
    """An NVR; otherwise a camera, with several lenses if it has several views."""


@dataclass(frozen=True)
class Plan:
    """All devices to be, by township, and the township whose uplink may be cut."""

    units: Mapping[DivisionCode, Sequence[Unit]]
    cut: DivisionCode


def plan_units(seed: int, land: Geography, streets: Streets, cameras: int) -> Plan:
    """Site exactly `cameras` channels, 50 to 12,328 of them."""
    rng = Random(f"{seed}:siting")
    counts = _channels_by_village(rng, land, cameras)
    totals: dict[DivisionCode, int] = defaultdict(int)
    for village, channels in counts.items():
        totals[land.villages[village].township] += channels
    middling = min(CUT_CHANNELS, cameras / len(totals))
    cut = min(
        (code for code in totals if not is_street(code)),
        key=lambda code: (abs(totals[code] - middling), code),
    )
    recorders, lenses = _draw_groups(rng, land, counts, cameras, cut)
    units: dict[DivisionCode, list[Unit]] = {code: [] for code in sorted(totals)}
    for village, channels in counts.items():
        stands = streets.stands[village]
        units[land.villages[village].township] += _village_units(
            rng, village, stands, channels, recorders[village], lenses[village]
        )
    return Plan(units, cut)


def _weight(rng: Random, village: VillageLand) -> float:
    """How many cameras a village tends to have, relative to the others."""
    urban = _URBAN_COMMUNITY if is_community(village.name) else _URBAN_VILLAGE
    rural = _TOWN_SEAT if village.seat else _RURAL_VILLAGE
    return (urban if village.urban else rural) * rng.uniform(0.75, 1.25)


def _channels_by_village(rng: Random, land: Geography, cameras: int) -> dict[DivisionCode, int]:
    weights = {code: _weight(rng, village) for code, village in land.villages.items()}
    members: dict[DivisionCode, list[DivisionCode]] = defaultdict(list)
    for code, village in land.villages.items():
        members[village.township].append(code)
    towns = _chosen_townships(rng, sorted(members), cameras)
    shares = share_out(
        cameras, [sum(weights[code] for code in members[town]) for town in towns], least=8
    )
    counts: dict[DivisionCode, int] = {}
    for town, share in zip(towns, shares, strict=True):
        # The villages with most cameras first, so that few cameras do not mean one a village.
        largest = sorted(members[town], key=lambda code: -weights[code])
        chosen = sorted(largest[: max(1, share // _PER_VILLAGE)])
        parts = share_out(share, [weights[code] for code in chosen], least=1)
        counts.update(zip(chosen, parts, strict=True))
    return counts


def _chosen_townships(
    rng: Random, codes: Sequence[DivisionCode], cameras: int
) -> list[DivisionCode]:
    """All townships of a large district; of a small one some towns and fewer streets."""
    wanted = min(TOWNSHIPS, max(3, cameras // _PER_TOWNSHIP))
    towns = [code for code in codes if not is_street(code)]
    streets = [code for code in codes if is_street(code)]
    rng.shuffle(towns)
    rng.shuffle(streets)
    urban = min(len(streets), max(1, wanted * len(streets) // TOWNSHIPS))
    return sorted(streets[:urban] + towns[: wanted - urban])


def _draw_groups(
    rng: Random,
    land: Geography,
    counts: Mapping[DivisionCode, int],
    cameras: int,
    cut: DivisionCode,
) -> tuple[dict[DivisionCode, list[int]], dict[DivisionCode, list[int]]]:
    """Sizes of the NVRs and of the multi-lens cameras of each village.

    The first NVR stands in the township that may be cut, so that a cut takes one along.
    """
    free = dict(counts)
    drawn: list[dict[DivisionCode, list[int]]] = []
    for full, sizes in ((_RECORDERS, _RECORDER_CHANNELS), (_MULTI_LENS, (2, 3, 4, 4))):
        groups: dict[DivisionCode, list[int]] = defaultdict(list)
        for serial in range(max(1, round(full * cameras / FULL_SIZE))):
            size = rng.choice(sizes) if cameras >= FULL_SIZE // 10 else min(sizes)
            able = [
                code
                for code, spare in free.items()
                if spare > size and (serial or land.villages[code].township == cut)
            ] or [max(free, key=lambda code: free[code])]
            village = rng.choice(able)
            free[village] -= size
            groups[village].append(size)
        drawn.append(groups)
    return drawn[0], drawn[1]


def _village_units(
    rng: Random,
    village: DivisionCode,
    stands: Sequence[Stand],
    channels: int,
    recorders: Sequence[int],
    lenses: Sequence[int],
) -> list[Unit]:
    """The devices of one village, neighbours next to each other."""
    units = []
    for size, stand in zip(lenses, stands, strict=False):
        start = stand.pole.bearing_deg + rng.uniform(-8, 8)
        views = (
            _view(rng, stand, start + turn * 360 / size, _S.MULTI_LENS) for turn in range(size)
        )
        units.append(Unit(village, tuple(views), recorder=False))
    wanted = channels - sum(lenses)
    places = _places(rng, stands[len(lenses) :] or stands, wanted)
    places.sort(key=lambda place: place[0].cell)
    for size in recorders:
        first = rng.randrange(len(places) - size + 1)
        taken, places = places[first : first + size], places[:first] + places[first + size :]
        views = (
            _view(rng, stand, azimuth, _draw(rng, _RECORDED), recorded=True)
            for stand, azimuth in taken
        )
        units.append(Unit(village, tuple(views), recorder=True))
    for stand, azimuth in places:
        view = _view(rng, stand, azimuth, _draw(rng, _STRUCTURES[stand.pole.setting]))
        units.append(Unit(village, (view,), recorder=False))
    return sorted(units, key=lambda unit: unit.views[0].stand.cell)


def _places(rng: Random, stands: Sequence[Stand], wanted: int) -> list[tuple[Stand, float]]:
    """`wanted` cameras on poles, best poles first; a full village hangs more on each pole."""
    places: list[tuple[Stand, float]] = []
    used = [0] * len(stands)
    while len(places) < wanted:
        for index, stand in enumerate(stands):
            for _ in range(rng.choice(_PER_POLE[stand.pole.setting])):
                turn = _TURNS_DEG[used[index] % len(_TURNS_DEG)]
                used[index] += 1
                places.append((stand, stand.pole.bearing_deg + turn + rng.uniform(-8, 8)))
            if len(places) >= wanted:
                break
    return places[:wanted]


def _draw(rng: Random, weights: Mapping[StructureType, int]) -> StructureType:
    return rng.choices(list(weights), weights=list(weights.values()))[0]


def _view(
    rng: Random,
    stand: Stand,
    azimuth_deg: float,
    structure: StructureType,
    *,
    recorded: bool = False,
) -> View:
    azimuth = round(azimuth_deg, 1) % 360.0
    return View(stand, azimuth, structure, draw_lens(rng, structure), recorded)
