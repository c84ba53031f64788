"""Chosen port numbers stay with who chose them, until they listen and whenever they do not."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from wire.virtual_fleet import Fleet

from adapters.virtual import listeners
from adapters.virtual.listeners import HeldPort


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen()
        yield sock


def test_held_numbers_differ_and_are_not_handed_out_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listeners, "_HELD_RANGE", (23_400, 23_430))
    held = [HeldPort() for _ in range(12)]
    assert len({hold.number for hold in held}) == 12


def test_a_held_number_can_be_listened_on_again_and_again_and_on_many_addresses() -> None:
    held = HeldPort()
    for _ in range(3):
        with listening("127.66.0.1", held.number), listening("127.66.0.2", held.number):
            pass
        with listening("0.0.0.0", held.number):  # noqa: S104 - closed at once
            pass


def test_a_held_number_is_refused_while_nobody_listens() -> None:
    held = HeldPort()
    with socket.socket() as sock, pytest.raises(ConnectionRefusedError):
        sock.connect(("127.0.0.1", held.number))


def test_a_child_process_can_listen_on_a_held_number() -> None:
    held = HeldPort()
    script = (
        "import asyncio, sys\n"
        "async def main():\n"
        "    await asyncio.start_server(lambda r, w: None, '127.0.0.1', int(sys.argv[1]))\n"
        "asyncio.run(main())\n"
    )
    subprocess.run([sys.executable, "-c", script, str(held.number)], check=True, timeout=20)


def test_an_outgoing_connection_cannot_take_a_held_number() -> None:
    held = HeldPort()
    with listening("127.0.0.1", 0) as server, socket.socket() as sock:
        with pytest.raises(OSError, match="in use"):
            sock.bind(("127.0.0.1", held.number))
        sock.connect(server.getsockname())
        assert sock.getsockname()[1] != held.number


def test_a_number_is_free_again_when_it_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    held = HeldPort()
    number = held.number
    monkeypatch.setattr(listeners, "_HELD_RANGE", (number, number + 1))
    with pytest.raises(OSError, match="no free port"):
        HeldPort()
    held.release()
    assert HeldPort().number == number


async def test_the_four_ports_of_a_fleet_never_fall_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Drawn independently of each other, two of them were the same number now and then: one
    # listener on all addresses, one on the canary's, and the second was refused.
    monkeypatch.setattr(listeners, "_HELD_RANGE", (23_440, 23_450))
    for _ in range(20):
        fleet = Fleet()
        fleet.add()
        fleet.add(killable=True)
        async with fleet.served() as server:
            assert len({hold.number for hold in fleet.held}) == 4
            await server.close()
