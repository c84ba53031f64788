"""Which common node explains these failures."""

from gateway.domain.camera import ChannelId, DeviceId, Node, NodeId, NodeKind
from gateway.domain.observation import Instant
from gateway.domain.root_cause import NEVER, NodeWatch, RootCause, RootRules, Round

RULES = RootRules()


class Tree:
    """Core, uplinks `e` and `w`; access switches below `e`; cameras `a1` at switch `a`."""

    def __init__(self, switches: dict[str, int] | None = None, rules: RootRules = RULES) -> None:
        switches = switches or {"a": 4, "b": 4}
        nodes = [
            _node("core", NodeKind.CORE, None),
            _node("e", NodeKind.UPLINK, "core"),
            _node("w", NodeKind.UPLINK, "core"),
        ]
        places = [(DeviceId("w1"), ids("w", "core"), (ChannelId("w1"),))]
        for switch, count in switches.items():
            nodes.append(_node(switch, NodeKind.ACCESS, "e"))
            for i in range(1, count + 1):
                name = f"{switch}{i}"
                places.append((DeviceId(name), ids(switch, "e", "core"), (ChannelId(name),)))
        self.root = RootCause({n.id: n for n in nodes}, places, rules)
        self.witness = True
        self.rounds: list[Round] = []

    def bad(self, at: float, *names: str, first: bool = True) -> None:
        for name in names:
            self.root.bad(DeviceId(name), ChannelId(name), Instant(at), first=first)

    def good(self, at: float, *names: str) -> list[str]:
        found: list[NodeWatch] = []
        for name in names:
            found += self.root.good(DeviceId(name), ChannelId(name), Instant(at))
        return [watch.node.id for watch in found]

    def step(self, at: float) -> list[str]:
        rounds, down = self.root.step(Instant(at), lambda _watch, _at: self.witness)
        self.rounds += rounds
        return [watch.node.id for watch in down]

    def watch(self, name: str) -> NodeWatch:
        return self.root.watches[NodeId(name)]

    def on_trial(self) -> set[str]:
        return {w.node.id for w in self.root.watches.values() if w.trial is not None}

    def play(self, start: float, until: float, alive: set[str]) -> list[str]:
        """Every device that is asked answers 0.1 s later, or fails when it is not `alive`."""
        down: list[str] = []
        at = start
        while at < until:
            asked = len(self.rounds)
            down += self.step(at)
            for round_ in self.rounds[asked:]:
                for device in round_.devices:
                    if device in alive:
                        self.good(at + 0.1, device)
                    else:
                        self.bad(at + 0.1, device, first=False)
            at += 0.25
        return down


def ids(*names: str) -> list[NodeId]:
    return [NodeId(name) for name in names]


def _node(name: str, kind: NodeKind, parent: str | None) -> Node:
    return Node(NodeId(name), kind, name, None if parent is None else NodeId(parent))


def test_three_suspects_within_ten_seconds_accuse_their_node() -> None:
    tree = Tree()
    tree.bad(100.0, "a1")
    tree.bad(104.0, "a2")
    tree.step(104.1)
    assert tree.on_trial() == set()
    tree.bad(109.0, "a3")
    tree.step(109.1)
    assert tree.on_trial() == {"a", "e", "core"}


def test_suspects_further_apart_accuse_nobody() -> None:
    tree = Tree()
    for i, at in enumerate((100.0, 108.0, 116.0)):
        tree.bad(at, f"a{i + 1}")
        tree.step(at)
    assert tree.on_trial() == set()


def test_all_channels_are_enough_where_there_are_fewer_than_three() -> None:
    tree = Tree({"a": 2, "b": 4})
    tree.bad(100.0, "a1", "a2")
    tree.step(100.1)
    assert tree.on_trial() == {"a"}


def test_a_node_with_one_channel_is_never_accused() -> None:
    tree = Tree({"a": 1, "b": 4})
    tree.bad(100.0, "a1")
    tree.step(100.1)
    assert tree.on_trial() == set()


def test_an_older_suspect_that_others_contradict_does_not_count() -> None:
    tree = Tree()
    tree.bad(100.0, "a1")
    tree.good(101.0, "a4")
    tree.bad(102.0, "a2", "a3")
    tree.step(102.1)
    assert "a" not in tree.on_trial()


def test_a_round_asks_at_most_16_spread_over_the_child_nodes() -> None:
    tree = Tree({s: 4 for s in "abcdefgh" if s != "e"} | {"x": 4, "y": 4})
    tree.bad(100.0, "a1", "b1", "c1")
    tree.step(100.1)
    (asked,) = [r for r in tree.rounds if r.node == "e"]
    assert len(asked.devices) == 16
    assert {d[0] for d in asked.devices} == set("abcdfghxy")


def test_devices_that_hang_on_the_node_itself_are_asked_too() -> None:
    tree = Tree({"a": 2, "b": 1})
    assert tree.root.siblings(tree.watch("e")) == ("a1", "b1", "a2")
    assert tree.root.siblings(tree.watch("w")) == ("w1",)


def test_three_failed_rounds_over_ten_seconds_convict() -> None:
    tree = Tree()
    tree.bad(100.0, "a1", "a2", "a3")
    down = tree.play(100.1, 109.9, alive={"b1", "b2", "b3", "b4", "w1"})
    assert down == []
    down = tree.play(110.0, 112.0, alive={"b1", "b2", "b3", "b4", "w1"})
    assert down == ["a"]
    assert tree.watch("a").down_since == 100.0
    assert [r.node for r in tree.rounds].count(NodeId("a")) == 3


def test_one_good_answer_from_below_acquits() -> None:
    tree = Tree()
    tree.bad(100.0, "a1", "a2", "a3")
    assert tree.play(100.1, 140.0, alive={"a4", "b1", "w1"}) == []
    assert tree.watch("a").down_since is None


def test_a_good_answer_that_started_before_the_failure_does_not_acquit() -> None:
    tree = Tree()
    tree.bad(100.0, "a1", "a2", "a3")
    tree.step(100.1)
    tree.good(99.9, "a4")
    tree.step(100.3)
    assert "a" in tree.on_trial()


def test_the_topmost_node_that_explains_all_is_blamed() -> None:
    tree = Tree()
    tree.bad(100.0, "a1", "a2", "a3", "a4", "b1", "b2", "b3", "b4")
    assert tree.play(100.1, 112.0, alive={"w1"}) == ["e"]
    assert tree.on_trial() == set()
    assert tree.root.down_above(DeviceId("a1")) is tree.watch("e")


def test_the_verdict_on_an_elder_comes_first() -> None:
    tree = Tree()
    tree.bad(100.0, "a1", "a2", "a3", "a4")
    tree.bad(104.0, "b1")
    # The uplink is accused by the same three; a witness is there for the switch only.
    tree.root.step(Instant(104.1), lambda _watch, _at: True)
    assert tree.on_trial() == {"a", "e", "core"}
    assert tree.root.accused_above(DeviceId("b1"))
    asked: list[Round] = []
    down: list[str] = []
    for quarter in range(60):
        at = Instant(104.25 + quarter / 4)
        rounds, found = tree.root.step(at, lambda watch, _at: watch.node.id == "a")
        down += [watch.node.id for watch in found]
        asked += rounds
        tree.bad(at, "a1", "a2", "a3", "a4", first=False)
    assert down == []
    tree.good(130.0, "b1", "w1")
    assert tree.step(130.1) == ["a"]


def test_without_a_witness_nobody_is_convicted() -> None:
    tree = Tree()
    tree.witness = False
    tree.bad(100.0, "a1", "a2", "a3", "a4", "b1", "b2", "b3", "b4")
    assert tree.play(100.1, 135.0, alive=set()) == []


def test_a_witness_counts_from_the_next_round_on() -> None:
    tree = Tree()
    tree.witness = False
    everybody = [f"{s}{i}" for s in "ab" for i in range(1, 5)]
    tree.bad(100.0, *everybody)
    tree.play(100.1, 114.0, alive=set())
    tree.witness = True
    assert tree.step(114.0) == []
    # It was the gateway: the next round is answered.
    assert tree.play(114.25, 130.0, alive={*everybody, "w1"}) == []
    assert tree.watch("e").down_since is None


def test_an_acquitted_node_rests_and_may_be_accused_again() -> None:
    tree = Tree()
    tree.bad(100.0, "a1", "a2", "a3")
    tree.step(100.1)
    tree.good(100.2, "a4")
    tree.step(100.3)
    assert "a" not in tree.on_trial()
    for name in ("a1", "a2", "a3"):
        tree.root.forget(DeviceId(name), ChannelId(name))
    tree.bad(101.0, "a1", "a2", "a3")
    tree.step(101.1)
    assert "a" not in tree.on_trial()
    tree.step(105.4)
    assert "a" in tree.on_trial()


def test_a_trial_whose_devices_cannot_be_asked_is_dropped() -> None:
    tree = Tree()
    tree.bad(100.0, "a1", "a2", "a3")
    tree.step(100.1)
    tree.step(100.1 + RULES.patience_s + 0.1)
    assert "a" not in tree.on_trial()


def test_a_round_without_any_answer_is_not_a_failed_round() -> None:
    tree = Tree()
    tree.bad(100.0, "a1", "a2", "a3")
    for quarter in range(80):
        tree.step(100.1 + quarter / 4)
    assert [r.node for r in tree.rounds].count(NodeId("a")) == 1


def test_below_a_node_that_is_down_nobody_else_is_accused() -> None:
    tree = Tree()
    tree.bad(100.0, "a1", "a2", "a3", "b1")
    tree.play(100.1, 112.0, alive={"w1"})
    assert tree.watch("e").down_since is not None
    tree.bad(113.0, "b2", "b3", "b4")
    tree.step(113.1)
    assert tree.on_trial() <= {"core"}


def test_a_good_answer_names_the_down_nodes_above_it() -> None:
    tree = Tree()
    tree.bad(100.0, "a1", "a2", "a3", "a4", "b1", "b2", "b3", "b4")
    tree.play(100.1, 112.0, alive={"w1"})
    assert tree.good(90.0, "a1") == [], "it started before"
    assert tree.good(120.0, "a1") == ["e"]
    tree.root.revive(tree.watch("e"))
    assert tree.root.down_above(DeviceId("a1")) is None


def test_blindness_ends_all_trials() -> None:
    tree = Tree()
    tree.bad(100.0, "a1", "a2", "a3")
    tree.step(100.1)
    tree.root.blinded()
    assert tree.on_trial() == set()
    tree.step(100.2)
    assert tree.on_trial() == set()


def test_a_channel_can_be_forgotten() -> None:
    tree = Tree()
    tree.bad(100.0, "a1", "a2", "a3")
    tree.root.forget(DeviceId("a1"), ChannelId("a1"))
    tree.root.forget(DeviceId("nobody"), ChannelId("nobody"))
    tree.step(100.1)
    assert tree.on_trial() == set()


def test_of_nodes_that_carry_the_same_channels_the_uplink_is_blamed() -> None:
    tree = Tree({"a": 4})
    tree.bad(100.0, "a1", "a2", "a3", "a4")
    assert tree.play(100.1, 112.0, alive={"w1"}) == ["e"]
    assert tree.on_trial() == set()


def test_without_an_uplink_the_nearest_is_blamed() -> None:
    nodes = [
        _node("core", NodeKind.CORE, None),
        _node("agg", NodeKind.AGGREGATION, "core"),
        _node("sw", NodeKind.ACCESS, "agg"),
        _node("nvr", NodeKind.DEVICE, "sw"),
        _node("other", NodeKind.ACCESS, "core"),
        _node("lost", NodeKind.ACCESS, "nowhere"),
    ]
    channels = [ChannelId(f"n{i}") for i in range(4)]
    places = [
        (DeviceId("nvr"), ids("nvr", "sw", "agg", "core"), channels),
        (DeviceId("o"), ids("other", "core"), [ChannelId("o")]),
        (DeviceId("nowhere"), [], [ChannelId("x")]),
    ]
    root = RootCause({n.id: n for n in nodes}, places, RULES)
    assert root.watches[NodeId("lost")].parent is None
    assert root.down_above(DeviceId("nowhere")) is None
    for channel in channels:
        root.bad(DeviceId("nvr"), channel, Instant(100.0), first=True)
    down: list[NodeWatch] = []
    for quarter in range(60):
        at = Instant(100.1 + quarter / 4)
        rounds, convicted = root.step(at, lambda _watch, _at: True)
        down += convicted
        for round_ in rounds:
            for device in round_.devices:
                if device == "o":
                    root.good(device, ChannelId("o"), at)
                else:
                    for channel in channels:
                        root.bad(device, channel, at, first=False)
    assert {w.node.id for w in down} >= {"nvr"} or {w.node.id for w in down} == {"sw"}
    assert root.watches[NodeId("core")].down_since is None


def test_nothing_is_known_of_a_new_tree() -> None:
    tree = Tree()
    assert all(w.good_started == NEVER and not w.suspects for w in tree.root.watches.values())
    assert tree.step(1.0) == []
