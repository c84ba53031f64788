"""Step 2: credentials, identity, and never more than two refused logins in 31 minutes."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from fakes.onvif_device import PASSWORD, OnvifDevice, Request, fault, recorded
from fakes.onvif_watch import Watch, causes, credential, each_transport, trace  # noqa: F401

from adapters.onvif import budget, signing
from adapters.onvif.codec import Codec
from gateway.domain.observation import AuthScheme, DeviceMemory, FaultCause, Instant, Step, Verdict

LOGIN = {FaultCause.AUTH, FaultCause.LOCKED_OUT}
WRONG = {"district": credential("wrong")}
MINUTE = 60.0


@pytest.fixture
async def watch() -> AsyncIterator[Watch]:
    async with Watch() as watching:
        yield watching


@pytest.mark.parametrize(
    ("login", "scheme"),
    [
        ("wsse", AuthScheme.WSSE),
        ("MD5", AuthScheme.DIGEST),
        ("SHA-256", AuthScheme.DIGEST),
        ("both", AuthScheme.WSSE),
    ],
)
async def test_a_good_credential_is_accepted_and_what_worked_is_remembered(
    watch: Watch, login: str, scheme: AuthScheme
) -> None:
    async with OnvifDevice(login=login) as camera:
        device = camera.device(serial="DS-2CD0001", mac="00-11-22-AA-BB-CC")
        answers = [await watch.signed(device) for _ in range(3)]
    assert [a.found for a in answers] == [(), (), ()]
    assert answers[0].step is Step.SIGNED
    assert answers[0].tested >= LOGIN | {FaultCause.WRONG_DEVICE, FaultCause.CLOCK}
    assert watch.memory[device.id].scheme is scheme
    assert answers[2].memory is None
    assert answers[2].chain == ()
    assert camera.refused == []


async def test_step_two_begins_with_an_unsigned_look_at_the_clock(watch: Watch) -> None:
    async with OnvifDevice() as camera:
        await watch.signed(camera.device())
    assert camera.operations[0] == "GetSystemDateAndTime"
    assert not camera.seen[0].signed
    assert all(r.signed for r in camera.seen[1:])


async def test_a_silent_device_is_known_as_such_after_the_limit_of_an_unsigned_check() -> None:
    """Its liveness check may wait for the end of this one: a later end would hide a loss."""

    async def silent(*_: object) -> None:
        await asyncio.sleep(5)

    async with OnvifDevice(replies={"*": silent}) as camera, Watch(check_s=0.6) as watch:
        answer = await watch.signed(camera.device(), 8.0)
    assert (answer.step, answer.verdict) == (Step.SIGNED, Verdict.NO_ANSWER)
    assert answer.ended - answer.started < 0.6


async def test_no_check_ever_creates_an_event_subscription(watch: Watch) -> None:
    async with OnvifDevice() as camera:
        device = camera.device(mac="00:11:22:aa:bb:cc")
        await watch.reach(device)
        await watch.signed(device)
        await watch.probe.explain(device, Instant(watch.clock.now() + 5))
    assert not any("Subscription" in request.body for request in camera.seen)
    assert set(camera.operations) == {
        "GetSystemDateAndTime",
        "GetDeviceInformation",
        "GetNetworkInterfaces",
        "GetServices",
        "GetProfiles",
        "GetStreamUri",
    }


@pytest.mark.parametrize("login", ["wsse", "MD5", "both"])
async def test_a_wrong_password_is_refused_at_most_twice_in_31_minutes(login: str) -> None:
    async with OnvifDevice(login=login) as camera, Watch(WRONG) as watch:
        first = await watch.signed(camera.device())
        for _ in range(20):
            watch.clock.ahead_s += MINUTE
            await watch.signed(camera.device())
        assert 1 <= len(camera.refused) <= 2
        before = len(camera.refused)
        watch.clock.ahead_s += 12 * MINUTE
        await watch.signed(camera.device())
        assert 1 <= len(camera.refused) - before <= 2, "after 31 minutes it is tried again"
    assert causes(first) == {FaultCause.AUTH}
    assert first.tested >= LOGIN


async def test_while_signing_is_paused_the_fault_is_neither_confirmed_nor_cleared() -> None:
    async with OnvifDevice() as camera, Watch(WRONG) as watch:
        await watch.signed(camera.device())
        await watch.signed(camera.device())
        paused = await watch.signed(camera.device())
    assert paused.verdict is Verdict.ANSWERED
    assert not paused.tested & LOGIN
    assert paused.found == ()
    assert "signing is paused for 0:3" in trace(paused)


@pytest.mark.parametrize("login", ["wsse", "MD5", "both"])
async def test_a_restart_does_not_forget_refusals(login: str) -> None:
    async with OnvifDevice(login=login) as camera:
        async with Watch(WRONG) as watch:
            for _ in range(2):
                await watch.signed(camera.device())
            kept = watch.memory
        before = len(camera.refused)
        async with Watch(WRONG, memory=kept) as watch:
            for _ in range(3):
                await watch.signed(camera.device())
        assert len(kept[camera.device().id].refused_at) == 2
        assert len(camera.refused) == before


async def test_a_changed_credential_is_tried_at_once() -> None:
    credentials = {"district": credential("wrong")}
    async with OnvifDevice() as camera, Watch(credentials) as watch:
        for _ in range(3):
            await watch.signed(camera.device())
        assert len(camera.refused) == 2
        credentials["district"] = credential()
        answer = await watch.signed(camera.device())
    assert answer.found == ()
    assert answer.tested >= LOGIN
    memory = watch.memory[camera.device().id]
    assert memory.refused_at == ()
    assert PASSWORD not in json.dumps(memory.secret_tag)


async def test_a_cancelled_first_login_counts_as_refused() -> None:
    async def silent(*_: object) -> None:
        await asyncio.sleep(10)

    async with OnvifDevice(replies={"GetDeviceInformation": silent}) as camera, Watch() as watch:
        for _ in range(3):
            await watch.signed(camera.device(), 0.5)
        asked = [r.signed for r in camera.seen if r.operation == "GetDeviceInformation"]
    assert asked == [True, False, False], "what was not answered may have been counted: be careful"


async def test_with_one_refusal_left_a_digest_device_is_asked_for_its_challenge_first() -> None:
    """A token that was refused before may have been a lost answer to a challenge."""
    async with OnvifDevice(login="SHA-256") as camera:
        device = camera.device()
        async with Watch() as watch:
            tag = (await watch.signed(device)).memory
            assert tag is not None
        spent = replace(tag, scheme=None, refused_at=(watch.probe.logins.utc().timestamp(),))
        async with Watch(memory={device.id: spent}) as watch:
            answer = await watch.signed(device)
        assert answer.found == ()
        assert answer.tested >= LOGIN


async def test_a_challenge_that_may_not_be_answered_says_nothing_of_the_credential() -> None:
    async with OnvifDevice(login="SHA-256") as camera:
        device = camera.device()
        async with Watch() as watch:
            known = (await watch.signed(device)).memory
            assert known is not None
        now = watch.probe.logins.utc().timestamp()
        spent = replace(known, scheme=AuthScheme.WSSE, refused_at=(now,))
        async with Watch(memory={device.id: spent}) as watch:
            answer = await watch.signed(device)
        assert answer.found == (), "the token was the last one that the budget allows"
        assert not answer.tested & LOGIN


async def test_a_slow_device_with_a_known_credential_is_not_paused(watch: Watch) -> None:
    async def silent(*_: object) -> None:
        await asyncio.sleep(10)

    async with OnvifDevice() as camera:
        await watch.signed(camera.device())
        camera.replies["GetDeviceInformation"] = silent
        answers = [await watch.signed(camera.device(), 0.4) for _ in range(3)]
        assert camera.operations.count("GetDeviceInformation") == 4
    assert all(a.verdict is Verdict.ANSWERED and a.found == () for a in answers)
    assert not answers[0].tested & LOGIN
    assert answers[0].ended - answers[0].started < 0.4


async def test_a_refusal_long_after_signing_says_nothing_of_the_credential(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request waited in a network that was cut meanwhile; the device found its token too old."""
    monkeypatch.setattr(signing, "STALE_S", 0.2)

    async def late(_: Request, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.3)
        writer.write(fault("ter:NotAuthorized", "Sender not Authorized"))

    async with OnvifDevice() as camera:
        await watch.signed(camera.device())
        camera.replies["GetDeviceInformation"] = late
        answer = await watch.signed(camera.device())
        assert (answer.verdict, answer.found) == (Verdict.ANSWERED, ())
        assert not answer.tested & LOGIN
        assert "too late to tell" in trace(answer)
        assert answer.memory is not None
        assert len(answer.memory.refused_at) == 1, "the device may have counted it"
        monkeypatch.setattr(signing, "STALE_S", 5.0)
        assert causes(await watch.signed(camera.device())) == {FaultCause.AUTH}


async def test_a_stale_nonce_is_renewed_once_and_is_no_refusal(watch: Watch) -> None:
    camera = OnvifDevice(login="SHA-256")

    async def stale_once(request: Request, writer: asyncio.StreamWriter) -> None:
        if "authorization" in request.headers and not stale:
            stale.append(request)
            text = camera._challenge(request, stale=True)
            writer.write(fault("ter:NotAuthorized", "stale", "401 Unauthorized", text))
            return
        answer = camera._checked(request) or recorded("quirk-32-gbk-model.http")
        writer.write(answer)

    stale: list[Request] = []
    camera.replies["GetDeviceInformation"] = stale_once
    async with camera:
        answer = await watch.signed(camera.device())
    assert answer.found == ()
    assert stale
    assert watch.memory[camera.device().id].refused_at == ()


async def test_a_device_that_issues_a_nonce_a_request_is_understood(watch: Watch) -> None:
    camera = OnvifDevice(login="MD5")

    async def once(request: Request, writer: asyncio.StreamWriter) -> None:
        answer = camera._checked(request)
        camera.nonces.clear() if answer is None else None
        writer.write(answer or recorded("quirk-36-interfaces-not-implemented.http"))

    camera.replies["GetNetworkInterfaces"] = once
    camera.replies["GetServices"] = once
    async with camera:
        answers = [await watch.signed(camera.device(mac="001122aabbcc")) for _ in range(2)]
    assert [a.found for a in answers] == [(), ()]


async def test_a_password_changed_on_a_known_device_is_found_by_the_next_check(
    watch: Watch,
) -> None:
    async with OnvifDevice(closes=True) as camera:
        await watch.signed(camera.device())
        camera.password = "another"
        answer = await watch.signed(camera.device())
    assert causes(answer) == {FaultCause.AUTH}


async def test_created_refused_for_its_time_is_a_clock_fault_that_only_a_login_clears(
    watch: Watch,
) -> None:
    expired = fault("wsse:MessageExpired", "The message has expired")
    async with OnvifDevice(replies={"GetDeviceInformation": expired}) as camera:
        answer = await watch.signed(camera.device())
        reach = await watch.reach(camera.device())
        camera.replies.clear()
        well = await watch.signed(camera.device())
        after = await watch.reach(camera.device())
    assert causes(answer) == {FaultCause.CLOCK}
    assert FaultCause.AUTH not in answer.tested
    assert FaultCause.CLOCK not in reach.tested
    assert FaultCause.CLOCK in well.tested & after.tested
    assert well.found == ()


@pytest.mark.parametrize(
    ("serial", "mac", "found"),
    [
        ("ds-2cd0001 ", "00:11:22:AA:BB:CC", set()),
        ("DS-2CD0002", "", {FaultCause.WRONG_DEVICE}),
        ("", "00:11:22:aa:bb:cd", {FaultCause.WRONG_DEVICE}),
        ("DS-2CD0002", "00:11:22:aa:bb:cd", {FaultCause.WRONG_DEVICE}),
    ],
)
async def test_another_serial_number_or_mac_is_a_wrong_device(
    watch: Watch, serial: str, mac: str, found: set[FaultCause]
) -> None:
    async with OnvifDevice() as camera:
        answer = await watch.signed(camera.device(serial=serial, mac=mac))
    assert causes(answer) == found
    assert FaultCause.WRONG_DEVICE in answer.tested
    assert len(answer.found) == len(found)


async def test_without_serial_and_mac_in_the_archive_identity_is_not_tested(watch: Watch) -> None:
    async with OnvifDevice() as camera:
        answer = await watch.signed(camera.device())
    assert FaultCause.WRONG_DEVICE not in answer.tested
    assert "GetNetworkInterfaces" not in camera.operations


async def test_without_a_credential_step_two_says_what_step_one_says(watch: Watch) -> None:
    async with OnvifDevice() as camera:
        device = replace(camera.device(), credential_set="none")
        answer = await watch.signed(device)
    assert camera.operations == ["GetSystemDateAndTime"]
    assert not answer.tested & LOGIN
    assert "no credential" in trace(answer)


async def test_step_two_of_a_dead_device_is_no_answer_and_nothing_is_signed(watch: Watch) -> None:
    async with OnvifDevice() as camera:
        device = camera.device()
    answer = await watch.signed(device)
    assert (answer.step, answer.verdict) == (Step.SIGNED, Verdict.NO_ANSWER)
    assert answer.memory is None


async def test_the_breaker_stops_a_credential_set_that_many_devices_refuse() -> None:
    credentials = {"district": credential("wrong")}
    async with Watch(credentials, options={"breaker_devices": 3}) as watch:
        cameras = [OnvifDevice() for _ in range(5)]
        answers = []
        for camera in cameras:
            async with camera:
                answers.append(await watch.signed(camera.device()))
        answer = answers[-1]
        assert [len(camera.refused) for camera in cameras] == [1, 1, 1, 0, 0]
        assert "breaker open" in trace(answer)
        assert watch.probe.open_breakers == {"district"}
        assert not answer.tested & LOGIN

        watch.clock.ahead_s += 32 * MINUTE
        assert watch.probe.open_breakers == frozenset()


async def test_the_breaker_closes_when_the_credential_changes() -> None:
    credentials = {"district": credential("wrong")}
    async with Watch(credentials, options={"breaker_devices": 1}) as watch:
        async with OnvifDevice() as camera:
            await watch.signed(camera.device())
            assert watch.probe.open_breakers == {"district"}
            credentials["district"] = credential()
            answer = await watch.signed(camera.device())
        assert answer.found == ()
        assert watch.probe.open_breakers == frozenset()


async def test_digest_only_devices_do_not_open_the_breaker() -> None:
    async with Watch(options={"breaker_devices": 1}) as watch, OnvifDevice(login="MD5") as camera:
        answer = await watch.signed(camera.device())
        assert watch.probe.open_breakers == frozenset()
    assert answer.found == ()


async def test_no_secret_is_in_any_answer_or_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with OnvifDevice(login="both") as camera, Watch() as watch:
        answers = [
            await watch.signed(camera.device()),
            *await watch.probe.explain(camera.device(), Instant(watch.clock.now() + 5)),
        ]
    text = repr(answers) + caplog.text + repr(watch.probe.__dict__)
    assert PASSWORD not in text
    assert not any(PASSWORD in request.body for request in camera.seen)


async def test_the_templates_are_made_by_a_child_process_not_by_this_one() -> None:
    script = (
        "import asyncio, sys\n"
        "from adapters.onvif.codec import Codec\n"
        "made = asyncio.run(Codec().templates())\n"
        "assert 'zeep' not in sys.modules\n"
        "print(len(made))\n"
    )
    import sys

    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await child.communicate()
    assert (child.returncode, int(out)) == (0, 9)


async def test_checks_that_cannot_wait_for_the_templates_still_answer_step_one() -> None:
    async with Watch(codec=Codec()) as watch, OnvifDevice() as camera:
        early = await watch.signed(camera.device(), 0.3)
        late = await watch.signed(camera.device(), 20.0)
    assert early.verdict is Verdict.ANSWERED
    assert not early.tested & LOGIN
    assert "not ready" in trace(early)
    assert late.tested >= LOGIN


def test_a_clock_set_back_does_not_lengthen_the_pause() -> None:
    memory = DeviceMemory(secret_tag="t")
    memory = budget.refused(budget.refused(memory, 5000.0), 5000.0)
    now = budget.current(memory, "t", 1000.0)
    assert budget.resumes_at(now) == 1000.0 + budget.WINDOW_S
