"""Links and storms: a place to its cells, and what 10,000 signals a second cost the desk."""

import asyncio
import json
import resource
import sys
import time
from random import Random

from fakes.clock import FakeClock

from adapters.memory import MemoryStore
from adapters.virtual.geography import build_geography
from adapters.virtual.names import division_rows
from gateway.domain.camera import ChannelId
from gateway.domain.event import Event, EventKind, EventSource
from gateway.domain.linking import CellIndex
from gateway.rulebook import load
from gateway.runtime.desk import Desk

PLACES = 2_000
SECONDS, A_SECOND, DEVICES = 10, 10_000, 300


def link() -> dict[str, object]:
    """CPU milliseconds a link to the containing and 5 nearest of 3,641 cells; city and country."""
    land = build_geography(11, tuple(row.division for row in division_rows()))
    began = time.process_time()
    index = CellIndex(land.cells)
    found: dict[str, object] = {
        "cells": len(index),
        "build_ms": round(1e3 * (time.process_time() - began), 1),
    }
    rng = Random(1)  # noqa: S311 - the same places each time
    country = [(rng.uniform(109.1, 110.3), rng.uniform(37.95, 38.85)) for _ in range(PLACES)]
    city = [(rng.gauss(109.73, 0.03), rng.gauss(38.28, 0.03)) for _ in range(PLACES)]
    for name, places in (("country", country), ("city", city)):
        began = time.process_time()
        for place in places:
            index.link(*place)
        found[f"{name}_ms"] = round(1e3 * (time.process_time() - began) / PLACES, 4)
    return found


async def storm() -> dict[str, object]:
    """10,000 signals a second of 300 devices, 2 % of them alert-worthy: CPU and memory of the desk."""
    store, clock = MemoryStore(), FakeClock()
    await store.open()
    desk = Desk(store, clock, load())
    began, before = time.process_time(), _rss_mb()
    for second in range(SECONDS):
        at = clock.utc(clock.now())
        batches = [
            [
                Event(
                    f"{second}-{batch}-{n}",
                    EventSource.ONVIF_PULL,
                    EventKind.DIGITAL_INPUT if n % 50 == 0 else EventKind.MOTION,
                    at,
                    channel=ChannelId(f"c{(batch * 100 + n) % DEVICES}"),
                )
                for n in range(100)
            ]
            for batch in range(A_SECOND // 100)
        ]
        works = [asyncio.create_task(desk.deliver(batch)) for batch in batches]
        while not all(work.done() for work in works):
            await asyncio.sleep(0)
            await desk.flush()
        await asyncio.gather(*works)
        clock.move(1.0)
    return {
        "signals": SECONDS * A_SECOND,
        "cpu_us_a_signal": round(1e6 * (time.process_time() - began) / (SECONDS * A_SECOND), 1),
        "grown_mb": round(_rss_mb() - before, 1),
        "waiting": desk.waiting,
    }


def _rss_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def run() -> dict[str, object]:
    """Both."""
    return {"storm": asyncio.run(storm()), "link": link()}


if __name__ == "__main__":
    json.dump(run(), sys.stdout, indent=1)
