"""What the virtual center says back of each incident: received, dispatched, in progress; then closed."""

import asyncio
import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final

import aiohttp
from standardwebhooks import Webhook

STEPS: Final = ("received", "dispatched", "in_progress")
_PATIENCE_S: Final = 60.0
_PAUSES_S: Final = (0.1, 0.3, 1.0)
_TAKEN: Final = frozenset({HTTPStatus.OK, HTTPStatus.CREATED})


@dataclass(frozen=True, slots=True)
class Gateway:
    """Where receipts go.

    Attributes:
        url: of the gateway, without path.
        token: of role center; "" = receipts are signed with the center's secret instead.
        actor: who it says has done it.
    """

    url: str
    token: str = ""
    actor: str = "综治中心值班员"


@dataclass(slots=True)
class _Case:
    grid: str = ""
    closed: bool = False
    sent: list[str] = field(default_factory=list)


class Answers:
    """Sends receipts, in order, each until it is taken or refused.

    Args:
        gateway: where to.
        secret: signs receipts where there is no token.
        step_s: pause between the steps.

    Attributes:
        taken: receipts that the gateway took, by step.
        refused: receipts that it refused.
    """

    def __init__(self, gateway: Gateway, secret: str, step_s: float) -> None:
        self.gateway = gateway
        self.step_s = step_s
        self.taken: Counter[str] = Counter()
        self.refused = 0
        self._signer = Webhook(secret)
        self._cases: dict[str, _Case] = {}
        self._waiting: asyncio.Queue[str] = asyncio.Queue()
        self._changed = asyncio.Event()
        self._work: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, or go on."""
        if self._work is None:
            self._work = asyncio.create_task(self._run())

    async def close(self) -> None:
        """End; what was not sent is dropped."""
        if self._work is not None:
            self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)

    def put(self, key: str, grid: str, *, closed: bool) -> None:
        """Something was told of an incident."""
        case = self._cases.setdefault(key, _Case())
        case.grid, case.closed = grid, closed
        self._waiting.put_nowait(key)

    async def until(self, wanted: int, timeout_s: float = 30.0) -> None:
        """Return when the gateway took so many receipts.

        Raises:
            TimeoutError: it did not.
        """
        async with asyncio.timeout(timeout_s):
            while sum(self.taken.values()) < wanted:
                self._changed.clear()
                await self._changed.wait()

    async def _run(self) -> None:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(10)) as session:
            while True:
                key = await self._waiting.get()
                case = self._cases[key]
                for step in (*STEPS, *(("closed",) if case.closed else ())):
                    if step not in case.sent:
                        await self._send(session, key, case, step)
                        await asyncio.sleep(self.step_s)

    async def _send(self, session: aiohttp.ClientSession, key: str, case: _Case, step: str) -> None:
        """One step, repeated with the same id while the gateway is away."""
        receipt = {
            "id": f"vc-{key}-{step}",
            "key": key,
            "step": step,
            "actor": self.gateway.actor,
            "text": "演练",
        }
        if case.grid:
            receipt["grid"] = case.grid
        loop = asyncio.get_running_loop()
        ends, tries = loop.time() + _PATIENCE_S, 0
        while loop.time() < ends:
            status = await self._post(session, key, receipt)
            if status in _TAKEN:
                case.sent.append(step)
                self.taken[step] += 1
                self._changed.set()
                return
            later = status in {0, HTTPStatus.TOO_MANY_REQUESTS}
            if not later and status < HTTPStatus.INTERNAL_SERVER_ERROR:
                case.sent.append(step)
                self.refused += 1
                return
            await asyncio.sleep(_PAUSES_S[min(tries, len(_PAUSES_S) - 1)])
            tries += 1

    async def _post(self, session: aiohttp.ClientSession, key: str, receipt: dict[str, Any]) -> int:
        """The status of one POST; 0 = no answer."""
        url = f"{self.gateway.url}/api/v1/alerts/{key}/receipts"
        text = json.dumps(receipt, ensure_ascii=False)
        headers = {"Content-Type": "application/json"}
        if self.gateway.token:
            headers["Authorization"] = f"Bearer {self.gateway.token}"
        else:
            now = datetime.now(UTC)
            headers["webhook-id"] = receipt["id"]
            headers["webhook-timestamp"] = str(int(now.timestamp()))
            headers["webhook-signature"] = self._signer.sign(receipt["id"], now, text)
        try:
            async with session.post(url, data=text.encode(), headers=headers) as response:
                return response.status
        except (aiohttp.ClientError, TimeoutError, OSError):
            return 0
