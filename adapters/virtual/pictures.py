"""A few tiny valid JPEGs, written by code: the snapshots of the virtual devices.

Baseline grey JPEG of 8x8 blocks with a DC value only: one quantisation table of ones, a DC Huffman
table of twelve 4-bit codes, and an AC table whose only symbol is "end of block".
"""

import struct
from functools import cache

PICTURES = 4
"""How many different pictures there are."""
_BLOCKS = 8
"""Blocks a side: pictures are 64x64."""


def _segment(marker: int, payload: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def _scan(levels: list[int]) -> bytes:
    """Entropy-coded data: the difference to the block before, then "end of block"."""
    bits: list[str] = []
    before = 0
    for level in levels:
        step, before = level - before, level
        size = abs(step).bit_length()
        bits.append(f"{size:04b}")
        if size:
            bits.append(f"{step if step > 0 else step + (1 << size) - 1:0{size}b}")
        bits.append("0")
    text = "".join(bits)
    text += "1" * (-len(text) % 8)
    data = bytes(int(text[at : at + 8], 2) for at in range(0, len(text), 8))
    return data.replace(b"\xff", b"\xff\x00")


@cache
def picture(number: int) -> bytes:
    """One of `PICTURES` pictures: grey gradients in different directions."""
    kind = number % PICTURES
    slope_x, slope_y = ((80, 20), (-80, 20), (20, -80), (40, 60))[kind]
    centre = (_BLOCKS - 1) / 2
    levels = [
        int(slope_x * (x - centre) + slope_y * (y - centre))
        for y in range(_BLOCKS)
        for x in range(_BLOCKS)
    ]
    side = _BLOCKS * 8
    codes = bytes([0, 0, 0, 12] + [0] * 12) + bytes(range(12))
    return b"".join(
        (
            b"\xff\xd8",
            _segment(0xE0, b"JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"),
            _segment(0xDB, b"\x00" + bytes([1] * 64)),
            _segment(0xC0, struct.pack(">BHHB", 8, side, side, 1) + b"\x01\x11\x00"),
            _segment(0xC4, b"\x00" + codes),
            _segment(0xC4, b"\x10" + bytes([1] + [0] * 15) + b"\x00"),
            _segment(0xDA, b"\x01\x01\x00\x00\x3f\x00"),
            _scan(levels),
            b"\xff\xd9",
        )
    )
