"""Draws health.md from the table of transitions: `python docs/design/health_diagram.py`.

tests/architecture fails when the page is not what this draws.
"""

from collections import defaultdict
from pathlib import Path

from gateway.domain.health import LOST, SUSPICION, TRANSITIONS, Phase, Sign

PAGE = Path(__file__).with_name("health.md")
HEADER = """# Is a channel there: the phases of one channel

Drawn from `TRANSITIONS` in `gateway/domain/health.py` by `docs/design/health_diagram.py`; do not edit.
Signs that leave a phase as it is are not drawn. What people see is the state (semantics §2), not the phase:

| phases | seen as |
| --- | --- |
| {suspicion} | what the suspicion began from: suspicion is not a state |
| {lost} | offline (an outage row is open) |
| `new`, `unwatched` | unknown |
| `up` | online, or degraded while a fault is open |

```mermaid
stateDiagram-v2
    [*] --> {start}
"""


def page() -> str:
    """The page as it should be."""
    signs: dict[tuple[Phase, Phase], list[Sign]] = defaultdict(list)
    for (phase, sign), to in TRANSITIONS.items():
        if to is not phase:
            signs[phase, to].append(sign)
    lines = [HEADER.format(suspicion=_listed(SUSPICION), lost=_listed(LOST), start=Phase.NEW.value)]
    order = {member: number for number, member in enumerate([*Phase, *Sign])}
    for phase, to in sorted(signs, key=lambda pair: (order[pair[0]], order[pair[1]])):
        names = ", ".join(s.value for s in sorted(signs[phase, to], key=order.__getitem__))
        lines.append(f"    {phase.value} --> {to.value}: {names}\n")
    lines.append("```\n\n| sign | means |\n| --- | --- |\n")
    lines += [f"| `{sign.value}` | {MEANINGS[sign]} |\n" for sign in Sign]
    return "".join(lines)


def _listed(phases: frozenset[Phase]) -> str:
    return ", ".join(f"`{phase.value}`" for phase in Phase if phase in phases)


MEANINGS = {
    Sign.GOOD: "a good answer",
    Sign.SHAKY: "a good answer of a flapping channel that has not been calm for long enough",
    Sign.BAD: "a failed check",
    Sign.ENOUGH: "the failed check that completes the run: 3 in a row over at least 10 s",
    Sign.CONVICTED: "a witness, or a node that is down, bears the failures out",
    Sign.UNTOLD: "our own trouble: neither counts nor resets",
    Sign.BLINDED: "a check failed while the gateway was blind",
    Sign.LAPSED: "no completed check for three cadences",
    Sign.SIGHTED: "the gateway sees again",
}

if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
