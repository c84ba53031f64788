"""The console in Debian's Chromium, against the real web application over a virtual district."""

import dataclasses

import pytest
from fakes.console_answers import FAILED_CHAINS
from fakes.console_gateway import ConsoleGateway
from fakes.console_page import (
    Opener,
    as_number,
    browser,
    gateway,
    legend,
    on_the_wall,
    opened,
    pixels,
    shown,
    state_of,
    totals,
)
from playwright.sync_api import expect

from gateway.domain.ledger import State
from gateway.domain.observation import OutageCause
from gateway.ports import NoteKind

__all__ = ["browser", "gateway", "opened"]

FLEET = 12_328
TOWNSHIPS = 31

pytestmark = pytest.mark.slow


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
    assert labels == ["最后正常", "首次失败", "确认离线", "最后失败"]

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
    expect(page.locator("#check-result")).to_have_text("检测失败：连接被拒绝")


def test_a_camera_that_was_never_seen_good_is_accepted_with_a_reason(
    opened: Opener, gateway: ConsoleGateway
) -> None:
    channel = gateway.scene.singles[4]
    known = gateway.projection.channels[channel].outage
    assert known is not None
    never = dataclasses.replace(known, last_seen_at=None, takeover=True, incident=None)
    gateway.run(gateway.push(outages=(never,)))
    try:
        page = opened(f"?list=offline&camera={channel}")
        expect(page.locator(f"[data-row][data-camera='{channel}']")).to_contain_text("存量故障")
        expect(page.locator(".remarks")).to_contain_text("存量故障")
        page.click("#takeover-accept")
        expect(page.locator("#takeover .failure")).to_have_text("请填写理由")
        page.fill("#takeover-reason", "已移交维保单位")
        with page.expect_response("**/accept"):
            page.click("#takeover-accept")
        expect(page.locator("#takeover .failure")).to_have_count(0)
        assert gateway.takeover.asked == [([channel], "王建军", "已移交维保单位")]
        expect(page.locator("#takeover-accept")).to_be_enabled()
        page.check("#takeover-whole")
        with page.expect_response("**/takeover/accept"):
            page.click("#takeover-accept")
        assert [asked[0] for asked in gateway.takeover.asked] == [[channel]] * 2, "the only one"
        accepted = dataclasses.replace(never, accepted_at=gateway.now())
        gateway.run(gateway.push(outages=(accepted,)))
        expect(page.locator("#takeover")).to_have_count(0)
        expect(page.locator(".remarks")).to_have_count(0)
    finally:
        gateway.run(gateway.push(outages=(known,)))


def test_one_cause_is_one_line_and_expands_to_its_cameras(
    opened: Opener, gateway: ConsoleGateway
) -> None:
    page = opened()
    lines = page.locator(".incident")
    expect(lines).to_have_count(1 + len(gateway.scene.singles))
    size = len(gateway.scene.cut_channels)
    expect(lines.first.locator(".incident-name")).to_have_text(gateway.scene.cut_name)
    expect(lines.first.locator(".incident-size")).to_have_text(f"{size} 路")
    expect(lines.first.locator(".incident-cause")).to_contain_text("汇聚交换机中断")
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
    expect(current.locator(".note")).to_contain_text("王建军 已受理")
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
    gateway.run(gateway.listen())
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
