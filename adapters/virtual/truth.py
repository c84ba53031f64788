"""The truth log: one JSON object a line, written as it happens, read back as whole intervals."""

import json
from collections.abc import Iterable
from dataclasses import asdict, fields
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from adapters.virtual.model import TruthRow
from gateway.domain.camera import ChannelId, DeviceId


class TruthLog:
    """Appends rows to a file, each flushed at once: what was written survives a kill."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: IO[str] = path.open("a", encoding="utf-8")

    def write(self, row: TruthRow) -> None:
        """Append one row; the same id again replaces the earlier one for the reader."""
        self._file.write(json.dumps(asdict(row), ensure_ascii=False) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def read_rows(lines: Iterable[str]) -> list[TruthRow]:
    """Rows of a truth log, the last line of each id, in the order in which they began.

    Raises:
        ValueError: a line is not a row. A cut last line (the writer was killed) is left out.
    """
    found: dict[str, TruthRow] = {}
    names = {f.name for f in fields(TruthRow)}
    for number, line in enumerate(lines, 1):
        if not line.endswith("\n"):
            break
        values = json.loads(line)
        if not isinstance(values, dict) or not names >= values.keys():
            msg = f"line {number} of the truth log is not a row"
            raise ValueError(msg)
        values["channels"] = tuple(ChannelId(c) for c in values["channels"])
        values["below"] = tuple(values.get("below", ()))
        values["device"] = DeviceId(values["device"]) if values["device"] else None
        row = TruthRow(**values)
        found[row.id] = row
    return sorted(found.values(), key=lambda row: (row.began, row.id))


def read_truth(path: Path) -> list[TruthRow]:
    """The rows of a truth log file."""
    with path.open(encoding="utf-8") as file:
        return read_rows(file)


def when(text: str) -> datetime:
    """A time of the truth log or of the public API: aware, from ISO 8601.

    Raises:
        ValueError: no time, or one without an offset.
    """
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        msg = f"{text}: a time without an offset"
        raise ValueError(msg)
    return at
