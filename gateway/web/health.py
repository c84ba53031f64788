"""For machines that watch us: liveness, readiness, metrics, and the probe of one camera."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress

import structlog
from aiohttp import web
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from gateway.domain.camera import ChannelId
from gateway.domain.ledger import State
from gateway.domain.observation import Answer, Verdict
from gateway.metrics import CHANNELS, REGISTRY
from gateway.projection import ChannelView, Dimension, Projection
from gateway.web import problems
from gateway.web.access import Access, Route
from gateway.web.audited import audited
from gateway.web.auth import CONTEXT
from gateway.web.cameras import take_check
from gateway.web.device_metrics import DevicePage, label
from gateway.web.params import Params
from gateway.web.problems import Problem
from gateway.web.reply import iso, send, send_json

CADENCES_WITHOUT_PROGRESS = 3
METRICS_KEPT_S = 1.0
SCRAPED_WITHIN = 10
"""Pages are rendered ahead while the last scrape is younger than so many cadences."""

log = structlog.get_logger("sightline.web")


async def livez(request: web.Request) -> web.Response:
    """GET /livez: checks end, and the judge takes them."""
    Params(request, ()).check()
    context = request.app[CONTEXT]
    age_s = round(context.progress_age_s(), 3)
    limit_s = context.settings.poll.still_s(CADENCES_WITHOUT_PROGRESS)
    if age_s > limit_s:
        detail = f"poller or judge has made no progress for {age_s:.0f} s (limit {limit_s:.0f} s)"
        raise Problem(problems.NO_PROGRESS, detail, extra={"progress_age_s": age_s})
    content = {"status": "ok", "progress_age_s": age_s, "limit_s": limit_s}
    return await send_json(request, content, context.projection.as_of)


async def readyz(request: web.Request) -> web.Response:
    """GET /readyz: everything needed is there; else the reasons."""
    Params(request, ()).check()
    context = request.app[CONTEXT]
    reasons = list(context.readiness())
    if reasons:
        raise Problem(
            problems.NOT_READY, "; ".join(reasons), reasons=reasons, headers={"Retry-After": "5"}
        )
    return await send_json(request, {"status": "ready", "reasons": []}, context.projection.as_of)


class MetricsPage:
    """The text of `/metrics`, made in a thread at most once a second."""

    def __init__(self) -> None:
        self._made = float("-inf")
        self._text = b""
        self._lock = asyncio.Lock()
        self._townships: frozenset[str] = frozenset()

    async def text(self, projection: Projection, now: float) -> bytes:
        """The page."""
        async with self._lock:
            if now - self._made >= METRICS_KEPT_S:
                self._count_channels(projection)
                self._text = await asyncio.to_thread(generate_latest, REGISTRY)
                self._made = now
            return self._text

    def _count_channels(self, projection: Projection) -> None:
        counts = projection.counts(Dimension.TOWNSHIP)
        townships = frozenset(counts)
        if townships != self._townships:
            CHANNELS.clear()
            self._townships = townships
        for township, states in counts.items():
            for state in State:
                CHANNELS.labels(township, state).set(states.get(state, 0))


METRICS = web.AppKey("metrics", MetricsPage)


async def metrics(request: web.Request) -> web.Response:
    """GET /metrics: aggregates in the Prometheus text format."""
    context = request.app[CONTEXT]
    text = await request.app[METRICS].text(context.projection, context.clock.now())
    return plain(await send(request, text, content_type="text/plain"))


def plain(response: web.Response) -> web.Response:
    """Name the version of the text format, which Prometheus 3 insists on."""
    if response.status == 200:  # noqa: PLR2004 - HTTP's OK
        response.headers["Content-Type"] = CONTENT_TYPE_PLAIN_0_0_4
    return response


class DeviceMetrics:
    """Keeps the page of `/metrics/devices` fresh while it is scraped."""

    def __init__(self, page: DevicePage, cadence_s: float) -> None:
        self.page = page
        self._cadence_s = cadence_s
        self._scraped = asyncio.Event()
        self._idle_portions = 0

    def scraped(self) -> None:
        """Somebody asked."""
        self._idle_portions = 0
        self._scraped.set()

    async def run(self) -> None:
        """Render a portion at a time, the whole page once a cadence."""
        while True:
            await self._scraped.wait()
            portions = max(1, self.page.portions)
            self._idle_portions += 1
            if self._idle_portions > SCRAPED_WITHIN * portions:
                self._scraped.clear()
                continue
            self.page.render_next()
            await asyncio.sleep(self._cadence_s / portions)


DEVICE_METRICS = web.AppKey("device_metrics", DeviceMetrics)


async def keep_device_metrics(app: web.Application) -> AsyncIterator[None]:
    """Run the renderer beside the application."""
    task = asyncio.create_task(app[DEVICE_METRICS].run(), name="device metrics")
    yield
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def device_metrics(request: web.Request) -> web.Response:
    """GET /metrics/devices: a line a camera and series; switched on by a setting."""
    if DEVICE_METRICS not in request.app:
        raise Problem(problems.SWITCHED_OFF, "set web.device_metrics = true to serve this")
    kept = request.app[DEVICE_METRICS]
    kept.scraped()
    text, packed = await kept.page.page()
    generation = f"{kept.page.generation:x}-{len(text):x}"
    return plain(
        await send(request, text, content_type="text/plain", tag=generation, gzipped=packed)
    )


async def probe(request: web.Request) -> web.Response:
    """GET /probe: walk the ladder for one camera of the archive, never for a free address."""
    params = Params(request, {"target", "debug"})
    target = params.text("target")
    if target is None and not params.errors:
        params.wrong("target", "is needed: the id of a camera")
    debug = params.flag("debug") or False
    params.check()
    context = request.app[CONTEXT]
    view = context.projection.channels.get(ChannelId(target or ""))
    if view is None:
        raise Problem(problems.NOT_FOUND, "no camera of the archive has this id")
    take_check(request)
    async with audited(request, "camera.probe", view.camera.id):
        answers = await context.explain(view.camera.id)
    text = probe_text(answers)
    if debug:
        started = iso(context.clock.utc(answers[0].started)) if answers else "-"
        lines = [*probe_log(view, answers), "", "Metrics that would have been returned:"]
        text = (
            f"Logs for the probe of {view.camera.id} at {started}:\n"
            + "\n".join(lines)
            + "\n"
            + text
        )
    headers = {"Cache-Control": "no-store"}
    return plain(await send(request, text.encode(), content_type="text/plain", headers=headers))


def is_good(answer: Answer) -> bool:
    """Answered, and nothing found."""
    return answer.verdict is Verdict.ANSWERED and not answer.found


def probe_text(answers: Sequence[Answer]) -> str:
    """The walk as metrics, as blackbox_exporter names them; a step walked twice is one line."""
    steps: dict[str, list[Answer]] = {}
    for answer in answers:
        steps.setdefault(answer.step.name.lower(), []).append(answer)
    good = {step: int(all(map(is_good, walked))) for step, walked in steps.items()}
    spent_s = {step: sum(a.ended - a.started for a in walked) for step, walked in steps.items()}
    causes = sorted({found.cause.value for answer in answers for found in answer.found})
    families: tuple[tuple[str, str, list[str]], ...] = (
        (
            "probe_success",
            "1 = every step was good",
            [f" {int(bool(good) and all(good.values()))}"],
        ),
        (
            "probe_duration_seconds",
            "Duration of the whole walk",
            [f" {sum(spent_s.values()):.6f}"],
        ),
        (
            "probe_step_success",
            "1 = this step of the ladder was good",
            [f'{{step="{step}"}} {value}' for step, value in good.items()],
        ),
        (
            "probe_step_duration_seconds",
            "Duration of a step of the ladder",
            [f'{{step="{step}"}} {value:.6f}' for step, value in spent_s.items()],
        ),
        (
            "probe_fault",
            "1 = the walk found this fault",
            [f'{{cause="{label(cause)}"}} 1' for cause in causes],
        ),
    )
    lines: list[str] = []
    for name, text, samples in families:
        lines += [f"# HELP {name} {text}", f"# TYPE {name} gauge", *(name + s for s in samples)]
    return "\n".join(lines) + "\n"


def probe_log(view: ChannelView, answers: Sequence[Answer]) -> list[str]:
    """The walk for people: each step with its time and finding."""
    marks = {True: "ok", False: "FAILED", None: "could not tell"}
    lines = [f"camera {view.camera.name} at {view.device.host}:{view.device.port}"]
    for answer in answers:
        cause = f" ({answer.cause})" if answer.cause else ""
        spent_ms = (answer.ended - answer.started) * 1000
        lines.append(f"step {answer.step.name.lower()}: {answer.verdict}{cause} {spent_ms:.1f} ms")
        lines.extend(
            f"  {step.name}: {marks[step.ok]} {step.ms:.1f} ms {step.detail}".rstrip()
            for step in answer.chain
        )
        lines.extend(f"  found {found.cause}: {found.detail}".rstrip() for found in answer.found)
        if answer.clock_offset_s is not None:
            lines.append(f"  clock offset {answer.clock_offset_s:+.1f} s")
    return lines


ROUTES = (
    Route("GET", "/livez", livez, Access.OPEN),
    Route("GET", "/readyz", readyz, Access.OPEN),
    Route("GET", "/metrics", metrics, Access.OPEN),
    Route("GET", "/metrics/devices", device_metrics, Access.READ),
    Route("GET", "/probe", probe, Access.OPERATE),
)
