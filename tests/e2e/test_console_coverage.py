"""Coverage, events and planning in the console: really computed, really drawn, under the page's policy."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fakes.console_coverage import CoverageGateway
from fakes.console_page import Opener, browser, opened, overflow
from playwright.sync_api import Browser, Page, expect

from gateway.domain.alerting.hours import SHANGHAI
from gateway.domain.alerting.rows import (
    Alert,
    AlertPhase,
    AlertState,
    CameraInView,
    EventIncident,
    GridLink,
    LinkReason,
    Posture,
    PostureLevel,
    Receipt,
    ReceiptStep,
)
from gateway.domain.camera import GridId
from gateway.domain.coverage.recount import Difference
from gateway.domain.event import EventKind, Severity
from gateway.domain.ledger import State
from gateway.ports.events import EventChanges

__all__ = ["browser", "opened"]

pytestmark = pytest.mark.slow
WIDTHS = ((1440, 900), (1024, 768), (390, 844))
DRAWN_MS = 20_000
"""A software renderer on a busy machine."""


@pytest.fixture(scope="module")
def gateway(browser: Browser) -> Iterator[CoverageGateway]:
    with CoverageGateway() as running:
        yield running


def drawn(page: Page, layer: str = "cameras") -> int:
    """How many features of a layer the map was given, once it has drawn."""
    box = page.locator("#map")
    expect(box).to_have_attribute("data-idle", "true", timeout=DRAWN_MS)
    expect(box).to_have_attribute(f"data-{layer}", re.compile(r"^\d+$"), timeout=DRAWN_MS)
    return int(box.get_attribute(f"data-{layer}") or 0)


def test_the_map_shows_the_ground_the_places_and_what_is_blind(
    opened: Opener, gateway: CoverageGateway
) -> None:
    page = opened("?page=coverage")
    assert gateway.worker is not None
    assert gateway.worker.headline is not None
    told, _ = gateway.worker.headline
    assert drawn(page) == told.cameras
    assert drawn(page, "grids") == len(gateway.inventory.grids)
    assert drawn(page, "places") == told.places
    assert drawn(page, "spots") == told.blind_spots
    assert drawn(page, "townships") == len({v.camera.township for v in gateway.projection.order})
    expect(page.locator("#spot-count")).to_have_text(str(told.blind_spots))
    share = told.weights.seen / told.weights.total
    expect(page.locator("#rate-now")).to_have_text(f"{int(share * 1000 + 1e-6) / 10:.1f}%")
    expect(page.locator("#headline")).to_have_attribute("data-old", "false")
    expect(page.locator("#spots .spot")).to_have_count(told.blind_spots)
    page.locator('[data-tab="repair"]').click()
    expect(page.locator("#repair .rank").first).to_have_text("1")
    page.locator('[data-tab="single"]').click()
    expect(page.locator("#single .row").first).to_be_visible()


def test_what_to_survey_who_intrudes_and_the_incident_of_a_visit(
    opened: Opener, gateway: CoverageGateway
) -> None:
    page = opened("?page=coverage&tab=survey")
    # The archive of the virtual district has every field.
    expect(page.locator(".lists .empty")).to_have_text("设备档案齐全，无需补采", timeout=DRAWN_MS)
    expect(page.locator(".legend-title")).to_contain_text("IEC 62676-4")
    page.locator('[data-tab="intrusions"]').click()
    first = gateway.inventory.cameras[gateway.scene.singles[0]]
    intruder = page.locator("#intrusions li").filter(has_text=first.name)
    expect(intruder).to_contain_text("拍到：学生宿舍")
    page.locator('[data-tab="repair"]').click()
    link = page.locator(f'[data-incident="{gateway.scene.cut.id}"]')
    link.click()
    assert f"incident={gateway.scene.cut.id}" in page.url
    expect(page.locator(".incident.expanded")).to_contain_text(gateway.scene.cut_name)


def test_a_blind_spot_appears_and_goes(opened: Opener, gateway: CoverageGateway) -> None:
    page = opened("?page=coverage")
    before = drawn(page, "spots")
    channel = gateway.watcher()
    outage = gateway.run(gateway.lose(channel))
    mine = page.locator(f'.spot:has([data-camera="{channel}"])')
    expect(mine).to_contain_text("断电")
    expect(page.locator("#map")).to_have_attribute("data-spots", str(before + 1), timeout=DRAWN_MS)
    mine.locator(".row").click()
    expect(mine).to_have_class("row-item spot current ")
    assert "pick=" in page.url
    mine.locator(".link").first.click()
    expect(page.locator("#camera")).to_have_attribute("data-camera", channel)
    page.keyboard.press("Escape")
    gateway.run(gateway.mend(outage))
    expect(mine).to_have_count(0)
    expect(page.locator("#map")).to_have_attribute("data-spots", str(before), timeout=DRAWN_MS)


def test_a_recount_that_differs_or_fails_is_told_above_the_figures(
    opened: Opener, gateway: CoverageGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert gateway.worker is not None
    recounts = gateway.worker.recounts
    assert recounts.difference is None
    page = opened("?page=coverage")
    expect(page.locator("#rate-now")).to_be_visible(timeout=DRAWN_MS)
    expect(page.locator("#recount-differs, #recount-failed")).to_have_count(0)
    monkeypatch.setattr(recounts, "failure", ("see the log", gateway.now()))
    page = opened("?page=coverage")
    expect(page.locator("#recount-failed")).to_contain_text("复算未完成")
    monkeypatch.setattr(recounts, "difference", (Difference(points=2), gateway.now()))
    page = opened("?page=coverage&lang=en")
    expect(page.locator("#recount-differs")).to_contain_text("differs from its recount")
    assert overflow(page) == []
    expect(page.locator("#rate-bounds")).to_have_text(re.compile(r"^\d+\.\d%–\d+\.\d%$"))


def test_both_languages_and_three_widths_without_overflow(
    opened: Opener, gateway: CoverageGateway
) -> None:
    page = opened("?page=coverage")
    expect(page.locator('.page[aria-current="page"]')).to_have_text("覆盖")
    expect(page.locator(".rate h2")).to_have_text("重点部位可视率")
    for width, height in WIDTHS:
        page.set_viewport_size({"width": width, "height": height})
        assert overflow(page) == [], width
    for name in ("", "events", "plans"):
        page.locator(f'.page[data-page="{name}"]').click()
        assert overflow(page) == [], name
    expect(page.locator("#plan-new")).to_have_count(0)  # an operator may not
    page.set_viewport_size({"width": 1440, "height": 900})
    page.get_by_role("button", name="English").click()
    page.locator('.page[data-page="coverage"]').click()
    expect(page.locator(".rate h2")).to_have_text("Listed places seen")
    expect(page.locator('.switch [data-tab="repair"]')).to_have_text("Repair order")


def test_an_event_shows_its_cells_its_cameras_and_what_the_center_did(
    opened: Opener, gateway: CoverageGateway
) -> None:
    camera = gateway.inventory.cameras[gateway.scene.cut_channels[0]]
    now = gateway.now()
    smoke = EventIncident(
        "smoke-1", EventKind.SMOKE, Severity.CRITICAL, now - timedelta(minutes=3), now, signals=4,
        sensor="烟感-0031", longitude=camera.longitude, latitude=camera.latitude,
        links=(
            GridLink(camera.grid, LinkReason.CONTAINS, 0.0, None, camera.village, camera.township),
            GridLink(GridId("next"), LinkReason.NEAR, 312.4, 47.0, camera.village, camera.township),
        ),
        cameras=(CameraInView(camera.id, 31.0, "not_seeing"),),
    )  # fmt: skip
    receipt = Receipt("r-1", "smoke-1", ReceiptStep.RECEIVED, now, "综治中心")
    gateway.run(gateway.report(smoke, receipt, sent=True))
    door = EventIncident("door-1", EventKind.DOOR, Severity.MINOR, now, now, ended_at=now)
    gateway.run(gateway.report(door, sent=False))

    page = opened("?page=events")
    expect(page.locator(".event")).to_have_count(1)
    assert drawn(page, "events") == 1
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    event = page.locator('[data-event="smoke-1"]')
    expect(event).to_contain_text("烟雾报警")
    expect(event.locator(f'[data-grid="{camera.grid}"]')).to_contain_text("事发网格")
    expect(event.locator('[data-grid="next"]')).to_contain_text("东北 312 米")
    expect(event.locator(".links .link")).to_contain_text(camera.name)
    expect(event.locator(".links li").last).to_contain_text("不可视 · 31 米")
    expect(event.locator('[data-step="sent"]')).to_have_class("done")
    expect(event.locator('[data-step="received"]')).to_contain_text("签收")
    expect(event.locator('[data-step="received"]')).to_have_class("done")
    expect(event.locator('[data-step="closed"]')).to_have_class("waits")
    page.get_by_role("button", name="全部", exact=True).click()
    expect(page.locator(".event")).to_have_count(2)
    page.get_by_label("事件类型").select_option("door")
    expect(page.locator(".event")).to_have_count(1)
    assert "kind=door" in page.url


def told(key: str, recipient: str, state: AlertState, revision: int = 1, **more: Any) -> Alert:
    at = datetime.now(UTC)
    delivered_at = at if state is AlertState.DELIVERED else None
    alert_id = f"{key}-{recipient}-{revision}"
    phase = AlertPhase.OPEN if revision == 1 else AlertPhase.UPDATE
    row = Alert(alert_id, key, revision, phase, recipient, at, {}, state)
    return replace(row, delivered_at=delivered_at, **more)


def test_an_event_says_sent_only_when_a_recipient_got_it(
    opened: Opener, gateway: CoverageGateway
) -> None:
    now = gateway.now()
    delivered, dead, pending = AlertState.DELIVERED, AlertState.DEAD, AlertState.PENDING
    messages = {
        "dead": [told("dead", "center", dead, reason="401 Unauthorized", attempts=1)],
        "tried": [told("tried", "center", pending, reason="503", attempts=4)],
        "later": [
            told("later", "center", delivered),
            told("later", "center", dead, 2, reason="410 Gone"),
        ],
        "feed": [],
        "duty": [told("duty", "duty", delivered), told("duty", "center", pending)],
    }
    for key, rows in messages.items():
        row = EventIncident(key, EventKind.GAS, Severity.CRITICAL, now, now, sensor=f"气-{key}")
        gateway.run(gateway.store.events.commit(EventChanges(incidents=(row,))))
        gateway.run(gateway.tell(told(key, "feed", delivered), *rows))

    page = opened("?page=events&kind=gas")
    expected = {
        "dead": ("waits", "未送达（死信）：401 Unauthorized"),
        "tried": ("waits", "尚未送达，已试 4 次：503"),
        "later": ("done", "后续更新未送达（死信）：410 Gone"),
        "feed": ("waits", "未推送"),
        "duty": ("waits", "等待送达"),
    }
    for key, (kind, words) in expected.items():
        event = page.locator(f'[data-event="{key}"]')
        event.locator("[data-row]").click()
        expect(event.locator('[data-step="sent"]')).to_have_class(kind)
        expect(event.locator('[data-step="sent"]')).to_contain_text(words)
    expect(page.locator('[data-step="sent-duty"]')).to_have_class("done")
    expect(page.locator('[data-step="sent-duty"]')).to_contain_text("推送 duty")
    page.get_by_role("button", name="English").click()
    expect(page.locator('[data-event="duty"] [data-step="sent"]')).to_contain_text(
        "Not delivered yet"
    )


def test_a_heightened_posture_is_shown_with_its_area_and_its_end(
    opened: Opener, gateway: CoverageGateway
) -> None:
    township = next(iter(gateway.projection.order)).camera.township
    name = gateway.inventory.divisions[township].name
    page = opened()
    expect(page.locator(".page").first).to_be_visible()
    expect(page.locator("#posture")).to_have_count(0)

    now, level = gateway.now(), PostureLevel.HEIGHTENED
    end = now + timedelta(hours=2)
    # What is to come, and what routine set later took back, heightens nothing now.
    rows = [
        Posture("p1", level, township, now - timedelta(minutes=5), end, "值班长", "重大活动"),
        Posture("p2", level, "610", now + timedelta(hours=1), end, "值班长", "将来"),
        Posture("p3", level, "61080", now - timedelta(minutes=5), end, "值班长", "撤回"),
        Posture("p4", PostureLevel.ROUTINE, "61080", now, end, "值班长", "撤回"),
    ]
    for row in rows:
        gateway.run(gateway.desk.set_posture(row))
    page = opened()
    badge = page.locator("#posture")
    until = end.astimezone(SHANGHAI).strftime("%H:%M")
    expect(badge).to_contain_text(f"战时：{name}，至 ")
    expect(badge).to_contain_text(until)
    expect(badge).to_have_attribute("title", re.compile("重大活动$"))
    page.get_by_role("button", name="English").click()
    expect(badge).to_contain_text("Heightened: ")
    for width, height in WIDTHS:
        page.set_viewport_size({"width": width, "height": height})
        assert overflow(page) == []

    whole = Posture("p5", level, "", now, None, "值班长", "演练")
    gateway.run(gateway.desk.set_posture(whole))
    page = opened()
    expect(page.locator("#posture")).to_have_text("战时：全区，共 2 处")
    for row in (whole, *rows):
        gateway.run(gateway.desk.end_posture(row.id))
    page = opened()
    expect(page.locator(".page").first).to_be_visible()
    expect(page.locator("#posture")).to_have_count(0)


def test_a_planner_starts_a_plan_and_reads_where_to_build(
    opened: Opener, gateway: CoverageGateway
) -> None:
    page = opened("?page=plans", token=gateway.planner_token)
    page.locator("#plan-new").click()
    page.locator("#plan-name").fill("二期补点")
    page.locator("#plan-sites").fill("5")
    page.get_by_role("button", name="开始计算").click()
    expect(page.locator('[data-status="done"]')).to_contain_text("二期补点", timeout=30_000)
    expect(page.locator("#sites .rank")).to_have_text(["1", "2", "3", "4", "5"])
    expect(page.locator("#plan-gap")).to_contain_text("≤")
    turns = page.locator("#reaim")
    expect(turns.locator("summary")).to_contain_text("先调向")
    expect(turns.locator(".row").first).to_be_hidden()
    turns.locator("summary").click()
    expect(turns.locator(".row").first).to_contain_text("→")
    assert drawn(page, "sites") == 5


def test_the_counts_open_lists_and_keys_move_through_them(
    opened: Opener, gateway: CoverageGateway
) -> None:
    page = opened()
    page.locator('[data-list-of="degraded"]').click()
    names = page.locator("#listing .row")
    expect(names).to_have_count(gateway.projection.total()[State.DEGRADED])
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(names.nth(1)).to_be_focused()
    page.keyboard.press("k")
    page.keyboard.press("Enter")
    channel = str(names.first.get_attribute("data-camera"))
    expect(page.locator("#camera")).to_have_attribute("data-camera", channel)
    expect(page.locator(".faults")).to_be_visible()


def test_a_wall_screen_has_big_numbers_and_no_controls(
    opened: Opener, gateway: CoverageGateway
) -> None:
    page = opened("?wall=1", header=False)
    counts = page.locator(".screen-counts [data-total]")
    expect(counts).to_have_count(5)
    offline = page.locator('.screen-counts [data-total="offline"] dd')
    expect(offline).to_have_text(f"{gateway.projection.total()[State.OFFLINE]:,}")
    size = offline.evaluate("one => parseFloat(getComputedStyle(one).fontSize)")
    assert size >= 48
    assert page.locator("button:visible:not(.heading), input, select").count() == 0


def test_without_a_list_of_places_the_page_says_how_to_make_one(browser: Browser) -> None:
    with CoverageGateway(cameras=100, listed=False) as bare:
        page = browser.new_page()
        page.goto(f"{bare.url}?page=coverage#token={bare.token}")
        expect(page.locator("#no-list")).to_contain_text("sightline import places --suggest")
        page.context.close()
