"""The console's static files at `/`: read once, tagged, packed; nothing outside the folder."""

import gzip
from dataclasses import dataclass
from pathlib import Path

from aiohttp import hdrs, web

from gateway.web import problems
from gateway.web.access import Access, Route
from gateway.web.problems import Problem
from gateway.web.reply import entity_tag, send

# Not `mimetypes`: it reads the host's tables, and some do not know .mjs.
TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".txt": "text/plain",
    ".json": "application/json",
}
NOT_SERVED = frozenset({"package.json", "package-lock.json", "node_modules", "lib.mjs"})
POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; worker-src 'self'; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
API_POLICY = "default-src 'none'; frame-ancestors 'none'"
MISSING = (
    "<!doctype html><meta charset=utf-8><title>Sightline</title>"
    "<p>控制台文件未安装。 The console files are not installed. API: /api/v1/openapi.json"
)


@dataclass(frozen=True, slots=True)
class Asset:
    """One file, ready to send."""

    stamp: tuple[int, int]
    body: bytes
    packed: bytes
    tag: str


class Console:
    """The folder of the console.

    Args:
        root: the folder; a missing one serves a page that says so.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()
        self._assets: dict[Path, Asset] = {}

    def find(self, name: str) -> Path | None:
        """The file behind a path of the address, None for anything that is not to be served."""
        parts = name.split("/")
        hidden = any(part in NOT_SERVED or part.startswith(".") or not part for part in parts)
        if hidden or "\\" in name or "\0" in name:
            return None
        path = (self._root / name).resolve()
        inside = path.is_relative_to(self._root)
        return path if inside and path.suffix in TYPES and path.is_file() else None

    def load(self, path: Path) -> Asset:
        """The content; read again when the file has changed."""
        about = path.stat()
        stamp = (about.st_mtime_ns, about.st_size)
        kept = self._assets.get(path)
        if kept is None or kept.stamp != stamp:
            body = path.read_bytes()
            kept = Asset(stamp, body, gzip.compress(body, 6, mtime=0), entity_tag(body))
            self._assets[path] = kept
        return kept


CONSOLE = web.AppKey("console", Console)


async def get_file(request: web.Request) -> web.Response:
    """GET / and the files of the console: no secret is in them, so no token is asked."""
    name = request.match_info.get("file", "") or "index.html"
    console = request.app[CONSOLE]
    path = console.find(name)
    if path is None and name == "index.html":
        return await send(request, MISSING.encode(), content_type="text/html")
    if path is None:
        raise Problem(problems.NOT_FOUND, "nothing is served under this path")
    asset = console.load(path)
    # The names carry no version, so a browser asks each time and is told "not modified".
    return await send(
        request,
        asset.body,
        content_type=TYPES[path.suffix],
        tag=asset.tag,
        gzipped=asset.packed,
        headers={hdrs.CACHE_CONTROL: "no-cache", hdrs.VARY: "Accept-Encoding"},
    )


def routes(taken: set[str]) -> tuple[Route, ...]:
    """The catch-all, except below the first path segments that others own.

    Without the exception a wrong method or a misspelt API path would meet the console.
    """
    others = "|".join(sorted(taken))
    pattern = rf"/{{file:(?!(?:{others})(?:/|$)).+}}"
    return (
        Route("GET", "/", get_file, Access.OPEN, documented=False),
        Route("GET", pattern, get_file, Access.OPEN, documented=False),
    )
