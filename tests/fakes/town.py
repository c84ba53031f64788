"""A small district and the service that watches it, with all timers a tenth of the law's.

With SIGHTLINE_TORTURE=1 everything has its full numbers instead (`make torture`).
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fakes.district import District, until
from fakes.service import Service

from gateway.domain.camera import ChannelId


@dataclass(frozen=True)
class Scale:
    """How large and how slow. `factor` stretches every timer of the law."""

    cameras: int
    factor: float
    kills: int
    killable: float = 0.3

    @property
    def cadence_s(self) -> float:
        """Routine interval."""
        return 30.0 * self.factor

    @property
    def confirm_s(self) -> float:
        """Death to confirmed outage, at most, on a machine that others use too."""
        return 50.0 * self.factor + 5.0

    @property
    def back_s(self) -> float:
        """Return to closed outage, at most."""
        return 35.0 * self.factor + 5.0

    def sections(self, canaries: list[str]) -> dict[str, Mapping[str, Any]]:
        """The settings."""
        factor = self.factor
        return {
            "store": {"command_timeout_s": 1.0 if factor < 1 else 5.0},
            "network": {"virtual": True, "canaries": canaries},
            "poll": {
                "cadence_s": self.cadence_s,
                "recheck_s": 5.0 * factor,
                # The slowest devices think for 1.2 s: these limits cannot shrink as far.
                "check_s": max(1.5, 3.0 * factor),
                "connect_s": max(0.5, 2.0 * factor),
                "signed_every_s": max(30.0, 3600.0 * factor),
            },
            "judge": {
                "confirm_span_s": 10.0 * factor,
                "blind_after_s": 15.0 * factor,
                "node_window_s": 10.0 * factor,
                # The same devices die in many tests: none of them is to count as flapping.
                "flap_losses": 1000,
                "rollup_every_s": max(20.0, 300.0 * factor),
            },
            "log": {"level": "info", "format": "json"},
        }


TORTURE = os.environ.get("SIGHTLINE_TORTURE") == "1"
SMALL = Scale(300, 0.1, 5)
FULL = Scale(12_328, 1.0, 50)
SCALE = FULL if TORTURE else SMALL


class Town:
    """A district and the service that watches it."""

    def __init__(self, district: District, service: Service, scale: Scale) -> None:
        self.district = district
        self.service = service
        self.scale = scale
        self.spoilt: set[str] = set()
        """Channels whose login was refused: they stay degraded for 31 minutes, as they must."""

    def import_archive(self) -> None:
        """Make the district's archive the service's, and a token to read with."""
        archive = self.district.ready["archive"]
        files = [archive[name] for name in ("divisions", "nodes", "grids", "cameras")]
        credentials = ("--credentials", archive["credentials"])
        self.service.sightline("import", *files, *credentials, "--yes", "--json")
        made = self.service.sightline("token", "create", "tester", "--role", "admin", "--json")
        self.service.token = json.loads(made)["token"]

    def settle(self) -> datetime:
        """Heal everything, wait until the service knows, and return the present."""
        self.district.heal_all()
        service = self.service
        if service.process is None or service.process.poll() is not None:
            service.start()
        service.until_ready(60 + 2 * self.scale.cadence_s)
        until("all is well", 60 + 3 * self.scale.cadence_s, self._is_well)
        return datetime.now(UTC)

    def _is_well(self) -> bool:
        states = self.service.states().items()
        unwell = {channel for channel, letter in states if letter != "o"}
        return unwell <= self.spoilt and not self.open_outages()

    def open_outages(self) -> set[ChannelId]:
        """Channels with an open outage, as the store has them."""
        items = self.service.get("/api/v1/outages?open=true&limit=1000")["items"]
        return {ChannelId(item["channel"]) for item in items}


def make_town(folder: Path, district: District, scale: Scale) -> Town:
    """A town whose service is not yet started."""
    service = Service(folder, scale.sections(district.ready["canaries"]))
    town = Town(district, service, scale)
    town.import_archive()
    return town
