"""The real web application over a virtual district in a known state, in a thread of its own.

Nothing is polled: the ledger is filled once, and tests push further changes the way the judge does,
through the store and the projection. One uplink is cut, dozens of cameras are down by themselves,
some are degraded, unknown, in maintenance or decommissioned.
"""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from random import Random
from types import TracebackType
from typing import Any, Self, TypeVar

from aiohttp import web
from fakes.console_answers import FAILED_CHAINS, FAULTS, degraded, failed, good
from fakes.takeover import TakeoverDesk

from adapters.memory import MemoryStore
from adapters.virtual.fleet import build_district
from adapters.virtual.listeners import HeldPort
from adapters.virtual.model import VirtualDistrict
from gateway.domain.camera import Camera, ChannelId, NodeId, NodeKind
from gateway.domain.ledger import (
    Changes,
    ChannelRecord,
    Ending,
    Fault,
    GapReason,
    GatewayGap,
    Incident,
    Outage,
    State,
)
from gateway.domain.observation import Answer, Instant, Observation, OutageCause
from gateway.feed import Feed
from gateway.inventory import Inventory
from gateway.ports import IncidentNote, NoteKind, Role
from gateway.projection import Projection
from gateway.rulebook import load
from gateway.runtime.clock import SystemClock
from gateway.runtime.desk import Desk
from gateway.settings import Settings
from gateway.web.app import build, serve
from gateway.web.context import WebContext
from gateway.web.stream import StreamLimits
from gateway.web.tokens import mint

T = TypeVar("T")

CUT_SIZE = 143
"""The branch that is cut: the aggregation node whose channels come nearest to this number."""
SHARES = {
    State.DEGRADED: 64,
    State.UNKNOWN: 31,
    State.MAINTENANCE: 26,
    State.DECOMMISSIONED: 14,
}
SINGLES = 42


def inventory_of(district: VirtualDistrict, out_of_use: int) -> Inventory:
    """The archive of a virtual district; the last `out_of_use` of every 800th are decommissioned."""
    channels = [camera for device in district.devices for camera in device.channels]
    step = max(1, len(channels) // max(1, out_of_use))
    retired = {camera.id for camera in channels[step // 2 :: step][:out_of_use]}
    return Inventory.of(
        (replace(c, in_use=c.id not in retired) for c in channels),
        (virtual.device for virtual in district.devices),
        district.nodes,
        district.divisions,
        district.grids,
    )


@dataclass
class Scene:
    """What stands in the ledger, for the tests to compare with."""

    cut: Incident[datetime]
    cut_name: str
    cut_channels: tuple[ChannelId, ...]
    singles: tuple[ChannelId, ...]
    flapping: ChannelId
    degraded: tuple[ChannelId, ...]
    counts: Counter[State] = field(default_factory=Counter)


class ConsoleGateway:
    """Serves the console and its API on a free loopback port; a context manager.

    Attributes:
        url: where the console is.
        token: the secret of an operator's token.
        answers: what `check now` finds, by channel; any other device answers well.
    """

    def __init__(self, seed: int = 7, cameras: int = 12_328, as_of_s: float = 1.0) -> None:
        self.clock = SystemClock()
        self.district = build_district(
            seed, cameras, port=8000, tls_port=8001, killable_port=8002, canary_port=8003
        )
        self.inventory = inventory_of(self.district, SHARES[State.DECOMMISSIONED])
        self.rng = Random(seed)  # noqa: S311 - a scene, not a secret
        self.store = MemoryStore()
        self.answers: dict[ChannelId, Answer] = {}
        self.held = HeldPort()  # also while it is stopped
        self.url = f"http://127.0.0.1:{self.held.number}/"
        self._as_of_s = as_of_s
        self._sequence = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="console-gateway")
        self._runner: web.AppRunner | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        self.run(self._start())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.run(self.stop())
        self.run(_rest())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something on the gateway's loop and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=30)

    def now(self) -> datetime:
        """The gateway's UTC."""
        return self.clock.utc(self.clock.now())

    async def _start(self) -> None:
        await self.store.open()
        now = self.now()
        self.projection = Projection(self.inventory, now - timedelta(hours=9), Feed("console"))
        self.scene = await self._fill(now)
        self.token, row = mint("王建军", Role.OPERATOR, now, None)
        await self.store.save_token(row)
        self.viewer_token, row = mint("view", Role.VIEWER, now, None)
        await self.store.save_token(row)
        self.desk = Desk(self.store, self.clock, load())
        self.takeover = TakeoverDesk()
        self._context = WebContext(
            settings=Settings(),
            clock=self.clock,
            store=self.store,
            projection=self.projection,
            check_now=self._check,
            explain=self._explain,
            readiness=tuple,
            progress_age_s=lambda: 0.0,
            desk=self.desk,
            takeover=self.takeover,
            **await self._desks(),
        )
        await self.listen()

    async def _desks(self) -> dict[str, Any]:
        """Who else answers questions: none here."""
        return {}

    async def listen(self) -> None:
        """Serve, again after `stop`."""
        app = build(self._context, limits=StreamLimits(as_of_s=self._as_of_s, pause_s=0.05))
        self._runner, _ = await serve(app, "127.0.0.1", self.held.number)

    async def stop(self) -> None:
        """Stop serving; the ledger stays."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def push(self, **rows: Any) -> Changes[datetime]:
        """Commit and publish changes, as the judge and the recorder do."""
        self._sequence += 1
        changes: Changes[datetime] = Changes(self._sequence, **rows)
        await self.store.commit(changes)
        self.projection.apply(changes, self.now())
        return changes

    async def set_state(self, channels: Iterable[ChannelId], state: State) -> None:
        """Give some channels a state, from now on."""
        now = self.now()
        records = tuple(ChannelRecord(one, state, now, now, now) for one in channels)
        await self.push(channels=records)

    async def load(self, inventory: Inventory) -> None:
        """Take another archive, as after an import."""
        self.projection.load(inventory, self.now())

    async def cut_gap(self, *, ended: bool = False) -> None:
        """The gateway is blind, or sees again."""
        now = self.now()
        started = now - timedelta(seconds=20)
        gap = GatewayGap("gap-1", GapReason.BLIND, started, now if ended else None)
        await self.push(gaps=(gap,))

    # --- what stands in the ledger

    async def _fill(self, now: datetime) -> Scene:
        used = [camera for camera in self.inventory.cameras.values() if camera.in_use]
        node, members = self._branch(used)
        free = [camera for camera in used if camera.id not in {m.id for m in members}]
        self.rng.shuffle(free)
        take = _taker(free)
        singles, degraded = take(SINGLES), take(SHARES[State.DEGRADED])
        unknown, maintenance = take(SHARES[State.UNKNOWN]), take(SHARES[State.MAINTENANCE])
        name = self.inventory.nodes[node].name
        outages: list[Outage[datetime]] = []
        cut = self._cut(now, node, members, outages)
        incidents = [cut, *self._singles(now, singles, outages)]
        faults = [self._fault(now, camera, n) for n, camera in enumerate(degraded)]
        states: dict[ChannelId, tuple[State, datetime]] = {
            outage.channel: (State.OFFLINE, outage.confirmed_at)
            for outage in outages
            if outage.ended_at is None
        }
        states |= {fault.channel: (State.DEGRADED, fault.confirmed_at) for fault in faults}
        states |= {c.id: (State.UNKNOWN, now - timedelta(minutes=3)) for c in unknown}
        states |= {c.id: (State.MAINTENANCE, now - timedelta(hours=2)) for c in maintenance}
        began = now - timedelta(hours=9)
        records = [
            ChannelRecord(c.id, *states.get(c.id, (State.ONLINE, began)), began, began)
            for c in used
        ]
        await self.push(
            outages=tuple(outages),
            incidents=tuple(incidents),
            faults=tuple(faults),
            channels=tuple(records),
        )
        self.projection.first_round_at = began
        self._observe(outages, faults, used)
        await self._notes(now, incidents)
        return Scene(
            cut,
            name,
            tuple(m.id for m in members),
            tuple(c.id for c in singles),
            singles[0].id,
            tuple(c.id for c in degraded),
            self.projection.total(),
        )

    def _branch(self, used: Sequence[Camera]) -> tuple[NodeId, list[Camera]]:
        below: dict[NodeId, list[Camera]] = {}
        for camera in used:
            for node in self.inventory.path(self.inventory.devices[camera.device]):
                if node.kind is NodeKind.AGGREGATION:
                    below.setdefault(node.id, []).append(camera)
        best = min(below, key=lambda node: (abs(len(below[node]) - CUT_SIZE), node))
        return best, below[best][:CUT_SIZE]

    def _cut(
        self,
        now: datetime,
        node: NodeId,
        members: Sequence[Camera],
        outages: list[Outage[datetime]],
    ) -> Incident[datetime]:
        began = now - timedelta(minutes=12, seconds=34)
        for camera in members:
            failed = began + timedelta(seconds=self.rng.uniform(0, 28))
            outages.append(self._outage(camera, failed, OutageCause.UPLINK, "inc-cut", now))
        return Incident(
            "inc-cut",
            node,
            OutageCause.UPLINK,
            began - timedelta(seconds=2),
            began,
            began + timedelta(seconds=31),
            children=len(members),
            open_children=len(members),
        )

    def _singles(
        self, now: datetime, cameras: Sequence[Camera], outages: list[Outage[datetime]]
    ) -> Iterable[Incident[datetime]]:
        causes = [OutageCause.REFUSED, OutageCause.TIMEOUT, OutageCause.UNREACHABLE]
        for n, camera in enumerate(cameras):
            failed = now - timedelta(minutes=0.7 + 2.3 * n * n / 10)
            key = f"inc-{n:03d}"
            open_row = self._outage(camera, failed, causes[n % 3], key, now)
            if n == 0:
                open_row = replace(open_row, flapping=True)
                outages.extend(self._past(camera, failed, now))
            outages.append(open_row)
            seen, at = open_row.last_seen_at, open_row.confirmed_at
            yield Incident(key, camera.id, open_row.cause, seen, failed, at)

    def _past(self, camera: Camera, before: datetime, now: datetime) -> Iterable[Outage[datetime]]:
        for n in range(1, 6):
            failed = before - timedelta(hours=17.3 * n)
            lasted = timedelta(minutes=3.5 * n, seconds=11)
            row = self._outage(camera, failed, OutageCause.TIMEOUT, None, now, key=f"past{n}")
            yield replace(
                row,
                last_failed_at=failed + lasted - timedelta(seconds=30),
                ended_at=failed + lasted,
                bad_s=lasted.total_seconds(),
                ending=Ending.RECOVERED,
            )

    def _outage(
        self,
        camera: Camera,
        failed: datetime,
        cause: OutageCause,
        incident: str | None,
        now: datetime,
        key: str = "now",
    ) -> Outage[datetime]:
        seen = failed - timedelta(seconds=self.rng.uniform(3, 33))
        return Outage(
            f"out-{camera.id}-{key}",
            camera.id,
            cause,
            seen,
            failed,
            min(now, failed + timedelta(seconds=11)),
            min(now, failed + timedelta(seconds=11)),
            bad_s=(now - failed).total_seconds(),
            reason=tuple(f"{s.name}: {s.detail or 'ok'}" for s in FAILED_CHAINS[cause]),
            incident=incident,
        )

    def _fault(self, now: datetime, camera: Camera, n: int) -> Fault[datetime]:
        cause = list(FAULTS)[n % len(FAULTS)]
        failed = now - timedelta(hours=0.4 * n + 0.2)
        seen = failed - timedelta(seconds=30)
        reason = (FAULTS[cause],)
        key = f"flt-{n:03d}"
        return Fault(key, camera.id, cause, seen, failed, failed, now, reason=reason)

    def _observe(
        self,
        outages: Sequence[Outage[datetime]],
        faults: Sequence[Fault[datetime]],
        used: Sequence[Camera],
    ) -> None:
        ago = Instant(self.clock.now() - 900)
        for camera in used:
            self._saw(camera.id, self.good(ago))
        for outage in outages:
            if outage.ended_at is None:
                self._saw(outage.channel, self.failed(outage.cause))
        for fault in faults:
            self._saw(fault.channel, degraded(self.clock.now(), fault.cause))

    def _saw(self, channel: ChannelId, answer: Answer) -> None:
        device = self.inventory.cameras[channel].device
        self.projection.observe(Observation(channel, device, answer))

    async def _notes(self, now: datetime, incidents: Sequence[Incident[datetime]]) -> None:
        hour = timedelta(hours=1)
        for n, (at, text, until) in enumerate(
            (
                (now - 2 * hour, "已通知运维单位，下午到场", now + 3 * hour),
                (now - 5 * hour, "等待供电恢复", now - hour),
            )
        ):
            note = IncidentNote(
                f"note-{n}", incidents[-1 - n].id, at, "李晓梅", NoteKind.ACKNOWLEDGE, text, until
            )
            await self.store.add_note(note)

    # --- what devices answer

    def good(self, at: Instant | None = None) -> Answer:
        """A check in which every step was good."""
        return good(self.clock.now() if at is None else at, self.rng)

    def failed(self, cause: OutageCause) -> Answer:
        """A check without an answer, just now."""
        return failed(self.clock.now(), cause)

    async def _check(self, channel: ChannelId) -> Answer:
        await asyncio.sleep(0.05)
        answer = self.answers.get(channel) or self.good()
        self._saw(channel, answer)
        return answer

    async def _explain(self, channel: ChannelId) -> Sequence[Answer]:
        return [await self._check(channel)]


def _taker(cameras: list[Camera]) -> Callable[[int], list[Camera]]:
    """Takes so many from the front, each once."""

    def take(count: int) -> list[Camera]:
        taken, cameras[:] = cameras[:count], cameras[count:]
        return taken

    return take


async def _rest() -> None:
    """Let the loop bury what a browser held open until the end: its streams and their sockets."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.sleep(0.05)
