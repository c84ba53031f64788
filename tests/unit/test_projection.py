"""The picture of the present: counts always add up, rows come and go."""

from datetime import UTC, datetime, timedelta

from fakes.fleet import two_townships
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.camera import Camera, ChannelId, Device, DeviceId, NodeId
from gateway.domain.ledger import (
    Changes,
    ChannelRecord,
    Fault,
    GapReason,
    GatewayGap,
    Incident,
    Outage,
    State,
)
from gateway.domain.observation import (
    Answer,
    FaultCause,
    Finding,
    Instant,
    Observation,
    OutageCause,
    Step,
    Verdict,
)
from gateway.feed import Feed
from gateway.inventory import Inventory
from gateway.projection import Dimension, Projection

NOW = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
E0 = ChannelId("e0")


def picture() -> Projection:
    return Projection(two_townships(2).build(), NOW, Feed("run"))


def outage(ended: datetime | None = None, row_id: str = "o") -> Outage[datetime]:
    return Outage(row_id, E0, OutageCause.REFUSED, None, NOW, NOW, NOW, ended)


def fault(ended: datetime | None = None) -> Fault[datetime]:
    return Fault("f", E0, FaultCause.CLOCK, None, NOW, NOW, NOW, ended)


def incident(ended: datetime | None = None, merged: str | None = None) -> Incident[datetime]:
    return Incident(
        "i", NodeId("east"), OutageCause.UPLINK, None, NOW, NOW, ended, merged_into=merged
    )


def check_sums(p: Projection) -> None:
    for dimension in Dimension:
        total = sum(sum(by_state.values()) for by_state in p.counts(dimension).values())
        assert total == len(p.order)
    for state in State:
        assert p.total()[state] == sum(view.state is state for view in p.order)


def test_everything_is_unknown_at_first() -> None:
    p = picture()
    assert p.total() == {State.UNKNOWN: 4}
    assert p.as_of is None
    check_sums(p)


@given(st.lists(st.tuples(st.sampled_from(["e0", "e1", "w0", "w1", "?"]), st.sampled_from(State))))
def test_counts_always_add_up(moves: list[tuple[str, State]]) -> None:
    p = picture()
    for channel, state in moves:
        record = ChannelRecord(ChannelId(channel), state, NOW)
        p.apply(Changes(1, channels=(record,)), NOW)
        check_sums(p)


def test_an_outage_comes_and_goes() -> None:
    p = picture()
    p.apply(Changes(1, outages=(outage(),)), NOW)
    assert p.channels[E0].outage == outage()
    p.apply(Changes(2, outages=(outage(),)), NOW)
    assert p.totals["outages"] == [1, 0], "the same row again is no other row"
    p.apply(Changes(3, outages=(outage(NOW),)), NOW)
    assert p.channels[E0].outage is None
    assert p.totals["outages"] == [1, 1]


def test_rows_that_open_and_close_in_one_batch_are_counted_on_both_sides() -> None:
    p = picture()
    p.apply(Changes(1, outages=(outage(NOW),), faults=(fault(NOW),)), NOW)
    p.apply(Changes(2, incidents=(incident(NOW),)), NOW)
    assert p.totals == {"outages": [1, 1], "faults": [1, 1], "incidents": [1, 1]}


def test_a_fault_comes_and_goes() -> None:
    p = picture()
    p.apply(Changes(1, faults=(fault(),)), NOW)
    p.apply(Changes(2, faults=(fault(),)), NOW)
    assert p.channels[E0].faults == {FaultCause.CLOCK: fault()}
    p.apply(Changes(3, faults=(fault(NOW),)), NOW)
    assert p.channels[E0].faults == {}
    assert p.totals["faults"] == [1, 1]


def test_open_incidents_are_those_that_are_neither_ended_nor_merged() -> None:
    p = picture()
    p.apply(Changes(1, incidents=(incident(),)), NOW)
    assert set(p.incidents) == {"i"}
    p.apply(Changes(2, incidents=(incident(NOW, "other"),)), NOW)
    assert p.incidents == {}
    assert p.totals["incidents"] == [1, 1]


def test_a_gap_that_is_over_when_it_is_told_hides_no_other() -> None:
    seen = picture()
    blind: GatewayGap[datetime] = GatewayGap("g1", GapReason.BLIND, NOW)
    seen.apply(Changes(1, gaps=(blind,)), NOW)
    stall = GatewayGap("g2", GapReason.STALLED, NOW, NOW)
    seen.apply(Changes(2, gaps=(stall,)), NOW)
    assert seen.gap == blind
    seen.apply(Changes(3, gaps=(GatewayGap("g1", GapReason.BLIND, NOW, NOW),)), NOW)
    assert seen.gap is None


def test_the_open_gap_is_shown() -> None:
    p = picture()
    gap = GatewayGap("g", GapReason.BLIND, NOW)
    p.apply(Changes(1, gaps=(gap,)), NOW)
    assert p.gap == gap
    p.apply(Changes(2, gaps=(GatewayGap("g", GapReason.BLIND, NOW, NOW),)), NOW)
    assert p.gap is None


def test_rows_of_unknown_channels_are_passed_over() -> None:
    p = Projection(Inventory(), NOW, Feed("run"))
    p.apply(Changes(1, outages=(outage(),), faults=(fault(),)), NOW)
    assert p.totals == {"outages": [0, 0], "faults": [0, 0], "incidents": [0, 0]}


def answer(verdict: Verdict, *found: Finding) -> Answer:
    return Answer(Step.REACH, Instant(1.0), Instant(1.1), verdict, found=found)


def test_failures_are_remembered_longer_than_successes() -> None:
    p = picture()
    good = answer(Verdict.ANSWERED)
    bad = [answer(Verdict.NO_ANSWER) for _ in range(7)]
    faulty = answer(Verdict.ANSWERED, Finding(FaultCause.CLOCK))
    for one in (good, *bad, faulty, good):
        p.observe(Observation(E0, DeviceId("e0:80"), one))
    view = p.channels[E0]
    assert view.last_answer is view.last_good is good
    assert len(view.failures) == 5
    assert view.failures[-1] is faulty
    p.observe(Observation(ChannelId("?"), DeviceId("e0:80"), good))


def test_a_channel_is_suspect_while_it_counts_as_up_and_does_not_answer() -> None:
    p = picture()
    up, down = (ChannelRecord(E0, state, NOW) for state in (State.ONLINE, State.OFFLINE))

    def suspect() -> bool:
        return p.channels[E0].suspect

    p.apply(Changes(1, channels=(up,)), NOW)
    assert not suspect()
    p.observe(Observation(E0, DeviceId("e0:80"), answer(Verdict.NO_ANSWER)))
    assert suspect()
    p.observe(Observation(E0, DeviceId("e0:80"), answer(Verdict.ANSWERED)))
    assert not suspect()
    p.observe(Observation(E0, DeviceId("e0:80"), answer(Verdict.NO_ANSWER)))
    p.apply(Changes(2, channels=(down,)), NOW)
    assert not suspect(), "it is offline"


def test_a_new_inventory_keeps_the_present_of_who_stays() -> None:
    p = picture()
    p.apply(Changes(1, channels=(ChannelRecord(E0, State.ONLINE, NOW),)), NOW)
    old = p.inventory
    moved = Device(DeviceId("new:80"), "new", 80, NodeId("west-0"))
    cameras = [
        *(c for c in old.cameras.values() if c.id not in {"e1", "w0"}),
        Camera(ChannelId("w0"), moved.id, "moved"),
        Camera(ChannelId("off"), moved.id, "off", in_use=False),
    ]
    p.load(Inventory.of(cameras, [*old.devices.values(), moved], old.nodes.values()), NOW)
    states = {view.camera.id: view.state for view in p.order}
    assert states == {
        "e0": State.ONLINE,
        "w1": State.UNKNOWN,
        "w0": State.UNKNOWN,
        "off": State.DECOMMISSIONED,
    }
    assert [view.index for view in p.order] == [0, 1, 2, 3]
    check_sums(p)


def test_what_changed_is_published() -> None:
    p = picture()
    p.apply(
        Changes(
            1,
            outages=(outage(),),
            faults=(fault(),),
            incidents=(incident(),),
            gaps=(GatewayGap("g", GapReason.BLIND, NOW),),
            channels=(ChannelRecord(E0, State.OFFLINE, NOW, first_good_at=NOW),),
        ),
        NOW + timedelta(seconds=1),
    )
    items = p.feed.after(0)
    assert items is not None
    assert [i.event for i in items] == ["outage", "fault", "incident", "gap", "state"]
    assert p.as_of == NOW + timedelta(seconds=1)
    assert p.channels[E0].first_good_at == NOW
