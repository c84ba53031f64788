"""The ONVIF check against the virtual district: two parts of the product that share no code."""

from collections.abc import Iterator, Mapping

import pytest
from fakes.onvif_watch import Watch, causes, each_transport, trace  # noqa: F401
from wire.virtual_fleet import Fleet

from adapters.virtual.device import LiveDevice
from adapters.virtual.model import Personality, Quirk, Signing, Trouble
from gateway.domain.camera import DeviceId
from gateway.domain.observation import FaultCause, OutageCause, Verdict
from gateway.ports import Credential, Secret

DISTRICT = {"district": Credential("district", "admin", Secret("A1b2-secret"))}
LOGIN = {FaultCause.AUTH, FaultCause.LOCKED_OUT, FaultCause.WRONG_DEVICE}


def personalities() -> Iterator[tuple[Personality, bool]]:
    for signing in Signing:
        for closes in (False, True):
            yield Personality(signing, closes=closes), closes
        for quirk in Quirk:
            yield Personality(signing, quirk=quirk), False


async def test_no_personality_of_the_district_opens_a_row_in_three_checks() -> None:
    fleet = Fleet()
    ids = [fleet.add(personality, tls=tls) for personality, tls in personalities()]
    kinds = dict(zip(ids, personalities(), strict=True))
    async with fleet.served() as server, Watch(DISTRICT) as watch:
        for device in [d.device for d in fleet.devices] * 3:
            answer = await watch.signed(device)
            label = f"{kinds[device.id]}\n{trace(answer)}"
            assert answer.verdict is Verdict.ANSWERED, label
            assert answer.found == (), label
            if kinds[device.id][0].quirk is not Quirk.BUSY:  # may be left alone for a while
                assert answer.tested >= LOGIN, label
        worst = {d: live.guard.refused_within(31 * 60.0) for d, live in server.devices.items()}
    assert {d: n for d, n in worst.items() if n > 2} == {}


FAULTS = [
    (Trouble.AUTH, FaultCause.AUTH),
    (Trouble.LOCKED_OUT, FaultCause.LOCKED_OUT),
    (Trouble.CLOCK, FaultCause.CLOCK),
    (Trouble.WRONG_DEVICE, FaultCause.WRONG_DEVICE),
    (Trouble.NOT_ONVIF, FaultCause.NOT_ONVIF),
    (Trouble.BAD_RESPONSE, FaultCause.BAD_RESPONSE),
]
OUTAGES = [
    (Trouble.REFUSE, OutageCause.REFUSED),
    (Trouble.DROP_SYN, OutageCause.TIMEOUT),
    (Trouble.HANG, OutageCause.TIMEOUT),
]


@pytest.mark.parametrize(("trouble", "cause"), FAULTS)
@pytest.mark.parametrize("signing", list(Signing))
@pytest.mark.parametrize("closes", [False, True])
async def test_each_fault_of_the_script_is_found_and_healed(
    trouble: Trouble, cause: FaultCause, signing: Signing, closes: bool
) -> None:
    fleet = Fleet()
    ids = [fleet.add(Personality(signing, closes=closes), killable=True) for _ in range(4)]
    async with fleet.served() as server, Watch(DISTRICT) as watch:
        for device in (d.device for d in fleet.devices):
            await watch.signed(device)
            server.apply(device.id, trouble)
            found = await watch.signed(device, 2.0)
            assert causes(found) == {cause}, trace(found)
            assert cause in found.tested
            server.heal(device.id)
            if cause in (FaultCause.AUTH, FaultCause.LOCKED_OUT):
                watch.clock.ahead_s += 32 * 60.0  # past the pause of refused logins
            well = await watch.signed(device)
            assert cause not in causes(well), trace(well)
            assert cause in well.tested
            watch.clock.ahead_s = 0.0
        assert _worst(server.devices, ids) <= 2


def _worst(devices: Mapping[DeviceId, LiveDevice], ids: list[DeviceId]) -> int:
    return max(devices[d].guard.refused_within(31 * 60.0) for d in ids)


@pytest.mark.parametrize(("trouble", "cause"), OUTAGES)
@pytest.mark.parametrize("closes", [False, True])
async def test_each_outage_of_the_script_is_no_answer_with_its_cause(
    trouble: Trouble, cause: OutageCause, closes: bool
) -> None:
    fleet = Fleet()
    device_id = fleet.add(Personality(closes=closes), killable=True)
    device = fleet.devices[0].device
    async with fleet.served() as server, Watch(DISTRICT, connect_s=0.5) as watch:
        for _ in range(2):
            assert (await watch.reach(device)).found == ()
        server.apply(device_id, trouble)
        dead = await watch.reach(device, 0.8)
        server.heal(device_id)
        well = await watch.reach(device)
    assert (dead.verdict, dead.cause) == (Verdict.NO_ANSWER, cause), trace(dead)
    assert (well.verdict, well.found) == (Verdict.ANSWERED, ())


async def test_a_broken_handshake_is_a_tls_fault() -> None:
    fleet = Fleet()
    device_id = fleet.add(tls=True)
    device = fleet.devices[0].device
    async with fleet.served() as server, Watch(DISTRICT) as watch:
        assert (await watch.reach(device)).found == ()
        server.apply(device_id, Trouble.TLS)
        broken = await watch.reach(device)
        server.heal(device_id)
        well = await watch.reach(device)
    assert causes(broken) == {FaultCause.TLS}
    assert well.found == ()
