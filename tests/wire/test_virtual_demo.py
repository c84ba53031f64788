"""What `sightline demo` accepts, and the settings that it runs the gateway with."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from adapters.virtual.demo_settings import LEAST_CADENCE_S, check_cadence, settings_text
from gateway.errors import UsageError
from gateway.settings import Settings

READY = {"canaries": ["127.0.0.9:80"], "flapping": {"flap_losses": 2}}


def settings_at(cadence_s: float) -> Settings:
    text = settings_text(Path("x"), 1, cadence_s, READY, {})
    return Settings.model_validate(tomllib.loads(text))


@pytest.mark.parametrize("cadence_s", [LEAST_CADENCE_S, 15.0, 20.0, 30.0])
def test_a_silent_device_can_be_confirmed_before_its_trouble_is_due(cadence_s: float) -> None:
    check_cadence(cadence_s)
    found = settings_at(cadence_s)
    poll, judge = found.poll, found.judge
    checks_s = judge.confirm_failures * max(poll.check_s, poll.recheck_s)
    due_s = 2 * cadence_s
    assert poll.cadence_s + checks_s <= due_s
    assert poll.recheck_s * 2 == pytest.approx(judge.confirm_span_s)


def test_at_the_laws_cadence_the_numbers_are_the_laws() -> None:
    law, found = Settings(), settings_at(30.0)
    assert found.poll == law.poll
    assert found.judge.confirm_span_s == law.judge.confirm_span_s


@pytest.mark.parametrize("cadence_s", [0.0, 5.0, 9.9, float("nan")])
def test_a_cadence_at_which_the_script_is_not_fair_is_refused(cadence_s: float) -> None:
    with pytest.raises(UsageError, match="at least 10"):
        check_cadence(cadence_s)


def test_the_command_refuses_it_before_anything_starts() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "demo", "--cadence", "5", "--for", "20s"],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "--cadence 5: give at least 10" in done.stderr
