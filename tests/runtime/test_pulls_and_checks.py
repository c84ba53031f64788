"""Pulls and checks of the same devices, together: what spares what, and what is still found in time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from fakes.leap_clock import LeapClock
from fakes.onvif_watch import credential, made_once
from fakes.pulling import Pulling, until
from wire.virtual_fleet import Fleet

from adapters.onvif.codec import Codec
from adapters.onvif.probe import OnvifProbe
from adapters.virtual.model import EventQuirk, Personality, Trouble
from adapters.virtual.server import DistrictServer
from gateway.domain.camera import CheckBy
from gateway.domain.observation import FaultCause, Observation, Step, Verdict
from gateway.inventory import Inventory
from gateway.ports import ProbeContext
from gateway.ports.events import PullLimits
from gateway.runtime.mailbox import Mailbox
from gateway.runtime.poller import Poller
from gateway.runtime.stats import Stats
from gateway.settings import PollSettings

CADENCE_S = 2.0


@dataclass
class Watched:
    """A poller and a pull source on one small fleet, wired as the service wires them."""

    server: DistrictServer
    poller: Poller
    pulled: Pulling
    seen: list[Observation] = field(default_factory=list)

    def checks(self) -> list[Observation]:
        return [o for o in self.seen if o.answer.step is Step.REACH]


@asynccontextmanager
async def watching(fleet: Fleet) -> AsyncIterator[Watched]:
    clock = LeapClock()
    devices = [v.device for v in fleet.devices]
    channels = {v.device.id: v.channels for v in fleet.devices}
    cameras = [camera for v in fleet.devices for camera in v.channels]
    inventory = Inventory.of(cameras, devices, fleet.nodes)
    credentials = {"district": credential("A1b2-secret", "admin")}
    probe = OnvifProbe(ProbeContext(clock, credentials), codec=Codec(made_once()))
    out: Mailbox[Observation] = Mailbox("test", 10_000)
    settings = PollSettings(cadence_s=CADENCE_S, check_s=1.0, connect_s=0.5, signed_every_s=86_400)
    poller = Poller(clock, settings, {CheckBy.ONVIF: probe}, out, Stats())
    poller.load(inventory)

    def observe(observation: Observation) -> None:
        out.put([observation])
        if observation.answer.verdict is Verdict.ANSWERED:
            poller.heard(observation.device, observation.answer.ended)

    limits = PullLimits(pull_s=0.8 * CADENCE_S, grace_s=0.3, creations_per_s=100.0, backoff_s=1.0)
    options = {"probe": probe, "observe": observe}
    async with fleet.served() as server:
        task = asyncio.create_task(poller.run())
        async with Pulling(devices, channels, limits, options=options, clock=clock) as pulled:
            watched = Watched(server, poller, pulled)

            async def collect() -> None:
                while True:
                    watched.seen += await out.take(100, 0.1)

            collecting = asyncio.create_task(collect())
            try:
                yield watched
            finally:
                for each in (task, collecting):
                    each.cancel()
                await asyncio.gather(task, collecting, return_exceptions=True)
        await probe.close()


async def test_a_pulled_device_is_not_checked_and_has_one_connection() -> None:
    fleet = Fleet()
    devices = [fleet.add() for _ in range(5)]
    async with watching(fleet) as watched:
        await until(lambda: all(p.live for p in watched.pulled.source._points.values()))
        await asyncio.sleep(CADENCE_S)
        before = len(watched.checks())
        await asyncio.sleep(4 * CADENCE_S)
        assert len(watched.checks()) - before <= 1
        assert all(len(watched.server.devices[d].connections) == 1 for d in devices)
        assert len([o for o in watched.seen if o.answer.step is Step.EVENT]) >= 15


async def test_the_death_of_a_pulled_device_is_found_by_a_check_within_a_cadence() -> None:
    fleet = Fleet()
    device = fleet.add(killable=True)
    fleet.add()
    async with watching(fleet) as watched:
        for trouble in (Trouble.HANG, Trouble.REFUSE, Trouble.DROP_SYN):
            await until(lambda: watched.pulled.source._points[device].live, 15)
            await asyncio.sleep(0.7)
            watched.seen.clear()
            clock = watched.poller.clock
            watched.server.apply(device, trouble)
            died = clock.now()
            await until(
                lambda: any(o.answer.verdict is Verdict.NO_ANSWER for o in watched.checks()), 15
            )
            (first, *_) = (o for o in watched.seen if o.answer.verdict is Verdict.NO_ANSWER)
            assert first.answer.started - died <= CADENCE_S + 0.3
            late = [o for o in watched.seen if o.device == device]
            good = [o.answer.ended for o in late if o.answer.verdict is Verdict.ANSWERED]
            assert all(ended <= died + 0.1 for ended in good), "nothing is heard of the dead"
            watched.server.heal(device)


def found(seen: list[Observation], cause: FaultCause) -> list[Observation]:
    return [o for o in seen if any(f.cause is cause for f in o.answer.found)]


def cleared(seen: list[Observation], cause: FaultCause) -> list[Observation]:
    return [o for o in seen if cause in o.answer.tested and not o.answer.found]


@pytest.mark.parametrize(
    ("trouble", "cause"),
    [
        (Trouble.NOT_ONVIF, FaultCause.NOT_ONVIF),
        (Trouble.CLOCK, FaultCause.CLOCK),
    ],
)
async def test_faults_of_a_pulled_device_are_found_by_checks(
    trouble: Trouble, cause: FaultCause
) -> None:
    fleet = Fleet()
    device = fleet.add(killable=True)
    async with watching(fleet) as watched:
        await until(lambda: watched.pulled.source._points[device].live, 15)
        await asyncio.sleep(0.7)
        watched.seen.clear()
        watched.server.apply(device, trouble)
        at = watched.poller.clock.now()
        await until(lambda: found(watched.seen, cause), 15)
        assert found(watched.seen, cause)[0].answer.started - at <= CADENCE_S + 0.3
        await asyncio.sleep(CADENCE_S)
        well = [o for o in cleared(watched.seen, cause) if o.answer.started > at + 0.1]
        assert not well, "no pull says meanwhile that all is well"
        watched.server.heal(device)
        watched.seen.clear()
        await until(lambda: cleared(watched.seen, cause), 15)


async def test_a_device_whose_pulls_prove_nothing_is_checked_as_ever() -> None:
    fleet = Fleet()
    device = fleet.add(Personality(events=EventQuirk.HANGS_UP))
    async with watching(fleet) as watched:
        watched.server.devices[device].events.hangs_up_s = 1.2
        await asyncio.sleep(5 * CADENCE_S)
        assert len(watched.checks()) >= 4
