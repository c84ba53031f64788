"""The receivers that docs/guide/center.md prints take a real, signed delivery, and nothing else."""

import asyncio
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fakes.outbox import OLD_SECRET, SECRET, message, put
from fakes.web_service import district, running

from adapters.center_webhook import CenterWebhook
from gateway.domain.alerting.retry import Delivery
from gateway.ports import Secret
from gateway.ports.events import SinkContext
from gateway.runtime.clock import SystemClock

PAGE = Path(__file__).parents[2] / "docs" / "guide" / "center.md"
CLOCK = SystemClock()


def printed(language: str) -> str:
    """The first code block of a language on the page."""
    return blocks(language)[0]


def blocks(language: str) -> list[str]:
    """All code blocks of a language on the page."""
    return re.findall(
        rf"^```{language}\n(.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL
    )


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextmanager
def serving(command: list[str], folder: Path) -> Iterator[tuple[int, Path]]:
    """A receiver at work; its port, and the file of what it prints."""
    port, out = free_port(), folder / "out"
    (folder / "center.secret").write_text(SECRET + "\n")
    with out.open("wb") as file:
        process = subprocess.Popen(
            [*command, str(port), "center.secret"],
            cwd=folder,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
        try:
            ends = time.monotonic() + 20
            while time.monotonic() < ends and process.poll() is None:
                with socket.socket() as sock:
                    if sock.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.05)
            yield port, out
        finally:
            process.kill()
            process.wait()


def compiled(folder: Path) -> None:
    subprocess.run(["javac", "-encoding", "UTF-8", "Receiver.java"], cwd=folder, check=True)


async def takes_what_is_genuine_once(command: list[str], folder: Path) -> None:
    with serving(command, folder) as (port, out):
        url = f"http://127.0.0.1:{port}/"
        alert = message("incident-1", 1, CLOCK.utc(CLOCK.now()))
        sinks = [
            CenterWebhook(SinkContext(CLOCK, url, tuple(map(Secret, secrets)), 5.0))
            for secrets in ((SECRET,), (OLD_SECRET, SECRET), (OLD_SECRET,))
        ]
        deliveries = [await sink.send(alert) for sink in sinks]
        for sink in sinks:
            await sink.close()
        said = out.read_text("utf-8")

    good = Delivery(delivered=True, reason="200")
    assert deliveries[:2] == [good, good], said
    assert (deliveries[2].delivered, deliveries[2].retry) == (False, False)
    assert deliveries[2].reason.startswith("401")
    assert said.count("烟雾报警：incident-1") == 1
    assert said.count("cn.sightline.incident.opened.v1") == 1


def test_the_python_receiver_has_thirty_lines() -> None:
    assert len(printed("python").splitlines()) <= 33
    assert len([line for line in printed("python").splitlines() if line.strip()]) <= 30


async def test_the_python_receiver_takes_a_real_delivery(tmp_path: Path) -> None:
    (tmp_path / "receiver.py").write_text(printed("python"), encoding="utf-8")

    await takes_what_is_genuine_once([sys.executable, "receiver.py"], tmp_path)


@pytest.mark.skipif(shutil.which("javac") is None, reason="no JDK here: javac is not installed")
async def test_the_java_receiver_compiles_and_takes_a_real_delivery(tmp_path: Path) -> None:
    (tmp_path / "Receiver.java").write_text(printed("java"), encoding="utf-8")
    compiled(tmp_path)

    command = ["java", "-Dstdout.encoding=UTF-8", "-Dfile.encoding=UTF-8", "Receiver"]
    await takes_what_is_genuine_once(command, tmp_path)


async def test_the_python_receipt_is_taken(tmp_path: Path) -> None:
    (tmp_path / "receipt.py").write_text(blocks("python")[1], encoding="utf-8")
    (tmp_path / "center.secret").write_text(SECRET + "\n", encoding="utf-8")
    async with running(district(3), center_secrets=(Secret(SECRET),)) as service:
        await put(service.store, message("incident-1", 1, service.now()))
        process = await asyncio.create_subprocess_exec(
            sys.executable, "receipt.py", service.url, "incident-1", "received",
            cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        said, _ = await asyncio.wait_for(process.communicate(), 30)
        rows = (await service.get("/api/v1/alerts/incident-1/receipts"))["items"]
    assert said.startswith(b"201 "), said.decode()
    assert [(row["step"], row["actor"]) for row in rows] == [("received", "值班员 03")]
