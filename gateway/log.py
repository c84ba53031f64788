"""Logs: structlog, JSON off a terminal. Secrets cannot be printed; URLs lose their credentials."""

import logging
import re
import ssl
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

_CREDENTIALS = (
    (re.compile(r"//[^/@\s:]+:[^/@\s]+@"), "//***@"),
    (re.compile(r"/n/[a-z2-7]{16}\b"), "/n/***"),
    (re.compile(r"(?i)(authorization:?\s*)(\S+ ?)+"), r"\1***"),
    (re.compile(r"(?is)<((?:\w+:)?password)\b[^>]*>.*?</\1>"), r"<\1>***</\1>"),
)


def scrub(text: str) -> str:
    """Text without credentials in URLs, headers and SOAP, and without paths that devices push to."""
    for pattern, instead in _CREDENTIALS:
        text = pattern.sub(instead, text)
    return text


def _scrub_event(
    _logger: object, _name: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = scrub(value)
    return event


_HUNG_UP: tuple[tuple[str, type[Exception] | tuple[type[Exception], ...], str], ...] = (
    ("Fatal error on SSL", RuntimeError, "the handler is closed"),
    ("Error occurred during shutdown", RuntimeError, "the handler is closed"),
    ("Future exception was never retrieved", (ConnectionError, ssl.SSLError), ""),
)
"""What uvloop logs as an error when the other side resets a TLS connection: how the message begins,
what was raised, how its text ends. First two: uvloop still has bytes for a socket that it has closed
already. Last: nobody waits for the handshake any longer, since its time was over first."""


def calm_hang_ups(record: logging.LogRecord) -> bool:
    """Filter of asyncio's logger: what a device does to its connection is data, no error of ours.

    The check that asked the device has its verdict, which is counted; the line stays for debugging.
    """
    error = record.exc_info[1] if record.exc_info else None
    text = record.getMessage()
    for begins, kinds, ends in _HUNG_UP:
        if text.startswith(begins) and isinstance(error, kinds) and str(error).endswith(ends):
            record.levelno, record.levelname = logging.DEBUG, "DEBUG"
            return logging.getLogger().isEnabledFor(logging.DEBUG)
    return True


def configure(level: str = "info", fmt: str = "auto") -> None:
    """Set up structlog and the standard library's root logger, to standard error.

    Args:
        level: debug, info, warning or error.
        fmt: `json`, `console`, or `auto` (console on a terminal).
    """
    console = fmt == "console" or (fmt == "auto" and sys.stderr.isatty())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
        structlog.processors.format_exc_info,
        _scrub_event,
    ]
    renderer: Any = (
        structlog.dev.ConsoleRenderer() if console else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for noisy in ("asyncio", "aiohttp.access", "zeep"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    logging.getLogger("asyncio").addFilter(calm_hang_ups)
