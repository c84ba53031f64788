"""`sightline config`: check, show and describe the settings."""

from typing import Annotated

import typer
from rich.table import Table

from gateway.commands.options import ConfigOption, JsonOption, out, print_json, settings_from
from gateway.errors import SettingsError
from gateway.reread import wrong_files
from gateway.settings import Settings, describe

config = typer.Typer(help="Check, show and describe the settings.", no_args_is_help=True)


@config.command()
def check(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Read the settings; exit 2 with every problem when something is wrong."""
    settings = settings_from(config)
    problems = wrong_files(settings)
    if problems:
        raise SettingsError(problems)
    if as_json:
        print_json({"ok": True, "file": None if config is None else str(config.absolute())})
    elif config is None:
        out.print("No settings file was named (--config): environment and defaults are good.")
    else:
        out.print(f"The settings are good: {config.absolute()}", highlight=False, soft_wrap=True)


@config.command()
def show(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show the settings in force; secrets are shown as stars."""
    values = settings_from(config).model_dump(mode="json")
    if as_json:
        print_json(values)
        return
    table = Table("Setting", "Value", "Meaning")
    for key, _, meaning in describe():
        section, *inner, name = key.split(".")
        if not inner:
            table.add_row(key, str(values[section][name]), meaning)
        for one, held in values[section].items() if inner else ():
            table.add_row(f"{section}.{one}.{name}", str(held[name]), meaning)
    out.print(table)


@config.command()
def schema(
    markdown: Annotated[bool, typer.Option(help="A table for the guide instead.")] = False,
) -> None:
    """Print the JSON Schema of the settings, for editors."""
    if markdown:
        typer.echo("| setting | default | meaning |\n| --- | --- | --- |")
        for key, default, meaning in describe():
            typer.echo(f"| `{key}` | `{default}` | {meaning} |")
    else:
        print_json(Settings.model_json_schema())
