"""The demo's way from a signal to the center and back: a smoke sensor, an opened cabinet, an uplink.

A virtual center receives what the gateway sends and answers; a private broker carries the sensors' messages
where mosquitto is installed, the signed HTTP intake where it is not. What the center must have been told is
known from the script alone; who is linked is checked against every cell by brute force (`links.py`).
"""

import asyncio
import base64
import re
import secrets
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from adapters.virtual.broker import HOST, Broker, find_mosquitto
from adapters.virtual.center import VirtualCenter
from adapters.virtual.center_answers import Gateway
from adapters.virtual.compare import Offence
from adapters.virtual.links import Cells
from adapters.virtual.model import TruthRow
from adapters.virtual.sensors import ROOT, HttpLine, Line, MqttLine, SensorPublisher, read_sensors
from gateway.domain.event import EventKind
from gateway.resources import data_dir

SMOKE_AT_S, TAMPER_AT_S, SIGNAL_LOST_AT_S, CLEAR_AT_S = 12.0, 18.0, 26.0, 75.0
"""Seconds of the script at a cadence of 30 s."""
TELL_S = 6.0
"""What begins so long before the end is told to the center by then."""
CLOSE_LIMIT_S = 50.0
"""What is over for so long has been closed."""
_WAITS: Final = re.compile(r"^(linger_s|within_s) = \d+$", re.MULTILINE)
LINGERS_S = 15

Order = Callable[[Mapping[str, Any]], Awaitable[None]]
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Expected:
    """One alert that the center must get.

    Attributes:
        kind / source: of its incident: what and who.
        over_at: when its cause was over; None = it still stands.
    """

    kind: str
    source: str
    over_at: datetime | None = None


@dataclass(slots=True)
class AlertsVerdict:
    """How the alerts fared.

    Attributes:
        expected / delivered: alerts that had to come; incidents that the center was told of.
        missed: expected ones of which nothing, or more than one incident, was told.
        invented: incidents that the center was told of without a cause in the script.
        mislinked: messages whose grid cells are not those of brute force.
        acknowledged / closed: incidents with a receipt taken; told closed and closed by the center.
    """

    expected: int
    delivered: int
    duplicated: int
    redelivered: int
    missed: int = 0
    invented: int = 0
    mislinked: int = 0
    acknowledged: int = 0
    closed: int = 0
    offences: list[Offence] = field(default_factory=list, repr=False)

    @property
    def ok(self) -> bool:
        """Nothing is wrong."""
        wrong = (self.duplicated, self.missed, self.invented, self.mislinked)
        return not any(wrong) and self.acknowledged == self.delivered and not self.offences


class AlertShow:
    """Everything about alerts that a demo starts.

    Args:
        folder: for secrets, logs and rules; kept with the demo's own things.
        scale: of all durations.
        say: tells people.
    """

    def __init__(self, folder: Path, scale: float, say: Say) -> None:
        self._folder = folder
        self._scale = scale
        self._say = say
        self._stack = AsyncExitStack()
        self._secret = "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()
        self._broker: Broker | None = None
        self._length_s = 0.0
        self.center: VirtualCenter | None = None
        self.expected: list[Expected] = []

    async def start(self, url: str) -> Mapping[str, Mapping[str, Any]]:
        """Start center and broker; the sections of settings that the gateway needs for them.

        Args:
            url: of the gateway to come.
        """
        self._folder.mkdir(exist_ok=True)
        secret_file = self._private("center.secret", self._secret)
        self.center = await self._stack.enter_async_context(
            VirtualCenter(
                (self._secret,), gateway=Gateway(url), log=self._folder / "center.jsonl", step_s=0.2
            )
        )
        sections: dict[str, Mapping[str, Any]] = {
            "center": {
                "url": self.center.url,
                "secret_file": str(secret_file),
                "heartbeat_s": max(5.0, 20.0 * self._scale),
            },
            "events": {"rules": str(self._rules())},
        }
        if find_mosquitto() is not None:
            broker_folder = self._folder / "broker"
            broker_folder.mkdir(exist_ok=True)
            self._broker = Broker(broker_folder)
            await self._broker.start()
            self._stack.push_async_callback(self._broker.stop)
            port = self._broker.port
            sections["mqtt"] = {"host": HOST, "port": port, "topics": [f"{ROOT}/#"]}
        else:
            self._private(f"{ROOT}.secret", self._secret)
            sections["intake"] = {"secrets_dir": str(self._folder)}
        return sections

    def _private(self, name: str, text: str) -> Path:
        path = self._folder / name
        path.touch(mode=0o600)
        path.write_text(text, encoding="utf-8")
        return path

    def _rules(self) -> Path:
        """The shipped rules, but that what is over lingers for seconds: a demo is short."""
        text = (data_dir("config") / "alert_rules.toml").read_text(encoding="utf-8")
        path = self._folder / "alert_rules.toml"
        lingers = max(5, round(LINGERS_S * self._scale))
        path.write_text(_WAITS.sub(rf"\1 = {lingers}", text), encoding="utf-8")
        return path

    async def run(
        self,
        url: str,
        sensors: Path,
        spare: Mapping[str, Any] | None,
        order: Order,
        length_s: float,
    ) -> None:
        """Play the signals beside the script; returns when the last one went out.

        Args:
            url: of the gateway.
            sensors: the imported table.
            spare: a device that the script leaves alone: `device` and its first `channel`; None = the
                script takes them all, so nobody tampers with one.
            order: tells the district what to do.
            length_s: of the script; what would come after its end, or too late to be told, does not come.
        """
        smoke = next(s for s in read_sensors(sensors) if s.kind is EventKind.SMOKE)
        started = asyncio.get_running_loop().time()
        self._length_s = length_s
        self.expected = []
        if not self._fits(SMOKE_AT_S):
            return
        if not self._fits(SIGNAL_LOST_AT_S):
            spare = None
        line: Line
        opened = MqttLine(HOST, self._broker.port) if self._broker else HttpLine(url, self._secret)
        async with opened as line:
            publisher = SensorPublisher(line)
            await self._until(started, SMOKE_AT_S)
            await publisher.send(smoke, alarm=True)
            self._say(f"[yellow]Smoke at {smoke.name}[/]  {smoke.name}报警")
            if spare is not None:
                await self._sabotage(started, spare, order)
            if not self._fits(CLEAR_AT_S):
                self.expected.append(Expected("smoke", str(smoke.id)))
                if spare is not None:
                    self.expected.append(Expected("tamper", str(spare["channel"])))
                return
            await self._until(started, CLEAR_AT_S)
            await publisher.send(smoke, alarm=False)
            self.expected.append(Expected("smoke", str(smoke.id), datetime.now().astimezone()))
            self._say("The smoke has cleared  烟感恢复正常")
        if spare is not None:
            for signal in ("signal_loss", "tamper"):
                await order(_signal(spare, signal, active=False))
            over = datetime.now().astimezone()
            self.expected.append(Expected("tamper", str(spare["channel"]), over))
            self._say("The camera is well again  摄像机恢复正常")

    def _fits(self, at_s: float) -> bool:
        return at_s * self._scale + TELL_S <= self._length_s

    async def _sabotage(self, started: float, spare: Mapping[str, Any], order: Order) -> None:
        await self._until(started, TAMPER_AT_S)
        await order(_signal(spare, "tamper", active=True))
        self._say(f"[yellow]Somebody tampers with camera {spare['channel']}[/]  摄像机遭破坏")
        await self._until(started, SIGNAL_LOST_AT_S)
        await order(_signal(spare, "signal_loss", active=True))
        self._say("[yellow]... and its picture is lost[/]  视频信号丢失")

    async def _until(self, started: float, at_s: float) -> None:
        rest_s = started + at_s * self._scale - asyncio.get_running_loop().time()
        await asyncio.sleep(max(0.0, rest_s))

    def verdict(
        self, truth: Sequence[TruthRow], cells: Cells, ended: datetime, due_s: float
    ) -> AlertsVerdict:
        """Hold what the center got against the script.

        Args:
            truth: the district's log.
            cells: all grid cells.
            ended: of the script.
            due_s: a cut of at least this length, begun so long before the end, must be told.
        """
        center = self.center
        if center is None:
            raise RuntimeError("the center was not started")
        expected = list(self.expected)
        brief: list[Expected] = []
        for cut, due in _cuts(truth, ended, due_s):
            (expected if due else brief).append(cut)
        counts = center.report()
        found = AlertsVerdict(
            expected=len(expected),
            delivered=int(counts["opened"]),
            duplicated=int(counts["duplicated"]),
            redelivered=int(counts["redelivered"]),
            acknowledged=int(counts["acknowledged"].get("received", 0)),
            closed=int(counts["acknowledged"].get("closed", 0)),
        )
        newest = {event["data"]["key"]: event["data"] for event in center.messages}
        self._match(found, expected, newest, ended)
        self._strangers(found, [*expected, *brief], newest)
        for event in center.messages:
            problem = cells.problem(event["data"])
            if problem:
                found.mislinked += 1
                found.offences.append(_offence("mislinked", event["data"], problem))
        for name in ("disordered", "forged"):
            if counts[name]:
                found.offences.append(Offence("center", "", "alert", f"{counts[name]} {name}"))
        return found

    def _match(
        self,
        found: AlertsVerdict,
        expected: Sequence[Expected],
        newest: Mapping[str, Mapping[str, Any]],
        ended: datetime,
    ) -> None:
        for one in expected:
            told = [data for data in newest.values() if _origin(data) == (one.kind, one.source)]
            if len(told) != 1:
                found.missed += 1
                reason = f"{len(told)} incidents were told of"
                found.offences.append(Offence("missed", one.source, one.kind, reason))
                continue
            limit_s = CLOSE_LIMIT_S * max(self._scale, 0.5)
            over = one.over_at is not None and (ended - one.over_at).total_seconds() > limit_s
            if over and told[0]["phase"] != "close":
                found.offences.append(_offence("open", told[0], "it was over, and never closed"))

    def _strangers(
        self,
        found: AlertsVerdict,
        scripted: Sequence[Expected],
        newest: Mapping[str, Mapping[str, Any]],
    ) -> None:
        """What was told without a cause; a cut too short to be due is one."""
        known = {(one.kind, one.source) for one in scripted}
        for data in newest.values():
            if _origin(data) not in known:
                found.invented += 1
                found.offences.append(_offence("invented", data, "nothing in the script"))

    async def close(self) -> None:
        """End what was started."""
        await self._stack.aclose()


def _cuts(
    truth: Sequence[TruthRow], ended: datetime, due_s: float
) -> Iterator[tuple[Expected, bool]]:
    """The uplink and the switch, and whether the center had to be told: shorter cuts may be noticed."""
    for row in truth:
        if row.kind in {"uplink", "switch"} and row.node:
            began = datetime.fromisoformat(row.began)
            over = None if row.ended is None else datetime.fromisoformat(row.ended)
            lasted = ((over or ended) - began).total_seconds()
            due = lasted >= due_s and (ended - began).total_seconds() >= due_s
            yield Expected("uplink_lost", row.node, over), due


def _origin(data: Mapping[str, Any]) -> tuple[str, str]:
    return str(data["kind"]), str(data["source"]["id"])


def _offence(what: str, data: Mapping[str, Any], reason: str) -> Offence:
    return Offence(what, str(data["source"]["id"]), str(data["kind"]), reason, str(data["key"]))


def _signal(spare: Mapping[str, Any], name: str, *, active: bool) -> Mapping[str, Any]:
    """An order to the district."""
    return {"do": "signal", "devices": [spare["device"]], "signal": name, "active": active}
