"""`sightline mute` beside a running desk, over a real store: set, listed, noticed, ended, audited."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from fakes.postgres import serving, state_dir

from adapters.postgres.store import PostgresStore
from gateway.commands.mute import matching
from gateway.errors import UsageError
from gateway.runtime.clock import SystemClock
from gateway.runtime.mutes import Mutes


async def test_a_mute_of_another_process_is_noticed_ended_and_audited() -> None:
    with state_dir() as state, serving(state) as (_, dsn, _):
        environ = os.environ | {"SIGHTLINE_STORE__STATE_DIR": str(state)}

        def sightline(*arguments: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [sys.executable, "-m", "gateway", "mute", *arguments],
                env=environ, capture_output=True, text=True, timeout=60, check=False,
            )  # fmt: skip

        store = PostgresStore(dsn)
        await store.open()
        await store.migrate()
        mutes, told = Mutes(store, SystemClock()), 0

        def changed() -> None:
            nonlocal told
            told += 1

        mutes.changed.append(changed)
        why = ("--reason", "换杆", "--json")
        row = json.loads(sightline("set", "--kind", "door", "--for", "12h", *why).stdout)
        assert (row["kind"], row["area"], row["key"], row["holds"]) == ("door", "all", "all", True)
        begins = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        later = sightline("set", "--area", "610802", "--from", begins, "--for", "1h", *why)
        await mutes.look()
        assert (sorted(mutes.rows), told) == (
            sorted([row["id"], json.loads(later.stdout)["id"]]),
            1,
        )
        items = json.loads(sightline("list", "--json").stdout)["items"]
        assert [(one["holds"], one["reason"]) for one in items] == [(True, "换杆"), (False, "换杆")]

        ended = sightline("end", row["id"], "--reason", "换好了")
        assert (ended.returncode, ended.stdout.startswith("Ended: door all all")) == (0, True)
        assert sightline("end", row["id"]).returncode == 1
        assert sightline("set", "--kind", "ghost", "--for", "1h", *why).returncode == 2
        assert sightline("set", "--for", "1h", *why).returncode == 2
        await mutes.look()
        assert ([one.area for one in mutes.known()], told) == (["610802"], 2)
        lines = await store.audit()
        await store.close()
    assert [line.action for line in lines] == ["mute.end", "mute.set", "mute.set"]
    assert all(line.actor.startswith("cli:") for line in lines)
    assert lines[0].detail.startswith("换好了 (door all all until ")
    assert ": 换杆" in lines[0].detail


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (("", "", ""), "--area all"),
        (("ghost", "", ""), "--kind"),
        (("", "g7", ""), "--area"),
        (("", "", "\n"), "--key"),
    ],
)
def test_what_is_silenced_must_be_named_and_known(names: tuple[str, str, str], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        matching(*names)


def test_all_is_stored_as_nothing() -> None:
    assert matching("all", "", "k") == ("", "", "k")
    assert matching("", "all", "") == ("", "", "")
