"""The embedded server as a process: where it lives, who owns it, how it ends."""

import asyncio
import contextlib
import os
import pwd
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from fakes.absent import absent
from fakes.ledger_rows import outage
from fakes.postgres import installed_postgres, serving

from adapters.postgres import places
from adapters.postgres.embedded import EmbeddedPostgres
from adapters.postgres.store import PostgresStore
from gateway.domain.ledger import Changes
from gateway.errors import UsageError
from gateway.ports import LedgerKind, LedgerQuery

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else")


def runs(pid: int) -> bool:
    """Whether a process lives (a zombie that nobody has reaped yet does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_for_end(pid: int, within_s: float) -> float:
    started = time.monotonic()
    while runs(pid):
        assert time.monotonic() - started < within_s, f"{pid} still runs"
        time.sleep(0.01)
    return time.monotonic() - started


async def write_row(folder: Path) -> None:
    store = PostgresStore(f"embedded:{folder}")
    await store.migrate()
    await store.commit(Changes(1, outages=(outage("a", 1, 0),)))
    await store.close()


async def read_rows(folder: Path) -> list[str]:
    store = PostgresStore(f"embedded:{folder}")
    await store.open()
    try:
        page = await store.ledger(LedgerKind.OUTAGES, LedgerQuery())
        return [row.id for row in page.rows]
    finally:
        await store.close()


async def test_a_second_start_finds_the_data_and_leaves_no_process(state: Path) -> None:
    await write_row(state)
    assert await read_rows(state) == ["a"]
    server = EmbeddedPostgres(state)
    await server.start()
    pid = server.pid
    assert pid is not None
    await server.stop()
    assert not runs(pid)
    assert server.pid is None


def test_kill_9_of_the_service_leaves_no_orphan_and_the_next_start_finds_the_data(
    state: Path,
) -> None:
    with serving(state) as (service, _, postmaster):
        asyncio.run(write_row(state))  # attached to the running server
        assert runs(postmaster)
        service.kill()
        assert wait_for_end(postmaster, within_s=5) < 5
    assert asyncio.run(read_rows(state)) == ["a"]


def test_a_start_right_after_kill_9_waits_for_the_old_server(state: Path) -> None:
    with serving(state) as (service, _, _):
        asyncio.run(write_row(state))
        service.kill()
        service.wait()
        assert asyncio.run(read_rows(state)) == ["a"]


def test_a_command_beside_the_service_attaches_and_does_not_stop_the_server(state: Path) -> None:
    with serving(state) as (_, _, postmaster):
        asyncio.run(write_row(state))
        assert asyncio.run(read_rows(state)) == ["a"]
        assert runs(postmaster)
    wait_for_end(postmaster, within_s=5)


async def test_a_server_without_a_service_is_ended_and_its_data_taken_over(state: Path) -> None:
    """An orphan, as it stays behind where there is no parent-death signal."""
    await write_row(state)
    place = places.settle(state)
    socket = ("-k", str(place.socket_dir), "-c", "listen_addresses=")
    orphan = spawn(place, [str(place.binaries / "postgres"), "-D", str(place.data), *socket])
    try:
        async with asyncio.timeout(10):
            while not (place.socket_dir / ".s.PGSQL.5432").exists():  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        assert await read_rows(state) == ["a"]
        assert orphan.wait(5) == 0
    finally:
        orphan.kill()
        orphan.wait()


def spawn(place: places.Place, command: list[str]) -> subprocess.Popen[bytes]:
    """Run a program as the server's user, tied to nobody."""
    owner = place.owner
    identity: dict[str, Any] = {"user": owner.uid, "group": owner.gid} if owner.drop else {}
    return subprocess.Popen(
        command,
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        **identity,
    )


async def test_a_pid_file_whose_number_is_another_programs_now_does_no_harm(state: Path) -> None:
    """After a reboot or in a new container, the number in the file may be anybody's."""
    await write_row(state)
    place = places.settle(state)
    stranger = spawn(place, ["sleep", "60"])
    try:
        lines = [
            str(stranger.pid),
            str(place.data),
            "1",
            "5432",
            str(place.socket_dir),
            "",
            "",
            "ready   ",
        ]
        pid_file = place.data / "postmaster.pid"
        pid_file.write_text("\n".join(lines) + "\n")
        os.chown(pid_file, place.owner.uid, place.owner.gid)
        assert await read_rows(state) == ["a"]
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


async def test_only_its_owner_can_enter_and_nothing_listens_on_the_network(state: Path) -> None:
    store = PostgresStore(f"embedded:{state}")
    await store.migrate()
    try:
        assert store.embedded is not None
        place = store.embedded.place
        for folder in (place.base, place.data, place.socket_dir):
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700, folder
            assert folder.stat().st_uid == place.owner.uid
        assert await store._database.value("SHOW listen_addresses") == ""
        assert await store._database.value("SHOW synchronous_commit") == "on"
    finally:
        await store.close()


def as_nobody(command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a program as a user who owns nothing."""
    uid = pwd.getpwnam("nobody").pw_uid
    return subprocess.run(command, user=uid, capture_output=True, text=True, cwd="/", check=False)


@as_root
async def test_another_user_of_the_machine_is_refused(state: Path) -> None:
    psql = installed_postgres()
    if psql is None or not (psql / "psql").exists():
        absent("no psql on this machine")
    command = [str(psql / "psql"), "-U", "sightline", "-c", "SELECT 1", "-h"]
    server = EmbeddedPostgres(state)
    await server.start()
    try:
        stranger = await asyncio.to_thread(as_nobody, [*command, str(server.place.socket_dir)])
    finally:
        await server.stop()
    assert stranger.returncode != 0
    assert "Permission denied" in stranger.stderr


@pytest.fixture
def closed(state: Path) -> Path:
    """A state directory that only root can reach, as below /root."""
    home = state / "home"
    home.mkdir(mode=0o700)
    return home / "clone" / "state"


@as_root
async def test_root_below_a_closed_home_gets_a_store_elsewhere_and_opens_no_folder(
    state: Path, closed: Path
) -> None:
    root_dir = state / "var"
    server = EmbeddedPostgres(closed, root_dir=root_dir)
    for _ in range(2):
        store = PostgresStore(await server.start())
        await store.migrate()
        await store.close()
        await server.stop()
    assert server.place.owner.uid != 0
    assert server.place.base.is_relative_to(root_dir / "stores")
    assert stat.S_IMODE((state / "home").stat().st_mode) == 0o700
    link = closed / "postgres"
    assert link.resolve() == server.place.base
    assert stat.S_IMODE(server.place.base.stat().st_mode) == 0o700
    copies = list(root_dir.glob("pg-*"))
    assert len(copies) == 1
    assert copies[0].stat().st_uid == 0
    assert stat.S_IMODE(copies[0].stat().st_mode) == 0o755


@as_root
def test_a_closed_root_directory_is_explained(state: Path, closed: Path) -> None:
    root_dir = state / "home" / "var"
    with pytest.raises(UsageError, match="chmod 0711"):
        places.settle(closed, root_dir)


def test_a_folder_that_others_can_enter_is_refused(state: Path) -> None:
    place = places.settle(state)
    place.base.chmod(0o755)
    with pytest.raises(UsageError, match="mode 0700"):
        places.settle(state)


def test_a_path_too_long_for_a_socket_is_refused_with_what_to_do(state: Path) -> None:
    with pytest.raises(UsageError, match="choose a shorter"):
        places.settle(state / ("x" * 80))


def test_data_of_a_version_that_is_not_here_is_refused_with_what_to_do(state: Path) -> None:
    place = places.settle(state)
    (place.base / "data-99").mkdir()
    with pytest.raises(UsageError, match="sightline backup"):
        places.settle(state)


def test_data_of_the_older_version_in_the_wheel_keeps_its_version(state: Path) -> None:
    (places.settle(state).base / "data-16").mkdir()
    assert places.settle(state).data.name == "data-16"


async def test_the_older_server_in_the_wheel_works_too(state: Path) -> None:
    base = places.settle(state).base
    (base / "data-16").mkdir()
    place = places.settle(state)
    (base / "data-16").rmdir()
    server = EmbeddedPostgres(state)
    server._place = place
    # what an upgrade of the wheel finds: a cluster that the older version made
    with contextlib.suppress(UsageError):
        await server._create_cluster()
    store = PostgresStore(f"embedded:{state}")
    await store.migrate()
    try:
        assert (await store._database.value("SHOW server_version")).startswith("16.")
    finally:
        await store.close()


def test_an_initdb_that_was_killed_is_begun_anew(state: Path) -> None:
    place = places.settle(state)
    half = place.base / f"new-{place.data.name}"
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")
    asyncio.run(write_row(state))
    assert not half.exists()


def test_ctrl_c_in_the_terminal_does_not_reach_the_server(state: Path) -> None:
    with serving(state) as (service, _, postmaster):
        assert os.getpgid(postmaster) != os.getpgid(service.pid)
        assert os.getsid(postmaster) == postmaster


def test_it_starts_below_uvloop_as_the_commands_do(state: Path) -> None:
    code = (
        "import sys, uvloop\n"
        "from adapters.postgres.store import PostgresStore\n"
        "async def main():\n"
        "    store = PostgresStore('embedded:' + sys.argv[1])\n"
        "    await store.open()\n"
        "    print(len(await store.migrate()), store.embedded.pid)\n"
        "    await store.close()\n"
        "uvloop.run(main())\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, str(state)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    applied, pid = done.stdout.split()[-2:]
    assert int(applied) >= 1
    assert not runs(int(pid))


def test_sigterm_of_the_server_itself_is_a_crash_that_heals(state: Path) -> None:
    with serving(state) as (_, dsn, postmaster):
        asyncio.run(write_row(state))
        os.kill(postmaster, signal.SIGTERM)

        async def answers() -> None:
            async with asyncio.timeout(10):
                while True:
                    store = PostgresStore(dsn, command_timeout_s=1.0)
                    with contextlib.suppress(Exception):
                        await store.open()
                        await store.ping()
                        await store.close()
                        return
                    await store.close()
                    await asyncio.sleep(0.05)

        wait_for_end(postmaster, within_s=5)
        asyncio.run(answers())
