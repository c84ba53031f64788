"""Which message of the broker is which: a repeat has the mark of the first time, everything else a new one.

A packet id alone says nothing: a new session begins at 1 again, and in one session ids come round after
65,535 messages, with some brokers much sooner. What the broker sends *again* has DUP set [MQTT-3.3.1-1] and
comes within the session. So each message gets a mark of its own, and the marks of those that the broker may
send again are written down before their events are stored: after a crash they are the same.
"""

import json
import secrets
from collections import OrderedDict
from collections.abc import Iterable
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import structlog

log = structlog.get_logger("sightline.mqtt")
FILE = "mqtt.marks"
GROWS = 8
"""The file is written anew when it is so many times as long as what is kept."""


class Marked(NamedTuple):
    """A message that the broker may send again."""

    mid: int
    mark: str
    digest: str


class Marks:
    """The marks of the messages that the broker may send again: no more than it may have in flight.

    It has to wait for our acknowledgements, which go in order of arrival; so what it has not got one for is
    among the last `kept`. A file that is lost costs repeats after a crash, never a message.

    Args:
        file: where they outlive the process; None = nowhere.
        session: names the session at the broker; what another one left counts for nothing.
        kept: the receive maximum.
    """

    def __init__(self, file: Path | None, session: str, kept: int) -> None:
        self._file = file
        self._session = session
        self._kept = kept
        self._run = secrets.token_hex(8)
        self._count = 0
        self._known: OrderedDict[int, Marked] = OrderedDict()
        self._unwritten: list[Marked] = []
        self._lines = 0
        """In the file; 0 = it is not ours yet."""
        self._is_told = False
        if file is not None:
            self._read(file)

    def forget(self) -> None:
        """The broker has a new session: nothing of before comes again."""
        self._known.clear()
        self._unwritten.clear()
        if self._lines:
            self._rewrite()

    def of(self, mid: int, topic: str, payload: bytes, *, again: bool) -> str:
        """The mark of a message.

        Args:
            mid: its packet id.
            topic: where it was published.
            payload: what it says.
            again: DUP is set.
        """
        digest = blake2b(topic.encode() + b"\n" + payload, digest_size=8).hexdigest()
        known = self._known.get(mid)
        if again and known is not None and known.digest == digest:
            self._known.move_to_end(mid)
            return known.mark
        self._count += 1
        marked = Marked(mid, f"{self._run}-{self._count}", digest)
        self._known[mid] = marked
        self._known.move_to_end(mid)
        while len(self._known) > self._kept:
            self._known.popitem(last=False)
        self._unwritten.append(marked)
        return marked.mark

    def write(self) -> None:
        """Write down what is new, before it is stored. In the page cache it outlives a kill -9."""
        if self._file is None or not self._unwritten:
            return
        if not self._lines or self._lines + len(self._unwritten) > GROWS * self._kept:
            self._rewrite()
            return
        try:
            with self._file.open("a", encoding="ascii") as file:
                file.write(_lines(self._unwritten))
            self._lines += len(self._unwritten)
        except OSError as error:
            self._tell(error)
        self._unwritten.clear()

    def _rewrite(self) -> None:
        assert self._file is not None  # noqa: S101 - nothing is written otherwise
        self._unwritten.clear()
        new = self._file.with_suffix(".new")
        try:
            head = json.dumps(self._session) + "\n"
            new.write_text(head + _lines(self._known.values()), encoding="ascii")
            new.replace(self._file)
            self._lines = 1 + len(self._known)
        except OSError as error:
            self._tell(error)

    def _tell(self, error: OSError) -> None:
        if not self._is_told:
            self._is_told = True
            log.warning("packet ids are not kept: a crash may bring repeats", reason=str(error))

    def _read(self, file: Path) -> None:
        lines: list[str] = []
        with suppress(OSError, UnicodeDecodeError):
            lines = file.read_text(encoding="ascii").splitlines()
        if not lines or lines[0] != json.dumps(self._session):
            return
        for line in lines[1:]:
            with suppress(ValueError, TypeError):  # the last line of a crash may be half a line
                marked = Marked(*json.loads(line))
                self._known[marked.mid] = marked
                self._known.move_to_end(marked.mid)
        while len(self._known) > self._kept:
            self._known.popitem(last=False)
        self._rewrite()  # without half a line at its end


def _lines(marks: Iterable[Marked]) -> str:
    return "".join(json.dumps(one) + "\n" for one in marks)
