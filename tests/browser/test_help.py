"""The "?" beside a setting: opened, read and closed by the keyboard and by a finger, and never in the way."""

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

from tests.browser.hands import open_drawer
from ui.texts import en

NewPage = Callable[..., Page]


def apart(one: Locator, other: Locator) -> bool:
    a, b = one.bounding_box(), other.bounding_box()
    assert a and b
    return (
        a["y"] + a["height"] <= b["y"]
        or b["y"] + b["height"] <= a["y"]
        or a["x"] + a["width"] <= b["x"]
        or b["x"] + b["width"] <= a["x"]
    )


def inside(page: Page, card: Locator) -> bool:
    box = card.bounding_box()
    assert box
    wide, high = page.evaluate("[document.documentElement.clientWidth, innerHeight]")
    return box["x"] >= 0 and box["y"] >= 0 and box["x"] + box["width"] <= wide and box["y"] + box["height"] <= high


def test_a_card_opens_beside_its_setting(new_page: NewPage) -> None:
    page = new_page()
    cfg = page.locator("#cfg")
    ask, card = cfg.get_by_role("button", name="About CFG scale"), cfg.locator(".sw-help-card")
    expect(ask).to_have_attribute("aria-expanded", "false")
    ask.focus()
    page.keyboard.press("Enter")
    expect(card).to_be_visible()
    expect(ask).to_have_attribute("aria-expanded", "true")
    assert card.get_attribute("id") == ask.get_attribute("aria-controls")
    for part in ("title", "what", "like", "low", "high"):
        expect(card).to_contain_text(en.WORDS[f"card.cfg.{part}"])
    expect(card).not_to_contain_text("{")
    assert apart(card, cfg.locator(".sw-field")) and inside(page, card)
    found = Axe().run(page, context="#cfg", options={"resultTypes": ["violations"]})
    assert not found.response["violations"], found.response["violations"]

    stopped = "window.stopped = 0; stepwise.hear('escape', () => { window.stopped += 1; })"
    page.evaluate(stopped)
    page.keyboard.press("Escape")
    expect(card).to_be_hidden()
    expect(ask).to_be_focused()
    expect(ask).to_have_attribute("aria-expanded", "false")
    assert page.evaluate("window.stopped") == 0, "Escape closed the card and stopped the run"

    # A setting that is closed on this model still says what it would do, and only one card is open.
    open_drawer(page, "sampling")
    ask.click()
    page.locator("#shift .sw-help-ask").click()
    expect(page.locator("#shift .sw-help-card")).to_be_visible()
    expect(card).to_be_hidden()
    expect(page.locator("#shift input")).to_be_disabled()

    page.locator("#shift .sw-help-move").click()
    expect(page.locator("#card-shift")).to_be_in_viewport()
    expect(page.locator("#card-shift-title")).to_be_focused()


@pytest.mark.parametrize("language", ["en", "ja"])
def test_on_a_phone_it_is_large_enough_and_stays_on_the_screen(new_page: NewPage, language: str) -> None:
    page = new_page(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True, locale=language)
    for name in ("seed", "steps"):
        ask, card = page.locator(f"#{name} .sw-help-ask"), page.locator(f"#{name} .sw-help-card")
        target = ask.evaluate(
            "(node) => ['width', 'height'].map((side) => parseFloat(getComputedStyle(node, '::after')[side]))"
        )
        assert min(target) >= 44
        ask.tap()
        expect(card).to_be_visible()
        assert apart(card, page.locator(f"#{name} .sw-field")) and inside(page, card)
    page.locator("#steps .sw-help-move").tap()
    expect(page.locator("#card-steps")).to_be_in_viewport()
