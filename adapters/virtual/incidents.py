"""Checks the incidents of a failed node: one line for one cause (semantics §5)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from adapters.virtual.model import TruthRow
from adapters.virtual.rows import LedgerRows
from gateway.domain.camera import ChannelId
from gateway.domain.ledger import Incident

NODE_KINDS = frozenset({"uplink", "switch"})


@dataclass(frozen=True, slots=True)
class IncidentFinding:
    """What became of one failed node in the ledger.

    Attributes:
        incident: the id of the one visible incident, empty when there is not exactly one.
        absorbed: incidents of nodes below it that were merged into it: allowed, never alerted.
        problems: one sentence each; empty = as it should be.
    """

    kind: str
    node: str
    channels: int
    incident: str
    absorbed: int
    problems: tuple[str, ...]


def check_incidents(truth: Sequence[TruthRow], rows: LedgerRows) -> tuple[IncidentFinding, ...]:
    """Look at every uplink and switch of the truth."""
    return tuple(_check(row, rows) for row in truth if row.kind in NODE_KINDS)


def _check(truth: TruthRow, rows: LedgerRows) -> IncidentFinding:
    channels = set(truth.channels)
    named = {o.incident for o in rows.outages if o.channel in channels and o.incident}
    places = {str(truth.node), *truth.below}
    concerned = [
        i for i in rows.incidents if i.id in named or i.root in places or i.root in channels
    ]
    visible = [i for i in concerned if i.merged_into is None]
    right = [i for i in visible if i.root == truth.node]
    problems = []
    if len(right) != 1:
        problems.append(f"{len(right)} visible incidents at {truth.node}, 1 expected")
    for incident in concerned:
        problems += _stray(incident, truth, channels)
    if len(right) == 1:
        problems += _cover(right[0], truth, rows)
    return IncidentFinding(
        kind=truth.kind,
        node=str(truth.node),
        channels=len(channels),
        incident=right[0].id if len(right) == 1 else "",
        absorbed=len(concerned) - len(visible),
        problems=tuple(problems),
    )


def _stray(incident: Incident[datetime], truth: TruthRow, channels: set[ChannelId]) -> list[str]:
    """No incident of a single channel may ever have existed, nor a visible one elsewhere."""
    if incident.root in channels:
        return [f"a single incident {incident.id} at {incident.root} existed"]
    if incident.merged_into is None and incident.root != truth.node:
        return [f"another incident {incident.id} at {incident.root}"]
    return []


def _cover(incident: Incident[datetime], truth: TruthRow, rows: LedgerRows) -> list[str]:
    """Its children are the node's channels: as counted, and as the outage rows say."""
    said = {o.channel for o in rows.outages if o.incident == incident.id}
    channels = set(truth.channels)
    problems = []
    if missing := channels - said:
        problems.append(f"{len(missing)} channels of {truth.node} are not its children")
    if strangers := said - channels:
        problems.append(f"{len(strangers)} channels elsewhere are its children")
    if incident.children != len(said):
        problems.append(f"it counts {incident.children} children, the rows say {len(said)}")
    return problems
