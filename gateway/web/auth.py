"""Who is asking: bearer token or session cookie -> identity, checked against the route's access."""

from dataclasses import dataclass

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from gateway.ports import Role, Token
from gateway.web import problems
from gateway.web.access import ROLES, Access, declared_access
from gateway.web.context import WebContext
from gateway.web.problems import Problem
from gateway.web.signed import SIGNATURE, SignedPosts
from gateway.web.sources import SignedSources
from gateway.web.tokens import TokenBook

COOKIE = "sightline_session"
GUARD_HEADER = "X-Sightline"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
MAX_TOKEN_CHARS = 200


@dataclass(frozen=True, slots=True)
class Identity:
    """Who makes a request."""

    token: Token
    by_cookie: bool
    signed: bool = False
    """No token was shown: the request is signed by the center."""

    @property
    def role(self) -> Role:
        """The role of the token."""
        return self.token.role


CONTEXT = web.AppKey("context", WebContext)
TOKENS = web.AppKey("tokens", TokenBook)
SOURCES = web.AppKey("sources", SignedSources)
SIGNED = web.AppKey("signed", SignedPosts)
IDENTITY: web.RequestKey[Identity] = web.RequestKey("identity", Identity)


def secret_of(request: web.Request) -> tuple[str, bool]:
    """The presented token ("" = none) and whether the cookie brought it; the header wins."""
    scheme, _, value = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip(), False
    return request.cookies.get(COOKIE, ""), True


async def find_token(request: web.Request, secret: str) -> Token | None:
    """The valid token behind a secret, or None."""
    if not secret or len(secret) > MAX_TOKEN_CHARS or not secret.isascii():
        return None
    clock = request.app[CONTEXT].clock
    return await request.app[TOKENS].find(secret, clock.utc(clock.now()))


def challenge(kind: problems.Kind) -> Problem:
    """A 401 that says how to sign in."""
    error = ', error="invalid_token"' if kind is problems.BAD_TOKEN else ""
    return Problem(
        kind,
        "send `Authorization: Bearer <token>`; `sightline token create` makes one",
        headers={hdrs.WWW_AUTHENTICATE: f'Bearer realm="sightline"{error}'},
    )


def guard_cross_site(request: web.Request) -> None:
    """A page of another site can neither set this header nor send a bearer token."""
    if request.method not in SAFE_METHODS and request.headers.get(GUARD_HEADER) != "1":
        raise Problem(problems.CROSS_SITE, "calls that change something need `X-Sightline: 1`")


async def _signed(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A call of the center that is signed instead of carrying a token."""
    clock = request.app[CONTEXT].clock
    await request.app[SIGNED].verify(request, clock.now())
    sender = Token("signature", "center by signature", Role.CENTER, b"", clock.utc(clock.now()))
    request[IDENTITY] = Identity(sender, by_cookie=False, signed=True)
    return await handler(request)


async def _by_source(request: web.Request) -> None:
    await request.app[SOURCES].verify(request, request.app[CONTEXT])


async def _by_device(request: web.Request) -> None:
    """The door itself knows its devices, and a stranger is told nothing, not even no."""


WITHOUT_TOKEN = {Access.SIGNED: _by_source, Access.DEVICE: _by_device}
"""What no token opens."""


@web.middleware
async def authorize(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Deny by default: only a declared route, and only a role in its row of the table."""
    if request.match_info.http_exception is not None:
        return await handler(request)  # no such route or method: nothing to guard
    access = declared_access(request)
    if access is None:
        raise Problem(problems.WRONG_ROLE, "this route declares no role")
    if access in WITHOUT_TOKEN:
        await WITHOUT_TOKEN[access](request)
        return await handler(request)
    secret, by_cookie = secret_of(request)
    posted = access is Access.CENTER and request.method == "POST"
    if posted and not secret and SIGNATURE in request.headers:
        return await _signed(request, handler)
    if by_cookie:
        guard_cross_site(request)
    if access is Access.OPEN:
        return await handler(request)
    if not secret:
        raise challenge(problems.NO_TOKEN)
    token = await find_token(request, secret)
    if token is None:
        raise challenge(problems.BAD_TOKEN)
    request[IDENTITY] = Identity(token, by_cookie)
    if token.role not in ROLES[access]:
        allowed = ", ".join(sorted(ROLES[access]))
        raise Problem(problems.WRONG_ROLE, f"role {token.role} may not; these may: {allowed}")
    return await handler(request)
