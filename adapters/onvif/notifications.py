"""What stands in a PullMessages reply or a pushed Notify: pure reading, with lxml.

onvif-zeep's schema loses every topic (its `b-2.xsd` reads them as None), so no zeep here. Pulled and
pushed messages have the same form.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from lxml import etree

from adapters.onvif.content import text_of
from adapters.onvif.replies import local

MOST: Final = 1000
"""Messages of one reply that are read; 256 kB hold some 400."""
_TEXT_LIMIT: Final = 200
_HIKVISION: Final = re.compile(r"(\d{4}-\d\d-\d\d)-(\d\d:\d\d:\d\d)")
_DIGITS: Final = re.compile(rb">(?:urn:uuid:[0-9A-Fa-f-]+|\d{4}-[0-9T:.+-]+Z?)<")
_CURRENT: Final = re.compile(rb"CurrentTime>\s*([0-9T:.Z+-]{19,35})\s*<")


@dataclass(frozen=True, slots=True)
class Notification:
    """One message as it came.

    Attributes:
        operation: `Initialized`, `Changed`, `Deleted`, or empty.
        told_at: the UtcTime as written: untrusted (quirk 28).
        source / data: SimpleItems by name, in any order.
    """

    topic: str
    operation: str
    told_at: str
    source: Mapping[str, str]
    data: Mapping[str, str]


def read_notifications(content: etree._Element) -> list[Notification]:
    """The messages below an element, in their order; those without a topic are left out."""
    found: list[Notification] = []
    for message in content.iter("{*}NotificationMessage"):
        note = _notification(message)
        if note is not None:
            found.append(note)
        if len(found) >= MOST:
            break
    return found


def _notification(message: etree._Element) -> Notification | None:
    topic = ""
    inner: etree._Element | None = None
    for child in message:
        name = local(child)
        if name == "Topic":
            topic = (child.text or "").strip()
        elif name == "Message":
            inner = next(iter(child), None)
    if not topic:
        return None
    if inner is None:
        return Notification(topic, "", "", {}, {})
    groups: dict[str, dict[str, str]] = {}
    for group in inner:
        items = groups.setdefault(local(group), {})
        for item in group:
            if local(item) == "SimpleItem" and (named := item.get("Name")):
                items.setdefault(named[:_TEXT_LIMIT], (item.get("Value") or "")[:_TEXT_LIMIT])
    return Notification(
        topic,
        (inner.get("PropertyOperation") or "")[:_TEXT_LIMIT],
        (inner.get("UtcTime") or "")[:_TEXT_LIMIT],
        groups.get("Source", {}),
        groups.get("Data", {}),
    )


def device_time(text: str) -> datetime | None:
    """A time that a device wrote, as UTC; None when it is none (quirk 28: `0000-00-00T00:00:00Z`)."""
    try:
        at = datetime.fromisoformat(_HIKVISION.sub(r"\1T\2", text.strip(), count=1))
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


@dataclass(frozen=True, slots=True)
class Times:
    """What a reply says about itself: the device's clock, and how long the subscription lives."""

    current: datetime | None
    termination: datetime | None

    @property
    def life_s(self) -> float | None:
        """Seconds left; None when the device does not say so."""
        if self.current is None or self.termination is None:
            return None
        return (self.termination - self.current).total_seconds()


def times(content: etree._Element) -> Times:
    """CurrentTime and TerminationTime of a reply."""
    return Times(
        device_time(text_of(content, "CurrentTime")),
        device_time(text_of(content, "TerminationTime")),
    )


class EmptyPulls:
    """Replies without a message, known byte for byte but for times and message ids.

    An idle fleet answers with nothing else, hundreds of times a second. Only bytes that lxml has judged an
    empty pull before are believed; any doubt, and lxml decides again.
    """

    _KEPT: Final = 512
    _LONGEST: Final = 4096

    def __init__(self) -> None:
        self._skeletons: set[bytes] = set()

    def __len__(self) -> int:
        return len(self._skeletons)

    def is_known(self, body: bytes) -> bool:
        """True for an empty reply whose like lxml has seen."""
        return len(body) <= self._LONGEST and _DIGITS.sub(b"><", body) in self._skeletons

    def learn(self, body: bytes) -> None:
        """Remember a reply that lxml judged good and without a message."""
        if len(body) <= self._LONGEST and len(self._skeletons) < self._KEPT:
            self._skeletons.add(_DIGITS.sub(b"><", body))

    @staticmethod
    def current(body: bytes) -> datetime | None:
        """CurrentTime of a known reply."""
        found = _CURRENT.search(body)
        return None if found is None else device_time(found[1].decode("ascii"))
