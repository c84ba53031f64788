"""The postures (平战联控) that hold now: set by people here or in another process, or planned in the rules.

store (API, `sightline posture`) + planned windows -> holding -> desk (who is told, what makes an incident)
                                                              -> poller (cadence of the cameras there)
                                                              -> sensors (thresholds of those there)
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta

import structlog

from gateway.domain.alerting.posture import (
    SCHEDULE,
    PlannedPosture,
    ended_at,
    level_at,
    occurrences,
    to_end,
    unknown_areas,
)
from gateway.domain.alerting.rows import Posture, PostureLevel
from gateway.domain.camera import DeviceId
from gateway.domain.event import Sensor
from gateway.errors import StoreUnavailable
from gateway.inventory import Inventory
from gateway.metrics import POSTURES
from gateway.ports import AuditEntry, Clock, Role, Store

log = structlog.get_logger("sightline.postures")
AHEAD = timedelta(days=7)
"""Planned windows are listed so far ahead."""


class Postures:
    """What is known of postures. One owner: the desk's loop.

    Args:
        store: open.
        clock: the service's.
        planned: windows of the rules.

    Attributes:
        holding: those that hold now.
        changed: called when others hold than before.
    """

    def __init__(self, store: Store, clock: Clock, planned: Sequence[PlannedPosture] = ()) -> None:
        self.store = store
        self.clock = clock
        self.planned = planned
        self.holding: tuple[Posture, ...] = ()
        self.changed: list[Callable[[], None]] = []
        self._stored: dict[str, Posture] = {}
        self._writing = asyncio.Lock()
        """A look at the store must not put back what was written meanwhile."""
        self._begun: dict[str, Posture] = {}
        """Planned windows whose line in the audit log is not written yet."""

    def _now(self) -> datetime:
        return self.clock.utc(self.clock.now())

    def heightened(self, area: str, now: datetime, grid: str = "") -> bool:
        """The posture of a place is heightened."""
        if not self.holding:
            return False
        return level_at(self.holding, area, now, grid) is PostureLevel.HEIGHTENED

    def heightened_at(self, sensor: Sensor, now: datetime) -> bool:
        """The posture is heightened where a sensor stands."""
        return self.heightened(sensor.village or sensor.township, now, sensor.grid)

    def known(self, now: datetime) -> Sequence[Posture]:
        """Those that hold or will (planned ones of a week), in order of their beginning."""
        planned = occurrences(self.planned, now, now + AHEAD)
        return sorted((*self._stored.values(), *planned), key=lambda one: (one.from_at, one.id))

    def devices(self, inventory: Inventory) -> frozenset[DeviceId]:
        """The devices with a camera where the posture is heightened."""
        if not any(row.level is PostureLevel.HEIGHTENED for row in self.holding):
            return frozenset()
        now = self._now()
        known: dict[tuple[str, str], bool] = {}
        found = set()
        for camera in inventory.cameras.values():
            place = camera.village or camera.township, camera.grid
            if place not in known:
                known[place] = self.heightened(place[0], now, place[1])
            if known[place]:
                found.add(camera.device)
        return frozenset(found)

    def check(self, inventory: Inventory) -> None:
        """Say which planned windows name an area that the archive does not have."""
        for problem in unknown_areas(self.planned, inventory.area_codes(), inventory.grids):
            log.warning("a planned posture holds nowhere", problem=problem)

    # --- changes

    def take(self, rows: Iterable[Posture], now: datetime) -> None:
        """What the store holds now."""
        self._stored = {row.id: row for row in rows}
        self.settle(now)

    def settle(self, now: datetime) -> None:
        """Work out which hold now; tells `changed` when they are others than before."""
        self._stored = {
            row.id: row
            for row in self._stored.values()
            if row.until_at is None or row.until_at > now
        }
        rows = (*self._stored.values(), *occurrences(self.planned, now, now + timedelta(seconds=1)))
        holding = tuple(
            row for row in sorted(rows, key=lambda one: (one.from_at, one.id)) if row.from_at <= now
        )
        if holding == self.holding:
            return
        before = {row.id for row in self.holding}
        for row in holding:
            if row.id not in before:
                log.info("posture begins", posture=row.id, level=str(row.level), area=row.area)
                if row.actor == SCHEDULE:
                    self._begun[row.id] = row
        after = {row.id for row in holding}
        for row in self.holding:
            if row.id not in after:
                log.info("posture ends", posture=row.id, level=str(row.level), area=row.area)
        self.holding = holding
        for level in PostureLevel:
            POSTURES.labels(level).set(sum(row.level is level for row in holding))
        for tell in self.changed:
            tell()

    async def set(self, posture: Posture) -> None:
        """Add or replace one; stored before it holds.

        Raises:
            StoreUnavailable: it was not stored.
        """
        async with self._writing:
            await self.store.events.save_posture(posture)
            self._stored[posture.id] = posture
            self.settle(self._now())

    async def end(self, posture_id: str) -> Posture:
        """End one now.

        Raises:
            Refused: none that holds or will has this id, or a planned window brought it.
            StoreUnavailable: it was not stored.
        """
        now = self._now()
        row = to_end(self._stored.values(), posture_id)
        ended = ended_at(row, now)
        await self.set(ended)
        return ended

    # --- what others wrote

    async def look(self) -> None:
        """Take what others wrote, and note planned windows that began in the audit log."""
        try:
            async with self._writing:
                now = self._now()
                self.take(await self.store.events.postures(now), now)
            await self._audit()
        except StoreUnavailable as error:
            log.warning("postures wait for the store", reason=str(error))
            self.settle(self._now())

    async def _audit(self) -> None:
        """A line each; after a restart the same line, which the log holds once."""
        for row in list(self._begun.values()):
            until = "" if row.until_at is None else f" until {row.until_at.isoformat()}"
            detail = f"{row.level} {row.id}{until}: {row.reason}"
            await self.store.append_audit(
                AuditEntry(
                    row.from_at, SCHEDULE, Role.ADMIN, "posture.set", row.area or "all", "done",
                    detail,
                )
            )  # fmt: skip
            del self._begun[row.id]
