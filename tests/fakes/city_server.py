"""A PostgreSQL as the IT of a city runs it: over TCP, with passwords, nothing of it below our folder.

The binaries are those of the embedded store; nothing else of the embedded way is used.
"""

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import asyncpg

from adapters.postgres import places
from adapters.virtual.listeners import HeldPort

ADMIN = "postgres"
START_S = 30.0


@dataclass(frozen=True)
class CityServer:
    """A running server.

    Attributes:
        port: on 127.0.0.1.
        passwords: by role; `postgres` is the superuser.
        log: what the server wrote.
    """

    port: int
    passwords: Mapping[str, str]
    log: Path

    def dsn(self, role: str, database: str) -> str:
        """With the password of the role, percent-encoded as a DSN wants it."""
        secret = quote(self.passwords[role], safe="")
        return f"postgresql://{role}:{secret}@127.0.0.1:{self.port}/{database}"


async def set_up(server: CityServer) -> None:
    """What docs/guide/install.md asks the administrator of the server for, word by word."""
    connection = await asyncpg.connect(server.dsn(ADMIN, "postgres"))
    try:
        secret = server.passwords["sightline"].replace("'", "''")
        await connection.execute(f"CREATE ROLE sightline LOGIN PASSWORD '{secret}'")
        await connection.execute(
            "CREATE DATABASE sightline OWNER sightline ENCODING 'UTF8' TEMPLATE template0"
        )
    finally:
        await connection.close()


@contextlib.contextmanager
def city_server(folder: Path, passwords: Mapping[str, str]) -> Iterator[CityServer]:
    """A server below an own folder, stopped at the end."""
    place = places.settle(folder)
    data, log = place.base / "city", folder / "city.log"
    pwfile = place.base / "pw"
    pwfile.write_text(passwords[ADMIN], encoding="utf-8")
    as_user: dict[str, Any] = {"cwd": "/"}
    if place.owner.drop:
        os.chown(pwfile, place.owner.uid, place.owner.gid)
        as_user |= {"user": place.owner.uid, "group": place.owner.gid, "extra_groups": []}
    subprocess.run(
        [
            place.binaries / "initdb", "-D", data, "-U", ADMIN, "--pwfile", pwfile, "-N",
            "-A", "scram-sha-256", "-E", "UTF8", "--locale=C",
        ],
        check=True, capture_output=True, **as_user,
    )  # fmt: skip
    pwfile.unlink()
    held = HeldPort()
    with log.open("wb") as out:
        process = subprocess.Popen(
            [
                place.binaries / "postgres", "-D", data, "-k", place.socket_dir,
                "-c", "listen_addresses=127.0.0.1", "-p", str(held.number),
            ],
            stdout=out, stderr=out, **as_user,
        )  # fmt: skip
    try:
        _wait_until_ready(process, data / "postmaster.pid", log)
        yield CityServer(held.number, passwords, log)
    finally:
        process.send_signal(2)
        process.wait(20)


def _wait_until_ready(process: subprocess.Popen[bytes], pid_file: Path, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text(errors="replace")
        with contextlib.suppress(OSError):
            if pid_file.read_text(encoding="utf-8").rstrip().endswith("ready"):
                return
        time.sleep(0.05)
    raise TimeoutError(f"not ready within {START_S:.0f} s: {log.read_text(errors='replace')}")
