"""The demo's way from a signal to the center and back: smoke, an opened cabinet, a covered camera, an uplink.

A virtual center receives what the gateway sends and answers; a private broker carries the sensors' messages
where mosquitto is installed, the signed HTTP intake where it is not. What the center must have been told is
known from the script alone; who is linked is checked against every cell and camera (`links.py`).
"""

import asyncio
import base64
import re
import secrets
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np

from adapters.virtual.broker import HOST, Broker, find_mosquitto
from adapters.virtual.center import VirtualCenter
from adapters.virtual.center_answers import Gateway
from adapters.virtual.compare import Offence
from adapters.virtual.links import Cells, Views, told_otherwise
from adapters.virtual.model import TruthRow
from adapters.virtual.plane import to_metres
from adapters.virtual.sensors import ROOT, HttpLine, Line, MqttLine, SensorPublisher, read_sensors
from adapters.virtual.sight import Sight, area_density
from gateway.domain.event import EventKind, Sensor, SensorId
from gateway.resources import data_dir

SMOKE_AT_S, TAMPER_AT_S, SIGNAL_LOST_AT_S, COVERED_AT_S, CLEAR_AT_S = 12.0, 18.0, 26.0, 32.0, 75.0
"""Seconds of the script at a cadence of 30 s."""
TELL_S = 6.0
"""What begins so long before the end is told to the center by then."""
CLOSE_LIMIT_S = 50.0
"""What is over for so long has been closed."""
_WAITS: Final = re.compile(r"^(linger_s|within_s) = \d+$", re.MULTILINE)
LINGERS_S = 15

Order = Callable[[Mapping[str, Any]], Awaitable[None]]
Say = Callable[[str], None]
Spare = Mapping[str, Mapping[str, str]]
"""`cabinet` with `device`, `channel` and `sensor`; `camera` with `device` and `channel`."""


@dataclass(frozen=True, slots=True)
class Expected:
    """One alert that the center must get.

    Attributes:
        kind / source: of its incident: what and who.
        over_at: when its cause was over; None = it still stands.
        followed_by: what else belongs to the same incident, as its reasons say it.
    """

    kind: str
    source: str
    over_at: datetime | None = None
    followed_by: str = ""


@dataclass(frozen=True, slots=True)
class Told:
    """What the gateway says of its messages to the center.

    Attributes:
        messages: rows of `/api/v1/alerts?recipient=center`.
        steps: what the center said back, by incident key.
    """

    messages: Sequence[Mapping[str, Any]]
    steps: Mapping[str, Sequence[str]]


@dataclass(slots=True)
class AlertsVerdict:
    """How the alerts fared.

    Attributes:
        expected / delivered: alerts that had to come; incidents that the center was told of.
        missed: expected ones of which nothing, or more than one incident, was told.
        invented: incidents that the center was told of without a cause in the script.
        mislinked: messages whose grid cells, posts or cameras are not those of brute force.
        disagreeing: messages of which the gateway's rows and the center's log tell different things.
        acknowledged / closed: incidents with a receipt taken; told closed and closed by the center.
    """

    expected: int
    delivered: int
    duplicated: int
    redelivered: int
    missed: int = 0
    invented: int = 0
    mislinked: int = 0
    disagreeing: int = 0
    acknowledged: int = 0
    closed: int = 0
    offences: list[Offence] = field(default_factory=list, repr=False)

    @property
    def ok(self) -> bool:
        """Nothing is wrong."""
        wrong = (
            self.duplicated, self.missed, self.invented, self.mislinked, self.disagreeing,
        )  # fmt: skip
        return not any(wrong) and self.acknowledged == self.delivered and not self.offences


class _Play:
    """What happens beside the script, and what the center must hear of it.

    Args:
        publisher: speaks for the sensors.
        order: tells the district what to do.
        say: tells people.
    """

    def __init__(self, publisher: SensorPublisher, order: Order, say: Say) -> None:
        self._publisher = publisher
        self._order = order
        self._say = say
        self._alarmed: list[tuple[Sensor, Expected]] = []
        self._signalled: list[tuple[Mapping[str, str], str]] = []
        self._covered: list[Expected] = []

    @property
    def expected(self) -> list[Expected]:
        """One alert each."""
        return [*(one for _, one in self._alarmed), *self._covered]

    async def begin_smoke(self, smoke: Sensor) -> None:
        await self._publisher.send(smoke, alarm=True)
        self._alarmed.append((smoke, Expected("smoke", str(smoke.id))))
        self._say(f"[yellow]Smoke at {smoke.name}[/]  {smoke.name}报警")

    async def open_cabinet(self, listed: Mapping[SensorId, Sensor], at: Mapping[str, str]) -> None:
        cabinet = listed[SensorId(at["sensor"])]
        await self._publisher.send(cabinet, alarm=True)
        one = Expected("tamper", str(cabinet.id), followed_by="followed by signal_loss")
        self._alarmed.append((cabinet, one))
        self._say(f"[yellow]Somebody opens {cabinet.name}[/]  {cabinet.name}被打开")

    async def lose_picture(self, at: Mapping[str, str]) -> None:
        await self._order(_signal(at, "signal_loss", active=True))
        self._signalled.append((at, "signal_loss"))
        self._say("[yellow]... and the picture of the camera beside it is lost[/]  视频信号丢失")

    async def cover(self, at: Mapping[str, str]) -> None:
        await self._order(_signal(at, "tamper", active=True))
        self._signalled.append((at, "tamper"))
        self._covered.append(Expected("tamper", at["channel"]))
        self._say(f"[yellow]Camera {at['channel']} is covered[/]  摄像机被遮挡")

    async def end(self) -> None:
        """All is well again."""
        for at, signal in self._signalled:
            await self._order(_signal(at, signal, active=False))
        for sensor, _ in self._alarmed:
            await self._publisher.send(sensor, alarm=False)
        over = datetime.now().astimezone()
        self._alarmed = [(s, replace(one, over_at=over)) for s, one in self._alarmed]
        self._covered = [replace(one, over_at=over) for one in self._covered]
        self._say("Smoke, cabinet and cameras are well again  烟感、箱门、摄像机恢复正常")


def _watched_smoke(sensors: Iterable[Sensor], sight: Sight) -> Sensor:
    """A smoke sensor that a camera sees for sure, where there is one."""
    found = [sensor for sensor in sensors if sensor.kind is EventKind.SMOKE]
    for sensor in found:
        ((x, y),) = to_metres(np.array([(sensor.longitude, sensor.latitude)])).tolist()
        if sight.of_point((x, y), area_density()).surely:
            return sensor
    return found[0]


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
        spare: Spare | None,
        order: Order,
        length_s: float,
        sight: Awaitable[Sight],
    ) -> None:
        """Play the signals beside the script; returns when the last one went out.

        Args:
            url: of the gateway.
            sensors: the imported table.
            spare: devices that the script leaves alone: one at whose pole a cabinet stands, and another;
                None = the script takes them all, so nobody tampers with one.
            order: tells the district what to do.
            length_s: of the script; what would come after its end, or too late to be told, does not come.
            sight: who looks where.
        """
        started = asyncio.get_running_loop().time()
        self._length_s = length_s
        self.expected = []
        if not self._fits(SMOKE_AT_S):
            return
        listed = {sensor.id: sensor for sensor in read_sensors(sensors)}
        smoke = await asyncio.to_thread(_watched_smoke, listed.values(), await sight)
        line: Line
        opened = MqttLine(HOST, self._broker.port) if self._broker else HttpLine(url, self._secret)
        async with opened as line:
            show = _Play(SensorPublisher(line), order, self._say)
            await self._until(started, SMOKE_AT_S)
            await show.begin_smoke(smoke)
            if spare is not None and self._fits(SIGNAL_LOST_AT_S):
                await self._until(started, TAMPER_AT_S)
                await show.open_cabinet(listed, spare["cabinet"])
                await self._until(started, SIGNAL_LOST_AT_S)
                await show.lose_picture(spare["cabinet"])
            if spare is not None and self._fits(COVERED_AT_S):
                await self._until(started, COVERED_AT_S)
                await show.cover(spare["camera"])
            if self._fits(CLEAR_AT_S):
                await self._until(started, CLEAR_AT_S)
                await show.end()
            self.expected = show.expected

    def _fits(self, at_s: float) -> bool:
        return at_s * self._scale + TELL_S <= self._length_s

    async def _until(self, started: float, at_s: float) -> None:
        rest_s = started + at_s * self._scale - asyncio.get_running_loop().time()
        await asyncio.sleep(max(0.0, rest_s))

    def verdict(
        self,
        truth: Sequence[TruthRow],
        cells: Cells,
        views: Views,
        told: Told,
        ended: datetime,
        due_s: float,
    ) -> AlertsVerdict:
        """Hold what the center got against the script and against what the gateway says it told.

        Args:
            truth: the district's log.
            cells: all grid cells.
            views: who sees what.
            told: the gateway's side.
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
        self._match(found, expected, newest, told, ended)
        self._strangers(found, [*expected, *brief], newest)
        for event in center.messages:
            problem = cells.problem(event["data"]) or views.problem(event)
            if problem:
                found.mislinked += 1
                found.offences.append(_offence("mislinked", event["data"], problem))
        for key, reason in told_otherwise(center.messages, told.messages):
            found.disagreeing += 1
            found.offences.append(Offence("disagreeing", "", "alert", reason, key))
        for name in ("disordered", "forged"):
            if counts[name]:
                found.offences.append(Offence("center", "", "alert", f"{counts[name]} {name}"))
        return found

    def _match(
        self,
        found: AlertsVerdict,
        expected: Sequence[Expected],
        newest: Mapping[str, Mapping[str, Any]],
        told: Told,
        ended: datetime,
    ) -> None:
        for one in expected:
            got = [data for data in newest.values() if _origin(data) == (one.kind, one.source)]
            if len(got) != 1:
                found.missed += 1
                reason = f"{len(got)} incidents were told of"
                found.offences.append(Offence("missed", one.source, one.kind, reason))
                continue
            if one.followed_by not in "; ".join(got[0].get("reasons", ())):
                found.offences.append(_offence("cause", got[0], f"not told: {one.followed_by}"))
            limit_s = CLOSE_LIMIT_S * max(self._scale, 0.5)
            if one.over_at is None or (ended - one.over_at).total_seconds() <= limit_s:
                continue
            if got[0]["phase"] != "close":
                found.offences.append(_offence("open", got[0], "it was over, and never closed"))
            elif "closed" not in told.steps.get(got[0]["key"], ()):
                reason = "the center closed it, and the gateway does not know"
                found.offences.append(_offence("open", got[0], reason))

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


def _signal(at: Mapping[str, str], name: str, *, active: bool) -> Mapping[str, Any]:
    """An order to the district."""
    return {"do": "signal", "devices": [at["device"]], "signal": name, "active": active}
