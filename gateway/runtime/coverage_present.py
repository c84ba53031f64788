"""Makes the present of coverage out of archive and ledger."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np

from gateway.domain.camera import ChannelId, DeviceId
from gateway.domain.coverage.figures import Divided, Headline, headline
from gateway.domain.coverage.intervals import CADENCE_S
from gateway.domain.coverage.live import Rows
from gateway.domain.coverage.model import CoverageModel, Floats
from gateway.domain.coverage.present import CameraFacts, Present
from gateway.domain.coverage.sight import Row, Sight
from gateway.domain.ledger import Changes
from gateway.inventory import Inventory
from gateway.ports import LedgerKind, LedgerQuery, Store
from gateway.projection import Projection

LOOK_BACK_S = 300.0
PAGE = 1_000


@dataclass(frozen=True)
class Cadences:
    """How often devices are asked.

    Attributes:
        heightened: devices that are asked at the heightened cadence.
    """

    routine_s: float = CADENCE_S
    heightened_s: float = CADENCE_S
    heightened: Collection[DeviceId] = frozenset()

    def of(self, model: CoverageModel, inventory: Inventory) -> Floats:
        """(cameras,) seconds between two checks."""
        cameras = (inventory.cameras.get(channel) for channel in model.channels)
        often = [camera is not None and camera.device in self.heightened for camera in cameras]
        return np.where(often, self.heightened_s, self.routine_s)


def apply_changes(
    present: Present,
    changes: Changes[datetime],
    at: datetime,
    *,
    blind: bool,
    cadence_s: Floats | None = None,
) -> tuple[Rows, Headline]:
    """Take a batch of the judge; in the thread that owns the state.

    Args:
        present: the state and what it was made from.
        changes: the batch.
        at: now.
        blind: the gateway does not watch.
        cadence_s: (cameras,) how often each is asked from now on; None = as before.
    """
    state = present.state
    if cadence_s is not None:
        state.intervals.pace(cadence_s)
    for gap in changes.gaps:
        if gap.ended_at is not None:
            state.intervals.watched_again(gap.ended_at)
    rows = state.apply(present.book.apply(changes), at)
    if not blind:
        settled = state.settle(at)
        rows = Rows(rows.blind_spots, (*rows.intervals, *settled.intervals))
    return rows, headline(state, present.places)


def sights_of(projection: Projection) -> dict[ChannelId, Sight]:
    """Every channel as it is now."""
    return {
        channel: Sight(view.state, view.since_at, view.outage, dict(view.faults))
        for channel, view in projection.channels.items()
    }


def cameras_of(model: CoverageModel, inventory: Inventory) -> CameraFacts:
    """What is told of the cameras of a model; those that an import took away meanwhile are blank."""
    held = [inventory.cameras.get(channel) for channel in model.channels]
    devices = [inventory.devices.get(camera.device) if camera else None for camera in held]
    return CameraFacts(
        tuple(camera.name if camera else "" for camera in held),
        tuple(camera.township if camera else "" for camera in held),
        tuple(device.node if device else "" for device in devices),
        {node: found.name for node, found in inventory.nodes.items()},
    )


def divided_of(inventory: Inventory) -> Divided:
    """Where the cells of an archive lie."""
    return Divided(
        {grid: cell.village for grid, cell in inventory.grids.items()},
        {code: division.parent or "" for code, division in inventory.divisions.items()},
    )


async def read_ledger(store: Store, since: datetime | None) -> list[Row]:
    """Outages and faults that stood since a time, so that nothing that came and went is lost."""
    if since is None:
        return []
    rows: list[Row] = []
    for kind in (LedgerKind.OUTAGES, LedgerKind.FAULTS):
        query = LedgerQuery(since=since - timedelta(seconds=LOOK_BACK_S), limit=PAGE)
        while True:
            page = await store.ledger(kind, query)
            rows += page.rows
            if page.next is None:
                break
            query = replace(query, after=page.next)
    return rows


def with_open(projection: Projection, ledger: list[Row]) -> list[Row]:
    """The ledger, and what the judge holds open: that may not have been written yet."""
    rows: dict[str, Row] = {row.id: row for row in ledger}
    for view in projection.order:
        held: list[Row] = [*([view.outage] if view.outage else ()), *view.faults.values()]
        rows |= {row.id: row for row in held}
    return list(rows.values())
