"""Recipients of the settings: each told by a deliverer of its own; a mistyped one is refused."""

import asyncio
import contextlib
from pathlib import Path

import pytest
from fakes.outbox import OLD_SECRET, SECRET
from typer.testing import CliRunner

from adapters.memory import MemoryStore
from adapters.virtual.center import VirtualCenter
from gateway.app import Service
from gateway.commands.config import config as config_command
from gateway.commands.rules import rules as rules_command
from gateway.domain.event import Event, EventKind, EventSource, SensorId
from gateway.errors import SettingsError
from gateway.feed import Feed
from gateway.inventory import Inventory
from gateway.projection import Projection
from gateway.runtime.center import make_deliverers
from gateway.runtime.clock import SystemClock
from gateway.runtime.desk_start import start_desk
from gateway.settings import Settings, load

RULES = """
[[rules]]
name = "life"
kinds = ["smoke"]
recipients = ["center"]
escalate_s = 0.3
escalate_to = ["duty"]
"""


def settings_file(folder: Path, rules: str, center: str = "", duty: str = "") -> Path:
    """Settings with a center and a duty office, and these rules."""
    (folder / "rules.toml").write_text(rules, encoding="utf-8")
    (folder / "center.secret").write_text(SECRET, encoding="ascii")
    (folder / "duty.secret").write_text(OLD_SECRET, encoding="ascii")
    path = folder / "sightline.toml"
    text = f'[store]\ndsn = "memory:"\n[events]\nrules = "{folder}/rules.toml"\n'
    for section, url, name in (("center", center, "center"), ("recipients.duty", duty, "duty")):
        if url:
            text += f'[{section}]\nurl = "{url}"\nsecret_file = "{folder}/{name}.secret"\n'
    path.write_text(text, encoding="utf-8")
    return path


async def started(settings: Settings, store: MemoryStore) -> None:
    """Start the desk of the settings, and nothing else."""
    clock = SystemClock()
    projection = Projection(Inventory(), clock.utc(clock.now()), Feed("e"))
    await start_desk(settings, store, clock, projection, Inventory(), ())


async def test_an_overdue_incident_reaches_those_it_is_escalated_to_with_their_own_secret(
    tmp_path: Path,
) -> None:
    clock, store = SystemClock(), MemoryStore()
    await store.open()
    async with VirtualCenter((SECRET,)) as center, VirtualCenter((OLD_SECRET,)) as duty:
        settings = load(settings_file(tmp_path, RULES, center.url, duty.url))
        projection = Projection(Inventory(), clock.utc(clock.now()), Feed("e"))
        desk = await start_desk(settings, store, clock, projection, Inventory(), ())
        deliverers = make_deliverers(settings, store, clock)
        now = clock.utc(clock.now())
        smoke = Event("a", EventSource.MQTT, EventKind.SMOKE, now, sensor=SensorId("s"))
        runs = [one.run for one in deliverers]
        tasks = [asyncio.create_task(run()) for run in (desk.run, *runs)]
        try:
            await desk.deliver([smoke])
            await center.until(1)
            await duty.until(1)
        finally:
            for task in tasks:
                task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.gather(*tasks)
            for one in deliverers:
                await one.close()

    assert [one.recipient for one in deliverers] == ["center", "duty"]
    (told,) = duty.messages
    assert told["type"] == "cn.sightline.incident.opened.v1"
    assert "not received by" in told["data"]["escalation"]
    assert (center.counts.forged, duty.counts.forged) == (0, 0)
    assert duty.heartbeats


async def test_the_service_runs_a_deliverer_for_each_recipient(tmp_path: Path) -> None:
    settings = load(settings_file(tmp_path, RULES, "http://127.0.0.1:9/", "http://127.0.0.1:9/"))
    store = MemoryStore()
    await store.open()
    service = Service(settings, store)
    pipeline = await service.prepare()

    assert {"deliverer", "deliverer duty", "unreached"} <= set(service.stages(pipeline))
    for one in service.deliverers:
        await one.close()
    await pipeline.close()


def test_a_recipient_without_a_secret_is_refused_by_its_own_name(tmp_path: Path) -> None:
    settings = load(settings_file(tmp_path, RULES, "", "http://127.0.0.1:9/"))
    (tmp_path / "duty.secret").unlink()

    with pytest.raises(SettingsError, match=r"recipients\.duty\.secret_file"):
        make_deliverers(settings, MemoryStore(), SystemClock())


async def test_the_service_does_not_start_with_a_mistyped_recipient(tmp_path: Path) -> None:
    settings = load(settings_file(tmp_path, RULES))
    store = MemoryStore()
    await store.open()

    with pytest.raises(SettingsError, match=r"rules\.0 \(life\): escalate_to: 'duty'"):
        await started(settings, store)


@pytest.mark.parametrize("verb", ["check", "test"])
def test_the_rules_commands_refuse_a_mistyped_recipient(tmp_path: Path, verb: str) -> None:
    path = settings_file(tmp_path, RULES.replace('"duty"', '"dutty"'), duty="http://127.0.0.1:9/")

    done = CliRunner().invoke(rules_command, [verb, "--config", str(path)])

    assert isinstance(done.exception, SettingsError)
    (problem,) = done.exception.problems
    assert problem.startswith("rules.0 (life): escalate_to: 'dutty' is no recipient")
    assert "center, duty" in problem


def test_the_rules_that_come_along_stay_valid_and_the_settings_are_checked_against_rules(
    tmp_path: Path,
) -> None:
    assert CliRunner().invoke(rules_command, ["test", "--json"]).exit_code == 0
    path = settings_file(tmp_path, RULES)
    done = CliRunner().invoke(config_command, ["check", "--config", str(path)])
    assert isinstance(done.exception, SettingsError)
    path = settings_file(tmp_path, RULES, duty="http://127.0.0.1:9/")
    shown = CliRunner().invoke(config_command, ["show", "--config", str(path)])
    assert CliRunner().invoke(config_command, ["check", "--config", str(path)]).exit_code == 0
    assert shown.exit_code == 0
    assert "recipients.duty.url" in shown.output
