"""The caller: session, identity; and for those who may: audit log and imports."""

from collections import Counter

from aiohttp import web

from gateway.ports import Token
from gateway.web import problems
from gateway.web.access import ROLES, Access, Route
from gateway.web.audited import ACCEPTED, append
from gateway.web.auth import (
    CONTEXT,
    COOKIE,
    IDENTITY,
    challenge,
    find_token,
    guard_cross_site,
    secret_of,
)
from gateway.web.ledger import read_body
from gateway.web.params import Params
from gateway.web.reply import send_json, send_page
from gateway.web.shapes import Json, row


def describe(token: Token) -> Json:
    """The caller, without the hash of the token."""
    may = [access for access in Access if token.role in ROLES[access]]
    return {
        "id": token.id,
        "name": token.name,
        "role": token.role,
        "expires_at": token.expires_at,
        "may": may,
    }


async def get_me(request: web.Request) -> web.Response:
    """GET /api/v1/me."""
    Params(request, ()).check()
    as_of = request.app[CONTEXT].projection.as_of
    return await send_json(request, describe(request[IDENTITY].token), as_of)


def is_https(request: web.Request) -> bool:
    """TLS here or at a proxy before us; a forged header can only make the cookie stricter."""
    return request.secure or request.headers.get("X-Forwarded-Proto", "").lower() == "https"


async def create_session(request: web.Request) -> web.Response:
    """POST /api/v1/session: the token as a cookie, because an EventSource can send no headers."""
    Params(request, ()).check()
    guard_cross_site(request)
    body = await read_body(request, ("token",))
    token = await find_token(request, body["token"])
    if token is None:
        raise challenge(problems.BAD_TOKEN)
    await append(request, token, "session.create", token.id, ACCEPTED)
    as_of = request.app[CONTEXT].projection.as_of
    response = await send_json(request, describe(token), as_of, status=201)
    # No Max-Age: it ends with the browser, or when the token does, which is checked on each call.
    # A wall that runs for weeks is not signed out.
    response.set_cookie(
        COOKIE,
        body["token"],
        path="/",
        httponly=True,
        samesite="Strict",
        secure=is_https(request),
    )
    return response


async def delete_session(request: web.Request) -> web.Response:
    """DELETE /api/v1/session: works with an expired token too, else nobody could sign out."""
    Params(request, ()).check()
    guard_cross_site(request)
    secret, _ = secret_of(request)
    token = await find_token(request, secret)
    if token is not None:
        await append(request, token, "session.delete", token.id, ACCEPTED)
    response = web.Response(status=204)
    response.del_cookie(
        COOKIE, path="/", httponly=True, samesite="Strict", secure=is_https(request)
    )
    return response


async def list_audit(request: web.Request) -> web.Response:
    """GET /api/v1/audit."""
    params = Params(request, {"limit", "cursor"})
    limit = params.limit()
    params.check()
    key = params.cursor((int,))
    context = request.app[CONTEXT]
    entries = await context.store.audit(limit + 1, None if key is None else key[0])
    shown = list(entries[:limit])
    after = [shown[-1].id] if len(entries) > limit else None
    items = [row(entry) for entry in shown]
    return await send_page(request, items, params.next_url(after), context.projection.as_of)


async def list_imports(request: web.Request) -> web.Response:
    """GET /api/v1/imports: what came in, with the repair list counted by severity."""
    params = Params(request, {"limit"})
    limit = params.number("limit", 20, 100)
    params.check()
    context = request.app[CONTEXT]
    items: list[Json] = []
    for record in await context.store.imports(limit):
        shown = row(record)
        shown["repairs"] = dict(Counter(repair.severity.value for repair in record.repairs))
        shown["counts"] = dict(record.counts)
        items.append(shown)
    return await send_page(request, items, None, context.projection.as_of)


ROUTES = (
    Route("GET", "/api/v1/me", get_me, Access.SIGNED_IN),
    Route("POST", "/api/v1/session", create_session, Access.OPEN),
    Route("DELETE", "/api/v1/session", delete_session, Access.OPEN),
    Route("GET", "/api/v1/audit", list_audit, Access.AUDIT),
    Route("GET", "/api/v1/imports", list_imports, Access.READ),
)
