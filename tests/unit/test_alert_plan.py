"""One open, few updates, one close, numbered without holes; and what the messages say."""

import json
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from gateway.domain.alerting.cloudevent import (
    BYTES_MOST,
    Family,
    Subject,
    body,
    cameras_of,
    iso,
    links_of,
    message_id,
    place_of,
    size,
)
from gateway.domain.alerting.heartbeat import heartbeat
from gateway.domain.alerting.marks import (
    blind_spot_mark,
    incident_mark,
    marks_in,
    outage_mark,
    places_mark,
)
from gateway.domain.alerting.plan import Nudge, Planner
from gateway.domain.alerting.rows import (
    Alert,
    AlertPhase,
    CameraInView,
    GridLink,
    LinkReason,
)
from gateway.domain.alerting.rules import Decision, Rule
from gateway.domain.alerting.titles import TITLES
from gateway.domain.camera import ChannelId, DivisionCode, GridCell, GridId
from gateway.domain.event import EventKind, Severity
from gateway.resources import data_dir

GOLDEN = Path(__file__).parents[1] / "data" / "alerts"
T0 = datetime(2026, 3, 1, 4, 0, tzinfo=UTC)
VILLAGE, TOWNSHIP = DivisionCode("610802001001"), DivisionCode("610802001")
NAMES = {VILLAGE: "肤施路社区", TOWNSHIP: "鼓楼街道", "610802001001003": "第三网格"}
LINKS = (
    GridLink(GridId("610802001001003"), LinkReason.CONTAINS, 0.0, None, VILLAGE, TOWNSHIP),
    GridLink(GridId("610802001001007"), LinkReason.NEAR, 56.593, 33.2, VILLAGE, TOWNSHIP),
)
CAMERAS = (CameraInView(ChannelId("61080200001320000001"), 42.0, "seeing"),)
CELLS = {
    LINKS[0].grid: GridCell(
        LINKS[0].grid, "", VILLAGE, beat="新楼警务区", posts={"beat_officer": "BO-0912"}
    )
}
PLACE = place_of(109.73, 38.28, township=TOWNSHIP, village=VILLAGE, grid=LINKS[0].grid, names=NAMES)
SENSOR = {"type": "sensor", "id": "smoke-7", "name": "城南市场烟感"}
RULE = Rule("life", recipients=("center",), escalate_to=("duty",))
TOLD = Decision(("feed", "center"), "rule life", RULE)
NOBODY = Decision((), "muted")
SMOKE = Subject(
    key="ev-1",
    family=Family.INCIDENT,
    kind=EventKind.SMOKE,
    severity=Severity.CRITICAL,
    area=VILLAGE,
    noticed_at=T0,
    began_at=T0,
    last_at=T0,
    title="烟雾报警：城南市场烟感",
    data={
        "place": PLACE,
        "links": links_of(LINKS, NAMES, CELLS),
        "cameras": cameras_of(CAMERAS),
        "source": SENSOR,
        "counts": {"signals": 1},
        "caused_by": None,
        "reasons": [],
    },
    mark="critical 1",
)
UPLINK = replace(
    SMOKE,
    key="inc-9",
    family=Family.OUTAGE,
    kind=EventKind.UPLINK_LOST,
    severity=Severity.MAJOR,
    area=TOWNSHIP,
    began_after_at=T0 - timedelta(seconds=30),
    last_at=None,
    title="上联链路中断：镇东汇聚交换机，143 路离线",
    data={
        "place": place_of(None, None, township=TOWNSHIP, names=NAMES),
        "links": links_of(LINKS[:1], NAMES, CELLS),
        "source": {"type": "node", "id": "n-9", "name": "镇东汇聚交换机"},
        "channels": [f"6108020000132{n:07d}" for n in range(143)],
        "counts": {"channels": 143, "open_channels": 143},
        "cause": "uplink",
        "reasons": ["tcp: timeout"],
        "lost_places": [{"place": "p1", "name": "汽车站", "kind": "station"}],
        "split_from": None,
        "merged_into": None,
    },
)
BLIND = replace(
    UPLINK,
    key="bs-1",
    family=Family.BLIND_SPOT,
    kind=EventKind.BLIND_SPOT,
    title="重点部位失去监控：汽车站",
    data={
        "place": PLACE,
        "links": links_of(LINKS[:1], NAMES, CELLS),
        "source": {"type": "channel", "id": "61080200001320000001", "name": ""},
        "channels": ["61080200001320000001"],
        "cause": "stream",
        "lost_places": [{"place": "p1", "name": "汽车站", "kind": "station"}],
        "area_m2": 812.5,
        "weight": 1.0,
    },
)
DIGEST = replace(
    SMOKE,
    key="digest-upkeep-1",
    family=Family.DIGEST,
    kind=EventKind.OUTAGE,
    title="1 件合并推送",
    data={
        "items": [
            {
                "key": "inc-2",
                "kind": "outage",
                "severity": "minor",
                "title": "监控离线：村口",
                "area": VILLAGE,
                "began_at": iso(T0),
            }
        ]
    },
)


def after(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def told(alerts: tuple[Alert, ...]) -> list[tuple[str, int, str]]:
    return [(alert.recipient, alert.revision, alert.phase) for alert in alerts]


def schema(family: str) -> Draft202012Validator:
    text = (data_dir("config") / "schemas" / f"{family}.v1.schema.json").read_text("utf-8")
    return Draft202012Validator(
        json.loads(text), format_checker=Draft202012Validator.FORMAT_CHECKER
    )


# --- the thread


def test_every_recipient_is_told_once_and_again_only_at_the_end() -> None:
    planner = Planner()

    first = planner.plan(SMOKE, TOLD, T0)
    same = planner.plan(SMOKE, TOLD, after(500))
    over = planner.plan(replace(SMOKE, ended_at=after(600)), TOLD, after(610))
    late = planner.plan(replace(SMOKE, ended_at=after(600)), TOLD, after(611))

    assert told(first.alerts) == [("feed", 1, "open"), ("center", 1, "open")]
    assert (same.alerts, same.due_at) == ((), None)
    assert told(over.alerts) == [("feed", 2, "close"), ("center", 2, "close")]
    assert (late.alerts, late.reason) == ((), "over before it was told")
    assert planner.threads == {}


def test_changes_are_told_at_most_every_minute() -> None:
    planner = Planner()
    planner.plan(SMOKE, TOLD, T0)

    soon = planner.plan(replace(SMOKE, mark="2"), TOLD, after(10))
    then = planner.plan(replace(SMOKE, mark="3"), TOLD, after(60))
    more = planner.plan(replace(SMOKE, mark="4"), TOLD, after(61))

    assert (soon.alerts, soon.due_at) == ((), after(60))
    assert told(then.alerts) == [("feed", 2, "update"), ("center", 2, "update")]
    assert (more.alerts, more.due_at) == ((), after(120))


def test_lost_places_follow_at_once_and_then_keep_to_the_minute() -> None:
    planner = Planner()
    planner.plan(UPLINK, TOLD, T0)

    places = planner.plan(replace(UPLINK, urgent="p1"), TOLD, after(1))
    others = planner.plan(replace(UPLINK, urgent="p1 p2"), TOLD, after(2))

    assert [alert.revision for alert in places.alerts] == [2, 2]
    assert (others.alerts, others.due_at) == ((), after(61))


def test_what_is_held_down_and_over_meanwhile_is_told_to_nobody() -> None:
    planner = Planner()
    held = replace(TOLD, rule=replace(RULE, delay_s=30))

    waits = planner.plan(SMOKE, held, after(29))
    over = planner.plan(replace(SMOKE, ended_at=after(29)), held, after(31))
    other = Planner().plan(SMOKE, held, after(30))

    assert (waits.alerts, waits.due_at) == ((), after(30))
    assert over.alerts == ()
    assert len(other.alerts) == 2


def test_a_mute_withholds_updates_but_not_the_end() -> None:
    planner = Planner()
    planner.plan(SMOKE, TOLD, T0)

    assert planner.plan(replace(SMOKE, mark="2"), NOBODY, after(100)).alerts == ()
    closed = planner.plan(replace(SMOKE, ended_at=after(200)), NOBODY, after(200)).alerts
    assert [alert.revision for alert in closed] == [2, 2]


def test_reminders_stop_when_the_center_has_received_it() -> None:
    planner = Planner()
    nagging = replace(TOLD, rule=replace(RULE, repeat_s=300))
    first = planner.plan(SMOKE, nagging, T0)

    assert first.due_at == after(300)
    assert planner.plan(SMOKE, nagging, after(299)).due_at == after(300)
    again = planner.plan(SMOKE, nagging, after(300))
    quiet = planner.plan(SMOKE, nagging, after(601), Nudge(acknowledged=True))

    assert [alert.revision for alert in again.alerts] == [2, 2]
    assert quiet.alerts == ()


def test_what_is_overdue_is_told_to_those_above_at_once() -> None:
    planner = Planner()
    planner.plan(SMOKE, TOLD, T0)

    late = planner.plan(SMOKE, TOLD, after(301), Nudge(overdue="not received by noon"))

    assert told(late.alerts) == [
        ("feed", 2, "update"),
        ("center", 2, "update"),
        ("duty", 1, "open"),
    ]
    assert late.alerts[2].body["data"]["escalation"] == "not received by noon"
    assert planner.opened_at("ev-1") == T0
    assert planner.opened_at("other") is None
    muted = planner.plan(SMOKE, NOBODY, after(400), Nudge(overdue="x"))
    assert muted.alerts == ()


def test_after_a_restart_revisions_go_on_and_nothing_is_said_twice() -> None:
    planner = Planner()
    planner.restore({("center", "ev-1"): 4, ("feed", "ev-1"): 4}, T0)

    same = planner.plan(SMOKE, TOLD, after(100))
    changed = planner.plan(replace(SMOKE, mark="x"), TOLD, after(101))

    assert same.alerts == ()
    assert told(changed.alerts) == [("feed", 5, "update"), ("center", 5, "update")]


def test_after_a_restart_times_of_messages_are_those_of_before() -> None:
    planner = Planner()
    key = ("center", "ev-1")
    planner.restore({key: 2}, after(500), {key: (T0, after(480))})
    planner.plan(SMOKE, TOLD, after(500))

    assert planner.opened_at("ev-1") == T0
    soon = planner.plan(replace(SMOKE, urgent="p"), TOLD, after(510))
    assert [alert.recipient for alert in soon.alerts] == ["feed"]
    assert soon.due_at == after(540)


def test_after_a_restart_an_escalation_is_told_unless_it_was_due_at_the_last_message() -> None:
    overdue = Nudge(overdue="late", overdue_at=after(900))
    key = ("center", "ev-1")
    swallowed, said = Planner(), Planner()
    swallowed.restore({key: 1}, after(950), {key: (T0, T0)})
    said.restore({key: 2}, after(950), {key: (T0, after(900))})
    only = replace(TOLD, recipients=("center",), rule=replace(RULE, escalate_to=()))

    assert told(swallowed.plan(SMOKE, only, after(950), overdue).alerts) == [
        ("center", 2, "update")
    ]
    assert said.plan(SMOKE, only, after(970), overdue).alerts == ()


def restarted(planner: Planner, subject: Subject, alert: Alert) -> Planner:
    later, key = Planner(), ("center", subject.key)
    at = alert.created_at
    later.restore({key: alert.revision}, at, {key: (at, at)}, {key: alert.body})
    return later


ONLY_CENTER = replace(TOLD, recipients=("center",), rule=replace(RULE, escalate_to=()))
SPOT_TOLD = replace(
    SMOKE,
    family=Family.BLIND_SPOT,
    kind=EventKind.BLIND_SPOT,
    data={"lost_places": [{"place": "p2"}, {"place": "p1"}]},
    mark=blind_spot_mark("major"),
    urgent=places_mark(["p1", "p2"]),
    severity=Severity.MAJOR,
)
UPLINK_TOLD = replace(
    SMOKE,
    family=Family.OUTAGE,
    kind=EventKind.UPLINK_LOST,
    data={"source": {"id": "up"}, "cause": "uplink", "counts": {"channels": 9}},
    mark=outage_mark("major", "up", "uplink", 9),
    severity=Severity.MAJOR,
)
TAMPER_TOLD = replace(
    SMOKE,
    data={"reasons": ["followed by signal_loss"], "counts": {"signals": 3}},
    mark=incident_mark("major", "followed by signal_loss", 3),
    severity=Severity.MAJOR,
)


@pytest.mark.parametrize(
    ("told_of", "changed", "turn"),
    [
        (TAMPER_TOLD, {"mark": incident_mark("critical", "followed by signal_loss", 3)}, 60),
        (TAMPER_TOLD, {"mark": incident_mark("major", "", 3)}, 60),
        (TAMPER_TOLD, {"mark": incident_mark("major", "followed by signal_loss", 4)}, 60),
        (UPLINK_TOLD, {"mark": outage_mark("major", "up", "uplink", 17)}, 60),
        (SPOT_TOLD, {"mark": blind_spot_mark("info")}, 60),
        (SPOT_TOLD, {"urgent": places_mark(["p1"])}, 0),
    ],
)
def test_what_a_message_of_before_a_restart_did_not_tell_is_told_in_its_turn(
    told_of: Subject, changed: dict[str, Any], turn: float
) -> None:
    planner = Planner()
    (first,) = planner.plan(told_of, ONLY_CENTER, T0).alerts
    assert marks_in(first.body).mark == told_of.mark

    same = restarted(planner, told_of, first).plan(told_of, ONLY_CENTER, after(90))
    later = restarted(planner, told_of, first)
    soon = later.plan(replace(told_of, **changed), ONLY_CENTER, after(turn - 0.1))
    due = later.plan(replace(told_of, **changed), ONLY_CENTER, after(turn))

    assert same.alerts == ()
    assert turn == 0 or (soon.alerts == () and soon.due_at == after(turn))
    assert len((*soon.alerts, *due.alerts)) == 1


def test_an_escalation_that_was_told_before_a_restart_is_not_told_again() -> None:
    planner, late = Planner(), Nudge(overdue="late")
    (first,) = planner.plan(SPOT_TOLD, ONLY_CENTER, T0, late).alerts
    later = restarted(planner, SPOT_TOLD, first)
    assert later.plan(SPOT_TOLD, ONLY_CENTER, after(90), late).alerts == ()
    assert len(later.plan(SPOT_TOLD, ONLY_CENTER, after(91)).alerts) == 1


def test_a_message_that_does_not_show_what_it_told_counts_as_having_told_what_stands() -> None:
    data: dict[str, Any] = {
        "severity": "major",
        "escalation": None,
        "lost_places": [],
        "lost_places_total": 30,
    }
    spot = {"type": "cn.sightline.blind_spot.opened.v1", "data": data}
    assert marks_in(spot) == ("major", None)  # a list that was cut
    assert marks_in({**spot, "data": {"severity": "major"}}) == (None, None)
    assert marks_in({**spot, "type": "cn.sightline.digest.closed.v1"}) == (None, None)
    assert marks_in({"specversion": "1.0"}) == (None, None)


def test_what_a_digest_gathers_is_a_row_that_says_its_area() -> None:
    row = Planner().gather(SMOKE, TOLD, T0, "digest:doors")

    assert (row.recipient, row.phase, row.state) == ("digest:doors", "close", "pending")
    assert row.body["data"]["area"] == SMOKE.area


def test_a_decision_without_a_rule_can_be_planned_and_a_digest_stands_for_itself() -> None:
    planner = Planner(source="sightline://test")
    bare = planner.plan(SMOKE, Decision(("feed",), "by hand"), T0)
    digest = planner.note(DIGEST, TOLD, T0)

    assert told(bare.alerts) == [("feed", 1, "open")]
    assert told(digest.alerts) == [("feed", 1, "close"), ("center", 1, "close")]
    assert "digest-upkeep-1" not in planner.threads
    assert digest.alerts[0].body["source"] == "sightline://test"
    assert planner.plan(SMOKE, Decision(("feed",), "by hand"), after(9)).alerts == ()


@settings(deadline=None)  # of one example: others use the machine too
@given(
    st.lists(
        st.tuples(
            st.floats(0, 100), st.integers(0, 3), st.booleans(), st.booleans(), st.booleans()
        ),
        max_size=30,
    )
)
def test_whatever_happens_revisions_have_no_holes_and_updates_keep_their_distance(
    steps: list[tuple[float, int, bool, bool, bool]],
) -> None:
    planner, now = Planner(), 0.0
    sent: list[Alert] = []
    for pause, mark, muted, urgent, late in steps:
        now += pause
        subject = replace(SMOKE, mark=str(mark), urgent="p" if urgent else "")
        nudge = Nudge(overdue="late" if late else "")
        sent += planner.plan(subject, NOBODY if muted else TOLD, after(now), nudge).alerts
    sent += planner.plan(replace(SMOKE, ended_at=after(now)), TOLD, after(now)).alerts

    for recipient in {alert.recipient for alert in sent}:
        own = [alert for alert in sent if alert.recipient == recipient]
        assert [alert.revision for alert in own] == list(range(1, len(own) + 1))
        assert [alert.phase for alert in own] == (
            ["open"] + (len(own) - 2) * ["update"] + ["close"]
        )
        updates = [alert.created_at for alert in own if alert.phase is AlertPhase.UPDATE]
        gaps = [b - a for a, b in pairwise(updates)]
        assert all(gap >= timedelta(seconds=60) for gap in gaps)
    assert len({alert.id for alert in sent}) == len(sent)


# --- what is said


def message(subject: Subject, phase: AlertPhase = AlertPhase.OPEN, revision: int = 1) -> Any:
    decision = {"rule": "life", "reason": "rule life", "posture": "routine", "escalation": None}
    return body(subject, recipient="center", revision=revision, phase=phase, now=T0, told=decision)


@pytest.mark.parametrize(
    ("name", "subject", "phase", "revision"),
    [
        ("incident_opened", SMOKE, AlertPhase.OPEN, 1),
        (
            "incident_updated",
            replace(
                SMOKE,
                last_at=after(70),
                data={**SMOKE.data, "counts": {"signals": 4}, "reasons": ["4 signals in 70 s"]},
            ),
            AlertPhase.UPDATE,
            2,
        ),
        ("incident_closed", replace(SMOKE, ended_at=after(90)), AlertPhase.CLOSE, 2),
        ("outage_opened", UPLINK, AlertPhase.OPEN, 1),
        ("outage_updated", UPLINK, AlertPhase.UPDATE, 2),
        (
            "outage_closed",
            replace(
                UPLINK,
                last_at=after(300),
                ended_at=after(310),
                data={**UPLINK.data, "counts": {"channels": 143, "open_channels": 0}},
            ),
            AlertPhase.CLOSE,
            3,
        ),
        ("blind_spot_opened", BLIND, AlertPhase.OPEN, 1),
        (
            "blind_spot_updated",
            replace(BLIND, severity=Severity.CRITICAL),
            AlertPhase.UPDATE,
            2,
        ),
        ("blind_spot_closed", replace(BLIND, ended_at=after(310)), AlertPhase.CLOSE, 3),
        ("digest_closed", DIGEST, AlertPhase.CLOSE, 1),
    ],
)
def test_messages_are_those_on_file_and_keep_to_their_schema(
    name: str, subject: Subject, phase: AlertPhase, revision: int
) -> None:
    found = message(subject, phase, revision)

    assert found == on_file(name, found)
    assert list(schema(subject.family).iter_errors(found)) == []


def on_file(name: str, found: Any) -> Any:
    """The golden file of a message; `WRITE_GOLDEN=1` makes it what was found."""
    path = GOLDEN / f"{name}.json"
    if os.environ.get("WRITE_GOLDEN"):
        path.write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("name", "last"), [("heartbeat", after(-30)), ("heartbeat_before_the_first_delivery", None)]
)
def test_heartbeats_are_those_on_file_and_keep_to_their_schema(
    name: str, last: datetime | None
) -> None:
    beat = heartbeat(
        "center",
        "sightline://610802",
        T0,
        number=2 if last else 1,
        every_s=60.0,
        pending=3,
        oldest_s=12.34,
        last_delivered_at=last,
    )

    assert beat.body == on_file(name, beat.body)
    assert list(schema("heartbeat").iter_errors(beat.body)) == []
    assert beat.recipient == "center"


def test_the_schema_of_heartbeats_refuses_what_is_none() -> None:
    beat = json.loads((GOLDEN / "heartbeat.json").read_text(encoding="utf-8"))

    for wrong in ({"pending": -1}, {"number": 0}, {"last_delivered_at": 5}, {"more": 1}):
        data = {**beat["data"], **wrong}
        assert list(schema("heartbeat").iter_errors({**beat, "data": data})) != [], wrong


FAMILIES = {"incident", "outage", "blind_spot"}


def test_every_schema_and_every_phase_has_a_message_on_file() -> None:
    names = {path.name for path in GOLDEN.glob("*.json")}
    schemas = {path.name.partition(".")[0] for path in (data_dir("config") / "schemas").iterdir()}

    assert all(any(name.startswith(one) for name in names) for one in schemas)
    wanted = {(family, phase) for family in FAMILIES for phase in ("opened", "updated", "closed")}
    assert {f"{family}_{phase}.json" for family, phase in wanted} <= names


def test_the_id_of_a_message_depends_on_recipient_key_and_revision_only() -> None:
    ids = {
        message_id(*one)
        for one in (("a", "k", 1), ("b", "k", 1), ("a", "l", 1), ("a", "k", 2), ("a", "k", 1))
    }

    assert len(ids) == 4
    assert message(SMOKE)["id"] == message_id("center", "ev-1", 1)


def test_long_lists_are_cut_and_their_length_is_told() -> None:
    data = message(UPLINK)["data"]

    assert (len(data["channels"]), data["channels_total"]) == (50, 143)


def test_a_message_stays_below_its_limit_whatever_is_in_it() -> None:
    links = links_of(30 * LINKS, {GridId("610802001001003"): "格" * 5000})
    huge = replace(
        SMOKE,
        title="长" * 9000,
        data={
            **SMOKE.data,
            "links": links,
            "reasons": 30 * ["因" * 400],
            "cameras": cameras_of(500 * CAMERAS),
        },
    )
    found = message(huge)

    assert size(found) <= BYTES_MOST
    assert found["data"]["title"].endswith("…")
    assert (found["data"]["links_total"], found["data"]["cameras_total"]) == (60, 500)
    assert list(schema("incident").iter_errors(found)) == []


def test_what_has_no_list_to_cut_is_left_as_it_is() -> None:
    wide = replace(SMOKE, data={f"x{n}": "x" * 300 for n in range(100)})

    assert size(message(wide)) > BYTES_MOST


def test_no_message_names_a_person_only_roles_and_references() -> None:
    posts = message(SMOKE)["data"]["links"][0]["posts"]

    assert [post["contact"] for post in posts][:2] == ["grid_worker@610802001001003", "BO-0912"]
    assert {key for post in posts for key in post} == {"role", "title", "contact"}


def test_every_kind_has_a_title() -> None:
    assert set(TITLES) == set(EventKind)
