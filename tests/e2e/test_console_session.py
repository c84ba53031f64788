"""Signing in to the console, what it may load and show, and how long it can be watched."""

import time
from collections.abc import Iterator

import pytest
from fakes.console_gateway import ConsoleGateway
from fakes.console_page import Opener, browser, on_the_wall, opened
from playwright.sync_api import Browser, expect

from gateway.domain.ledger import State

__all__ = ["browser", "opened"]

FLEET = 1000
CONTRAST_AA = 4.5

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def gateway(browser: Browser) -> Iterator[ConsoleGateway]:
    """A smaller district: nothing here depends on its size."""
    with ConsoleGateway(cameras=FLEET) as running:
        yield running


def test_without_a_session_a_token_is_asked_for(opened: Opener, gateway: ConsoleGateway) -> None:
    page = opened(sign_in=False)
    expect(page.locator("#token")).to_be_focused()
    page.fill("#token", "slt_wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("令牌无效、已过期或已吊销")
    page.fill("#token", gateway.token)
    page.keyboard.press("Enter")
    expect(page.locator(".legend-sum b")).to_have_attribute("data-sum", f"{FLEET}")
    (cookie,) = page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    page.get_by_role("button", name="退出").click()
    expect(page.locator("#token")).to_be_visible()
    assert page.context.cookies() == []
    page.context.close()


def test_the_token_leaves_the_address_at_once(opened: Opener) -> None:
    page = opened("?lang=en")
    assert page.url.endswith("?lang=en")
    assert "token" not in str(page.evaluate("JSON.stringify([history.state, location.href])"))


def test_a_viewer_is_not_offered_what_it_may_not_do(
    opened: Opener, gateway: ConsoleGateway
) -> None:
    channel = gateway.scene.singles[0]
    page = opened(f"?camera={channel}", token=gateway.viewer_token)
    expect(page.locator(".chain")).to_be_visible()
    expect(page.locator("#check-now")).to_have_count(0)
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.locator(".children")).to_be_visible()
    expect(page.locator(".incident-detail .primary")).to_have_count(0)


def test_the_policy_allows_nothing_inline_and_nothing_foreign(
    opened: Opener, gateway: ConsoleGateway
) -> None:
    page = opened()
    response = page.request.get(gateway.url)
    policy = response.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert page.request.get(gateway.url + "lib.mjs").status == 404


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_text_has_the_contrast_that_aa_asks_for(opened: Opener, theme: str) -> None:
    page = opened(f"?theme={theme}")
    read = "name => getComputedStyle(document.documentElement).getPropertyValue(name).trim()"
    words = [f"--word-{state.value}" for state in State]
    low = {
        (ink, ground): round(ratio, 2)
        for ink in ("--text", "--soft", *words)
        for ground in ("--ground", "--pane", "--raised")
        if (ratio := contrast(page.evaluate(read, ink), page.evaluate(read, ground))) < CONTRAST_AA
    }
    assert low == {}


def contrast(one: str, other: str) -> float:
    """The ratio of WCAG 2 for two colours written #rrggbb."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_a_long_watch_leaves_no_nodes_or_listeners_behind(
    opened: Opener, gateway: ConsoleGateway
) -> None:
    page = opened()
    devtools = page.context.new_cdp_session(page)

    def watch(rounds: int) -> tuple[int, int]:
        for n in range(rounds):
            page.evaluate(f"document.querySelectorAll('.incident-line')[{n % 5}].click()")
            page.locator(".child").first.click()
            expect(page.locator(".chain, .chain-good").first).to_be_visible()
            flip = State.UNKNOWN if n % 2 else State.ONLINE
            gateway.run(gateway.set_state(on_the_wall(gateway)[5:25], flip))
            page.keyboard.press("Escape")
            page.keyboard.press("Escape")
            expect(page.locator(".incident.expanded")).to_have_count(0)
        time.sleep(0.3)
        devtools.send("HeapProfiler.collectGarbage")
        counted = devtools.send("Memory.getDOMCounters")
        return counted["nodes"], counted["jsEventListeners"]

    nodes, listeners = watch(3)
    more_nodes, more_listeners = watch(7)
    assert more_nodes <= nodes + 150
    assert more_listeners <= listeners + 20
