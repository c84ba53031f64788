"""Which signals are one incident: kind, place and time, causes, ends, ageing."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.domain.alerting import correlate
from gateway.domain.alerting.correlate import Correlator, Taken, Where, incident_id, subject_of
from gateway.domain.alerting.rules import Causes, KindRule, Makes, RuleBook
from gateway.domain.camera import ChannelId, DeviceId
from gateway.domain.event import Event, EventKind, EventSource, SensorId, Severity

T0 = datetime(2026, 3, 1, 4, 0, tzinfo=UTC)
K = EventKind
BOOK = RuleBook(
    kinds={
        K.SMOKE: KindRule(Severity.MAJOR, window_s=100, linger_s=10, stuck_s=1000, raise_at=5),
        K.TAMPER: KindRule(Severity.MINOR, linger_s=180, window_s=600),
        K.SIGNAL_LOSS: KindRule(linger_s=10, stuck_s=0),
        K.MOTION: KindRule(incident=Makes.NEVER),
        K.LINE_CROSSING: KindRule(incident=Makes.HEIGHTENED),
    },
    causes=Causes(120, {K.TAMPER: (K.SIGNAL_LOSS, K.OUTAGE)}),
)
HERE = Where(109.7, 38.3, DeviceId("d1"))
NEARBY = Where(109.7004, 38.3)  # 35 m
FAR = Where(109.701, 38.3)  # 87 m
NOWHERE = Where()


def after(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def signal(name: str, seconds: float = 0, kind: EventKind = K.SMOKE, **more: Any) -> Event:
    values: dict[str, Any] = {"sensor": SensorId("s1"), **more}
    return Event(name, EventSource.MQTT, kind, after(seconds), **values)


def channel_signal(name: str, seconds: float, kind: EventKind, **more: Any) -> Event:
    return signal(name, seconds, kind, **{"sensor": None, "channel": ChannelId("c1"), **more})


@pytest.fixture
def desk() -> Correlator:
    return Correlator(BOOK)


def row_of(taken: Taken) -> Any:
    assert taken.case is not None
    return taken.case.row


def test_signals_of_one_kind_source_and_window_are_one_incident_that_counts_them(
    desk: Correlator,
) -> None:
    first = desk.take(signal("a"), HERE)
    again = desk.take(signal("b", 50, count=3), HERE)

    assert first.opened
    assert not again.opened
    assert not again.changed
    row = row_of(again)
    assert (row.signals, row.last_at, row.first_event, row.last_event) == (4, after(50), "a", "b")
    assert row.id == incident_id(signal("a"))
    assert desk.knows(signal("c"))


def test_another_sensor_near_it_belongs_to_it_and_one_far_away_does_not(desk: Correlator) -> None:
    first = desk.take(signal("a"), HERE)
    near = desk.take(signal("b", 1, sensor=SensorId("s2")), NEARBY)
    far = desk.take(signal("c", 2, sensor=SensorId("s3")), FAR)
    placeless = desk.take(signal("d", 3, sensor=SensorId("s4")), NOWHERE)

    assert near.case is first.case
    assert far.opened
    assert placeless.opened


def test_another_kind_at_the_same_place_is_another_incident(desk: Correlator) -> None:
    desk.take(signal("a"), HERE)

    assert desk.take(signal("b", 1, K.GAS, sensor=SensorId("s2")), HERE).opened


def test_of_two_near_incidents_the_nearer_one_grows(desk: Correlator) -> None:
    left = desk.take(signal("a"), Where(109.7, 38.3))
    desk.take(signal("b", 0, sensor=SensorId("s2")), Where(109.7008, 38.3))
    found = desk.take(signal("c", 1, sensor=SensorId("s3")), Where(109.7003, 38.3))

    assert found.case is left.case


def test_a_state_that_ends_closes_after_it_lingered_at_the_time_of_its_end(
    desk: Correlator,
) -> None:
    desk.take(signal("a", active=True), HERE)
    over = desk.take(signal("b", 5, active=False), HERE)

    assert over.changed
    assert desk.tick(after(14)) == []
    (closed,) = desk.tick(after(15))
    assert closed.row.ended_at == after(5)
    assert desk.cases == {}
    assert not desk.knows(signal("c"))


def test_a_state_that_returns_within_the_linger_goes_on(desk: Correlator) -> None:
    desk.take(signal("a", active=True), HERE)
    desk.take(signal("b", 5, active=False), HERE)
    back = desk.take(signal("c", 9, active=True), HERE)

    assert back.changed
    assert desk.tick(after(60)) == []


def test_an_incident_of_two_sensors_is_over_when_both_are(desk: Correlator) -> None:
    desk.take(signal("a", active=True), HERE)
    desk.take(signal("b", 1, sensor=SensorId("s2"), active=True), NEARBY)

    one = desk.take(signal("c", 2, active=False), HERE)
    assert (one.reason, one.changed) == ("one of its signals is over", False)
    assert desk.take(signal("d", 3, sensor=SensorId("s2"), active=False), NEARBY).reason == "over"


def test_an_end_without_a_beginning_is_no_incident(desk: Correlator) -> None:
    found = desk.take(signal("a", active=False), HERE)

    assert found.case is None
    assert found.reason == "ends nothing that is open"


def test_moments_age_out_and_a_state_that_never_ends_is_taken_as_stuck(desk: Correlator) -> None:
    desk.take(signal("a"), HERE)
    (quiet,) = desk.tick(after(100))
    desk.take(signal("b", 200, active=True), HERE)
    assert desk.tick(after(1199)) == []
    (stuck,) = desk.tick(after(1200))

    assert (quiet.row.ended_at, quiet.row.note) == (T0, "no more signals")
    # It stood as far as anybody knows until it was given up, not until its last signal.
    assert (stuck.row.ended_at, stuck.row.note) == (after(1200), "stuck: no end was told")
    assert stuck.row.last_at == after(200)


def test_a_kind_that_never_ages_stands_until_its_end_is_told(desk: Correlator) -> None:
    desk.take(channel_signal("a", 0, K.SIGNAL_LOSS, active=True), HERE)
    months = 200 * 86_400
    assert desk.tick(after(months)) == []

    desk.take(channel_signal("b", months, K.SIGNAL_LOSS, active=False), HERE)
    (over,) = desk.tick(after(months + 10))
    assert (over.row.began_at, over.row.ended_at, over.row.note) == (T0, after(months), "")


def test_what_stands_is_known_by_kind_and_source_until_its_last_token_ended(
    desk: Correlator,
) -> None:
    def stands(kind: EventKind = K.TAMPER, channel: str = "c1") -> bool:
        return desk.stands(kind, channel)

    assert not stands()
    for name, token in (("a", "1"), ("b", "1"), ("c", "2")):
        desk.take(channel_signal(name, 0, K.TAMPER, active=True, token=token), HERE)
    near = channel_signal("d", 1, K.TAMPER, channel=ChannelId("c2"), active=True)
    desk.take(near, NEARBY)  # another camera, the same incident
    assert (stands(), stands(channel="c2"), stands(K.SIGNAL_LOSS)) == (True, True, False)

    desk.take(channel_signal("e", 2, K.TAMPER, active=False, token="1"), HERE)
    assert stands()
    desk.take(channel_signal("f", 3, K.TAMPER, active=False, token="2"), HERE)
    assert (stands(), stands(channel="c2")) == (False, True)
    desk.tick(after(2 * 86_400))  # given up
    assert not stands(channel="c2")


def test_what_is_given_up_takes_nothing_from_the_incident_that_came_after_it(
    desk: Correlator,
) -> None:
    old = desk.take(signal("a", active=True), HERE)
    new = desk.take(signal("b", 1000, active=True), HERE)
    assert row_of(old).id != row_of(new).id
    assert [case.row.id for case in desk.tick(after(1000))] == [row_of(old).id]

    assert desk.stands(K.SMOKE, "s1")
    over = desk.take(signal("c", 1100, active=False), HERE)
    assert (row_of(over).id, over.reason) == (row_of(new).id, "over")


def test_what_never_ages_closes_when_its_source_is_gone(desk: Correlator) -> None:
    standing = desk.take(channel_signal("a", 0, K.SIGNAL_LOSS, active=True), HERE).case
    over = desk.take(channel_signal("b", 1, K.SIGNAL_LOSS, channel=ChannelId("c2")), FAR).case
    assert standing is not None
    assert over is not None
    desk.take(channel_signal("c", 2, K.SIGNAL_LOSS, channel=ChannelId("c2"), active=False), FAR)
    assert desk.join(standing, "outage")  # an outage holds nothing open whose source is gone
    desk.give_up(standing, "decommissioned")
    desk.give_up(over, "decommissioned")

    desk.tick(after(5))
    assert standing.row.ended_at == after(5)
    assert standing.row.note == "followed by outage; decommissioned"
    assert (over.row.ended_at, over.row.note) == (after(2), "decommissioned")
    assert (desk.cases, desk.release("outage", after(9))) == ({}, None)


def test_a_signal_after_the_window_is_a_new_incident_even_before_the_old_one_was_swept(
    desk: Correlator,
) -> None:
    old = desk.take(signal("a"), HERE)
    new = desk.take(signal("b", 100), HERE)

    assert new.opened
    assert desk.tick(after(101)) == [old.case]
    assert desk.take(signal("c", 102), HERE).case is new.case


def test_many_signals_raise_the_severity_once(desk: Correlator) -> None:
    desk.take(signal("a"), HERE)
    many = desk.take(signal("b", 1, count=4), HERE)
    more = desk.take(signal("c", 2, count=9), HERE)

    assert many.changed
    assert row_of(many).severity is Severity.CRITICAL
    assert not more.changed


def test_plain_signals_are_counted_and_heightened_ones_open_where_it_is_heightened(
    desk: Correlator,
) -> None:
    assert desk.take(signal("a", kind=K.MOTION), HERE, heightened=True).reason.startswith("plain")
    assert desk.take(signal("b", kind=K.LINE_CROSSING), HERE).case is None
    assert desk.take(signal("c", kind=K.LINE_CROSSING), HERE, heightened=True).opened


def test_signal_loss_after_a_tamper_of_the_same_device_is_one_incident_and_more_urgent(
    desk: Correlator,
) -> None:
    tamper = desk.take(channel_signal("a", 0, K.TAMPER, active=True), HERE)
    lost = desk.take(channel_signal("b", 60, K.SIGNAL_LOSS, active=True), HERE)
    again = desk.take(channel_signal("c", 61, K.SIGNAL_LOSS, active=True), HERE)

    assert lost.case is again.case is tamper.case
    assert lost.changed
    assert row_of(lost).severity is Severity.MAJOR
    assert row_of(lost).note == "followed by signal_loss"
    desk.take(channel_signal("d", 70, K.TAMPER, active=False), HERE)
    assert tamper.case is not None
    assert tamper.case.over_at is None
    desk.take(channel_signal("e", 80, K.SIGNAL_LOSS, active=False), HERE)
    assert tamper.case.over_at == after(80)


def test_signal_loss_too_late_or_elsewhere_is_an_incident_of_its_own(desk: Correlator) -> None:
    desk.take(channel_signal("a", 0, K.TAMPER), HERE)

    late = desk.take(channel_signal("b", 121, K.SIGNAL_LOSS), HERE)
    other = desk.take(
        signal("c", 10, K.SIGNAL_LOSS, sensor=None, channel=ChannelId("c2")),
        replace(FAR, device=DeviceId("d2")),
    )

    assert late.opened
    assert other.opened


def test_what_two_kinds_follow_is_raised_once_and_notes_both(desk: Correlator) -> None:
    tamper = desk.take(channel_signal("a", 0, K.TAMPER), HERE)
    desk.take(channel_signal("b", 10, K.SIGNAL_LOSS), HERE)
    assert tamper.case is not None
    assert desk.join(tamper.case, "inc-1")

    assert tamper.case.row.severity is Severity.MAJOR
    assert tamper.case.row.note == "followed by signal_loss; followed by outage"


def test_an_outage_that_a_cabinet_nearby_explains_keeps_the_incident_open_until_it_ends(
    desk: Correlator,
) -> None:
    tamper = desk.take(signal("a", 0, K.TAMPER), NEARBY)
    case = desk.explained_by(K.OUTAGE, HERE, after(90))

    assert case is tamper.case
    assert case is not None
    assert desk.join(case, "inc-1")
    assert not desk.join(case, "inc-1")
    assert desk.joined("inc-1") is case
    assert desk.tick(after(100_000)) == []
    assert desk.release("inc-1", after(500)) is case
    assert desk.release("inc-1", after(500)) is None
    (closed,) = desk.tick(after(680))
    assert closed.row.ended_at == after(500)


def test_an_outage_that_ends_before_the_tamper_does_leaves_it_open(desk: Correlator) -> None:
    tamper = desk.take(channel_signal("a", 0, K.TAMPER, active=True), HERE)
    assert tamper.case is not None
    desk.join(tamper.case, "inc-1")
    ended = desk.take(channel_signal("b", 5, K.TAMPER, active=False), HERE)
    desk.take(channel_signal("c", 6, K.TAMPER, active=True), HERE)

    assert ended.reason == "one of its signals is over"
    desk.release("inc-1", after(20))
    assert tamper.case.over_at is None


def test_an_outage_is_not_explained_by_what_came_after_it_or_by_nothing(desk: Correlator) -> None:
    desk.take(channel_signal("a", 50, K.TAMPER), HERE)

    assert desk.explained_by(K.OUTAGE, HERE, after(40)) is None
    assert desk.explained_by(K.OUTAGE, Where(device=DeviceId("d9")), after(60)) is None
    assert desk.explained_by(K.OUTAGE, NOWHERE, after(60)) is None


def test_a_place_without_a_position_is_found_by_its_device(desk: Correlator) -> None:
    nowhere = Where(device=DeviceId("d1"))
    tamper = desk.take(channel_signal("a", 0, K.TAMPER), nowhere)

    assert desk.explained_by(K.OUTAGE, nowhere, after(10)) is tamper.case
    assert desk.tick(after(1000)) == [tamper.case]


def test_an_incident_of_before_a_restart_goes_on_and_ends_with_the_end_that_is_told(
    desk: Correlator,
) -> None:
    row = row_of(desk.take(signal("a", active=True), HERE))
    noted = replace(row, id="ev-2", note="followed by outage", sensor=None, channel=None)
    later = Correlator(BOOK)
    case = later.restore(row, None)
    assert later.restore(noted, DeviceId("d7")).raised_by

    assert later.take(signal("b", 5), HERE).case is case
    assert later.take(signal("c", 6, active=False), HERE).reason == "over"
    later.put(case, replace(case.row, note="x"))
    assert case.row.note == "x"


def test_more_than_may_be_open_age_out_from_the_longest_silent(
    desk: Correlator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(correlate, "CASES_MOST", 2)
    for n in range(4):
        desk.take(signal(f"e{n}", n, sensor=SensorId(f"s{n}")), NOWHERE)

    closed = desk.tick(after(10))

    assert [case.row.sensor for case in closed] == ["s0", "s1"]
    assert len(desk.cases) == 2


def test_a_newer_incident_of_the_same_source_keeps_its_name_when_the_old_one_closes(
    desk: Correlator,
) -> None:
    desk.take(signal("a"), NOWHERE)
    new = desk.take(signal("b", 100), NOWHERE)
    desk.tick(after(100))

    assert desk.take(signal("c", 101), NOWHERE).case is new.case


def test_a_signal_is_about_its_sensor_channel_or_device() -> None:
    plain = signal("a", sensor=None)

    assert subject_of(signal("a")) == "s1"
    assert subject_of(replace(plain, device=DeviceId("d1"))) == "d1"
    assert subject_of(plain) == ""


def test_a_second_channel_that_falls_silent_raises_it_no_further(desk: Correlator) -> None:
    desk.take(channel_signal("a", 0, K.TAMPER), HERE)
    first = desk.take(channel_signal("b", 10, K.SIGNAL_LOSS), HERE)
    second = desk.take(signal("c", 11, K.SIGNAL_LOSS, sensor=None, channel=ChannelId("c2")), HERE)

    assert second.case is first.case
    assert not second.changed
    assert row_of(second).severity is Severity.MAJOR


def test_a_tamper_a_street_away_explains_nothing(desk: Correlator) -> None:
    desk.take(signal("a", 0, K.TAMPER), FAR)

    assert desk.explained_by(K.OUTAGE, HERE, after(10)) is None


def test_without_a_position_there_is_no_distance() -> None:
    assert correlate.distance_m(NOWHERE, 109.7, 38.3) is None
    assert correlate.distance_m(HERE, 109.7, 38.3) == 0


# --- a restart with its signals


def restored(rows: list[Any], signals: list[tuple[Event, Where]]) -> Correlator:
    later = Correlator(BOOK)
    for row, device in rows:
        later.restore(row, device)
    for event, where in signals:
        later.stand_again(event, where)
    return later


def test_what_stood_before_a_restart_stands_after_it_and_ends_with_its_last_source(
    desk: Correlator,
) -> None:
    one, two = signal("a", active=True), signal("b", 1, sensor=SensorId("s2"), active=True)
    desk.take(one, HERE)
    row = row_of(desk.take(two, NEARBY))
    later = restored([(row, None)], [(one, HERE), (two, NEARBY)])

    assert later.tick(after(900)) == []
    assert later.take(signal("c", 901, active=False), HERE).reason == "one of its signals is over"
    ended = later.take(signal("d", 902, sensor=SensorId("s2"), active=False), NEARBY)
    assert ended.changed
    assert [case.row.ended_at for case in later.tick(after(912))] == [after(902)]


def test_the_newest_signal_of_a_source_says_whether_it_stands(desk: Correlator) -> None:
    first, over = signal("a", active=True), signal("b", 50, active=False)
    desk.take(first, HERE)
    row = row_of(desk.take(over, HERE))
    later = restored([(row, None)], [(first, HERE), (over, HERE)])

    assert [case.row.ended_at for case in later.tick(after(60))] == [after(50)]


def test_a_device_without_a_channel_is_found_by_its_first_signal(desk: Correlator) -> None:
    first = signal("a", sensor=None, device=DeviceId("d1"), active=True)
    row = row_of(desk.take(first, HERE))
    later = restored([(row, None)], [(first, HERE)])

    again = later.take(replace(first, id="b", received_at=after(5)), HERE)
    assert (again.opened, row_of(again).signals) == (False, 2)


def test_a_signal_that_followed_a_cause_stands_with_it_and_raises_it_no_second_time(
    desk: Correlator,
) -> None:
    tamper = channel_signal("t", 0, K.TAMPER, active=True)
    lost = channel_signal("v", 9, K.SIGNAL_LOSS, active=True)
    desk.take(tamper, HERE)
    row = row_of(desk.take(lost, HERE))
    later = restored([(row, DeviceId("d1"))], [(tamper, HERE), (lost, HERE)])
    (case,) = later.cases.values()

    assert len(case.standing) == 2
    assert case.raised_by == {"signal_loss"}
    again = later.take(channel_signal("w", 20, K.SIGNAL_LOSS, active=True), HERE)
    assert row_of(again).note == "followed by signal_loss"


def test_what_many_signals_raised_is_raised_once_over_a_restart(desk: Correlator) -> None:
    row = row_of(desk.take(signal("a", count=5), HERE))
    row = row_of(desk.take(signal("b", 1), HERE))
    later = restored([(row, None)], [])

    assert row.severity is Severity.CRITICAL
    assert row_of(later.take(signal("c", 2), HERE)).severity is Severity.CRITICAL
    assert next(iter(later.cases.values())).raised_by == {"count"}


def test_signals_of_other_incidents_and_of_before_leave_nothing_standing(
    desk: Correlator,
) -> None:
    row = row_of(desk.take(signal("a", 100), HERE))
    later = Correlator(BOOK)
    later.restore(row, None)

    assert later.stand_again(signal("old", 10, active=True), HERE) is None
    assert later.stand_again(signal("far", 110, sensor=SensorId("s9"), active=True), FAR) is None
    moment = later.stand_again(signal("b", 120), HERE)
    assert moment is not None
    assert (moment.standing, moment.over_at) == (set(), None)
