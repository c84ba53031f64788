"""The takeover list (存量故障): nobody's work until accepted, and ordinary from then on."""

from pathlib import Path

import pytest
from fakes.fleet import two_townships
from fakes.scene import Scene

from adapters.memory import MemoryStore
from gateway.domain.camera import ChannelId
from gateway.domain.ledger import Outage
from gateway.domain.observation import Instant, OutageCause
from gateway.ports import Accepted
from gateway.runtime.takeover import Takeover, accept

CADENCE = 30.0
E0 = ChannelId("e0")


def scene(*dead: str) -> Scene:
    """Some cameras have been dead from the first day on."""
    s = Scene(two_townships(6, 3).build(), canary=True)
    s.cut(0.0, 1e9, dead)
    return s.run(200.0)


def take(s: Scene, *names: str) -> Instant:
    """Accept cameras now."""
    now = s.clock.now()
    for name in names:
        accept(s.judge, ChannelId(name), now, now)
    return now


def open_row(s: Scene, name: str) -> Outage[Instant]:
    row = s.outages_of(name)[-1]
    assert row.ended_at is None
    return row


def test_an_accepted_camera_gets_an_incident_of_its_own_a_cadence_later() -> None:
    s = scene("e0")
    assert open_row(s, "e0").unaccepted
    at = take(s, "e0")
    s.run(s.since(at) + CADENCE - 1)
    assert s.incidents == {}
    s.run(s.since(at) + CADENCE + 1)
    (incident,) = s.incidents.values()
    row = open_row(s, "e0")
    assert (incident.root, row.incident) == ("e0", incident.id)
    assert (row.takeover, row.unaccepted, row.accepted_at) == (True, False, at)
    assert row.last_seen_at is None, "that it was never seen stays true"


def test_what_was_not_accepted_stays_on_the_list() -> None:
    s = scene("e0", "w0")
    take(s, "e0")
    s.run(400.0)
    assert open_row(s, "w0").unaccepted
    assert {row.root for row in s.incidents.values()} == {"e0"}


def test_accepting_twice_changes_nothing() -> None:
    s = scene("e0")
    first = take(s, "e0")
    s.run(300.0)
    take(s, "e0")
    s.run(400.0)
    assert open_row(s, "e0").accepted_at == first
    assert len(s.incidents) == 1


def test_a_camera_that_lives_is_only_noted() -> None:
    s = scene()
    take(s, "e0", "nobody")
    s.down("e0", 210.0)
    s.run(400.0)
    row = open_row(s, "e0")
    assert (row.takeover, row.accepted_at) == (False, None)


def test_a_whole_branch_that_is_accepted_at_once_is_one_incident() -> None:
    dead = [f"e{i}" for i in range(6)]
    s = scene(*dead)
    take(s, *dead)
    s.run(400.0)
    visible = [row for row in s.incidents.values() if row.merged_into is None]
    assert [(row.children, row.cause) for row in visible] == [(6, OutageCause.UPLINK)]


def test_an_uplink_that_was_cut_later_explains_no_camera_that_was_dead_before() -> None:
    s = scene("e0")
    s.cut(210.0, 1e9, [f"e{i}" for i in range(1, 6)])
    s.run(330.0)
    at = take(s, "e0")
    s.run(s.since(at) + 2 * CADENCE)
    assert open_row(s, "e0").cause is not OutageCause.UPLINK
    own = [row for row in s.incidents.values() if row.root == "e0"]
    assert len(own) == 1


def test_it_comes_back_as_any_other() -> None:
    s = Scene(two_townships(6, 3).build(), canary=True)
    s.cut(0.0, 300.0, ["e0"])
    s.run(200.0)
    take(s, "e0")
    s.run(400.0)
    (row,) = s.outages_of("e0")
    assert row.ended_at is not None
    (incident,) = s.incidents.values()
    assert incident.ended_at is not None
    assert not s.live("e0").takeover


def test_one_good_answer_makes_it_work_even_if_it_is_never_up() -> None:
    s = Scene(two_townships(6, 3).build(), phases={"e0": 10.0}, canary=True)
    s.cut(0.0, 219.9, ["e0"])
    s.cut(220.1, 1e9, ["e0"])
    s.run(219.0)
    assert open_row(s, "e0").unaccepted
    s.run(300.0)
    (row,) = s.outages_of("e0")
    assert (row.ended_at, row.takeover, row.last_seen_at) == (None, True, None)
    assert s.since(row.accepted_at) == pytest.approx(220.02, abs=0.1), "since it was seen good"
    assert [one.root for one in s.incidents.values()] == ["e0"]


def test_it_is_work_after_a_restart_too_even_if_the_row_did_not_say_so_yet() -> None:
    s = scene("e0")
    at = s.clock.now()
    known = s.known()
    assert known.accepted == ()
    s.accepted = (Accepted(E0, s.clock.utc(at), "值班员", "移交"),)
    again = s.restarted(20.0)
    again.run(again.since(again.clock.now()) + 200.0)
    row = open_row(again, "e0")
    assert row.accepted_at == pytest.approx(at)
    assert [one.root for one in again.incidents.values()] == ["e0"]


async def test_the_store_has_it_before_the_judge_and_what_others_accepted_is_noticed(
    tmp_path: Path,
) -> None:
    s = scene("e0", "e1", "w0")
    store = MemoryStore("memory:")
    await store.open()
    await store.migrate()
    settled = 0

    def settle() -> None:
        nonlocal settled
        settled += 1
        s.give([], s.clock.now())

    desk = Takeover(store, s.clock, s.judge, settle)
    await desk.accept([E0], "值班员", "移交维保")
    (row,) = await store.accepted()
    assert (row.channel, row.actor, row.reason) == (E0, "值班员", "移交维保")
    assert not open_row(s, "e0").unaccepted
    assert (settled, list(desk.accepted)) == (1, [E0])

    other = ChannelId("w0")
    await store.save_accepted([Accepted(other, s.utc_now(), "cli:root", "移交")])
    await desk.look()
    assert not open_row(s, "w0").unaccepted
    assert open_row(s, "e1").unaccepted
    await desk.look()
    assert settled == 2, "nothing new, nothing done"

    await store.close()
    await desk.look()  # a store that is away is asked again later
    assert open_row(s, "e1").unaccepted
