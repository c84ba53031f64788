"""The `sightline` command: verbs of `gateway.commands`, and those that adapters bring along.

Exit codes: 0 done, 1 the answer is "no", 2 the call was wrong, 3 our own trouble.
"""

import sys
from collections.abc import Sequence
from importlib.metadata import version

import click
import typer
from rich.console import Console

from gateway.commands.audit import audit
from gateway.commands.backup import backup
from gateway.commands.config import config
from gateway.commands.doctor import doctor
from gateway.commands.import_ import import_archive
from gateway.commands.keys import keys
from gateway.commands.migrate import migrate
from gateway.commands.options import print_json
from gateway.commands.probe import probe
from gateway.commands.report import report
from gateway.commands.run import run
from gateway.commands.token import token
from gateway.errors import Refused, SettingsError, SightlineError, UsageError
from gateway.log import scrub
from gateway.registry import get, names

DONE, NO, WRONG, TROUBLE = 0, 1, 2, 3


def build() -> typer.Typer:
    """All verbs."""
    app = typer.Typer(
        name="sightline",
        help="Watch a district's cameras: poll them over ONVIF, keep a truthful ledger of outages.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
    )
    app.callback()(_top)
    app.command("run")(run)
    app.command("import")(import_archive)
    app.command("probe")(probe)
    app.command("report")(report)
    app.command("doctor")(doctor)
    app.command("migrate")(migrate)
    app.command("backup")(backup)
    app.command("audit")(audit)
    app.add_typer(config, name="config")
    app.add_typer(keys, name="keys")
    app.add_typer(token, name="token")
    for name in names("sightline.commands"):
        command = get("sightline.commands", name)
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name)
        else:
            app.command(name)(command)
    return app


def _top(
    show_version: bool = typer.Option(False, "--version", help="Print the version and end."),
) -> None:
    if show_version:
        typer.echo(f"sightline {version('sightline')}")
        raise typer.Exit


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a verb and exit with its code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    command = typer.main.get_command(build())
    if arguments == ["--version"]:
        typer.echo(f"sightline {version('sightline')}")
        sys.exit(DONE)
    try:
        code = command.main(args=arguments, prog_name="sightline", standalone_mode=False)
    except click.exceptions.Abort:
        code = TROUBLE
    except click.ClickException as error:
        error.show()
        code = WRONG
    except SightlineError as error:
        code = _tell(error, as_json="--json" in arguments)
    except KeyboardInterrupt:
        code = DONE
    sys.exit(code if isinstance(code, int) else DONE)


def _tell(error: SightlineError, *, as_json: bool) -> int:
    code = WRONG if isinstance(error, UsageError) else NO if isinstance(error, Refused) else TROUBLE
    problems = error.problems if isinstance(error, SettingsError) else [str(error)]
    problems = [scrub(p) for p in problems]
    if as_json:
        print_json({"error": type(error).__name__, "problems": problems})
    console = Console(stderr=True)
    for problem in problems:
        console.print(f"[red]sightline:[/] {problem}", highlight=False, soft_wrap=True)
    return code
