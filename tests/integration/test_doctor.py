"""`sightline doctor` on a store of its own, from the first minute on."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from adapters.postgres.embedded import EmbeddedPostgres

DOCTOR = (sys.executable, "-m", "gateway", "doctor", "--json")
MIGRATE = (sys.executable, "-m", "gateway", "migrate", "--json")


def store_line(config: Path) -> dict[str, Any]:
    """What it says about the store."""
    done = subprocess.run(
        [*DOCTOR, "--config", str(config)], capture_output=True, text=True, timeout=60, check=False
    )
    found = json.loads(done.stdout)
    return next(line for line in found if line["what"] == "store")


async def bare_store(state: Path) -> None:
    """A server with an empty database, as an import leaves it that was killed before it migrated."""
    server = EmbeddedPostgres(state)
    await server.start()
    await server.stop()


def test_a_store_that_was_never_migrated_is_said_to_wait_for_it_not_to_be_broken(
    state: Path,
) -> None:
    config = state / "sightline.toml"
    config.write_text(f'[store]\nstate_dir = "{state}"\n[web]\nport = 0\n', encoding="utf-8")
    asyncio.run(bare_store(state))
    before = store_line(config)
    assert (before["level"], before["found"]) == ("warn", "answers; no schema yet")
    assert "sightline migrate" in before["fix"]
    subprocess.run([*MIGRATE, "--config", str(config)], check=True, capture_output=True, timeout=60)
    after = store_line(config)
    assert (after["level"], after["found"]) == ("warn", "answers; no archive yet")
