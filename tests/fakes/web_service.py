"""The web side on a real port, over a projection and the memory store, without poller and judge."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
from fakes.leap_clock import LeapClock

from adapters.memory import MemoryStore
from gateway.domain.camera import (
    Camera,
    ChannelId,
    Device,
    DeviceId,
    Division,
    DivisionCode,
    GridCell,
    GridId,
    Node,
    NodeId,
    NodeKind,
)
from gateway.domain.ledger import Changes, ChannelRecord, State
from gateway.domain.observation import (
    Answer,
    FaultCause,
    Finding,
    Observation,
    Step,
    TraceStep,
    Verdict,
)
from gateway.errors import StoreUnavailable
from gateway.feed import Feed
from gateway.inventory import Inventory
from gateway.ports import Role, Secret
from gateway.projection import Projection
from gateway.rulebook import load as load_rules
from gateway.runtime.center import CenterLoop
from gateway.runtime.desk import Desk
from gateway.settings import IntakeSettings, Settings, WebSettings
from gateway.web.app import build, serve
from gateway.web.context import CoverageDesk, IntakeDesk, PlanningDesk, TakeoverDesk, WebContext
from gateway.web.stream import StreamLimits
from gateway.web.tokens import mint


def channel(number: int) -> ChannelId:
    """A 20-digit channel id."""
    return ChannelId(f"61080210001320{number:06d}")


def district(count: int, townships: int = 3) -> Inventory:
    """`count` cameras spread over some townships of two villages each; every 50th decommissioned."""
    cameras: list[Camera] = []
    devices: list[Device] = []
    for n in range(count):
        host = f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}"
        device = Device(DeviceId(f"{host}:80"), host, 80, NodeId(f"access-{n % townships}"))
        devices.append(device)
        township = f"6108021{n % townships:02d}"
        cameras.append(
            Camera(
                channel(n),
                device.id,
                f"{'东西南北'[n % 4]}街路口{n}号",
                township=DivisionCode(township),
                village=DivisionCode(f"{township}20{n % 2}"),
                grid=GridId(f"{township}g{n % 4}"),
                manufacturer=("海康", "大华", "")[n % 3],
                longitude=109.7 + n / 1e6,
                latitude=38.2,
                in_use=n % 50 != 49,
                contact="0912-0000000",
                archive={"SecurityLevelCode": "A", "登录密码": "never-shown"},
            )
        )
    divisions = [Division(DivisionCode("610802"), "榆阳区", None)]
    grids: list[GridCell] = []
    for t in range(townships):
        code = DivisionCode(f"6108021{t:02d}")
        divisions.append(Division(code, f"第{t}镇", DivisionCode("610802")))
        divisions += [
            Division(DivisionCode(f"{code}20{v}"), f"第{t}镇{v}村", code) for v in range(2)
        ]
        grids += [
            GridCell(GridId(f"{code}g{g}"), f"网格{g}", DivisionCode(f"{code}200"))
            for g in range(4)
        ]
    nodes = [Node(NodeId("core"), NodeKind.CORE, "核心", None)]
    nodes += [
        Node(NodeId(f"access-{t}"), NodeKind.ACCESS, f"接入{t}", NodeId("core"), "运维甲", "电信")
        for t in range(townships)
    ]
    return Inventory.of(cameras, devices, nodes, divisions, grids)


@dataclass
class WebService:
    """A running web side, and what stands behind it.

    Attributes:
        tokens: the secret of a token of each role.
        reasons: what `/readyz` reports.
        progress_age_s: what `/livez` reports.
        trouble: raised by `check_now` and `explain` when set.
    """

    projection: Projection
    store: "BreakableStore"
    clock: LeapClock
    settings: Settings
    tokens: dict[Role, str] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)
    progress_age_s: float = 0.5
    trouble: Exception | None = None
    checked: list[ChannelId] = field(default_factory=list)
    url: str = ""
    coverage: CoverageDesk | None = None
    planning: PlanningDesk | None = None
    intake: IntakeDesk | None = None
    desk: Desk | None = None
    center_secrets: tuple[Secret, ...] = ()
    takeover: TakeoverDesk | None = None
    alerts_committed: list[Callable[[], None]] = field(default_factory=list)
    session: aiohttp.ClientSession = field(init=False)

    def now(self) -> datetime:
        """The service's UTC time."""
        return self.clock.utc(self.clock.now())

    def headers(self, role: Role = Role.ADMIN) -> dict[str, str]:
        """The bearer header of a role."""
        return {"Authorization": f"Bearer {self.tokens[role]}"}

    async def call(
        self, method: str, path: str, role: Role | None = Role.ADMIN, **options: Any
    ) -> tuple[int, Any, aiohttp.ClientResponse]:
        """Status, body (JSON where it is JSON, else text), response."""
        headers = {**(self.headers(role) if role else {}), **options.pop("headers", {})}
        async with self.session.request(method, self.url + path, headers=headers, **options) as r:
            body: Any = await (r.json(content_type=None) if "json" in r.content_type else r.text())
            return r.status, body, r

    async def get(self, path: str, role: Role | None = Role.ADMIN, **options: Any) -> Any:
        """The body of a GET that must succeed."""
        status, body, _ = await self.call("GET", path, role, **options)
        assert status == 200, body
        return body

    def answer(self, *, good: bool = True) -> Answer:
        """An answer that began just now."""
        started = self.clock.now()
        found = () if good else (Finding(FaultCause.CLOCK, "90 s behind"),)
        return Answer(
            Step.REACH,
            started,
            type(started)(started + 0.02),
            Verdict.ANSWERED,
            tested=frozenset({FaultCause.CLOCK}),
            found=found,
            chain=(TraceStep("tcp", True, "", 1.5), TraceStep("clock", good, "offset", 0.1)),
            rtt_s=0.0125,
            clock_offset_s=0.4 if good else -90.0,
        )

    def observe(self, number: int, *, good: bool = True) -> None:
        """Let the projection see an answer of a channel."""
        view = self.projection.channels[channel(number)]
        seen = Observation(view.camera.id, view.device.id, self.answer(good=good))
        self.projection.observe(seen)

    async def change(self, **rows: Any) -> None:
        """Write rows to the store and to the projection, as the recorder and the judge do."""
        changes: Changes[datetime] = Changes(sequence=1, **rows)
        await self.store.commit(changes)
        self.projection.apply(changes, self.now())

    async def set_state(self, state: State, *numbers: int) -> None:
        """Change the state of some channels."""
        now = self.now()
        records = tuple(ChannelRecord(channel(n), state, now, now, now) for n in numbers)
        await self.change(channels=records)

    async def _check(self, channel_id: ChannelId) -> Answer:
        if self.trouble:
            raise self.trouble
        self.checked.append(channel_id)
        return self.answer()

    async def _explain(self, channel_id: ChannelId) -> Sequence[Answer]:
        if self.trouble:
            raise self.trouble
        self.checked.append(channel_id)
        return [self.answer(), self.answer(good=False)]

    def context(self) -> WebContext:
        """What the routes are given."""
        return WebContext(
            settings=self.settings,
            clock=self.clock,
            store=self.store,
            projection=self.projection,
            check_now=self._check,
            explain=self._explain,
            readiness=lambda: self.reasons,
            progress_age_s=lambda: self.progress_age_s,
            stats=lambda: {"checks": len(self.checked)},
            coverage=self.coverage,
            planning=self.planning,
            intake=self.intake,
            desk=self.desk,
            center=None if self.desk is None else CenterLoop(self.store, self.clock, self.desk),
            center_secrets=self.center_secrets,
            takeover=self.takeover,
            alerts_committed=self.alerts_committed,
        )


class BreakableStore(MemoryStore):
    """The memory store, with a switch: while `is_away`, every call raises `StoreUnavailable`."""

    is_away = False

    def check_open(self) -> None:
        """As in the store, and away while the switch says so."""
        if self.is_away:
            raise StoreUnavailable("store: switched off by the test")
        super().check_open()


@asynccontextmanager
async def running(
    inventory: Inventory,
    *,
    limits: StreamLimits | None = None,
    console_dir: Path | None = None,
    coverage: Callable[[WebService], CoverageDesk] | None = None,
    planning: Callable[[WebService], PlanningDesk] | None = None,
    center_secrets: tuple[Secret, ...] = (),
    intake: IntakeDesk | None = None,
    takeover: TakeoverDesk | None = None,
    rate: int = 600,
    **web: Any,
) -> AsyncIterator[WebService]:
    """The web side on a free port of the loopback address, with a token a role."""
    clock = LeapClock()
    store = BreakableStore()
    await store.open()
    projection = Projection(inventory, clock.utc(clock.now()), Feed("run1"))
    settings = Settings(web=WebSettings(**web), intake=IntakeSettings(rate=rate))
    service = WebService(projection, store, clock, settings)
    service.center_secrets = center_secrets
    service.desk = Desk(store, clock, load_rules())
    service.coverage = None if coverage is None else coverage(service)
    service.intake = intake
    service.takeover = takeover
    service.planning = None if planning is None else planning(service)
    for role in Role:
        secret, row = mint(f"{role} token", role, service.now(), service.now() + timedelta(days=1))
        await store.save_token(row)
        service.tokens[role] = secret
    projection.apply(Changes(sequence=0), service.now())
    app = build(service.context(), limits=limits, console_dir=console_dir)
    runner, port = await serve(app, "127.0.0.1", 0)
    service.url = f"http://127.0.0.1:{port}"
    writing = asyncio.create_task(service.desk.run())
    async with aiohttp.ClientSession() as session:
        service.session = session
        try:
            yield service
        finally:
            await runner.cleanup()
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
