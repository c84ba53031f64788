"""Pages of the console in Debian's Chromium, for tests: opened, signed in, watched, read."""

import dataclasses
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes.console_gateway import ConsoleGateway
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from gateway.domain.camera import ChannelId
from gateway.domain.ledger import State
from gateway.resources import data_dir

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
LIBRARIES = data_dir("dashboards") / "console" / "lib" / "preact.js"


def need(path: Path, how: str) -> None:
    """Skip on a developer's machine, fail in CI."""
    if path.exists():
        return
    if os.environ.get("CI") == "true":
        pytest.fail(f"{path.name} is missing in CI: {how}")
    pytest.skip(f"{path.name} is missing: {how}")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    need(Path(CHROMIUM), "apt-get install chromium fonts-noto-cjk")
    need(LIBRARIES, "npm ci && npm run lib in dashboards/console (make setup)")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def gateway(browser: Browser) -> Iterator[ConsoleGateway]:
    with ConsoleGateway() as running:
        yield running


@dataclasses.dataclass
class Watched:
    """A page, and what it must not do."""

    page: Page
    errors: list[str]
    requests: set[str]


Opener = Callable[..., Page]


@pytest.fixture
def opened(browser: Browser, gateway: ConsoleGateway) -> Iterator[Opener]:
    """Opens signed-in pages; afterwards none may have logged an error or left its origin."""
    pages: list[Watched] = []

    def open_page(
        query: str = "",
        *,
        token: str | None = None,
        sign_in: bool = True,
        cuttable: bool = False,
        header: bool = True,
    ) -> Page:
        viewport: Any = {"width": 1440, "height": 900}
        page = browser.new_context(color_scheme="dark", viewport=viewport).new_page()
        if cuttable:
            page.clock.install()
        watched = Watched(page, [], set())

        def listen(message: ConsoleMessage) -> None:
            # Chromium itself logs a cut connection as an error.
            if message.type == "error" and not (cuttable and "net::ERR_" in message.text):
                watched.errors.append(message.text)

        page.on("console", listen)
        page.on("pageerror", lambda error: watched.errors.append(str(error)))
        page.on("request", lambda request: watched.requests.add(request.url))
        page.add_init_script(
            "addEventListener('securitypolicyviolation', e => "
            "console.error(`policy: ${e.violatedDirective} ${e.blockedURI}`))"
        )
        fragment = f"#token={token or gateway.token}" if sign_in else ""
        page.goto(f"{gateway.url}{query}{fragment}")
        if sign_in:
            pages.append(watched)
        if sign_in and header:
            expect(page.locator("main.panes > section:not(.notice)").first).to_be_visible()
            expect(page.locator(".pulse.live")).to_be_visible()
        return page

    yield open_page
    for watched in pages:
        foreign = {url for url in watched.requests if not url.startswith(gateway.url)}
        watched.page.context.close()
        assert watched.errors == [], watched.errors
        assert foreign == set(), foreign


def shown(gateway: ConsoleGateway) -> Counter[State]:
    return gateway.projection.total()


def totals(page: Page) -> dict[str, int]:
    """The counts of the header by state."""
    return {
        str(item.get_attribute("data-total")): as_number(item.locator("dd").inner_text())
        for item in page.locator("[data-total]").all()
    }


def legend(page: Page) -> dict[str, int]:
    """The counts of the legend by state."""
    return {
        str(item.get_attribute("data-state")): as_number(item.locator("b").inner_text())
        for item in page.locator(".legend-item").all()
    }


def as_number(text: str) -> int:
    return int(text.replace(",", ""))


def on_the_wall(gateway: ConsoleGateway) -> list[ChannelId]:
    """The channels in the order of the wall."""
    order = gateway.projection.order
    return [
        view.camera.id
        for view in sorted(order, key=lambda v: (v.camera.township, v.camera.village, v.index))
    ]


def pixels(page: Page) -> str:
    """What the wall shows inside of the ring, as one text."""
    script = """() => {
        const canvas = document.querySelector('.canvas'), at = canvas.getBoundingClientRect();
        const ring = document.querySelector('.ring-pointed').getBoundingClientRect();
        const x = ring.left - at.left + ring.width / 2, y = ring.top - at.top + ring.height / 2;
        return canvas.getContext('2d').getImageData(x - 2, y - 2, 4, 4).data.join();
    }"""
    return str(page.evaluate(script))


def state_of(gateway: ConsoleGateway, channel: ChannelId) -> State:
    return gateway.projection.channels[channel].state


def overflow(page: Page) -> list[str]:
    """What stands out of the window to the right: names of classes; none should."""
    script = """() => {
        const wide = document.documentElement.scrollWidth > innerWidth ? ['page'] : [];
        const parts = document.querySelectorAll('.header *, .nav *, .headline *, .pane-bar *');
        const out = [...parts].filter(one => one.getBoundingClientRect().right > innerWidth + 1);
        return [...wide, ...out.map(one => String(one.className))];
    }"""
    return list(page.evaluate(script))
