"""The virtual center (综治中心): receives, verifies, counts, acknowledges, answers back, and misbehaves.

It counts before it drops repeats: *duplicated* = two message ids for one (incident key, revision), a defect
of the gateway; *redelivered* = the same id again, which is allowed. It verifies with the library of Standard
Webhooks itself and shares no code with what signs.
"""

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Self, TextIO

from aiohttp import web
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from adapters.virtual.center_answers import Answers, Gateway

PATH: Final = "/alerts"
HEARTBEAT: Final = "cn.sightline.heartbeat.v1"
_BODY_MOST: Final = 64 * 1024


class Misbehaviour(StrEnum):
    """What a center can do wrong."""

    ERROR = "error"
    """500."""
    BUSY = "busy"
    """429 with Retry-After in seconds."""
    BUSY_DATE = "busy_date"
    """503 with Retry-After as HTTP date."""
    SLOW = "slow"
    """Takes the message, answers after `slow_s`."""
    DOWN = "down"
    """Hangs up without an answer."""
    LATE = "late"
    """Takes the message, answers 200 after the gateway gave up (`late_s`)."""
    WRONG = "wrong"
    """Takes the message, acknowledges another one."""
    GONE = "gone"
    """410: for good."""
    REFUSE = "refuse"
    """422: for good."""
    REDIRECT = "redirect"
    """307 to itself."""
    ENDLESS = "endless"
    """Takes the message, answers 200 and a body that does not end."""


TAKES: Final = frozenset(
    {Misbehaviour.SLOW, Misbehaviour.LATE, Misbehaviour.WRONG, Misbehaviour.ENDLESS}
)
"""With these the message is taken all the same, and may come again."""


@dataclass(slots=True)
class Counts:
    """What came in, before repeats are dropped; heartbeats are counted apart.

    Attributes:
        received: messages that were verified and taken, repeats included.
        distinct: of them, different ids.
        duplicated: further ids for a (key, revision) that is known: must be 0.
        redelivered: the same id again: allowed.
        disordered: an older revision of an incident after a newer one: must be 0.
        forged: signatures that do not fit.
        opened / closed: incidents of which something was told, and of which the close was.
        misbehaved: answers that were wrong on purpose.
    """

    received: int = 0
    distinct: int = 0
    duplicated: int = 0
    redelivered: int = 0
    disordered: int = 0
    forged: int = 0
    heartbeats: int = 0
    opened: int = 0
    closed: int = 0
    misbehaved: int = 0


@dataclass(slots=True)
class Told:
    """What the center knows of one incident."""

    key: str
    ids: dict[int, set[str]] = field(default_factory=dict)
    """Message ids by revision."""
    newest: int = 0
    closed: bool = False
    grid: str = ""


class VirtualCenter:
    """A center on loopback. `async with` starts and ends it.

    Args:
        secrets: `whsec_…` secrets that it trusts.
        gateway: where receipts go; None = it answers nothing back.
        log: file for one JSON line a message, repeats and heartbeats included.
        slow_s / late_s: how long `SLOW` and `LATE` take.
        retry_after_s: what `BUSY` and `BUSY_DATE` ask for.
        step_s: pause between the steps of the loop back.

    Attributes:
        counts: what came in.
        told: what it knows, by incident key.
        messages: the events as they came, repeats left out, heartbeats apart.
        current: how it misbehaves with everything; None = as it should.
        scripted: asked for each message (True: it is a heartbeat) that `misbehave` says nothing of, what
            to do with it; None = `current` says so.
        on_taken: called with each message that was taken, before it is answered.
        on_genuine: called with each message that was verified and how it is answered.
    """

    def __init__(
        self,
        secrets: tuple[str, ...],
        *,
        gateway: Gateway | None = None,
        log: Path | None = None,
        slow_s: float = 1.0,
        late_s: float = 11.0,
        retry_after_s: int = 1,
        step_s: float = 0.05,
    ) -> None:
        self._verifiers = [Webhook(secret) for secret in secrets]
        self.answers = None if gateway is None else Answers(gateway, secrets[0], step_s)
        self.slow_s = slow_s
        self.late_s = late_s
        self.retry_after_s = retry_after_s
        self.counts = Counts()
        self.told: dict[str, Told] = {}
        self.messages: list[dict[str, Any]] = []
        self.heartbeats: list[dict[str, Any]] = []
        self.current: Misbehaviour | None = None
        self.scripted: Callable[[bool], Misbehaviour | None] | None = None
        self.on_taken: Callable[[dict[str, Any]], None] = lambda _event: None
        self.on_genuine: Callable[[dict[str, Any], Misbehaviour | None], None] = lambda *_: None
        self.port = 0
        self._script: deque[Misbehaviour | None] = deque()
        self._seen: set[str] = set()
        self._log_path = log
        self._log: TextIO | None = None
        self._runner: web.AppRunner | None = None
        self._came = asyncio.Event()

    # --- life

    @property
    def url(self) -> str:
        """Where the gateway delivers."""
        return f"http://127.0.0.1:{self.port}{PATH}"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def start(self, port: int = 0) -> None:
        """Listen; the port of before is taken again after `stop`.

        Raises:
            OSError: the port is taken.
        """
        if self._log_path is not None and self._log is None:
            self._log = self._log_path.open("a", encoding="utf-8", buffering=1)
        app = web.Application(client_max_size=_BODY_MOST)
        app.router.add_post(PATH, self._take)
        app.router.add_get("/counts", self._show)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port or self.port, reuse_address=True)
        await site.start()
        self.port = int(self._runner.addresses[0][1])
        if self.answers is not None:
            self.answers.start()

    async def stop(self) -> None:
        """Be down: the port is closed. `start` comes back with everything known."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def close(self) -> None:
        """End."""
        await self.stop()
        if self.answers is not None:
            await self.answers.close()
        if self._log is not None:
            self._log.close()

    def misbehave(self, *behaviours: Misbehaviour | None) -> None:
        """Treat the next messages so, one after the other (None = properly)."""
        self._script.extend(behaviours)

    async def until(self, wanted: int, timeout_s: float = 30.0) -> None:
        """Return when so many different messages have come.

        Raises:
            TimeoutError: they have not.
        """
        async with asyncio.timeout(timeout_s):
            while self.counts.distinct < wanted:
                self._came.clear()
                await self._came.wait()

    # --- taking

    def report(self) -> dict[str, Any]:
        """All counts, with the steps of the loop back that the gateway took: for JSON."""
        answers = self.answers
        return {
            **asdict(self.counts),
            "acknowledged": {} if answers is None else dict(answers.taken),
            "refused": 0 if answers is None else answers.refused,
        }

    async def _show(self, _request: web.Request) -> web.Response:
        return web.json_response(self.report())

    async def _take(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        if not self._is_genuine(body, request):
            self.counts.forged += 1
            return web.Response(status=401)
        event = json.loads(body)
        if event["type"] == HEARTBEAT:
            self.counts.heartbeats += 1
            self.heartbeats.append(event)
            self._write("heartbeat", event, "")
            behaviour = self._behaviour(heartbeat=True)
        else:
            behaviour = self._script.popleft() if self._script else self._behaviour(heartbeat=False)
            if behaviour is None or behaviour in TAKES:
                self._count(event, behaviour)
                self.on_taken(event)
        self.on_genuine(event, behaviour)
        if behaviour is None:
            return web.json_response({"id": event["id"], "status": "accepted"})
        self.counts.misbehaved += 1
        return await self._misbehave(request, behaviour, event["id"])

    def _behaviour(self, *, heartbeat: bool) -> Misbehaviour | None:
        return self.current if self.scripted is None else self.scripted(heartbeat)

    def _is_genuine(self, body: bytes, request: web.Request) -> bool:
        headers = {k.lower(): v for k, v in request.headers.items()}
        for verifier in self._verifiers:
            with contextlib.suppress(WebhookVerificationError, ValueError):
                verifier.verify(body, headers)
                return True
        return False

    def _count(self, event: dict[str, Any], behaviour: Misbehaviour | None) -> None:
        counts, data = self.counts, event["data"]
        told = self.told.get(data["key"])
        if told is None:
            told = self.told[data["key"]] = Told(data["key"])
            counts.opened += 1
        counts.received += 1
        ids = told.ids.setdefault(data["revision"], set())
        fate = "new"
        if event["id"] in self._seen:
            counts.redelivered += 1
            fate = "redelivered"
        elif ids:
            counts.duplicated += 1
            fate = "duplicated"
        elif data["revision"] < told.newest:
            counts.disordered += 1
            fate = "disordered"
        self._write(fate, event, "" if behaviour is None else str(behaviour))
        ids.add(event["id"])
        if event["id"] in self._seen:
            return
        self._seen.add(event["id"])
        counts.distinct += 1
        self.messages.append(event)
        self._learn(told, data)
        self._came.set()

    def _learn(self, told: Told, data: dict[str, Any]) -> None:
        told.newest = max(told.newest, data["revision"])
        links = data.get("links") or [{}]
        told.grid = told.grid or links[0].get("grid", "")
        if data["phase"] == "close" and not told.closed:
            told.closed = True
            self.counts.closed += 1
        if self.answers is not None:
            self.answers.put(told.key, told.grid, closed=told.closed)

    def _write(self, fate: str, event: dict[str, Any], behaviour: str) -> None:
        if self._log is not None:
            line = {
                "at": datetime.now(UTC).isoformat(),
                "fate": fate,
                "behaviour": behaviour,
                "event": event,
            }
            self._log.write(json.dumps(line, ensure_ascii=False) + "\n")

    async def _misbehave(
        self, request: web.Request, behaviour: Misbehaviour, message_id: str
    ) -> web.StreamResponse:
        match behaviour:
            case Misbehaviour.SLOW:
                await asyncio.sleep(self.slow_s)
                return web.json_response({"id": message_id})
            case Misbehaviour.LATE:
                await asyncio.sleep(self.late_s)
                return web.json_response({"id": message_id})
            case Misbehaviour.DOWN:
                if request.transport is not None:
                    request.transport.abort()
                return web.Response(status=500)
            case Misbehaviour.WRONG:
                return web.json_response({"id": "msg_of_somebody_else"})
            case Misbehaviour.ENDLESS:
                return await _endless(request)
            case _:
                return self._status(behaviour)

    def _status(self, behaviour: Misbehaviour) -> web.Response:
        pause = timedelta(seconds=self.retry_after_s)
        date = format_datetime(datetime.now(UTC) + pause, usegmt=True)
        status, headers = {
            Misbehaviour.BUSY: (429, {"Retry-After": str(self.retry_after_s)}),
            Misbehaviour.BUSY_DATE: (503, {"Retry-After": date}),
            Misbehaviour.GONE: (410, {}),
            Misbehaviour.REFUSE: (422, {}),
            Misbehaviour.REDIRECT: (307, {"Location": self.url}),
        }.get(behaviour, (500, {}))
        return web.Response(status=status, headers=headers)


async def _endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/plain"})
    await response.prepare(request)
    with contextlib.suppress(ConnectionError):
        while True:
            await response.write(b"x" * 8_192)
            await asyncio.sleep(0.01)
    return response
