"""The child that builds the coverage model: no verb, the service starts it (runtime/model_source.py)."""

import asyncio
import pickle
import signal
import sys

from gateway.children import end_with_parent
from gateway.opening import open_store
from gateway.runtime.model_source import Reading, answer, read
from gateway.settings import Settings


async def build(settings: Settings) -> Reading:
    """Read the archive beside the service and build."""
    async with open_store(settings, create=False) as store:
        return await read(store, settings.coverage)


def main() -> None:
    """Settings come in, the model goes out."""
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the service decides when it ends
    settings = pickle.load(sys.stdin.buffer)  # noqa: S301 - the service wrote it
    answer(asyncio.run(build(settings)))


if __name__ == "__main__":
    main()
