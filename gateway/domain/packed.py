"""Text by key, kept small: a fleet holds two dozen archive fields a camera and seldom reads them."""

import json
from collections.abc import ItemsView, Iterator, Mapping
from functools import lru_cache

LAYOUTS = 1024
"""Different sets of keys that are shared; an archive has a few, one for each set of filled cells."""


class PackedText(Mapping[str, str]):
    """An immutable mapping of text that is unpacked on access.

    Takes about 50 bytes and the values in UTF-8, where a dict takes over 2 kB for 24 fields. It
    equals every mapping with the same items, in whatever order.
    """

    __slots__ = ("_keys", "_values")

    def __init__(self, fields: Mapping[str, str]) -> None:
        self._keys = _layout(tuple(fields))
        text = json.dumps([*fields.values()], ensure_ascii=False, separators=(",", ":"))
        self._values = text.encode("utf-8", "surrogatepass")

    def _unpacked(self) -> dict[str, str]:
        values = json.loads(self._values.decode("utf-8", "surrogatepass"))
        return dict(zip(self._keys, values, strict=True))

    def __getitem__(self, key: str) -> str:
        return self._unpacked()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    def __contains__(self, key: object) -> bool:
        return key in self._keys

    def items(self) -> ItemsView[str, str]:
        """Keys and values, unpacked once."""
        return self._unpacked().items()

    def __eq__(self, other: object) -> bool:
        if isinstance(other, PackedText) and self._keys == other._keys:
            return self._values == other._values
        if isinstance(other, Mapping):
            return self._unpacked() == dict(other)
        return NotImplemented

    def __hash__(self) -> int:
        return hash(frozenset(self.items()))

    def __repr__(self) -> str:
        return f"PackedText({self._unpacked()!r})"


@lru_cache(maxsize=LAYOUTS)
def _layout(keys: tuple[str, ...]) -> tuple[str, ...]:
    """The same keys as one object."""
    return keys
