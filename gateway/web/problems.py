"""Every error as `application/problem+json` (RFC 9457), by one table and one middleware.

`type` is a URN, not an address: the service runs where nothing can be looked up on the Internet.
The names are documented in docs/guide/api.md.
"""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, NamedTuple

import orjson
import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from gateway.errors import Conflict, Refused, StoreUnavailable, Unavailable

URN = "urn:sightline:problem:"
MEDIA_TYPE = "application/problem+json"

log = structlog.get_logger("sightline.web")


class Kind(NamedTuple):
    """A documented kind of problem."""

    name: str
    status: HTTPStatus
    title: str


BAD_PARAMETERS = Kind("bad-parameters", HTTPStatus.BAD_REQUEST, "Parameters are wrong")
BAD_BODY = Kind("bad-body", HTTPStatus.BAD_REQUEST, "The body is not what this call takes")
BAD_CURSOR = Kind("bad-cursor", HTTPStatus.BAD_REQUEST, "The cursor is not one of ours")
NO_TOKEN = Kind("no-token", HTTPStatus.UNAUTHORIZED, "A token is needed")
BAD_TOKEN = Kind("bad-token", HTTPStatus.UNAUTHORIZED, "The token is not valid (any more)")
BAD_SIGNATURE = Kind("bad-signature", HTTPStatus.UNAUTHORIZED, "The signature does not fit")
WRONG_TOPIC = Kind("wrong-topic", HTTPStatus.FORBIDDEN, "Not a topic of this source")
WRONG_ROLE = Kind("wrong-role", HTTPStatus.FORBIDDEN, "The role of this token may not do this")
CROSS_SITE = Kind("cross-site", HTTPStatus.FORBIDDEN, "Header X-Sightline: 1 is needed")
NOT_FOUND = Kind("not-found", HTTPStatus.NOT_FOUND, "There is no such thing")
SWITCHED_OFF = Kind("switched-off", HTTPStatus.NOT_FOUND, "Switched off by a setting")
BAD_METHOD = Kind("bad-method", HTTPStatus.METHOD_NOT_ALLOWED, "Not with this method")
REFUSED = Kind("refused", HTTPStatus.CONFLICT, "The answer is no")
CONFLICT = Kind("conflict", HTTPStatus.CONFLICT, "Changed meanwhile, or there already")
TOO_LARGE = Kind("too-large", HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The body is too large")
NOT_JSON = Kind("not-json", HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "The body must be JSON")
TOO_MANY = Kind("too-many-requests", HTTPStatus.TOO_MANY_REQUESTS, "Too many requests")
OUR_TROUBLE = Kind("our-trouble", HTTPStatus.INTERNAL_SERVER_ERROR, "Our own trouble")
STORE_AWAY = Kind("store-unavailable", HTTPStatus.SERVICE_UNAVAILABLE, "The store does not answer")
UNAVAILABLE = Kind("unavailable", HTTPStatus.SERVICE_UNAVAILABLE, "Not now")
NOT_READY = Kind("not-ready", HTTPStatus.SERVICE_UNAVAILABLE, "Not ready")
NO_PROGRESS = Kind("no-progress", HTTPStatus.SERVICE_UNAVAILABLE, "No progress")
TOO_MANY_STREAMS = Kind("too-many-streams", HTTPStatus.SERVICE_UNAVAILABLE, "Streams are all taken")
OTHER = Kind("http", HTTPStatus.BAD_REQUEST, "Bad request")

KINDS: tuple[Kind, ...] = tuple(v for v in list(globals().values()) if isinstance(v, Kind))
_BY_STATUS: Mapping[int, Kind] = {
    404: NOT_FOUND,
    405: BAD_METHOD,
    413: TOO_LARGE,
    415: NOT_JSON,
}


class Problem(Exception):
    """An answer that is an error.

    Args:
        kind: one of the documented kinds.
        detail: one sentence for the caller, without secrets.
        errors: what is wrong, by parameter: `{"name": ..., "reason": ...}`.
        reasons: why we are not ready, in plain sentences.
        headers: to send along (`Retry-After`, `WWW-Authenticate`, `Allow`).
    """

    def __init__(
        self,
        kind: Kind,
        detail: str = "",
        *,
        errors: Sequence[Mapping[str, str]] = (),
        reasons: Sequence[str] = (),
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail or kind.title)
        self.kind = kind
        self.detail = detail
        self.members: dict[str, Any] = dict(extra or {})
        if errors:
            self.members["errors"] = list(errors)
        if reasons:
            self.members["reasons"] = list(reasons)
        self.headers = dict(headers or {})


def render(problem: Problem, instance: str, status: int | None = None) -> web.Response:
    """The response of a problem; `instance` is the path asked for."""
    kind = problem.kind
    code = kind.status.value if status is None else status
    document: dict[str, Any] = {
        "type": URN + kind.name,
        "title": kind.title,
        "status": code,
        "instance": instance,
    }
    if problem.detail:
        document["detail"] = problem.detail
    document.update(problem.members)
    return web.Response(
        body=orjson.dumps(document),
        status=code,
        content_type=MEDIA_TYPE,
        headers={**problem.headers, hdrs.CACHE_CONTROL: "no-store"},
    )


def from_error(error: Exception) -> Problem:
    """The documented problem for an error of the tree in `gateway.errors`."""
    match error:
        case Problem():
            return error
        case StoreUnavailable():
            detail = "the system of record does not answer now; nothing was lost, try again"
            return Problem(STORE_AWAY, detail, headers={"Retry-After": "5"})
        case Unavailable():
            return Problem(UNAVAILABLE, str(error), headers={"Retry-After": "1"})
        case Conflict():
            return Problem(CONFLICT, str(error))
        case Refused():
            return Problem(REFUSED, str(error))
        case web.HTTPException():
            kind = _BY_STATUS.get(error.status, OTHER)
            kept = {k: v for k, v in error.headers.items() if k in {"Allow", "Retry-After"}}
            return Problem(kind, "" if kind.status == error.status else error.reason, headers=kept)
        case _:
            return Problem(OUR_TROUBLE, "it was logged; the service goes on")


@web.middleware
async def as_problem(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn whatever a handler raises into a problem document."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < HTTPStatus.BAD_REQUEST:
            raise
        return render(from_error(error), request.path, error.status)
    except Exception as error:
        problem = from_error(error)
        if problem.kind is OUR_TROUBLE:
            log.exception("request failed", method=request.method, path=request.path)
        return render(problem, request.path)
