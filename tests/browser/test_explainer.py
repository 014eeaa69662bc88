"""The explainer: every card's strip is made once for everybody, moved, compared, and opened where its setting is used."""

import json
import re
from collections.abc import Callable
from typing import Any

from playwright.sync_api import Page, expect

from tests.browser.hands import LONG, let_it_unfold, open_tab

NewPage = Callable[..., Page]
CARDS = 14
WAITING = "document.querySelectorAll('#explainer-cards .sw-strip-cell:not([data-kind=done])').length"


def opened(new_page: NewPage, **options: Any) -> Page:
    page = new_page(**options)
    open_tab(page, "Explainer")
    expect(page.locator("#card-steps .sw-strip-cell").first).to_be_visible()
    expect(page.locator("#card-grid .sw-strip-cell")).to_have_count(25)  # told apart from the cards, a moment later
    return page


def test_every_strip_is_made_once_and_is_there_for_the_next_visitor(new_page: NewPage) -> None:
    page = opened(new_page)
    assert page.locator("#explainer-cards li.sw-card").count() == CARDS
    page.locator("#explainer-every").click()
    page.wait_for_function(f"{WAITING} === 0", timeout=2 * LONG)
    assert page.locator("#card-steps .sw-strip-cell").count() == 8
    errors = [text for text in page.locator("#explainer-cards .is-error").all_inner_texts() if text]
    assert not errors

    other = opened(new_page)  # with a browser of its own
    other.wait_for_function(f"{WAITING} === 0")
    assert other.locator("#explainer-cards [data-act=make]:visible").count() == 0, "nothing is left to be made"
    other.wait_for_timeout(1200)  # a card that lacked something would ask for it by now
    assert other.locator("#explainer-cards [data-act=stop]:visible").count() == 0

    _moves_and_compares(other)
    _crosses(other)
    _opens_where_it_is_used(other)
    _says_why_a_setting_does_nothing(page)


def _moves_and_compares(page: Page) -> None:
    """By keyboard alone."""
    card = page.locator("#card-cfg")
    before = card.locator(".sw-strip-frame img").first.get_attribute("src")
    control = card.get_by_role("slider", name="CFG scale")
    control.focus()
    control.press("ArrowRight")
    expect(control).to_have_attribute("aria-valuetext", "7")
    expect(card.locator(".sw-strip-cell[aria-pressed=true]")).to_have_text("7")
    assert card.locator(".sw-strip-frame img").first.get_attribute("src") != before
    cell = card.locator(".sw-strip-cell[aria-pressed=true]")
    cell.focus()
    cell.press("ArrowLeft")
    expect(card.locator(".sw-strip-cell:focus")).to_have_text("5")
    card.get_by_role("button", name="Compare").click()
    divider = card.get_by_role("slider", name="Divider between 3 and 5")
    divider.focus()
    divider.press("Home")
    assert card.locator(".sw-strip-over").evaluate("(image) => image.style.clipPath") == "inset(0px 0px 0px 0%)"


def _crosses(page: Page) -> None:
    """Two settings at once: what the first visitor made is there, another pair is asked for."""
    card = page.locator("#card-grid")
    card.scroll_into_view_if_needed()
    expect(card.locator(".sw-strip-cell[data-kind=done]")).to_have_count(25)
    across, down = card.get_by_label("Across"), card.get_by_label("Down")
    across.select_option("clip_skip")
    assert "shift" not in down.locator("option").evaluate_all("(all) => all.map((one) => one.value)")
    expect(card.locator(".sw-strip-cell")).to_have_count(10)
    expect(card.locator(".sw-strip-cell[data-kind=done]")).to_have_count(
        10, timeout=LONG
    )  # in sight: made without a click


def _opens_where_it_is_used(page: Page) -> None:
    card = page.locator("#card-cfg")
    card.locator(".sw-strip-cell", has_text="9").click()
    card.get_by_role("button", name="Use it in Text to image").click()
    expect(page.locator("#tab-text2image")).to_be_visible()
    expect(page.locator("#prompt textarea")).to_have_value("a red rabbit on a blue background")
    let_it_unfold(page)
    kept = json.loads(
        page.evaluate("() => JSON.stringify(document.querySelector('#cfg input[type=range], #cfg input').value)")
    )
    assert float(kept) == 9


def _says_why_a_setting_does_nothing(page: Page) -> None:
    page.locator("#explainer-model").select_option("demo-turbo")
    expect(page.locator("#card-clip_skip .sw-strip-why")).to_have_text(re.compile("demo-turbo always .* no effect"))
    expect(page.locator("#card-shift .sw-strip-why")).to_be_hidden()


def test_on_a_phone_a_card_in_sight_has_its_strip_and_fingers_find_its_controls(new_page: NewPage) -> None:
    page = opened(new_page, viewport={"width": 390, "height": 844}, has_touch=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.locator("#card-steps .sw-strip").scroll_into_view_if_needed()
    expect(page.locator("#card-steps .sw-strip-cell[data-kind=done]")).to_have_count(8, timeout=LONG)
    small = page.locator("#card-steps button:visible").evaluate_all(
        "(all) => all.filter((one) => one.getBoundingClientRect().height < 44).map((one) => one.innerText)"
    )
    assert not small
