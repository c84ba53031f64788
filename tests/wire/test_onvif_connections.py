"""At most one connection a device, kept only where the device keeps it (semantics §7)."""

import asyncio
import gc
from collections.abc import AsyncIterator

import pytest
from fakes.onvif_device import OnvifDevice, Request, reply, time_reply
from fakes.onvif_watch import Watch, causes, each_transport  # noqa: F401

from adapters.onvif.transport import Keeping
from gateway.domain.camera import DeviceId
from gateway.domain.observation import DeviceMemory, FaultCause, Verdict

CAMERA = DeviceId("10.0.0.1:80")


@pytest.fixture
async def watch() -> AsyncIterator[Watch]:
    async with Watch() as watching:
        watching.probe._transport.keeping.interval_s = 0.0
        yield watching


async def test_a_device_that_keeps_its_connection_is_known_after_two_intervals(
    watch: Watch,
) -> None:
    async with OnvifDevice() as camera:
        memories = [(await watch.reach(camera.device())).memory for _ in range(4)]
        assert camera.connections == 1
    assert [m and m.keeps for m in memories] == [None, None, True, None]


async def test_a_device_that_lets_go_is_asked_to_close_from_then_on(watch: Watch) -> None:
    async with OnvifDevice(closes=True) as camera:
        for _ in range(4):
            answer = await watch.reach(camera.device())
            assert (answer.verdict, answer.found) == (Verdict.ANSWERED, ())
            await asyncio.sleep(0.02)
    asked = [request.headers.get("connection", "") for request in camera.seen]
    assert asked == ["", "", "close", "close"]
    assert watch.memory[camera.device().id].keeps is False


async def test_a_device_that_says_close_is_believed_at_once(watch: Watch) -> None:
    async def says(_: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(time_reply(0.0, "Connection: close"))

    async with OnvifDevice(replies={"*": says}) as camera:
        answer = await watch.reach(camera.device())
    assert answer.memory == DeviceMemory(keeps=False)


async def test_what_was_learned_survives_a_restart() -> None:
    async with OnvifDevice() as camera:
        known = {camera.device().id: DeviceMemory(keeps=False)}
        async with Watch(memory=known) as watch:
            answer = await watch.reach(camera.device())
    assert camera.seen[0].headers["connection"] == "close"
    assert answer.memory is None, "nothing new was learned"


async def test_a_reboot_of_a_device_that_keeps_is_learned_anew(watch: Watch) -> None:
    async with OnvifDevice() as camera:
        for _ in range(3):
            await watch.reach(camera.device())
        camera.drop()
        await asyncio.sleep(0.02)
        answer = await watch.reach(camera.device())
        assert answer.found == ()
        assert watch.memory[camera.device().id].keeps is None
        for _ in range(2):
            await watch.reach(camera.device())
    assert watch.memory[camera.device().id].keeps is True


async def test_no_more_than_the_limit_of_idle_connections_are_kept() -> None:
    async with Watch() as watch:
        watch.probe._transport.keeping.limit = 0
        async with OnvifDevice() as camera:
            for _ in range(3):
                await watch.reach(camera.device())
            assert camera.connections == 3
    assert all(request.headers["connection"] == "close" for request in camera.seen)


async def test_forgetting_a_device_closes_its_connection(watch: Watch) -> None:
    async with OnvifDevice() as camera:
        await watch.reach(camera.device())
        watch.probe.forget(camera.device().id)
        await asyncio.sleep(0.05)
        assert not camera._writers


async def test_an_idle_connection_has_no_task_and_no_timer(watch: Watch) -> None:
    async with OnvifDevice() as camera:
        await watch.reach(camera.device())
        await asyncio.sleep(0.01)
        tasks = {task.get_coro().__qualname__ for task in asyncio.all_tasks()}  # type: ignore[union-attr]
        assert all("serve" in name or "test_" in name for name in tasks), tasks
        gc.collect()


async def test_a_whole_signed_check_uses_one_connection(watch: Watch) -> None:
    async with OnvifDevice() as camera:
        answer = await watch.signed(camera.device(mac="00:11:22:aa:bb:cc"))
        assert camera.connections == 1
    assert answer.found == ()


@pytest.mark.parametrize("login", ["wsse", "MD5", "both"])
async def test_a_signed_request_on_a_connection_that_was_let_go_is_signed_anew_and_that_is_learned(
    watch: Watch, login: str
) -> None:
    """A device that has seen a token or a count takes it for a replay: a refused login."""

    async def let_go(request: Request, writer: asyncio.StreamWriter) -> None:
        assert camera._checked(request) is None, "it took the login, and hung up all the same"
        camera.replies.clear()
        writer.transport.abort()

    async with OnvifDevice(login=login) as camera:
        device = camera.device()
        await watch.signed(device)
        assert watch.probe._transport.keeping.learned(device.id) is True
        camera.seen.clear()
        camera.replies["GetStreamUri"] = let_go
        answer = await watch.signed(device)
    asked = [r for r in camera.seen if r.operation == "GetStreamUri" and r.signed]
    assert len(asked) == 2, "once on the kept connection, once on a fresh one"
    assert asked[0].connection != asked[1].connection
    proofs = [r.headers.get("authorization") or r.body for r in asked]
    assert proofs[0] != proofs[1], "never the same token or count twice"
    assert (answer.found, camera.refused) == ((), [])
    assert watch.memory[device.id].keeps is None, "to be learned anew"


def test_a_reuse_after_no_rest_proves_nothing() -> None:
    keeping = Keeping(limit=10, interval_s=0.5)
    for _ in range(5):
        keeping.held(CAMERA, 0.01)
    assert keeping.learned(CAMERA) is None
    keeping.held(CAMERA, 5.0)
    keeping.held(CAMERA, 5.0)
    assert keeping.learned(CAMERA) is True


async def test_a_reply_over_the_cap_leaves_no_connection_that_is_taken_for_a_fresh_one(
    watch: Watch,
) -> None:
    # 300 kB arrive whole before the reader notices the cap: the connection looks idle and good.
    for _ in range(10):
        async with OnvifDevice() as camera:
            await watch.reach(camera.device())
            camera.replies["*"] = reply("<a/>" * 75_000)
            assert causes(await watch.reach(camera.device())) == {FaultCause.BAD_RESPONSE}
            camera.replies.clear()
            camera.drop()
            await asyncio.sleep(0)
            assert (await watch.reach(camera.device())).found == ()
