"""The settings that the demo runs the gateway with: the law's numbers, or all of them scaled down."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

CADENCE_S = 30.0
"""The law's; with a shorter one every other timer shrinks along."""
BREAKER_DEVICES = 40
"""The script gives 20 devices of the one credential set a wrong password or a lock."""


def settings_text(state_dir: Path, port: int, cadence_s: float, ready: Mapping[str, Any]) -> str:
    """The configuration file, TOML.

    Args:
        state_dir: where the demo keeps everything.
        port: of the console and the API, on loopback.
        cadence_s: the routine interval.
        ready: what the district said when it was ready: `canaries`, and `flapping` for the judge.
    """
    scale = cadence_s / CADENCE_S
    sections = {
        "store": {"state_dir": str(state_dir / "state")},
        "network": {"virtual": True, "canaries": ready["canaries"]},
        "poll": {"cadence_s": cadence_s, **_poll(cadence_s, scale)},
        "judge": {
            **ready["flapping"],
            **_judge(scale),
            "rollup_every_s": 60.0 * scale,
            "breaker_devices": BREAKER_DEVICES,
        },
        "web": {"port": port, "device_metrics": True},
        "log": {"level": "info", "format": "json"},
    }
    lines: list[str] = []
    for section, values in sections.items():
        lines.append(f"[{section}]")
        lines += [f"{key} = {json.dumps(value)}" for key, value in values.items()]
    return "\n".join(lines) + "\n"


def _poll(cadence_s: float, scale: float) -> dict[str, float]:
    """Timers that shrink with the cadence; the limits of a check stay, but fit into it."""
    if scale == 1:
        return {}
    check_s = min(3.0, 0.8 * cadence_s)
    return {
        "recheck_s": 5.0 * scale,
        "check_s": check_s,
        "connect_s": min(2.0, 0.7 * check_s),
    }


def _judge(scale: float) -> dict[str, float]:
    if scale == 1:
        return {}
    return {
        "confirm_span_s": 10.0 * scale,
        "blind_after_s": 15.0 * scale,
        "node_window_s": 10.0 * scale,
    }
