"""The comparison of the ledger with the truth, by the rules of semantics §10."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from adapters.virtual.compare import Comparison, compare, percentile
from adapters.virtual.intervals import Rules, WatchedSpan
from adapters.virtual.model import TruthRow
from adapters.virtual.rows import LedgerRows, read_row
from gateway.domain.camera import ChannelId, NodeId
from gateway.domain.ledger import Fault, GapReason, GatewayGap, Incident, Outage
from gateway.domain.observation import FaultCause, OutageCause

START = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
CHANNELS = frozenset(ChannelId(f"c{n}") for n in range(20))
SPAN = WatchedSpan(START, START + timedelta(seconds=180), CHANNELS)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def truth(
    began: float,
    ended: float | None,
    *channels: str,
    kind: str = "outage",
    cause: str = "refuse",
    **more: Any,
) -> TruthRow:
    return TruthRow(
        kind=kind,
        cause=cause,
        channels=tuple(ChannelId(c) for c in channels or ("c1",)),
        device=None,
        node=more.pop("node", None),
        began=at(began).isoformat(),
        ended=None if ended is None else at(ended).isoformat(),
        id=f"t{began}{channels}",
        **more,
    )


def outage(
    began: float, ended: float | None = None, channel: str = "c1", **more: Any
) -> Outage[datetime]:
    """A row as a good gateway writes it: seen 10 s before, noticed 5 s after, both ways."""
    row: Outage[datetime] = Outage(
        id=f"o{channel}{began}",
        channel=ChannelId(channel),
        cause=OutageCause.REFUSED,
        last_seen_at=at(began - 10),
        failed_at=at(began + 5),
        confirmed_at=at(began + 20),
        last_failed_at=at((ended or 180) - 10),
        ended_at=None if ended is None else at(ended + 5),
    )
    return replace(row, **more)


def fault(
    began: float, cause: FaultCause, channel: str = "c1", ended: float | None = None
) -> Fault[datetime]:
    row = outage(began, ended, channel)
    return Fault(
        "f" + row.id, row.channel, cause, row.last_seen_at, row.failed_at, row.confirmed_at,
        row.last_failed_at, row.ended_at,
    )  # fmt: skip


def hold(truths: list[TruthRow], *rows: Any, **rules: Any) -> Comparison:
    def of(kind: type) -> tuple[Any, ...]:
        return tuple(row for row in rows if isinstance(row, kind))

    ledger = LedgerRows(of(Outage), of(Fault), of(Incident), of(GatewayGap))
    return compare(truths, ledger, SPAN, Rules(**rules))


def reasons(found: Comparison) -> str:
    return " | ".join(f"{o.what}: {o.reason}" for o in found.offences)


def test_a_ledger_that_tells_the_truth_passes() -> None:
    found = hold([truth(30, 100)], outage(30, 100))
    assert found.ok, reasons(found)
    assert (found.missed, found.invented, found.worst_bound_error_s) == (0, 0, 0)
    assert (found.untouched, found.untouched_without_rows) == (19, 19)
    assert found.detection_p50_s == found.detection_p99_s == 20
    assert found.by_kind == {"outage": {"due": 1, "found": 1}}


def test_an_empty_ledger_misses_what_is_due() -> None:
    found = hold([truth(30, 100)])
    assert (found.missed, found.ok) == (1, False)
    assert "no row for what began" in reasons(found)


def test_two_rows_for_one_interval_are_a_miss() -> None:
    found = hold([truth(30, 100)], outage(30, 100), replace(outage(30, 100), id="again"))
    assert (found.missed, found.invented) == (1, 0)
    assert "2 rows" in reasons(found)


@pytest.mark.parametrize(
    ("began", "ended", "why"),
    [(30, 80, "50 s long"), (130, None, "began 50 s before the end"), (121, None, "59 s before")],
)
def test_what_is_short_or_late_may_have_a_row_or_none(
    began: float, ended: float | None, why: str
) -> None:
    with_row = hold([truth(began, ended)], outage(began, ended))
    without = hold([truth(began, ended)])
    assert with_row.ok, (why, reasons(with_row))
    assert without.ok, (why, reasons(without))


def test_what_begins_sixty_seconds_before_the_end_is_due() -> None:
    assert hold([truth(120, None)]).missed == 1


@pytest.mark.parametrize("kind", ["dip", "outage"])
def test_a_row_for_less_than_ten_seconds_is_invented(kind: str) -> None:
    found = hold([truth(30, 39, kind=kind)], outage(30, 39))
    assert (found.invented, found.missed, found.ok) == (1, 0, False)
    assert "a dip is no outage" in reasons(found)
    assert hold([truth(30, 39, kind=kind)]).ok


def test_a_row_with_nothing_behind_it_is_invented_and_its_channel_no_longer_untouched() -> None:
    found = hold([], outage(30, 100, "c7"))
    assert found.invented == 1
    assert (found.untouched, found.untouched_without_rows) == (20, 19)
    assert "nothing was wrong" in reasons(found)


def test_a_row_whose_bounds_hold_no_begin_is_invented_and_the_truth_missed() -> None:
    found = hold([truth(30, 100)], outage(60, 100))
    assert (found.invented, found.missed) == (1, 1)


@pytest.mark.parametrize(("late", "fine"), [(0.9, True), (1.1, False)])
def test_bounds_may_be_off_by_a_second(late: float, fine: bool) -> None:
    row = outage(30, 100, last_seen_at=at(30 + late), failed_at=at(35))
    found = hold([truth(30, 100)], row)
    assert found.ok is fine
    assert found.invented == (0 if fine else 1)


def test_an_end_outside_its_bounds_is_told_with_its_size() -> None:
    found = hold([truth(30, 100)], outage(30, 100, last_failed_at=at(102.5)))
    assert found.worst_bound_error_s == 2.5
    assert not found.ok


def test_a_row_closed_while_the_device_was_still_dead_is_invented() -> None:
    found = hold([truth(30, None)], outage(30, 120))
    assert found.invented == 1
    assert "closed while it was still so" in reasons(found)


def test_bounds_wider_than_the_cadence_and_three_seconds_are_too_wide() -> None:
    assert hold([truth(30, 100)], outage(30, 100, last_seen_at=at(2.5))).ok
    found = hold([truth(30, 100)], outage(30, 100, last_seen_at=at(1.5)))
    assert (found.too_wide, found.ok) == (1, False)
    never = hold([truth(30, 100)], outage(30, 100, last_seen_at=None))
    assert never.too_wide == 1


def test_an_outage_left_open_long_after_the_end_is_too_wide() -> None:
    assert hold([truth(30, 160)], outage(30, None, last_failed_at=at(155))).ok
    found = hold([truth(30, 100)], outage(30, None, last_failed_at=at(95)))
    assert found.too_wide == 1


def test_faults_are_matched_by_their_cause() -> None:
    said = truth(30, 100, kind="fault", cause="clock")
    assert hold([said], fault(30, FaultCause.CLOCK, ended=100)).ok
    found = hold([said], fault(30, FaultCause.TLS, ended=100))
    assert (found.missed, found.invented) == (1, 1)
    assert hold([said], outage(30, 100)).invented == 1


def test_what_a_signed_check_finds_may_be_known_to_its_cadence_only() -> None:
    row = replace(fault(100, FaultCause.AUTH), last_seen_at=at(-2000))
    assert hold([truth(100, None, kind="fault", cause="auth")], row).ok
    row = replace(fault(100, FaultCause.CLOCK), last_seen_at=at(-2000))
    assert hold([truth(100, None, kind="fault", cause="clock")], row).too_wide == 1


def test_a_reboot_and_the_fault_after_it_are_two_intervals() -> None:
    dead = truth(20, 85)
    other = truth(85, None, kind="fault", cause="wrong_device")
    row = replace(fault(85, FaultCause.WRONG_DEVICE), last_seen_at=at(-300))
    found = hold([dead, other], outage(20, 85), row)
    assert found.ok, reasons(found)
    assert found.by_kind["fault_wrong_device"] == {"due": 1, "found": 1}


BLIND = truth(138, 168, kind="blind", cause="blind")


def test_any_row_that_begins_during_the_blindness_is_invented() -> None:
    found = hold([truth(30, 100), BLIND], outage(30, 100), outage(140, None, "c5"))
    assert found.invented == 1
    assert "during the blindness" in reasons(found)


def gap(began: float, ended: float | None) -> GatewayGap[datetime]:
    return GatewayGap("g", GapReason.BLIND, at(began), None if ended is None else at(ended))


def test_a_gap_within_the_blindness_is_right_and_one_outside_is_not() -> None:
    found = hold([BLIND], gap(136, 170))
    assert found.ok, reasons(found)
    assert found.blindness_seen
    assert hold([BLIND]).blindness_seen is False
    assert hold([]).blindness_seen is None
    assert hold([BLIND], gap(120, 170)).unknown_seconds_outside_blindness == 13
    assert hold([], gap(20, 30)).unknown_seconds_outside_blindness == 10
    assert not hold([BLIND], gap(138, None)).ok
    assert hold([], gap(-90, -5)).ok, "what was before the script does not count"


def test_a_stall_of_the_gateway_widens_what_it_delayed_and_nothing_else() -> None:
    stall = replace(gap(31, 32.5), reason=GapReason.STALLED)
    wide = outage(30, 100, last_seen_at=at(-3))
    assert hold([truth(30, 100)], wide).too_wide == 1
    found = hold([truth(30, 100)], wide, stall)
    assert found.ok, reasons(found)
    assert found.unknown_seconds_outside_blindness == 0
    assert hold([truth(30, 100)], replace(wide, last_seen_at=at(-4)), stall).too_wide == 1
    before = replace(gap(-20, -10), reason=GapReason.STALLED)
    assert hold([truth(30, 100)], wide, before).too_wide == 1
    during = replace(gap(140, 142), reason=GapReason.STALLED)
    assert hold([BLIND], during).blindness_seen is False


def test_the_blindness_widens_what_nobody_could_see_meanwhile_and_nothing_else() -> None:
    back_before_it = [truth(30, 130), BLIND]
    noticed_after = outage(30, 130, last_failed_at=at(112), ended_at=at(172))
    found = hold(back_before_it, noticed_after, gap(138, 168))
    assert found.ok, reasons(found)
    assert hold(back_before_it, replace(noticed_after, ended_at=at(181)), gap(138, 168)).too_wide
    assert hold([truth(30, 130)], noticed_after).too_wide == 1, "nothing was blind"
    early = outage(30, 100, last_failed_at=at(60), ended_at=at(105))
    assert hold([truth(30, 100), BLIND], early, gap(138, 168)).too_wide == 1


def test_too_few_untouched_channels_fail() -> None:
    assert not hold([truth(30, 100)], outage(30, 100), untouched=20).ok
    assert hold([truth(30, 100)], outage(30, 100), untouched=19).ok


def flap() -> list[TruthRow]:
    return [truth(5, 57, kind="flapping"), truth(92, None, kind="flapping")]


def test_a_flapper_has_a_row_for_its_losses_one_of_which_says_flapping() -> None:
    first, second = outage(5, 57), outage(92, None)
    assert hold(flap(), first, replace(second, flapping=True)).ok
    found = hold(flap(), first, second)
    assert found.missed == 1
    assert "flapping" in reasons(found)


def test_one_flapping_row_may_cover_several_losses() -> None:
    losses = [truth(5, 57, kind="flapping"), truth(70, 110, kind="flapping")]
    row = outage(5, 110, flapping=True)
    assert hold(losses, row).ok
    assert hold(losses, replace(row, flapping=False)).worst_bound_error_s > 1


UPLINK = truth(
    30, 100, "c1", "c2", "c3", kind="uplink", cause="drop_syn", node="up-1", below=("acc-1",)
)


def incident(root: str, **more: Any) -> Incident[datetime]:
    row: Incident[datetime] = Incident(
        f"i-{root}", NodeId(root), OutageCause.UPLINK, at(20), at(35), at(50), at(105), children=3
    )
    return replace(row, **more)


def children(incident_id: str = "i-up-1") -> list[Outage[datetime]]:
    return [outage(30, 100, c, incident=incident_id) for c in ("c1", "c2", "c3")]


def test_a_cut_uplink_is_one_incident_with_all_its_children() -> None:
    found = hold([UPLINK], *children(), incident("up-1"))
    assert found.ok, reasons(found)
    assert (found.incidents[0].incident, found.incidents[0].absorbed) == ("i-up-1", 0)
    assert found.detections == 0, "no single death"


def test_incidents_of_nodes_below_may_have_been_absorbed() -> None:
    merged = incident("acc-1", merged_into="i-up-1")
    found = hold([UPLINK], *children(), incident("up-1"), merged)
    assert found.ok, reasons(found)
    assert found.incidents[0].absorbed == 1


@pytest.mark.parametrize(
    "stray",
    [
        [],
        [incident("up-1"), incident("acc-1")],
        [incident("up-1"), incident("c2", merged_into="i-up-1")],
        [incident("up-1"), incident("up-1", id="second")],
        [incident("up-1", children=2)],
        [incident("up-1", merged_into="i-core")],
    ],
    ids=["none", "another", "single", "twice", "miscounted", "merged"],
)
def test_anything_else_than_one_incident_is_wrong(stray: list[Incident[datetime]]) -> None:
    found = hold([UPLINK], *children(), *stray)
    assert not found.ok
    assert found.incidents[0].problems
    assert (found.missed, found.invented) == (0, 0)


def test_a_child_left_out_of_the_incident_is_wrong() -> None:
    rows = children()
    rows[1] = replace(rows[1], incident=None)
    assert "1 channels of up-1 are not its children" in reasons(
        hold([UPLINK], *rows, incident("up-1", children=2))
    )


def test_rows_are_read_from_the_json_of_the_api() -> None:
    item = {
        "id": "o1", "channel": "c1", "cause": "timeout", "last_seen_at": None,
        "failed_at": "2026-11-23T08:00:05Z", "confirmed_at": "2026-11-23T08:00:20+00:00",
        "last_failed_at": "2026-11-23T08:01:00Z", "ended_at": None, "reason": ["tcp"],
        "ending": "recovered", "township_name": "牛家梁镇",
    }  # fmt: skip
    row = read_row(Outage, item)
    assert (row.failed_at, row.reason, row.last_seen_at) == (at(5), ("tcp",), None)
    with pytest.raises(KeyError):
        read_row(Outage, {"id": "o1"})
    with pytest.raises(ValueError, match="offset"):
        read_row(Outage, {**item, "failed_at": "2026-11-23T08:00:05"})


def test_percentiles_are_nearest_rank() -> None:
    values = [float(n) for n in range(1, 101)]
    assert (percentile(values, 0.5), percentile(values, 0.99)) == (50, 99)
    assert percentile([7.0], 0.99) == 7
    assert percentile([], 0.5) is None


# --- what was never well, from the first day on (takeover list, semantics §1)

NEVER = truth(-30, None, kind="takeover", cause="hang")
NONSENSE = truth(-30, None, kind="standing", cause="bad_response")
OLD = outage(-20, last_seen_at=None, takeover=True)


def test_what_never_answered_owes_one_row_that_was_never_seen_good() -> None:
    found = hold([NEVER], OLD)
    assert found.ok, found.offences
    assert found.by_kind["takeover"] == {"due": 1, "found": 1}
    assert found.detections == 0, "nobody saw it die"
    assert hold([NEVER]).missed == 1


def test_what_only_ever_answered_nonsense_owes_one_fault() -> None:
    row = replace(fault(-20, FaultCause.BAD_RESPONSE), last_seen_at=None)
    found = hold([NONSENSE], row)
    assert found.ok, found.offences
    assert hold([NONSENSE]).missed == 1


@pytest.mark.parametrize(
    "wrong",
    [
        replace(OLD, last_seen_at=at(-40)),
        replace(OLD, takeover=False),
        replace(OLD, incident="i1"),
    ],
)
def test_a_row_of_what_was_never_well_that_makes_work_of_it_is_invented(
    wrong: Outage[datetime],
) -> None:
    found = hold([NEVER], wrong)
    assert not found.ok
    assert found.invented == 1


def test_an_incident_about_what_was_never_well_is_invented() -> None:
    incident: Incident[datetime] = Incident(
        id="i1", root=ChannelId("c1"), cause=OutageCause.TIMEOUT, began_after_at=None, began_at=at(-15),
        confirmed_at=at(10), children=1,
    )  # fmt: skip
    found = hold([NEVER], OLD, incident)
    assert not found.ok
    assert found.invented == 1
