"""Liveness, readiness, metrics, the probe, and the console's files."""

import asyncio
from pathlib import Path

import pytest
from fakes.web_service import WebService, channel, district, running
from prometheus_client.parser import text_string_to_metric_families

from gateway.domain.ledger import State
from gateway.ports import Role
from gateway.resources import data_dir
from gateway.web.console import NOT_SERVED, TYPES
from gateway.web.device_metrics import FAMILIES, INFO, PORTION


async def test_alive_while_the_judge_makes_progress() -> None:
    async with running(district(3)) as service:
        service.progress_age_s = 89.9
        assert (await service.get("/livez", None))["progress_age_s"] == 89.9
        service.progress_age_s = 90.1
        status, problem, _ = await service.call("GET", "/livez", None)
        assert (status, problem["type"]) == (503, "urn:sightline:problem:no-progress")
        assert problem["progress_age_s"] == 90.1


async def test_ready_or_the_reasons_why_not() -> None:
    async with running(district(3)) as service:
        assert (await service.get("/readyz", None))["status"] == "ready"
        service.reasons += ["store: away", "inventory: empty"]
        status, problem, response = await service.call("GET", "/readyz", None)
        assert (status, problem["reasons"]) == (503, ["store: away", "inventory: empty"])
        assert response.headers["Retry-After"] == "5"


def samples(text: str) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    """Metric text as {name: {labels: value}}; raises on anything that is not the format."""
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = tuple(sorted(sample.labels.items()))
            assert labels not in found.setdefault(sample.name, {}), "a series given twice"
            found[sample.name][labels] = sample.value
    return found


async def test_metrics_are_open_and_hold_no_camera() -> None:
    async with running(district(60)) as service:
        await service.set_state(State.OFFLINE, 3, 6)
        status, text, response = await service.call("GET", "/metrics", None)
        assert status == 200
        assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        found = samples(text)
        offline = (("state", "offline"), ("township", "610802100"))
        assert found["sightline_channels"][offline] == 2
        assert sum(found["sightline_channels"].values()) == 60
        assert channel(3)[:14] not in text


async def test_a_township_that_left_the_archive_leaves_the_metrics() -> None:
    async with running(district(60)) as service:
        await service.get("/metrics", None)
        service.projection.load(district(60, townships=1), service.now())
        service.clock.ahead_s += 2
        text = await service.get("/metrics", None)
        assert "610802100" in text
        assert "610802101" not in text


async def devices(service: WebService) -> dict[str, dict[str, float]]:
    """{series: {camera: value}}."""
    text = await service.get("/metrics/devices", Role.VIEWER)
    return {
        name: {dict(labels)["device_id"]: value for labels, value in series.items()}
        for name, series in samples(text).items()
    }


async def test_each_camera_has_its_lines_and_what_is_not_known_has_none() -> None:
    count = PORTION * 2 + 60
    async with running(district(count), device_metrics=True) as service:
        service.observe(4)
        await service.set_state(State.ONLINE, 0, 1)
        await service.set_state(State.DEGRADED, 2)
        await service.set_state(State.OFFLINE, 3)
        await service.set_state(State.MAINTENANCE, 5)
        up, since, rtt = (name for name, _ in FAMILIES)
        found = await devices(service)
        assert found[up] == {channel(0): 1, channel(1): 1, channel(2): 1, channel(3): 0}
        in_use = {channel(n) for n in range(count) if n % 50 != 49}
        assert set(found[since]) == set(found[INFO[0]]) == in_use
        assert found[rtt] == {channel(4): 0.0125}
        assert abs(found[since][channel(3)] - service.now().timestamp()) < 60


async def test_the_lines_follow_the_state_and_the_archive() -> None:
    async with running(district(40), device_metrics=True) as service:
        up = FAMILIES[0][0]
        await service.set_state(State.ONLINE, 7)
        assert (await devices(service))[up] == {channel(7): 1}
        service.projection.load(district(500), service.now())
        await service.set_state(State.OFFLINE, 7)
        found = await devices(service)
        assert found[up] == {channel(7): 0}
        assert len(found[INFO[0]]) == 490


async def test_the_page_is_rendered_ahead_while_it_is_scraped() -> None:
    from gateway.web.device_metrics import DevicePage
    from gateway.web.health import DeviceMetrics

    async with running(district(PORTION + 10)) as service:
        kept = DeviceMetrics(DevicePage(service.projection), cadence_s=0.05)
        task = asyncio.create_task(kept.run())
        await asyncio.sleep(0.05)
        assert kept.page.generation == 0  # nobody asked
        kept.scraped()
        await asyncio.sleep(0.2)
        assert kept.page.generation >= 2
        await asyncio.sleep(0.8)
        idle = kept.page.generation
        await asyncio.sleep(0.2)
        assert kept.page.generation == idle  # nobody asks any more
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_the_probe_prints_each_step_when_asked() -> None:
    async with running(district(5)) as service:
        text = await service.get(f"/probe?target={channel(2)}", Role.OPERATOR)
        found = samples(text)
        assert found["probe_success"] == {(): 0.0}
        assert found["probe_fault"] == {(("cause", "clock"),): 1.0}
        debug = await service.get(f"/probe?target={channel(2)}&debug=true", Role.OPERATOR)
        assert "tcp: ok 1.5 ms" in debug
        assert "clock: FAILED" in debug
        assert "clock offset -90.0 s" in debug
        assert "Metrics that would have been returned:" in debug
        assert service.checked == [channel(2)] * 2


# --- the console's files
@pytest.fixture
def console(tmp_path: Path) -> Path:
    """A folder with a page, modules, and things nobody should get."""
    root = tmp_path / "console"
    (root / "lib").mkdir(parents=True)
    (root / "node_modules").mkdir()
    (root / "index.html").write_text("<!doctype html><title>墙</title>", encoding="utf-8")
    (root / "main.js").write_text("export const a = 1;\n" * 100)
    (root / "lib" / "preact.mjs").write_text("export {}")
    for name in ("package.json", ".hidden.js", "node_modules/x.js", "notes.py"):
        (root / name).write_text("secret")
    (tmp_path / "outside.js").write_text("secret")
    (root / "link.js").symlink_to(tmp_path / "outside.js")
    return root


async def test_the_console_is_served_without_a_token_under_a_strict_policy(console: Path) -> None:
    async with running(district(1), console_dir=console) as service:
        status, text, response = await service.call("GET", "/", None)
        assert (status, text) == (200, "<!doctype html><title>墙</title>")
        assert response.headers["Content-Type"] == "text/html; charset=utf-8"
        policy = response.headers["Content-Security-Policy"]
        assert "default-src 'self'" in policy
        assert "unsafe" not in policy
        for path in ("/main.js", "/lib/preact.mjs"):
            status, _, response = await service.call("GET", path, None)
            assert status == 200
            assert response.headers["Content-Type"] == "text/javascript; charset=utf-8"
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert response.headers["Cache-Control"] == "no-cache"


async def test_a_changed_file_is_served_anew_and_an_unchanged_one_not_again(console: Path) -> None:
    async with running(district(1), console_dir=console) as service:
        _, _, first = await service.call("GET", "/main.js", None)
        tag = {"If-None-Match": first.headers["ETag"]}
        assert (await service.call("GET", "/main.js", None, headers=tag))[0] == 304
        (console / "main.js").write_text("export const b = 2;")
        assert (await service.call("GET", "/main.js", None, headers=tag))[:2] == (
            200,
            "export const b = 2;",
        )


@pytest.mark.parametrize(
    "path",
    [
        *("/package.json", "/.hidden.js", "/node_modules/x.js", "/notes.py", "/link.js", "/lib/"),
        *("/../outside.js", "/%2e%2e/outside.js", "/lib/..%2f..%2foutside.js", "/%00", "/a\\b.js"),
        *("//outside.js", "/lib", "/main.js/"),
    ],
)
async def test_nothing_else_is_served(console: Path, path: str) -> None:
    async with running(district(1), console_dir=console) as service:
        reader, writer = await asyncio.open_connection(*_address(service))
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        answer = (await asyncio.wait_for(reader.read(), 5)).decode()
        writer.close()
        await writer.wait_closed()
        assert answer.startswith("HTTP/1.1 404")
        assert "secret" not in answer


def _address(service: WebService) -> tuple[str, int]:
    host, _, port = service.url.removeprefix("http://").partition(":")
    return host, int(port)


async def test_a_missing_console_says_so(tmp_path: Path) -> None:
    async with running(district(1), console_dir=tmp_path) as service:
        assert "not installed" in await service.get("/", None)


async def test_every_file_of_the_console_can_be_loaded() -> None:
    root = data_dir("dashboards") / "console"
    names = [
        path.relative_to(root).as_posix()
        for path in root.rglob("*")
        if path.is_file() and not NOT_SERVED & set(path.relative_to(root).parts)
    ]
    assert {Path(name).suffix for name in names} <= set(TYPES)
    async with running(district(1)) as service:
        for name in names:
            assert (await service.call("GET", f"/{name}", None))[0] == 200, name


async def test_metrics_count_routes_never_addresses() -> None:
    async with running(district(5)) as service:
        await service.get(f"/api/v1/cameras/{channel(2)}")
        await service.call("GET", "/api/v1/nothing-of-that-kind")
        service.clock.ahead_s += 2
        text = await service.get("/metrics", None)
        assert 'route="/api/v1/cameras/{id}",status="2xx"' in text
        assert 'route="unmatched",status="4xx"' in text
        assert channel(2) not in text
        assert "nothing-of-that-kind" not in text
