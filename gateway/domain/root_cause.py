"""Which common node explains these failures (semantics §5).

A node is *accused* when enough channels below it come under suspicion within a few seconds and none
below it has given a good answer since. Up to 16 siblings, spread over its child nodes, are then
asked at once, three rounds over ten seconds. One good answer acquits it; three rounds of failures,
with a witness elsewhere, convict it: the node is *down*, and the caller makes one incident of it.

All times are CLOCK_BOOTTIME seconds. The object is owned by the judge; it does no I/O of its own.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, zip_longest

from gateway.domain.camera import ChannelId, DeviceId, Node, NodeId, NodeKind
from gateway.domain.observation import Instant

NEVER = Instant(float("-inf"))


@dataclass(frozen=True, slots=True)
class RootRules:
    """Numbers of semantics §5."""

    children: int = 3
    window_s: float = 10.0
    siblings: int = 16
    rounds: int = 3
    round_s: float = 5.0
    check_s: float = 3.0
    rest_s: float = 5.0
    """An acquitted node is not accused again for so long."""
    patience_s: float = 40.0
    """A trial without a verdict after so long is dropped (its devices could not be asked)."""


@dataclass(slots=True)
class Trial:
    """An accusation that is being looked into."""

    failed: Instant
    """The node's `failed_at`: min(failed_at) of the suspects that nobody below contradicts."""
    opened: Instant
    rounds_asked: int = 0
    rounds_failed: int = 0
    asked_at: Instant = NEVER
    pending: set[DeviceId] = field(default_factory=set)
    failures: int = 0
    borne_out: bool = False
    """A witness was there before the last round was asked."""


@dataclass(slots=True)
class NodeWatch:
    """What is known of one node.

    Invariant: `down_since` and `trial` are never both set.
    """

    node: Node
    parent: "NodeWatch | None" = None
    children: list["NodeWatch"] = field(default_factory=list)
    devices: list[DeviceId] = field(default_factory=list)
    """Devices that hang on this very node."""
    channels: set[ChannelId] = field(default_factory=set)
    """All channels below it."""
    good_started: Instant = NEVER
    """Start of the newest good answer from below."""
    suspects: dict[ChannelId, Instant] = field(default_factory=dict)
    """Channels below it that fail now, with the end of their first failed check."""
    trial: Trial | None = None
    down_since: Instant | None = None
    acquitted: Instant = NEVER

    def above(self) -> Iterable["NodeWatch"]:
        """The nodes above it, nearest first."""
        at = self.parent
        while at is not None:
            yield at
            at = at.parent

    def below(self) -> Iterable["NodeWatch"]:
        """All nodes below it, not itself."""
        for child in self.children:
            yield child
            yield from child.below()

    def uncontradicted(self) -> dict[ChannelId, Instant]:
        """Suspects that failed after the last good answer from below."""
        return {c: at for c, at in self.suspects.items() if at > self.good_started}


@dataclass(frozen=True, slots=True)
class Round:
    """Ask these devices at once: one round of a trial."""

    node: NodeId
    devices: tuple[DeviceId, ...]


class RootCause:
    """The network tree under watch.

    Args:
        nodes: every node, devices with several channels included.
        places: for each device its nodes, nearest first, and its channels.
    """

    def __init__(
        self,
        nodes: Mapping[NodeId, Node],
        places: Iterable[tuple[DeviceId, Sequence[NodeId], Sequence[ChannelId]]],
        rules: RootRules,
    ) -> None:
        self.rules = rules
        self.watches = {n.id: NodeWatch(n) for n in nodes.values()}
        for watch in self.watches.values():
            if watch.node.parent is not None:
                watch.parent = self.watches.get(watch.node.parent)
            if watch.parent is not None:
                watch.parent.children.append(watch)
        self.path: dict[DeviceId, tuple[NodeWatch, ...]] = {}
        for device, node_ids, channels in places:
            path = tuple(self.watches[n] for n in node_ids)
            self.path[device] = path
            if path:
                path[0].devices.append(device)
            for watch in path:
                watch.channels.update(channels)
        self._hot: dict[NodeId, NodeWatch] = {}
        self._on_trial: dict[NodeId, NodeWatch] = {}

    def good(self, device: DeviceId, channel: ChannelId, started: Instant) -> list[NodeWatch]:
        """A good answer; returns the down nodes above it: they begin to recover."""
        recovering: list[NodeWatch] = []
        for watch in self.path[device]:
            watch.good_started = max(watch.good_started, started)
            if watch.suspects:
                watch.suspects.pop(channel, None)
            if watch.down_since is not None and started > watch.down_since:
                recovering.append(watch)
        return recovering

    def bad(self, device: DeviceId, channel: ChannelId, failed: Instant, *, first: bool) -> None:
        """A failed check; `failed` is the end of the first one of the run.

        A failure only counts as a new suspicion when it is the first one of its run, yet every one
        counts in a round.
        """
        for watch in self.path[device]:
            if first:
                watch.suspects[channel] = failed
                self._hot[watch.node.id] = watch
            if watch.trial is not None:
                watch.trial.failures += 1
                watch.trial.pending.discard(device)

    def forget(self, device: DeviceId, channel: ChannelId) -> None:
        """A channel is not under suspicion any more, without a good answer (blind, removed)."""
        for watch in self.path.get(device, ()):
            watch.suspects.pop(channel, None)

    def blinded(self) -> None:
        """The gateway is blind: no accusation holds."""
        for watch in self._on_trial.values():
            watch.trial = None
        self._on_trial.clear()
        self._hot.clear()

    def accused_above(self, device: DeviceId) -> bool:
        """True while a verdict on a node above this device is pending."""
        return any(watch.trial is not None for watch in self.path[device])

    def down_above(self, device: DeviceId) -> NodeWatch | None:
        """The topmost node above a device that is down."""
        found = None
        for watch in self.path[device]:
            if watch.down_since is not None:
                found = watch
        return found

    def revive(self, watch: NodeWatch) -> None:
        """The node answers again: it is not down any more."""
        watch.down_since = None

    def step(
        self, now: Instant, witnessed: Callable[[NodeWatch, Instant], bool]
    ) -> tuple[list[Round], list[NodeWatch]]:
        """Go on with all trials.

        Args:
            now: the time.
            witnessed: whether somebody outside a node answered well after an instant.

        Returns:
            the rounds to ask now, and the nodes that are down from now on (topmost ones only).
        """
        self._accuse(now)
        rounds: list[Round] = []
        ripe: list[NodeWatch] = []
        trials = [(w, w.trial) for w in self._on_trial.values() if w.trial is not None]
        for watch, trial in trials:
            hung = trial.rounds_failed < self.rules.rounds
            hung = hung and now > trial.opened + self.rules.patience_s
            if watch.good_started > trial.failed or hung:
                self._close(watch, now)
                continue
            self._count_round(trial, now)
            if trial.rounds_failed >= self.rules.rounds and trial.borne_out:
                ripe.append(watch)
            elif self._round_is_due(trial, now):
                # A witness that appears only after the last failure proves nothing against the node.
                trial.borne_out = witnessed(watch, trial.failed)
                rounds.append(self._ask(watch, trial, now))
        return rounds, self._convict(ripe)

    def _accuse(self, now: Instant) -> None:
        hot, self._hot = self._hot, {}
        for watch in hot.values():
            resting = now - watch.acquitted < self.rules.rest_s
            if watch.trial is not None or watch.down_since is not None:
                continue
            if any(elder.down_since is not None for elder in watch.above()):
                continue  # explained already; what stays dead when the elder is back splits off
            if resting:
                # Not lost: looked at again on the next step.
                self._hot[watch.node.id] = watch
                continue
            failed = self._grounds(watch)
            if failed is not None:
                watch.trial = Trial(failed, now)
                self._on_trial[watch.node.id] = watch

    def _grounds(self, watch: NodeWatch) -> Instant | None:
        """The node's failed_at when there is enough to accuse it, else None."""
        if len(watch.channels) < 2:  # noqa: PLR2004 - one channel is its own cause
            return None
        suspects = watch.uncontradicted()
        if not suspects:
            return None
        newest = max(suspects.values())
        recent = [at for at in suspects.values() if at >= newest - self.rules.window_s]
        if len(recent) < min(self.rules.children, len(watch.channels)):
            return None
        return min(suspects.values())

    def _count_round(self, trial: Trial, now: Instant) -> None:
        if trial.rounds_asked == trial.rounds_failed:
            return
        over = not trial.pending or now >= trial.asked_at + 2 * self.rules.check_s
        if over and trial.failures:
            trial.rounds_failed = trial.rounds_asked
            trial.failures = 0

    def _round_is_due(self, trial: Trial, now: Instant) -> bool:
        answered = trial.rounds_asked == trial.rounds_failed
        return answered and now >= trial.opened + trial.rounds_asked * self.rules.round_s

    def _ask(self, watch: NodeWatch, trial: Trial, now: Instant) -> Round:
        trial.rounds_asked += 1
        trial.asked_at = now
        trial.failures = 0
        devices = self.siblings(watch)
        trial.pending = set(devices)
        return Round(watch.node.id, devices)

    def siblings(self, watch: NodeWatch) -> tuple[DeviceId, ...]:
        """At most 16 devices below a node, taken from its child nodes in turn."""
        groups = [_devices(child) for child in watch.children]
        groups.append(iter(watch.devices))
        spread = chain.from_iterable(zip_longest(*groups))
        found: list[DeviceId] = []
        for device in spread:
            if device is not None:
                found.append(device)
            if len(found) == self.rules.siblings:
                break
        return tuple(found)

    def _close(self, watch: NodeWatch, now: Instant) -> None:
        watch.trial = None
        watch.acquitted = now
        self._on_trial.pop(watch.node.id, None)
        # A part of it may still be guilty of the rest.
        self._hot[watch.node.id] = watch

    def _convict(self, ripe: Iterable[NodeWatch]) -> list[NodeWatch]:
        """Of the nodes found guilty, those whose elders are not accused as well."""
        guilty: list[NodeWatch] = []
        for watch in ripe:
            elders = [w for w in watch.above() if w.trial is not None]
            if any(not _same(watch, elder) for elder in elders):
                continue  # the verdict on the elder comes first
            guilty.append(watch)
        chosen = {_blame(watch).node.id: _blame(watch) for watch in guilty}
        for watch in chosen.values():
            trial = watch.trial or next(w.trial for w in guilty if _same(w, watch))
            watch.down_since = trial.failed if trial else NEVER
            for lower in (watch, *watch.below(), *(w for w in watch.above() if _same(w, watch))):
                lower.trial = None
                self._on_trial.pop(lower.node.id, None)
        return list(chosen.values())


def _devices(watch: NodeWatch) -> Iterable[DeviceId]:
    yield from watch.devices
    for child in watch.children:
        yield from _devices(child)


def _same(one: NodeWatch, other: NodeWatch) -> bool:
    """Two nodes of one chain that carry the same channels: nothing can tell them apart."""
    return len(one.channels) == len(other.channels)


def _blame(watch: NodeWatch) -> NodeWatch:
    """Of the nodes that carry the same channels, the uplink if there is one, else the nearest."""
    twins = [w for w in watch.above() if _same(w, watch)]
    lowest = watch
    for below in watch.below():
        if _same(below, watch) and below.node.kind is not NodeKind.DEVICE:
            lowest = below
    uplinks = [w for w in (lowest, watch, *twins) if w.node.kind is NodeKind.UPLINK]
    return uplinks[0] if uplinks else lowest
