"""A picture's settings open in every tab that makes pictures, from the stage and from the gallery; where they cannot, it is said."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.hands import generate, let_it_unfold, open_tab

NewPage = Callable[..., Page]
REASON = "Variety: only for flow models (Z-Image, Flux)"


def make(page: Page, prompt: str, turbo: bool = False) -> None:
    """With the demo, or with demo-turbo, whose own steps the form takes on when it is chosen."""
    if turbo:
        page.locator("#model select").select_option("demo-turbo")
        expect(page.locator("#steps input[type=number]")).to_have_value("9")
    page.locator("#prompt textarea").fill(prompt)
    page.locator("#steps input[type=number]").fill("4")
    generate(page)


def in_gallery(page: Page, prompt: str) -> Locator:
    """The picture of that prompt, chosen."""
    open_tab(page, "Gallery")
    page.locator(f'.sw-tile[title="{prompt}"]').first.click()
    detail = page.locator("#gallery .sw-detail")
    expect(detail.locator(".sw-prompt")).to_have_text(prompt)
    return detail


@pytest.mark.parametrize(("tab", "field"), [("LoRA", "lora-prompt"), ("Split", "split-prompt"), ("Text to image", "prompt")])
def test_a_picture_of_stable_diffusion(new_page: NewPage, tab: str, field: str) -> None:
    """The gallery offers three tabs; the fourth means nothing to its model, and the reason stands beside it."""
    page, prompt = new_page(), f"a green tree for {tab}"
    make(page, prompt)
    page.locator("#prompt textarea").fill("something else")
    detail = in_gallery(page, prompt)
    expect(detail.get_by_role("button", name="Open in Variety")).to_be_disabled()
    expect(detail.get_by_text(REASON)).to_be_visible()
    detail.get_by_role("button", name=f"Open in {tab}").click()
    expect(page.locator(f"#{field} textarea")).to_be_visible()
    expect(page.locator(f"#{field} textarea")).to_have_value(prompt)


def test_a_picture_of_turbo_begins_blind_in_variety(new_page: NewPage) -> None:
    """From the gallery and from the stage: the sampler and the steps are the picture's, and nothing is blind yet."""
    page, prompt = new_page(), "a blue star"
    make(page, prompt, turbo=True)
    expect(page.locator("#stage").get_by_text(REASON)).to_be_hidden()
    detail = in_gallery(page, prompt)
    detail.get_by_role("button", name="Open in Variety").click()
    expect(page.locator("#variety-prompt textarea")).to_be_visible()
    expect(page.locator("#variety-prompt textarea")).to_have_value(prompt)
    expect(page.locator("#variety-blind input[type=number]")).to_have_value("0")
    open_tab(page, "Text to image")
    page.locator("#stage").get_by_role("button", name="Open in LoRA").click()
    expect(page.locator("#lora-prompt textarea")).to_be_visible()
    expect(page.locator("#lora-prompt textarea")).to_have_value(prompt)
    let_it_unfold(page)
    expect(page.locator("#lora-steps input[type=number]")).to_have_value("4")
