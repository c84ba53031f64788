"""The settings that the demo runs the gateway with: the law's numbers, or all of them scaled down."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.errors import UsageError

CADENCE_S = 30.0
"""The law's; with a shorter one every other timer shrinks along."""
LEAST_CADENCE_S = 10.0
"""The slowest devices think for 1.2 s and links stall for up to 3 s, so the limit of a check cannot
shrink with the cadence: a silent device is confirmed after a cadence and three checks of 3 s. With
shorter cadences that takes longer than the two cadences in which the script wants it found."""
BREAKER_DEVICES = 40
"""The script gives 20 devices of the one credential set a wrong password or a lock."""


def check_cadence(cadence_s: float) -> None:
    """Let only cadences pass at which the script is fair.

    Raises:
        UsageError: it is too short.
    """
    if not cadence_s >= LEAST_CADENCE_S:
        raise UsageError(
            f"--cadence {cadence_s:g}: give at least {LEAST_CADENCE_S:.0f}: a check takes up to 3 s "
            "whatever the cadence, so the troubles of a faster script would end before anybody "
            "could be sure of them"
        )


def settings_text(
    state_dir: Path,
    port: int,
    cadence_s: float,
    ready: Mapping[str, Any],
    more: Mapping[str, Mapping[str, Any]],
) -> str:
    """The configuration file, TOML.

    Args:
        state_dir: where the demo keeps everything.
        port: of the console and the API, on loopback.
        cadence_s: the routine interval.
        ready: what the district said when it was ready: `canaries`, and `flapping` for the judge.
        more: further sections: of the center, the broker, the rules.
    """
    scale = cadence_s / CADENCE_S
    sections = {
        "store": {"state_dir": str(state_dir / "state")},
        "network": {"virtual": True, "canaries": ready["canaries"]},
        "poll": {"cadence_s": cadence_s, "recheck_s": 5.0 * scale},
        "judge": {
            **ready["flapping"],
            **_judge(scale),
            "rollup_every_s": 60.0 * scale,
            "breaker_devices": BREAKER_DEVICES,
        },
        "web": {"port": port, "device_metrics": True},
        "log": {"level": "info", "format": "json"},
        **more,
    }
    lines: list[str] = []
    for section, values in sections.items():
        lines.append(f"[{section}]")
        lines += [f"{key} = {json.dumps(value)}" for key, value in values.items()]
    return "\n".join(lines) + "\n"


def _judge(scale: float) -> dict[str, float]:
    if scale == 1:
        return {}
    return {
        "confirm_span_s": 10.0 * scale,
        "blind_after_s": 15.0 * scale,
        "node_window_s": 10.0 * scale,
    }
