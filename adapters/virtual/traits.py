"""Who behaves how, and who may be killed: exact shares, drawn by seed."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from random import Random

from adapters.virtual.model import EventQuirk, LinkQuality, Personality, Quirk, Signing
from adapters.virtual.network import Slot
from adapters.virtual.siting import Plan
from gateway.domain.camera import DivisionCode, NodeId

CLOSES, DIGEST, TLS, SLOW = 0.30, 0.10, 0.02, 0.03
"""Shares of all devices; exact to one device."""
SLOW_S = (0.3, 1.2)
QUIRK_SHARES: Mapping[Quirk, float] = {
    Quirk.CLOCK_SKEW: 0.010,
    Quirk.TIME_NEEDS_AUTH: 0.005,
    Quirk.LOCAL_TIME_ONLY: 0.006,
    Quirk.ZULU_ONLY: 0.010,
    Quirk.NONCE_PER_URL: 0.006,
    Quirk.BUSY: 0.004,
    Quirk.LOCKOUT: 0.010,
    Quirk.WRONG_XADDR: 0.009,
    Quirk.WRONG_SERVICE_FAULT: 0.006,
    Quirk.MEDIA2_ONLY: 0.006,
    Quirk.UNDECLARED_PREFIX: 0.005,
    Quirk.BAD_UTF8: 0.005,
    Quirk.NO_CAPABILITIES: 0.005,
    Quirk.NO_INTERFACES: 0.008,
    Quirk.CHUNKED: 0.008,
    Quirk.CLOSE_DELIMITED: 0.005,
}
KILLABLE_SINGLES = 0.074
EVENT_QUIRK_SHARE = 0.005
"""Of all devices, each; no device has two of them."""
_TLS_KILLABLE = 0.15
_KILLABLE_SWITCHES = 5
_LEAST_SINGLES = 6
_STALLING, _RESETTING = 4, 3


@dataclass(frozen=True, slots=True)
class Trait:
    """What one device is like."""

    personality: Personality
    tls: bool


def _exact(count: int, share: float) -> int:
    return max(1, round(count * share))


def _single(slot: Slot) -> bool:
    return len(slot.unit.views) == 1


def draw_traits(seed: int, slots: Sequence[Slot], cut: DivisionCode) -> tuple[Trait, ...]:
    """One trait a device. Slow devices are otherwise plain, so that they answer in time."""
    rng = Random(f"{seed}:traits")
    count = len(slots)
    everyone = range(count)
    closes = set(rng.sample(everyone, _exact(count, CLOSES)))
    signed = rng.sample(everyone, max(2, round(count * DIGEST)))
    signing = dict.fromkeys(signed[::2], Signing.DIGEST_MD5)
    signing |= dict.fromkeys(signed[1::2], Signing.DIGEST_SHA256)
    # One device with TLS is a plain camera outside the cut, so that it can be killed alone.
    lone = rng.choice([i for i in everyone if _single(slots[i]) and slots[i].township != cut])
    tls = {lone, *rng.sample([i for i in everyone if i != lone], _exact(count, TLS) - 1)}
    plain = [i for i in everyone if i not in signing and i not in tls]
    slow = {i: round(rng.uniform(*SLOW_S), 2) for i in rng.sample(plain, _exact(count, SLOW))}
    fits: dict[Quirk, Callable[[int], bool]] = {
        Quirk.CLOCK_SKEW: lambda i: i not in signing,
        Quirk.ZULU_ONLY: lambda i: i not in signing,
        Quirk.NONCE_PER_URL: lambda i: i in signing,
        Quirk.CLOSE_DELIMITED: lambda i: i in closes,
    }
    quirks: dict[int, Quirk] = {}
    # The choosy quirks first, so that the others leave them somebody.
    for quirk in sorted(QUIRK_SHARES, key=lambda quirk: quirk not in fits):
        fit = fits.get(quirk)
        free = (i for i in everyone if i not in quirks and i not in slow)
        able = [i for i in free if fit is None or fit(i)]
        quirks |= dict.fromkeys(rng.sample(able, _exact(count, QUIRK_SHARES[quirk])), quirk)
    told = _event_quirks(seed, count)
    return tuple(
        Trait(
            Personality(
                signing.get(i, Signing.WSSE),
                i in closes,
                slow.get(i, 0.0),
                quirks.get(i),
                told.get(i),
            ),
            i in tls,
        )
        for i in everyone
    )


def _event_quirks(seed: int, count: int) -> dict[int, EventQuirk]:
    """Drawn apart, so that everything else stays as it was."""
    rng = Random(f"{seed}:events")
    each = _exact(count, EVENT_QUIRK_SHARE)
    # One that cannot be pulled tells nothing where the gateway has no address to push to.
    drawn = [quirk for quirk in EventQuirk if quirk is not EventQuirk.PUSH_ONLY]
    wanted = [quirk for quirk in drawn for _ in range(each)][:count]
    return dict(zip(rng.sample(range(count), len(wanted)), wanted, strict=True))


def draw_killable(
    seed: int,
    slots: Sequence[Slot],
    traits: Sequence[Trait],
    cut: DivisionCode,
    singles: float = KILLABLE_SINGLES,
) -> frozenset[int]:
    """Devices with a listener of their own: a whole township, whole switches, spread singles.

    Single ones (`singles` = their share of all devices) are spread over all switches, so that no
    switch looks dead by chance.
    """
    rng = Random(f"{seed}:killable")
    chosen = {i for i, slot in enumerate(slots) if slot.township == cut}
    others = [i for i, slot in enumerate(slots) if slot.township != cut]
    secured = {slots[i].node for i in others if traits[i].tls}
    switches = _whole_switches(rng, [slots[i] for i in others], secured)
    chosen |= {i for i in others if slots[i].node in switches}
    single = [i for i in others if slots[i].node not in switches and len(slots[i].unit.views) == 1]
    rng.shuffle(single)
    secure = [i for i in single if traits[i].tls]
    picked = secure[: max(1, round(_TLS_KILLABLE * sum(t.tls for t in traits)))]
    per_switch = Counter(slots[i].node for i in picked)
    wanted = max(_LEAST_SINGLES, round(len(slots) * singles))
    taken = set(picked)
    while len(taken) < min(wanted, len(single)):
        level = min(per_switch[slots[i].node] for i in single if i not in taken)
        for i in single:
            if len(taken) < wanted and i not in taken and per_switch[slots[i].node] == level:
                taken.add(i)
                per_switch[slots[i].node] += 1
    return frozenset(chosen | taken)


def _whole_switches(
    rng: Random, slots: Sequence[Slot], secured: AbstractSet[NodeId]
) -> frozenset[NodeId]:
    """Some access switches of at least 8 devices, each in another township where possible.

    None that has TLS devices: those are kept for dying alone.
    """
    size = Counter(slot.node for slot in slots)
    town = {slot.node: slot.township for slot in slots}
    plain = [node for node in sorted(size) if node not in secured]
    enough = min(8, max(size[node] for node in plain))
    large = [node for node in plain if size[node] >= enough]
    rng.shuffle(large)
    seen: Counter[DivisionCode] = Counter()
    ranked = []
    for node in large:
        ranked.append((seen[town[node]], node))
        seen[town[node]] += 1
    ranked.sort(key=lambda row: row[0])
    wanted = max(1, min(_KILLABLE_SWITCHES, len(size) // 10))
    return frozenset(node for _, node in ranked[:wanted])


def draw_links(seed: int, plan: Plan) -> dict[DivisionCode, LinkQuality]:
    """The quality of each township's link; the township that may be cut has a clean one."""
    rng = Random(f"{seed}:links")
    towns = [code for code in plan.units if code != plan.cut]
    rng.shuffle(towns)
    stalling = towns[: min(_STALLING, max(1, len(towns) // 4))]
    resetting = towns[len(stalling) :][: min(_RESETTING, max(1, len(towns) // 5))]
    return {
        code: LinkQuality(
            latency_s=round(rng.uniform(0.001, 0.015), 4),
            stall_rate=0.004 if code in stalling else 0.0,
            reset_rate=0.003 if code in resetting else 0.0,
        )
        for code in plan.units
    }
