"""The event source against the virtual devices: real sockets, whole lives of subscriptions."""

from fakes.pulling import Pulling, until
from wire.virtual_fleet import Fleet

from adapters.virtual.server import DistrictServer
from gateway.domain.camera import DeviceId
from gateway.domain.event import EventKind
from gateway.domain.observation import Verdict


def pulling(fleet: Fleet, **options: object) -> Pulling:
    devices = [v.device for v in fleet.devices]
    channels = {v.device.id: v.channels for v in fleet.devices}
    return Pulling(devices, channels, **options)  # type: ignore[arg-type]


def subscribers(server: DistrictServer, device: DeviceId) -> int:
    return len(server.devices[device].pulls)


async def test_a_digital_input_reaches_the_desk_as_an_event_of_its_channel() -> None:
    fleet = Fleet()
    device = fleet.add()
    async with fleet.served() as server, pulling(fleet) as pulled:
        await until(lambda: pulled.source.pulling == 1)
        server.devices[device].emit("DigitalInput_1", active=True)
        await until(lambda: pulled.events)
        (event,) = pulled.events
        assert (event.kind, event.active) == (EventKind.DIGITAL_INPUT, True)
        assert event.channel == "c1-1"
        assert event.device == device
        assert event.token == "DigitalInput_1"
        assert event.device_at is not None
        assert server.devices[device].refused_logins == 0


async def test_each_answered_pull_shows_that_the_device_lives() -> None:
    fleet = Fleet()
    fleet.add(channels=3)
    async with fleet.served(), pulling(fleet) as pulled:
        await until(lambda: len(pulled.observed) >= 3)
        seen = {o.channel for o in pulled.observed}
        assert seen == {"c1-1", "c1-2", "c1-3"}
        answers = {o.answer.verdict for o in pulled.observed}
        assert answers == {Verdict.ANSWERED}
        assert all(o.answer.clock_offset_s is not None for o in pulled.observed)


async def test_the_end_of_the_service_ends_the_subscriptions() -> None:
    fleet = Fleet()
    device = fleet.add()
    async with fleet.served() as server:
        async with pulling(fleet) as pulled:
            await until(lambda: pulled.source.pulling == 1)
            assert subscribers(server, device) == 1
            await until(lambda: pulled.subscriptions)
        assert subscribers(server, device) == 0
        assert pulled.subscriptions[device] == ""
