"""The console in Debian's Chromium, against the real web application over a virtual district."""

import dataclasses
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes.console_gateway import FAILED_CHAINS, ConsoleGateway
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from gateway.domain.camera import ChannelId
from gateway.domain.ledger import State
from gateway.domain.observation import OutageCause
from gateway.ports import NoteKind
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
FLEET = 12_328
TOWNSHIPS = 31
CONTRAST_AA = 4.5

pytestmark = pytest.mark.slow


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
            expect(page.locator(".legend-sum b")).to_be_visible()
            expect(page.locator(".pulse.live")).to_be_visible()
            pages.append(watched)
        return page

    yield open_page
    for watched in pages:
        foreign = {url for url in watched.requests if not url.startswith(gateway.url)}
        watched.page.context.close()
        assert watched.errors == []
        assert foreign == set()


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


def test_the_wall_counts_what_the_gateway_counts(opened: Opener, gateway: ConsoleGateway) -> None:
    page = opened()
    expected = {state.value: n for state, n in shown(gateway).items()}
    assert totals(page) == expected
    assert legend(page) == expected
    assert sum(expected.values()) == FLEET
    assert page.locator(".legend-sum b").get_attribute("data-sum") == str(FLEET)
    headings = page.locator("button.heading .heading-total").all_inner_texts()
    assert len(headings) == TOWNSHIPS
    assert sum(as_number(text) for text in headings) == FLEET
    expect(page.locator(".total-all dd")).to_have_text(f"{FLEET - expected['decommissioned']:,}")


def test_a_pushed_change_repaints_its_square_and_moves_the_legend(
    opened: Opener, gateway: ConsoleGateway
) -> None:
    page = opened()
    page.locator(".canvas").focus()
    page.keyboard.press("ArrowRight")
    first = on_the_wall(gateway)[0]
    expect(page.locator("#wall-pointed .tip-id")).to_have_text(first)
    before, was = pixels(page), legend(page)
    online = [one for one in on_the_wall(gateway)[:400] if state_of(gateway, one) is State.ONLINE]
    changed = {first, *online[:3]}
    gateway.run(gateway.set_state(changed, State.OFFLINE))
    expect(page.locator(".canvas")).to_have_attribute("data-painted", str(len(changed)))
    assert pixels(page) != before
    expect(page.locator("#wall-pointed .tip-state")).to_have_text("离线")
    now = {state.value: n for state, n in shown(gateway).items()}
    assert legend(page) == now
    assert now["offline"] == was["offline"] + len(changed)
    assert sum(now.values()) == FLEET
    gateway.run(gateway.set_state(changed, State.ONLINE))
    expect(page.locator('[data-state="offline"] b')).to_have_text(f"{was['offline']:,}")
    assert pixels(page) == before


def state_of(gateway: ConsoleGateway, channel: ChannelId) -> State:
    return gateway.projection.channels[channel].state


def test_a_click_on_a_square_opens_its_camera(opened: Opener, gateway: ConsoleGateway) -> None:
    page = opened()
    page.locator(".canvas").focus()
    page.keyboard.press("ArrowRight")
    box = page.locator(".ring-pointed").bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    first = on_the_wall(gateway)[0]
    expect(page.locator("#camera")).to_have_attribute("data-camera", first)
    expect(page.locator("#camera-name")).to_have_text(gateway.inventory.cameras[first].name)
    assert f"camera={first}" in page.url


def test_a_camera_shows_chain_bounds_group_and_history(
    opened: Opener, gateway: ConsoleGateway
) -> None:
    page = opened(f"?camera={gateway.scene.cut_channels[0]}")
    expect(page.locator("#camera-state")).to_have_text("离线")
    failed = page.locator(".chain .step.failed")
    expect(failed).to_contain_text("TCP 连接")
    expect(failed).to_contain_text(FAILED_CHAINS[OutageCause.UPLINK][0].detail)
    expect(failed.locator(".step-ms")).to_have_text("2,000 毫秒")
    assert page.locator(".chain .step.missed .step-name").all_inner_texts() == [
        *("HTTP 应答", "SOAP 应答", "认证")
    ]
    expect(page.locator(".group")).to_contain_text(gateway.scene.cut_name)
    expect(page.locator(".group")).to_contain_text(f"{len(gateway.scene.cut_channels)} 路")
    labels = page.locator(".facts.pairs dt").all_inner_texts()
    assert labels == ["最后正常", "首次失败", "确认离线", "最近失败"]

    page.goto(f"{gateway.url}?camera={gateway.scene.flapping}")
    expect(page.locator(".history tbody tr")).to_have_count(6)
    expect(page.locator(".remarks")).to_contain_text("频繁掉线")

    page.goto(f"{gateway.url}?camera={gateway.scene.degraded[0]}")
    expect(page.locator(".faults")).to_contain_text("时钟偏差超限")


def test_check_now_says_what_was_found(opened: Opener, gateway: ConsoleGateway) -> None:
    channel = gateway.scene.singles[3]
    page = opened(f"?camera={channel}")
    page.click("#check-now")
    expect(page.locator("#check-result")).to_contain_text("检测正常")
    expect(page.locator(".chain-good")).to_be_visible()
    gateway.answers[channel] = gateway.failed(OutageCause.REFUSED)
    page.click("#check-now")
    expect(page.locator("#check-result")).to_have_text("无应答：连接被拒绝")


def test_one_cause_is_one_line_and_expands_to_its_cameras(
    opened: Opener, gateway: ConsoleGateway
) -> None:
    page = opened()
    lines = page.locator(".incident")
    expect(lines).to_have_count(1 + len(gateway.scene.singles))
    size = len(gateway.scene.cut_channels)
    expect(lines.first.locator(".incident-name")).to_have_text(gateway.scene.cut_name)
    expect(lines.first.locator(".incident-size")).to_have_text(f"{size} 路")
    lines.first.locator(".incident-line").click()
    expect(page.locator(".child")).to_have_count(size)
    expect(page.locator(".legend-sum b")).to_have_attribute("data-sum", str(size))
    assert legend(page)["offline"] == size
    page.locator(".child").first.click()
    expect(page.locator("#camera-state")).to_have_text("离线")
    page.keyboard.press("Escape")
    expect(page.locator("#camera")).to_have_count(0)


def test_keys_find_open_and_acknowledge_an_incident(
    opened: Opener, gateway: ConsoleGateway
) -> None:
    page = opened("?sort=newest")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    page.keyboard.press("j")
    current = page.locator(".incident.current")
    incident = str(current.get_attribute("data-incident"))
    page.keyboard.press("Enter")
    expect(current).to_have_class("incident expanded current single")
    page.keyboard.press("a")
    expect(page.locator("#acknowledge-text")).to_be_focused()
    page.keyboard.press("Control+Enter")
    expect(page.locator("dialog .failure")).to_have_text("请填写情况说明")
    page.keyboard.insert_text("已电话通知运维单位")
    page.keyboard.press("Control+Enter")
    expect(current.locator(".note")).to_contain_text("王建军 已确认")
    expect(current.locator(".note")).to_contain_text("已电话通知运维单位")
    (note,) = gateway.run(gateway.store.notes([incident]))
    assert (note.kind, note.actor) == (NoteKind.ACKNOWLEDGE, "王建军")
    assert note.until is not None
    assert 3.9 < (note.until - gateway.now()).total_seconds() / 3600 < 4.1
    page.keyboard.press("?")
    expect(page.locator("dialog")).to_contain_text("快捷键")
    page.keyboard.press("Escape")
    expect(page.locator("dialog")).to_have_count(0)
    page.keyboard.press("/")
    page.keyboard.insert_text(gateway.scene.cut_channels[1])
    expect(page.locator(".found-row")).to_have_count(1)
    page.keyboard.press("Enter")
    expect(page.locator("#camera")).to_have_attribute("data-camera", gateway.scene.cut_channels[1])


def test_the_address_holds_filters_selection_and_language(
    opened: Opener, gateway: ConsoleGateway
) -> None:
    page = opened()
    code = page.locator("button.heading").nth(3).get_attribute("data-township")
    page.locator("button.heading").nth(3).click()
    page.locator('.legend-item[data-state="offline"]').click()
    page.get_by_role("button", name="English").click()
    expect(page.locator("h1")).to_have_text("Video network duty console")
    expect(page.locator("#incidents-title")).to_have_text("Incidents")
    assert page.evaluate("document.documentElement.lang") == "en"
    for part in (f"township={code}", "state=offline", "lang=en"):
        assert part in page.url
    counts = legend(page)
    in_township = [v for v in gateway.projection.order if v.camera.township == code]
    assert sum(counts.values()) == len(in_township)
    villages = {view.camera.village for view in in_township}
    expect(page.locator(".heading")).to_have_count(len(villages))
    page.reload()
    expect(page.locator('.legend-item[data-state="offline"]')).to_have_attribute(
        "aria-pressed", "true"
    )
    assert legend(page) == counts
    page.get_by_role("button", name="中文").click()
    expect(page.locator("#incidents-title")).to_have_text("故障单")


def test_a_blind_gateway_is_named_and_not_the_cameras(
    opened: Opener, gateway: ConsoleGateway
) -> None:
    page = opened()
    gateway.run(gateway.cut_gap())
    banner = page.locator("#gap-banner")
    expect(banner).to_contain_text("网关未观测")
    expect(banner).to_contain_text("不代表离线")
    gateway.run(gateway.cut_gap(ended=True))
    expect(banner).to_have_count(0)


def test_silence_greys_the_page_and_what_was_missed_comes_after_it(
    opened: Opener, gateway: ConsoleGateway
) -> None:
    page = opened(cuttable=True)
    banner = page.locator("#stale-banner")
    gateway.run(gateway.stop())
    page.clock.run_for(9_000)
    expect(banner).to_have_count(0)
    page.clock.run_for(3_000)
    expect(banner).to_contain_text("数据已过期")
    expect(page.locator(".totals.old")).to_be_visible()
    expect(page.locator(".panes.old")).to_be_visible()
    missed = on_the_wall(gateway)[1]
    gateway.run(gateway.set_state([missed], State.MAINTENANCE))
    gateway.run(gateway.listen(gateway.port))
    page.clock.run_for(6_000)
    expect(banner).to_have_count(0)
    expect(page.locator(".old")).to_have_count(0)
    assert legend(page) == {state.value: n for state, n in shown(gateway).items()}
    gateway.run(gateway.set_state([missed], State.ONLINE))
    now = shown(gateway)[State.MAINTENANCE]
    expect(page.locator('[data-state="maintenance"] b')).to_have_text(str(now))


def test_a_new_archive_loads_the_wall_again(opened: Opener, gateway: ConsoleGateway) -> None:
    page = opened()
    first = on_the_wall(gateway)[0]
    renamed = dataclasses.replace(gateway.inventory.cameras[first], name="改名后的路口1号枪机")
    cameras = {**gateway.inventory.cameras, first: renamed}
    gateway.run(gateway.load(dataclasses.replace(gateway.inventory, cameras=cameras)))
    page.locator(".canvas").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#wall-pointed .tip-name")).to_have_text(renamed.name)
    gateway.run(gateway.load(gateway.inventory))


def test_without_a_session_a_token_is_asked_for(opened: Opener, gateway: ConsoleGateway) -> None:
    page = opened(sign_in=False)
    expect(page.locator("#token")).to_be_focused()
    page.fill("#token", "slt_wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("令牌无效、已过期或已吊销")
    page.fill("#token", gateway.token)
    page.keyboard.press("Enter")
    expect(page.locator(".legend-sum b")).to_have_attribute("data-sum", str(FLEET))
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
