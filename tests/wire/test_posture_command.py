"""`sightline posture` beside a running desk, over a real store: set, listed, noticed, ended, audited."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest
from fakes.postgres import serving, state_dir

from adapters.postgres.store import PostgresStore
from gateway.commands.posture import parse_window, set_posture
from gateway.domain.alerting.rows import Posture, PostureLevel
from gateway.errors import UsageError
from gateway.rulebook import default_path, load
from gateway.runtime.clock import SystemClock
from gateway.runtime.postures import Postures

NOW = datetime(2026, 3, 2, 4, tzinfo=UTC)


async def test_a_posture_of_another_process_is_noticed_ended_and_audited() -> None:
    with state_dir() as state, serving(state) as (_, dsn, _):
        environ = os.environ | {"SIGHTLINE_STORE__STATE_DIR": str(state)}

        def sightline(*arguments: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [sys.executable, "-m", "gateway", "posture", *arguments],
                env=environ, capture_output=True, text=True, timeout=60, check=False,
            )  # fmt: skip

        def answer(*arguments: str) -> dict[str, object]:
            found: dict[str, object] = json.loads(sightline(*arguments, "--json").stdout)
            return found

        store = PostgresStore(dsn)
        await store.open()
        await store.migrate()
        postures = Postures(store, SystemClock(), load().postures)
        why = ("--reason", "重大活动")
        row = answer("set", "heightened", "--area", "610802001", "--for", "12h", *why)
        later = answer(
            "set", "routine", "--area", "all", "--from", ahead(1), "--until", ahead(2), *why
        )
        await postures.look()
        assert [one.id for one in postures.holding] == [row["id"]]
        assert [one["id"] for one in listed(answer("list"))] == [row["id"], later["id"]]
        assert [one["holds"] for one in listed(answer("list"))] == [True, False]
        rules = state / "rules.toml"
        windows = '[[postures]]\nname = "w"\nreason = "r"\nareas = ["g-none"]\n'
        rules.write_text(default_path().read_text("utf-8") + windows, "utf-8")
        environ["SIGHTLINE_EVENTS__RULES"] = str(rules)
        (problem,) = cast("list[str]", answer("list")["problems"])
        assert problem.startswith("postures.0 (w): areas: 'g-none' is neither")
        del environ["SIGHTLINE_EVENTS__RULES"]

        wrong = sightline("set", "heightened", "--area", "g-none", "--for", "1h", *why)
        assert (wrong.returncode, "--area" in wrong.stderr) == (2, True)
        assert sightline("end", str(row["id"])).returncode == 0
        assert sightline("end", str(row["id"])).returncode == 1
        await postures.look()
        assert postures.holding == ()
        lines = await store.audit()
        await store.close()
    assert [line.action for line in lines] == ["posture.end", "posture.set", "posture.set"]
    assert all(line.actor.startswith("cli:") for line in lines)


def ahead(hours: float) -> str:
    return (datetime.now(UTC) + timedelta(hours=hours)).isoformat()


def listed(answered: dict[str, object]) -> Sequence[dict[str, object]]:
    items = answered["items"]
    assert isinstance(items, list)
    return items


@pytest.mark.parametrize(
    ("begins", "ends", "span", "told"),
    [
        ("", "", "", "one of them"),
        ("", "2026-03-02T05:00:00Z", "1h", "one of them"),
        ("", "2026-03-02T03:00:00Z", "", "must lie ahead"),
        ("2026-03-03T00:00:00Z", "2026-03-02T05:00:00Z", "", "after --from"),
        ("soon", "", "1h", "--from"),
        ("", "", "1y", "--for"),
    ],
)
def test_a_window_has_one_end_that_lies_ahead(begins: str, ends: str, span: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        parse_window(begins, ends, span, NOW)


def test_a_window_may_begin_later() -> None:
    begins, ends = parse_window("2026-03-03T00:00:00Z", "", "12h", NOW)

    assert ends - begins == timedelta(hours=12)
    assert begins == datetime(2026, 3, 3, tzinfo=UTC)


async def test_nothing_is_stored_for_a_cell_that_the_archive_does_not_have() -> None:
    from adapters.memory import MemoryStore

    store = MemoryStore()
    await store.open()
    row = Posture("p", PostureLevel.HEIGHTENED, "g7", NOW, NOW + timedelta(hours=1), "x", "y")
    with pytest.raises(UsageError, match="nor a grid cell"):
        await set_posture(store, row)
    assert list(await store.events.postures(NOW)) == []
    assert list(await store.audit()) == []
