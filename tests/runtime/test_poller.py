"""The poller in fake time: spread, lanes, limits, wishes, backpressure, stalls."""

import asyncio
from collections import Counter
from dataclasses import replace

import pytest
from fakes.clock import FakeClock, turns, within
from fakes.fleet import Fleet
from fakes.probe import FakeProbe

from gateway.domain.camera import CheckBy, DeviceId
from gateway.domain.observation import Instant, Observation, Step, Verdict
from gateway.domain.schedule import Due
from gateway.errors import Refused, Unavailable
from gateway.inventory import Inventory
from gateway.runtime.judge import Ask
from gateway.runtime.mailbox import Mailbox
from gateway.runtime.poller import Poller
from gateway.runtime.stats import Stats
from gateway.settings import PollSettings

TICK_S = 0.02


class Desk:
    """A poller, its probe, its mailbox, and a hand that moves the time."""

    def __init__(
        self, inventory: Inventory, size: int = 100_000, *, start: float = 1000.0, **poll: float
    ) -> None:
        self.clock = FakeClock(start)
        self.probe = FakeProbe(self.clock)
        self.stats = Stats()
        self.out: Mailbox[Observation] = Mailbox("test", size)
        self.poller = Poller(
            self.clock,
            PollSettings.model_validate(poll),
            dict.fromkeys(CheckBy, self.probe),
            self.out,
            self.stats,
        )
        self.poller.load(inventory)

    async def run(self, seconds: float, tick_s: float = TICK_S) -> None:
        for _ in range(round(seconds / tick_s)):
            self.clock.move(tick_s)
            self.poller.step(self.clock.now())
            await turns(3)

    async def got(self) -> list[Observation]:
        return await self.out.take(1_000_000, 0.01)

    def starts(self, step: Step = Step.REACH) -> list[tuple[float, DeviceId]]:
        return [(at, device) for at, device, s in self.probe.asked if s is step]


def fleet(count: int, townships: int = 1, check_by: CheckBy = CheckBy.TCP) -> Inventory:
    made = Fleet()
    for t in range(townships):
        made.uplink(f"t{t}")
        made.cameras_at(f"t{t}", [f"c{t}-{i}" for i in range(count // townships)], check_by)
    return made.build()


def asks(names: list[str], at: float = 0.0) -> list[Ask]:
    return [Ask(DeviceId(f"{name}:80"), Step.REACH, Instant(at)) for name in names]


async def test_every_device_is_asked_once_a_cadence_evenly_spread() -> None:
    desk = Desk(fleet(600))
    await desk.run(60.0, 0.1)
    turns_of = Counter(device for _, device in desk.starts())
    assert len(turns_of) == 600
    assert set(turns_of.values()) == {2}
    per_second = Counter(int(at) for at, _ in desk.starts())
    assert max(per_second.values()) < 3 * 600 / 30


async def test_where_the_posture_is_heightened_devices_are_asked_more_often_and_then_as_before() -> (
    None
):
    desk = Desk(fleet(60), heightened_cadence_s=10.0)
    some = {DeviceId(f"c0-{n}:80") for n in range(20)}
    desk.poller.heighten(some)
    await desk.run(60.0, 0.1)
    turns_of = Counter(device for _, device in desk.starts())
    assert {turns_of[device] for device in some} == {6}
    assert {n for device, n in turns_of.items() if device not in some} == {2}

    desk.poller.heighten(frozenset())
    await desk.run(30.0, 0.1)
    desk.probe.asked.clear()
    await desk.run(60.0, 0.1)
    assert set(Counter(device for _, device in desk.starts()).values()) == {2}


async def test_a_heightened_device_keeps_its_cadence_over_a_new_archive() -> None:
    desk = Desk(fleet(6), heightened_cadence_s=10.0)
    desk.poller.heighten({DeviceId("c0-1:80")})
    await desk.run(30.0, 0.1)
    desk.poller.load(fleet(6))
    desk.probe.asked.clear()
    await desk.run(30.0, 0.1)
    assert Counter(device for _, device in desk.starts())[DeviceId("c0-1:80")] == 3


async def test_nothing_bursts_at_the_start() -> None:
    desk = Desk(fleet(600))
    await desk.run(1.0)
    assert len(desk.starts()) < 60
    assert 600 - len(desk.starts()) <= desk.poller.unasked <= 600 - len(desk.starts()) + 2


async def test_phases_are_the_same_after_a_restart() -> None:
    first, second = Desk(fleet(50)), Desk(fleet(50), start=987_654.0)
    await first.run(30.0)
    await second.run(30.0)
    early = {d: at % 30 for at, d in first.starts()}
    late = {d: at % 30 for at, d in second.starts()}
    for device, at in early.items():
        assert min(abs(at - late[device]), 30 - abs(at - late[device])) < 0.05


async def test_a_third_of_the_fleet_hanging_delays_no_healthy_device() -> None:
    # Slots as tight as a real service has them for its fleet: 3 s of 200 hanging every 30 s is 20.
    desk = Desk(fleet(600), slots=40, dead_slots=40, per_uplink=40)
    desk.probe.hangs = lambda device: int(device.host.split("-")[1]) % 3 == 0
    await desk.run(35.0, 0.1)
    desk.stats.lateness_s.clear()
    await desk.run(90.0, 0.1)
    assert len(desk.stats.lateness_s) >= 1100
    assert desk.stats.lateness_s.largest <= 0.2
    rounds = Counter(d for at, d in desk.starts() if at > 1035.0)
    assert min(rounds.values()) >= 2, "the dead keep the cadence too"


async def test_a_dead_lane_that_is_too_small_holds_each_device_once() -> None:
    desk = Desk(fleet(200), slots=200, dead_slots=2)
    desk.probe.hangs = lambda _device: True
    await desk.run(300.0, 0.2)
    assert len(desk.poller._waiting) <= 200


async def test_one_check_a_device_at_a_time() -> None:
    desk = Desk(fleet(1))
    desk.probe.hangs = lambda _device: True
    for second in range(20):
        desk.poller.ask(asks(["c0-0"], 1000.0 + second))
        await desk.run(1.0)
    assert desk.probe.most_of_one == 1


async def test_a_wish_for_a_device_that_is_being_asked_waits_for_its_end() -> None:
    desk = Desk(fleet(1), check_s=3.0)
    desk.probe.hangs = lambda _device: True
    desk.poller.ask(asks(["c0-0"], 1000.0))
    await desk.run(0.1)
    desk.poller.ask(asks(["c0-0"]))
    await desk.run(2.0)
    assert len(desk.starts()) == 1
    credit = desk.poller._credit
    await desk.run(0.5)
    assert desk.poller._credit >= credit, "waiting costs no credit"
    await desk.run(1.0)
    assert len(desk.starts()) == 2


async def test_when_all_is_due_at_once_the_next_turn_comes_at_once() -> None:
    desk = Desk(fleet(250), cadence_s=3600.0)
    now = desk.clock.now()
    for device in desk.poller.targets:
        desk.poller.routine.put(Due(now, device, Step.REACH, routine=True))
    assert [desk.poller.step(now) for _ in range(3)] == [True, True, False]
    await turns(3)
    assert len(desk.starts()) == 250


async def test_what_waits_for_a_slot_hurries_nobody() -> None:
    desk = Desk(fleet(250), cadence_s=3600.0, per_uplink=5)
    now = desk.clock.now()
    for device in desk.poller.targets:
        desk.poller.routine.put(Due(now, device, Step.REACH, routine=True))
    assert desk.poller.step(now) is False
    await turns(3)
    assert len(desk.starts()) == 5


async def test_checks_below_one_uplink_are_limited() -> None:
    desk = Desk(fleet(100), per_uplink=5)
    desk.probe.took_s = 2.0
    desk.poller.ask(asks([f"c0-{i}" for i in range(100)]))
    await desk.run(1.0)
    assert desk.probe.most == 5


async def test_another_uplink_is_not_delayed_by_a_full_one() -> None:
    desk = Desk(fleet(100, townships=2), per_uplink=5)
    desk.probe.took_s = 2.0
    desk.poller.ask(asks([f"c0-{i}" for i in range(50)] + ["c1-0"]))
    await desk.run(1.0)
    assert DeviceId("c1-0:80") in {d for _, d in desk.starts()}


async def test_re_checks_are_capped_at_400_a_second() -> None:
    desk = Desk(fleet(3000), slots=5000, per_uplink=5000, cadence_s=3600.0)
    desk.poller._credit = 0.0
    desk.poller.ask(asks([f"c0-{i}" for i in range(3000)]))
    await desk.run(3.0)
    assert len(desk.starts()) == pytest.approx(1200, abs=30)


async def test_a_wish_is_asked_at_its_time() -> None:
    desk = Desk(fleet(1))
    await desk.run(30.0)
    begun = len(desk.starts())
    due = desk.clock.now() + 1.5
    desk.poller.ask(asks(["c0-0"], due))
    await desk.run(1.4)
    before = len(desk.starts())
    await desk.run(0.2)
    assert len(desk.starts()) >= before + 1 or len(desk.starts()) == begun + 2
    assert any(due <= at <= due + 0.03 for at, _ in desk.starts())


async def test_wishes_for_unknown_devices_are_dropped() -> None:
    desk = Desk(fleet(1))
    desk.poller.ask(asks(["nobody"]))
    await desk.run(1.0)
    assert all(device != "nobody:80" for _, device in desk.starts())


async def test_a_full_mailbox_holds_new_checks_back() -> None:
    desk = Desk(fleet(300), size=10)
    await desk.run(30.0, 0.1)
    waiting = len(await desk.got())
    assert 10 <= waiting <= 40
    await desk.run(5.0, 0.1)
    assert len(desk.starts()) > waiting


async def test_what_waits_for_a_slot_is_held_back_too() -> None:
    desk = Desk(fleet(50), size=1, per_uplink=1)
    desk.probe.took_s = 0.5
    desk.poller.ask(asks([f"c0-{i}" for i in range(50)]))
    await desk.run(5.0)
    assert len(desk.starts()) <= 3


async def test_check_now_asks_at_once_and_returns_the_answer() -> None:
    desk = Desk(fleet(1))
    task = asyncio.create_task(desk.poller.check_now(DeviceId("c0-0:80")))
    await turns()
    await desk.run(0.1)
    answer = await asyncio.wait_for(task, 5.0)
    assert answer.verdict is Verdict.ANSWERED


async def test_check_now_of_a_device_that_is_not_polled_is_refused() -> None:
    with pytest.raises(Refused):
        await Desk(fleet(1)).poller.check_now(DeviceId("nobody:80"))


async def test_check_now_gives_up_in_time() -> None:
    desk = Desk(fleet(1), check_s=0.02, connect_s=0.01)
    with pytest.raises(Unavailable):
        await within(desk.poller.check_now(DeviceId("c0-0:80")))


async def test_an_nvr_gives_one_observation_a_channel() -> None:
    made = Fleet()
    made.uplink("t")
    made.device("nvr", "t", ["a", "b", "c"], CheckBy.TCP)
    desk = Desk(made.build())
    await desk.run(30.0, 0.1)
    observations = await desk.got()
    assert [o.channel for o in observations] == ["a", "b", "c"]
    assert len({id(o.answer) for o in observations}) == 1
    assert desk.stats.checks == 1
    assert desk.stats.observations == 3


async def test_a_stall_of_our_own_loop_voids_the_failures_it_overlapped() -> None:
    desk = Desk(fleet(2))
    desk.probe.hangs = lambda device: device.host == "c0-0"
    desk.poller.ask(asks(["c0-0", "c0-1"]))
    await desk.run(0.1)
    told: list[float] = []
    desk.poller.on_stall = lambda began, ended: told.append(ended - began)
    desk.poller._lag(Instant(desk.clock.now()), Instant(desk.clock.now() + 1.5))
    assert told == [pytest.approx(1.5)]
    desk.clock.move(4.0)
    await turns()
    verdicts = {o.channel: o.answer.verdict for o in await desk.got()}
    assert verdicts["c0-0"] is Verdict.COULD_NOT_TELL  # type: ignore[index]
    assert verdicts["c0-1"] is Verdict.ANSWERED, "an answer is an answer"  # type: ignore[index]


async def test_a_stall_that_the_poller_has_not_yet_seen_counts_too() -> None:
    desk = Desk(fleet(1))
    desk.probe.hangs = lambda _device: True
    running = asyncio.create_task(desk.poller.run())
    desk.poller.ask(asks(["c0-0"]))
    await asyncio.sleep(0.06)
    desk.clock.move(3.5)  # the loop stood still: the check goes on before the poller does
    await turns()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    (observation,) = await desk.got()
    assert observation.answer.verdict is Verdict.COULD_NOT_TELL


async def test_a_short_delay_of_the_loop_voids_nothing() -> None:
    desk = Desk(fleet(1))
    desk.probe.hangs = lambda _device: True
    desk.poller.ask(asks(["c0-0"]))
    await desk.run(0.1)
    desk.poller._lag(Instant(desk.clock.now()), Instant(desk.clock.now() + 0.5))
    await desk.run(4.0)
    assert (await desk.got())[0].answer.verdict is Verdict.NO_ANSWER


async def test_our_own_trouble_leaves_a_device_in_its_lane() -> None:
    desk = Desk(fleet(1))
    desk.probe.hangs = lambda _device: True
    await desk.run(35.0)
    target = desk.poller.targets[DeviceId("c0-0:80")]
    assert target.dead
    desk.probe.untold = lambda _device: True
    await desk.run(31.0)
    assert target.dead


async def test_a_bug_in_a_probe_is_loud_and_costs_one_check_only() -> None:
    desk = Desk(fleet(1))
    desk.probe.broken.add("c0-0")
    loud: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: loud.append(context))
    await desk.run(61.0, 0.1)
    assert len(loud) == 2
    assert desk.poller.limits.healthy == 0
    assert desk.poller.limits.busy == set()


async def test_signed_checks_are_spread_over_their_own_interval() -> None:
    desk = Desk(fleet(120, check_by=CheckBy.ONVIF))
    await desk.run(60.0, 0.1)
    assert 0 <= len(desk.starts(Step.SIGNED)) <= 8
    desk = Desk(fleet(120, check_by=CheckBy.ONVIF), signed_every_s=60.0)
    await desk.run(60.0, 0.1)
    assert len({d for _, d in desk.starts(Step.SIGNED)}) == 120


async def test_who_does_not_speak_onvif_is_never_asked_to_sign() -> None:
    desk = Desk(fleet(20), signed_every_s=30.0)
    await desk.run(60.0, 0.1)
    assert desk.starts(Step.SIGNED) == []


# --- a new archive


async def test_a_device_that_left_the_archive_is_not_asked_any_more_and_forgotten() -> None:
    desk = Desk(fleet(10))
    await desk.run(30.0, 0.1)
    desk.poller.load(fleet(9))
    before = len(desk.starts())
    await desk.run(60.0, 0.1)
    assert desk.probe.forgotten == ["c0-9:80"]
    assert "c0-9:80" not in {d for _, d in desk.starts()[before:]}


async def test_devices_that_stay_keep_their_place_in_the_interval() -> None:
    desk = Desk(fleet(10))
    await desk.run(47.0, 0.1)
    desk.poller.load(fleet(10))
    await desk.run(43.0, 0.1)
    assert set(Counter(d for _, d in desk.starts()).values()) == {3}


async def test_an_import_during_the_first_round_counts_every_device_once() -> None:
    desk = Desk(fleet(30))
    desk.probe.took_s = 2.0
    await desk.run(10.0, 0.1)
    desk.poller.load(fleet(30))
    await desk.run(35.0, 0.1)
    assert desk.poller.unasked == 0


async def test_an_answer_of_a_device_that_left_meanwhile_is_dropped() -> None:
    desk = Desk(fleet(2))
    desk.probe.took_s = 2.0
    desk.poller.ask(asks(["c0-0", "c0-1"]))
    await desk.run(0.5)
    desk.poller.load(fleet(1))
    await desk.run(3.0)
    assert {o.channel for o in await desk.got()} == {"c0-0"}
    assert desk.poller.limits.busy == set()


async def test_a_device_that_speaks_onvif_from_now_on_is_asked_to_sign() -> None:
    desk = Desk(fleet(1), signed_every_s=60.0)
    await desk.run(31.0, 0.1)
    desk.poller.load(fleet(1, check_by=CheckBy.ONVIF))
    await desk.run(61.0, 0.1)
    assert desk.starts(Step.SIGNED)
    assert desk.probe.forgotten == ["c0-0:80"]


async def test_a_channel_added_to_an_nvr_is_observed_from_the_next_check_on() -> None:
    made = Fleet()
    made.uplink("t")
    made.device("nvr", "t", ["a", "b"], CheckBy.TCP)
    inventory = made.build()
    desk = Desk(inventory)
    await desk.run(31.0, 0.1)
    await desk.got()
    camera = next(iter(inventory.cameras.values()))
    more = [*inventory.cameras.values(), replace(camera, id="c")]  # type: ignore[arg-type]
    desk.poller.load(Inventory.of(more, inventory.devices.values(), inventory.nodes.values()))
    await desk.run(30.0, 0.1)
    assert [o.channel for o in await desk.got()] == ["a", "b", "c"]


# --- measuring ourselves


async def test_rounds_are_measured_from_the_slots_to_the_last_answer() -> None:
    desk = Desk(fleet(50))
    await desk.run(125.0, 0.1)
    assert len(desk.stats.rounds_s) >= 2
    assert all(25.0 < r < 31.0 for r in desk.stats.rounds_s)


async def test_stopping_the_poller_stops_its_checks() -> None:
    desk = Desk(fleet(3))
    desk.probe.hangs = lambda _device: True
    desk.poller.ask(asks(["c0-0", "c0-1", "c0-2"]))
    running = asyncio.create_task(desk.poller.run())
    await asyncio.sleep(0.1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert sum(desk.probe.under_way.values()) == 0
    assert desk.poller.limits.busy == set()


async def test_the_new_login_of_a_set_is_tried_on_its_devices_soon_and_spread() -> None:
    made = fleet(120, check_by=CheckBy.ONVIF)
    devices = {
        key: replace(d, credential_set="new" if n % 2 else "old")
        for n, (key, d) in enumerate(made.devices.items())
    }
    desk = Desk(replace(made, devices=devices), signed_every_s=86_400.0)
    await desk.run(60.0, 0.1)
    before = len(desk.starts(Step.SIGNED))
    desk.poller.ask_signed({"new"})
    began = desk.clock.now()
    await desk.run(601.0, 0.1)
    tried = [(at, devices[d].credential_set) for at, d in desk.starts(Step.SIGNED)[before:]]
    assert sum(name == "new" for _, name in tried) >= 60
    assert sum(name == "old" for _, name in tried) <= 3, "only those whose slot of the day it was"
    first = [at for at, name in tried if name == "new" and at < began + 60.0]
    assert 1 <= len(first) <= 20, "so that the breaker sees a wrong one"


async def test_a_device_that_is_heard_elsewhere_is_asked_a_cadence_after_that() -> None:
    desk = Desk(fleet(1), cadence_s=30)
    await desk.run(31)
    before = len(desk.starts())
    (device,) = desk.poller.targets
    for _ in range(5):  # an event channel answers every 24 s: no check in between
        desk.poller.heard(device, desk.clock.now())
        await desk.run(24)
    assert len(desk.starts()) == before
    last = desk.clock.now() - 24
    await desk.run(40)
    at = [at for at, _ in desk.starts()][before]
    assert last + 30 <= at <= last + 30 + 2 * TICK_S
