"""The composition root: settings -> adapters -> pipeline -> run until a signal."""

import asyncio
import contextlib
import ctypes
import gc
import os
import pickle
import resource
import secrets
import signal
import socket
from collections.abc import AsyncIterator, Mapping, Sequence

import structlog

from gateway.domain.camera import ChannelId, CheckBy, DeviceId
from gateway.domain.health import Rules
from gateway.domain.observation import Answer, Instant
from gateway.domain.root_cause import RootRules
from gateway.domain.seconds import day_of
from gateway.errors import Refused, StoreUnavailable, UsageError
from gateway.feed import Feed
from gateway.inventory import Inventory
from gateway.ports import Probe, ProbeContext, Store
from gateway.projection import Projection
from gateway.registry import get
from gateway.runtime.center import CenterLoop, make_deliverer, read_secrets
from gateway.runtime.clock import SystemClock
from gateway.runtime.coverage import CoverageWorker
from gateway.runtime.credentials import OpenedCredentials
from gateway.runtime.deliverer import Deliverer
from gateway.runtime.desk_start import join_coverage, start_desk
from gateway.runtime.judge import Judge, JudgeRules
from gateway.runtime.model_source import from_child, from_memory
from gateway.runtime.pipeline import Pipeline, archive_before
from gateway.runtime.planning import Planning, memory_told
from gateway.runtime.pulling import Pulling
from gateway.runtime.restore import read_book
from gateway.runtime.sensing import Sensing
from gateway.runtime.supervisor import Stage, supervise
from gateway.settings import Settings
from gateway.web.app import build, serve
from gateway.web.context import WebContext

log = structlog.get_logger("sightline.app")
STORE_WAIT_S = 30.0
EXPLAIN_S = 15.0
CLAIM_S = 2.0
M_MMAP_THRESHOLD, M_ARENA_MAX = -3, -8
"""Numbers of the options in glibc's malloc.h."""
MODEL_BUILDER = "gateway.commands.build_coverage"
PLAN_BUILDER = "gateway.commands.build_plan"
SPARE_FILES = 1_000
"""Open files for everything that is not a connection to a device."""


def make_store(settings: Settings) -> Store:
    """The store the settings ask for, not yet opened."""
    dsn = settings.store.dsn.get_secret_value()
    if dsn.startswith("memory:"):
        memory: Store = get("sightline.stores", "memory")(dsn)
        return memory
    if not dsn:
        dsn = f"embedded:{settings.store.state_dir}"
    factory = get("sightline.stores", "postgres")
    postgres: Store = factory(dsn, command_timeout_s=settings.store.command_timeout_s)
    return postgres


@contextlib.asynccontextmanager
async def open_store(
    settings: Settings, *, migrate: bool = True, claim: bool = False, create: bool = True
) -> AsyncIterator[Store]:
    """An open store with the current schema; closed at the end.

    Args:
        settings: where the store is.
        migrate: bring the schema up to this release.
        claim: be the one service on it.
        create: make an embedded one where there is none.
    """
    store = make_store(settings)
    if not create and not await store.exists():
        where = settings.store.state_dir
        raise UsageError(
            f"there is no store in {where} yet: `sightline import FILE` makes one; is this the "
            "right --config, and the right user?"
        )
    await store.open()
    try:
        if claim:  # first: a store that a service works on is not migrated under its feet
            await store.claim()
        if migrate:
            applied = await store.migrate()
            if applied:
                log.info("schema migrated", applied=list(applied))
        yield store
    finally:
        await store.close()


def judge_rules(settings: Settings) -> JudgeRules:
    """The numbers of judging."""
    poll, judge = settings.poll, settings.judge
    return JudgeRules(
        Rules(
            cadence_s=poll.cadence_s,
            recheck_s=poll.recheck_s,
            confirm_failures=judge.confirm_failures,
            confirm_span_s=judge.confirm_span_s,
            blind_after_s=judge.blind_after_s,
            flap_losses=judge.flap_losses,
            flap_window_s=judge.flap_window_s,
            flap_calm_s=judge.flap_calm_s,
        ),
        RootRules(
            children=judge.node_children,
            window_s=judge.node_window_s,
            siblings=judge.node_siblings,
            round_s=poll.recheck_s,
            check_s=poll.check_s,
            rest_s=poll.recheck_s,
            # Long enough for a trial whose every round waits for the limit of a check.
            patience_s=max(8 * poll.recheck_s, 3 * (poll.recheck_s + 2 * poll.check_s)),
        ),
    )


def make_probes(context: ProbeContext) -> Mapping[CheckBy, Probe]:
    """One probe a way of asking: the next archive may need another than this one."""
    return {way: get("sightline.probes", way.value)(context) for way in CheckBy}


async def credentials_of(store: Store, settings: Settings) -> OpenedCredentials:
    """The credential sets, opened."""
    opened = OpenedCredentials(store, settings.keys.file or settings.store.state_dir / "keys")
    await opened.refresh()
    return opened


def check_open_files(devices: int) -> tuple[int, int]:
    """Raise the soft limit of open files to the hard one; returns (limit, wanted) and says so."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    wanted = devices + SPARE_FILES
    if soft < wanted:
        log.warning(
            "open-file limit is small for the fleet",
            limit=soft,
            wanted=wanted,
            fix="raise LimitNOFILE; until then fewer connections are kept",
        )
    return soft, wanted


def rest_gc() -> None:
    """Take what was just loaded out of the garbage collector's rounds.

    A fleet is some million objects that live as long as the process: walking them in a full
    collection stalls the loop for most of a second.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def calm_malloc() -> None:
    """Give large blocks back to the system when they are freed (glibc only).

    A TLS connection takes a buffer of 256 kB. glibc raises its threshold after the first of them is
    freed and then cuts them out of the heap, which grows by some 50 MB in minutes.
    """
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(M_MMAP_THRESHOLD, 128 * 1024)
        libc.mallopt(M_ARENA_MAX, 1)  # a heap a worker thread would be kept for ever


def notify(state: str) -> None:
    """Tell systemd (`Type=notify`); nothing happens elsewhere."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendto(state.encode(), address)


class Service:
    """The running service: `async with` starts it, `run` returns after a signal."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self.settings = settings
        self.store = store
        self.clock = SystemClock()
        self.feed = Feed(secrets.token_hex(4))
        self.pipeline: Pipeline | None = None
        self.credentials: OpenedCredentials | None = None
        self.planning = self.make_planning()
        self.sensing: Sensing | None = None
        self.pulling: Pulling | None = None
        self.center_secrets = read_secrets(settings.center)
        self.deliverer: Deliverer | None = None
        self.center: CenterLoop | None = None
        self.address: tuple[str, int] = ("", 0)

    async def prepare(self) -> Pipeline:
        """Load everything from the store and build the pipeline."""
        inventory = await self.store.load_inventory(shapes=False)
        records = await self.store.imports(1)
        now = self.clock.now()
        state = await self.store.load_live()
        self.credentials = await credentials_of(self.store, self.settings)
        limit, _ = check_open_files(len(inventory.watched))
        context = ProbeContext(
            clock=self.clock,
            credentials=self.credentials,
            connect_s=self.settings.poll.connect_s,
            check_s=self.settings.poll.check_s,
            memory=dict(state.memories),
            kept_limit=min(self.settings.poll.kept_connections, max(0, limit - 5_000)),
            clock_limit_s=self.settings.judge.clock_limit_s,
            breaker_devices=self.settings.judge.breaker_devices,
            breaker_window_s=self.settings.judge.breaker_window_s,
        )
        judge = Judge(judge_rules(self.settings), self.epoch, now)
        last_seen = state.watched_until_at or self.clock.utc(now)
        days = {day_of(last_seen.timestamp()), day_of(self.epoch(now))}
        before = await archive_before(self.store, state)
        known = inventory if before is None else before
        judge.accountant.book = await read_book(self.store, known.cameras, days)
        pipeline = Pipeline(
            self.settings,
            self.clock,
            self.store,
            make_probes(context),
            judge,
            Projection(Inventory(), self.clock.utc(now), self.feed),
        )
        pipeline.coverage = self.make_coverage(pipeline)
        pipeline.desk = await start_desk(
            self.settings, self.store, self.clock, pipeline.projection, inventory, state.outages
        )
        if pipeline.coverage is not None:
            join_coverage(pipeline.desk, pipeline.coverage)
        self.join_center(pipeline)
        self.sensing = Sensing(
            self.settings, self.store, self.clock, pipeline.desk.deliver, pipeline.desk.atlas
        )
        await self.sensing.load()
        self.pulling = self.make_pulling(pipeline, inventory)
        pipeline.start(inventory, state, records[0].id if records else "", before)
        self.credentials.changed = pipeline.poller.ask_signed
        self.pipeline = pipeline
        rest_gc()
        return pipeline

    def make_coverage(self, pipeline: Pipeline) -> CoverageWorker | None:
        """The worker that keeps the ledger of blind spots; None where it is switched off."""
        settings = self.settings
        if not settings.coverage.enabled:
            return None
        if settings.store.dsn.get_secret_value().startswith("memory:"):
            source = from_memory(self.store)
        else:
            source = from_child(MODEL_BUILDER, pickle.dumps(settings))
        return CoverageWorker(
            self.store, self.clock, pipeline.projection, source, settings.coverage.recount_s
        )

    def join_center(self, pipeline: Pipeline) -> None:
        """The deliverer and the loop back; what commits alerts wakes the deliverer."""
        deliverer = make_deliverer(self.settings, self.center_secrets, self.store, self.clock)
        self.deliverer = deliverer
        if pipeline.desk is None:
            return
        self.center = CenterLoop(self.store, self.clock, pipeline.desk)
        if deliverer is not None:
            self.center.wake = deliverer.wake
            pipeline.desk.alerts_written = deliverer.wake
            pipeline.recorder.alerts_written = deliverer.wake

    def make_pulling(self, pipeline: Pipeline, inventory: Inventory) -> Pulling | None:
        """The source of the fleet's own events; None where it is switched off."""
        if not self.settings.events.pull or pipeline.desk is None or self.credentials is None:
            return None
        pulling = Pulling(
            self.store,
            self.clock,
            self.credentials,
            pipeline.probes[CheckBy.ONVIF],
            pipeline.poller,
            pipeline.observations,
            pipeline.desk.deliver,
            inventory,
            pipeline.desk.subscriptions,
            self.settings.poll.cadence_s,
        )
        pipeline.archive_taken = pulling.take_archive
        return pulling

    def make_planning(self) -> Planning | None:
        """The queue of planning jobs; None where coverage is switched off."""
        settings = self.settings

        async def told() -> bytes:
            if settings.store.dsn.get_secret_value().startswith("memory:"):
                return await memory_told(self.store)
            return pickle.dumps(settings)

        if not settings.coverage.enabled:
            return None
        return Planning(self.store, self.clock, PLAN_BUILDER, told)

    def epoch(self, at: Instant) -> float:
        """UTC epoch seconds of an instant."""
        return self.clock.utc(at).timestamp()

    def web_context(self, pipeline: Pipeline) -> WebContext:
        """What the web is given."""

        async def check_now(channel: ChannelId) -> Answer:
            return await pipeline.poller.check_now(_device_of(pipeline, channel))

        async def explain(channel: ChannelId) -> Sequence[Answer]:
            target = pipeline.poller.targets[_device_of(pipeline, channel)]
            deadline = Instant(self.clock.now() + EXPLAIN_S)
            answers = await target.probe.explain(target.device, deadline)
            for answer in answers:
                if answer.memory is not None:  # a login that was refused counts after a crash too
                    pipeline.judge.remember(target.device.id, answer.memory)
            return answers

        return WebContext(
            settings=self.settings,
            clock=self.clock,
            store=self.store,
            projection=pipeline.projection,
            check_now=check_now,
            explain=explain,
            readiness=pipeline.readiness,
            progress_age_s=pipeline.progress_age_s,
            stats=pipeline.report,
            coverage=pipeline.coverage,
            planning=self.planning,
            intake=self.sensing,
            desk=pipeline.desk,
            center=self.center,
            center_secrets=self.center_secrets,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set, then flush and close."""
        pipeline = await self.prepare()
        app = build(self.web_context(pipeline))
        runner, port = await serve(app, self.settings.web.host, self.settings.web.port)
        self.address = (self.settings.web.host, port)
        log.info(
            "serving",
            url=f"http://{self.settings.web.host}:{port}/",
            channels=len(pipeline.inventory.cameras),
        )
        notify("READY=1")
        stages: dict[str, Stage] = dict(pipeline.stages)
        if self.credentials is not None:
            stages["credentials"] = self.credentials.watch
        if self.planning is not None:
            stages["planning"] = self.planning.run
        if self.deliverer is not None:
            stages["deliverer"] = self.deliverer.run
        if self.sensing is not None:
            stages.update(self.sensing.stages)
        if self.pulling is not None:
            stages["pulling"] = self.pulling.run
        stages["watchdog"] = lambda: _watchdog(pipeline)
        stages["claim"] = lambda: _keep_claim(self.store)
        work = asyncio.create_task(supervise(stages))
        waiter = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({work, waiter}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                await work
        finally:
            notify("STOPPING=1")
            waiter.cancel()
            work.cancel()
            await asyncio.gather(work, waiter, return_exceptions=True)
            await runner.cleanup()
            if self.pulling is not None:
                await self.pulling.close()
            with contextlib.suppress(StoreUnavailable):
                await pipeline.close()
            if self.deliverer is not None:
                await self.deliverer.close()


def _device_of(pipeline: Pipeline, channel: ChannelId) -> DeviceId:
    camera = pipeline.inventory.cameras.get(channel)
    if camera is None or camera.device not in pipeline.poller.targets:
        raise Refused("this channel is not polled: it is decommissioned or unknown")
    return camera.device


async def _watchdog(pipeline: Pipeline) -> None:
    """Feed systemd's watchdog from progress, never from a free-running timer."""
    interval_s = int(os.environ.get("WATCHDOG_USEC", "0")) / 2_000_000
    while True:
        await asyncio.sleep(interval_s or 10.0)
        if interval_s and pipeline.progress_age_s() < interval_s:
            notify("WATCHDOG=1")


async def _keep_claim(store: Store) -> None:
    while True:
        await asyncio.sleep(CLAIM_S)
        with contextlib.suppress(StoreUnavailable):
            await store.claim()


async def run_service(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT; a second signal ends at once."""
    calm_malloc()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        if stop.is_set():
            os._exit(3)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    async with open_store(settings, claim=True) as store:
        service = Service(settings, store)
        await service.run(stop)
