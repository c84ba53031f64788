"""The composition root: settings -> adapters -> pipeline -> run until a signal."""

import asyncio
import contextlib
import os
import pickle
import secrets
import signal
from collections.abc import Callable, Sequence

import structlog

from gateway.domain.camera import ChannelId, CheckBy, DeviceId
from gateway.domain.observation import Answer, Instant
from gateway.domain.seconds import day_of
from gateway.errors import Refused, StoreUnavailable
from gateway.feed import Feed
from gateway.inventory import Inventory
from gateway.opening import credentials_of, make_probes, open_store
from gateway.ports import ProbeContext, Store
from gateway.process import calm_malloc, check_open_files, feed_watchdog, notify, rest_gc
from gateway.projection import Projection
from gateway.runtime.center import CenterLoop, make_deliverers, read_secrets
from gateway.runtime.clock import SystemClock
from gateway.runtime.coverage import CoverageWorker
from gateway.runtime.coverage_present import Cadences
from gateway.runtime.credentials import OpenedCredentials
from gateway.runtime.deliverer import Deliverer
from gateway.runtime.desk_start import join_coverage, start_desk
from gateway.runtime.judge import Judge
from gateway.runtime.judge_rules import judge_rules
from gateway.runtime.model_source import from_child, from_memory
from gateway.runtime.pipeline import Pipeline, archive_before
from gateway.runtime.planning import Planning, memory_told
from gateway.runtime.pulling import Pulling
from gateway.runtime.pushing import Pushing
from gateway.runtime.restore import read_book
from gateway.runtime.sensing import Sensing
from gateway.runtime.supervisor import Stage, supervise
from gateway.runtime.takeover import Takeover
from gateway.runtime.unreached import Unreached
from gateway.settings import CENTER, Settings
from gateway.web.access import Access, Route
from gateway.web.app import build, serve
from gateway.web.context import WebContext
from gateway.web.health import CADENCES_WITHOUT_PROGRESS

log = structlog.get_logger("sightline.app")
EXPLAIN_S = 15.0
CLAIM_S = 2.0
MODEL_BUILDER = "gateway.commands.build_coverage"
PLAN_BUILDER = "gateway.commands.build_plan"


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
        self.pushing: Pushing | None = None
        self.takeover: Takeover | None = None
        self.center_secrets = read_secrets(settings.center)
        self.deliverers: tuple[Deliverer, ...] = ()
        self.alerts_committed: list[Callable[[], None]] = []
        self.center: CenterLoop | None = None
        self.address: tuple[str, int] = ("", 0)

    async def prepare(self) -> Pipeline:
        """Load everything from the store and build the pipeline."""
        inventory = await self.store.load_inventory(shapes=False)
        records = await self.store.imports(1)
        now = self.clock.now()
        state = await self.store.load_live()
        self.credentials = await credentials_of(self.store, self.settings)
        files = check_open_files(len(inventory.watched), self.settings.poll)
        context = ProbeContext(
            clock=self.clock,
            credentials=self.credentials,
            connect_s=self.settings.poll.connect_s,
            check_s=self.settings.poll.check_s,
            memory=dict(state.memories),
            kept_limit=files.kept,
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
        desk = pipeline.desk
        self.sensing = Sensing(
            self.settings, self.store, self.clock, desk.deliver, desk.atlas, desk.postures_held
        )
        await self.sensing.load()
        self.pulling = self.make_pulling(pipeline, inventory)
        pipeline.start(inventory, state, records[0].id if records else "", before)
        self.credentials.changed = pipeline.poller.ask_signed
        self.takeover = Takeover(
            self.store, self.clock, judge, lambda: pipeline.judge_batch([]), state.accepted
        )
        self.pipeline = pipeline
        rest_gc()
        return pipeline

    def make_coverage(self, pipeline: Pipeline) -> CoverageWorker | None:
        """The worker that keeps the ledger of blind spots; None where it is switched off."""
        settings = self.settings
        if not settings.coverage.enabled:
            return None
        if settings.store.dsn.get_secret_value().startswith("memory:"):
            source = from_memory(self.store, settings.coverage)
        else:
            source = from_child(MODEL_BUILDER, pickle.dumps(settings))
        worker = CoverageWorker(
            self.store, self.clock, pipeline.projection, source, settings.coverage.recount_s
        )
        poll, poller = settings.poll, pipeline.poller
        worker.cadences = lambda: Cadences(poll.cadence_s, poll.heightened_s, poller.heightened)
        return worker

    def join_center(self, pipeline: Pipeline) -> None:
        """The deliverers and the loop back; what commits alerts wakes them."""
        self.deliverers = make_deliverers(self.settings, self.store, self.clock)
        if pipeline.desk is None:
            return
        self.center = CenterLoop(self.store, self.clock, pipeline.desk)
        self.center.wake = self.wake_deliverers
        pipeline.desk.alerts_written = self.wake_deliverers
        pipeline.recorder.alerts_written = self.wake_deliverers

    def wake_deliverers(self) -> None:
        """Alerts were committed."""
        for deliverer in self.deliverers:
            deliverer.wake()
        for wake in self.alerts_committed:
            wake()

    def make_pulling(self, pipeline: Pipeline, inventory: Inventory) -> Pulling | None:
        """The source of the fleet's own events; None where it is switched off."""
        events = self.settings.events
        used = events.pull or events.push_address
        if not used or pipeline.desk is None or self.credentials is None:
            return None
        if events.push_address:
            deliver = pipeline.desk.deliver
            state_dir = self.settings.store.state_dir
            signals = pipeline.desk.signals
            self.pushing = Pushing(events, state_dir, self.clock, deliver, inventory, signals)
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
            events,
            self.pushing,
            pipeline.desk.signals,
        )
        pipeline.desk.signals = ()
        pipeline.archive_taken = pulling.take_archive
        return pulling

    def device_routes(self) -> list[Route]:
        """Where devices push; nowhere, unless they are told to."""
        found = () if self.pushing is None else self.pushing.routes
        return [
            Route(one.method, one.path, one.handler, Access.DEVICE, documented=False)
            for one in found
        ]

    def make_planning(self) -> Planning | None:
        """The queue of planning jobs; None where coverage is switched off."""
        settings = self.settings

        async def told() -> bytes:
            if settings.store.dsn.get_secret_value().startswith("memory:"):
                return await memory_told(self.store, settings.coverage)
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
            takeover=self.takeover,
            desk=pipeline.desk,
            center=self.center,
            center_secrets=self.center_secrets,
            alerts_committed=self.alerts_committed,
        )

    def stages(self, pipeline: Pipeline) -> dict[str, Stage]:
        """The loops to supervise, by name."""
        stages: dict[str, Stage] = dict(pipeline.stages)
        if self.credentials is not None:
            stages["credentials"] = self.credentials.watch
        if self.takeover is not None:
            stages["takeover"] = self.takeover.watch
        if self.planning is not None:
            stages["planning"] = self.planning.run
        for deliverer in self.deliverers:
            name = deliverer.recipient
            stages["deliverer" if name == CENTER else f"deliverer {name}"] = deliverer.run
        stages["unreached"] = Unreached(self.store, self.settings.reached_recipients).run
        if self.sensing is not None:
            stages.update(self.sensing.stages)
        if self.pulling is not None:
            stages["pulling"] = self.pulling.run
            if self.pushing is not None:
                pulling = self.pulling
                stages["pushing"] = self.pushing.run
                stages["returns"] = lambda: pulling.watch_returns(self.feed)
        still_s = self.settings.poll.still_s(CADENCES_WITHOUT_PROGRESS)
        stages["watchdog"] = lambda: feed_watchdog(pipeline.progress_age_s, still_s)
        stages["claim"] = lambda: _keep_claim(self.store)
        return stages

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set, then flush and close."""
        pipeline = await self.prepare()
        app = build(self.web_context(pipeline), more=self.device_routes())
        runner, port = await serve(app, self.settings.web.host, self.settings.web.port)
        self.address = (self.settings.web.host, port)
        log.info(
            "serving",
            url=f"http://{self.settings.web.host}:{port}/",
            channels=len(pipeline.inventory.cameras),
        )
        notify("READY=1")
        work = asyncio.create_task(supervise(self.stages(pipeline)))
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
            for deliverer in self.deliverers:
                await deliverer.close()


def _device_of(pipeline: Pipeline, channel: ChannelId) -> DeviceId:
    camera = pipeline.inventory.cameras.get(channel)
    if camera is None or camera.device not in pipeline.poller.targets:
        raise Refused("this channel is not polled: it is decommissioned or unknown")
    return camera.device


async def _keep_claim(store: Store) -> None:
    while True:
        await asyncio.sleep(CLAIM_S)
        with contextlib.suppress(StoreUnavailable):
            await store.claim()


async def run_service(settings: Settings, on_hangup: Callable[[], None] | None = None) -> None:
    """Run until SIGTERM or SIGINT; a second signal ends at once.

    Args:
        settings: read and checked.
        on_hangup: what SIGHUP does; None = it ends the service as SIGTERM does.
    """
    calm_malloc()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        if stop.is_set():
            os._exit(3)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    # Set without asking whether it was set before: a shell and the kernel both tell of a lost terminal.
    loop.add_signal_handler(signal.SIGHUP, on_hangup or stop.set)
    async with open_store(settings, claim=True) as store:
        service = Service(settings, store)
        await service.run(stop)
