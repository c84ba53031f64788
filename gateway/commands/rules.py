"""`sightline rules`: check the alert rules, and try declared cases on them like a test."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from gateway.commands.options import ConfigOption, JsonOption, out, print_json, settings_from
from gateway.domain.alerting.rules import RuleBook
from gateway.resources import data_dir
from gateway.rulebook import Outcome, default_path, load, load_cases, try_case

rules = typer.Typer(
    help="The alert rules: who is told about what, when and why.", no_args_is_help=True
)

RulesOption = Annotated[
    Path | None,
    typer.Option("--rules", help="Rule file; default: that of the settings (events.rules)."),
]


def _load(path: Path | None, config: Path | None) -> tuple[Path, RuleBook, tuple[str, ...]]:
    """File, rules, and the names of recipients that the settings know."""
    settings = settings_from(config)
    found = path or settings.events.rules or default_path()
    return found, load(found, settings.known_recipients), settings.known_recipients


@rules.command("check")
def check(
    file: RulesOption = None, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Read the rules and report every problem at once; shows them when they are sound."""
    path, book, _ = _load(file, config)
    if as_json:
        print_json({"file": str(path), "rules": [rule.name for rule in book.rules]})
        return
    table = Table("#", "rule", "kinds", "areas", "severity", "posture", "recipients", "delay")
    for n, rule in enumerate(book.rules, 1):
        table.add_row(
            str(n),
            Text(rule.name),
            " ".join(rule.kinds) or "all",
            " ".join(rule.areas) or "all",
            f">= {rule.severity}",
            " ".join(rule.postures) or "any",
            " ".join(rule.recipients) or ("feed only" if rule.tell else "nobody"),
            f"{rule.delay_s:g} s",
        )
    out.print(table)


@rules.command("test")
def try_cases(
    cases: Annotated[
        Path | None, typer.Argument(help="File of [[cases]]; default: those that come along.")
    ] = None,
    file: RulesOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Decide declared cases; exit 1 when one comes out otherwise than it expects."""
    _, book, known = _load(file, config)
    declared = load_cases(cases or data_dir("config") / "alert_rules.cases.toml")
    outcomes = [try_case(book, case, known) for case in declared]
    failed = [outcome for outcome in outcomes if outcome.differences]
    if as_json:
        print_json({"cases": len(outcomes), "failed": [_row(outcome) for outcome in failed]})
    else:
        for outcome in outcomes:
            mark = "[red]no[/]" if outcome.differences else "[green]ok[/]"
            out.print(f"{mark}  {outcome.case.name}: {outcome.decision.reason}", highlight=False)
            for text in outcome.differences:
                out.print(f"      {text}", highlight=False, markup=False)
    if failed:
        raise typer.Exit(1)


def _row(outcome: Outcome) -> dict[str, object]:
    return {
        "name": outcome.case.name,
        "differences": list(outcome.differences),
        "reason": outcome.decision.reason,
    }
