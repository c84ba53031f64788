"""A private mosquitto on loopback: for the demo and the tests, where the program is installed."""

import asyncio
import ctypes
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Self

from adapters.virtual.listeners import HeldPort
from gateway.errors import Unavailable

HOST = "127.0.0.1"
START_S = 10.0
END_S = 5.0
_ELSEWHERE = "/usr/sbin:/usr/local/sbin"
"""Debian puts it where an ordinary user's PATH does not look."""
_PR_SET_PDEATHSIG = 1


def find_mosquitto() -> Path | None:
    """The program, or None where it is not installed (Debian: `apt install mosquitto`)."""
    found = shutil.which("mosquitto") or shutil.which("mosquitto", path=_ELSEWHERE)
    return Path(found) if found else None


class Broker:
    """One mosquitto of our own, ended with us.

    Args:
        folder: for its settings and what it keeps; used by nobody else.
        users: lines of its password file (`name:hash`, by mosquitto_passwd); none = anybody on loopback.
        more: further lines of its settings.

    Attributes:
        port: on 127.0.0.1; the same over restarts.
    """

    def __init__(self, folder: Path, *, users: str = "", more: str = "") -> None:
        self.folder = folder
        self._held = HeldPort()
        self.port = self._held.number
        self._users = users
        self._more = more
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of the running program."""
        assert self._process is not None  # noqa: S101 - only while it runs
        return self._process.pid

    async def start(self) -> None:
        """Start it and wait until it listens.

        Raises:
            Unavailable: it is not installed, or does not come up.
        """
        program = find_mosquitto()
        if program is None:
            raise Unavailable("mosquitto is not installed (Debian: apt install mosquitto)")
        self._write()
        with (self.folder / "mosquitto.log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: ASYNC220, S603 - found by us, and a fork is quick
                [str(program), "-c", str(self.folder / "mosquitto.conf")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=_ends_with_us(),  # noqa: PLW1509 - one call of libc, loaded before
            )
        try:
            async with asyncio.timeout(START_S):
                while not self._listens():
                    if self._process.poll() is not None:
                        raise Unavailable(f"mosquitto ended: {self.log()[-300:]}")
                    await asyncio.sleep(0.02)
        except TimeoutError:
            await self.stop()
            raise Unavailable(f"mosquitto does not listen after {START_S:g} s") from None

    def _write(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        lines = [
            f"listener {self.port} {HOST}",
            f"allow_anonymous {'false' if self._users else 'true'}",
            "persistence true",
            f"persistence_location {self.folder}/",
            # A session that is away for long must not lose messages: the defaults are 1000 and 20.
            "max_queued_messages 1000000",
            "max_inflight_messages 0",
            "log_dest stderr",
            "log_type error",
            "log_type warning",
        ]
        if os.geteuid() == 0:
            lines.append("user root")  # it would drop to a user who may not write here
        if self._users:
            (self.folder / "users").write_text(self._users, encoding="utf-8")
            lines.append(f"password_file {self.folder / 'users'}")
        text = "\n".join([*lines, self._more, ""])
        (self.folder / "mosquitto.conf").write_text(text, encoding="utf-8")

    def _listens(self) -> bool:
        with socket.socket() as probe:
            probe.settimeout(0.2)
            return probe.connect_ex((HOST, self.port)) == 0

    def log(self) -> str:
        """What it wrote."""
        path = self.folder / "mosquitto.log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    async def stop(self, number: int = signal.SIGTERM) -> None:
        """End it (SIGTERM: it writes what it keeps) and wait for its end."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        try:
            await asyncio.to_thread(process.wait, END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            await asyncio.to_thread(process.wait)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()
        self._held.release()


def _ends_with_us() -> Callable[[], None]:
    """Asks the kernel to end the child when we are gone, however we went."""
    libc = ctypes.CDLL(None)

    def ask() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)

    return ask
