"""The event source against the virtual devices: real sockets, whole lives of subscriptions."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from fakes.onvif_watch import Watch, credential
from fakes.pulling import QUICK, Pulling, until
from wire.virtual_fleet import Fleet

from adapters.virtual.events import MAX_PULL_POINTS
from adapters.virtual.model import EventQuirk, Personality, Quirk, Signing, Trouble
from adapters.virtual.server import DistrictServer
from gateway.domain.camera import DeviceId
from gateway.domain.event import Event, EventKind
from gateway.domain.observation import FaultCause, Step, Verdict
from gateway.errors import StoreUnavailable
from gateway.metrics import EVENT_MESSAGES


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


@pytest.mark.parametrize(
    ("signal", "kind"),
    [
        ("relay", EventKind.RELAY),
        ("tamper", EventKind.TAMPER),
        ("signal_loss", EventKind.SIGNAL_LOSS),
        ("too_dark", EventKind.TOO_DARK),
        ("too_bright", EventKind.TOO_BRIGHT),
        ("too_blurry", EventKind.TOO_BLURRY),
        ("scene_change", EventKind.SCENE_CHANGE),
        ("hardware_failure", EventKind.HARDWARE_FAILURE),
        ("storage_failure", EventKind.STORAGE_FAILURE),
        ("temperature", EventKind.TEMPERATURE),
        ("motion", EventKind.MOTION),
        ("motion_alarm", EventKind.MOTION),
        ("field_detection", EventKind.FIELD_DETECTION),
    ],
)
async def test_what_a_device_tells_begins_and_ends(signal: str, kind: EventKind) -> None:
    fleet = Fleet()
    device = fleet.add()
    async with fleet.served() as server, pulling(fleet) as pulled:
        await until(lambda: pulled.source.pulling == 1)
        server.signal(device, signal, active=True)
        await until(lambda: len(pulled.events) == 1)
        server.signal(device, signal, active=False)
        await until(lambda: len(pulled.events) == 2)
        assert pulled.kinds() == [(kind, True), (kind, False)]
        assert len({event.id for event in pulled.events}) == 2


async def test_a_recorder_tells_which_channel_lost_its_signal() -> None:
    fleet = Fleet()
    device = fleet.add(channels=12)
    async with fleet.served() as server, pulling(fleet) as pulled:
        await until(lambda: pulled.source.pulling == 1)
        server.signal(device, "signal_loss", active=True, token="VideoSource_11")
        server.signal(device, "tamper", active=True, token="VideoSourceConfig_3")
        server.signal(device, "storage_failure", active=True)
        await until(lambda: len(pulled.events) == 3)
        assert [event.channel for event in pulled.events] == ["c1-11", "c1-3", None]


async def test_faces_people_visitors_and_plates_never_get_in_and_are_counted() -> None:
    fleet = Fleet()
    device = fleet.add()
    counter = EVENT_MESSAGES.labels("onvif_pull", "private")
    before = counter._value.get()
    async with fleet.served() as server, pulling(fleet) as pulled:
        await until(lambda: pulled.source.pulling == 1)
        for name in ("face", "people", "visitor", "plate"):
            server.signal(device, name, active=True, value="A12345" if name == "plate" else "")
        server.signal(device, "motion", active=True)
        await until(lambda: pulled.events)
        assert pulled.kinds() == [(EventKind.MOTION, True)]
    assert counter._value.get() - before == 4


async def test_a_synchronization_point_makes_no_event_of_what_is_known_or_quiet() -> None:
    fleet = Fleet()
    device = fleet.add()
    async with fleet.served() as server:
        server.signal(device, "tamper", active=False)
        server.signal(device, "relay", active=True)
        async with pulling(fleet) as pulled:
            await until(lambda: pulled.source.pulling == 1 and pulled.events)
            await asyncio.sleep(1.0)
            assert pulled.kinds() == [(EventKind.RELAY, True)]
            assert pulled.events[0].extra == {"initialized": "true"}


async def test_an_end_that_was_missed_is_told_by_the_next_synchronization_point() -> None:
    fleet = Fleet()
    device = fleet.add(killable=True)
    async with fleet.served() as server, pulling(fleet) as pulled:
        await until(lambda: pulled.source.pulling == 1)
        server.signal(device, "relay", active=True)
        await until(lambda: pulled.events)
        server.apply(device, Trouble.HANG)
        server.devices[device].pulls.inputs.clear()
        server.devices[device].signal("relay", active=False)
        server.heal(device)
        await until(lambda: len(pulled.events) == 2, 15)
        assert pulled.kinds()[1] == (EventKind.RELAY, False)


# --- what devices get wrong (quirks 11-30)


@pytest.mark.parametrize(
    "personality",
    [
        *(
            Personality(events=quirk)
            for quirk in EventQuirk
            if quirk not in (EventQuirk.NO_EVENTS, EventQuirk.PUSH_ONLY, EventQuirk.HANGS_UP)
        ),
        Personality(closes=True),
        Personality(signing=Signing.DIGEST_MD5),
        Personality(signing=Signing.DIGEST_SHA256, closes=True),
        Personality(signing=Signing.DIGEST_MD5, quirk=Quirk.NONCE_PER_URL),
        *(Personality(quirk=quirk) for quirk in Quirk if quirk is not Quirk.NONCE_PER_URL),
    ],
    ids=lambda p: "-".join(str(part) for part in (p.events, p.quirk, p.signing, p.closes) if part),
)
async def test_an_odd_device_is_pulled_without_a_refused_login(personality: Personality) -> None:
    fleet = Fleet()
    device = fleet.add(personality)
    async with fleet.served() as server, pulling(fleet) as pulled:
        await until(lambda: server.devices[device].events.pulls_asked > 2)
        server.signal(device, "digital_input", active=True)
        await until(lambda: pulled.events)
        assert pulled.kinds() == [(EventKind.DIGITAL_INPUT, True)]
        live = server.devices[device]
        assert live.events.creations <= 2, "one that refuses durations is asked twice"
        assert live.refused_logins <= (personality.events is EventQuirk.NO_SYNCHRONIZATION)


async def test_addresses_of_subscriptions_that_lead_elsewhere_are_not_followed() -> None:
    fleet = Fleet()
    device = fleet.add(Personality(quirk=Quirk.WRONG_XADDR))
    async with fleet.served() as server, pulling(fleet) as pulled:
        await until(lambda: pulled.source.pulling == 1)
        assert json.loads(pulled.subscriptions.get(device) or "{}").get("path", "/").startswith("/")
        assert server.devices[device].events.pulls_asked >= 1


async def test_a_device_without_an_event_service_is_left_alone_and_asked_again_later() -> None:
    fleet = Fleet()
    device = fleet.add(Personality(events=EventQuirk.NO_EVENTS))
    limits = replace(QUICK, no_service_s=3600.0)
    async with fleet.served() as server, pulling(fleet, limits=limits) as pulled:
        await until(lambda: pulled.source.states()["waiting"] == 1)
        asked = server.devices[device].requests
        await asyncio.sleep(1.5)
        assert server.devices[device].requests == asked
        point = pulled.source._points[device]
        assert 3500 < point.due - asyncio.get_running_loop().time() < 4000


async def test_who_could_be_pulled_is_not_given_up_while_its_services_are_starting() -> None:
    fleet = Fleet()
    device = fleet.add()
    limits = replace(QUICK, no_service_s=3600.0)
    async with fleet.served() as server, pulling(fleet, limits=limits) as pulled:
        await until(lambda: pulled.observed)
        live = server.devices[device]
        whole = live.events._device
        live.events._device = replace(whole, personality=Personality(events=EventQuirk.NO_EVENTS))
        live.reboot()
        await until(lambda: live.events.refusals >= 3)
        live.events._device = whole
        server.signal(device, "tamper", active=True)
        await until(lambda: pulled.events)
        assert pulled.kinds() == [(EventKind.TAMPER, True)]


@pytest.mark.parametrize("signing", [Signing.WSSE, Signing.DIGEST_MD5, Signing.DIGEST_SHA256])
async def test_a_device_that_hangs_up_on_pulls_is_pulled_again_at_once(signing: Signing) -> None:
    fleet = Fleet()
    device = fleet.add(Personality(signing=signing, events=EventQuirk.HANGS_UP))
    limits = replace(QUICK, pull_s=20.0)
    async with fleet.served() as server:
        live = server.devices[device]
        live.events.hangs_up_s = 1.1
        async with pulling(fleet, limits=limits) as pulled:
            await until(lambda: live.events.pulls_asked >= 3)
            assert live.events.creations == 1
            assert not pulled.observed, "a connection that ends proves no life"
            server.signal(device, "tamper", active=True)
            await until(lambda: pulled.events)
            assert live.refused_logins == 0, "a count of Digest is used by being sent"


async def test_subscriptions_are_renewed_in_time_and_only_then() -> None:
    fleet = Fleet()
    device = fleet.add()
    limits = replace(QUICK, life_s=2.0, pull_s=0.3)
    async with fleet.served() as server, pulling(fleet, limits=limits):
        live = server.devices[device]
        await until(lambda: live.events.renewals >= 3)
        assert live.events.creations == 1
        assert live.events.renewals <= 4


async def test_a_device_that_cannot_renew_gets_a_new_subscription_when_the_old_one_ends() -> None:
    fleet = Fleet()
    device = fleet.add(Personality(events=EventQuirk.NO_RENEW))
    limits = replace(QUICK, life_s=1.5, pull_s=0.3)
    async with fleet.served() as server, pulling(fleet, limits=limits) as pulled:
        live = server.devices[device]
        await until(lambda: live.events.creations >= 3)
        assert live.events.renewals <= live.events.creations
        server.signal(device, "tamper", active=True)
        await until(lambda: pulled.events)


async def test_a_device_that_misreads_durations_is_given_times_of_its_own_clock() -> None:
    fleet = Fleet()
    device = fleet.add(Personality(events=EventQuirk.SHORT_LIFE, quirk=Quirk.CLOCK_SKEW))
    async with fleet.served() as server, pulling(fleet) as pulled:
        live = server.devices[device]
        await until(lambda: live.events.renewals >= 1)
        point = live.pulls.newest
        assert point is not None
        assert abs(point.until - live.steady() - 60.0) < 5
        assert pulled.source._points[device].absolute


async def test_a_reboot_costs_one_new_subscription_and_no_storm() -> None:
    fleet = Fleet()
    device = fleet.add(killable=True)
    async with fleet.served() as server, pulling(fleet) as pulled:
        await until(lambda: pulled.source.pulling == 1)
        live = server.devices[device]
        server.apply(device, Trouble.REFUSE)
        await until(lambda: pulled.source.states()["waiting"] == 1)
        server.heal(device)
        await until(lambda: live.events.creations == 2)
        await until(lambda: pulled.source.pulling == 1)
        server.signal(device, "tamper", active=True)
        await until(lambda: pulled.events)
        assert live.events.creations == 2
        assert live.refused_logins == 0


async def test_after_a_reboot_the_old_subscription_is_left_to_whoever_has_its_number_now() -> None:
    fleet = Fleet()
    device = fleet.add()
    async with fleet.served() as server, pulling(fleet) as pulled:
        live = server.devices[device]
        # A pull still on its way at the reboot would die with its connection; here it would reach `other`.
        await until(lambda: pulled.observed and live.pulls.newest and live.pulls.newest.awaited)
        ours, held = live.pulls.newest, pulled.source._points[device]
        pulled.source._cycle.setbacks.lost(held)
        live.reboot()
        other = live.pulls.create(600.0, live.steady())  # a recorder of the district was quicker
        assert ours is not None
        assert other is not None
        assert other.number == ours.number
        until_then = other.until
        pulled.source.came_back(device, datetime.now(UTC))
        server.signal(device, "tamper", active=True)
        await until(lambda: pulled.events)
        assert pulled.kinds() == [(EventKind.TAMPER, True)]
        assert len(other.waiting_messages) == 1, "pulled by its owner, and by nobody else"
        assert other.until == until_then
        pulled.source.came_back(device, datetime.now(UTC) - timedelta(seconds=30))
        await asyncio.sleep(0.5)
        assert (live.events.creations, live.events.renewals) == (2, 0)
        await pulled.stop()
        await pulled.source.close()
        assert live.pulls.find(other.number, live.steady()) is other
        assert len(live.pulls) == 1, "ours is ended at shutdown, the other one is not"


async def test_pull_points_that_have_run_out_are_asked_for_with_back_off() -> None:
    fleet = Fleet()
    device = fleet.add()
    limits = replace(QUICK, backoff_s=0.5, backoff_most_s=60.0)
    async with fleet.served() as server:
        live = server.devices[device]
        for _ in range(MAX_PULL_POINTS):
            live.pulls.create(600.0, live.steady())
        async with pulling(fleet, limits=limits):
            await asyncio.sleep(4.0)
            # 0, 0.5, 1.5, 3.5 s; each creation tries durations, then absolute times.
            assert 4 <= live.events.creations <= 8
            assert live.refused_logins == 0


async def test_stuck_motion_is_over_when_it_has_aged() -> None:
    fleet = Fleet()
    device = fleet.add(Personality(events=EventQuirk.NEVER_OVER))
    async with fleet.served() as server, pulling(fleet) as pulled:
        await until(lambda: pulled.source.pulling == 1)
        server.signal(device, "motion", active=True)
        server.signal(device, "motion", active=False)
        await until(lambda: pulled.events)
        held = pulled.source._translator.states.of(device)
        for standing in held.values():
            standing.told -= 601.0
        await until(lambda: len(pulled.events) == 2)
        assert pulled.kinds() == [(EventKind.MOTION, True), (EventKind.MOTION, False)]
        assert pulled.events[1].extra == {"aged": "true"}


# --- logins


async def test_a_wrong_password_costs_two_refused_logins_shared_with_the_check() -> None:
    fleet = Fleet()
    device = fleet.add()
    async with fleet.served() as server, Watch() as watch:
        watch.credentials["district"] = credential("wrong", "admin")
        one = fleet.devices[0].device
        signed = asyncio.ensure_future(watch.signed(one))
        async with pulling(
            fleet, password="wrong", options={"probe": watch.probe}, clock=watch.clock
        ) as pulled:
            await signed
            await watch.signed(one)
            await asyncio.sleep(2.0)
            live = server.devices[device]
            assert 1 <= live.refused_logins <= 2
            assert live.events.creations == 0
            assert pulled.source.states()["waiting"] == 1


async def test_a_refusal_is_told_at_once_so_that_a_restart_counts_it() -> None:
    fleet = Fleet()
    device = fleet.add()
    async with fleet.served() as server, pulling(fleet, password="wrong") as pulled:
        await until(lambda: server.devices[device].refused_logins)
        await until(lambda: pulled.observed)
        told = [o.answer for o in pulled.observed if o.answer.memory is not None]
        assert told[-1].memory is not None
        assert len(told[-1].memory.refused_at) == server.devices[device].refused_logins
        (finding,) = told[-1].found
        assert (told[-1].step, told[-1].verdict) == (Step.SIGNED, Verdict.ANSWERED)
        assert finding.cause is FaultCause.AUTH, "the check may have no login left to say so"


async def test_a_clock_that_jumps_while_pulling_costs_no_lockout() -> None:
    fleet = Fleet()
    device = fleet.add()
    async with fleet.served() as server, pulling(fleet) as pulled:
        await until(lambda: len(pulled.observed) >= 2)
        seen = len(pulled.observed)
        server.apply(device, Trouble.CLOCK)
        await asyncio.sleep(3.0)
        live = server.devices[device]
        assert live.refused_logins <= 2
        asked = live.events.pulls_asked
        await until(lambda: live.events.pulls_asked > asked)
        late = [o for o in pulled.observed[seen + 1 :] if o.answer.verdict is Verdict.ANSWERED]
        assert not late, "a clock that is minutes off is for the check to see"


async def test_while_a_pull_waits_the_check_keeps_no_connection() -> None:
    fleet = Fleet()
    device = fleet.add()
    async with fleet.served() as server, Watch() as watch:
        watch.credentials["district"] = credential("A1b2-secret", "admin")
        one = fleet.devices[0].device
        await watch.reach(one)
        assert len(server.devices[device].connections) == 1
        options = {"probe": watch.probe}
        async with pulling(fleet, options=options, clock=watch.clock) as pulled:
            await until(lambda: pulled.source._points[device].live)
            await watch.reach(one)
            await until(lambda: len(server.devices[device].connections) == 1)


# --- restarts and backpressure


async def test_a_subscription_of_before_the_restart_is_used_again() -> None:
    fleet = Fleet()
    device = fleet.add()
    async with fleet.served() as server:
        first = pulling(fleet)
        await first.__aenter__()
        await until(lambda: first.source.pulling == 1 and first.subscriptions.get(device))
        await first.stop()  # killed: nobody unsubscribes
        await first.source._transport.close()
        await until(lambda: not server.devices[device].connections)
        server.signal(device, "tamper", active=True)
        remembered = dict(first.subscriptions)
        async with pulling(fleet, subscriptions=remembered) as second:
            await until(lambda: second.events)
            assert second.kinds() == [(EventKind.TAMPER, True)]
            assert server.devices[device].events.creations == 1


async def test_what_a_device_told_a_process_that_was_killed_is_told_again() -> None:
    fleet = Fleet()
    device = fleet.add()
    async with fleet.served() as server:
        first = pulling(fleet)
        await first.__aenter__()
        await until(lambda: first.source.pulling == 1 and first.subscriptions.get(device))
        await first.stop()
        await first.source._transport.close()
        live = server.devices[device]
        await until(lambda: not live.connections)
        server.signal(device, "tamper", active=True)
        point = live.pulls.newest
        assert point is not None
        point.waiting_messages.clear()  # told, and not stored any more
        async with pulling(fleet, subscriptions=dict(first.subscriptions)) as second:
            await until(lambda: second.events)
            assert second.kinds() == [(EventKind.TAMPER, True)]
            assert live.events.creations == 1


async def test_what_was_told_by_a_reply_that_was_lost_is_told_again() -> None:
    fleet = Fleet()
    device = fleet.add()
    async with fleet.served() as server, pulling(fleet) as pulled:
        await until(lambda: pulled.source.pulling == 1)
        live = server.devices[device]
        point = live.pulls.newest
        assert point is not None
        pulled.source._cycle.setbacks.lost(pulled.source._points[device])
        await until(lambda: not live.connections)
        server.signal(device, "tamper", active=True)
        point.waiting_messages.clear()
        await until(lambda: pulled.events)
        assert pulled.kinds() == [(EventKind.TAMPER, True)]
        assert live.events.creations == 1
        assert live.refused_logins == 0


@pytest.mark.parametrize("before", ["new", "renewal refused", "resubscribed"])
async def test_a_device_that_cannot_renew_tells_again_what_was_lost(before: str) -> None:
    fleet = Fleet()
    device = fleet.add(Personality(events=EventQuirk.NO_RENEW))
    async with fleet.served() as server, pulling(fleet) as pulled:
        await until(lambda: pulled.source.pulling == 1)
        live, held = server.devices[device], pulled.source._points[device]
        if before != "new":
            held.renew_at = 0.0
            await until(lambda: not held.renews)
        if before == "resubscribed":
            live.pulls.remove_all()
            await until(lambda: live.events.creations == 2 and held.good)
        created = live.events.creations
        pulled.source._cycle.setbacks.lost(held)
        await until(lambda: not live.connections)
        server.signal(device, "tamper", active=True)
        point = live.pulls.newest
        assert point is not None
        point.waiting_messages.clear()
        await until(lambda: pulled.events)
        assert pulled.kinds() == [(EventKind.TAMPER, True)]
        assert live.events.creations == created
        assert live.refused_logins == 0
        asked = live.events.renewals
        await asyncio.sleep(1.5)
        assert live.events.renewals == asked, "it is asked once, not with every pull"
        assert not held.missed


async def test_who_refused_to_tell_its_state_is_not_asked_again_after_a_loss() -> None:
    fleet = Fleet()
    device = fleet.add(Personality(events=EventQuirk.NO_SYNCHRONIZATION))
    async with fleet.served() as server, pulling(fleet) as pulled:
        await until(lambda: pulled.source.pulling == 1)
        live, held = server.devices[device], pulled.source._points[device]
        assert not held.synchronizes
        held.renews = False
        pulled.source._cycle.setbacks.lost(held)
        asked = live.events.pulls_asked
        await until(lambda: live.events.pulls_asked >= asked + 3)
        assert held.missed
        assert not held.asks_state
        server.signal(device, "tamper", active=True)
        await until(lambda: pulled.events)
        assert live.events.creations == 1


async def test_a_remembered_subscription_that_is_gone_is_replaced() -> None:
    fleet = Fleet()
    device = fleet.add()
    stale = {device: json.dumps({"path": "/onvif/subscription/77", "parameters": []})}
    async with fleet.served() as server, pulling(fleet, subscriptions=stale) as pulled:
        await until(lambda: pulled.source.pulling == 1)
        assert server.devices[device].events.creations == 1
        await until(lambda: "77" not in pulled.subscriptions[device])


async def test_a_device_is_not_pulled_on_until_its_events_are_stored() -> None:
    fleet = Fleet()
    device = fleet.add()
    gate = asyncio.Event()
    tried = 0

    async def deliver(_events: Sequence[Event]) -> None:
        nonlocal tried
        tried += 1
        if not gate.is_set():
            raise StoreUnavailable("not now")

    async with fleet.served() as server, pulling(fleet, deliver=deliver) as pulled:
        await until(lambda: pulled.source.pulling == 1)
        server.signal(device, "tamper", active=True)
        await until(lambda: tried >= 2)
        asked = server.devices[device].events.pulls_asked
        server.signal(device, "relay", active=True)
        await asyncio.sleep(1.0)
        assert server.devices[device].events.pulls_asked == asked
        gate.set()
        await until(lambda: len(pulled.events) == 2)


async def test_devices_come_and_go_with_the_archive() -> None:
    fleet = Fleet()
    first, second = fleet.add(), fleet.add()
    async with fleet.served() as server:
        one, two = (v.device for v in fleet.devices)
        channels = {v.device.id: v.channels for v in fleet.devices}
        async with Pulling([one], channels) as pulled:
            await until(lambda: pulled.source.pulling == 1)
            pulled.source.devices_changed({second: two}, channels)
            await until(lambda: server.devices[second].events.pulls_asked)
            await until(lambda: not server.devices[first].connections)
            assert pulled.source.pulling <= 1
            await until(lambda: pulled.subscriptions.get(first) == "")


async def test_a_fleet_begins_no_more_subscriptions_a_second_than_allowed() -> None:
    fleet = Fleet()
    for _ in range(40):
        fleet.add()
    limits = replace(QUICK, creations_per_s=10.0)
    async with fleet.served() as server, pulling(fleet, limits=limits):
        await asyncio.sleep(2.0)
        created = sum(d.events.creations for d in server.devices.values())
        assert 10 <= created <= 31
