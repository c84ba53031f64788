"""Reads `config/sensors.toml` and the signing secrets of the HTTP intake, with every problem at once."""

import base64
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from gateway.domain.sensor_mapping import Ignored, SensorRule, problems
from gateway.domain.sensor_payload import bad_pattern, topic_matches
from gateway.errors import SettingsError
from gateway.resources import data_dir

SOURCE_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
SECRET_SUFFIX = ".secret"  # noqa: S105 - of file names
SECRET_BYTES_LEAST = 24
"""Of Standard Webhooks."""
SECRETS_MOST = 2
"""Live at the same time: the old and the new one while they are exchanged."""


@dataclass(frozen=True, slots=True)
class IntakeSource:
    """What a source of the HTTP intake may report beyond the topics below its own name."""

    name: str
    topics: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SensorMapping:
    """The file: rules in order, and further sources."""

    rules: tuple[SensorRule, ...] = ()
    sources: tuple[IntakeSource, ...] = ()

    def may_report(self, source: str, topic: str) -> bool:
        """Whether a source of the HTTP intake may speak for a topic."""
        patterns = (p for one in self.sources if one.name == source for p in one.topics)
        return topic.startswith(f"{source}/") or any(topic_matches(p, topic) for p in patterns)


def default_path() -> Path:
    """The rules that come with Sightline."""
    return data_dir("config") / "sensors.toml"


def load(path: Path | None = None) -> SensorMapping:
    """Read and check the rules.

    Args:
        path: default: those that come with Sightline.

    Raises:
        SettingsError: with every problem found, each starting with where it is.
    """
    data = _read(path or default_path())
    found = _unknown("", data, SensorMapping)
    for name, kind in (("rules", SensorRule), ("sources", IntakeSource)):
        rows = data.get(name, [])
        for n, row in enumerate(rows if isinstance(rows, list) else []):
            found += _unknown(f"{name}.{n}.", row, kind)
            ignored = row.get("ignore", []) if isinstance(row, dict) else []
            for one in ignored if isinstance(ignored, list) else []:
                found += _unknown(f"{name}.{n}.ignore.", one, Ignored)
    mapping = _parse(data, found)
    found += problems(mapping.rules)
    for n, source in enumerate(mapping.sources):
        if not SOURCE_NAME.fullmatch(source.name):
            found.append(f"sources.{n}.name: {source.name!r} is not small letters, digits, - and _")
        wrong = [(topic, bad_pattern(topic)) for topic in source.topics]
        found += [f"sources.{n}.topics: {topic!r}: {why}" for topic, why in wrong if why]
    if found:
        raise SettingsError(found)
    return mapping


def load_secrets(folder: Path | None) -> Mapping[str, tuple[str, ...]]:
    """The signing secrets by source: of each file `<source>.secret`, a secret a line, two at most.

    Raises:
        SettingsError: with every problem found; it never shows a secret.
    """
    if folder is None:
        return {}
    if not folder.is_dir():
        raise SettingsError([f"intake.secrets_dir: {folder} is no folder"])
    found: list[str] = []
    secrets: dict[str, tuple[str, ...]] = {}
    for path in sorted(folder.glob(f"*{SECRET_SUFFIX}")):
        if not SOURCE_NAME.fullmatch(path.stem):
            found.append(f"{path}: the name must be small letters, digits, - and _")
        try:
            lines = path.read_text(encoding="utf-8").split()
        except (OSError, UnicodeDecodeError) as error:
            found.append(f"{path}: cannot be read: {type(error).__name__}")
            continue
        if not 1 <= len(lines) <= SECRETS_MOST:
            found.append(f"{path}: holds {len(lines)} secrets, not one or two")
        found += [f"{path}: secret {n + 1}: {w}" for n, s in enumerate(lines) if (w := _bad(s))]
        secrets[path.stem] = tuple(lines)
    if not secrets:
        found.append(f"intake.secrets_dir: {folder} holds no <source>{SECRET_SUFFIX}")
    if found:
        raise SettingsError(found)
    return secrets


def _bad(secret: str) -> str:
    if not secret.startswith("whsec_"):
        return "must begin with whsec_"
    try:
        key = base64.b64decode(secret.removeprefix("whsec_") + "==", validate=False)
    except ValueError:
        return "is not base64"
    least = SECRET_BYTES_LEAST
    return "" if len(key) >= least else f"must hold at least {least} bytes"


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError([f"{path}: cannot be read: {error.strerror}"]) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError([f"{path}: not valid TOML: {error}"]) from error


def _unknown(where: str, values: object, kind: type) -> list[str]:
    known = {f.name for f in fields(kind)}
    given = values if isinstance(values, dict) else {}
    return [f"{where}{name}: is not known here" for name in given if name not in known]


def _parse(data: object, found: list[str]) -> SensorMapping:
    try:
        return TypeAdapter(SensorMapping).validate_python(data)
    except ValidationError as error:
        told = [
            f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in error.errors()
        ]
        raise SettingsError(found + told) from None
