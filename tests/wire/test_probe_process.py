"""`sightline probe` as people run it, on devices of four sorts; and `/probe` of a running service."""

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from fakes.onvif_device import PASSWORD, USERNAME, OnvifDevice
from fakes.postgres import serving, state_dir
from fakes.pulling import until
from fakes.raw_server import raw_server

from adapters.memory import MemoryStore
from gateway.app import Service
from gateway.commands.import_ import ImportRequest, run_import
from gateway.ports import Role
from gateway.settings import Settings
from gateway.web.tokens import mint

HEAD = "device_id,name,ip_address,port,credential_set,check_by"
CODE = "6108020000132000000{}"
KINDS = ("onvif", "rtsp", "tcp", "dead")
pytestmark = pytest.mark.timeout(180)


async def rtsp(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers RTSP, and hangs up on all else."""
    while (line := await reader.readline()).strip():
        if line.startswith(b"OPTIONS") and b"RTSP/1.0" in line:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nPublic: OPTIONS\r\n\r\n")
            await writer.drain()


async def bare(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A port that accepts, and is none of what we know."""
    writer.write(b"220 ready\r\n")
    await writer.drain()
    await asyncio.sleep(3600)


@dataclass
class Street:
    """Four devices on loopback, and the store that `sightline` works on."""

    ports: dict[str, int]
    folder: Path
    environ: dict[str, str]
    onvif: OnvifDevice

    async def sightline(self, *arguments: str) -> tuple[int, str]:
        """Exit code and standard output of a command; the devices answer meanwhile."""
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "gateway", *arguments],
            env=self.environ, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, done.stdout

    async def take(self, **check_by: str) -> None:
        """Import the four with these ways to ask them; ONVIF where none is said."""
        file, secrets = self.folder / "cameras.csv", self.folder / "logins.csv"
        rows = [
            f"{CODE.format(n)},{kind},127.0.0.1,{self.ports[kind]},district,"
            f"{check_by.get(kind, 'onvif')}"
            for n, kind in enumerate(KINDS)
        ]
        file.write_text("\n".join([HEAD, *rows]) + "\n", encoding="utf-8")
        password = PASSWORD.replace('"', '""')
        secrets.write_text(f'name,username,password\ndistrict,{USERNAME},"{password}"\n')
        code, said = await self.sightline(
            "import", str(file), "--credentials", str(secrets), "--yes"
        )
        assert code == 0, said

    async def probe(self, kind: str) -> tuple[int, dict[str, Any]]:
        """Exit code and JSON of a walk."""
        code, said = await self.sightline("probe", CODE.format(KINDS.index(kind)), "--json")
        return code, json.loads(said)


@pytest.fixture
async def street(tmp_path: Path) -> AsyncIterator[Street]:
    async with AsyncExitStack() as stack:
        dead = stack.enter_context(closing(socket.socket()))
        dead.bind(("127.0.0.1", 0))  # and does not listen
        camera = await stack.enter_async_context(OnvifDevice())
        ports = {
            "onvif": camera.port,
            "rtsp": await stack.enter_async_context(raw_server(rtsp)),
            "tcp": await stack.enter_async_context(raw_server(bare)),
            "dead": dead.getsockname()[1],
        }
        state = stack.enter_context(state_dir())
        stack.enter_context(serving(state))
        environ = os.environ | {
            "SIGHTLINE_STORE__STATE_DIR": str(state),
            "SIGHTLINE_NETWORK__VIRTUAL": "true",
            "COLUMNS": "200",
        }
        yield Street(ports, tmp_path, environ, camera)


async def test_a_survey_proposes_how_to_ask_and_is_content_when_that_was_imported(
    street: Street,
) -> None:
    await street.take()
    code, said = await street.sightline("probe", "--survey", "--json")
    survey = json.loads(said)
    proposed = {row["port"]: (row["check_by"], row["proposed"]) for row in survey["proposals"]}
    assert (code, survey["asked"]) == (0, 4)
    assert proposed == {
        street.ports["rtsp"]: ("onvif", "rtsp"),
        street.ports["tcp"]: ("onvif", "tcp"),
        street.ports["dead"]: ("onvif", None),
    }
    code, said = await street.sightline("probe", "--survey")
    assert code == 0
    assert "4 devices asked, 3 proposals; nothing answers 1; rtsp 1; tcp 1" in said
    assert f"127.0.0.1:{street.ports['rtsp']}" in said
    assert not any(request.signed for request in street.onvif.seen), "a survey logs in nowhere"

    await street.take(rtsp="rtsp", tcp="tcp")
    survey = json.loads((await street.sightline("probe", "--survey", "--json"))[1])
    assert [row["port"] for row in survey["proposals"]] == [street.ports["dead"]]


async def test_a_walk_shows_each_step_of_each_sort_of_device_and_whether_it_answers(
    street: Street,
) -> None:
    await street.take(rtsp="rtsp", tcp="tcp")
    walked = {kind: await street.probe(kind) for kind in KINDS}
    assert {kind: code for kind, (code, _) in walked.items()} == {
        "onvif": 0, "rtsp": 0, "tcp": 0, "dead": 1
    }  # fmt: skip
    verdicts = {kind: said["answers"][0]["verdict"] for kind, (_, said) in walked.items()}
    assert verdicts == {
        "onvif": "answered", "rtsp": "answered", "tcp": "answered", "dead": "no_answer"
    }  # fmt: skip
    steps = {
        kind: [step["name"] for answer in said["answers"] for step in answer["chain"]]
        for kind, (_, said) in walked.items()
    }
    assert {"tcp", "http", "soap", "auth"} <= set(steps["onvif"])
    assert walked["dead"][1]["answers"][0]["cause"] == "refused"
    assert "auth" not in steps["dead"]
    for kind, (_, said) in walked.items():
        assert said["device"] == f"127.0.0.1:{street.ports[kind]}"

    code, text = await street.sightline("probe", CODE.format(0), "--explain")
    assert code == 0
    for word in ("onvif", "step 1 · reach", "step 2 · signed", "tcp", "auth", "no fault", " ms"):
        assert word in text, (word, text)
    code, text = await street.sightline("probe", CODE.format(0), "--no-explain")
    assert (code, "step 1" in text, "step 2" in text) == (0, False, True)
    code, text = await street.sightline("probe", CODE.format(3), "--explain")
    assert (code, "no_answer" in text, "step 1" in text) == (1, True, True)
    assert street.onvif.refused == []


async def test_the_same_walk_over_http_reaches_the_device_and_spends_at_most_two_logins(
    tmp_path: Path,
) -> None:
    store = MemoryStore("memory:")
    await store.open()
    settings = Settings.model_validate(
        {
            "store": {"dsn": "memory:", "state_dir": str(tmp_path / "state")},
            "network": {"virtual": True},
            "web": {"port": 0},
            "events": {"pull": False},
            "coverage": {"enabled": False},
        }
    )
    async with OnvifDevice(login="both") as camera:
        file, secrets = tmp_path / "cameras.csv", tmp_path / "logins.csv"
        file.write_text(
            f"{HEAD}\n{CODE.format(0)},东门,127.0.0.1,{camera.port},district,onvif\n", "utf-8"
        )
        secrets.write_text(f"name,username,password\ndistrict,{USERNAME},wrong\n")
        await run_import(store, settings, [file], ImportRequest(credentials=secrets, yes=True))
        service, stop = Service(settings, store), asyncio.Event()
        now_at = service.clock.utc(service.clock.now())
        secret, row = mint("desk", Role.OPERATOR, now_at, now_at + timedelta(days=1))
        await store.save_token(row)
        work = asyncio.create_task(service.run(stop))
        try:
            await until(lambda: service.address[1] or work.done())
            host, port = service.address
            url = f"http://{host}:{port}/probe?target={CODE.format(0)}&debug=true"
            head = {"Authorization": f"Bearer {secret}"}
            async with aiohttp.ClientSession() as web, web.get(url, headers=head) as reply:
                text = await reply.text()
        finally:
            stop.set()
            await work
    assert reply.status == 200, text
    assert 1 <= len(camera.refused) <= 2
    lines = text.splitlines()
    assert "probe_success 0" in lines
    assert 'probe_step_success{step="reach"} 1' in lines
    assert 'probe_step_success{step="signed"} 0' in lines
    assert 'probe_fault{cause="auth"} 1' in lines
    assert any(line.startswith("  tcp: ok") for line in lines)
    assert any(line.startswith("  auth: FAILED") for line in lines)
    assert "wrong" not in text, "no password in what is shown"
