"""The `sightline` command: verbs of `gateway.commands`, and those that adapters bring along.

Exit codes: 0 done, 1 the answer is "no", 2 the call was wrong, 3 our own trouble.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from typing import Any

import typer
from rich.console import Console
from typer.exceptions import TyperException

from gateway.commands.options import print_json
from gateway.errors import Refused, SettingsError, SightlineError, Unavailable, UsageError
from gateway.log import scrub
from gateway.registry import get, names

DONE, NO, WRONG, TROUBLE = 0, 1, 2, 3


VERBS = {
    "run": "gateway.commands.run:run",
    "import": "gateway.commands.import_:import_archive",
    "probe": "gateway.commands.probe:probe",
    "report": "gateway.commands.report:report",
    "plan": "gateway.commands.plan:plan",
    "plans": "gateway.commands.plans:plans",
    "coverage": "gateway.commands.coverage:coverage",
    "doctor": "gateway.commands.doctor:doctor",
    "config": "gateway.commands.config:config",
    "migrate": "gateway.commands.migrate:migrate",
    "backup": "gateway.commands.backup:backup",
    "keys": "gateway.commands.keys:keys",
    "token": "gateway.commands.token:token",
    "audit": "gateway.commands.audit:audit",
    "posture": "gateway.commands.posture:posture",
    "alerts": "gateway.commands.alerts:alerts",
    "mute": "gateway.commands.mute:mute",
    "takeover": "gateway.commands.takeover:takeover",
    "rules": "gateway.commands.rules:rules",
}
"""Where each verb lives. Only the one that is called is loaded: the service must stay small."""


def build(wanted: str = "") -> typer.Typer:
    """The command with one verb, or with all of them when `wanted` is none of them."""
    app = typer.Typer(
        name="sightline",
        help="Watch a district's cameras: poll them over ONVIF, keep a truthful ledger of outages.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
    )
    app.callback()(_top)
    brought = names("sightline.commands")
    every = [*VERBS, *brought]
    for verb in [wanted] if wanted in every else every:
        command = get("sightline.commands", verb) if verb in brought else _load(VERBS[verb])
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=verb)
        else:
            app.command(verb)(command)
    return app


def _load(place: str) -> Any:  # noqa: ANN401 - a function or a typer group
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)


def _top(
    show_version: bool = typer.Option(False, "--version", help="Print the version and end."),
) -> None:
    if show_version:
        typer.echo(f"sightline {version('sightline')}")
        raise typer.Exit


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a verb and exit with its code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    command = typer.main.get_command(build(arguments[0] if arguments else ""))
    if arguments == ["--version"]:
        typer.echo(f"sightline {version('sightline')}")
        sys.exit(DONE)
    try:
        code = command.main(args=arguments, prog_name="sightline", standalone_mode=False)
    except typer.Abort:
        code = TROUBLE
    except TyperException as error:  # a misspelt option, a missing argument
        code = _wrong_call(error.format_message(), arguments)
    except SightlineError as error:
        code = _tell(error, as_json="--json" in arguments)
    except ExceptionGroup as group:  # what ended the service
        code = _tell(_first(group), as_json="--json" in arguments)
    except OSError as error:  # a port that is taken, a folder that cannot be written
        code = _tell(Unavailable(_said(error)), as_json="--json" in arguments)
    except KeyboardInterrupt:
        code = DONE
    sys.exit(code if isinstance(code, int) else DONE)


def _first(group: ExceptionGroup[Exception]) -> SightlineError:
    """The first error of ours in a group.

    Raises:
        ExceptionGroup: there is none: it is a mistake of the program.
    """
    ours = group.subgroup(SightlineError)
    if ours is None:
        raise group
    found: BaseException = ours
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found if isinstance(found, SightlineError) else SightlineError(str(found))


def _said(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error}"


def _wrong_call(message: str, arguments: Sequence[str]) -> int:
    """Say what is wrong with a call, and where help is; a bare verb has shown its help already."""
    if not message:
        return WRONG
    known = {*VERBS, *names("sightline.commands")} & set(arguments[:1])
    command = " ".join(["sightline", *known])
    sentence = " ".join(message.split()).rstrip(".")
    wrong = UsageError(f"{sentence}; see `{command} --help`")
    return _tell(wrong, as_json="--json" in arguments)


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
