"""`sightline virtual center` as a process of its own, against the webhook that alerts are sent with."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from fakes.outbox import OLD_SECRET, SECRET, message
from typer.testing import CliRunner

from adapters.center_webhook import CenterWebhook
from adapters.virtual.center import Misbehaviour
from adapters.virtual.center_script import PROPERLY, Script, Step, read_script
from adapters.virtual.command import virtual
from gateway.domain.alerting.retry import Delivery
from gateway.errors import UsageError
from gateway.ports import Secret
from gateway.ports.events import SinkContext
from gateway.runtime.clock import SystemClock

CLOCK = SystemClock()
GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "cli.md"


class Center:
    """The process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def told(self, event: str) -> Mapping[str, Any]:
        """The next event of this name; others before it are passed over."""
        assert self.process.stdout
        async with asyncio.timeout(30):
            while line := await self.process.stdout.readline():
                found: Mapping[str, Any] = json.loads(line)
                if found["event"] == event:
                    return found
        raise AssertionError(event)

    async def end(self) -> tuple[Mapping[str, Any], int]:
        """Its counts and its exit code."""
        self.process.send_signal(signal.SIGTERM)
        counts = await self.told("counts")
        return counts, await asyncio.wait_for(self.process.wait(), 10)


@asynccontextmanager
async def running(folder: Path, secret: str, *options: str) -> AsyncIterator[Center]:
    file = folder / "center.secret"
    file.write_text(secret + "\n", encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", "virtual", "center",
        "--secret-file", str(file), "--json", *options,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield Center(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def send(url: str, *revisions: int) -> list[Delivery]:
    sink = CenterWebhook(SinkContext(CLOCK, url, (Secret(SECRET),), 1.0, None))
    try:
        now = CLOCK.utc(CLOCK.now())
        return [await sink.send(message("k", revision, now)) for revision in revisions]
    finally:
        await sink.close()


async def test_a_center_misbehaves_as_its_script_says_and_counts_what_came(tmp_path: Path) -> None:
    script = tmp_path / "script.txt"
    script.write_text("ok 1\nerror 1; busy 1  # too many\nslow 1; down 1\nlate 1; wrong 1\n")
    options = ("--script", str(script), "--slow", "0.2", "--late", "2", "--retry-after", "7")
    log = tmp_path / "log.jsonl"
    async with running(tmp_path, SECRET, *options, "--log", str(log)) as center:
        listening = await center.told("listening")
        assert listening["steps"] == 7
        done = await send(listening["url"], 1, 2, 2, 2, 3, 3, 3, 3)
        answers = [(await center.told("message"))["answer"] for _ in done]
        counts, code = await center.end()

    assert answers == ["ok", "error", "busy", "slow", "down", "late", "wrong", "ok"]
    assert [one.delivered for one in done] == [True, False, False, True, *[False] * 3, True]
    assert done[1].reason.startswith("500")
    assert done[2].after_s == 7.0
    assert "in time" in done[5].reason
    assert (counts["received"], counts["distinct"], counts["redelivered"]) == (5, 3, 2)
    assert (counts["duplicated"], counts["misbehaved"], code) == (0, 6, 0)
    assert len(log.read_text(encoding="utf-8").splitlines()) == 5


async def test_a_signature_that_does_not_fit_ends_it_with_1(tmp_path: Path) -> None:
    async with running(tmp_path, OLD_SECRET) as center:
        listening = await center.told("listening")
        (refused,) = await send(listening["url"], 1)
        counts, code = await center.end()

    assert not refused.delivered
    assert (counts["forged"], counts["received"], code) == (1, 0, 1)


async def test_it_ends_by_itself_where_it_is_told_how_long(tmp_path: Path) -> None:
    async with running(tmp_path, SECRET, "--for", "0.2", "--script", "down") as center:
        assert (await center.told("counts"))["received"] == 0
        assert await asyncio.wait_for(center.process.wait(), 10) == 0


@pytest.mark.parametrize(
    ("secret", "script", "told"),
    [
        ("geheim", "", "does not hold one or two secrets"),
        ("whsec_!!!", "", "holds no base64"),
        ("whsec_abcde", "", "holds no base64"),
        (SECRET, "error 3; nothing 2", "'nothing 2' is no step: one of ok, error"),
        (SECRET, "error 0", "counted from 1"),
        (SECRET, "error -1", "is no step"),
        (SECRET, "x" * 5_000, "is no step"),
    ],
)
def test_a_wrong_call_is_told_and_shows_no_secret(
    tmp_path: Path, secret: str, script: str, told: str
) -> None:
    file = tmp_path / "center.secret"
    file.write_text(secret, encoding="utf-8")
    options = ["center", "--secret-file", str(file), "--script", script, "--for", "0.1"]
    found = CliRunner().invoke(virtual, options)
    assert (found.exit_code, told in found.output) == (2, True), found.output
    assert secret not in found.output


# --- the script


def test_steps_are_read_from_lines_and_semicolons_with_remarks() -> None:
    assert read_script("ok 5 # well\n\nerror 3; slow 20s;down 1.5m\ngone") == [
        Step(None, messages=5),
        Step(Misbehaviour.ERROR, messages=3),
        Step(Misbehaviour.SLOW, lasts_s=20.0),
        Step(Misbehaviour.DOWN, lasts_s=90.0),
        Step(Misbehaviour.GONE),
    ]
    with pytest.raises(UsageError, match=r"'a' is no step.*'b 1' is no step"):
        read_script("a; ok; b 1")


def test_a_step_lasts_so_many_messages_or_so_long_and_then_all_is_well() -> None:
    now = [0.0]
    script = Script(read_script("error 2; down 10s; late 5s; busy 1"), lambda: now[0])
    assert script(True) is None, "a heartbeat is none of so many messages"
    assert [script(False), script(False)] == [Misbehaviour.ERROR] * 2
    now[0] = 9.0
    assert [script(True), script(False)] == [Misbehaviour.DOWN] * 2
    now[0] = 12.0
    assert script(False) is Misbehaviour.LATE
    now[0] = 15.0
    assert [script(False), script(False), script(True)] == [Misbehaviour.BUSY, None, None]


def test_a_step_without_a_number_is_for_good() -> None:
    now = [0.0]
    script = Script(read_script("gone; ok 1"), lambda: now[0])
    now[0] = 1e9
    assert [script(False), script(True)] == [Misbehaviour.GONE] * 2


def test_the_guide_names_every_step() -> None:
    body = GUIDE.read_text(encoding="utf-8").split("### sightline virtual center")[1]
    rows = [line.split("|")[1] for line in body.split("\n## ")[0].splitlines() if "| `" in line]
    named = {word.strip(" `") for row in rows for word in row.split(",")}
    assert {PROPERLY, *map(str, Misbehaviour)} <= named
