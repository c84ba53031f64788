"""Who may call what: every route declares it, and one that does not keeps the service from starting."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from aiohttp import web

from gateway.errors import UsageError
from gateway.ports import Role

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Access(StrEnum):
    """What a route asks of its caller."""

    OPEN = "open"
    """Anybody who reaches the port: health, aggregates, the interface document, static files."""
    SIGNED_IN = "signed_in"
    """Any valid token: questions about the caller itself."""
    READ = "read"
    """The fleet and its ledger."""
    OPERATE = "operate"
    """Whatever reaches a device or changes a row."""
    PLAN = "plan"
    """What takes long computing and is kept: expansion plans."""
    CENTER = "center"
    """What the comprehensive-management center is told, and its answers."""
    SIGNED = "signed"
    """Sensors and other systems that sign what they post (the HTTP intake); no token opens it."""
    DEVICE = "device"
    """Devices that push events: a path that cannot be guessed, and the device's own address."""
    AUDIT = "audit"
    """The audit log."""


ROLES: Mapping[Access, frozenset[Role]] = MappingProxyType(
    {
        Access.OPEN: frozenset(Role),
        Access.SIGNED_IN: frozenset(Role),
        Access.READ: frozenset(
            {Role.VIEWER, Role.OPERATOR, Role.PLANNER, Role.CENTER, Role.ADMIN},
        ),
        Access.OPERATE: frozenset({Role.OPERATOR, Role.ADMIN}),
        Access.PLAN: frozenset({Role.PLANNER, Role.ADMIN}),
        Access.CENTER: frozenset({Role.CENTER, Role.OPERATOR, Role.ADMIN}),
        Access.SIGNED: frozenset(),
        Access.DEVICE: frozenset(),
        Access.AUDIT: frozenset({Role.AUDITOR, Role.ADMIN}),
    }
)
"""The whole authorization of the service: one table, tested role by role."""


@dataclass(frozen=True, slots=True)
class Route:
    """One route of the application.

    Attributes:
        path: the aiohttp pattern; the same text stands in the OpenAPI document.
        access: who may call it; None is refused when the application is built.
        documented: False for the console's static files, which are no part of the interface.
    """

    method: str
    path: str
    handler: Handler
    access: Access | None = None
    documented: bool = True


Declared = dict[tuple[str, str], Access]
DECLARED = web.AppKey("declared", Declared)


def register(app: web.Application, routes: Iterable[Route]) -> None:
    """Add routes with their roles; a GET also answers HEAD.

    Raises:
        UsageError: a route declares no role.
    """
    declared: Declared = app.setdefault(DECLARED, {})
    for route in routes:
        if route.access is None:
            raise UsageError(f"{route.method} {route.path}: declares no role, so it is not served")
        added = [app.router.add_route(route.method, route.path, route.handler)]
        if route.method == "GET":
            added.append(app.router.add_route("HEAD", route.path, route.handler))
        for one in added:
            declared[(one.method, canonical(one.resource))] = route.access


def verify(app: web.Application) -> None:
    """Refuse an application in which any route escaped `register`.

    Raises:
        UsageError: names the first such route.
    """
    for route in app.router.routes():
        if (route.method, canonical(route.resource)) not in app[DECLARED]:
            path = canonical(route.resource)
            raise UsageError(f"{route.method} {path}: declares no role, so it is not served")


def declared_access(request: web.Request) -> Access | None:
    """What the matched route asks for; None = not declared, which is refused."""
    resource = request.match_info.route.resource
    return request.app[DECLARED].get((request.method, canonical(resource)))


def canonical(resource: web.AbstractResource | None) -> str:
    """The pattern of a resource as text."""
    return "" if resource is None else resource.canonical
