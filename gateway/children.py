"""Processes of our own that compute beside the service: they end when it ends, however it ends."""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
"""Of Linux's prctl(2)."""


def command(module: str) -> tuple[str, ...]:
    """How a child is started: a module that calls `end_with_parent` first."""
    return sys.executable, "-m", module, str(os.getpid())


def end_with_parent() -> None:
    """In a child: be killed when the service ends. Elsewhere than on Linux a broken pipe must do.

    A child that lives on would hold on to the embedded store, and hand it to nobody.
    """
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != int(sys.argv[1]):  # it ended before the tie held
        sys.exit(1)
