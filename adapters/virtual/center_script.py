"""The script of a misbehaving center: steps of so many messages, or of so long, one after the other.

    error 3; busy 2; slow 20s; down 1m; late 1; wrong 2; ok 5; gone

A line or `;` ends a step, `#` begins a remark. A step without number lasts for good; after the last one the
center is as it should be.
"""

import re
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from adapters.virtual.center import Misbehaviour
from gateway.errors import UsageError

PROPERLY: Final = "ok"
_STEP: Final = re.compile(r"(?P<name>[a-z_]+)(?:\s+(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>s|m)?)?")
_SECONDS: Final = {"s": 1.0, "m": 60.0}


@dataclass(frozen=True, slots=True)
class Step:
    """One step.

    Attributes:
        behaviour: None = as it should.
        messages: so many; heartbeats do not count and are answered properly.
        lasts_s: so long, heartbeats too; without both: for good.
    """

    behaviour: Misbehaviour | None
    messages: int | None = None
    lasts_s: float | None = None


def read_script(text: str) -> list[Step]:
    """The steps of a script.

    Raises:
        UsageError: with each step that is none.
    """
    wrong: list[str] = []
    steps: list[Step] = []
    lines = (line.partition("#")[0] for line in text.splitlines())
    for part in (part.strip() for line in lines for part in line.split(";")):
        if part:
            step = _step(part)
            steps.append(step) if isinstance(step, Step) else wrong.append(step)
    if wrong:
        raise UsageError("; ".join(wrong))
    return steps


def _step(part: str) -> Step | str:
    found = _STEP.fullmatch(part)
    name = found["name"] if found else part.split(maxsplit=1)[0]
    known = [PROPERLY, *(str(one) for one in Misbehaviour)]
    if found is None or name not in known:
        return f"{part!r} is no step: one of {', '.join(known)}, with 3 (messages), 20s or 2m"
    behaviour = None if name == PROPERLY else Misbehaviour(name)
    number, unit = found["number"], found["unit"]
    if number is None:
        return Step(behaviour)
    if unit is not None:
        return Step(behaviour, lasts_s=float(number) * _SECONDS[unit])
    if not number.isdigit() or not int(number):
        return f"{part!r}: messages are counted from 1"
    return Step(behaviour, messages=int(number))


class Script:
    """Plays steps: `VirtualCenter.scripted`.

    Args:
        steps: in order; the first begins now.
        now: a steady clock, seconds.
    """

    def __init__(self, steps: Iterable[Step], now: Callable[[], float]) -> None:
        self._steps = deque(steps)
        self._now = now
        self._begun = now()
        self._met = 0
        """Messages of the step under way."""

    def __call__(self, heartbeat: bool) -> Misbehaviour | None:  # noqa: FBT001 - asked by the center
        """How a message that came now is treated."""
        now = self._now()
        while self._steps:
            step = self._steps[0]
            if step.lasts_s is not None and now >= self._begun + step.lasts_s:
                self._next(self._begun + step.lasts_s)
                continue
            if step.messages is None:
                return step.behaviour
            if heartbeat:
                return None
            self._met += 1
            if self._met == step.messages:
                self._next(now)
            return step.behaviour
        return None

    def _next(self, begun: float) -> None:
        self._steps.popleft()
        self._begun, self._met = begun, 0
