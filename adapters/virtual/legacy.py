"""What was broken before anybody watched (存量故障): a few devices that have never been well.

Some never answered, some have only ever answered nonsense. The ledger owes each of them one row that was
never seen good before it, and no incident and no alert (semantics §1).
"""

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from random import Random
from typing import Final

from adapters.virtual.intervals import STANDING, TAKEOVER
from adapters.virtual.model import Legacy, Trouble, TruthRow, VirtualDevice
from adapters.virtual.network import Slot
from adapters.virtual.traits import Trait

LEGACY_SHARE: Final = 0.001
"""Of all devices, each kind; a district of less than 500 devices has none."""
NEVER_ALIVE: Final[Mapping[Legacy, Trouble]] = {
    Legacy.REFUSES: Trouble.REFUSE,
    Legacy.DROPS_SYN: Trouble.DROP_SYN,
    Legacy.HANGS: Trouble.HANG,
}
_CAUSES: Final[Mapping[Legacy, str]] = {
    Legacy.TRUNCATED: "bad_response",
    Legacy.HUGE: "bad_response",
    Legacy.ENDLESS: "bad_response",
    Legacy.NON_XML: "not_onvif",
}


def draw_legacy(
    seed: int,
    slots: Sequence[Slot],
    traits: Sequence[Trait],
    killable: AbstractSet[int],
    share: float,
) -> dict[int, Legacy]:
    """Which devices were never well, by their number: plain cameras that the script leaves alone.

    Drawn apart, so that everything else stays as it was.
    """
    rng = Random(f"{seed}:legacy")
    each = round(len(slots) * share)
    able = [
        i
        for i, (slot, trait) in enumerate(zip(slots, traits, strict=True))
        if i not in killable and len(slot.unit.views) == 1 and _plain(trait)
    ]
    wanted = [legacy for legacy in Legacy for _ in range(each)]
    return dict(zip(rng.sample(able, len(wanted)), wanted, strict=True))


def _plain(trait: Trait) -> bool:
    personality = trait.personality
    return not (trait.tls or personality.slow_s or personality.quirk or personality.events)


def legacy_truth(devices: Sequence[VirtualDevice], since: datetime) -> Iterator[TruthRow]:
    """The rows of the truth log for them: intervals without an end.

    Args:
        devices: of the district.
        since: when the district began to answer, and these did not.
    """
    for virtual in devices:
        legacy = virtual.personality.legacy
        if legacy is None:
            continue
        dead = NEVER_ALIVE.get(legacy)
        yield TruthRow(
            kind=STANDING if dead is None else TAKEOVER,
            cause=_CAUSES[legacy] if dead is None else dead,
            channels=tuple(camera.id for camera in virtual.channels),
            device=virtual.device.id,
            node=None,
            began=since.isoformat(),
            id=f"legacy-{virtual.device.id}",
        )
