"""Events from end to end: the service as a process with its embedded store, the load from another.

*Steady*: 1,000 messages of devices a second, of which 20 open an incident of their own; measured is the time
from the device's having the message to the center's having the alert (recorded and linked in between).
*Storm*: 10,000 a second in replies of 100 from 300 devices, and 50 alarms a second over MQTT.

One core is the load's, broker and center included; the service and its store share the other with nobody.
`python -m bench.events SECONDS DEVICES PULLED` measures less.
"""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from fakes.district import until
from fakes.event_load import TOLD
from fakes.postgres import state_dir
from fakes.service import Service, share_within

from adapters.virtual.broker import Broker, find_mosquitto
from adapters.virtual.sensors import ROOT, MqttLine, SensorPublisher, read_sensors
from bench.flood import SECRET
from gateway.domain.event import Sensor
from gateway.runtime.stats import quantile

SECONDS = 60.0
STEADY_RATE, STORM_RATE, ALARM_RATE = 1_000.0, 10_000.0, 50.0
DEVICES, PULLED = 3_000, 2_400
LATENESS = "sightline_check_lateness_seconds"
COUNTED = "SELECT kind, sum(count)::int AS n FROM sightline.events GROUP BY kind"


class Flood:
    """The load process. Use it as a context manager."""

    def __init__(self, folder: Path, devices: int, pulled: int) -> None:
        self._command = [
            sys.executable, "-m", "bench.flood", str(folder),
            "--devices", str(devices), "--pulled", str(pulled),
        ]  # fmt: skip
        self.ready: dict[str, Any] = {}

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.ready = self._answer()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(20)

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        found: dict[str, Any] = json.loads(self._process.stdout.readline())
        return found

    def order(self, do: str, **what: float) -> dict[str, Any]:
        """Give an order, and wait for its answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **what}) + "\n")
        self._process.stdin.flush()
        return self._answer()


@dataclass
class Watch:
    """Memory and CPU of the service while something goes on, looked at every half second."""

    service: Service
    rss_mb: list[float] = field(default_factory=list)
    waiting: list[float] = field(default_factory=list)
    cpu_s: float = 0.0
    wall_s: float = 0.0

    def run(self, work: Callable[[], Any]) -> Any:
        """Do some work; returns what it returns."""
        ended = threading.Event()
        watcher = threading.Thread(target=self._look, args=(ended,))
        began, cpu = time.monotonic(), cpu_s(self.service.pid)
        watcher.start()
        try:
            return work()
        finally:
            self.cpu_s = cpu_s(self.service.pid) - cpu
            self.wall_s = time.monotonic() - began
            ended.set()
            watcher.join()

    def _look(self, ended: threading.Event) -> None:
        while not ended.wait(0.5):
            self.rss_mb.append(self.service.rss_mb())

    def report(self) -> dict[str, float]:
        """Memory and CPU; growth is from the first sixth on, when caches and pools are filled."""
        settled = self.rss_mb[len(self.rss_mb) // 6 :]
        return {
            "rss_peak_mb": round(max(self.rss_mb), 1),
            "grown_mb": round(max(settled) - settled[0], 1),
            "core_share": round(self.cpu_s / self.wall_s, 3),
        }


def cpu_s(pid: int) -> float:
    """User and system time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _secret(path: Path) -> str:
    path.write_text(SECRET, encoding="ascii")
    return str(path)


@contextlib.contextmanager
def world(devices: int, pulled: int, broker_port: int) -> Iterator[tuple[Service, Flood]]:
    """A service that pulls everybody who can be pulled, and the load."""
    with state_dir() as folder, Flood(folder, devices, pulled) as flood:
        service = Service(
            folder,
            {
                "network": {"virtual": True},
                "mqtt": {"host": "127.0.0.1", "port": broker_port, "topics": [f"{ROOT}/#"]},
                "center": {"url": flood.ready["center"], "secret_file": _secret(folder / "secret")},
                "log": {"level": "warning", "format": "json"},
            },
        )
        archive = flood.ready["archive"]
        names = ("divisions", "nodes", "grids", "cameras")
        credentials = ("--credentials", archive["credentials"])
        files = [archive[name] for name in names]
        service.sightline("import", *files, *credentials, "--yes", "--json")
        service.sightline("import", "sensors", archive["sensors"])
        made = service.sightline("token", "create", "bench", "--role", "admin", "--json")
        service.token = json.loads(made)["token"]
        try:
            service.start()
            assert service.process is not None
            os.sched_setaffinity(service.pid, {min(os.sched_getaffinity(0))})
            service.until_ready(120)
            wanted = flood.ready["pulled"]
            until("all are pulled", 180, lambda: flood.order("waiting")["waiting"] >= wanted)
            time.sleep(5)
            yield service, flood
        finally:
            service.close()


def steady(service: Service, flood: Flood, seconds: float) -> dict[str, Any]:
    """Latency from a device's message to the center."""
    earlier = _stored(service)
    watch = Watch(service)
    found = watch.run(lambda: flood.order("steady", seconds=seconds, rate=STEADY_RATE))
    time.sleep(3)
    found = {**found, **flood.order("report")}
    told = found["told_at"]
    took = [told[name] - at for name, at in found["made_at"].items() if name in told]
    stored = _stored(service) - earlier
    return {
        "messages": found["offered"],
        "incidents": len(found["made_at"]),
        "not_told": len(found["made_at"]) - len(took),
        "p50_s": round(quantile(took, 0.5), 3),
        "p99_s": round(quantile(took, 0.99), 3),
        "most_s": round(max(took), 3),
        "signals_lost": found["worthy"] - stored["digital_input"],
        "duplicated": found["center"]["duplicated"],
        **watch.report(),
    }


def storm(
    service: Service, flood: Flood, seconds: float, broker_port: int, sensors: list[Sensor]
) -> dict[str, Any]:
    """What is lost, kept back and late while everybody talks at once."""
    earlier = _stored(service)
    before, repeats = service.metrics(), _repeats(service)
    alarms = Alarms(broker_port, sensors, seconds)
    watch = Watch(service)

    def work() -> dict[str, Any]:
        with alarms:
            return flood.order("storm", seconds=seconds, rate=STORM_RATE)

    found = watch.run(work)
    time.sleep(8)  # counts are written every five seconds
    after = service.metrics()
    share, checks = share_within(before, after, LATENESS, 1.0)
    stored = _stored(service) - earlier
    told = sum(stored[kind] for kind in TOLD)
    return {
        "offered": found["offered"] + found["kept_back"],
        "kept_back": found["kept_back"],
        "taken_per_s": round(found["offered"] / watch.wall_s),
        "alarms": alarms.sent,
        "alarms_lost": alarms.sent - told,
        "signals_lost": found["worthy"] - stored["digital_input"],
        "plain_uncounted": found["offered"] - found["worthy"]
        - stored["motion"] - (_repeats(service) - repeats),
        "checks": checks,
        "checks_late_share": round(1 - share, 4),
        "loop_lag_ms": service.get("/api/v1/stats").get("loop_lag_ms"),
        "duplicated": found["center"]["duplicated"],
        **watch.report(),
    }  # fmt: skip


class Alarms:
    """Alarms over MQTT at a rate, in a thread; each is acknowledged by the broker before the next."""

    def __init__(self, port: int, sensors: list[Sensor], seconds: float) -> None:
        self._port, self._sensors, self._seconds = port, sensors, seconds
        self._thread = threading.Thread(target=lambda: asyncio.run(self._send()))
        self.sent = 0

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._thread.join()

    async def _send(self) -> None:
        async with MqttLine("127.0.0.1", self._port) as line:
            publisher = SensorPublisher(line)
            began = time.monotonic()
            for number in range(round(self._seconds * ALARM_RATE)):
                await asyncio.sleep(began + number / ALARM_RATE - time.monotonic())
                await publisher.send(self._sensors[number % len(self._sensors)], alarm=True)
                self.sent += 1


def _stored(service: Service) -> Counter[str]:
    return Counter({row["kind"]: row["n"] for row in service.query(COUNTED)})


def _repeats(service: Service) -> float:
    for line in service.metrics().splitlines():
        if line.startswith('sightline_events_total{fate="repeat"}'):
            return float(line.rpartition(" ")[2])
    return 0.0


def run(seconds: float = SECONDS, devices: int = DEVICES, pulled: int = PULLED) -> object:
    """Both, one after the other in one service; or why there are no figures."""
    if find_mosquitto() is None:
        return {"skipped": "mosquitto is not installed"}
    with state_dir() as folder:
        broker = Broker(folder / "mosquitto")
        asyncio.run(broker.start())
        try:
            with world(devices, pulled, broker.port) as (service, flood):
                path = Path(flood.ready["archive"]["sensors"])
                sensors = [s for s in read_sensors(path) if s.kind in TOLD]
                return {
                    "steady": steady(service, flood, seconds),
                    "storm": storm(service, flood, seconds, broker.port, sensors),
                }
        finally:
            asyncio.run(broker.stop())


if __name__ == "__main__":
    numbers = dict(zip(("seconds", "devices", "pulled"), map(int, sys.argv[1:]), strict=False))
    sys.stdout.write(json.dumps(run(**numbers), indent=1) + "\n")
