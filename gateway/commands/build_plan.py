"""The child that plans: no verb, the service starts it (runtime/planning.py).

It is told the store (or archive and places themselves) on its standard input, then one question a
line; it answers one JSON object a line. Whatever it holds is gone when it ends.
"""

import asyncio
import pickle
import signal
import sys
from typing import Any

import orjson

from gateway.children import end_with_parent
from gateway.domain.coverage.place import PlaceList
from gateway.errors import SightlineError, UsageError
from gateway.inventory import Inventory
from gateway.opening import open_store
from gateway.planning import Planner, PlanRequest
from gateway.settings import CoverageSettings, Settings
from gateway.what_if import WhatIfDesk


async def read(settings: Settings) -> tuple[Inventory, PlaceList, CoverageSettings]:
    """Read archive and places beside the service."""
    async with open_store(settings, create=False) as store:
        inventory = await store.load_inventory(shapes=False)
        return inventory, await store.coverage.load_places(), settings.coverage


def tell(**said: Any) -> None:  # noqa: ANN401 - JSON
    """One line to the service."""
    sys.stdout.buffer.write(orjson.dumps(said, option=orjson.OPT_SERIALIZE_NUMPY) + b"\n")
    sys.stdout.buffer.flush()


def answer(planner: Planner, desk: WhatIfDesk, question: dict[str, Any]) -> None:
    """Answer one question; what is wrong with it is an answer, too."""
    try:
        if "plan" in question:
            request = PlanRequest.of(question["plan"])
            tell(result=planner.plan(request, lambda share: tell(progress=round(share, 3))))
        else:
            tell(result=desk.answer(question["what_if"]))
    except UsageError as error:
        tell(wrong=str(error))


def main() -> None:
    """Serve until the input ends."""
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the service decides when it ends
    told = pickle.load(sys.stdin.buffer)  # noqa: S301 - the service wrote it
    try:
        planner = Planner(*(asyncio.run(read(told)) if isinstance(told, Settings) else told))
    except SightlineError as error:
        tell(wrong=str(error))
        return
    tell(ready=True)
    desk = WhatIfDesk(planner)
    for line in sys.stdin.buffer:
        answer(planner, desk, orjson.loads(line))


if __name__ == "__main__":
    main()
