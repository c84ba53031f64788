"""What systemd and whoever asks `/livez` are told: the whole service, and checks that never end."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from fakes.clock import FakeClock, turns
from fakes.fleet import Fleet
from fakes.probe import FakeProbe
from fakes.pulling import until

from adapters.memory import MemoryStore
from gateway import app
from gateway.app import Service
from gateway.domain.archive import ImportRecord
from gateway.domain.camera import CheckBy, Device, DeviceId
from gateway.domain.observation import Answer, Instant, Observation, Step, Verdict
from gateway.inventory import Inventory
from gateway.ports import ProbeContext
from gateway.runtime.clock import SystemClock
from gateway.runtime.mailbox import Mailbox
from gateway.runtime.poller import Poller
from gateway.runtime.stats import Stats
from gateway.settings import PollSettings, Settings

CADENCE_S, CHECK_S = 0.2, 0.05
STILL_S = 0.6
"""Three cadences."""
WATCHDOG_USEC = 400_000


class Sticking:
    """A probe whose checks do not end, not even at their deadline, from a moment on."""

    def __init__(self) -> None:
        self.clock = SystemClock()
        self.sticks = False
        self.stuck = 0

    async def check(self, device: Device, step: Step, deadline: Instant) -> Answer:
        """Good at once, or never."""
        started = self.clock.now()
        if self.sticks:
            self.stuck += 1
            await asyncio.Event().wait()
        return Answer(step, started, self.clock.now(), Verdict.ANSWERED)

    async def explain(self, device: Device, deadline: Instant) -> Sequence[Answer]:
        """One step."""
        return [await self.check(device, Step.REACH, deadline)]

    def forget(self, device: DeviceId) -> None:
        """Nothing is known."""

    async def close(self) -> None:
        """Nothing is open."""


class Told:
    """What systemd would have been told, in order."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.setblocking(False)
        self.states: list[str] = []

    def read(self) -> list[str]:
        """All so far."""
        while True:
            try:
                self.states.append(self.socket.recv(4096).decode())
            except BlockingIOError:
                return self.states

    def fed(self) -> int:
        """How often the watchdog was fed."""
        return self.read().count("WATCHDOG=1")


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Told]:
    path = tmp_path / "notify"
    monkeypatch.setenv("NOTIFY_SOCKET", str(path))
    monkeypatch.setenv("WATCHDOG_USEC", str(WATCHDOG_USEC))
    made = Told(path)
    yield made
    made.socket.close()


def three_cameras() -> Inventory:
    made = Fleet()
    made.uplink("t")
    made.cameras_at("t", ["a", "b", "c"], CheckBy.TCP)
    return made.build()


@asynccontextmanager
async def running(
    inventory: Inventory, probe: Sticking, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Service]:
    """The service on a store in memory, with a probe of ours."""

    def probes(_context: ProbeContext) -> dict[CheckBy, Sticking]:
        return dict.fromkeys(CheckBy, probe)

    monkeypatch.setattr(app, "make_probes", probes)
    store = MemoryStore("memory:")
    await store.open()
    if inventory.cameras:
        at = probe.clock.utc(probe.clock.now())
        await store.save_import(ImportRecord("first", at, "tester", (), ()), inventory)
    poll = {"cadence_s": CADENCE_S, "check_s": CHECK_S, "connect_s": CHECK_S}
    settings = Settings.model_validate(
        {
            "store": {"dsn": "memory:"},
            "poll": poll,
            "network": {"virtual": True},
            "web": {"port": 0},
            "events": {"pull": False},
            "coverage": {"enabled": False},
        }
    )
    service = Service(settings, store)
    stop = asyncio.Event()
    work = asyncio.create_task(service.run(stop))
    try:
        await until(lambda: service.address[1] or (work.done() and work.result()))
        yield service
    finally:
        stop.set()
        async with asyncio.timeout(10):
            await work


async def status(service: Service, path: str) -> tuple[int, str]:
    host, port = service.address
    async with aiohttp.ClientSession() as web, web.get(f"http://{host}:{port}{path}") as reply:
        return reply.status, await reply.text()


async def test_a_poller_whose_checks_never_end_starves_the_watchdog_and_is_not_alive(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    probe = Sticking()
    async with running(three_cameras(), probe, monkeypatch) as service:
        assert told.read()[0] == "READY=1"
        await until(lambda: told.fed() >= 2)
        assert (await status(service, "/livez"))[0] == 200
        assert (await status(service, "/readyz"))[0] == 200
        probe.sticks = True
        await until(lambda: probe.stuck == 3)
        await asyncio.sleep(STILL_S + 0.2)
        fed = told.fed()
        code, text = await status(service, "/livez")
        assert (code, "no-progress" in text) == (503, True)
        assert "poller: no check has ended" in (await status(service, "/readyz"))[1]
        await asyncio.sleep(3 * WATCHDOG_USEC / 1e6)
        assert told.fed() == fed, "systemd must see that it hangs"
    assert told.read()[-1] == "STOPPING=1"


async def test_without_an_archive_there_is_nothing_to_ask_and_the_watchdog_is_fed(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(Inventory(), Sticking(), monkeypatch) as service:
        await asyncio.sleep(STILL_S + 0.2)
        fed = told.fed()
        await until(lambda: told.fed() >= fed + 2)
        assert (await status(service, "/livez"))[0] == 200
    assert [s for s in told.read() if s != "WATCHDOG=1"] == ["READY=1", "STOPPING=1"]


class Never(FakeProbe):
    """Does not end when time passes."""

    async def check(self, device: Device, step: Step, deadline: Instant) -> Answer:
        """As before, or never."""
        if self.hangs(device):
            await asyncio.Event().wait()
        return await super().check(device, step, deadline)


async def test_what_event_channels_bring_is_no_progress_of_the_checks() -> None:
    clock = FakeClock()
    probe = Never(clock)
    out: Mailbox[Observation] = Mailbox("test", 1000)
    poller = Poller(clock, PollSettings(), dict.fromkeys(CheckBy, probe), out, Stats())
    poller.load(three_cameras())

    async def run(seconds: float, heard: Sequence[str]) -> float:
        for _ in range(round(seconds / 0.25)):
            clock.move(0.25)
            for name in heard:
                poller.heard(DeviceId(f"{name}:80"), clock.now())
            poller.step(clock.now())
            await turns(3)
        return clock.now() - poller.progress

    assert await run(65.0, ()) < 30.0
    assert await run(300.0, "abc") < 1.0, "all are heard and none need be asked: nothing is wrong"
    probe.hangs = lambda device: device.host == "a"
    await run(31.0, "bc")
    assert await run(90.0, "bc") >= 90.0, "the one check that there is does not end"
    for task in poller._tasks:
        task.cancel()
