"""Building requests: the fixed bytes of the hot check, and templates made by zeep for the rest."""

import asyncio
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from xml.sax.saxutils import escape

from adapters.onvif.templates import MARKS
from gateway.errors import Unavailable

GSDT_BODY = (
    b'<?xml version="1.0" encoding="utf-8"?>'
    b'<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body>'
    b'<GetSystemDateAndTime xmlns="http://www.onvif.org/ver10/device/wsdl"/>'
    b"</s:Body></s:Envelope>"
)
"""Unsigned GetSystemDateAndTime; a test holds it against what zeep builds."""
GSDT_ACTION = "http://www.onvif.org/ver10/device/wsdl/GetSystemDateAndTime"


def headers(action: str) -> dict[str, str]:
    """HTTP headers of a SOAP 1.2 request."""
    return {"Content-Type": f'application/soap+xml; charset=utf-8; action="{action}"'}


GSDT_HEADERS: Mapping[str, str] = headers(GSDT_ACTION)
TEMPLATES_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Template:
    """One operation: its headers, and its envelope without and with a signature."""

    headers: Mapping[str, str]
    plain: str
    signed: str

    def fill(self, values: Mapping[str, str], *, signed: bool) -> bytes:
        """The envelope with its values, each escaped for XML."""
        text = self.signed if signed else self.plain
        for name, value in values.items():
            text = text.replace(MARKS[name], escape(value))
        return b'<?xml version="1.0" encoding="utf-8"?>' + text.encode()


def parse_templates(printed: bytes) -> dict[str, Template]:
    """The output of `adapters.onvif.templates`."""
    return {
        name: Template(headers(made["action"]), made["plain"], made["signed"])
        for name, made in json.loads(printed).items()
    }


class Codec:
    """The templates, made once by a child process at the first signed check.

    Not in this process: zeep and its WSDLs would stay in our memory for ever (65 MB).

    Args:
        ready: templates that were made before; no child is started then.
    """

    def __init__(self, ready: Mapping[str, Template] | None = None) -> None:
        self._ready = ready
        self._making: asyncio.Task[dict[str, Template]] | None = None

    async def templates(self) -> Mapping[str, Template]:
        """The templates; the first caller starts the child, the others wait with it.

        Raises:
            Unavailable: the child failed; the next call tries again.
        """
        if self._ready is not None:
            return self._ready
        if self._making is None or (self._making.done() and _failed(self._making)):
            self._making = asyncio.create_task(_made_by_child(), name="onvif templates")
        self._ready = await asyncio.shield(self._making)
        return self._ready

    async def close(self) -> None:
        """Stop a child that is still at work."""
        if self._making is not None and not self._making.done():
            self._making.cancel()
            await asyncio.gather(self._making, return_exceptions=True)


def _failed(task: asyncio.Task[dict[str, Template]]) -> bool:
    return task.cancelled() or task.exception() is not None


async def _made_by_child() -> dict[str, Template]:
    try:
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-I", "-W", "ignore", "-m", "adapters.onvif.templates"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    except OSError as error:
        raise Unavailable(f"the ONVIF templates cannot be made: {error.strerror}") from error
    try:
        async with asyncio.timeout(TEMPLATES_TIMEOUT_S):
            out, err = await child.communicate()
    except TimeoutError:
        raise Unavailable("the ONVIF templates were not made in time") from None
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode != 0:
        last = err.decode("utf-8", "replace").strip().rpartition("\n")[2]
        raise Unavailable(f"the ONVIF templates cannot be made: {last}")
    return parse_templates(out)
