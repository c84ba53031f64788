"""`sightline probe` against a device that counts refused logins."""

import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from fakes.onvif_device import PASSWORD, USERNAME, OnvifDevice

from adapters.memory import MemoryStore
from gateway.commands.import_ import ImportRequest, run_import
from gateway.commands.probe import probe_camera
from gateway.domain.camera import DeviceId
from gateway.domain.ledger import Changes
from gateway.domain.observation import Answer, AuthScheme, DeviceMemory
from gateway.settings import Settings

CODE = "61080200001320000001"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    folder = {"state_dir": tmp_path / "state"}
    return Settings.model_validate({"store": folder, "network": {"virtual": True}})


async def archive_of(
    camera: OnvifDevice, settings: Settings, folder: Path, password: str
) -> MemoryStore:
    """A store with one camera, imported as people import."""
    store = MemoryStore()
    await store.open()
    cameras = folder / "cameras.csv"
    head = "device_id,name,ip_address,port,credential_set"
    cameras.write_text(f"{head}\n{CODE},东门,127.0.0.1,{camera.port},district\n", encoding="utf-8")
    secrets = folder / "credentials.csv"
    secrets.write_text(f'name,username,password\ndistrict,{USERNAME},"{password}"\n')
    await run_import(store, settings, [cameras], ImportRequest(credentials=secrets, yes=True))
    return store


def said(answers: Sequence[Answer]) -> str:
    """The line about the login."""
    return next(s.detail for a in answers for s in a.chain if s.name == "auth")


async def test_repeated_calls_share_the_budget_of_refused_logins(
    settings: Settings, tmp_path: Path
) -> None:
    async with OnvifDevice(login="both") as camera:
        store = await archive_of(camera, settings, tmp_path, "wrong")
        calls = [(await probe_camera(store, settings, CODE))[2] for _ in range(4)]
        assert 1 <= len(camera.refused) <= 2
        assert "signing is paused" in said(calls[-1])


async def test_what_the_service_was_refused_counts_too_and_its_batches_are_not_disturbed(
    settings: Settings, tmp_path: Path
) -> None:
    async with OnvifDevice() as camera:
        store = await archive_of(camera, settings, tmp_path, PASSWORD.replace('"', '""'))
        await store.commit(Changes(41))
        _, device, _ = await probe_camera(store, settings, CODE)
        state = await store.load_live()
        memory = dict(state.memories)[DeviceId(device.id)]
        assert (memory.scheme, camera.refused) == (AuthScheme.WSSE, [])
        assert state.sequence == 41
        now_s = time.time()
        refused = DeviceMemory(None, (now_s, now_s), None, memory.secret_tag)
        await store.commit(Changes(42, memories=((device.id, refused),)))
        signed = [request for request in camera.seen if request.signed]
        _, _, answers = await probe_camera(store, settings, CODE)
        assert "signing is paused" in said(answers)
        assert [request for request in camera.seen if request.signed] == signed
