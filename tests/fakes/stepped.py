"""`sightline` with a wall clock that a test can step: `python stepped.py OFFSET_FILE run ...`.

The offset in the file (seconds) is added to `time.time` and nothing else: CLOCK_BOOTTIME and
CLOCK_MONOTONIC go on as they are, as when NTP or a person sets the clock of a running machine.
"""

import sys
import time
from pathlib import Path

_true = time.time
_file = Path(sys.argv[1])


def _stepped() -> float:
    return _true() + float(_file.read_text(encoding="ascii") or 0)


time.time = _stepped

from gateway.cli import main  # noqa: E402 - the clock must be stepped first

if __name__ == "__main__":
    main(sys.argv[2:])
