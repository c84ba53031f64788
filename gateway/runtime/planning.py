"""Planning jobs: one at a time in a child process, ten waiting, the results stored."""

import asyncio
import contextlib
import pickle
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson
import structlog

from gateway.children import command
from gateway.errors import Refused, StoreUnavailable, Unavailable, UsageError
from gateway.inventory import Inventory
from gateway.ports import Clock, Store
from gateway.ports.coverage import PlanRecord, PlanStatus
from gateway.settings import CoverageSettings

log = structlog.get_logger("sightline.planning")
QUEUED_MAX = 10
RETRY_S = 5.0
END_S = 5.0
READY_S = 60.0
OVERTIME_S = 60.0
"""What a job may take beyond its time limit, reading the archive included."""
LINE_MAX = 64 * 1024 * 1024
"""A result of 2,000 sites with their views is some megabytes."""
IDLE_S = 600.0
"""The child that answers what-if questions is let go after so long without one."""
ASK_S = 30.0


class PlanChild:
    """One child process.

    Args:
        module: to be run.
        told: goes to its input first: how to open the store.
    """

    def __init__(self, module: str, told: bytes) -> None:
        self.module, self.told = module, told
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it and wait until it has read everything.

        Raises:
            UsageError: there is nothing to plan for.
            Unavailable: it does not come up.
        """
        self.process = await asyncio.create_subprocess_exec(
            *command(self.module), limit=LINE_MAX,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
        )  # fmt: skip
        await self._write(self.told)
        await self._line()

    async def ask(self, question: Mapping[str, Any]) -> AsyncIterator[Mapping[str, Any]]:
        """The lines of an answer; the last one has the `result`.

        Raises:
            UsageError: the question is wrong.
            Unavailable: the child ended.
        """
        await self._write(orjson.dumps(question) + b"\n")
        while True:
            line = await self._line()
            yield line
            if "result" in line:
                return

    async def _write(self, content: bytes) -> None:
        assert self.process is not None  # noqa: S101 - started before
        assert self.process.stdin is not None  # noqa: S101 - a pipe was asked for
        self.process.stdin.write(content)
        with contextlib.suppress(ConnectionError):  # its last words are read next
            await self.process.stdin.drain()

    async def _line(self) -> Mapping[str, Any]:
        assert self.process is not None  # noqa: S101
        assert self.process.stdout is not None  # noqa: S101
        text = await self.process.stdout.readline()
        if not text.endswith(b"\n"):
            raise Unavailable("planning: the worker ended early; see the log")
        line: dict[str, Any] = orjson.loads(text)
        if "wrong" in line:
            raise UsageError(line["wrong"])
        return line

    async def close(self) -> None:
        """End it, whatever it does."""
        if self.process is None:
            return
        for end in (self.process.terminate, self.process.kill):
            with contextlib.suppress(ProcessLookupError):
                end()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(END_S):
                    await self.process.wait()
                    return


class Planning:
    """The queue of jobs, and the desk for what-if questions.

    Args:
        store: plans are kept there.
        clock: for the times of the records.
        module: of the child.
        told: makes the child's input; called for each child, so that each reads the present archive.
    """

    def __init__(
        self, store: Store, clock: Clock, module: str, told: Callable[[], Awaitable[bytes]]
    ) -> None:
        self.store, self.clock, self.module, self.told = store, clock, module, told
        self.waiting: deque[PlanRecord] = deque()
        self.running: PlanRecord | None = None
        self._work: asyncio.Task[PlanRecord] | None = None
        self._wake = asyncio.Event()
        self._desk: PlanChild | None = None
        self._desk_lock = asyncio.Lock()
        self._desk_at = 0.0
        self._desk_import = ""

    # --- jobs

    async def submit(self, record: PlanRecord) -> PlanRecord:
        """Take a job.

        Raises:
            Refused: too many are waiting.
            StoreUnavailable: it could not be written down.
        """
        if len(self.waiting) >= QUEUED_MAX:
            raise Refused(f"{QUEUED_MAX} plans are waiting; try again when one is done")
        self.waiting.append(record)
        try:
            await self.store.coverage.save_plan(record)
        except BaseException:
            self.waiting.remove(record)
            raise
        self._wake.set()
        return record

    def live(self, plan_id: str) -> PlanRecord | None:
        """A job that waits or runs, with its progress."""
        held = [*self.waiting, *([self.running] if self.running else [])]
        return next((one for one in held if one.id == plan_id), None)

    async def cancel(self, plan_id: str) -> PlanRecord | None:
        """Stop a job that waits or runs; None when there is none with this id."""
        for record in self.waiting:
            if record.id == plan_id:
                self.waiting.remove(record)
                ended = self._ended(record, PlanStatus.CANCELLED)
                await self.store.coverage.save_plan(ended)
                return ended
        if self.running is None or self.running.id != plan_id or self._work is None:
            return None
        ended = self._ended(self.running, PlanStatus.CANCELLED)
        self._work.cancel()
        await asyncio.wait({self._work})
        return ended

    def _ended(
        self,
        record: PlanRecord,
        status: PlanStatus,
        reason: str = "",
        **more: Any,  # noqa: ANN401
    ) -> PlanRecord:
        at = self.clock.utc(self.clock.now())
        return replace(record, status=status, reason=reason, finished_at=at, **more)

    async def run(self) -> None:
        """Work until cancelled: a stage of the service."""
        try:
            await self._kept(self._forget_interrupted)
            while True:
                await self._rest()
                while self.waiting:
                    await self._next()
        finally:
            if self._work is not None:
                self._work.cancel()
                await asyncio.wait({self._work})
            await self._close_desk()

    async def _rest(self) -> None:
        """Wait for a job; let an idle desk go."""
        self._wake.clear()
        if self.waiting:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(IDLE_S / 10):
                await self._wake.wait()
        if self._desk is not None and self.clock.now() - self._desk_at > IDLE_S:
            await self._close_desk()

    async def _forget_interrupted(self) -> None:
        """Jobs that an earlier service left unfinished will not be finished."""
        for record in await self.store.coverage.plans():
            ours = self.live(record.id) is not None
            if not ours and record.status in {PlanStatus.QUEUED, PlanStatus.RUNNING}:
                reason = "the service ended before the plan was done"
                await self.store.coverage.save_plan(self._ended(record, PlanStatus.FAILED, reason))

    async def _next(self) -> None:
        self.running = replace(self.waiting.popleft(), status=PlanStatus.RUNNING)
        self._work = asyncio.create_task(self._compute(self.running))
        try:
            await asyncio.wait({self._work})
            ended = (
                self._ended(self.running, PlanStatus.CANCELLED)
                if self._work.cancelled()
                else self._work.result()
            )
            await self._kept(lambda: self.store.coverage.save_plan(ended))
        finally:
            if not self._work.done():
                self._work.cancel()
                await asyncio.wait({self._work})
            self.running = self._work = None

    async def _kept(self, write: Callable[[], Awaitable[None]]) -> None:
        """Write, however long the store is away."""
        while True:
            try:
                return await write()
            except StoreUnavailable:
                await asyncio.sleep(RETRY_S)

    async def _compute(self, record: PlanRecord) -> PlanRecord:
        """Run one job; a failure is its result."""
        limit_s = float(record.request.get("time_limit_s", 0.0)) + OVERTIME_S
        child = PlanChild(self.module, await self.told())
        result = None
        try:
            async with asyncio.timeout(limit_s):
                await child.start()
                async for line in child.ask({"plan": record.request}):
                    result = line.get("result")
                    self.running = replace(record, progress=float(line.get("progress", 1.0)))
        except TimeoutError:
            return self._ended(record, PlanStatus.FAILED, f"not done after {limit_s:.0f} s")
        except (UsageError, Unavailable) as error:
            log.warning("plan failed", plan=record.id, reason=str(error))
            return self._ended(record, PlanStatus.FAILED, str(error))
        finally:
            await child.close()
        return self._ended(record, PlanStatus.DONE, result=result, progress=1.0)

    # --- what if

    async def what_if(self, changes: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        """What changes by hand would do. The first question after a while takes seconds.

        Raises:
            UsageError: a change makes no sense.
            Unavailable: no answer in time.
        """
        async with self._desk_lock:
            try:
                async with asyncio.timeout(READY_S if self._desk is None else ASK_S):
                    return await self._ask_desk(changes)
            except UsageError:
                raise
            except TimeoutError:
                await self._close_desk()
                raise Unavailable("what-if: no answer in time") from None
            except BaseException:  # half an answer may still be in the pipe
                await self._close_desk()
                raise

    async def _ask_desk(self, changes: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        records = await self.store.imports(1)
        newest = records[0].id if records else ""
        if newest != self._desk_import:  # archive or places changed: it must read them anew
            await self._close_desk()
        if self._desk is None:
            desk = PlanChild(self.module, await self.told())
            try:
                await desk.start()
            except BaseException:
                await desk.close()
                raise
            self._desk, self._desk_import = desk, newest
        self._desk_at = self.clock.now()
        answer: Mapping[str, Any] = {}
        async for line in self._desk.ask({"what_if": list(changes)}):
            answer = line
        found: Mapping[str, Any] = answer["result"]
        return found

    async def _close_desk(self) -> None:
        desk, self._desk = self._desk, None
        if desk is not None:
            await desk.close()


async def memory_told(
    store: Store,
    settings: CoverageSettings = CoverageSettings(),  # noqa: B008 - frozen
) -> bytes:
    """The input of a child where no other process reaches the store: archive and places themselves."""
    inventory = await store.load_inventory(shapes=False)
    places = await store.coverage.load_places()
    cameras = [replace(one, archive=dict(one.archive)) for one in inventory.cameras.values()]
    plain = Inventory.of(cameras, divisions=inventory.divisions.values())
    return pickle.dumps((plain, places, settings))
