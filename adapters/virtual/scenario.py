"""The script of what goes wrong, and when: pure, seeded, in seconds from its start.

All durations are those of a 30 s cadence times `PlanOptions.scale`. The gateway's rules that the
times respect (semantics §4, §10), at a scale of 1:

- a death is confirmed within about 46 s, a return noticed within 30 s;
- an interval that *must* be found lasts at least 60 s and begins at least 60 s before the end;
- nothing begins so shortly before the gateway's blindness that its verdict would wait for it, and
  nothing begins or ends during it; what is down already may stay down.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Final

from adapters.virtual.model import Quirk, Trouble, VirtualDevice, VirtualDistrict
from adapters.virtual.targets import Targets, find_targets
from gateway.domain.camera import CheckBy, DeviceId, NodeId

FULL_CHANNELS: Final = 12_328
FULL_LENGTH_S: Final = 180.0
DUE_S: Final = 60.0
"""Lasting so long, and begun so long before the end: must be found."""
CONFIRM_S: Final = 48.0
"""Death to confirmed outage, at most, and a little more."""
RETURN_S: Final = 35.0
"""Back to noticed, at most, and a little more."""
BLIND_S: Final = 30.0
BLIND_TAIL_S: Final = 12.0
"""Between the end of the blindness and the end of the script."""
FLAP_LOSSES: Final = 2
FLAP_WINDOW_S: Final = 170.0
FLAP_CALM_S: Final = 60.0
"""The flapping rule that a gateway needs for the three flappers of the script."""
FLAP_DOWN_S: Final = 52.0
FLAP_UP_S: Final = 35.0
_NODE_DOWN_S: Final = (66.0, 75.0)
KILLS: Final = (Trouble.REFUSE, Trouble.DROP_SYN, Trouble.HANG)
AFTER_REBOOT: Final = (Trouble.WRONG_DEVICE, Trouble.AUTH, Trouble.LOCKED_OUT)
"""Only a signed check finds these, and it follows a recovery."""
WHILE_UP: Final = (Trouble.CLOCK, Trouble.NOT_ONVIF, Trouble.BAD_RESPONSE, Trouble.TLS)
_DEAF_TO_CLOCK: Final = {Quirk.CLOCK_SKEW, Quirk.TIME_NEEDS_AUTH, Quirk.LOCAL_TIME_ONLY}
_LOGIN_QUIRKS: Final = {Quirk.BUSY, Quirk.LOCKOUT, Quirk.TIME_NEEDS_AUTH}


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """How large and how fast.

    Attributes:
        scale: all durations times this; 1 fits a cadence of 30 s.
        single_deaths / faults_each / flappers / dips: numbers for 12,328 channels; a smaller
            district gets its share, but never none.
        blindness: False leaves the gateway's blindness out.
    """

    scale: float = 1.0
    single_deaths: int = 300
    faults_each: int = 10
    flappers: int = 3
    dips: int = 50
    blindness: bool = True


@dataclass(frozen=True, slots=True)
class ScriptedTrouble:
    """One interval of the script.

    Attributes:
        id: key of its rows in the truth log.
        kind: as in `TruthRow`.
        trouble: what happens to each device; None for the blindness, which happens to all.
        begins_s / ends_s: seconds from the start; `ends_s` None = it outlasts the script.
    """

    id: str
    kind: str
    trouble: Trouble | None
    devices: tuple[DeviceId, ...]
    node: NodeId | None
    begins_s: float
    ends_s: float | None


@dataclass(frozen=True, slots=True)
class _Times:
    """Until when things may begin and end, in seconds of the script."""

    scale: float
    begin_by: float
    """What must be found begins until then."""
    end_by: float
    """What ends during the script ends until then."""
    blind_at: float | None

    def interval(self, rng: Random, least_s: float, most_s: float) -> tuple[float, float | None]:
        """A random interval of such a length; where there is no room for its end, without one."""
        least, most = least_s * self.scale, most_s * self.scale
        latest = min(self.begin_by, self.end_by - least)
        if latest <= 0:
            return rng.uniform(0, self.begin_by), None
        begins = rng.uniform(0, latest)
        return begins, begins + rng.uniform(least, min(most, self.end_by - begins))


def _times(length_s: float, options: PlanOptions) -> _Times:
    scale = options.scale
    if length_s <= DUE_S * scale:
        # Nothing can be due; what there is room for may happen at any time.
        return _Times(scale, length_s, length_s, None)
    blind_at = length_s - (BLIND_S + BLIND_TAIL_S) * scale
    enough = blind_at >= (CONFIRM_S + DUE_S / 2) * scale
    if not options.blindness or not enough:
        last = max(0.0, length_s - DUE_S * scale)
        return _Times(scale, last, max(0.0, length_s - RETURN_S * scale), None)
    begin_by = min(blind_at - CONFIRM_S * scale, length_s - DUE_S * scale)
    return _Times(scale, begin_by, blind_at - RETURN_S * scale, blind_at)


class _Writer:
    """Draws devices, each for one trouble only, and writes the script."""

    def __init__(
        self, district: VirtualDistrict, seed: int, times: _Times, options: PlanOptions
    ) -> None:
        self._rng = Random(f"{seed}:scenario")
        self._times = times
        self._options = options
        self._share = min(1.0, len(district.channels) / FULL_CHANNELS)
        self._links = district.links
        self._targets: Targets = find_targets(district)
        self._killable = self._shuffled([v for v in self._targets.singles if _simple(v)])
        self._steady = self._shuffled(
            [v for v in district.devices if not v.killable and _simple(v)]
        )
        self.script: list[ScriptedTrouble] = []

    def _shuffled(self, devices: list[VirtualDevice]) -> list[VirtualDevice]:
        """At random, those behind a clean link first: one trouble at a time."""
        self._rng.shuffle(devices)
        devices.sort(key=lambda v: not self._clean(v))
        return devices

    def _clean(self, device: VirtualDevice) -> bool:
        link = self._links.get(device.township)
        return link is None or not (link.stall_rate or link.reset_rate)

    def _count(self, full: int, least: int) -> int:
        return max(least, round(full * self._share)) if full else 0

    def _take(
        self,
        pool: list[VirtualDevice],
        count: int,
        *,
        tls: bool = False,
        not_with: frozenset[Quirk] | set[Quirk] = frozenset(),
    ) -> list[VirtualDevice]:
        """The next so many fitting devices of a pool; fewer when it runs out."""
        found: list[VirtualDevice] = []
        for device in pool:
            if len(found) == count:
                break
            if device.personality.quirk not in not_with and (device.device.tls or not tls):
                found.append(device)
        taken = {device.device.id for device in found}
        pool[:] = [device for device in pool if device.device.id not in taken]
        return found

    def _add(
        self,
        kind: str,
        trouble: Trouble | None,
        devices: Sequence[VirtualDevice],
        begins_s: float,
        ends_s: float | None,
        node: NodeId | None = None,
    ) -> None:
        number = len(self.script) + 1
        ids = tuple(device.device.id for device in devices)
        self.script.append(
            ScriptedTrouble(f"t{number:04d}", kind, trouble, ids, node, begins_s, ends_s)
        )

    def _kills(self) -> Iterator[Trouble]:
        while True:
            yield from KILLS

    # --- one method a kind of trouble; the scarce devices are drawn first
    def faults_while_up(self) -> None:
        for trouble in WHILE_UP:
            count = self._count(self._options.faults_each, 1)
            unfit = _DEAF_TO_CLOCK if trouble is Trouble.CLOCK else frozenset[Quirk]()
            tls = trouble is Trouble.TLS
            chosen = self._take(self._steady, count, tls=tls, not_with=unfit)
            if tls:
                chosen += self._take(self._killable, count - len(chosen), tls=True)
            for number, device in enumerate(chosen):
                begins, ends = self._times.interval(self._rng, 62, 90)
                self._add("fault", trouble, [device], begins, ends if number % 3 else None)

    def faults_after_reboot(self) -> None:
        """Dead for a minute, then back as another: wrong identities first.

        A gateway stops signing for a set of credentials that many devices refuse.
        """
        scale = self._times.scale
        kills = self._kills()
        for rank, trouble in enumerate(AFTER_REBOOT):
            count = self._count(self._options.faults_each, 1)
            for device in self._take(self._killable, count, not_with=_LOGIN_QUIRKS):
                dead = self._rng.uniform(61, 66) * scale
                latest = max(0.0, min(self._times.end_by - dead, self._times.begin_by - dead))
                begins = latest * (rank + self._rng.random()) / len(AFTER_REBOOT)
                self._add("outage", next(kills), [device], begins, begins + dead)
                self._add("fault", trouble, [device], begins + dead, None)

    def nodes(self) -> None:
        """One township uplink and one access switch, silent as behind a cut line."""
        room = self._times.end_by - _NODE_DOWN_S[1] * self._times.scale
        latest = self._times.begin_by if room <= 0 else min(room, self._times.begin_by)
        for kind, found in (
            ("uplink", self._targets.uplinks),
            ("switch", self._targets.switches),
        ):
            if not found:
                continue
            node = min(found)
            begins = latest * self._rng.uniform(0.2, 1.0)
            ends = begins + self._rng.uniform(*_NODE_DOWN_S) * self._times.scale
            self._add(
                kind,
                Trouble.DROP_SYN,
                found[node],
                begins,
                ends if ends <= self._times.end_by else None,
                node,
            )

    def flappers(self) -> None:
        scale, times = self._times.scale, self._times
        whole = (2 * FLAP_DOWN_S + FLAP_UP_S) * scale
        latest = times.begin_by - (FLAP_DOWN_S + FLAP_UP_S) * scale
        if latest < 0:
            return
        kills = self._kills()
        for device in self._take(self._killable, self._count(self._options.flappers, 1)):
            kill = next(kills)
            begins = self._rng.uniform(0, latest)
            up = begins + FLAP_DOWN_S * scale
            again = up + FLAP_UP_S * scale
            ends = begins + whole
            last = ends if ends <= times.end_by else None
            self._add("flapping", kill, [device], begins, up)
            self._add("flapping", kill, [device], again, last)

    def single_deaths(self) -> None:
        kills = self._kills()
        count = self._count(self._options.single_deaths, 2 * len(KILLS))
        for number, device in enumerate(self._take(self._killable, count)):
            begins, ends = self._times.interval(self._rng, 62, 95)
            if number % 2:
                begins, ends = self._rng.uniform(0, self._times.begin_by), None
            self._add("outage", next(kills), [device], begins, ends)

    def dips(self) -> None:
        kills = self._kills()
        scale = self._times.scale
        for device in self._take(self._killable, self._count(self._options.dips, len(KILLS))):
            lasts = self._rng.uniform(1.0, 9.0) * scale
            latest = min(self._times.begin_by, self._times.end_by - lasts)
            begins = self._rng.uniform(0, max(0.0, latest))
            self._add("dip", next(kills), [device], begins, begins + lasts)

    def blindness(self) -> None:
        at = self._times.blind_at
        if at is not None:
            self._add("blind", None, [], at, at + BLIND_S * self._times.scale)


def _simple(device: VirtualDevice) -> bool:
    """One channel, watched over ONVIF, answering without long thought: one thing goes wrong."""
    return (
        len(device.channels) == 1
        and device.device.check_by is CheckBy.ONVIF
        and device.personality.slow_s == 0
        and device.personality.legacy is None
    )


def plan(
    district: VirtualDistrict,
    seed: int,
    length_s: float = FULL_LENGTH_S,
    options: PlanOptions | None = None,
) -> list[ScriptedTrouble]:
    """Write a script, in the order of time; the same arguments give the same one.

    A device is in one trouble at most (a reboot and the fault after it count as one). A length
    that leaves no room for something leaves it out: the blindness and the flappers need most of
    three minutes at a scale of 1.
    """
    options = options or PlanOptions()
    writer = _Writer(district, seed, _times(length_s, options), options)
    writer.nodes()
    writer.faults_while_up()
    writer.flappers()
    writer.faults_after_reboot()
    writer.single_deaths()
    writer.dips()
    writer.blindness()
    fitting = (_cut(trouble, length_s) for trouble in writer.script)
    script = [trouble for trouble in fitting if trouble.begins_s < length_s]
    return sorted(script, key=lambda trouble: (trouble.begins_s, trouble.id))


def _cut(trouble: ScriptedTrouble, length_s: float) -> ScriptedTrouble:
    """What would end after the script does not end in it."""
    ends = trouble.ends_s
    return replace(trouble, ends_s=None) if ends is not None and ends > length_s else trouble


def spare_devices(
    district: VirtualDistrict, script: Sequence[ScriptedTrouble]
) -> Iterator[VirtualDevice]:
    """Plain, healthy devices that the script leaves alone: free to tell of events."""
    touched = {device for trouble in script for device in trouble.devices}
    planned = {window.target for window in district.windows}
    for device in district.devices:
        link = district.links.get(device.township)
        shaky = link is not None and bool(link.stall_rate or link.reset_rate)
        plain = device.personality.quirk is None and device.personality.events is None
        watched = not planned & {device.device.node, *(c.id for c in device.channels)}
        free = device.device.id not in touched and not device.killable
        placed = device.channels[0].in_use and device.channels[0].longitude is not None
        if _simple(device) and plain and watched and free and placed and not shaky:
            yield device
