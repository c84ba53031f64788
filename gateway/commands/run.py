"""`sightline run`: the service itself."""

from gateway.app import run_service
from gateway.commands.options import ConfigOption, run_async, settings_from


def run(config: ConfigOption = None) -> None:
    """Poll, judge, record and serve until a signal.

    Import an archive first (`sightline import`). SIGTERM flushes and stops within 10 s; a second
    signal ends at once.
    """
    settings = settings_from(config, quiet=False)
    run_async(run_service(settings))
