"""Which devices push, and the whole service with a device that does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest
from fakes.ledger_rows import outage
from fakes.pulling import until
from wire.virtual_fleet import Fleet

from adapters.memory import MemoryStore
from adapters.onvif.pull_point import recall, remember
from adapters.virtual.model import EventQuirk, Personality
from adapters.virtual.server import DistrictServer
from gateway.app import Service
from gateway.domain.alerting.rows import EventIncident
from gateway.domain.archive import ImportRecord
from gateway.domain.camera import Camera, ChannelId, CheckBy, Device, DeviceId, NodeId
from gateway.domain.event import Event, EventKind, EventSource
from gateway.errors import UsageError
from gateway.inventory import Inventory
from gateway.metrics import EVENT_MESSAGES
from gateway.ports import Credential, Secret
from gateway.ports.events import EventQuery
from gateway.runtime.pushing import EventsBy, events_by, read_key
from gateway.settings import EventSettings, Settings
from gateway.vault import Vault

ADDRESS = "http://10.8.0.5:8080"


def one(manufacturer: str = "", events: str = "", check_by: CheckBy = CheckBy.ONVIF) -> Inventory:
    device = Device(
        DeviceId("10.1.2.3:80"), "10.1.2.3", 80, NodeId("n"), check_by=check_by,
        manufacturer=manufacturer,
    )  # fmt: skip
    camera = Camera(ChannelId("c1"), device.id, "one", archive={"events": events})
    return Inventory.of([camera], [device])


@pytest.mark.parametrize(
    ("inventory", "asked", "way"),
    [
        (one(), {}, "pull"),
        (one(), {"pull": False}, "none"),
        (one("Reolink"), {"push_address": ADDRESS, "push_vendors": ("REOLINK",)}, "push"),
        (one("Reolink", "pull"), {"push_address": ADDRESS, "push_vendors": ("Reolink",)}, "pull"),
        (one(), {"push_address": ADDRESS, "push_devices": ("10.1.2.3:80",)}, "push"),
        (one(), {"push_address": ADDRESS, "push_devices": ("c1",)}, "push"),
        (one("", "push"), {"push_address": ADDRESS}, "push"),
        (one("", "push"), {}, "pull"),
        (one("", "none"), {}, "none"),
        (one("", "push"), {"push_address": ADDRESS, "pull": False}, "push"),
    ],
)
def test_the_archive_says_how_events_come_then_the_lists_else_they_are_pulled(
    inventory: Inventory, asked: dict[str, object], way: str
) -> None:
    settings = EventSettings.model_validate(asked)
    assert list(events_by(inventory, settings).values()) == [EventsBy(way)]


def test_a_camera_without_onvif_has_no_events() -> None:
    assert not events_by(one(check_by=CheckBy.RTSP), EventSettings())


def test_lists_without_an_address_are_refused() -> None:
    with pytest.raises(ValueError, match="push_address"):
        EventSettings(push_vendors=("Reolink",))


def test_the_key_is_made_once_and_stays(tmp_path: Path) -> None:
    first = read_key(EventSettings(), tmp_path / "state")
    assert read_key(EventSettings(), tmp_path / "state").reveal() == first.reveal()
    assert (tmp_path / "state/push.key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("text", "mode", "reason"),
    [("short", 0o600, "16 characters"), ("x" * 40, 0o644, "others may read"), (None, 0, "No such")],
)
def test_a_key_that_is_no_secret_is_refused(
    tmp_path: Path, text: str | None, mode: int, reason: str
) -> None:
    path = tmp_path / "key"
    if text is not None:
        path.write_text(text, encoding="utf-8")
        path.chmod(mode)
    with pytest.raises(UsageError, match=reason):
        read_key(EventSettings(push_key_file=path), tmp_path)


@dataclass
class Running:
    service: Service
    server: DistrictServer
    store: MemoryStore
    url: str
    stop: asyncio.Event
    task: asyncio.Task[None]

    async def events(self) -> list[Event]:
        found, _ = await self.store.events.events(EventQuery())
        return list(found)

    async def open_incidents(self) -> list[EventIncident]:
        found, _ = await self.store.events.incidents(EventQuery(open_only=True))
        return list(found)

    async def until_told(self, *kinds: EventKind) -> list[Event]:
        async with asyncio.timeout(10):
            while True:
                found = await self.events()
                if {event.kind for event in found} == set(kinds):
                    return found
                await asyncio.sleep(0.05)


@asynccontextmanager
async def running(fleet: Fleet, folder: Path, *pushing: DeviceId) -> AsyncIterator[Running]:
    """The service as `sightline run` wires it, on devices that really answer."""
    store = MemoryStore()
    await store.open()
    vault = Vault.open(folder / "keys")
    login = Credential("district", "admin", Secret("A1b2-secret"))
    await store.save_credentials({"district": vault.seal(login)})
    cameras = [camera for v in fleet.devices for camera in v.channels]
    devices = [v.device for v in fleet.devices]
    record = ImportRecord("i1", datetime.now(UTC), "test", (), ())
    await store.save_import(record, Inventory.of(cameras, devices, fleet.nodes))
    with_port = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = with_port.sockets[0].getsockname()[1]
    with_port.close()
    settings = Settings.model_validate(
        {
            "store": {"dsn": "memory:", "state_dir": folder},
            "network": {"virtual": True},
            "poll": {"cadence_s": 4.0, "check_s": 1.0, "connect_s": 0.5, "recheck_s": 0.5},
            "judge": {"confirm_span_s": 1.0},
            "coverage": {"enabled": False},
            "events": {"push_address": f"http://127.0.0.1:{port}", "push_devices": pushing},
            "web": {"port": port},
        }
    )
    service = Service(settings, store)
    stop = asyncio.Event()
    async with fleet.served() as server:
        task = asyncio.create_task(service.run(stop))
        try:
            await until(lambda: service.address[1] or task.done())
            yield Running(service, server, store, f"http://127.0.0.1:{port}", stop, task)
        finally:
            stop.set()
            await task


async def test_a_device_that_pushes_is_heard_by_the_service_as_one_that_is_pulled(
    tmp_path: Path,
) -> None:
    fleet = Fleet()
    pushing, pulled = fleet.add(), fleet.add()
    async with running(fleet, tmp_path, pushing) as run:
        teller, asked = run.server.devices[pushing], run.server.devices[pulled]
        await until(lambda: teller.events.creations and asked.events.pulls_asked)
        await asyncio.sleep(0.2)
        run.server.signal(pushing, "tamper", active=True)
        run.server.signal(pulled, "digital_input", active=True)
        found = await run.until_told(EventKind.TAMPER, EventKind.DIGITAL_INPUT)
        assert {e.kind: (e.source, e.device) for e in found} == {
            EventKind.TAMPER: (EventSource.ONVIF_PUSH, pushing),
            EventKind.DIGITAL_INPUT: (EventSource.ONVIF_PULL, pulled),
        }
        assert teller.events.pulls_asked == 0
        assert asked.events.creations == 1
        run.stop.set()
        await run.task
        assert not len(teller.pulls), "unsubscribed at shutdown"


async def test_strangers_get_an_empty_200_and_are_counted(tmp_path: Path) -> None:
    fleet = Fleet()
    device = fleet.add()
    async with running(fleet, tmp_path, device) as run, aiohttp.ClientSession() as session:
        service = run.service
        assert service.pushing is not None
        assert service.pipeline is not None
        (consumer,) = service.pushing.consumers(service.pipeline.inventory).values()
        before = EVENT_MESSAGES.labels("onvif_push", "stranger")._value.get()
        for url in (f"{run.url}/n/{'a' * 16}", consumer):  # unguessed, but from another address
            async with session.post(url, data=b"<x/>") as reply:
                assert (reply.status, await reply.read()) == (200, b"")
        async with session.get(f"{run.url}/n/{'a' * 16}") as reply:
            assert reply.status == 405
        assert EVENT_MESSAGES.labels("onvif_push", "stranger")._value.get() - before == 2
        assert not await run.events()


async def test_a_device_that_rebooted_is_subscribed_to_again_when_it_comes_back(
    tmp_path: Path,
) -> None:
    fleet = Fleet()
    device = fleet.add()
    async with running(fleet, tmp_path, device) as run:
        teller = run.server.devices[device]
        await until(lambda: teller.events.creations)
        await asyncio.sleep(0.2)
        teller.reboot()
        assert not len(teller.pulls)
        channel = fleet.devices[0].channels[0].id
        run.service.feed.publish("outage", replace(outage("o1", 1, 0), channel=channel))
        await asyncio.sleep(0.3)
        assert teller.events.creations == 1
        failed = datetime.now(UTC)
        over = replace(outage("o1", 1, 0, 1), channel=channel, last_failed_at=failed)
        run.service.feed.publish("outage", over)
        await until(lambda: teller.events.creations == 2)
        await asyncio.sleep(0.2)
        run.service.feed.publish("outage", over)  # of another channel of the device
        run.server.signal(device, "tamper", active=True)
        await run.until_told(EventKind.TAMPER)
        assert (teller.events.creations, teller.events.renewals) == (2, 0)


@pytest.mark.parametrize("listed", [True, False])
async def test_a_device_that_can_neither_push_nor_be_pulled_is_asked_once_for_each_a_day(
    tmp_path: Path, listed: bool
) -> None:
    fleet = Fleet()
    device = fleet.add(Personality(events=EventQuirk.NO_EVENTS))
    async with running(fleet, tmp_path, *([device] if listed else [])) as run:
        source = run.service.pulling
        assert source is not None
        await until(lambda: source._source.states()["waiting"] == 1)
        live = run.server.devices[device].events
        once = live.refusals
        assert 2 <= once <= 4, "each at the path that it names, and at the usual one"
        assert run.service.pipeline is not None
        source.take_archive(run.service.pipeline.inventory)  # the same archive: nothing begins anew
        await asyncio.sleep(0.5)
        assert live.refusals == once
        point = source._source._points[device]
        assert point.consumer == point.wanted, "it begins with its own way again"
        assert bool(point.wanted) is listed
        assert point.due - asyncio.get_running_loop().time() > 3600


async def test_a_device_that_cannot_be_pulled_is_asked_to_push(tmp_path: Path) -> None:
    fleet = Fleet()
    device = fleet.add(Personality(events=EventQuirk.PUSH_ONLY))
    fleet.add()
    async with running(fleet, tmp_path) as run:
        live = run.server.devices[device]
        source = run.service.pulling
        assert source is not None
        await until(lambda: source._source.states()["pushing"] == 1)
        assert live.events.pulls_asked == 0
        assert run.service.pipeline is not None
        source.take_archive(run.service.pipeline.inventory)  # it stays let in
        assert (live.events.refusals, live.events.creations) == (1, 1)
        run.server.signal(device, "tamper", active=True)
        (event,) = await run.until_told(EventKind.TAMPER)
        assert (event.source, event.device) == (EventSource.ONVIF_PUSH, device)
        known = source._source._points[device]
        again = recall(known.device, remember(known), "", known.consumer)
        assert (again.consumer, again.wanted, again.where) == (known.consumer, "", known.where)
        assert recall(known.device, remember(known)).where is None  # nobody may push any more
        cameras, nodes = fleet.devices[1].channels, fleet.nodes
        source.take_archive(Inventory.of(cameras, [fleet.devices[1].device], nodes))
        before = EVENT_MESSAGES.labels("onvif_push", "stranger")._value.get()
        run.server.signal(device, "tamper", active=False)
        await until(lambda: EVENT_MESSAGES.labels("onvif_push", "stranger")._value.get() > before)


@pytest.mark.parametrize("way", ["pull", "push"])
async def test_what_ended_while_the_service_was_away_is_ended(tmp_path: Path, way: str) -> None:
    fleet = Fleet()
    device = fleet.add()
    async with running(fleet, tmp_path, *([device] if way == "push" else [])) as run:
        live = run.server.devices[device]
        await until(lambda: live.events.creations)
        await asyncio.sleep(0.3)
        run.server.signal(device, "tamper", active=True)
        await run.until_told(EventKind.TAMPER)
        assert len(await run.open_incidents()) == 1
        run.stop.set()
        await run.task
        assert not len(live.pulls), "unsubscribed: nothing waits there for us"
        run.server.signal(device, "tamper", active=False)
        service, stop = Service(run.service.settings, run.store), asyncio.Event()
        task = asyncio.create_task(service.run(stop))
        try:
            await until(lambda: live.events.creations == 2)
            async with asyncio.timeout(10):
                while not any(e.active is False for e in await run.events()):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
        finally:
            stop.set()
            await task
