"""Processes of our own end with the service, however it ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

CHILD = """
import sys, time
sys.path.insert(0, {root!r})
from gateway.children import end_with_parent
end_with_parent()
print("ready", flush=True)
time.sleep(60)
"""
PARENT = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", {child!r}, {pid}], stdout=subprocess.PIPE,
                         text=True, start_new_session=True)
print(child.pid, child.stdout.readline().strip(), flush=True)
time.sleep(60)
"""
ROOT = str(Path(__file__).parents[2])


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the tie is Linux's prctl(2)")
def test_a_child_is_gone_when_its_parent_was_killed() -> None:
    code = PARENT.format(child=CHILD.format(root=ROOT), pid="str(os.getpid())")
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout
    pid, said = parent.stdout.readline().split()
    assert said == "ready"
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait(10)
    parent.stdout.close()
    deadline = time.monotonic() + 5
    while alive(int(pid)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not alive(int(pid))


def test_a_child_whose_parent_ended_before_the_tie_does_not_begin() -> None:
    code = CHILD.format(root=ROOT)
    ran = subprocess.run([sys.executable, "-c", code, "1"], capture_output=True, check=False)
    assert (ran.returncode, ran.stdout) == (1, b"")
