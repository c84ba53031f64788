"""`sightline alerts` over a real store: dead letters found, sent again one by one and at once, audited."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime

from fakes.outbox import message, put
from fakes.postgres import serving, state_dir

from adapters.memory import MemoryStore
from adapters.postgres.store import PostgresStore
from gateway.dead_letters import ALL, PAGE, Letters, dead_letters, replay_all
from gateway.domain.alerting.rows import Alert, AlertPhase, AlertState

NOW = datetime(2026, 3, 2, 4, tzinfo=UTC)


def dead(
    key: str, reason: str = "401 Unauthorized", revision: int = 1, to: str = "center"
) -> Alert:
    return replace(
        message(key, revision, NOW, recipient=to),
        state=AlertState.DEAD, reason=reason, attempts=3, next_at=None,
    )  # fmt: skip


async def test_dead_letters_are_found_and_sent_again_and_each_call_is_audited() -> None:
    with state_dir() as state, serving(state) as (_, dsn, _):
        environ = os.environ | {"SIGHTLINE_STORE__STATE_DIR": str(state)}

        def sightline(*arguments: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [sys.executable, "-m", "gateway", "alerts", *arguments],
                env=environ, capture_output=True, text=True, timeout=60, check=False,
            )  # fmt: skip

        store = PostgresStore(dsn)
        await store.open()
        await store.migrate()
        one, two, gone = dead("a"), dead("b", to="duty"), dead("c", "410 Gone")
        over = dead("d", "410 Gone")
        told = replace(message("d", 2, NOW, AlertPhase.CLOSE), state=AlertState.DELIVERED)
        await put(store, one, two, gone, over, told)

        listed = json.loads(sightline("dead", "--reason", "unauthorized", "--json").stdout)
        assert ([row["id"] for row in listed["items"]], listed["more"]) == ([one.id, two.id], False)
        first = json.loads(sightline("dead", "--limit", "1", "--json").stdout)
        assert (len(first["items"]), first["more"]) == (1, True)
        assert "410 Gone" in sightline("dead", "--key", "c").stdout

        assert sightline("replay").returncode == 2
        assert sightline("replay", "--all", "--reason", "401").returncode == 2
        assert sightline("replay", "msg_none").returncode == 1
        assert sightline("replay", one.id).returncode == 0
        again = sightline("replay", one.id)
        assert (again.returncode, "is pending" in again.stderr) == (1, True)
        by_reason = json.loads(sightline("replay", "--reason", "401", "--json").stdout)
        assert by_reason == {"replayed": [two.id], "refused": [], "more": False}
        rest = json.loads(sightline("replay", "--all", "--json").stdout)
        assert (rest["replayed"], [row["id"] for row in rest["refused"]]) == ([gone.id], [over.id])
        assert "says more" in rest["refused"][0]["reason"]
        rows = {row.id: row for row in await store.events.alerts()}
        lines = await store.audit()
        await store.close()
    assert {rows[row.id].state for row in (one, two, gone)} == {AlertState.PENDING}
    assert rows[over.id].state is AlertState.DEAD
    assert rows[two.id].reason.startswith("replayed by cli:")
    assert [(line.action, line.target) for line in reversed(lines)] == [
        ("alert.replay", one.id),
        ("alert.replay", one.id),
        ("alert.replay", "dead-letters"),
        ("alert.replay", "dead-letters"),
    ]
    assert [line.detail for line in reversed(lines)][2:] == ["reason '401'", "all"]


async def filled(*rows: Alert) -> MemoryStore:
    store = MemoryStore()
    await store.open()
    await put(store, *rows)
    return store


async def test_letters_behind_the_first_page_are_found_too() -> None:
    rows = [dead(f"k{n}", "410 Gone" if n % 2 else "401") for n in range(PAGE + 9)]
    store = await filled(*rows)

    found = [alert.key async for alert in dead_letters(store, Letters(reason="gone"))]

    assert found == [row.key for row in rows if row.reason == "410 Gone"]
    behind = await store.events.alerts(limit=1)
    left = [alert async for alert in dead_letters(store, ALL, behind[0].cursor)]
    assert len(left) == len(rows) - 1


async def test_a_call_ends_and_says_that_there_are_more_and_refused_ones_do_not_fill_it() -> None:
    over = [dead(f"o{n}") for n in range(3)]
    newer = [replace(message(f"o{n}", 2, NOW), state=AlertState.DELIVERED) for n in range(3)]
    store = await filled(*over, *newer, *(dead(f"k{n}") for n in range(4)))

    first = await replay_all(store, ALL, NOW, "x", most=2)
    second = await replay_all(store, ALL, NOW, "x", most=2)
    third = await replay_all(store, ALL, NOW, "x", most=2)

    assert [len(one.again) for one in (first, second, third)] == [2, 2, 0]
    assert [one.more for one in (first, second, third)] == [True, False, False]
    assert {len(one.refused) for one in (second, third)} == {3}


async def test_two_dead_letters_of_one_incident_both_go_out_again() -> None:
    store = await filled(dead("k"), dead("k", revision=2))

    done = await replay_all(store, ALL, NOW, "x")

    assert [alert.revision for alert in done.again] == [1, 2]
