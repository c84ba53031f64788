"""The network tree and the addresses: core, uplinks, aggregation, access switches, devices.

Every device gets 127.<10 + township>.<switch>.<10 + port on the switch>, so that an address tells
where it hangs; 127.0.0.x is nobody's.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from adapters.virtual import plane
from adapters.virtual.geography import Geography, share_out
from adapters.virtual.names import DISTRICT_CODE
from adapters.virtual.siting import Plan, Unit
from gateway.domain.camera import Division, DivisionCode, Node, NodeId, NodeKind

CORE = NodeId(f"core-{DISTRICT_CODE}")
_DEVICES_PER_SWITCH = 15
_SMALL_TOWNSHIP = 45
_SWITCHES_PER_AGGREGATION = 7
_CARRIERS = (("中国电信", 46), ("中国移动", 30), ("中国联通", 18), ("陕西广电网络", 6))
_MAINTAINERS = ("北片区运维队", "南片区运维队", "西片区运维队", "城区运维队")
"""Made-up maintenance crews by part of the district."""
_COMPASS_NAMES = ("北", "东北", "东", "东南", "南", "西南", "西", "西北")


@dataclass(frozen=True, slots=True)
class Care:
    """Who looks after the devices of a township."""

    maintainer: str
    carrier: str
    contact: str


@dataclass(frozen=True, slots=True)
class Slot:
    """One device to be with its address and the switch it hangs on."""

    unit: Unit
    host: str
    node: NodeId
    township: DivisionCode


@dataclass(frozen=True)
class Network:
    """The tree down to the access switches, and every device's place in it."""

    nodes: tuple[Node, ...]
    slots: tuple[Slot, ...]
    care: Mapping[DivisionCode, Care]
    """By township."""


def build_network(
    seed: int, land: Geography, townships: Mapping[DivisionCode, Division], plan: Plan
) -> Network:
    """Hang all units of a plan on switches; only townships that have cameras get an uplink."""
    rng = Random(f"{seed}:network")
    own = Care("榆阳区运维中心", "区级传输网", _contact(0))
    nodes = [_node(CORE, NodeKind.CORE, "区级核心交换机", None, own)]
    slots: list[Slot] = []
    care: dict[DivisionCode, Care] = {}
    order = {code: index for index, code in enumerate(sorted(townships), start=1)}
    for code, units in plan.units.items():
        care[code] = _care(rng, land.seats[code], order[code])
        branch = _Branch(rng, townships[code], order[code], care[code], land.seats[code])
        branch.hang(land, units)
        nodes += branch.nodes
        slots += branch.slots
    return Network(tuple(nodes), tuple(slots), care)


def _contact(number: int) -> str:
    """A telephone number that nobody has: no exchange of the area starts with 000."""
    return f"0912-000{number:04d}"


def _care(rng: Random, seat: tuple[float, float], number: int) -> Care:
    east, north = seat
    if math.hypot(east, north) < 7000:  # noqa: PLR2004 - metres: the city
        crew = _MAINTAINERS[3]
    elif east < -20_000:  # noqa: PLR2004 - metres: the western towns
        crew = _MAINTAINERS[2]
    else:
        crew = _MAINTAINERS[0] if north > 0 else _MAINTAINERS[1]
    names = [name for name, _ in _CARRIERS]
    carrier = rng.choices(names, weights=[share for _, share in _CARRIERS])[0]
    return Care(crew, carrier, _contact(number))


def _node(id_: NodeId, kind: NodeKind, name: str, parent: NodeId | None, care: Care) -> Node:
    return Node(id_, kind, name, parent, care.maintainer, care.carrier, care.contact)


class _Branch:
    """One township's part of the tree, while it is being built."""

    def __init__(
        self, rng: Random, township: Division, number: int, care: Care, seat: tuple[float, float]
    ) -> None:
        self._rng = rng
        self._township = township
        self._number = number
        self._care = care
        self._seat = seat
        self._uplink = NodeId(f"up-{township.code}")
        name = f"{township.name}上联链路"
        self.nodes = [_node(self._uplink, NodeKind.UPLINK, name, CORE, care)]
        self.slots: list[Slot] = []

    def hang(self, land: Geography, units: Sequence[Unit]) -> None:
        """Split the units, in a circle around the seat, into switches and aggregation nodes."""
        angles = {
            code: plane.bearing_deg(self._seat, land.villages[code].hamlets[0])
            for code in {unit.village for unit in units}
        }
        turned = sorted(units, key=lambda unit: (angles[unit.village], unit.village))
        switches = self._split(len(turned))
        groups = min(4, max(1, round(len(switches) / _SWITCHES_PER_AGGREGATION)))
        waiting = iter(turned)
        serial = 0
        for group, width in enumerate(share_out(len(switches), [1.0] * groups), start=1):
            batches = [
                [next(waiting) for _ in range(size)] for size in switches[serial : serial + width]
            ]
            aggregation = NodeId(f"agg-{self._township.code}-{group}")
            middle = batches[len(batches) // 2][0].village
            name = self._aggregation_name(angles[middle], group, groups)
            self._add(aggregation, NodeKind.AGGREGATION, name, self._uplink)
            for batch in batches:
                serial += 1
                self._switch(land, aggregation, serial, batch)

    def _split(self, devices: int) -> list[int]:
        """Sizes of the access switches: 8 to 24 devices each, but never one switch alone."""
        if devices < _SMALL_TOWNSHIP:
            count = max(2, devices // 8)
            return share_out(devices, [1.0] * count)
        count = round(devices / _DEVICES_PER_SWITCH)
        return share_out(devices, [self._rng.uniform(0.8, 1.25) for _ in range(count)])

    def _aggregation_name(self, angle: float, group: int, groups: int) -> str:
        if groups == 1:
            return f"{self._township.name}汇聚交换机"
        side = _COMPASS_NAMES[int((angle + 22.5) // 45) % 8]
        return f"{self._township.name}{side}{group}号汇聚交换机"

    def _switch(self, land: Geography, parent: NodeId, serial: int, batch: Sequence[Unit]) -> None:
        switch = NodeId(f"acc-{self._township.code}-{serial:02d}")
        village = land.villages[batch[0].village].name
        self._add(switch, NodeKind.ACCESS, f"{village}{serial}号接入交换机", parent)
        for port, unit in enumerate(batch):
            host = f"127.{10 + self._number}.{serial}.{10 + port}"
            self.slots.append(Slot(unit, host, switch, self._township.code))

    def _add(self, id_: NodeId, kind: NodeKind, name: str, parent: NodeId) -> None:
        self.nodes.append(_node(id_, kind, name, parent, self._care))
