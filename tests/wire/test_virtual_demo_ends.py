"""A demo whose gateway ends says so at once, and leaves folders that it did not make as they are."""

import asyncio
import stat
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.virtual.demo import Demo, Narrator, make_folder
from adapters.virtual.demo_processes import Wish
from gateway.errors import Unavailable


@pytest.fixture
async def show(tmp_path: Path) -> AsyncIterator[Demo]:
    """A demo under way: a district that obeys and says nothing, a gateway that ends by itself."""
    demo = Demo(Wish(1, 50, None, 30.0, 0, tmp_path), Narrator(as_json=True))
    pipe = asyncio.subprocess.PIPE
    demo.processes.district = await asyncio.create_subprocess_exec("cat", stdin=pipe, stdout=pipe)
    demo.processes.gateway = await asyncio.create_subprocess_exec("sh", "-c", "sleep 0.3; exit 7")
    (tmp_path / "gateway.log").write_text("its last words\n", encoding="utf-8")
    try:
        yield demo
    finally:
        await demo.processes.stop()


async def test_the_open_end_notices_a_gateway_that_died(show: Demo) -> None:
    async with asyncio.timeout(10):
        with pytest.raises(Unavailable, match="the gateway ended with 7: its last words"):
            await show._until_interrupted()


async def test_a_measured_demo_notices_it_too(show: Demo) -> None:
    await show.processes.events.put(
        {"event": "started", "kinds": {"dip": 1}, "at": "2026-01-01T00:00Z"}
    )
    async with asyncio.timeout(10):
        with pytest.raises(Unavailable, match="the gateway ended with 7"):
            await show._measured(180.0)


async def test_a_demo_that_is_ended_before_it_has_compared_proves_nothing(tmp_path: Path) -> None:
    demo = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", "demo", "--for", "60s", "--cameras", "50", "--port", "0",
        "--json", "--state-dir", str(tmp_path),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert demo.stderr is not None
    async with asyncio.timeout(60):
        assert await demo.stderr.readline()
        demo.terminate()
        told, said = await demo.communicate()
    assert (demo.returncode, told) == (1, b"")
    assert b"nothing is proved" in said


def test_a_folder_that_is_there_keeps_its_mode_a_new_one_lets_the_stores_user_through(
    tmp_path: Path,
) -> None:
    kept, new = tmp_path / "kept", tmp_path / "above" / "new"
    kept.mkdir(mode=0o750)
    assert make_folder(kept) == kept
    assert stat.S_IMODE(kept.stat().st_mode) == 0o750
    assert stat.S_IMODE(make_folder(new).stat().st_mode) == 0o711
    made = make_folder(None)
    assert stat.S_IMODE(made.stat().st_mode) == 0o711
    made.rmdir()
