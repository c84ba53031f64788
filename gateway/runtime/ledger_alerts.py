"""Incidents of the ledger and blind spots, as alerts tell them.

What may be told (semantics §5): an incident that is not merged, not planned, not of the takeover list. One
that a tamper explains is told as part of that. Lost places belong to the incident that took them; a blind
spot has an alert of its own only where no outage is behind it.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from gateway.domain.alerting.cloudevent import Family, Subject
from gateway.domain.alerting.correlate import Where
from gateway.domain.alerting.marks import blind_spot_mark, outage_mark, places_mark
from gateway.domain.alerting.rules import RuleBook, raised
from gateway.domain.alerting.titles import NODE_DOWN
from gateway.domain.camera import ChannelId, DeviceId, GridId, NodeId, NodeKind
from gateway.domain.coverage.rows import BlindSpot
from gateway.domain.event import EventKind, Severity
from gateway.domain.ledger import Changes, Incident, Outage
from gateway.domain.observation import OutageCause
from gateway.runtime.atlas import Atlas

OUTAGE_CAUSES = frozenset(OutageCause)


@dataclass(slots=True)
class Known:
    """An open incident of the ledger.

    Attributes:
        channels: those that are out, with the reason chain of each.
        ever: those it ever took.
        outages: the ids of their open rows.
    """

    row: Incident[datetime]
    channels: dict[ChannelId, tuple[str, ...]] = field(default_factory=dict)
    ever: set[ChannelId] = field(default_factory=set)
    outages: set[str] = field(default_factory=set)


class LedgerAlerts:
    """The open incidents of the ledger with what they took along.

    Args:
        atlas: where things are.
        book: severities.
    """

    def __init__(self, atlas: Atlas, book: RuleBook) -> None:
        self.atlas = atlas
        self.book = book
        self.open: dict[str, Known] = {}
        self._incident_of: dict[str, str] = {}
        self._by_root: dict[NodeId | ChannelId, str] = {}
        self._lost: dict[str, dict[str, BlindSpot]] = defaultdict(dict)
        """Blind spots by outage row."""
        self._early: dict[str, dict[str, Outage[datetime]]] = {}
        """Outages whose incident is not known yet, by incident (a restart)."""

    def restore(self, outages: Iterable[Outage[datetime]]) -> None:
        """The open outages of before a restart."""
        self._outages(outages)

    def take(self, changes: Changes[datetime]) -> tuple[list[Known], list[Known]]:
        """Take a batch; returns the incidents that changed, and those that ended or were merged."""
        touched = self._outages(changes.outages)
        over: list[Known] = []
        for row in changes.incidents:
            known = self._known(row)
            if row.ended_at is not None or row.merged_into is not None:
                over.append(known)
                self._forget(row.id)
                touched.discard(row.id)
            else:
                self._by_root[row.root] = row.id
                touched.add(row.id)
        return [self.open[key] for key in sorted(touched) if key in self.open], over

    def _outages(self, outages: Iterable[Outage[datetime]]) -> set[str]:
        touched = set()
        for outage in outages:
            before = self._incident_of.get(outage.id)
            if before is not None and before != outage.incident:
                self._leave(before, outage)
            if outage.incident is None:
                continue
            touched.add(outage.incident)
            if outage.ended_at is not None:
                self._leave(outage.incident, outage)
                self._lost.pop(outage.id, None)
                continue
            self._incident_of[outage.id] = outage.incident
            known = self.open.get(outage.incident)
            if known is None:
                self._early.setdefault(outage.incident, {})[outage.id] = outage
            else:
                _enter(known, outage)
        return touched

    def _known(self, row: Incident[datetime]) -> Known:
        known = self.open.get(row.id)
        if known is None:
            known = self.open[row.id] = Known(row)
            for outage in self._early.pop(row.id, {}).values():
                _enter(known, outage)
        known.row = row
        return known

    def _leave(self, incident: str, outage: Outage[datetime]) -> None:
        self._incident_of.pop(outage.id, None)
        early = self._early.get(incident, {})
        if early.pop(outage.id, None) is not None and not early:
            del self._early[incident]
        known = self.open.get(incident)
        if known is not None:
            known.channels.pop(outage.channel, None)
            known.outages.discard(outage.id)

    def _forget(self, incident: str) -> None:
        known = self.open.pop(incident)
        for outage in known.outages:
            if self._incident_of.get(outage) == incident:
                del self._incident_of[outage]
        if self._by_root.get(known.row.root) == incident:
            del self._by_root[known.row.root]

    def incident_above(self, nodes: Iterable[NodeId]) -> str | None:
        """The open incident of the nearest of some nodes that is down."""
        return next((self._by_root[node] for node in nodes if node in self._by_root), None)

    # --- blind spots

    def take_blind(self, rows: Iterable[BlindSpot]) -> tuple[set[str], list[BlindSpot]]:
        """Take blind spots.

        Returns:
            The incidents whose lost places changed, and the spots that stand for themselves.
        """
        touched, own = set(), []
        for row in rows:
            if row.cause not in OUTAGE_CAUSES:
                own.append(row)
                continue
            if row.ended_at is None:
                self._lost[row.outage][row.id] = row
            elif self._lost.get(row.outage, {}).pop(row.id, None) and not self._lost[row.outage]:
                del self._lost[row.outage]
            incident = self._incident_of.get(row.outage)
            if incident in self.open:
                touched.add(str(incident))
        return touched, own

    # --- as told

    def kind(self, row: Incident[datetime]) -> EventKind:
        """A lost uplink, or an outage."""
        node = self.atlas.inventory.nodes.get(NodeId(row.root))
        if node is None or node.kind is NodeKind.DEVICE:
            return EventKind.OUTAGE
        return EventKind.UPLINK_LOST

    def where(self, row: Incident[datetime]) -> Where:
        """Where the device of a single outage is; a network node has no place."""
        if self.kind(row) is EventKind.UPLINK_LOST:
            return Where()
        channel = ChannelId(row.root) if row.root in self.atlas.inventory.cameras else None
        return self.atlas.where_channel(channel, None if channel else DeviceId(row.root))

    def subject(self, known: Known) -> Subject:
        """What is told about an incident now."""
        row, atlas = known.row, self.atlas
        kind = self.kind(row)
        ever = known.ever or set(self._own_channels(row))
        area, cameras = atlas.area_of_channels(ever), atlas.inventory.cameras
        cells = {cameras[one].grid for one in ever if one in cameras}
        severity = self.book.kind(kind).severity
        raise_at = self.book.kind(kind).raise_at
        if raise_at and row.children >= raise_at:
            severity = raised(severity)
        lost = [spot for outage in sorted(known.outages) for spot in self._lost_of(outage)]
        places = list(dict.fromkeys(place for spot in lost for place in spot.places))
        links = atlas.cells_of_channels(ever)
        where = self.where(row)
        data = {
            "place": atlas.place_of_area(area, where, links[0].grid if links else GridId("")),
            "links": atlas.tell_links(links),
            "source": self._source(row),
            "channels": sorted(known.channels),
            "counts": {"channels": row.children, "open_channels": row.open_children},
            "cause": str(row.cause),
            "reasons": list(next(iter(known.channels.values()), ())),
            "lost_places": atlas.tell_places(places),
            "split_from": row.split_from,
            "merged_into": row.merged_into,
        }
        return Subject(
            key=row.id,
            family=Family.OUTAGE,
            kind=kind,
            severity=severity,
            area=area,
            noticed_at=row.confirmed_at,
            began_after_at=row.began_after_at,
            began_at=row.began_at,
            last_at=None,
            ended_at=row.ended_at,
            title=self._title(row, kind),
            data=data,
            mark=outage_mark(severity, row.root, row.cause, row.children),
            grid=next(iter(cells)) if len(cells) == 1 else "",
            urgent=places_mark(places),
        )

    def _lost_of(self, outage: str) -> Iterable[BlindSpot]:
        return self._lost.get(outage, {}).values()

    def _own_channels(self, row: Incident[datetime]) -> Iterable[ChannelId]:
        if row.root in self.atlas.inventory.cameras:
            return [ChannelId(row.root)]
        return []

    def _source(self, row: Incident[datetime]) -> Mapping[str, Any]:
        inventory = self.atlas.inventory
        node = inventory.nodes.get(NodeId(row.root))
        if node is not None:
            return {"type": "node", "id": row.root, "name": node.name}
        camera = inventory.cameras.get(ChannelId(row.root))
        kind = "channel" if camera is not None else "device"
        return {"type": kind, "id": row.root, "name": camera.name if camera is not None else ""}

    def _title(self, row: Incident[datetime], kind: EventKind) -> str:
        name = self._source(row)["name"] or row.root
        if kind is EventKind.UPLINK_LOST:
            node = self.atlas.inventory.nodes[NodeId(row.root)]
            return f"{NODE_DOWN[node.kind]}：{name}，{row.children} 路离线"
        return f"监控离线：{name}"

    def blind_subject(self, row: BlindSpot) -> Subject:
        """A blind spot that stands for itself."""
        atlas = self.atlas
        area = atlas.area_of_channels([row.channel])
        where = atlas.where_channel(row.channel)
        places = atlas.tell_places(row.places)
        severity = self.book.kind(EventKind.BLIND_SPOT).severity if row.places else Severity.INFO
        names = "、".join(place["name"] or place["place"] for place in places[:3])
        data = {
            "place": atlas.place_of_area(area, where, row.grids[0] if row.grids else GridId("")),
            "links": atlas.tell_links(atlas.cells.seen(row.grids)),
            "source": {"type": "channel", "id": row.channel, "name": ""},
            "channels": [row.channel, *row.joint],
            "cause": row.cause,
            "lost_places": places,
            "area_m2": round(row.area_now_m2, 1),
            "weight": row.weight,
        }
        return Subject(
            key=row.id,
            family=Family.BLIND_SPOT,
            kind=EventKind.BLIND_SPOT,
            severity=severity,
            area=area,
            noticed_at=row.opened_at,
            began_after_at=row.last_seen_at,
            began_at=row.failed_at,
            last_at=row.observed_until_at,
            ended_at=row.ended_at,
            title=f"重点部位失去监控：{names}" if names else "监控盲区",
            data=data,
            mark=blind_spot_mark(severity),
            urgent=places_mark(row.places),
            grid=row.grids[0] if len(row.grids) == 1 else "",
        )


def _enter(known: Known, outage: Outage[datetime]) -> None:
    known.channels[outage.channel] = outage.reason
    known.ever.add(outage.channel)
    known.outages.add(outage.id)
