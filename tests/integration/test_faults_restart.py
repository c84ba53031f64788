"""The gateway killed, stopped and started again while cameras come and go: its memory is the store."""

import random
import signal
import subprocess
import time
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any

import pytest
from fakes.district import until
from fakes.fault_report import Measured
from fakes.honesty import Span, Watched, lies
from fakes.town import MARKS, TORTURE, Town

from adapters.virtual.model import VirtualDevice
from adapters.virtual.rows import LedgerRows
from gateway.domain.ledger import GapReason, GatewayGap

pytestmark = MARKS

KILLS = ("refuse", "drop_syn", "hang")
START_S = 5.0
"""A restart serves within so many seconds (the median: others use this machine too)."""
STOP_S = 10.0


class Turmoil:
    """Deaths and returns going on all the time, each device dead and well for random times."""

    def __init__(self, town: Town, devices: list[VirtualDevice], rng: random.Random) -> None:
        self.town = town
        self.rng = rng
        self.waiting = list(devices)
        self.dead: list[tuple[float, str]] = []
        self.number = 0
        self.next_at = time.monotonic()

    def step(self, until_s: float) -> bool:
        """Let happen what is due; True when the time is up."""
        now = time.monotonic()
        for due, name in list(self.dead):
            if now >= due:
                self.dead.remove((due, name))
                self.town.district.heal(name)
        if now >= self.next_at and self.waiting:
            self.number += 1
            name = f"turmoil-{self.rng.random():.9f}"
            self.town.district.apply(name, KILLS[self.number % 3], [self.waiting.pop()])
            longest = 2 * self.town.scale.confirm_s
            self.dead.append((now + self.rng.uniform(1.0, longest), name))
            self.next_at = now + self.rng.uniform(0.1, 0.6)
        return now >= until_s

    def go_on(self, seconds: float) -> None:
        """Let things happen for so long."""
        ends = time.monotonic() + seconds
        until("the turmoil has gone on", seconds + 5, lambda: self.step(ends))


def test_kill_9_of_the_gateway_at_random_moments_loses_doubles_and_invents_nothing(
    town: Town, measured: Measured
) -> None:
    since = town.settle()
    district, service, scale = town.district, town.service, town.scale
    rng = random.Random(20261123)  # noqa: S311 - the same turmoil each time
    devices = [v for v in district.mortal() if not v.device.tls]
    refusing = [v for v in district.known.devices if not v.killable and district.is_plain(v)][:3]
    use_up_logins(town, refusing)
    rng.shuffle(devices)
    lasting, *devices = devices
    cut = district.apply("lasting", "refuse", [lasting])
    incident = until(
        "an incident to acknowledge",
        scale.confirm_s + 2 * scale.cadence_s,
        lambda: next(
            (
                i
                for i in service.rows().incidents
                if i.root == cut.channels[0] and i.ended_at is None
            ),
            None,
        ),
    ).id
    later = (datetime.now(UTC) + timedelta(hours=8)).isoformat()
    service.post(f"/api/v1/incidents/{incident}/acknowledge", text="派人查看", until=later)
    service.post(f"/api/v1/incidents/{incident}/notes", text="电话已打")
    before = remembered(town, incident)

    turmoil = Turmoil(town, devices, rng)
    spans: list[Span] = []
    began = since
    killed: list[datetime] = []
    starts: list[float] = []
    for _ in range(scale.kills):
        turmoil.go_on(rng.uniform(0.2, 1.2 * scale.cadence_s))
        killed.append(datetime.now(UTC))
        service.kill()
        spans.append((began, killed[-1]))
        turmoil.go_on(rng.uniform(0.0, scale.cadence_s / 2))
        starts.append(service.start())
        began = datetime.now(UTC)
        assert incident in {i.id for i in service.rows().incidents if i.ended_at is None}
        assert remembered(town, incident) == before
    turmoil.go_on(scale.confirm_s / 2)
    spans.append((began + timedelta(seconds=scale.cadence_s), datetime.now(UTC)))
    for _, name in turmoil.dead:
        district.heal(name)
    district.heal("lasting")
    until("all outages are closed", scale.back_s + 10, lambda: not town.open_outages())

    assert turmoil.number >= 2 * scale.kills
    rows = service.rows()
    found = lies(rows, outages_of(town), since, Watched(spans, scale.confirm_s))
    assert not found, "\n".join(found)
    (row,) = (r for r in rows.outages if r.channel == cut.channels[0] and r.failed_at >= since)
    assert row.unobserved_s > 0, "it was not watched while the gateway was down"
    gaps = sorted(gaps_since(rows, since), key=lambda g: g.started_at)
    # Killed again before everybody had been asked once: that is one hole, not two.
    assert 0 < len(gaps) <= scale.kills
    assert {g.reason for g in gaps} == {GapReason.NOT_RUNNING}
    ends = [g.ended_at or datetime.max.replace(tzinfo=UTC) for g in gaps]
    assert all(end <= gap.started_at for end, gap in zip(ends, gaps[1:], strict=False))
    for at in killed:
        assert any(g.started_at <= at <= end for g, end in zip(gaps, ends, strict=True)), at
    district.heal("passwords")
    assert district.stats()["refused_logins_max_in_31_min"] == 2, "no restart forgets a refusal"
    measured("kills", len(killed))
    measured("deaths meanwhile", turmoil.number)
    measured("restart median, most, s", f"{median(starts):.1f}, {max(starts):.1f}")
    measured("holes", len(gaps))
    assert median(starts) < START_S, starts


def gaps_since(rows: LedgerRows, since: datetime) -> list[GatewayGap[datetime]]:
    """Gaps that had not ended then: they may begin with what was last said before."""
    return [gap for gap in rows.gaps if gap.ended_at is None or gap.ended_at >= since]


def use_up_logins(town: Town, devices: list[VirtualDevice]) -> None:
    """Let devices refuse as many logins as they may be asked for, and the store know of it."""
    town.spoilt |= set(town.district.apply("passwords", "auth", devices).channels)
    for v in devices:
        for _ in range(3):
            reply = town.service.ask(f"/probe?target={v.channels[0].id}&debug=true")
            assert reply.status == 200, reply
    until("the refusals are remembered", 10, lambda: set(refusals(town, devices)) == {2})


def refusals(town: Town, devices: list[VirtualDevice]) -> list[int]:
    """How many refused logins of each device stand in the store."""
    ids = ", ".join(f"'{v.device.id}'" for v in devices)
    sql = f"SELECT refused_at FROM sightline.device_memory WHERE device IN ({ids})"  # noqa: S608
    return [len(row["refused_at"]) for row in town.service.query(sql)]


def outages_of(town: Town) -> list[Any]:
    return [cut for cut in town.district.cuts.values() if cut.id != "passwords"]


def remembered(town: Town, incident: str) -> Any:
    """What people did, as it is shown."""
    service = town.service
    notes = service.get(f"/api/v1/incidents/{incident}")["notes"]
    audit = [
        (line["id"], line["actor"], line["action"], line["target"])
        for line in service.get("/api/v1/audit?limit=1000")["items"]
    ]
    return notes, audit


@pytest.mark.parametrize(
    "moment", ["starting", "first round", "settled"] if TORTURE else ["first round", "settled"]
)
def test_sigterm_flushes_and_stops_within_ten_seconds_and_leaves_a_clean_store(
    town: Town, moment: str, measured: Measured
) -> None:
    since = town.settle()
    service, scale = town.service, town.scale
    victims = [v for v in town.district.mortal() if not v.device.tls][:4]
    if moment != "settled":
        assert service.terminate()[0] == 0
        service.spawn()
        until("the store runs", 10, lambda: service.store_processes() or None)
        if moment == "first round":
            until("it serves", 10, service.is_serving)
        town.district.apply(f"term-{moment}", "refuse", victims)
    else:
        cut = town.district.apply(f"term-{moment}", "refuse", victims)
        until("all are down", scale.confirm_s, lambda: set(cut.channels) <= town.open_outages())
    asked = datetime.now(UTC)
    slack_s = 4.0 + (0.0 if moment == "settled" else (asked - since).total_seconds())
    code, took = service.terminate(STOP_S)
    assert code == 0, service.tail()
    assert took < STOP_S
    assert not service.store_processes()
    assert service.store_is_clean()

    service.start()
    began = datetime.now(UTC)
    cut = town.district.cuts[f"term-{moment}"]
    until("all are down", scale.confirm_s + 5, lambda: set(cut.channels) <= town.open_outages())
    cut = town.district.heal(cut.id)
    until("all are back", scale.back_s + 5, lambda: not town.open_outages())
    rows = service.rows()
    assert not lies(
        rows, [cut], since, Watched([(since, asked), (began, datetime.now(UTC))], scale.confirm_s)
    )
    gap = max(gaps_since(rows, since), key=lambda g: g.started_at)
    assert gap.ended_at is not None
    assert gap.started_at >= asked - timedelta(seconds=slack_s), (
        "what was watched until the stop is known"
    )
    assert gap.ended_at <= began
    measured("stopped after, s", round(took, 1))


def test_a_second_sigterm_ends_at_once_and_leaves_no_store_behind(town: Town) -> None:
    town.settle()
    service = town.service
    assert service.process is not None
    with service.store_frozen():  # the first one has to wait
        service.process.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            service.process.wait(0.7)
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(1.0) == 3
    until("no postgres is left", 10, lambda: not service.store_processes())
    service.start()


def test_sigterm_with_a_store_that_hangs_still_ends_within_ten_seconds(
    town: Town, measured: Measured
) -> None:
    town.settle()
    service = town.service
    with service.store_frozen():
        code, took = service.terminate(20.0)
    assert took < STOP_S
    assert code in {0, 3}
    measured("stopped after, s", round(took, 1))
    until("no postgres is left", 10, lambda: not service.store_processes())
