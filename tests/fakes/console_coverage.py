"""The console's gateway with coverage and planning: the places of the virtual district, really computed."""

import asyncio
import contextlib
from dataclasses import replace
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any

from fakes.console_gateway import ConsoleGateway
from fakes.ledger_rows import RECORD

from gateway.domain.alerting.rows import Alert, AlertPhase, AlertState, EventIncident, Receipt
from gateway.domain.camera import ChannelId
from gateway.domain.coverage.place import (
    CandidateSite,
    Place,
    PlaceId,
    PlaceList,
    ProhibitedArea,
    SiteId,
)
from gateway.domain.ledger import Changes, ChannelRecord, Ending, Outage, State
from gateway.domain.observation import OutageCause
from gateway.ports import Role
from gateway.ports.events import EventChanges
from gateway.runtime.coverage import CoverageWorker
from gateway.runtime.model_source import from_memory
from gateway.runtime.planning import Planning, memory_told
from gateway.web.tokens import mint


class CoverageGateway(ConsoleGateway):
    """As `ConsoleGateway`; outages pushed here blind places, and their ends give them back.

    Args:
        listed: False = there is no list of places.
    """

    def __init__(self, seed: int = 7, cameras: int = 800, *, listed: bool = True) -> None:
        super().__init__(seed, cameras)
        self.listed = listed
        self.worker: CoverageWorker | None = None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.run(self._end())
        super().__exit__(kind, error, trace)

    async def _end(self) -> None:
        self._work.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._work
        assert self.worker is not None
        await self.worker.close()

    async def _desks(self) -> dict[str, Any]:
        places = PlaceList()
        if self.listed:
            listed = (
                Place(PlaceId(p.id), p.name, p.kind, dict(p.geometry), p.weight, "detect")
                for p in self.district.places
            )
            sites = (
                CandidateSite(SiteId(f"pole-{n}"), f"灯杆{n}", "pole", *xy)
                for n, xy in enumerate((p.longitude, p.latitude) for p in self.district.poles)
            )
            places = PlaceList.of(listed, prohibited=(self.dormitory(),), candidates=sites)
        await self.store.save_import(RECORD, self.inventory)
        await self.store.coverage.save_places(replace(RECORD, id="places"), places)
        self.worker = CoverageWorker(
            self.store, self.clock, self.projection, from_memory(self.store), 0.0
        )
        planning = Planning(
            self.store, self.clock, "gateway.commands.build_plan", lambda: memory_told(self.store)
        )
        told = self.projection.feed.wait(self.projection.feed.last_id, 60.0)
        self._work = asyncio.gather(self.worker.run(), planning.run())
        await told  # the headline, once the model is built
        self.planner_token, row = mint("规划员", Role.PLANNER, self.now(), None)
        await self.store.save_token(row)
        return {"coverage": self.worker, "planning": planning}

    def dormitory(self) -> ProhibitedArea:
        """A prohibited area around the first camera that hangs on no cut uplink."""
        camera = self.inventory.cameras[self.scene.singles[0]]
        assert camera.longitude is not None
        assert camera.latitude is not None
        x, y, half = camera.longitude, camera.latitude, 2e-4
        corners = ((-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -1))
        ring = [[x + half * dx, y + half * dy] for dx, dy in corners]
        shape = {"type": "Polygon", "coordinates": [ring]}
        return ProhibitedArea("dormitory", "学生宿舍", "dormitory", shape)

    async def report(self, incident: EventIncident, *receipts: Receipt, sent: bool) -> None:
        """An event incident as the desk stores it, with its message and the center's receipts."""
        now = self.now()
        alert = Alert(
            f"alert-{incident.id}", incident.id, 1, AlertPhase.OPEN, "center", now, {},
            AlertState.DELIVERED if sent else AlertState.PENDING,
            delivered_at=now if sent else None,
        )  # fmt: skip
        await self.store.events.commit(
            EventChanges(incidents=(incident,), alerts=(alert,), receipts=receipts)
        )

    async def tell(self, *alerts: Alert) -> None:
        """Messages as they stand in the outbox."""
        await self.store.events.commit(EventChanges(alerts=alerts))

    async def push(self, **rows: Any) -> Changes[datetime]:
        """Commit, publish, and hand on to coverage, as the pipeline does."""
        changes = await super().push(**rows)
        if self.worker is not None:
            self.worker.submit(changes)
        return changes

    async def lose(self, channel: ChannelId) -> Outage[datetime]:
        """A camera goes offline for good."""
        now = self.now()
        outage = Outage(
            f"lost-{channel}", channel, OutageCause.POWER, now - timedelta(seconds=40),
            now - timedelta(seconds=10), now, now,
        )  # fmt: skip
        record = ChannelRecord(channel, State.OFFLINE, now, now, now)
        await self.push(outages=(outage,), channels=(record,))
        return outage

    async def mend(self, outage: Outage[datetime]) -> None:
        """It is back."""
        now = self.now()
        ended = replace(outage, ended_at=now, ending=Ending.RECOVERED)
        record = ChannelRecord(outage.channel, State.ONLINE, now, now, now)
        await self.push(outages=(ended,), channels=(record,))

    def watcher(self) -> ChannelId:
        """A camera that alone sees a part of a place now: the next failure that hurts most."""
        assert self.worker is not None
        found = self.run(self.worker.ask(_heaviest))
        return ChannelId(found)


def _heaviest(present: Any) -> str:
    from gateway.domain.coverage.redundancy import redundancy

    return str(redundancy(present.state).failures[0].channel)
