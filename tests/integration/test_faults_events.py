"""Gateway, store and broker killed with -9 while alarms come in: what was acknowledged is told, once."""

import asyncio
import os
import re
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from fakes.event_load import TOLD, Buttons, Crowd, Stubborn, by_key, spread
from fakes.fault_report import Measured
from fakes.postgres import state_dir
from fakes.sensors import need_mosquitto
from fakes.service import Service
from fakes.town import MARKS, TORTURE

from adapters.virtual.broker import Broker
from adapters.virtual.center import VirtualCenter
from adapters.virtual.center_answers import Gateway
from adapters.virtual.command import choose_ports
from adapters.virtual.files import write_archive
from adapters.virtual.fleet import build_district
from adapters.virtual.links import Cells
from adapters.virtual.sensors import ROOT, HttpLine, MqttLine, read_sensors
from adapters.virtual.server import DistrictServer
from gateway.domain.event import EventKind, Sensor
from gateway.resources import data_dir

pytestmark = MARKS
KILLS = 30 if TORTURE else 5
VICTIMS = ("gateway", "store", "broker")
SECRET = "whsec_" + "QUJD" * 8
BUTTONS = 6
LINGER_S = 3
DRAIN_S = 60.0
DURABLE = "autosave_interval 1\nautosave_on_changes true"
"""As docs/guide/sensors.md asks for: what the broker has acknowledged stands on its disk."""
STORED = (
    "SELECT sensor, sum(count)::int AS messages FROM sightline.events"
    " WHERE sensor IS NOT NULL GROUP BY sensor"
)
CENTERS = "SELECT id, key, revision, phase, state FROM sightline.alerts WHERE recipient = 'center'"
INCIDENTS = "SELECT id, kind, sensor, ended_at FROM sightline.event_incidents"


@dataclass
class Scene:
    """Everything that is at work, and who can be killed."""

    service: Service
    broker: Broker
    center: VirtualCenter
    crowds: list[Crowd]
    buttons: Buttons
    cells: Cells
    sensors: dict[str, Sensor]

    def is_listening(self) -> bool:
        """The service is ready and holds its subscription."""
        page = self.service.ask("/metrics").body.decode()
        connected = re.search(r"^sightline_mqtt_connected 1\.0$", page, re.MULTILINE)
        # The first round of the cameras is not waited for: alarms must not wait for it either.
        waits = [reason for reason in self.service.reasons() if not reason.startswith("first")]
        return connected is not None and not waits

    async def kill(self, victim: str) -> float:
        """kill -9; returns seconds until everything is at work again."""
        began = time.monotonic()
        if victim == "gateway":
            self.service.kill()
            await asyncio.to_thread(self.service.start)
        elif victim == "store":
            old = self.service.postmaster()
            os.kill(old, signal.SIGKILL)
            await self.until("another store", lambda: self._runs_anew(old))
        else:
            await self.broker.stop(signal.SIGKILL)
            await self.broker.start()
        await asyncio.sleep(1.05)  # the page of metrics is kept for a second
        await self.until("all listen again", self.is_listening)
        return time.monotonic() - began

    def _runs_anew(self, old: int) -> bool:
        try:
            return self.service.postmaster() != old
        except (FileNotFoundError, IndexError, ValueError):
            return False

    async def until(self, what: str, look: Callable[[], Any], within_s: float = DRAIN_S) -> None:
        """Wait for something, while sensors and center go on."""
        deadline = time.monotonic() + within_s
        while not await asyncio.to_thread(_found, look):
            assert time.monotonic() < deadline, f"not within {within_s:g} s: {what}"
            await asyncio.sleep(0.1)

    async def query(self, sql: str) -> list[dict[str, Any]]:
        """Rows straight from the store."""
        return await asyncio.to_thread(self.service.query, sql)


def _found(look: Callable[[], Any]) -> bool:
    try:
        return bool(look())
    except OSError:
        return False


def rules(folder: Path) -> Path:
    """The shipped rules, but that what is over lingers for seconds."""
    text = (data_dir("config") / "alert_rules.toml").read_text(encoding="utf-8")
    path = folder / "alert_rules.toml"
    path.write_text(re.sub(r"(?m)^(linger_s|within_s) = \d+$", rf"\1 = {LINGER_S}", text))
    return path


def secret_file(path: Path) -> Path:
    """The secret that both sides know."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(SECRET, encoding="ascii")
    return path


def settings(folder: Path, broker: Broker, center: VirtualCenter) -> dict[str, dict[str, Any]]:
    """Of the service."""
    secret_file(folder / "intake" / f"{ROOT}.secret")
    return {
        "store": {"command_timeout_s": 2.0},
        "network": {"virtual": True},
        "coverage": {"enabled": False},
        "events": {"pull": False, "rules": str(rules(folder))},
        "mqtt": {"host": "127.0.0.1", "port": broker.port, "topics": [f"{ROOT}/#"]},
        "intake": {"secrets_dir": str(folder / "intake")},
        "center": {
            "url": center.url,
            "secret_file": str(secret_file(folder / "center" / "secret")),
            "heartbeat_s": 5.0,
            "timeout_s": 2.0,
        },
        "log": {"level": "info", "format": "json"},
    }


@asynccontextmanager
async def scene(folder: Path, scratch: Path) -> AsyncIterator[Scene]:
    """A few cameras that answer, a broker, a center that answers back, sensors, and the service."""
    need_mosquitto()
    district = build_district(4, 50, **choose_ports(0))
    archive = write_archive(district, folder / "archive")
    all_sensors = read_sensors(archive["sensors"])
    chosen = spread(all_sensors)
    pressed = [s for s in chosen if s.kind is EventKind.SOS][:BUTTONS]
    spoken = [s for s in chosen if s not in pressed]
    cameras = DistrictServer(district)
    await cameras.start()
    service = Service(folder, {})
    gateway = Gateway(f"http://127.0.0.1:{service.port}")
    broker = Broker(scratch / "mosquitto", more=DURABLE)
    center = VirtualCenter((SECRET,), gateway=gateway, log=scratch / "center.jsonl", step_s=0.2)
    try:
        async with broker, center:
            for section, values in settings(folder, broker, center).items():
                service.sections.setdefault(section, {}).update(values)
            service.write_config()
            await asyncio.to_thread(prepare, service, archive)

            def over_mqtt() -> MqttLine:
                return MqttLine("127.0.0.1", broker.port)

            def over_http() -> HttpLine:
                return HttpLine(gateway.url, SECRET)

            crowds = [
                Crowd(Stubborn(over_mqtt), spoken[0::3], 0.04, 1),
                Crowd(Stubborn(over_mqtt), spoken[1::3], 0.04, 2),
                Crowd(Stubborn(over_http), spoken[2::3], 0.15, 3),
            ]
            buttons = Buttons(Stubborn(over_mqtt), pressed, 0.5)
            cells = await asyncio.to_thread(Cells, archive["grids"])
            known = {str(s.id): s for s in chosen}
            try:
                await asyncio.to_thread(service.start)
                yield Scene(service, broker, center, crowds, buttons, cells, known)
            finally:
                await asyncio.to_thread(service.close)
    finally:
        await cameras.close()


def prepare(service: Service, archive: dict[str, Path]) -> None:
    """Import the archive and the registry."""
    files = [str(archive[name]) for name in ("divisions", "nodes", "grids", "cameras")]
    credentials = ("--credentials", str(archive["credentials"]))
    service.sightline("import", *files, *credentials, "--yes", "--json")
    service.sightline("import", "sensors", str(archive["sensors"]))


def moments(rng: Random) -> list[str]:
    """Whom to kill: each at least once in three, in random order."""
    order: list[str] = []
    while len(order) < KILLS:
        order += rng.sample(VICTIMS, len(VICTIMS))
    return order[:KILLS]


async def test_kill_9_of_gateway_store_or_broker_under_alarms_loses_and_doubles_nothing(
    tmp_path: Path, measured: Measured
) -> None:
    rng = Random(int(os.environ.get("SIGHTLINE_TORTURE_SEED", "20261123")))  # noqa: S311
    with state_dir() as folder:
        async with scene(folder, tmp_path) as s:
            await s.until("all listen", s.is_listening)
            back: list[tuple[str, float]] = []
            async with speaking(s):
                for victim in moments(rng):
                    await asyncio.sleep(rng.uniform(0.3, 2.0))
                    back.append((victim, await s.kill(victim)))
                await asyncio.sleep(1.0)
            await settled(s)
            await check_stored(s)
            await check_told(s)
            await check_receipts(s)
            for victim in VICTIMS:
                took = [seconds for name, seconds in back if name == victim]
                measured(
                    f"{victim}: kills, all at work again after at most, s",
                    f"{len(took)}, {max(took):.1f}",
                )
            measured("messages", sum(sum(one.acknowledged.values()) for one in s.crowds))
            measured(
                "delivered, redelivered",
                f"{s.center.counts.distinct}, {s.center.counts.redelivered}",
            )


@asynccontextmanager
async def speaking(s: Scene) -> AsyncIterator[None]:
    """All sensors at work; at the end each has cleared its alarm and had it acknowledged."""
    speakers: list[Crowd | Buttons] = [*s.crowds, s.buttons]
    work = [asyncio.create_task(one.run()) for one in speakers]
    try:
        yield
        for one in speakers:
            one.end()
        async with asyncio.timeout(DRAIN_S):
            await asyncio.gather(*work)
    finally:
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)
        for one in speakers:
            await one.line.close()


async def settled(s: Scene) -> None:
    """Wait until nothing is under way: all incidents that can end are closed, nothing is pending."""
    closing = f"{INCIDENTS} WHERE ended_at IS NULL AND kind <> 'sos'"
    await s.until("every alarm is over", lambda: not s.service.query(closing))
    pending = f"{CENTERS} AND state = 'pending'"
    await s.until("the outbox is empty", lambda: not s.service.query(pending))
    await asyncio.sleep(1.0)  # what comes twice comes now


async def check_stored(s: Scene) -> None:
    """Acknowledged = stored, once where the message can be known again."""
    stored = {row["sensor"]: row["messages"] for row in await s.query(STORED)}
    for crowd in s.crowds:
        wanted = {str(name): count for name, count in crowd.acknowledged.items()}
        found = {name: stored.get(name, 0) for name in wanted}
        assert found == wanted
    for button in s.buttons.sensors:
        line, found = s.buttons.line, stored.get(button.id, 0)
        assert line.acknowledged[button.topic] <= found <= line.attempts[button.topic]


async def check_told(s: Scene) -> None:
    """Every stored alert arrived or was superseded; one id a revision; rightly linked."""
    counts = s.center.counts
    assert (counts.duplicated, counts.disordered, counts.forged) == (0, 0, 0)
    rows = await s.query(CENTERS)
    assert Counter(row["state"] for row in rows).keys() <= {"delivered", "superseded"}
    arrived = {message["id"] for message in s.center.messages}
    assert {row["id"] for row in rows if row["state"] == "delivered"} <= arrived
    assert arrived <= {row["id"] for row in rows}, "told is only what is stored"
    known = by_key(s.center.messages)
    incidents = [row for row in await s.query(INCIDENTS) if row["kind"] in TOLD]
    assert {row["id"] for row in incidents} == known.keys()
    for row in incidents:
        data = known[row["id"]]
        assert (data["phase"] == "close") == (row["ended_at"] is not None), row
    alarmed = {name for crowd in s.crowds for name in crowd.acknowledged}
    assert {data["source"]["id"] for data in known.values()} >= alarmed
    for data in known.values():
        sensor = s.sensors[data["source"]["id"]]
        place = data["place"]
        assert (place["longitude"], place["latitude"]) == (sensor.longitude, sensor.latitude)
        assert not s.cells.problem(data)
    assert len(known) > 20


async def check_receipts(s: Scene) -> None:
    """What the center was told to be taken of its own answers is there."""
    assert s.center.answers is not None
    taken = s.center.answers.taken
    rows = await s.query("SELECT step, count(*)::int AS n FROM sightline.receipts GROUP BY step")
    stored = {row["step"]: row["n"] for row in rows}
    assert all(stored.get(step, 0) >= count for step, count in taken.items()), (taken, stored)
    assert sum(taken.values()) > 0
