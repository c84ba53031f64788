"""The present of coverage from the store alone: as the service wrote it last."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from gateway.domain.coverage.plane import DISTRICT
from gateway.domain.coverage.present import Present
from gateway.domain.coverage.repair import roots_of
from gateway.domain.coverage.restart import Known, restart
from gateway.domain.ledger import Changes
from gateway.feed import Feed
from gateway.inventory import Inventory
from gateway.ports import Store
from gateway.projection import Projection
from gateway.runtime.coverage_present import cameras_of, divided_of, sights_of
from gateway.runtime.model_source import Reading, read
from gateway.settings import CoverageSettings


@dataclass(frozen=True)
class Stored:
    """What was read.

    Attributes:
        roots: open incident -> the node that it blames.
    """

    present: Present
    reading: Reading
    inventory: Inventory
    roots: Mapping[str, str]


async def read_present(store: Store, now_at: datetime, settings: CoverageSettings) -> Stored:
    """Build the model and bring it to what the service wrote last; seconds for a district.

    Raises:
        StoreUnavailable: the store does not answer.
    """
    inventory = await store.load_inventory()
    reading = await read(store, settings, inventory)
    live, stored = await store.load_live(), await store.coverage.load()
    at = live.watched_until_at or now_at
    projection = Projection(inventory, at, Feed("coverage"))
    projection.apply(
        Changes(live.sequence, outages=live.outages, faults=live.faults, channels=live.channels), at
    )
    known = Known(
        stored.as_of_at, stored.blind_spots, stored.intervals, [*live.outages, *live.faults],
        sights_of(projection), at,
    )  # fmt: skip
    built = reading.built
    state, book, _ = restart(built.model, DISTRICT.shape_to_geojson, known)
    present = Present(
        state, book, built.facts, cameras_of(built.model, inventory), divided_of(inventory),
        reading.designed(), built.import_id, at, at,
    )  # fmt: skip
    return Stored(present, reading, inventory, roots_of(live.incidents, inventory.nodes))
