"""SIGHUP: the settings are read and checked anew, while the service goes on with those of its start."""

from collections.abc import Callable

import structlog
from pydantic import BaseModel

from gateway import rulebook, sensor_config
from gateway.errors import SettingsError
from gateway.settings import Settings

log = structlog.get_logger("sightline.settings")


def read_again(read: Callable[[], Settings], running: Settings) -> None:
    """Log what a restart would find: every wrong key, or what it would change. Changes nothing.

    Args:
        read: reads the settings as the start did.
        running: those that are in force.
    """
    try:
        fresh = read()
        problems = wrong_files(fresh)
    except SettingsError as error:
        fresh, problems = running, error.problems
    for problem in problems:
        log.error("a setting is wrong; the service goes on with those of its start", key=problem)
    if not problems:
        changed = differing(running, fresh)
        log.info("the settings are valid; they take effect at a restart", changed=changed)


def wrong_files(settings: Settings) -> list[str]:
    """The problems in the files that the settings name."""
    problems: list[str] = []
    for look in (
        lambda: sensor_config.load(settings.intake.mapping),
        lambda: sensor_config.load_secrets(settings.intake.secrets_dir),
        lambda: rulebook.load(settings.events.rules, settings.known_recipients),
    ):
        try:
            look()
        except SettingsError as error:
            problems += error.problems
    return problems


def differing(one: BaseModel, other: BaseModel, where: str = "") -> list[str]:
    """The keys whose values differ; never the values: some are secrets."""
    found: list[str] = []
    for name in type(one).model_fields:
        a, b = getattr(one, name), getattr(other, name)
        if isinstance(a, BaseModel) and isinstance(b, BaseModel):
            found += differing(a, b, f"{where}{name}.")
        elif a != b:
            found.append(f"{where}{name}")
    return found
