"""Looking inside, in a browser: plots with their words, tokens as text, and a look that the queue makes."""

from collections.abc import Callable
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Page, expect

from core.inside.curves import calls
from core.sampling.model_sampling import EpsDiscrete
from tests.browser.hands import LONG, let_it_unfold, open_tab

NewPage = Callable[..., Page]
STEPS = 6


def test_what_is_shown_inside_is_said_in_words(new_page: NewPage, tmp_path: Path) -> None:
    """One page for all panels: opening one takes longer than they do."""
    page = new_page()
    open_tab(page, "Explainer")
    the_sampler_s_calls_are_counted(page)
    hostile_prompts_are_text(page)
    a_look_is_made_by_the_queue(page)
    Image.linear_gradient("L").convert("RGB").save(tmp_path / "ramp.png")
    a_picture_of_one_s_own_goes_through_the_vae(page, tmp_path / "ramp.png")
    nothing_keeps_anybody_out(page)


def the_sampler_s_calls_are_counted(page: Page) -> None:
    panel = page.locator("#inside-sigmas")
    panel.scroll_into_view_if_needed()
    expect(panel.locator(".sw-curve.is-chosen")).to_have_count(1, timeout=LONG)
    panel.get_by_label("Steps", exact=True).fill(str(STEPS))
    panel.locator(".sw-inside-bars button").filter(has_text="dpmpp_sde").first.click()
    counted = next(one for one in calls(STEPS, "normal", EpsDiscrete()) if one.sampler == "dpmpp_sde")
    words = panel.locator(".sw-plot-words")
    expect(words).to_contain_text(
        f"dpmpp_sde asks the model {counted.calls} times, {counted.between} of them", timeout=LONG
    )
    expect(panel.locator(".sw-plot .is-between")).to_have_count(counted.between)
    expect(panel.locator(".sw-plot .is-mark")).to_have_count(counted.calls - counted.between)
    described = panel.locator("svg[role=img]").get_attribute("aria-describedby")
    assert described == words.get_attribute("id")


def hostile_prompts_are_text(page: Page) -> None:
    panel = page.locator("#inside-tokens")
    panel.scroll_into_view_if_needed()
    expect(panel.locator(".sw-chip").nth(4)).to_be_attached(timeout=LONG)
    panel.get_by_label("Prompt", exact=True).fill("a (red:1.5) <img src=x onerror=alert(1)> [cat:dog:3]")
    expect(panel.locator(".sw-chip.is-weighted").first).to_have_text("red1.5", timeout=LONG)
    assert panel.locator("p.sw-chips img").count() == 0
    panel.get_by_role("button", name="Steps 3–").click()
    expect(panel.locator(".sw-chips")).to_contain_text("dog")
    expect(panel.locator(".sw-chips")).not_to_contain_text("cat")


def a_look_is_made_by_the_queue(page: Page) -> None:
    panel = page.locator("#inside-run")
    panel.scroll_into_view_if_needed()
    let_it_unfold(page)
    expect(panel.get_by_label("Model", exact=True)).to_have_value("demo", timeout=LONG)
    panel.get_by_role("button", name="Clip skip by layers").click()
    expect(panel.locator(".sw-inside-heat rect").first).to_be_attached(timeout=LONG)
    expect(panel.locator(".sw-plot-words").last).to_contain_text("Clip skip 2: likeness")
    expect(panel.locator(".sw-error")).to_be_hidden()


def a_picture_of_one_s_own_goes_through_the_vae(page: Page, file: Path) -> None:
    panel = page.locator("#inside-vae")
    panel.scroll_into_view_if_needed()
    page.locator("#inside-vae-file").set_input_files(file)
    expect(panel.locator(".sw-drop img")).to_be_visible(timeout=LONG)
    panel.get_by_role("button", name="Pack and unpack").click()
    expect(panel.locator("figure img")).to_have_count(3, timeout=LONG)
    expect(panel.locator(".sw-inside-said")).to_contain_text("dB")


def nothing_keeps_anybody_out(page: Page) -> None:
    """With everything drawn."""
    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    assert not [(one["id"], node["html"][:160]) for one in found for node in one["nodes"]]
