"""JSON out: one envelope, weak entity tags, gzip; nothing large is compressed on the loop."""

import asyncio
import gzip
import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, TypeVar

import orjson
from aiohttp import hdrs, web

Row = TypeVar("Row")
Shaped = TypeVar("Shaped")

GZIP_FROM = 1024
"""Smaller bodies fit one packet anyway."""
GZIP_INLINE_MAX = 128 * 1024
"""Up to here level 1 costs about a millisecond; above it runs in a thread, which waits for a busy
loop to let go of the interpreter, so that a small body would get there later than by itself."""
SLICE = 200
"""Rows shaped in one go: about two milliseconds."""
READS = frozenset({"GET", "HEAD"})
AS_OF_HEADER = "Sightline-As-Of"

_OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS


def iso(at: datetime | None) -> str | None:
    """ISO 8601 UTC ending in Z."""
    return None if at is None else at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def encode(value: Any) -> bytes:  # noqa: ANN401 - anything orjson takes
    """JSON; frozensets become sorted lists."""
    return orjson.dumps(value, default=_plain, option=_OPTIONS)


def _plain(value: Any) -> Any:  # noqa: ANN401 - orjson's hook
    if isinstance(value, frozenset | set):
        return sorted(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(type(value).__name__)


def entity_tag(content: bytes) -> str:
    """The opaque part of a weak tag."""
    return hashlib.blake2b(content, digest_size=12).hexdigest()


async def in_slices(rows: Sequence[Row], shape: Callable[[Row], Shaped]) -> list[Shaped]:
    """Shape the rows of a page, giving the loop a turn every `SLICE` rows."""
    shaped: list[Shaped] = []
    for first in range(0, len(rows), SLICE):
        if first:
            await asyncio.sleep(0)
        shaped.extend(map(shape, rows[first : first + SLICE]))
    return shaped


def wants_gzip(request: web.Request) -> bool:
    """The client takes gzip."""
    for part in request.headers.get(hdrs.ACCEPT_ENCODING, "").lower().split(","):
        name, _, q = part.strip().partition(";")
        if name in {"gzip", "*"}:
            return q.replace(" ", "") not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
    return False


def not_modified(request: web.Request, tag: str) -> bool:
    """The client holds this very content (weak comparison)."""
    known = request.if_none_match or ()
    return any(one.value in {tag, "*"} for one in known)


async def send(
    request: web.Request,
    body: bytes,
    *,
    content_type: str = "application/json",
    tag: str | None = None,
    gzipped: bytes | None = None,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """Answer with a body, a tag, and gzip where the client takes it.

    Args:
        request: decides on tag and compression.
        body: not compressed.
        content_type: without charset; text is UTF-8.
        tag: opaque part of the weak entity tag; default: the hash of the body.
        gzipped: the body compressed beforehand, if somebody keeps it.
        status: HTTP status; only a 200 is tagged.
        headers: further ones; they win over ours.
    """
    sent = {
        hdrs.VARY: "Accept-Encoding, Authorization, Cookie",
        hdrs.CACHE_CONTROL: "private, no-cache" if request.method in READS else "no-store",
        **(headers or {}),
    }
    if request.method in READS and status == 200:  # noqa: PLR2004 - HTTP's OK
        tag = tag or entity_tag(body)
        sent[hdrs.ETAG] = f'W/"{tag}"'
        if not_modified(request, tag):
            return web.Response(status=304, headers=sent)
    if len(body) >= GZIP_FROM and wants_gzip(request):
        if gzipped is None and len(body) <= GZIP_INLINE_MAX:
            gzipped = gzip.compress(body, 1, mtime=0)
        elif gzipped is None:
            gzipped = await asyncio.to_thread(gzip.compress, body, 1, mtime=0)
        body = gzipped
        sent[hdrs.CONTENT_ENCODING] = "gzip"
    charset = "utf-8" if content_type.startswith("text/") else None
    return web.Response(
        body=body, status=status, content_type=content_type, charset=charset, headers=sent
    )


async def send_json(
    request: web.Request,
    content: Mapping[str, Any],
    as_of: datetime | None,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """Answer with an object and its `as_of`.

    The entity tag leaves `as_of` out: the same content a second later is still "not modified", and
    header `Sightline-As-Of` says how fresh it is, on a 304 too.
    """
    body = encode(content)
    tag = entity_tag(body)
    stamp = iso(as_of)
    whole = body[:-1] + (b"," if content else b"") + b'"as_of":' + orjson.dumps(stamp) + b"}"
    sent = {**({AS_OF_HEADER: stamp} if stamp else {}), **(headers or {})}
    return await send(request, whole, tag=tag, status=status, headers=sent)


async def send_page(
    request: web.Request, items: list[Any], next_url: str | None, as_of: datetime | None
) -> web.Response:
    """Answer with a page: `{"items", "next", "as_of"}` and the RFC 8288 link to the next one."""
    headers = {"Link": f'<{next_url}>; rel="next"'} if next_url else {}
    return await send_json(request, {"items": items, "next": next_url}, as_of, headers=headers)
