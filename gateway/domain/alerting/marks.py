"""What of an incident is worth telling again, and how a stored message shows which of it was told.

After a restart what stands is compared with what the newest message said, so that a step which waited for its
turn (semantics §9) at a crash is told after it.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from gateway.domain.alerting.cloudevent import TEXT_MOST, Family
from gateway.domain.alerting.rows import Body

SAID = (
    "severity",
    "reasons",
    "counts",
    "source",
    "cause",
    "lost_places",
    "lost_places_total",
    "escalation",
)
"""Members of a message's `data` that show what it told."""


def incident_mark(severity: str, note: str, signals: int) -> str:
    """Of an event incident: its severity, why that was raised, and the order of its number of signals."""
    return f"{severity} {note[: TEXT_MOST - 1]} {signals.bit_length()}"


def outage_mark(severity: str, root: str, cause: str, channels: int) -> str:
    """Of an incident of the ledger: its severity, root and cause, and the order of its size."""
    return f"{severity} {root} {cause} {channels.bit_length()}"


def blind_spot_mark(severity: str) -> str:
    """Of a blind spot that stands for itself; its places are urgent."""
    return str(severity)


def places_mark(places: Iterable[str]) -> str:
    """Of lost places, in any order."""
    return " ".join(sorted(set(places)))


class Marks(NamedTuple):
    """What a message told.

    Attributes:
        mark: as `Subject.mark`; None = it does not show.
        urgent: as `Subject.urgent`, with the escalation; None = it does not show, or cannot be compared.
    """

    mark: str | None = None
    urgent: str | None = None


def marks_in(message: Body) -> Marks:
    """What a stored message told, from its `type` and the members `SAID` of its `data`."""
    family = str(message.get("type", "")).removeprefix("cn.sightline.").partition(".")[0]
    data = message.get("data")
    if not isinstance(data, Mapping):
        return Marks()
    try:
        return _marks(family, data)
    except (KeyError, TypeError, AttributeError):
        return Marks()  # of another version: as if what stands now had been told


def _marks(family: str, data: Mapping[str, Any]) -> Marks:
    severity = data["severity"]
    escalation = data["escalation"] or ""
    if family == Family.INCIDENT:
        note = "".join(data["reasons"][:1])
        return Marks(incident_mark(severity, note, data["counts"]["signals"]), escalation)
    if family == Family.OUTAGE:
        # Which places it took is known only when coverage has told them again: not comparable before.
        root, channels = data["source"]["id"], data["counts"]["channels"]
        return Marks(outage_mark(severity, root, data["cause"], channels))
    if family == Family.BLIND_SPOT:
        places = [place["place"] for place in data["lost_places"]]
        whole = len(places) == data["lost_places_total"]  # a long list is cut in the message
        urgent = places_mark(places) + escalation if whole else None
        return Marks(blind_spot_mark(severity), urgent)
    return Marks()
