"""The incidents (故障单) that are open: who belongs to which, how they grow, merge, split and end."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from gateway.domain.camera import ChannelId, NodeId, NodeKind
from gateway.domain.ledger import Ending, Incident, Outage
from gateway.domain.observation import Instant, OutageCause
from gateway.domain.root_cause import NodeWatch

RowId = Callable[[str, str, Instant], str]
"""Makes the stable id of a row from its kind, its subject and its beginning."""


@dataclass(slots=True)
class Case:
    """An open incident and its members.

    Attributes:
        members: channels below it that are still out.
        recovering: since when its root answers again; what is still out two cadences later splits off.
    """

    row: Incident[Instant]
    node: NodeWatch | None
    members: set[ChannelId] = field(default_factory=set)
    recovering: Instant | None = None


class IncidentBook:
    """Open incidents by id. Rows that changed are collected in `changed` until taken.

    Invariant: a channel is a member of at most one open case.
    """

    def __init__(self, row_id: RowId, reroot_s: float) -> None:
        self.row_id = row_id
        self.reroot_s = reroot_s
        self.cases: dict[str, Case] = {}
        self.of_channel: dict[ChannelId, Case] = {}
        self.of_node: dict[NodeId, Case] = {}
        self.changed: dict[str, Incident[Instant]] = {}

    def take(self) -> tuple[Incident[Instant], ...]:
        """The rows that changed since the last call."""
        rows = tuple(self.changed.values())
        self.changed.clear()
        return rows

    def restore(self, row: Incident[Instant], node: NodeWatch | None) -> Case:
        """Go on with an incident that was open before a restart (told anew: readers start empty)."""
        case = self._add(Case(row, node))
        if node is not None:
            self.of_node[node.node.id] = case
        return case

    def open_single(
        self, outage: Outage[Instant], now: Instant, split_from: str | None = None
    ) -> Case:
        """An incident of one channel."""
        row = Incident(
            id=self._id(outage.channel, outage.failed_at, split_from),
            root=outage.channel,
            cause=outage.cause,
            began_after_at=outage.last_seen_at,
            began_at=outage.failed_at,
            confirmed_at=now,
            children=0,
            open_children=0,
            split_from=split_from,
        )
        case = self._add(Case(row, None))
        self.join(case, outage)
        return case

    def open_node(
        self, watch: NodeWatch, failed: Instant, now: Instant, split_from: str | None = None
    ) -> Case:
        """The incident of a node that is down; younger incidents below it are taken in.

        The oldest of them that is younger than two cadences keeps its id and is re-rooted upward.
        """
        known = self.of_node.get(watch.node.id)
        if known is not None:
            # It failed again before its recovery was complete.
            known.recovering = None
            return known
        device = watch.node.kind is NodeKind.DEVICE
        cause = OutageCause.UNREACHABLE if device else OutageCause.UPLINK
        young = [] if split_from else self._young_below(watch, now)
        if young:
            case = min(young, key=lambda c: (c.row.confirmed_at, c.row.id))
            if case.node is not None:
                self.of_node.pop(case.node.node.id, None)
            case.node, case.recovering = watch, None
            self._put(case, replace(case.row, root=watch.node.id, cause=cause))
            for other in young:
                if other is not case:
                    self._merge(other, case, now)
        else:
            row = Incident(
                id=self._id(watch.node.id, failed, split_from),
                root=watch.node.id,
                cause=cause,
                began_after_at=None,
                began_at=failed,
                confirmed_at=now,
                children=0,
                open_children=0,
                split_from=split_from,
            )
            case = self._add(Case(row, watch))
        self.of_node[watch.node.id] = case
        return case

    def _id(self, subject: str, at: Instant, split_from: str | None) -> str:
        """A part that splits off has an id of its own: the whole may have grown from it."""
        return self.row_id("incident", f"{subject}/{split_from}" if split_from else subject, at)

    def join(self, case: Case, outage: Outage[Instant]) -> None:
        """A channel belongs to a case from now on."""
        old = self.of_channel.get(outage.channel)
        if old is case:
            return
        if old is not None:
            old.members.discard(outage.channel)
        case.members.add(outage.channel)
        self.of_channel[outage.channel] = case
        row = case.row
        after = row.began_after_at
        if outage.last_seen_at is not None:
            after = outage.last_seen_at if after is None else max(after, outage.last_seen_at)
        self._put(
            case,
            replace(
                row,
                began_after_at=after,
                began_at=min(row.began_at, outage.failed_at),
                children=row.children + 1,
                open_children=len(case.members),
            ),
        )

    def leave(self, channel: ChannelId, ended: Instant, ending: Ending) -> None:
        """A channel is back (or gone); the last one ends the incident."""
        case = self.of_channel.pop(channel, None)
        if case is None:
            return
        case.members.discard(channel)
        self._put(case, replace(case.row, open_children=len(case.members)))
        if not case.members:
            self.end(case, ended, ending)

    def end(self, case: Case, ended: Instant, ending: Ending) -> None:
        """Close an incident."""
        self._put(case, replace(case.row, ended_at=ended, ending=ending, open_children=0))
        self._remove(case)

    def _merge(self, other: Case, into: Case, now: Instant) -> None:
        moved = set(other.members)
        for channel in moved:
            self.of_channel[channel] = into
        into.members |= moved
        other.members.clear()
        row = into.row
        starts = [at for at in (row.began_after_at, other.row.began_after_at) if at is not None]
        self._put(
            into,
            replace(
                row,
                began_after_at=max(starts, default=None),
                began_at=min(row.began_at, other.row.began_at),
                children=row.children + len(moved),
                open_children=len(into.members),
            ),
        )
        merged = replace(
            other.row, merged_into=row.id, ended_at=now, ending=Ending.MERGED, open_children=0
        )
        self._put(other, merged)
        self._remove(other)

    def _young_below(self, watch: NodeWatch, now: Instant) -> list[Case]:
        nodes = [self.of_node[w.node.id] for w in watch.below() if w.node.id in self.of_node]
        singles = [
            case
            for channel in watch.uncontradicted()
            if (case := self.of_channel.get(channel)) is not None and case.node is None
        ]
        found: Iterable[Case] = {id(case): case for case in (*nodes, *singles)}.values()
        return [
            case
            for case in found
            # What began before the last good answer from below has a cause of its own.
            if case.row.began_at > watch.good_started
            and now - case.row.confirmed_at <= self.reroot_s
        ]

    def _add(self, case: Case) -> Case:
        self.cases[case.row.id] = case
        self.changed[case.row.id] = case.row
        return case

    def _put(self, case: Case, row: Incident[Instant]) -> None:
        case.row = row
        self.changed[row.id] = row

    def _remove(self, case: Case) -> None:
        self.cases.pop(case.row.id, None)
        if case.node is not None and self.of_node.get(case.node.node.id) is case:
            del self.of_node[case.node.node.id]
