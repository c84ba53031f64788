"""A small district and the service that watches it, with all timers a twelfth of the law's.

With SIGHTLINE_TORTURE=1 everything has its full numbers instead (`make torture`).
"""

import csv
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fakes.district import District, until
from fakes.service import Service

from adapters.virtual.targets import find_targets
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
                # Others use this machine too: these limits cannot shrink as far.
                "check_s": max(0.8, 3.0 * factor),
                "connect_s": max(0.4, 2.0 * factor),
                # Often enough that a device which refuses a login is asked again and again.
                "signed_every_s": 15.0 if factor < 1 else 600.0,
            },
            "judge": {
                "confirm_span_s": 10.0 * factor,
                "blind_after_s": 15.0 * factor,
                "node_window_s": 10.0 * factor,
                # The same devices die in many tests: none of them is to count as flapping.
                "flap_losses": 1000,
                "rollup_every_s": max(20.0, 300.0 * factor),
            },
            # The faults of the checks: pulled events, which spare checks, have tests of their own.
            "events": {"pull": False},
            "log": {"level": "info", "format": "json"},
        }


TORTURE = os.environ.get("SIGHTLINE_TORTURE") == "1"
SMALL = Scale(300, 0.08, 5)
FULL = Scale(
    int(os.environ.get("SIGHTLINE_TORTURE_CAMERAS", "12328")),
    1.0,
    int(os.environ.get("SIGHTLINE_TORTURE_KILLS", "50")),
)
SCALE = FULL if TORTURE else SMALL
MARKS = [pytest.mark.torture, pytest.mark.timeout(3600 if TORTURE else 120)]
"""For every module of the fault matrix."""


Archive = list[dict[str, str]]
"""Rows of a camera file."""


def write_cameras(rows: Archive, path: Path) -> str:
    """Write a camera file; returns its path for the command line."""
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    return str(path)


class Town:
    """A district and the service that watches it.

    Attributes:
        watched: the devices in the service's archive: all, but for those that think for longer than
            a check may take when its limits have shrunk.
        cameras: the rows of that archive.
    """

    def __init__(self, district: District, service: Service, scale: Scale) -> None:
        self.district = district
        self.service = service
        self.scale = scale
        self.spoilt: set[str] = set()
        """Channels whose login was refused: they stay degraded for 31 minutes, as they must."""
        slow = 0.2 if scale.factor < 1 else 3.0
        self.watched = [v for v in district.known.devices if v.personality.slow_s < slow]
        self.targets = find_targets(replace(district.known, devices=tuple(self.watched)))
        ours = {camera.id for v in self.watched for camera in v.channels}
        with Path(district.ready["archive"]["cameras"]).open(encoding="utf-8-sig") as file:
            self.cameras = [row for row in csv.DictReader(file) if row["device_id"] in ours]

    def import_archive(self) -> None:
        """Make the district's archive the service's, and a token to read with."""
        archive = self.district.ready["archive"]
        write_cameras(self.cameras, self.service.folder / "cameras.csv")
        files = [archive[name] for name in ("divisions", "nodes", "grids")]
        files.append(str(self.service.folder / "cameras.csv"))
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
        unwell = {channel for channel, letter in states if letter not in "ox"}
        return unwell <= self.spoilt and not self.open_outages()

    def leaks(self) -> list[str]:
        """Files written by the processes, under all the faults of the tests, that hold a secret."""
        service, district = self.service, self.district
        password, token = district.known.password.encode(), service.token.encode()
        files = {path: path.read_bytes() for path in (service.log, service.outputs, district.log)}
        found = [str(path) for path, content in files.items() if password in content]
        # `token create` prints the token, this once.
        printed = {service.log: 0, service.outputs: 1, district.log: 0}
        return found + [str(p) for p, text in files.items() if text.count(token) != printed[p]]

    def open_outages(self) -> set[ChannelId]:
        """Channels with an open outage, as the store has them."""
        page = self.service.get("/api/v1/outages?open=true&limit=1000")
        items = page["items"]
        while page["next"]:
            page = self.service.get(page["next"])
            items += page["items"]
        return {ChannelId(item["channel"]) for item in items}


def make_town(folder: Path, district: District, scale: Scale) -> Town:
    """A town whose service is not yet started."""
    service = Service(folder, scale.sections(district.ready["canaries"]))
    town = Town(district, service, scale)
    town.import_archive()
    return town
