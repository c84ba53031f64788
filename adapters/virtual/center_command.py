"""`sightline virtual center`: a center that receives, verifies, answers back, and misbehaves by a script."""

import asyncio
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from standardwebhooks.webhooks import EmptyWebhookSecretError

from adapters.virtual.center import Misbehaviour, VirtualCenter
from adapters.virtual.center_answers import Gateway
from adapters.virtual.center_script import PROPERLY, Script, read_script
from gateway.errors import UsageError

SECRETS_MOST: Final = 2
MUST_BE_NONE: Final = ("duplicated", "disordered", "forged")

Say = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Wish:
    """What the command line asked for.

    Attributes:
        script: how it misbehaves (`read_script`).
        lasts_s: how long it runs; 0 = until a signal.
    """

    secrets: tuple[str, ...]
    gateway: Gateway | None
    port: int
    log: Path | None
    script: str
    slow_s: float
    late_s: float
    retry_after_s: int
    lasts_s: float


def secrets_of(path: Path) -> tuple[str, ...]:
    """The secrets that the center trusts, one a line.

    Raises:
        UsageError: it cannot be read, or does not hold one or two secrets. Shows none.
    """
    found = tuple(_text_of(path, "--secret-file").split())
    if not 1 <= len(found) <= SECRETS_MOST or not all(one.startswith("whsec_") for one in found):
        msg = f"--secret-file: {path} does not hold one or two secrets `whsec_...`, one a line"
        raise UsageError(msg)
    return found


def script_of(given: str) -> str:
    """The text of a script that is a file, or stands on the command line itself."""
    path = Path(given)
    try:
        is_file = bool(given) and path.is_file()
    except OSError:  # longer than any name of a file
        is_file = False
    return _text_of(path, "--script") if is_file else given


def _text_of(path: Path, option: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{option}: {path}: cannot be read: {type(error).__name__}") from error


async def serve(wish: Wish, say: Say) -> dict[str, Any]:
    """Run a center to its end; returns what it counted.

    Raises:
        UsageError: the script is wrong, or a secret is none.
        OSError: the port is taken.
    """
    steps = read_script(wish.script)
    try:
        center = VirtualCenter(
            wish.secrets,
            gateway=wish.gateway,
            log=wish.log,
            slow_s=wish.slow_s,
            late_s=wish.late_s,
            retry_after_s=wish.retry_after_s,
        )
    except (ValueError, EmptyWebhookSecretError) as error:
        raise UsageError("--secret-file: a secret holds no base64") from error

    def told(event: dict[str, Any], behaviour: Misbehaviour | None) -> None:
        data = event["data"]
        say(
            {
                "event": "message",
                "answer": PROPERLY if behaviour is None else str(behaviour),
                "type": event["type"],
                "id": event["id"],
                "key": data.get("key", ""),
                "revision": data.get("revision", 0),
                "title": data.get("title", ""),
            }
        )

    stop = _on_signal()
    await center.start(wish.port)
    try:
        center.scripted = Script(steps, time.monotonic)
        center.on_genuine = told
        say({"event": "listening", "url": center.url, "steps": len(steps)})
        try:
            async with asyncio.timeout(wish.lasts_s or None):
                await stop.wait()
        except TimeoutError:
            pass
    finally:
        await center.close()
    report = center.report()
    say({"event": "counts", **report})
    return report


def _on_signal() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    return stop


def center_command(say_plain: Say, say_json: Say) -> Callable[..., None]:
    """The verb, with how it tells events."""

    def center(
        secret_file: Annotated[
            Path, typer.Option(help="the gateway's center.secret_file; two lines while replaced")
        ],
        port: Annotated[int, typer.Option(min=0, max=65_535, help="0 = a free one")] = 0,
        script: Annotated[
            str, typer.Option(help="how it misbehaves: a file, or the steps themselves")
        ] = "",
        slow: Annotated[float, typer.Option(min=0, help="how long `slow` takes, seconds")] = 1.0,
        late: Annotated[float, typer.Option(min=0, help="how long `late` takes, seconds")] = 11.0,
        retry_after: Annotated[int, typer.Option(min=0, help="what `busy` asks for, seconds")] = 1,
        gateway: Annotated[
            str, typer.Option(help="address of the gateway: receipts go there; none without")
        ] = "",
        token_file: Annotated[
            Path | None, typer.Option(help="token of role center; default: receipts are signed")
        ] = None,
        log: Annotated[
            Path | None, typer.Option(help="write each message here, one JSON line each")
        ] = None,
        lasts: Annotated[
            float, typer.Option("--for", min=0, help="seconds; 0 = until Ctrl-C")
        ] = 0.0,
        *,
        as_json: Annotated[bool, typer.Option("--json", help="tell events as JSON lines")] = False,
    ) -> None:
        """Serve a center on loopback that verifies, counts, answers back, and misbehaves by a script.

        Exit code 1: a message came under two ids, out of order, or with a signature that does not fit.
        """
        try:
            token = "" if token_file is None else _text_of(token_file, "--token-file").strip()
            wish = Wish(
                secrets_of(secret_file),
                Gateway(gateway.rstrip("/"), token) if gateway else None,
                port, log, script_of(script), slow, late, retry_after, lasts,
            )  # fmt: skip
            report = asyncio.run(serve(wish, say_json if as_json else say_plain))
        except UsageError as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(2) from error
        except OSError as error:
            typer.echo(f"the center cannot be served: {error}", err=True)
            raise typer.Exit(3) from error
        if any(report[name] for name in MUST_BE_NONE):
            raise typer.Exit(1)

    return center
