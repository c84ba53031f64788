"""The device archive (一机一档) of one channel, by the English keys of GB/T 28181-2022.

`capture_position_type` stays empty: its code table (annex O) is optional and not public with us;
`position_type` of the 2016 edition says what the place is.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from types import MappingProxyType

from adapters.virtual.catalogue import Lens
from adapters.virtual.streets import Setting, Stand
from gateway.domain.camera import Division, DivisionCode, StructureType

_COMPASS = (4, 6, 1, 5, 3, 7, 2, 8)
"""`direction_type` by eighths of the circle, clockwise from north: the direction looked to."""

_POSITION_TYPE: Mapping[Setting, str] = {
    Setting.SQUARE: "4",
    Setting.SCHOOL: "8",
    Setting.JUNCTION: "10",
    Setting.TRUNK: "10",
    Setting.ENTRANCE: "10",
    Setting.STREET: "9",
    Setting.HAMLET: "9",
}
_COMMON_NAME: Mapping[Setting, str] = {
    Setting.ENTRANCE: "村口",
    Setting.SQUARE: "文化广场",
    Setting.JUNCTION: "路口",
    Setting.SCHOOL: "学校门口",
    Setting.STREET: "街边",
    Setting.HAMLET: "居民点",
    Setting.TRUNK: "公路卡点",
}
STRUCTURE_NAME: Mapping[StructureType, str] = {
    StructureType.DOME_PTZ: "球机",
    StructureType.HALF_DOME: "半球",
    StructureType.FIXED: "枪机",
    StructureType.REMOTE_FIXED: "遥控枪机",
    StructureType.REMOTE_HALF_DOME: "遥控半球",
    StructureType.PANORAMIC: "全景",
    StructureType.MULTI_LENS: "多目",
}
_RESOLUTIONS = ("1920*1080", "2560*1440", "3840*2160")
_INDOOR_SHARE = 0.3
"""Of half domes: service halls."""
_RETENTION_DAYS = ("30", "45", "60", "90")


@dataclass(frozen=True, slots=True)
class View:
    """One channel before it has an address: where it stands, where it looks, what with."""

    stand: Stand
    azimuth_deg: float
    structure: StructureType
    lens: Lens
    recorded: bool
    """Comes in through an NVR: a socially built point (三类), not the police's own."""


def common_name(setting: Setting) -> str:
    """How people call such a place."""
    return _COMMON_NAME[setting]


def direction_type(azimuth_deg: float) -> int:
    """The compass code of GB/T 28181 for the direction a camera looks to."""
    return _COMPASS[int((azimuth_deg % 360.0 + 22.5) // 45.0) % 8]


def _point_type(view: View, *, urban: bool) -> str:
    if view.recorded:
        return "3"
    first = view.stand.pole.setting in {Setting.SQUARE, Setting.JUNCTION, Setting.TRUNK}
    return "1" if first and (urban or view.stand.pole.setting is Setting.TRUNK) else "2"


def archive_fields(
    rng: Random, view: View, village: DivisionCode, township: Division, *, pole_number: str
) -> Mapping[str, str]:
    """Every archive field that is not an attribute of `Camera`, as the text a file would hold."""
    pole = view.stand.pole
    street = township.name.endswith("街道")
    indoor = view.structure == StructureType.HALF_DOME and rng.random() < _INDOOR_SHARE
    installed = f"{rng.randint(2016, 2024)}-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}"
    return MappingProxyType(
        {
            "civil_code": village[:6],
            "block": f"{village[:6]}{_beat(township.code):02d}",
            "grassroots_code": village[6:],
            "point_type": _point_type(view, urban=street),
            "address": f"榆阳区{township.name}{pole.road}{pole_number}号杆",
            "point_common_name": common_name(pole.setting),
            "ptz_type": str(int(view.structure)),
            "imaging_type": "1",
            "supply_light": rng.choices(("1", "2", "3", "4"), weights=(8, 70, 20, 2))[0],
            "position_type": _POSITION_TYPE[pole.setting],
            "capture_position_type": "",
            "room_type": "2" if indoor else "1",
            "direction_type": str(direction_type(view.azimuth_deg)),
            "azimuth": f"{view.azimuth_deg:.1f}",
            "horizontal_field_angle": str(view.lens.horizontal_deg),
            "vertical_field_angle": str(view.lens.vertical_deg),
            "max_view_distance": str(view.lens.reach_m),
            "function_type": "99",
            "install_time": f"{installed}T00:00:00+08:00",
            "management_unit": f"{township.name}综治中心",
            "record_save_days": rng.choices(_RETENTION_DAYS, weights=(62, 8, 12, 18))[0],
            "resolution": rng.choices(_RESOLUTIONS, weights=(38, 50, 12))[0],
            "pole_number": pole_number,
            "mount_height_m": f"{rng.uniform(2.6, 3.2) if indoor else rng.uniform(3.5, 6.5):.1f}",
        }
    )


def _beat(township: str) -> int:
    """A two-digit police beat (警区) made from the last digits of the township code."""
    return int(township[6:9]) % 100
