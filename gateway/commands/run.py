"""`sightline run`: the service itself."""

import sys

from gateway.app import run_service
from gateway.commands.options import ConfigOption, run_async, settings_from
from gateway.reread import read_again
from gateway.settings import load


def run(config: ConfigOption = None) -> None:
    """Poll, judge, record and serve until a signal.

    Import an archive first (`sightline import`). SIGTERM flushes and stops within 10 s; a second
    signal ends at once. SIGHUP reads and checks the settings anew and logs what it found; they take
    effect at a restart. On a terminal it means that the terminal is gone, and ends the service.
    """
    settings = settings_from(config, quiet=False)
    on_terminal = sys.stdin is not None and sys.stdin.isatty()
    on_hangup = None if on_terminal else lambda: read_again(lambda: load(config), settings)
    run_async(run_service(settings, on_hangup))
