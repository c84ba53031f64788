"""`sightline alerts`: messages that could not be delivered, and sending them again."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from gateway.commands.audited import actor, audit_line
from gateway.commands.options import (
    ConfigOption,
    JsonOption,
    counted,
    local,
    out,
    print_json,
    run_async,
    settings_from,
)
from gateway.dead_letters import ALL, Letters, Replayed, dead_letters, replay, replay_all
from gateway.domain.alerting.rows import Alert
from gateway.errors import Refused, UsageError
from gateway.opening import open_store
from gateway.ports import Store

alerts = typer.Typer(help="Messages that could not be delivered.", no_args_is_help=True)
LIMIT = 100

ReasonOption = Annotated[str, typer.Option(help="A part of why they are dead, e.g. 401.")]
RecipientOption = Annotated[str, typer.Option(help="Recipient, by name, e.g. center.")]
KeyOption = Annotated[str, typer.Option(help="Key of one incident.")]


def shown(alert: Alert) -> dict[str, object]:
    """A dead letter for output, without what it says."""
    return {
        "id": alert.id,
        "key": alert.key,
        "revision": alert.revision,
        "phase": alert.phase.value,
        "recipient": alert.recipient,
        "created_at": alert.created_at.isoformat(),
        "attempts": alert.attempts,
        "reason": alert.reason,
    }


@alerts.command("dead")
def dead(
    reason: ReasonOption = "",
    recipient: RecipientOption = "",
    key: KeyOption = "",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Lines at most.")] = LIMIT,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the dead letters, oldest first: refused for good, or given up, and why."""
    found, more = run_async(_dead(config, Letters(reason, recipient, key), limit))
    if as_json:
        print_json({"items": [shown(alert) for alert in found], "more": more})
        return
    table = Table()
    for name in ("ID", "Recipient", "Incident", "Revision", "Planned", "Attempts", "Reason"):
        table.add_column(name, overflow="fold")
    for alert in found:
        table.add_row(
            alert.id,
            alert.recipient,
            Text(alert.key),
            f"{alert.revision} {alert.phase}",
            local(alert.created_at),
            str(alert.attempts),
            Text(alert.reason),
        )
    out.print(table)
    if more:
        out.print(f"More than {limit}: narrow it down, or raise --limit.", highlight=False)


async def _dead(config: Path | None, wanted: Letters, limit: int) -> tuple[list[Alert], bool]:
    found: list[Alert] = []
    async with open_store(settings_from(config), create=False) as store:
        async for alert in dead_letters(store, wanted):
            if len(found) == limit:
                return found, True
            found.append(alert)
    return found, False


@alerts.command("replay")
def replay_(
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="As `alerts dead` shows them.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All dead letters.")] = False,
    reason: ReasonOption = "",
    recipient: RecipientOption = "",
    key: KeyOption = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send dead letters again, with their ids. A running service does so within seconds."""
    wanted = Letters(reason, recipient, key)
    if [bool(ids), everything, wanted != ALL].count(True) != 1:
        raise UsageError(
            "name ids, or what to find them by (--reason, --recipient, --key), or --all"
        )
    done = run_async(_replay(config, ids or [], wanted))
    refused = [{"id": alert.id, "key": alert.key, "reason": why} for alert, why in done.refused]
    if as_json:
        again = [alert.id for alert in done.again]
        print_json({"replayed": again, "refused": refused, "more": done.more})
    else:
        more = "; there are more: call again" if done.more else ""
        typer.echo(f"{counted(len(done.again), 'message')} will be sent again{more}")
        for alert, why in done.refused:
            typer.echo(f"not {alert.id}: {why}", err=True)
    if ids and refused:
        raise typer.Exit(1)


async def _replay(config: Path | None, ids: list[str], wanted: Letters) -> Replayed:
    async with open_store(settings_from(config), create=False) as store:
        return await (replay_ids(store, ids) if ids else replay_found(store, wanted))


async def replay_found(store: Store, wanted: Letters) -> Replayed:
    """Send all that match again; the audit line comes first."""
    await audit_line(store, "alert.replay", "dead-letters", result="accepted", detail=str(wanted))
    return await replay_all(store, wanted, datetime.now(UTC), actor())


async def replay_ids(store: Store, ids: list[str]) -> Replayed:
    """Send these again; an audit line comes before each.

    Raises:
        Refused: no message has one of the ids; none was sent then.
    """
    found: list[Alert] = []
    for one in dict.fromkeys(ids):
        alert = await store.events.alert(one)
        if alert is None:
            raise Refused(f"no message has the id {one}")
        found.append(alert)
    again, refused = [], []
    for alert in sorted(found, key=lambda alert: alert.cursor):
        await audit_line(store, "alert.replay", alert.id, result="accepted", detail=alert.key)
        try:
            again.append(await replay(store, alert, datetime.now(UTC), actor()))
        except Refused as error:
            refused.append((alert, str(error)))
    return Replayed(tuple(again), tuple(refused))
