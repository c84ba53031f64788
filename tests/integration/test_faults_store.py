"""The store frozen, killed, and killed again below a running service: it goes on watching."""

import os
import signal
import time
from datetime import UTC, datetime

from fakes.district import Cut, until
from fakes.fault_report import Measured
from fakes.honesty import Watched, lies
from fakes.service import Service
from fakes.town import MARKS, TORTURE, Town

pytestmark = MARKS

FROZEN_S = 60.0 if TORTURE else 8.0
MORE_MB = 60.0 if TORTURE else 20.0
"""What the memory may grow by while rows wait to be written."""


def test_a_frozen_store_stops_nothing_and_every_transition_arrives_with_its_true_time(
    town: Town, measured: Measured
) -> None:
    since = town.settle()
    service, district, scale = town.service, town.district, town.scale
    cuts: list[Cut] = []
    victims = [v for v in district.mortal() if not v.device.tls]
    cuts.append(district.apply("frozen-over", "refuse", victims[:3]))
    until("they are down", scale.confirm_s, lambda: set(cuts[0].channels) <= town.open_outages())
    before_mb = service.rss_mb()
    with service.store_frozen():
        thaws = time.monotonic() + FROZEN_S
        until("it says so", 10, lambda: any("store" in reason for reason in service.reasons()))
        district.apply("frozen-in", "drop_syn", victims[3:6])
        district.apply("frozen-both", "refuse", victims[6:9])
        cuts[0] = district.heal("frozen-over")
        checks = checks_made(service)
        until(
            "two deaths are seen and one return, though nothing can be written",
            scale.confirm_s + scale.back_s,
            lambda: seen_offline(service) == 6,
        )
        cuts.append(district.heal("frozen-both"))
        until("the second return is seen", scale.back_s, lambda: seen_offline(service) == 3)
        until("the frost is over", FROZEN_S, lambda: time.monotonic() >= thaws)
        assert checks_made(service) - checks > len(town.watched), "polling goes on"
        ready, live = service.ask("/readyz"), service.ask("/livez")
        assert (ready.status, live.status) == (503, 200)
        assert [reason.partition(":")[0] for reason in ready.json["reasons"]] == ["store"]
        more_mb = service.rss_mb() - before_mb
        assert more_mb < MORE_MB
        pending = service.get("/api/v1/stats")["store_pending_rows"]
        assert pending < 5 * scale.cameras
    until("ready again", 20, lambda: not service.reasons())
    down = district.cuts["frozen-in"]
    until("all is written", 10, lambda: town.open_outages() == set(down.channels))
    told_the_truth(town, since)
    cuts.append(district.heal("frozen-in"))
    until("all are back", scale.back_s, lambda: not town.open_outages())
    told_the_truth(town, since)
    assert not [gap for gap in service.rows().gaps if gap.started_at >= since], "we saw everything"
    measured("frozen for, s", FROZEN_S)
    measured("more memory, MB", round(more_mb, 1))
    measured("rows that waited", pending)


def test_kill_9_of_the_store_again_and_again_loses_and_doubles_no_row(
    town: Town, measured: Measured
) -> None:
    since = town.settle()
    service, district, scale = town.service, town.district, town.scale
    victims = [v for v in district.mortal() if not v.device.tls]
    kills = 10 if TORTURE else 2
    back: list[float] = []
    for number in range(kills):
        name = f"killed-{number}"
        cut = district.apply(
            name, ("refuse", "hang")[number % 2], victims[3 * number : 3 * number + 3]
        )
        until("they are failing", scale.confirm_s, lambda cut=cut: seen_suspect(service, cut))  # type: ignore[misc]
        old = service.postmaster()
        os.kill(old, signal.SIGKILL)
        began = time.monotonic()
        until("another server runs", 20, lambda old=old: runs_anew(service, old))  # type: ignore[misc]
        back.append(time.monotonic() - began)
        assert service.ask("/livez").status == 200
        if number % 2:
            district.heal(name)
    until("ready again", 30, lambda: not service.reasons())
    down = {c for cut in district.cuts.values() if cut.ended is None for c in cut.channels}
    until("who is down", scale.confirm_s + scale.back_s, lambda: town.open_outages() == down)
    district.heal_all()
    until("all are back", scale.back_s + 5, lambda: not town.open_outages())
    told_the_truth(town, since)
    assert service.process is not None
    assert service.process.poll() is None
    measured("kills", kills)
    measured("another server after, at most, s", round(max(back), 1))


# --- what the tests ask


def checks_made(service: Service) -> int:
    return int(service.get("/api/v1/stats")["checks"])


def seen_offline(service: Service) -> int:
    """Offline cameras, as the judge sees them: the store is not asked."""
    return list(service.states().values()).count("f")


def seen_suspect(service: Service, cut: Cut) -> bool:
    """Whether the judge has seen one of them fail."""
    camera = service.get(f"/api/v1/cameras/{cut.channels[0]}/trace")
    return bool(camera["failures"])


def runs_anew(service: Service, old: int) -> bool:
    try:
        return service.postmaster() != old
    except (OSError, ValueError, IndexError):
        return False


def told_the_truth(town: Town, since: datetime) -> None:
    watched = Watched([(since, datetime.now(UTC))], town.scale.confirm_s)
    found = lies(town.service.rows(), town.district.cuts.values(), since, watched)
    assert not found, "\n".join(found)
