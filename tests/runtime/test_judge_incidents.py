"""One root cause, one incident (semantics §5), on a district in fake time."""

import pytest
from fakes.fleet import Fleet, two_townships
from fakes.scene import Scene

from gateway.domain.camera import NodeKind
from gateway.domain.ledger import Ending, Incident, State
from gateway.domain.observation import Instant, OutageCause

CADENCE = 30.0


def township(cameras: int = 10, switches: int = 30) -> Scene:
    """Two townships of hundreds of cameras below dozens of switches."""
    return Scene(two_townships(cameras, switches).build(), canary=True)


def east(s: Scene) -> list[str]:
    return [d.host for d in s.inventory.watched if d.host.startswith("e")]


def only(s: Scene) -> Incident[Instant]:
    (row,) = s.incidents.values()
    return row


# --- one channel


def test_a_single_incident_becomes_visible_one_cadence_after_confirmation() -> None:
    s = Scene(two_townships().build(), phases={"e0": 10.0}, canary=True)
    s.down("e0", 15.0)
    s.run(51.0)
    (outage,) = s.outages_of("e0")
    s.run(s.since(outage.confirmed_at) + CADENCE - 0.3)
    assert s.incidents == {}
    s.run(s.since(outage.confirmed_at) + CADENCE + 0.3)
    row = only(s)
    assert (row.root, row.children, row.open_children) == ("e0", 1, 1)
    assert row.cause is OutageCause.REFUSED
    assert (row.began_after_at, row.began_at) == (outage.last_seen_at, outage.failed_at)
    assert s.outages_of("e0")[0].incident == row.id


def test_an_outage_shorter_than_that_makes_no_incident() -> None:
    s = Scene(two_townships().build(), phases={"e0": 10.0}, canary=True)
    s.down("e0", 15.0, 65.0)
    s.run(200.0)
    assert len(s.outages_of("e0")) == 1
    assert s.incidents == {}


def test_a_single_incident_ends_with_its_outage() -> None:
    s = Scene(two_townships().build(), phases={"e0": 10.0}, canary=True)
    s.down("e0", 15.0, 155.0)
    s.run(200.0)
    row = only(s)
    assert s.since(row.ended_at) == pytest.approx(160.02)
    assert row.ending is Ending.RECOVERED
    assert row.open_children == 0
    assert row.children == 1


# --- a township


def test_an_uplink_cut_of_hundreds_of_cameras_is_one_incident_within_two_cadences() -> None:
    s = township()
    s.cut(100.0, 1e9, east(s))
    s.run(100.0 + 2 * CADENCE)
    row = only(s)
    assert row.root == "east"
    assert row.cause is OutageCause.UPLINK
    assert row.children == row.open_children == 300
    assert {o.incident for o in s.outages.values()} == {row.id}
    assert {o.cause for o in s.outages.values()} == {OutageCause.UPLINK}
    assert len(s.outages) == 300


def test_no_other_incident_row_ever_existed() -> None:
    s = township()
    s.cut(100.0, 700.0, east(s))
    s.run(900.0)
    row = only(s)
    assert row.ending is Ending.RECOVERED
    assert all(o.ended_at is not None for o in s.outages.values())
    assert len(s.outages) == 300


def test_bounds_are_the_latest_last_seen_and_the_earliest_failed_of_the_children() -> None:
    s = township(cameras=5, switches=4)
    s.cut(100.0, 1e9, east(s))
    s.run(170.0)
    row = only(s)
    rows = list(s.outages.values())
    assert row.began_after_at == max(o.last_seen_at for o in rows if o.last_seen_at)
    assert row.began_at == min(o.failed_at for o in rows)
    assert s.since(row.began_after_at) <= 100.0 <= s.since(row.began_at)


def test_late_children_join_by_one_failed_regular_check() -> None:
    fleet = two_townships(1, 1)
    fleet.cameras_at("east", [f"e{i}" for i in range(1, 200)])
    s = Scene(fleet.build(), canary=True)
    s.cut(100.0, 1e9, east(s))
    s.run(170.0)
    assert len(s.outages) == 200
    node_down = min(o.confirmed_at for o in s.outages.values())
    late = [o for o in s.outages.values() if o.failed_at > node_down + 0.5]
    assert len(late) > 50
    row = only(s)
    for outage in late:
        assert outage.confirmed_at - outage.failed_at <= 2.6  # the next canary is its witness
        assert outage.incident == row.id
        device = f"{outage.channel}:80"
        failed = [at for at, d, _, _ in s.asked if d == device and 100.0 <= at < 140.0]
        assert len(failed) <= 2, "asked by the round or the cadence, not again and again"


def test_survivors_are_excluded() -> None:
    s = township(cameras=10, switches=3)
    dead = [f"e{i}" for i in range(10)]
    s.cut(100.0, 1e9, dead)
    s.run(200.0)
    row = only(s)
    assert row.root == "east-0"
    assert row.children == 10
    assert {o.channel for o in s.outages.values()} == set(dead)


def test_an_access_switch_is_blamed_for_its_cameras_only() -> None:
    s = township(cameras=3, switches=5)
    s.cut(100.0, 1e9, ["e0", "e1", "e2"])
    s.run(200.0)
    row = only(s)
    assert (row.root, row.cause, row.children) == ("east-0", OutageCause.UPLINK, 3)


def test_a_camera_that_answers_acquits_its_switch() -> None:
    s = township(cameras=5, switches=3)
    s.cut(100.0, 1e9, ["e0", "e1", "e2", "e3"])
    s.run(250.0)
    assert {row.root for row in s.incidents.values()} == {"e0", "e1", "e2", "e3"}
    assert {o.cause for o in s.outages.values()} == {OutageCause.TIMEOUT}


def test_an_nvr_is_one_incident_with_its_channels() -> None:
    fleet = two_townships(6, 2)
    channels = fleet.device("nvr", "east-0", [f"n{i}" for i in range(8)])
    s = Scene(fleet.build(), canary=True)
    s.down("nvr", 100.0)
    s.run(200.0)
    row = only(s)
    assert row.root == "nvr:80"
    assert row.cause is OutageCause.UNREACHABLE
    assert row.children == 8
    assert {o.channel for o in s.outages.values()} == set(channels)
    assert {o.cause for o in s.outages.values()} == {OutageCause.REFUSED}
    assert s.seconds("n0")["upstream"] == 0.0


def test_children_of_a_cut_uplink_are_offline_and_their_seconds_are_upstream() -> None:
    s = township(cameras=5, switches=4)
    s.cut(100.0, 400.0, east(s))
    s.run(300.0)
    assert {s.state(c) for c in s.judge.lives if c.startswith("e")} == {State.OFFLINE}
    s.run(500.0)
    for channel in ("e0", "e7", "e19"):
        seconds = s.seconds(channel)
        (row,) = s.outages_of(channel)
        assert row.ended_at is not None
        assert seconds["bad"] == pytest.approx(0.0, abs=0.01)
        assert seconds["upstream"] == pytest.approx(row.ended_at - row.failed_at, abs=0.1)
        assert row.bad_s == pytest.approx(row.ended_at - row.failed_at, abs=0.1)


def test_one_failed_check_during_the_return_of_an_uplink_stays_upstream() -> None:
    late = {f"e{i}": 15.0 + i for i in range(1, 5)}
    s = Scene(two_townships(5, 1).build(), phases={"e0": 10.0, **late}, canary=True)
    s.cut(100.0, 309.9, east(s))
    s.cut(310.1, 400.0, east(s))
    s.run(500.0)
    assert len(s.outages_of("e0")) == len(s.incidents) == 1
    assert s.seconds("e0")["bad"] == pytest.approx(0.0, abs=0.01)
    assert s.seconds("e0")["upstream"] > 270.0


# --- growing


def fleet_of_three() -> Fleet:
    return two_townships(6, 3)


def test_an_incident_is_re_rooted_upward_and_keeps_its_id() -> None:
    s = Scene(fleet_of_three().build(), canary=True)
    s.cut(100.0, 1e9, [f"e{i}" for i in range(6)])
    s.run(135.0)
    first = only(s)
    assert first.root == "east-0"
    s.cut(135.0, 1e9, east(s))
    # A camera of another switch had answered since: the switch failed by itself. Its incident stays.
    s.run(200.0)
    rows = sorted(s.incidents.values(), key=lambda row: row.began_at)
    assert [row.root for row in rows] == ["east-0", "east"]
    assert rows[1].children == 12


def test_a_switch_convicted_before_its_uplink_is_taken_into_the_uplinks_incident() -> None:
    fleet = Fleet()
    fleet.uplink("east")
    fleet.uplink("west")
    fleet.access("east-0", "east")
    fleet.access("east-1", "east")
    fleet.access("west-0", "west")
    early = fleet.cameras_at("east-0", ["a", "b", "c"])
    late = fleet.cameras_at("east-1", ["d", "e", "f"])
    fleet.cameras_at("west-0", ["w"])
    phases = {"a": 1.0, "b": 2.0, "c": 3.0, "d": 27.0, "e": 28.0, "f": 29.0, "w": 15.0}
    s = Scene(fleet.build(), phases=phases, canary=True)
    s.cut(90.5, 1e9, [*early, *late])
    s.run(240.0)
    open_rows = [row for row in s.incidents.values() if row.merged_into is None]
    (row,) = open_rows
    assert row.root == "east"
    assert row.children == 6
    assert {o.incident for o in s.outages.values()} == {row.id}
    for merged in s.incidents.values():
        assert merged is row or merged.merged_into == row.id


def test_singles_absorbed_by_a_node_are_marked_merged() -> None:
    # Two cameras are confirmed singly and visible; then the switch is seen to be the cause.
    fleet = Fleet()
    fleet.uplink("east")
    fleet.uplink("west")
    fleet.access("east-0", "east")
    fleet.cameras_at("east-0", ["a", "b", "c", "d"])
    fleet.cameras_at("west", ["w"])
    s = Scene(
        fleet.build(),
        phases={"a": 1.0, "b": 20.0, "c": 21.0, "d": 22.0, "w": 15.0},
        canary=True,
    )
    s.down("a", 30.5)
    for name in ("b", "c", "d"):
        s.untold(name, 30.5, 80.0)
        s.down(name, 80.0)
    s.run(200.0)
    rows = [row for row in s.incidents.values() if row.merged_into is None]
    assert len(rows) == 1
    assert rows[0].root in {"east-0", "east"}
    assert rows[0].children == 4


# --- recovery


def test_partial_recovery_splits_after_two_cadences() -> None:
    s = township(cameras=4, switches=3)
    s.cut(100.0, 300.0, east(s))
    s.cut(300.0, 1e9, ["e0", "e5"])
    s.run(300.0 + 3.0)
    first = only(s)
    s.run(360.0)
    assert len(s.incidents) == 1
    assert s.incidents[first.id].open_children == 2
    s.run(370.0)
    first = s.incidents[first.id]
    assert first.ending is Ending.SPLIT
    assert 300.0 < s.since(first.ended_at) < 305.0
    parts = [row for row in s.incidents.values() if row.split_from == first.id]
    assert {row.root for row in parts} == {"e0", "e5"}
    for row in parts:
        assert s.outages_of(str(row.root))[0].incident == row.id
        assert row.cause is OutageCause.TIMEOUT


def test_what_stays_dead_after_a_split_is_no_longer_upstream() -> None:
    s = township(cameras=4, switches=3)
    s.cut(100.0, 300.0, east(s))
    s.cut(300.0, 600.0, ["e0"])
    s.run(700.0)
    (row,) = s.outages_of("e0")
    seconds = s.seconds("e0")
    assert row.cause is OutageCause.TIMEOUT
    assert seconds["upstream"] == pytest.approx(200.0, abs=31.0)
    assert seconds["bad"] == pytest.approx(300.0, abs=31.0)


def test_a_switch_that_stays_dead_splits_off_as_a_whole() -> None:
    s = township(cameras=4, switches=3)
    s.cut(100.0, 300.0, east(s))
    s.cut(300.0, 500.0, ["e0", "e1", "e2", "e3"])
    s.run(400.0)
    parts = [row for row in s.incidents.values() if row.split_from is not None]
    assert [(row.root, row.children) for row in parts] == [("east-0", 4)]
    s.run(600.0)
    assert all(row.ended_at is not None for row in s.incidents.values())
    assert len(s.incidents) == 2


def test_a_second_cut_before_the_recovery_is_over_is_the_same_incident() -> None:
    s = township(cameras=4, switches=3)
    s.cut(100.0, 300.0, east(s))
    s.down("e0", 302.0, 303.0)
    s.run(301.0)
    s.cut(304.0, 500.0, [n for n in east(s) if n != "e0"])
    s.cut(304.0, 500.0, ["e0"])
    s.run(700.0)
    visible = [row for row in s.incidents.values() if row.merged_into is None]
    assert all(row.ended_at is not None for row in visible)
    assert len(visible) <= 2
    assert {row.root for row in visible} == {"east"}


def test_the_first_good_child_has_its_siblings_asked_at_once() -> None:
    s = township(cameras=4, switches=3)
    s.cut(100.0, 300.0, east(s))
    s.run(320.0)
    assert all(o.ended_at is not None for o in s.outages.values())


# --- what is not a cause


def test_nothing_is_blamed_for_cameras_that_were_never_seen() -> None:
    s = township(cameras=6, switches=3)
    s.cut(0.0, 1e9, [f"e{i}" for i in range(6)])
    s.run(300.0)
    assert len(s.outages) == 6
    assert all(o.takeover and o.last_seen_at is None for o in s.outages.values())
    assert s.incidents == {}
    assert not any(w.down_since for w in s.judge.root.watches.values())
    assert {s.state(f"e{i}") for i in range(6)} == {State.OFFLINE}


def test_a_takeover_camera_seen_good_once_is_ordinary_from_then_on() -> None:
    s = township(cameras=2, switches=1)
    s.down("e0", 0.0, 100.0)
    s.run(150.0)
    assert s.outages_of("e0")[0].ended_at is not None
    s.down("e0", 160.0)
    s.run(300.0)
    row = s.outages_of("e0")[1]
    assert not row.takeover
    assert row.incident is not None


def test_re_checks_of_a_round_are_spread_over_the_child_nodes() -> None:
    s = township(cameras=10, switches=30)
    watch = s.judge.root.watches[next(n for n in s.inventory.nodes if n == "east")]
    asked = s.judge.root.siblings(watch)
    assert len(asked) == 16
    assert len({s.inventory.devices[d].node for d in asked}) == 16
    assert watch.node.kind is NodeKind.UPLINK


def test_after_a_recovery_no_case_is_held_any_more() -> None:
    s = township(cameras=4, switches=3)
    s.cut(100.0, 300.0, east(s))
    s.down("w0", 100.0, 300.0)
    s.run(500.0)
    book = s.judge.incidents
    assert (book.cases, book.of_channel, book.of_node, book.changed) == ({}, {}, {}, {})
    assert not any(w.suspects for w in s.judge.root.watches.values())
    assert s.judge.suspects == s.judge.awaiting == s.judge.blindfolded == {}
