"""Builds the aiohttp application and serves it."""

from collections.abc import Iterable
from pathlib import Path

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from gateway.metrics import HTTP_REQUESTS
from gateway.resources import data_dir
from gateway.web import (
    alert_stream,
    cameras,
    center,
    console,
    coverage,
    coverage_map,
    coverage_trust,
    events,
    health,
    intake,
    ledger,
    overview,
    people,
    plans,
    stream,
    takeover,
)
from gateway.web.access import Access, Route, canonical, register, verify
from gateway.web.alert_watch import WATCH, AlertWatch
from gateway.web.auth import CONTEXT, SIGNED, SOURCES, TOKENS, authorize
from gateway.web.cameras import CHECKS
from gateway.web.console import API_POLICY, CONSOLE, POLICY, Console
from gateway.web.context import WebContext
from gateway.web.device_metrics import DevicePage
from gateway.web.health import DEVICE_METRICS, METRICS, DeviceMetrics, MetricsPage
from gateway.web.limits import RateLimit
from gateway.web.ogc import routes as ogc
from gateway.web.overview import KEPT, Kept
from gateway.web.params import Params
from gateway.web.problems import as_problem
from gateway.web.reply import send
from gateway.web.signed import SignedPosts
from gateway.web.sources import SignedSources
from gateway.web.stream import STREAM, StreamLimits, Streams
from gateway.web.tokens import TokenBook

BODY_MAX = 64 * 1024
SHUTDOWN_S = 3.0
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}
DOCUMENT = web.AppKey("document", bytes)


async def get_document(request: web.Request) -> web.Response:
    """GET /api/v1/openapi.json."""
    Params(request, ()).check()
    return await send(request, request.app[DOCUMENT])


INTERFACE: tuple[Route, ...] = (
    *health.ROUTES,
    *cameras.ROUTES,
    *takeover.ROUTES,
    *ledger.ROUTES,
    *coverage.ROUTES,
    *events.ROUTES,
    *center.ROUTES,
    *coverage_map.ROUTES,
    *coverage_trust.ROUTES,
    *intake.ROUTES,
    *overview.ROUTES,
    *people.ROUTES,
    *plans.ROUTES,
    *stream.ROUTES,
    *alert_stream.ROUTES,
    *ogc.ROUTES,
    Route("GET", "/api/v1/openapi.json", get_document, Access.OPEN),
)


def build(
    context: WebContext,
    *,
    limits: StreamLimits | None = None,
    more: Iterable[Route] = (),
    console_dir: Path | None = None,
) -> web.Application:
    """The whole web side of the service.

    Args:
        context: what the routes are given.
        limits: bounds of the streams.
        more: further routes; each must declare its role.
        console_dir: the console's files; default: those of the installation.

    Raises:
        UsageError: a route declares no role.
    """
    app = web.Application(middlewares=[observe, as_problem, authorize], client_max_size=BODY_MAX)
    app[CONTEXT] = context
    app[TOKENS] = TokenBook(context.store.tokens, context.clock.now)
    app[SIGNED] = SignedPosts(context.center_secrets)
    app[CHECKS] = RateLimit(context.settings.web.check_rate)
    app[SOURCES] = SignedSources(context.intake)
    app[intake.INTAKE_RATE] = RateLimit(context.settings.intake.rate)
    app[intake.DONE] = intake.Done()
    app[METRICS] = MetricsPage()
    app[KEPT] = Kept()
    app[STREAM] = Streams(context.projection, limits or StreamLimits())
    app[WATCH] = AlertWatch(context.store)
    context.alerts_committed.append(app[WATCH].wake)
    app[DOCUMENT] = (data_dir("config") / "openapi.json").read_bytes()
    ogc.prepare(app, app[DOCUMENT])
    app[CONSOLE] = Console(console_dir or data_dir("dashboards") / "console")
    if context.settings.web.device_metrics:
        page = DevicePage(context.projection)
        app[DEVICE_METRICS] = DeviceMetrics(page, context.settings.poll.cadence_s)
        app.cleanup_ctx.append(health.keep_device_metrics)
    interface = (*INTERFACE, *more)
    register(app, interface)
    register(app, console.routes({route.path.split("/")[1] for route in interface}))
    app.on_response_prepare.append(add_security_headers)
    app.on_shutdown.append(stream.end_streams)
    app.on_cleanup.append(close_tokens)
    verify(app)
    return app


async def close_tokens(app: web.Application) -> None:
    """Stop reading tokens."""
    await app[TOKENS].close()


async def add_security_headers(request: web.Request, response: web.StreamResponse) -> None:
    """On every answer, errors and streams included."""
    is_page = request.match_info.handler is console.get_file
    response.headers.setdefault("Content-Security-Policy", POLICY if is_page else API_POLICY)
    for name, value in SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.popall(hdrs.SERVER, None)


@web.middleware
async def observe(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Count the answers by route (never by address) and status class."""
    status = 500
    try:
        response = await handler(request)
    except web.HTTPException as error:
        status = error.status
        raise
    else:
        status = response.status
        return response
    finally:
        known = request.match_info.http_exception is None
        route = canonical(request.match_info.route.resource) if known else "unmatched"
        HTTP_REQUESTS.labels(route, f"{status // 100}xx").inc()


async def serve(app: web.Application, host: str, port: int) -> tuple[web.AppRunner, int]:
    """Listen; the caller ends it with `await runner.cleanup()`.

    Returns:
        The runner and the port really taken (for port 0).

    Raises:
        OSError: the address cannot be listened on.
    """
    runner = web.AppRunner(
        app, access_log=None, handler_cancellation=True, shutdown_timeout=SHUTDOWN_S
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
    except BaseException:
        await runner.cleanup()
        raise
    return runner, int(runner.addresses[0][1])
