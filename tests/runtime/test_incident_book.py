"""How incidents grow, merge, split and end."""

from collections.abc import Sequence

from gateway.domain.camera import ChannelId, DeviceId, Node, NodeId, NodeKind
from gateway.domain.ledger import Ending, Outage
from gateway.domain.observation import Instant, OutageCause
from gateway.domain.root_cause import NodeWatch, RootCause, RootRules
from gateway.runtime.incidents import Case, IncidentBook

REROOT_S = 60.0


class Desk:
    """A core, an uplink, two switches `a` and `b` with three cameras each."""

    def __init__(self) -> None:
        nodes = [
            Node(NodeId("core"), NodeKind.CORE, "core", None),
            Node(NodeId("up"), NodeKind.UPLINK, "up", NodeId("core")),
            Node(NodeId("a"), NodeKind.ACCESS, "a", NodeId("up")),
            Node(NodeId("b"), NodeKind.ACCESS, "b", NodeId("up")),
        ]
        places: list[tuple[DeviceId, Sequence[NodeId], Sequence[ChannelId]]] = [
            (
                DeviceId(f"{s}{i}"),
                [NodeId(s), NodeId("up"), NodeId("core")],
                [ChannelId(f"{s}{i}")],
            )
            for s in "ab"
            for i in range(3)
        ]
        self.root = RootCause({n.id: n for n in nodes}, places, RootRules())
        self.book = IncidentBook(lambda kind, who, at: f"{kind}/{who}/{at:g}", REROOT_S)

    def watch(self, name: str) -> NodeWatch:
        return self.root.watches[NodeId(name)]

    def outage(self, name: str, failed: float, seen: float | None = None) -> Outage[Instant]:
        self.root.bad(DeviceId(name), ChannelId(name), Instant(failed), first=True)
        at = Instant(failed)
        last = Instant(failed - 20.0 if seen is None else seen)
        return Outage(f"o-{name}", ChannelId(name), OutageCause.TIMEOUT, last, at, at, at)

    def single(self, name: str, failed: float) -> Case:
        return self.book.open_single(self.outage(name, failed), Instant(failed + 40))

    def node(self, name: str, failed: float, now: float) -> Case:
        return self.book.open_node(self.watch(name), Instant(failed), Instant(now))


def test_a_node_takes_in_younger_singles_and_the_oldest_keeps_its_id() -> None:
    desk = Desk()
    first = desk.single("a0", 100.0)
    second = desk.single("a1", 105.0)
    first_id, second_id = first.row.id, second.row.id
    case = desk.node("a", 100.0, 150.0)
    assert case is first
    assert (case.row.id, case.row.root, case.row.cause) == (first_id, "a", OutageCause.UPLINK)
    assert (case.row.children, case.row.open_children) == (2, 2)
    changed = {row.id: row for row in desk.book.take()}
    assert changed[second_id].merged_into == first_id
    assert changed[second_id].ending is Ending.MERGED
    assert set(desk.book.cases) == {first_id}
    assert desk.book.of_channel[ChannelId("a1")] is case


def test_bounds_of_a_merged_incident_cover_its_children() -> None:
    desk = Desk()
    desk.single("a0", 100.0)
    desk.single("a1", 95.0)
    case = desk.node("a", 95.0, 150.0)
    assert (case.row.began_after_at, case.row.began_at) == (80.0, 95.0)


def test_a_switch_is_taken_in_by_its_uplink() -> None:
    desk = Desk()
    switch = desk.node("a", 100.0, 112.0)
    for name in ("a0", "a1", "a2"):
        desk.book.join(switch, desk.outage(name, 100.0))
    switch_id = switch.row.id
    case = desk.node("up", 100.0, 130.0)
    assert case.row.id == switch_id
    assert case.row.root == "up"
    assert set(desk.book.of_node) == {"up"}
    assert case.row.children == 3


def test_an_incident_older_than_two_cadences_stays_what_it_is() -> None:
    desk = Desk()
    old = desk.single("a0", 100.0)
    case = desk.node("a", 100.0, 140.0 + REROOT_S + 1)
    assert case is not old
    assert old.row.merged_into is None


def test_what_began_before_the_last_good_answer_has_a_cause_of_its_own() -> None:
    desk = Desk()
    alone = desk.single("a0", 100.0)
    desk.root.good(DeviceId("a1"), ChannelId("a1"), Instant(110.0))
    desk.outage("a1", 130.0)
    case = desk.node("a", 130.0, 145.0)
    assert case is not alone
    assert alone.row.merged_into is None


def test_a_node_that_fails_again_before_it_recovered_is_the_same_incident() -> None:
    desk = Desk()
    case = desk.node("a", 100.0, 112.0)
    case.recovering = Instant(120.0)
    assert desk.node("a", 121.0, 135.0) is case
    assert case.recovering is None


def test_a_part_that_splits_off_never_has_the_id_of_the_whole() -> None:
    desk = Desk()
    whole = desk.single("a0", 100.0)
    desk.node("a", 100.0, 150.0)
    part = desk.book.open_single(desk.outage("a0", 100.0), Instant(300.0), split_from=whole.row.id)
    assert part.row.id != whole.row.id
    assert part.row.split_from == whole.row.id
    desk.book.end(whole, Instant(240.0), Ending.SPLIT)
    assert set(desk.book.cases) == {part.row.id}
    assert desk.book.of_channel[ChannelId("a0")] is part


def test_joining_twice_counts_once() -> None:
    desk = Desk()
    case = desk.node("a", 100.0, 112.0)
    row = desk.outage("a0", 100.0)
    desk.book.join(case, row)
    desk.book.join(case, row)
    assert case.row.children == 1


def test_the_last_member_that_leaves_ends_the_incident() -> None:
    desk = Desk()
    case = desk.node("a", 100.0, 112.0)
    for name in ("a0", "a1"):
        desk.book.join(case, desk.outage(name, 100.0))
    desk.book.leave(ChannelId("a0"), Instant(200.0), Ending.RECOVERED)
    assert (case.row.open_children, case.row.ended_at) == (1, None)
    desk.book.leave(ChannelId("a1"), Instant(201.0), Ending.RECOVERED)
    assert (case.row.open_children, case.row.ended_at) == (0, 201.0)
    assert case.row.children == 2
    desk.book.leave(ChannelId("a1"), Instant(202.0), Ending.RECOVERED)
    assert not any((desk.book.cases, desk.book.of_channel, desk.book.of_node))


def test_changed_rows_are_taken_once() -> None:
    desk = Desk()
    desk.single("a0", 100.0)
    assert len(desk.book.take()) == 1
    assert desk.book.take() == ()
