"""The virtual district as a child process, with hands on it: cut, heal, and the truth of both."""

import json
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Self, TypeVar

from adapters.virtual.fleet import build_district
from adapters.virtual.model import VirtualDevice, VirtualDistrict
from adapters.virtual.scenario import _simple
from adapters.virtual.targets import find_targets
from adapters.virtual.truth import when
from gateway.domain.camera import ChannelId, NodeId

T = TypeVar("T")
SIGHTLINE = (sys.executable, "-m", "gateway")
POLL_S = 0.05


def until(what: str, within_s: float, look: Callable[[], T | None]) -> T:
    """Look again and again until there is something (neither None nor False); fails in the end."""
    deadline = time.monotonic() + within_s
    while True:
        found = look()
        if found is not None and found is not False:
            return found
        assert time.monotonic() < deadline, f"not within {within_s:.0f} s: {what}"
        time.sleep(POLL_S)


@dataclass(frozen=True)
class Cut:
    """What truly happened to some channels, by the district's own clock."""

    id: str
    channels: tuple[ChannelId, ...]
    began: datetime
    ended: datetime | None = None


class District:
    """`sightline virtual --control` under way. Use it as a context manager.

    Attributes:
        known: the same district, built here too: who hangs where.
        cuts: every trouble so far, the latest state of each.
        said: everything it wrote, for the search for secrets.
    """

    def __init__(self, folder: Path, cameras: int, seed: int, killable: float) -> None:
        self.folder = folder
        self.size = (cameras, seed, killable)
        self.truth = folder / "truth.jsonl"
        self.cuts: dict[str, Cut] = {}
        self.ready: dict[str, Any] = {}
        self.log = folder / "district.log"
        self._events: queue.Queue[dict[str, Any]] = queue.Queue()

    def __enter__(self) -> Self:
        cameras, seed, killable = self.size
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *SIGHTLINE, "virtual", "--control", "--seed", str(seed),
                    "--cameras", str(cameras), "--killable", str(killable), "--legacy", "0",
                    "--archive", str(self.folder / "archive"), "--truth", str(self.truth),
                ],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
                start_new_session=True,
            )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.ready = self._event("ready", 60.0)
        self.known: VirtualDistrict = build_district(
            seed, cameras, **self.ready["ports"], killable_singles=killable
        )
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        try:
            self.process.wait(20)
        finally:
            self.process.kill()
            self._reader.join(5)
            self.process.stdout.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._events.put(json.loads(line))

    def _event(self, kind: str, within_s: float = 10.0) -> dict[str, Any]:
        deadline = time.monotonic() + within_s
        while True:
            event = self._events.get(timeout=max(0.01, deadline - time.monotonic()))
            if event["event"] == kind:
                return event
            assert event["event"] != "error", event

    def order(self, answer: str, **what: Any) -> dict[str, Any]:
        """Give an order; returns its answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()
        return self._event(answer)

    # --- who can be hurt

    def mortal(self) -> list[VirtualDevice]:
        """Devices that may die alone, without oddities, on links that neither stall nor reset."""
        return [v for v in find_targets(self.known).singles if self.is_plain(v)]

    def is_plain(self, device: VirtualDevice) -> bool:
        """One channel over ONVIF, not slow, behind a good link."""
        return _simple(device) and not self.is_shaky(device)

    def is_shaky(self, device: VirtualDevice) -> bool:
        """Behind a link that stalls and resets by chance."""
        link = self.known.links[device.township]
        return bool(link.stall_rate or link.reset_rate)

    # --- hurting them

    def apply(
        self,
        name: str,
        trouble: str,
        devices: Iterable[VirtualDevice] = (),
        node: NodeId | None = None,
    ) -> Cut:
        """Let a trouble begin now."""
        chosen = list(devices)
        ids = [v.device.id for v in chosen]
        told = self.order("applied", do="apply", id=name, trouble=trouble, devices=ids, node=node)
        channels = tuple(camera.id for v in chosen for camera in v.channels)
        self.cuts[name] = Cut(name, channels, when(told["at"]))
        return self.cuts[name]

    def heal(self, name: str) -> Cut:
        """Let a trouble end now."""
        told = self.order("healed", do="heal", id=name)
        self.cuts[name] = replace(self.cuts[name], ended=when(told["at"]))
        return self.cuts[name]

    def heal_all(self) -> None:
        """End whatever is still broken."""
        for cut in list(self.cuts.values()):
            if cut.ended is None:
                self.heal(cut.id)

    def stats(self) -> dict[str, Any]:
        """What the devices counted."""
        return self.order("stats", do="stats")
