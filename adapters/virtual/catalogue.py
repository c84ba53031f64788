"""What the devices are: makers, models, lenses, serial numbers.

Makers and the pattern of their model names are those of the market; the mix, the serial numbers and
the MAC addresses (locally administered, so that no real device has one) are made up.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

from gateway.domain.camera import StructureType


@dataclass(frozen=True, slots=True)
class Maker:
    """A manufacturer as its devices spell it, with model stems by kind of device."""

    name: str
    share: int
    models: Mapping[StructureType, tuple[str, ...]]
    recorders: tuple[str, ...]
    firmware: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Lens:
    """What a lens sees: field angles and the distance at which a person is still discerned."""

    suffix: str
    horizontal_deg: int
    vertical_deg: int
    reach_m: int


@dataclass(frozen=True, slots=True)
class Identity:
    """What one device says about itself."""

    manufacturer: str
    model: str
    serial: str
    mac: str
    firmware: str


_D, _H, _F = StructureType.DOME_PTZ, StructureType.HALF_DOME, StructureType.FIXED
_P, _M = StructureType.PANORAMIC, StructureType.MULTI_LENS

MAKERS: tuple[Maker, ...] = (
    Maker(
        "HIKVISION", 42,
        {
            _D: ("DS-2DE4425IW-D", "DS-2DC7423IW-A", "iDS-2DF8C440IXS-A"),
            _H: ("DS-2CD3145F-I", "DS-2CD2146G2-ISU"),
            _F: ("DS-2CD3T46WD-I5", "DS-2CD2T47G2-L", "DS-2CD3T86FWDV2-I8S"),
            _P: ("DS-2CD6924G0-IHS",),
            _M: ("DS-2CD6944G0-IHS", "DS-2CD6D54G1-IZS"),
        },
        ("DS-7616N-K2", "DS-7816N-R2", "DS-8616N-I8"),
        ("V5.5.800 build 210628", "V5.7.12 build 220315", "V5.7.18 build 240826"),
    ),
    Maker(
        "Dahua", 28,
        {
            _D: ("DH-SD6C3425XB-HNR", "DH-SD49425GB-HNR"),
            _H: ("DH-IPC-HDBW4443R-ZS",),
            _F: ("DH-IPC-HFW4443M-I1", "DH-IPC-HFW5449T1-ASE", "DH-IPC-HFW2433F"),
            _P: ("DH-PSDW8842M-A180",),
            _M: ("DH-PSDW5631S-B360",),
        },
        ("DH-NVR4416-4KS2", "DH-NVR5416-4KS2"),
        ("2.800.0000000.16.R", "2.840.0000000.21.R", "3.000.0000000.5.R"),
    ),
    Maker(
        "Uniview", 12,
        {
            _D: ("IPC-S642-IR@X25",), _H: ("IPC-D132-IR@DF40",),
            _F: ("IPC-B312-IR@DP", "IPC2324EBR-DPZ28"),
            _P: ("IPC-P413-X22",), _M: ("IPC8542ER5-DUG",),
        },
        ("NVR-B200-R2-16B", "NVR302-16S"),
        ("IPC_D1211-B0006P60D1907", "GIPC-B6203.21.16"),
    ),
    Maker(
        "Tiandy", 9,
        {
            _D: ("TC-H354S",), _H: ("TC-C34KS",), _F: ("TC-C34QN", "TC-C32GP"),
            _P: ("TC-C5408",), _M: ("TC-A3563",),
        },
        ("TC-R3116", "TC-R3216"), ("V4.11.08", "V5.03.21"),
    ),
    Maker(
        "KEDACOM", 5,
        {
            _D: ("IPC425-F220-N",), _H: ("IPC2252-HNS",), _F: ("IPC2852-FNB", "IPC121-Ei4N"),
            _P: ("IPC585-P180",), _M: ("IPC585-M4",),
        },
        ("KDM2801E-16",), ("V7R1B1.SP3", "V7R2B4"),
    ),
    Maker(
        "TP-LINK", 4,
        {
            _D: ("TL-IPC646P-D4",), _H: ("TL-IPC455V-A",), _F: ("TL-IPC546FP-W4", "TL-IPC544EP"),
            _P: ("TL-IPC5120-D",), _M: ("TL-IPC669-A4",),
        },
        ("TL-NVR6216K-L",), ("1.0.9 Build 230418", "1.1.4 Build 240109"),
    ),
)  # fmt: skip

FIXED_LENSES: tuple[tuple[Lens, int], ...] = (
    (Lens("2.8mm", 102, 55, 30), 14),
    (Lens("4mm", 82, 44, 45), 40),
    (Lens("6mm", 53, 29, 70), 26),
    (Lens("8mm", 40, 22, 100), 13),
    (Lens("12mm", 25, 14, 150), 7),
)
"""Lenses of fixed cameras with how common they are."""

_OTHER_LENSES: Mapping[StructureType, Lens] = {
    _D: Lens("4.8-120mm", 57, 33, 150),
    _H: Lens("2.8mm", 106, 58, 25),
    _P: Lens("4x4mm", 180, 75, 40),
    _M: Lens("4mm", 84, 45, 50),
}


def draw_maker(rng: Random) -> Maker:
    """One maker by market share."""
    return rng.choices(MAKERS, weights=[maker.share for maker in MAKERS])[0]


def draw_lens(rng: Random, structure: StructureType) -> Lens:
    """A lens that fits the kind of camera; of a PTZ dome, that of its home view."""
    if structure == StructureType.FIXED:
        lenses = [lens for lens, _ in FIXED_LENSES]
        return rng.choices(lenses, weights=[share for _, share in FIXED_LENSES])[0]
    return _OTHER_LENSES[structure]


def make_identity(rng: Random, maker: Maker, model: str, number: int) -> Identity:
    """Serial number and MAC of device `number` of the district: both unique by that number."""
    scramble = (number * 2_654_435_761) & 0xFF_FFFF  # odd factor: one-to-one on 24 bits
    year, month = rng.randint(2016, 2024), rng.randint(1, 12)
    serial = {
        "HIKVISION": f"{model}{year}{month:02d}18AACH{100_000_000 + number}",
        "Dahua": f"{year % 100:X}{month:X}0{scramble:06X}PAJ{number:05X}",
    }.get(maker.name, f"{maker.name[:3].upper()}{year % 100}{month:02d}{number:07d}")
    octets = f"{scramble:06X}"
    mac = f"02:53:{rng.randrange(256):02X}:{octets[:2]}:{octets[2:4]}:{octets[4:]}"
    return Identity(maker.name, model, serial, mac, rng.choice(maker.firmware))
