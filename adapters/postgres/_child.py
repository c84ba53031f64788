"""Becomes the server: drops to its user, ties its life to the service's, then executes it.

Run by path as `python -I -S _child.py UID GID PARENT PROGRAM ARGUMENTS...`, so that nothing of the
service is imported and no code runs between fork and exec in a process that has threads. UID -1
keeps the user. Linux only for the tie; elsewhere the next start finds and stops an orphan.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def _become(uid: int, gid: int) -> None:
    if uid < 0:
        return
    os.setgroups([gid])
    os.setgid(gid)
    os.setuid(uid)


def _die_with(parent: int) -> None:
    """SIGINT (PostgreSQL's fast shutdown) when the parent ends, however it ends.

    Must follow the change of user, which clears it.
    """
    if not sys.platform.startswith("linux"):
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGINT, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:  # it ended before the tie held
        sys.exit("the service ended while its database started")


def main(arguments: list[str]) -> None:
    """Never returns: the process becomes the program."""
    uid, gid, parent, program = arguments[:4]
    os.umask(0o077)
    _become(int(uid), int(gid))
    if int(parent):
        _die_with(int(parent))
    os.execv(program, arguments[3:])  # noqa: S606 - the program and its arguments are the service's own


if __name__ == "__main__":
    main(sys.argv[1:])
