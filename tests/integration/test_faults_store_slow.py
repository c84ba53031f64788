"""A slow wire between the service and its store: every answer late, then none for a time."""

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fakes.city_server import CityServer, city_server, set_up
from fakes.district import District, until
from fakes.fault_report import Measured
from fakes.honesty import Watched, lies
from fakes.postgres import state_dir
from fakes.service import Service, share_within
from fakes.slow_wire import SlowWire
from fakes.town import MARKS, SMALL, Town

from adapters.virtual.model import VirtualDevice

pytestmark = MARKS

DELAY_S = 0.1
STALLED_S = 6.0
"""Longer than several command timeouts."""
LATENESS = "sightline_check_lateness_seconds"


@pytest.fixture
def server() -> Iterator[CityServer]:
    with state_dir() as folder, city_server(folder, {"sightline": "slow", "postgres": "x"}) as made:
        asyncio.run(set_up(made))
        yield made


@pytest.fixture
def wire(server: CityServer) -> Iterator[SlowWire]:
    with SlowWire(("127.0.0.1", server.port)) as made:
        yield made


@pytest.fixture
def slow_town(server: CityServer, wire: SlowWire) -> Iterator[Town]:
    """A district and a service that reaches its store over the wire only."""
    with (
        state_dir() as folder,
        state_dir() as homes,
        District(homes, SMALL.cameras, 3, SMALL.killable) as district,
    ):
        service = Service(folder, SMALL.sections(district.ready["canaries"]))
        dsn = server.dsn("sightline", "sightline").replace(f":{server.port}/", f":{wire.port}/")
        file = Path(folder / "dsn")
        file.write_text(dsn + "\n", encoding="utf-8")
        file.chmod(0o600)
        service.environment["SIGHTLINE_STORE__DSN_FILE"] = str(file)
        try:
            service.sightline("migrate", "--json")
            town = Town(district, service, SMALL)
            town.import_archive()
            yield town
        finally:
            service.close()


def test_a_slow_store_delays_no_check_loses_no_row_and_readiness_says_when_it_stalls(
    slow_town: Town, wire: SlowWire, measured: Measured
) -> None:
    town, scale = slow_town, slow_town.scale
    since = town.settle()
    service, district = town.service, town.district
    victims: list[VirtualDevice] = [v for v in district.mortal() if not v.device.tls]
    before = service.metrics()
    wire.delay_s = DELAY_S
    late = district.apply("late", "refuse", victims[:3])
    until("written, late", scale.confirm_s + 20, lambda: set(late.channels) <= town.open_outages())
    assert wire.held > 0, "answers were delayed"
    assert not service.reasons(), "slow is not away"
    incident, text = _incident(town), "acknowledged before the stall"
    service.post(f"/api/v1/incidents/{incident}/notes", text=text)
    wire.delay_s = 0.0
    wire.stall(stalled=True)
    begun, pending, checks = time.monotonic(), 0, service.checks()
    until("it says so", 15, lambda: any(r.startswith("store") for r in service.reasons()))
    said_s = time.monotonic() - begun
    district.apply("stalled", "drop_syn", victims[3:6])
    district.heal("late")

    def stalled_long_enough() -> bool:
        nonlocal pending
        pending = max(pending, service.get("/api/v1/stats")["store_pending_rows"])
        offline = list(service.states().values()).count("f")
        return offline == 3 and time.monotonic() - begun >= STALLED_S

    until("seen without a store", scale.confirm_s + scale.back_s + STALLED_S, stalled_long_enough)
    assert (service.ask("/readyz").status, service.ask("/livez").status) == (503, 200)
    assert service.checks() - checks > len(town.watched), "polling goes on"
    assert pending < 5 * scale.cameras, "the newest state of a row waits, not samples"
    wire.stall(stalled=False)
    until("ready again", 30, lambda: not service.reasons())
    down = set(district.cuts["stalled"].channels)
    until("all is written", 20, lambda: town.open_outages() == down)
    on_time, _ = share_within(before, service.metrics(), LATENESS, 1.0)
    assert on_time >= 0.99
    watched = Watched([(since, datetime.now(UTC))], scale.confirm_s)
    found = lies(service.rows(), district.cuts.values(), since, watched)
    assert not found, "\n".join(found)
    notes = service.get(f"/api/v1/incidents/{incident}")["notes"]
    assert [note["text"] for note in notes] == [text]
    measured("answers delayed by, s", DELAY_S)
    measured("stalled for, s", round(time.monotonic() - begun, 1))
    measured("said after, s", round(said_s, 1))
    measured("rows that waited", pending)
    measured("checks within 1 s, %", round(100 * on_time, 2))


def _incident(town: Town) -> str:
    found: list[str] = []

    def there() -> bool:
        found[:] = [i.id for i in town.service.rows().incidents]
        return bool(found)

    until("an incident", town.scale.confirm_s + 20, there)
    return found[0]
