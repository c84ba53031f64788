"""The unit tier: no loop, no network."""

import socket
from typing import Any, NoReturn

import pytest


class SocketsRefused(RuntimeError):
    """A unit test tried to talk to somebody."""


@pytest.fixture(autouse=True)
def _no_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise SocketsRefused("unit tests talk to nobody")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)
    monkeypatch.setattr(socket.socket, "bind", refuse)
