"""The canaries: addresses on the gateway's own side. They bear witness that the gateway still sees."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from gateway.ports import Clock
from gateway.runtime.judge import Judge

CANARY_EVERY_S = 2.0


class Canaries:
    """Connects to each configured `host:port` every two seconds."""

    def __init__(
        self, clock: Clock, addresses: Sequence[str], connect_s: float, judge: Judge
    ) -> None:
        self.clock = clock
        self.addresses = [_split(a) for a in addresses]
        self.connect_s = connect_s
        self.judge = judge

    async def run(self) -> None:
        """Ask all of them until cancelled."""
        while True:
            await asyncio.gather(*(self._ask(host, port) for host, port in self.addresses))
            await asyncio.sleep(CANARY_EVERY_S)

    async def _ask(self, host: str, port: int) -> None:
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(self.connect_s):
                _, writer = await asyncio.open_connection(host, port)
            self.judge.canary(self.clock.now())
            writer.close()


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)
