"""A sweep with 1 % changes, committed: the embedded PostgreSQL, wall clock."""

import json
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import uvloop

from adapters.postgres.store import PostgresStore
from gateway.domain.camera import ChannelId
from gateway.domain.ledger import Changes, ChannelRecord, Ending, Outage, State
from gateway.domain.observation import OutageCause

CHANNELS = 12_328
CHANGED = CHANNELS // 100
ROUNDS = 40


def batch(number: int, at: datetime) -> Changes[datetime]:
    """1 % of the channels changed: a quarter lost, a quarter back, the rest another state."""
    first = (number * CHANGED) % (CHANNELS - CHANGED)
    records, outages = [], []
    for n in range(first, first + CHANGED):
        channel = ChannelId(f"6108020000132{n:07}")
        state = State.OFFLINE if n % 4 == 0 else State.ONLINE
        records.append(ChannelRecord(channel, state, at, at, at))
        if n % 4 < 2:
            ended = at if n % 4 else None
            outages.append(
                Outage(
                    id=f"{number:08}{n:012}",
                    channel=channel,
                    cause=OutageCause.TIMEOUT,
                    last_seen_at=at - timedelta(seconds=60),
                    failed_at=at - timedelta(seconds=30),
                    confirmed_at=at,
                    last_failed_at=at - timedelta(seconds=5),
                    ended_at=ended,
                    reason=("tcp: failed no connection within 2.0 s",),
                    ending=Ending.RECOVERED if ended else None,
                )
            )
    return Changes(number + 1, channels=tuple(records), outages=tuple(outages))


async def measure(folder: str) -> dict[str, object]:
    """Commit batches one after the other; the first ten warm up."""
    store = PostgresStore(f"embedded:{folder}")
    await store.open()
    try:
        await store.migrate()
        walls = []
        begun = datetime.now(UTC)
        for number in range(ROUNDS):
            changes = batch(number, begun + timedelta(seconds=30 * number))
            at = time.perf_counter()
            await store.commit(changes)
            walls.append((time.perf_counter() - at) * 1000)
    finally:
        await store.close()
    walls = walls[10:]
    return {
        "changed_channels": CHANGED,
        "commit_ms_p50": round(statistics.median(walls), 2),
        "commit_ms_worst": round(max(walls), 2),
    }


def run() -> dict[str, object]:
    """Measure on uvloop."""
    with tempfile.TemporaryDirectory(prefix="sightline-bench-") as folder:
        Path(folder).chmod(0o711)  # the store's own user must get through
        return uvloop.run(measure(folder))


if __name__ == "__main__":
    sys.stdout.write(json.dumps(run(), indent=1) + "\n")
