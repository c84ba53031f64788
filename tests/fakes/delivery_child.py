"""The real deliverer over a real store, as a process that may be killed.

Arguments: DSN of the store, URL of the center. Prints a line when it begins.
"""

import asyncio
import sys

from fakes.outbox import SECRET, SOURCE

from adapters.center_webhook import CenterWebhook
from adapters.postgres.store import PostgresStore
from gateway.ports import Secret
from gateway.ports.events import SinkContext
from gateway.runtime.clock import SystemClock
from gateway.runtime.deliverer import Deliverer, DeliveryLimits


async def main(dsn: str, url: str) -> None:
    """Until killed."""
    store = PostgresStore(dsn, command_timeout_s=2.0)
    await store.open()
    clock = SystemClock()
    sink = CenterWebhook(SinkContext(clock, url, (Secret(SECRET),), 2.0))
    limits = DeliveryLimits(rate_per_s=100.0, look_s=0.2)
    deliverer = Deliverer(store, clock, "center", sink, limits, source=SOURCE)
    sys.stdout.write("begins\n")
    sys.stdout.flush()
    await deliverer.run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
