"""Plays a script on a running district and writes down what truly happened."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from adapters.virtual.device import DEAD
from adapters.virtual.model import Trouble, TruthRow
from adapters.virtual.scenario import ScriptedTrouble
from adapters.virtual.server import DistrictServer
from adapters.virtual.truth import TruthLog
from gateway.domain.camera import ChannelId, DeviceId, NodeId

END: Final = "end"
BEGIN: Final = "begin"


@dataclass(frozen=True, slots=True)
class Told:
    """Something of the script happened: `state` is `begin` or `end`, `seen` counts its kind."""

    trouble: ScriptedTrouble
    state: str
    row: TruthRow
    seen: int


def _acts(script: Sequence[ScriptedTrouble]) -> list[tuple[float, int, str, ScriptedTrouble]]:
    """What to do when, in order; a fault that follows a death begins just before that ends."""
    acts = [(t.begins_s, _rank(t, BEGIN), BEGIN, t) for t in script]
    acts += [(t.ends_s, _rank(t, END), END, t) for t in script if t.ends_s is not None]
    return sorted(acts, key=lambda act: (act[0], act[1], act[3].id))


def _rank(trouble: ScriptedTrouble, state: str) -> int:
    return 0 if state == BEGIN and trouble.trouble not in DEAD else 1


class Runner:
    """Plays one script.

    Args:
        server: the running district.
        script: from `scenario.plan`.
        log: where the truth goes.
        tell: called after each step.
    """

    def __init__(
        self,
        server: DistrictServer,
        script: Sequence[ScriptedTrouble],
        log: TruthLog,
        tell: Callable[[Told], None] = lambda _told: None,
    ) -> None:
        self._server = server
        self._script = script
        self._log = log
        self._tell = tell
        self._open: dict[str, tuple[ScriptedTrouble, TruthRow]] = {}
        self._seen: Counter[tuple[str, str]] = Counter()

    async def run(self) -> None:
        """Play the script to its last step; cancelling it leaves what is broken broken."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        for at, _, state, trouble in _acts(self._script):
            await asyncio.sleep(max(0.0, started + at - loop.time()))
            if state == BEGIN:
                self.begin(trouble)
            else:
                self.end(trouble.id)

    def begin(self, trouble: ScriptedTrouble) -> TruthRow:
        """Let something happen now; returns its row of the truth log.

        Raises:
            ValueError: one of the devices cannot have this trouble; none has it then.
        """
        at = self._apply(trouble)
        row = self._row(trouble, at)
        self._open[trouble.id] = (trouble, row)
        self._log.write(row)
        self._told(trouble, BEGIN, row)
        return row

    def _apply(self, trouble: ScriptedTrouble) -> datetime:
        server = self._server
        if trouble.trouble is None:
            return server.set_blind(True)
        done: dict[DeviceId, datetime] = {}
        try:
            for device in trouble.devices:
                done[device] = server.apply(device, trouble.trouble)
        except ValueError:
            for device in done:
                server.heal(device, trouble.trouble)
            raise
        return max(done.values())

    def _row(self, trouble: ScriptedTrouble, at: datetime) -> TruthRow:
        devices = [self._server.devices[device].facts for device in trouble.devices]
        channels = tuple(camera.id for facts in devices for camera in facts.channels)
        return TruthRow(
            kind=trouble.kind,
            cause=(trouble.trouble or trouble.kind),
            channels=channels,
            device=trouble.devices[0] if len(trouble.devices) == 1 else None,
            node=trouble.node,
            began=at.isoformat(),
            id=trouble.id,
            below=self._below(trouble.node, channels),
        )

    def _below(self, top: NodeId | None, channels: Sequence[ChannelId]) -> tuple[str, ...]:
        """The nodes below `top`, devices with several channels included."""
        if top is None or not channels:
            return ()
        parents = {node.id: node.parent for node in self._server.district.nodes}
        below = []
        for node, parent in parents.items():
            at = parent
            while at is not None and at != top:
                at = parents[at]
            if at == top:
                below.append(str(node))
        return tuple(below)

    def end(self, trouble_id: str) -> TruthRow | None:
        """End one interval now; returns its row, None when it is not open."""
        found = self._open.pop(trouble_id, None)
        if found is None:
            return None
        trouble, row = found
        if trouble.trouble is None:
            at = self._server.set_blind(False)
        else:
            kind: Trouble = trouble.trouble
            at = min(self._server.heal(device, kind) for device in trouble.devices)
        row = replace(row, ended=at.isoformat())
        self._log.write(row)
        self._told(trouble, END, row)
        return row

    def end_all(self) -> None:
        """End whatever the script left broken."""
        for trouble_id in list(self._open):
            self.end(trouble_id)

    def _told(self, trouble: ScriptedTrouble, state: str, row: TruthRow) -> None:
        key = (trouble.kind, state)
        self._seen[key] += 1
        self._tell(Told(trouble, state, row, self._seen[key]))
