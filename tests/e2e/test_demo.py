"""The main job on the whole district, once: one 180 s demo, shared by all assertions."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

CAMERAS = 12_328
LIMIT_S = 420
pytestmark = pytest.mark.timeout(LIMIT_S + 60)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The result of one demo; its narration is shown when a test fails."""
    folder: Path = tmp_path_factory.mktemp("demo")
    command = [sys.executable, "-m", "gateway", "demo", "--for", "180s", "--json", "--port", "0"]
    ran = subprocess.run(
        [*command, "--state-dir", str(folder / "state")],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    print(ran.stderr)  # noqa: T201 - pytest shows it beside a failure
    assert ran.stdout, f"exit code {ran.returncode}: {ran.stderr[-3000:]}"
    result: dict[str, Any] = json.loads(ran.stdout)
    result["exit_code"] = ran.returncode
    return result


def test_the_ledger_tells_the_truth(demo: dict[str, Any]) -> None:
    truth = demo["truth"]
    assert (truth["missed"], truth["invented"]) == (0, 0), demo["offences"]
    assert truth["worst_bound_error_s"] <= 1.0
    assert truth["too_wide"] == 0, demo["offences"]
    assert demo["ok"], demo["offences"]
    assert demo["exit_code"] == 0


def test_blind_spots_are_those_of_a_replay_by_brute_force(demo: dict[str, Any]) -> None:
    blind = demo["blind_spots"]
    wrong = ("missed", "invented", "late")
    assert {name: blind[name] for name in wrong} == dict.fromkeys(wrong, 0), demo["offences"]
    assert blind["places_due"] >= 10, "the script blinds places"
    assert blind["ground_due"] >= 200, "and ground without listed places"
    assert blind["places_judged"] >= 250
    assert 300 <= blind["closed"] <= blind["opened"]


def test_smoke_cabinet_covered_camera_and_uplink_each_reach_the_center_as_one_alert_and_come_back(
    demo: dict[str, Any],
) -> None:
    alerts = demo["alerts"]
    assert alerts["expected"] >= 5, "smoke, cabinet with signal loss, cover, uplink, switch"
    assert alerts["delivered"] == alerts["expected"], demo["offences"]
    wrong = ("duplicated", "missed", "invented", "mislinked", "disagreeing")
    assert {name: alerts[name] for name in wrong} == dict.fromkeys(wrong, 0), demo["offences"]
    assert alerts["acknowledged"] == alerts["delivered"]
    assert alerts["closed"] >= 4


def test_the_next_fifty_sites_come_with_a_proven_gap(demo: dict[str, Any]) -> None:
    plan = demo["plan"]
    assert plan["sites"] == 50
    assert plan["gain"] > 0
    assert 0 <= plan["gap"] <= 0.02


def test_the_whole_district_was_watched(demo: dict[str, Any]) -> None:
    assert demo["cameras"] == CAMERAS
    # Six rounds of every device, and what was asked again.
    assert demo["checks"] + demo["heard"] >= 6 * demo["devices"] * 0.98


def test_the_script_held_what_it_must(demo: dict[str, Any]) -> None:
    kinds = demo["truth"]["by_kind"]
    assert kinds["outage"]["due"] >= 300
    assert kinds["dip"]["forbidden"] >= 50
    for cause in (
        "auth",
        "locked_out",
        "clock",
        "wrong_device",
        "not_onvif",
        "bad_response",
        "tls",
    ):
        fault = kinds[f"fault_{cause}"]
        assert fault.get("due", 0) + fault.get("optional", 0) >= 10, cause
    assert demo["truth"]["blindness_seen"] is True


def test_untouched_cameras_have_no_rows(demo: dict[str, Any]) -> None:
    truth = demo["truth"]
    assert truth["untouched"] >= 11_000
    assert truth["untouched_without_rows"] == truth["untouched"]
    assert truth["unknown_seconds_outside_blindness"] == 0


def test_one_root_cause_is_one_incident(demo: dict[str, Any]) -> None:
    found = {finding["kind"]: finding for finding in demo["truth_incidents"]}
    assert set(found) == {"uplink", "switch"}
    assert found["uplink"]["channels"] > 100
    assert not any(finding["problems"] for finding in found.values())


def test_deaths_are_confirmed_in_time(demo: dict[str, Any]) -> None:
    detection = demo["detection_seconds"]
    assert detection["p50"] <= 30
    assert detection["p99"] <= 50


def test_no_device_saw_more_than_two_refused_logins(demo: dict[str, Any]) -> None:
    assert demo["refused_logins_max"] <= 2
