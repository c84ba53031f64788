"""What the truth owes to whom: its intervals channel by channel, and by which rules they count.

Pure. The rules are those of semantics §10.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from adapters.virtual.model import TruthRow
from adapters.virtual.truth import when
from gateway.domain.camera import ChannelId

OUTAGE: Final = "outage"
TAKEOVER: Final = "takeover"
"""Never answered."""
STANDING: Final = "standing"
"""Never answered well."""
FAULT_KINDS: Final = frozenset({"fault", STANDING})


class Weight(StrEnum):
    """What the ledger owes to a truth interval."""

    DUE = "due"
    OPTIONAL = "optional"
    FORBIDDEN = "forbidden"


@dataclass(frozen=True, slots=True)
class WatchedSpan:
    """What was compared: from the begin of the script to its end, and all channels in use."""

    began: datetime
    ended: datetime
    channels: frozenset[ChannelId]


@dataclass(frozen=True, slots=True)
class Rules:
    """The limits of the comparison, seconds. The defaults are those of semantics §10.

    Attributes:
        due_s: a truth interval of at least this length, begun at least so long before the end.
        dip_s: below this length no row may exist.
        tolerance_s: how far a true time may be outside its bounds.
        cadence_s / signed_cadence_s: of the steps that find things; a width may be `width_slack_s`
            more.
        voided_s: what a recorded stall of the gateway's loop may add to a width beside its own length: a
            check that it voided, and the pause before the device is asked again (docs/adr/0008).
        blind_slack_s: how far a gateway gap may reach beyond the scripted blindness: nobody can
            know of it before a check has failed, or of its end before one was answered.
        untouched: so many channels must have been left alone by the script.
        single_cause_incidents: check the incidents of the uplink and the switch.
    """

    due_s: float = 60.0
    dip_s: float = 10.0
    tolerance_s: float = 1.0
    cadence_s: float = 30.0
    signed_cadence_s: float = 3600.0
    width_slack_s: float = 3.0
    voided_s: float = 4.0
    blind_slack_s: float = 5.0
    untouched: int = 0
    single_cause_incidents: bool = True

    @classmethod
    def scaled(cls, scale: float, *, cadence_s: float, untouched: int = 0) -> "Rules":
        """The rules for a script whose durations were scaled; tolerances stay as they are."""
        return cls(due_s=60.0 * scale, dip_s=10.0 * scale, cadence_s=cadence_s, untouched=untouched)


@dataclass(frozen=True, slots=True)
class Interval:
    """One truth interval of one channel."""

    channel: ChannelId
    kind: str
    """What a row of it is: `outage`, or the cause of a fault."""
    began: datetime
    ended: datetime | None
    weight: Weight
    source: TruthRow


def _weight(began: datetime, ended: datetime | None, span: WatchedSpan, rules: Rules) -> Weight:
    length = ((ended or span.ended) - began).total_seconds()
    if ended is not None and length < rules.dip_s:
        return Weight.FORBIDDEN
    before_end = (span.ended - began).total_seconds()
    due = length >= rules.due_s and before_end >= rules.due_s
    return Weight.DUE if due else Weight.OPTIONAL


def intervals(truth: Iterable[TruthRow], span: WatchedSpan, rules: Rules) -> list[Interval]:
    """The truth channel by channel; the blindness is no interval of a channel."""
    found = []
    for row in truth:
        if row.kind == "blind":
            continue
        began = when(row.began)
        ended = when(row.ended) if row.ended else None
        weight = Weight.FORBIDDEN if row.kind == "dip" else _weight(began, ended, span, rules)
        kind = row.cause if row.kind in FAULT_KINDS else OUTAGE
        found += [Interval(c, kind, began, ended, weight, row) for c in row.channels]
    return found
