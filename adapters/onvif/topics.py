"""What an ONVIF topic means here: the table `config/onvif_topics.toml`, and how a topic is looked up.

A topic of people, faces, plates or visitors is known by its words alone; nothing of it is read.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import isfinite
from pathlib import Path
from typing import Any, Final

from gateway.domain.event import EventKind
from gateway.resources import data_dir

FILE: Final = "onvif_topics.toml"
ON: Final = frozenset({"true", "1", "active", "on", "yes", "open", "opened"})
REMEMBERED: Final = 4096
"""Topics whose meaning is kept; a device that invents new ones each time must not fill the memory."""
_PREFIX: Final = re.compile(r"(?:^|(?<=/))[\w.-]+:")
_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


class Fate(StrEnum):
    """What becomes of a topic that is in no table of meanings."""

    PRIVATE = "private"
    """People, faces, plates, visitors: dropped at the door."""
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Meaning:
    """One row of the table.

    Attributes:
        kind: what happened.
        state: names of the data items that may hold the state; empty = a moment without an end.
        active: values (lower case) that mean "it began".
        token: names of the source items that say which input, rule or source.
        video: the token names a video source: the event belongs to one channel.
        value / unit: the data item that holds a reading. Without a state, and without `above`, it is counted,
            no more: devices tell it every minute.
        above: it began when the reading is beyond this.
        clear: and is over when the reading is down to this (hysteresis).
        ages_s: an active state without a word for so long is over (quirk 29); 0 = never.
    """

    kind: EventKind
    state: tuple[str, ...] = ()
    active: frozenset[str] = ON
    token: tuple[str, ...] = ()
    video: bool = True
    value: str = ""
    unit: str = ""
    above: float | None = None
    clear: float | None = None
    ages_s: float = 0.0

    def judge(self, reading: float | None, *, stands: bool) -> bool | None:
        """What a reading says about the state.

        Args:
            reading: None = it could not be read.
            stands: what it is until now.

        Returns:
            None = nothing: there is no threshold, or no number.
        """
        if reading is None or self.above is None or self.clear is None:
            return None
        return reading > (self.clear if stands else self.above)


def normalise(topic: str) -> str:
    """A topic without namespace prefixes and without `/` or `.` at its end (quirk 30)."""
    return _PREFIX.sub("", "".join(topic.split())[:_LONGEST].rstrip("/."))


_LONGEST: Final = 300


class Topics:
    """The table, with what was looked up before."""

    def __init__(self, meanings: Mapping[str, Meaning], words: frozenset[str]) -> None:
        self._meanings = dict(meanings)
        self._words = words
        self._known: dict[str, tuple[str, Meaning | Fate]] = {}

    def look_up(self, raw: str) -> tuple[str, Meaning | Fate]:
        """The normalised topic, and its meaning or its fate."""
        known = self._known.get(raw)
        if known is None:
            topic = normalise(raw)
            known = topic, self._judge(topic)
            if len(self._known) < REMEMBERED:
                self._known[raw] = known
        return known

    def _judge(self, topic: str) -> Meaning | Fate:
        if self._is_private(topic):
            return Fate.PRIVATE
        parts = topic.split("/")
        for length in range(len(parts), 0, -1):
            meaning = self._meanings.get("/".join(parts[:length]))
            if meaning is not None:
                return meaning
        return Fate.UNKNOWN

    def _is_private(self, topic: str) -> bool:
        if any(word.lower() in self._words for word in _WORD.findall(topic)):
            return True
        return any(
            part.startswith(word) for part in topic.lower().split("/") for word in self._words
        )


def read_topics(file: Path | None = None) -> Topics:
    """The table of `config/`, or of another file.

    Raises:
        ValueError: a row names no kind that there is, or something else than the table knows.
    """
    path = data_dir("config") / FILE if file is None else file
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    words = frozenset(str(word) for word in table["dropped"]["words"])
    return Topics({key: _meaning(key, row) for key, row in table["topics"].items()}, words)


_KEYS: Final = frozenset({"kind", "state", "active", "token", "source", "value", "ages_s"})
_SOURCES: Final = ("video", "device")


def _meaning(key: str, row: Mapping[str, Any]) -> Meaning:
    unknown = row.keys() - _KEYS
    source = row.get("source", "video")
    if unknown or source not in _SOURCES:
        raise ValueError(f"{FILE}: {key}: {', '.join(sorted(unknown)) or source} is not known")
    value = row.get("value", {})
    above, clear = _thresholds(key, value)
    return Meaning(
        EventKind(row["kind"]),
        tuple(row.get("state", ())),
        frozenset(str(v).lower() for v in row["active"]) if "active" in row else ON,
        tuple(row.get("token", ())),
        source == "video",
        value.get("name", ""),
        value.get("unit", ""),
        above,
        clear,
        float(row.get("ages_s", 0.0)),
    )


_VALUE_KEYS: Final = frozenset({"name", "unit", "above", "clear"})


def _thresholds(key: str, value: Mapping[str, Any]) -> tuple[float | None, float | None]:
    unknown = value.keys() - _VALUE_KEYS
    if unknown:
        raise ValueError(f"{FILE}: {key}: value.{', '.join(sorted(unknown))} is not known")
    if "above" not in value:
        if "clear" in value:
            raise ValueError(f"{FILE}: {key}: value.clear belongs to above")
        return None, None
    above = float(value["above"])
    clear = float(value.get("clear", above))
    if not (isfinite(above) and isfinite(clear) and clear <= above):
        raise ValueError(f"{FILE}: {key}: value.clear must not be above `above`, both finite")
    return above, clear
