"""Who is told, when and why: rules, posture, mutes, and what is wrong with a rule file."""

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from gateway.domain.alerting.hours import SHANGHAI, span_of
from gateway.domain.alerting.loop import Limits
from gateway.domain.alerting.posture import level_at, muted_by
from gateway.domain.alerting.rows import Mute, Posture, PostureLevel
from gateway.domain.alerting.rules import (
    Causes,
    Decision,
    KindRule,
    Makes,
    Matter,
    Rule,
    RuleBook,
    decide,
    problems,
    raised,
    unknown_recipients,
)
from gateway.domain.event import EventKind, Severity
from gateway.errors import SettingsError
from gateway.resources import data_dir
from gateway.rulebook import TIMES, load, load_cases, try_case

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=SHANGHAI)
HOUR = timedelta(hours=1)
NIGHT = Rule("night", kinds=(EventKind.DOOR,), hours=("22:00-06:00",), recipients=("center",))
CITY = Rule(
    "city", areas=("610802001",), severity=Severity.MAJOR, recipients=("center", "city"), delay_s=30
)
WAR = Rule("war", postures=(PostureLevel.HEIGHTENED,), recipients=("center",))
SILENT = Rule("silent", kinds=(EventKind.TOO_BLURRY,), tell=False)
BOOK = RuleBook(rules=(NIGHT, CITY, WAR, SILENT))
HEIGHTENED = Posture("p", PostureLevel.HEIGHTENED, "610802", NOON, NOON + HOUR, "值班长", "演练")


def matter(
    kind: EventKind = EventKind.DOOR, severity: Severity = Severity.MINOR, **more: object
) -> Matter:
    values: dict[str, object] = {"area": "610802002001", "since_at": NOON, **more}
    return Matter("k", kind, severity, **values)  # type: ignore[arg-type]


def decided(
    asked: Matter,
    at: datetime = NOON,
    postures: tuple[Posture, ...] = (),
    mutes: tuple[Mute, ...] = (),
    configured: tuple[str, ...] = ("center", "city"),
) -> Decision:
    return decide(BOOK, asked, postures, mutes, at, configured)


def test_the_first_rule_that_matches_decides_and_says_why() -> None:
    found = decided(matter(severity=Severity.CRITICAL, area="610802001005"))

    assert found.recipients == ("feed", "center", "city")
    assert found.rule_name == "city"
    assert "rule city: door critical in 610802001005" in found.reason
    assert "held down for 30 s" in found.reason


def test_an_incident_that_no_rule_matches_is_told_to_nobody() -> None:
    found = decided(matter())

    assert (found.recipients, found.rule_name, found.reason) == ((), "", "no rule matches")


@pytest.mark.parametrize(
    ("hour", "told"), [(22, True), (23, True), (5, True), (6, False), (12, False)]
)
def test_hours_are_those_of_shanghai_and_may_run_past_midnight(hour: int, told: bool) -> None:
    assert bool(decided(matter(), NOON.replace(hour=hour)).recipients) is told


def test_hours_within_a_day_end_before_their_end() -> None:
    book = RuleBook(rules=(Rule("day", hours=("08:00-12:00",)),))

    assert decide(book, matter(area=""), (), (), NOON.replace(hour=11)).recipients == ("feed",)
    assert decide(book, matter(area=""), (), (), NOON).recipients == ()


def test_a_rule_that_tells_nobody_is_recorded_without_the_feed() -> None:
    found = decided(matter(EventKind.TOO_BLURRY))

    assert found.recipients == ()
    assert "told to nobody" in found.reason


def test_recipients_that_are_not_configured_are_left_out_but_the_feed_stays() -> None:
    found = decided(matter(severity=Severity.MAJOR, area="610802001"), configured=())

    assert found.recipients == ("feed",)


def test_an_escalation_goes_only_to_those_who_can_be_reached() -> None:
    rule = replace(NIGHT, hours=(), escalate_s=60.0, escalate_to=("duty", "chief"))
    book = RuleBook(rules=(rule,))

    found = decide(book, matter(), (), (), NOON, ("center", "duty"))
    assert found.rule is not None
    assert found.rule.escalate_to == ("duty",)
    assert decide(book, matter(), (), (), NOON, ("center", "duty", "chief")).rule is rule


def test_a_mistyped_recipient_is_refused_with_place_and_reason() -> None:
    rule = Rule("life", areas=("6",), recipients=("center", "centre"))
    up = Rule("up", areas=("6",), recipients=("center",), escalate_s=9, escalate_to=("dutty",))
    book = RuleBook(rules=(rule, up))

    first, second = unknown_recipients(book, ("center", "duty"))

    assert first.startswith("rules.0 (life): recipients: 'centre' is no recipient")
    assert "center, duty" in first
    assert "[recipients.centre]" in first
    assert second.startswith("rules.1 (up): escalate_to: 'dutty' is no recipient")
    assert unknown_recipients(book, ("center", "centre", "dutty")) == []


def test_rules_are_read_with_the_names_of_the_settings(tmp_path: Path) -> None:
    path = tmp_path / "rules.toml"
    path.write_text('[[rules]]\nname = "a"\nrecipients = ["centre"]\n', encoding="utf-8")

    assert load(path).rules[0].recipients == ("centre",)
    with pytest.raises(SettingsError, match=r"rules\.0 \(a\): recipients: 'centre'"):
        load(path, ("center",))


def test_whoever_is_told_by_the_shipped_rules_has_a_limit_for_each_step_the_tighter_the_more_urgent() -> (
    None
):
    shipped = load()
    told = [rule for rule in shipped.rules if rule.recipients]
    assert all(len(rule.limits.given) == 3 for rule in told), "none of the steps is forgotten"
    assert [rule.name for rule in shipped.rules if not rule.recipients and rule.limits.given] == []

    of: dict[Severity, set[Limits]] = {}
    for kind, how in shipped.kinds.items():
        for severity in Severity:
            asked = matter(kind, severity)
            rule = decide(shipped, asked, (), (), NOON, ("center",)).rule
            if rule in told and severity is how.severity:
                of.setdefault(severity, set()).add(rule.limits)
    assert {severity: len(limits) for severity, limits in of.items()}[Severity.CRITICAL] == 1
    (life,), (minor,) = of[Severity.CRITICAL], of[Severity.MINOR]
    for major in of[Severity.MAJOR]:
        assert life.given <= major.given
        assert major.given < minor.given


@pytest.mark.parametrize(
    "kind", [EventKind.SMOKE, EventKind.GAS, EventKind.SOS, EventKind.WATER_LEVEL]
)
def test_where_lives_are_at_stake_nobody_waits_for_the_end_of_a_window(kind: EventKind) -> None:
    shipped = load()
    asked = matter(kind, Severity.CRITICAL, planned=True)
    assert "center" in decide(shipped, asked, (), (), NOON, ("center",)).recipients


def test_maintenance_and_a_lost_uplink_come_before_every_rule() -> None:
    assert "maintenance" in decided(matter(planned=True)).reason
    for kind in (EventKind.TAMPER, EventKind.OUTAGE, EventKind.CABINET_POWER):
        assert decided(matter(kind, planned=True)).recipients == ()
    assert decided(matter(inhibited_by="inc-1")).reason == "inhibited by inc-1"


def test_heightened_posture_tells_what_is_otherwise_only_recorded() -> None:
    found = decided(matter(), postures=(HEIGHTENED,))

    assert found.rule_name == "war"
    assert found.posture is PostureLevel.HEIGHTENED


def test_the_smallest_area_decides_the_posture_and_of_equal_ones_the_last() -> None:
    calm = replace(HEIGHTENED, id="q", level=PostureLevel.ROUTINE, area="610802001")
    later = replace(calm, id="r", level=PostureLevel.HEIGHTENED, from_at=NOON + HOUR / 2)
    rows = (HEIGHTENED, calm, later)

    assert level_at(rows, "610802002", NOON) is PostureLevel.HEIGHTENED
    assert level_at(rows, "610802001004", NOON) is PostureLevel.ROUTINE
    assert level_at(rows, "610802001004", NOON + HOUR / 2) is PostureLevel.HEIGHTENED
    assert level_at((HEIGHTENED,), "610802", NOON + HOUR) is PostureLevel.ROUTINE
    assert level_at((replace(HEIGHTENED, until_at=None),), "610802", NOON + 9 * HOUR) is (
        PostureLevel.HEIGHTENED
    )


def test_a_mute_says_who_why_and_until_and_must_match_in_all_it_names() -> None:
    mute = Mute("m", "张工", "换杆", NOON, NOON + HOUR, kind="door", area="610802002")
    found = decided(matter(severity=Severity.CRITICAL), mutes=(mute,))

    assert found.recipients == ()
    assert found.reason == "muted by 张工 until 2026-03-01T13:00+08:00: 换杆"

    def covers(**more: str) -> bool:
        asked = {"kind": "door", "area": "610802002001", "key": "k", **more}
        return muted_by([replace(mute, key="k")], at=NOON, **asked) is not None

    assert covers()
    assert not covers(kind="smoke")
    assert not covers(area="610802001")
    assert not covers(key="other")
    assert muted_by([mute], kind="door", area="610802002", key="k", at=NOON + HOUR) is None


def test_severity_rises_as_far_as_there_is_one() -> None:
    assert raised(Severity.MINOR) is Severity.MAJOR
    assert raised(Severity.CRITICAL) is Severity.CRITICAL


def test_causes_are_found_from_the_later_kind() -> None:
    causes = Causes(of={EventKind.TAMPER: (EventKind.OUTAGE,), EventKind.DOOR: (EventKind.TAMPER,)})

    assert causes.before(EventKind.OUTAGE) == (EventKind.TAMPER,)
    assert causes.before(EventKind.SMOKE) == ()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "08:00",
        "8:00-9:00",
        "08:00-08:00",
        "24:00-06:00",
        "08:60-09:00",
        "25:00-26:00",
        "ab:cd-06:00",
    ],
)
def test_a_span_of_hours_must_be_one(text: str) -> None:
    with pytest.raises(ValueError):
        span_of(text)


def test_midnight_is_the_end_of_a_span() -> None:
    assert span_of("18:00-24:00") == (1080, 1440)


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        (Rule("", kinds=(EventKind.DOOR,)), "name"),
        (Rule("a", hours=("x",)), "hours"),
        (Rule("a", areas=("榆阳",)), "areas"),
        (Rule("a", delay_s=-1, areas=("6",)), "negative"),
        (Rule("a", areas=("6",), escalate_to=("b",)), "escalate_to"),
        (Rule("a", areas=("6",), digest_s=60, repeat_s=60), "digest_s"),
        (Rule("a", areas=("6",), digest_s=60, dispatch_s=60), "digest_s"),
        (Rule("a", areas=("6",), close_s=-1), "negative"),
        (Rule("a", areas=("6",), escalate_s=60, dispatch_s=30), "no step may be due before"),
        (Rule("a", areas=("6",), tell=False, close_s=60), "tells nobody"),
        (Rule("a", areas=("6",), recipients=("feed",)), "always gets it"),
        (Rule("a", areas=("6",), tell=False, recipients=("center",)), "tells nobody"),
        (Rule("a", kinds=(EventKind.BLIND_SPOT,), delay_s=5), "blind_spot"),
    ],
)
def test_what_is_wrong_with_a_rule_is_said(rule: Rule, told: str) -> None:
    (problem,) = problems(RuleBook(rules=(rule,)))

    assert problem.startswith("rules.0")
    assert told in problem


def test_any_of_the_three_limits_is_something_to_escalate_for() -> None:
    limits: tuple[dict[str, float], ...] = ({"escalate_s": 9}, {"dispatch_s": 9}, {"close_s": 9})
    for limit in limits:
        rule = Rule("a", areas=("6",), escalate_to=("duty",), **limit)  # type: ignore[arg-type]
        assert problems(RuleBook(rules=(rule,))) == []


def test_everything_that_is_wrong_is_said_at_once() -> None:
    book = RuleBook(
        update_every_s=0,
        kinds={EventKind.SMOKE: KindRule(radius_m=500, window_s=-1)},
        causes=Causes(of={EventKind.TAMPER: (EventKind.OUTAGE,)}),
        rules=(Rule("all"), NIGHT, NIGHT),
    )

    told = "\n".join(problems(book))

    for part in ("radius_m", "negative", "kinds.tamper.linger_s", "update_every_s", "stands at 1"):
        assert part in told
    assert "rules.0 (all): matches all" in told


def test_the_rules_that_come_with_sightline_are_sound_and_decide_as_declared() -> None:
    book = load(recipients=("center",))
    outcomes = [
        try_case(book, case, ("center",))
        for case in load_cases(data_dir("config") / "alert_rules.cases.toml")
    ]

    assert len(outcomes) >= 8
    assert [(one.case.name, one.differences) for one in outcomes if one.differences] == []
    assert book.kind(EventKind.SMOKE).severity is Severity.CRITICAL
    assert book.kind(EventKind.MOTION).incident is Makes.NEVER
    assert set(book.kinds) == set(EventKind)


def test_a_kind_that_is_not_named_has_the_default_rule() -> None:
    assert RuleBook().kind(EventKind.SMOKE) == KindRule()


def test_a_file_with_unknown_names_and_wrong_values_is_refused_with_all_of_them(
    tmp_path: Path,
) -> None:
    path = tmp_path / "rules.toml"
    path.write_text(
        "colour = 1\n[kinds.smoke]\nloud = true\n[kinds.ghost]\n[causes]\nwhy = 1\n"
        '[[rules]]\nname = "a"\nwhom = "b"\nseverity = "huge"\n',
        encoding="utf-8",
    )

    with pytest.raises(SettingsError) as refused:
        load(path)

    told = "\n".join(refused.value.problems)
    for part in (
        "colour",
        "kinds.smoke.loud",
        "ghost",
        "causes.why",
        "rules.0.whom",
        "rules.0.severity",
    ):
        assert part in told


@pytest.mark.parametrize("content", ["rules = 3", "kinds = 3", "= ="])
def test_a_file_of_another_shape_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "rules.toml"
    path.write_text(content, encoding="utf-8")

    with pytest.raises(SettingsError):
        load(path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        load(tmp_path / "none.toml")


def test_a_case_that_comes_out_otherwise_says_in_what() -> None:
    case = load_cases(data_dir("config") / "alert_rules.cases.toml")[0]
    wrong = replace(
        case,
        expect=replace(
            case.expect, recipients=(), rule="x", reason="y", **dict.fromkeys(TIMES, 1.0)
        ),
    )

    outcome = try_case(load(), wrong, ("center",))

    assert [text.partition(":")[0] for text in outcome.differences] == [
        "recipients",
        "rule",
        *TIMES,
        "reason",
    ]


def test_cases_need_an_offset_and_known_names(tmp_path: Path) -> None:
    path = tmp_path / "cases.toml"
    path.write_text(
        '[[cases]]\nname = "a"\nkind = "smoke"\nat = 2026-01-01T00:00:00\nfoo = 1\n'
        "expect = { bar = 1 }\n",
        encoding="utf-8",
    )

    with pytest.raises(SettingsError) as refused:
        load_cases(path)

    assert any("foo" in text for text in refused.value.problems)
    assert any("bar" in text for text in refused.value.problems)
    assert any("no offset" in text for text in refused.value.problems)


def test_a_file_without_cases_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cases.toml"
    path.write_text("rows = 1\n", encoding="utf-8")

    with pytest.raises(SettingsError, match="holds no"):
        load_cases(path)
