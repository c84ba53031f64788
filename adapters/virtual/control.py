"""The district as a process of its own: JSON lines in on stdin, JSON lines out on stdout.

| in | out |
| --- | --- |
| | `{"event":"ready", ...}` once all listeners are open |
| `{"do":"start","length_s":180}` | `started`, then `trouble` for notable steps, then `finished` |
| `{"do":"apply","id":"x","trouble":"drop_syn","devices":[...]}` | `applied`, with the time |
| `{"do":"heal","id":"x"}` | `healed`, with the time: that trouble ends |
| `{"do":"heal"}` | `healed`: whatever the script or hands left broken is well again |
| `{"do":"signal","signal":"tamper","devices":[...],"active":true}` | `signalled`, with the time |
| `{"do":"stats"}` | `stats` |
| `{"do":"stop"}` or the end of stdin | the process ends with 0 |

`apply` is a trouble by hand, written to the truth log like those of a script. `devices` are ids of the
archive; `node` says on which network node they all hang; the trouble `blind` takes neither.
`signal` takes a name of `signals.py`; `token` and `value` say which input and what, where the first and
true or false will not do.
Anything else is answered by `{"event":"error","message":...}`.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from adapters.virtual.device import DEAD
from adapters.virtual.legacy import legacy_truth
from adapters.virtual.model import Trouble
from adapters.virtual.narration import narrate
from adapters.virtual.runner import Runner, Told
from adapters.virtual.scenario import (
    FLAP_CALM_S,
    FLAP_LOSSES,
    FLAP_WINDOW_S,
    FULL_LENGTH_S,
    PlanOptions,
    ScriptedTrouble,
    plan,
    spare_devices,
)
from adapters.virtual.sensors import build_sensors
from adapters.virtual.server import DistrictServer, utc_now
from adapters.virtual.truth import TruthLog
from gateway.domain.camera import DeviceId, NodeId
from gateway.domain.event import EventKind, SensorId

Say = Callable[[Mapping[str, Any]], None]
BLIND: Final = "blind"
_LONGEST_S: Final = 86_400.0
LINE_MOST: Final = 1 << 20
"""Bytes of a command: one may name every device of the district."""


def flapping_rule(scale: float) -> dict[str, float]:
    """The settings that a gateway needs to see the flappers of the script."""
    return {
        "flap_losses": FLAP_LOSSES,
        "flap_window_s": FLAP_WINDOW_S * scale,
        "flap_calm_s": FLAP_CALM_S * scale,
    }


class Controller:
    """Obeys commands for one running district.

    Args:
        server: the running district.
        truth: where the truth log goes; None = scripts cannot be started.
        scale: of all durations of a script.
        say: gets each event.
    """

    def __init__(
        self, server: DistrictServer, truth: Path | None, scale: float, seed: int, say: Say
    ) -> None:
        self._server = server
        self._truth = truth
        self._scale = scale
        self._seed = seed
        self._say = say
        self._names = {node.id: node.name for node in server.district.nodes}
        self._runs = 0
        self._task: asyncio.Task[None] | None = None
        self._runner: Runner | None = None
        self._hand: Runner | None = None
        self._log: TruthLog | None = None
        self._cabinets: Mapping[tuple[float | None, float | None], SensorId] | None = None

    def start(self, length_s: float = FULL_LENGTH_S) -> None:
        """Begin a script; one that is under way ends first, and what it broke is well again.

        Raises:
            ValueError: no truth log was given, or the length makes no sense.
        """
        log = self._open_log()
        if not 0 < length_s <= _LONGEST_S:
            raise ValueError("length_s must be above 0 and at most a day")
        self.heal()
        self._runs += 1
        options = PlanOptions(scale=self._scale)
        script = plan(self._server.district, self._seed + self._runs - 1, length_s, options)
        if self._runs > 1:
            script = [replace(t, id=f"{self._runs}-{t.id}") for t in script]
        self._runner = Runner(self._server, script, log, self._told)
        self._task = asyncio.get_running_loop().create_task(self._run(self._runner, length_s))
        self._say(
            {
                "event": "started",
                "at": utc_now().isoformat(),
                "length_s": length_s,
                "seed": self._seed + self._runs - 1,
                "kinds": dict(Counter(t.kind for t in script)),
                "devices_touched": len({d for t in script for d in t.devices}),
                "truth": str(self._truth),
                "spare": self._spare(script),
            }
        )

    def _spare(self, script: Sequence[ScriptedTrouble]) -> Mapping[str, Mapping[str, str]] | None:
        """A device with a cabinet at its pole, and another one."""
        district = self._server.district
        if self._cabinets is None:
            found = (s for s in build_sensors(district) if s.kind is EventKind.TAMPER)
            self._cabinets = {(s.longitude, s.latitude): s.id for s in found}
        cabinet: dict[str, str] = {}
        camera: dict[str, str] = {}
        for device in spare_devices(district, script):
            first = device.channels[0]
            facts = {"device": str(device.device.id), "channel": str(first.id)}
            sensor = self._cabinets.get((first.longitude, first.latitude))
            if sensor is None:
                camera = camera or facts
            else:
                cabinet = cabinet or {**facts, "sensor": str(sensor)}
            if cabinet and camera:
                return {"cabinet": cabinet, "camera": camera}
        return None

    def _open_log(self) -> TruthLog:
        if self._log is None:
            if self._truth is None:
                raise ValueError("give --truth FILE: without it nobody knows what happened")
            self._log = TruthLog(self._truth)
            for row in legacy_truth(self._server.district.devices, self._server.since):
                self._log.write(row)
        return self._log

    def apply(self, order: Mapping[str, Any]) -> None:
        """Let a trouble happen now, by hand.

        Raises:
            ValueError: the order makes no sense; nothing happened then.
        """
        trouble_id = order.get("id")
        if not isinstance(trouble_id, str) or not trouble_id:
            raise ValueError("apply: give the trouble an id, to end it by")
        if self._hand is None:
            self._hand = Runner(self._server, (), self._open_log(), self._told)
        row = self._hand.begin(by_hand(order, self._server, trouble_id))
        self._say(
            {"event": "applied", "id": row.id, "at": row.began, "channels": len(row.channels)}
        )

    def signal(self, order: Mapping[str, Any]) -> None:
        """Let devices tell one of their signals.

        Raises:
            ValueError: no such signal or device; nothing happened then.
        """
        devices = named_devices(order, self._server)
        name, active = str(order.get("signal")), bool(order.get("active", True))
        at = [
            self._server.signal(
                device,
                name,
                active=active,
                token=str(order.get("token", "")),
                value=str(order.get("value", "")),
            )
            for device in devices
        ]
        self._say(
            {"event": "signalled", "signal": name, "at": at[0].isoformat(), "devices": len(at)}
        )

    async def _run(self, runner: Runner, length_s: float) -> None:
        loop = asyncio.get_running_loop()
        ends = loop.time() + length_s
        await runner.run()
        await asyncio.sleep(max(0.0, ends - loop.time()))
        self._say({"event": "finished", "at": utc_now().isoformat()})

    def _told(self, told: Told) -> None:
        sentence = narrate(told, self._names)
        if sentence is None:
            return
        self._say(
            {
                "event": "trouble",
                "id": told.row.id,
                "kind": told.row.kind,
                "cause": told.row.cause,
                "state": told.state,
                "at": told.row.ended or told.row.began,
                "channels": len(told.row.channels),
                "en": sentence.en,
                "zh": sentence.zh,
            }
        )

    def heal_one(self, trouble_id: str) -> None:
        """End a trouble that was applied by hand.

        Raises:
            ValueError: there is none of this id.
        """
        row = self._hand.end(trouble_id) if self._hand is not None else None
        if row is None:
            msg = f"heal: no trouble {trouble_id!r} was applied, or it has ended"
            raise ValueError(msg)
        self._say({"event": "healed", "id": row.id, "at": row.ended})

    def heal(self) -> None:
        """Stop the script and end what it, or hands, left broken."""
        if self._hand is not None:
            self._hand.end_all()
        if self._task is not None:
            self._task.cancel()
            self._task = None
        if self._runner is not None:
            self._runner.end_all()
            self._runner = None

    async def close(self) -> None:
        """Stop the script; what is broken stays so in the truth log: it never ended."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        if self._log is not None:
            self._log.close()

    def obey(self, line: str) -> bool:
        """Carry out one command line; False when it says stop."""
        try:
            return self._carry_out(json.loads(line))
        except (ValueError, TypeError) as error:
            self._say({"event": "error", "message": str(error)})
            return True

    def _carry_out(self, order: object) -> bool:
        if not isinstance(order, dict):
            raise TypeError("a command is an object")
        wanted = order.get("do")
        if wanted == "stop":
            return False
        if wanted == "start":
            self.start(float(order.get("length_s", FULL_LENGTH_S)))
        elif wanted == "stats":
            self._say({"event": "stats", **self._server.stats()})
        elif wanted == "apply":
            self.apply(order)
        elif wanted == "signal":
            self.signal(order)
        elif wanted == "heal" and "id" in order:
            self.heal_one(str(order["id"]))
        elif wanted == "heal":
            self.heal()
            self._say({"event": "healed", "at": utc_now().isoformat()})
        else:
            msg = f"unknown command {wanted!r}: start, apply, signal, heal, stats or stop"
            raise ValueError(msg)
        return True


def by_hand(order: Mapping[str, Any], server: DistrictServer, trouble_id: str) -> ScriptedTrouble:
    """The trouble that an `apply` command asks for.

    Raises:
        ValueError: there is no such trouble or device.
    """
    node = None if order.get("node") is None else NodeId(str(order["node"]))
    if order.get("trouble") == BLIND:
        return ScriptedTrouble(trouble_id, BLIND, None, (), None, 0.0, None)
    trouble = Trouble(str(order.get("trouble")))
    devices = named_devices(order, server)
    kind = "fault" if trouble not in DEAD else "outage" if node is None else "uplink"
    return ScriptedTrouble(trouble_id, kind, trouble, devices, node, 0.0, None)


def named_devices(order: Mapping[str, Any], server: DistrictServer) -> tuple[DeviceId, ...]:
    """The devices of a command.

    Raises:
        ValueError: none was named, or one that is not there.
    """
    devices = tuple(DeviceId(str(device)) for device in order.get("devices", ()))
    unknown = [device for device in devices if device not in server.devices]
    if unknown or not devices:
        msg = f"{order.get('do')}: no such devices: {', '.join(unknown) or 'none was named'}"
        raise ValueError(msg)
    return devices


async def lines_of(pipe: Any) -> AsyncIterator[str]:  # noqa: ANN401 - sys.stdin or a pipe
    """Lines from a pipe, without blocking the loop, until it is closed."""
    reader = asyncio.StreamReader(LINE_MOST)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    try:
        while line := await reader.readline():
            if line.strip():
                yield line.decode()
    finally:
        transport.close()
