"""Sweeps in a real browser: a border is swept, its pictures are scrubbed and compared, and a run goes on from one of its steps."""

import json
import re
import secrets
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from tests.browser.hands import generate, let_it_unfold, open_tab

NewPage = Callable[..., Page]
Ready = Callable[[Page], Page]
LONG = 240_000  # milliseconds: two slow cores, maybe busy
STEPS = 4
APPLE = "a red apple on a white background"


def to_split(page: Page, steps: int = STEPS) -> None:
    """The split tab with the experiment that a newcomer finds, in a few steps."""
    open_tab(page, "Split")
    expect(page.locator("#split-said")).not_to_be_empty(timeout=LONG)
    page.locator("#split-steps input.sw-number").fill(str(steps))
    expect(page.locator("#sweep-border")).to_contain_text(re.compile(rf"0 … {steps}\b"), timeout=LONG)


def done(page: Page) -> Locator:
    return page.locator('.sw-cell[data-kind="done"]')


def sweep_the_border(page: Page) -> None:
    page.locator("#sweep-border").click()
    expect(done(page)).to_have_count(STEPS + 1, timeout=LONG)
    expect(page.locator("#sweep-said")).to_contain_text("steps", timeout=LONG)


def scrubber(page: Page, axis: int = 0) -> Locator:
    return page.locator(f'.sw-sweep-slider[data-axis="{axis}"] input')


def on_stage(page: Page) -> Locator:
    return page.locator("#split-stage .sw-picture img")


def shows(page: Page, step: int) -> None:
    """The picture of that border is on the stage, in the slider and in the cells."""
    expect(page.locator("#split-stage .sw-caption")).to_have_text(f"Border 1 | 2: {step}", timeout=LONG)
    expect(scrubber(page)).to_have_attribute("aria-valuetext", f"Border 1 | 2: {step}", timeout=LONG)
    cell = page.locator(".sw-cell").nth(step)
    expect(cell).to_have_attribute("aria-pressed", "true", timeout=LONG)


def test_a_border_is_swept_scrubbed_compared_and_saved(new_page: NewPage) -> None:
    page = new_page()
    to_split(page)
    # A seed of its own: steps that another test has run are kept, and would not be counted here.
    page.locator("#split-seed input").first.fill(str(secrets.randbits(32)))
    expect(page.locator("#sweep-cost")).to_have_text(
        "5 pictures: at most 14 steps, where single runs would take 20.", timeout=LONG
    )
    sweep_the_border(page)
    expect(page.locator("#sweep-said")).to_contain_text(
        "5 pictures took 14 steps; single runs would have taken 20.", timeout=LONG
    )
    expect(page.locator("#split-run .sw-runbar")).to_have_attribute("data-state", "done", timeout=LONG)
    by_keyboard(page)
    by_mouse(page)
    compared(page)
    saved(page)


def by_keyboard(page: Page) -> None:
    slider = scrubber(page)
    slider.focus()
    slider.press("Home")
    shows(page, 0)
    first = on_stage(page).get_attribute("src")
    slider.press("ArrowRight")
    slider.press("ArrowRight")
    shows(page, 2)
    assert on_stage(page).get_attribute("src") != first
    border = page.locator('.sw-tl-border[data-side="end"]')
    expect(border).to_have_attribute("aria-valuenow", "2", timeout=LONG)
    border.focus()
    border.press("ArrowRight")
    shows(page, 3)
    page.locator(".sw-cell").nth(3).press("ArrowRight")
    shows(page, 4)
    expect(page.locator(".sw-cell").nth(4)).to_be_focused()


def by_mouse(page: Page) -> None:
    """Without letting go: neighbours follow each other at once, from pictures that are here already."""
    slider = scrubber(page)
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    assert box
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/file=" in request.url else None)
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] - 8, middle)
    page.mouse.down()
    for step in (3, 2, 1, 0):
        page.mouse.move(box["x"] + 8 + (box["width"] - 16) * step / STEPS, middle)
        shows(page, step)
    page.mouse.up()
    expect(page.locator('.sw-tl-border[data-side="end"]')).to_have_attribute("aria-valuenow", "0", timeout=LONG)
    assert not asked, "nothing is fetched while the hand moves"


def compared(page: Page) -> None:
    page.locator("#sweep-compare").click()
    number = page.locator("#sweep-difference")
    expect(number).to_contain_text("Choose another picture", timeout=LONG)
    page.locator(".sw-cell").nth(4).click()
    expect(number).to_contain_text(re.compile(r"They differ by [\d.]+% \(RMS"), timeout=LONG)
    assert 0 < float(number.get_attribute("data-rms") or 0) < 1
    expect(page.locator(".sw-sweep-pair figure").nth(2)).to_be_visible()
    page.locator(".sw-cell").nth(0).click()
    expect(number).to_contain_text("Choose another picture", timeout=LONG)
    page.locator("#sweep-compare").click()
    expect(page.locator(".sw-sweep-pair")).to_be_hidden()


def saved(page: Page) -> None:
    for form, frames in (("webp", 5), ("gif", 5), ("png", 1)):
        with page.expect_download(timeout=LONG) as download:
            page.locator(f'.sw-sweep [data-form="{form}"]').click()
        with Image.open(Path(download.value.path())) as film:
            assert getattr(film, "n_frames", 1) == frames, form
            assert film.height > 128, "the captions have room"


def test_the_gallery_shows_a_sweep_as_one_and_deletes_it_whole(new_page: NewPage) -> None:
    page = new_page()
    to_split(page, steps=2)
    write_seed = page.locator("#split-seed input").first
    write_seed.fill("4711")
    page.locator("#sweep-border").click()
    expect(done(page)).to_have_count(3, timeout=LONG)
    expect(page.locator("#split-run .sw-runbar")).to_have_attribute("data-state", "done", timeout=LONG)
    open_tab(page, "Gallery")
    tile = page.locator(f'.sw-tile[aria-label="{APPLE}, seed 4711"]')
    expect(tile).to_have_count(1, timeout=LONG)
    expect(tile).to_contain_text("Sweep of 3")
    tile.click()
    expect(page.locator(".sw-series .sw-thumb")).to_have_count(3, timeout=LONG)
    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_role("button", name="Delete all 3").click()
    expect(tile).to_have_count(0, timeout=LONG)


def test_two_fields_make_a_grid_and_a_picture_opens_its_settings(new_page: NewPage) -> None:
    page = new_page()
    to_split(page, steps=2)
    page.locator("#sweep-more").click()
    let_it_unfold(page)
    rows = page.locator(".sw-sweep-row")
    rows.nth(0).locator("select").select_option("cfg")
    rows.nth(0).locator("input").fill("1, 3, 5")
    page.locator("#sweep-add").click()
    rows.nth(1).locator("select").select_option("segments.0.prompt")
    rows.nth(1).locator("textarea").fill("a blue car\na green star")
    expect(page.locator("#sweep-cost")).to_contain_text("6 pictures", timeout=LONG)
    page.locator("#sweep-run").click()
    expect(done(page)).to_have_count(6, timeout=LONG)
    expect(scrubber(page, 1)).to_have_attribute("aria-label", "Segment 1: Prompt")
    cell = page.locator('.sw-cell[data-place="2,1"]')
    cell.click()
    expect(page.locator("#split-stage .sw-caption")).to_have_text(
        "CFG: 5, Segment 1: Prompt: a green star", timeout=LONG
    )
    page.locator("#sweep-open").click()
    expect(page.locator("#split-run-state")).to_contain_text("Settings opened", timeout=LONG)
    expect(page.locator(".sw-tl-segment").first).to_contain_text("a green star", timeout=LONG)
    expect(page.locator("#split-cfg input.sw-number")).to_have_value("5", timeout=LONG)


def test_nonsense_is_refused_in_a_sentence_and_nothing_runs(new_page: NewPage) -> None:
    page = new_page()
    to_split(page, steps=2)
    page.locator("#sweep-more").click()
    let_it_unfold(page)
    page.locator(".sw-sweep-row select").select_option("steps")
    page.locator(".sw-sweep-row input").fill("0:3")
    cost = page.locator("#sweep-cost")
    expect(cost).to_contain_text("steps must be at least 1", timeout=LONG)
    page.locator("#sweep-run").click()
    expect(page.locator("#split-run").get_by_role("alert")).to_contain_text("steps must be at least 1", timeout=LONG)
    page.locator(".sw-sweep-row input").fill("1:2")
    expect(cost).to_contain_text("2 pictures", timeout=LONG)
    expect(page.locator(".sw-cell")).to_have_count(0)


def test_a_reload_finds_the_sweep(new_page: NewPage, ready: Ready) -> None:
    page = new_page()
    to_split(page)
    page.locator("#sweep-border").click()
    expect(done(page).first).to_be_visible(timeout=LONG)
    page.reload()
    ready(page)
    open_tab(page, "Split")
    expect(done(page)).to_have_count(STEPS + 1, timeout=LONG)
    scrubber(page).focus()
    scrubber(page).press("End")
    shows(page, STEPS)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone(new_page: NewPage, scheme: str) -> None:
    page = new_page(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True, color_scheme=scheme)
    to_split(page)
    page.locator("#sweep-more").tap()
    let_it_unfold(page)
    page.locator("#sweep-more").tap()
    page.locator("#sweep-border").tap()
    expect(done(page)).to_have_count(STEPS + 1, timeout=LONG)
    page.locator(".sw-cell").nth(1).tap()
    shows(page, 1)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    low = page.evaluate("""() => [...document.querySelectorAll('#sweep-form button, .sw-sweep button')]
        .filter((part) => part.offsetHeight && part.offsetHeight < 44).map((part) => part.outerHTML.slice(0, 90))""")
    assert not low


def test_a_run_goes_on_from_one_of_its_steps(new_page: NewPage) -> None:
    """With another prompt it keeps the steps before; with other noise it gives four pictures that begin alike."""
    page = new_page()
    to_split(page)
    generate(page, "split-")
    bar = page.locator("#split-run .sw-runbar")
    still = page.locator("#split-stage .sw-still").filter(has_text=re.compile(r"^2$"))
    still.click()
    page.locator("#split-stage .sw-here").get_by_role("button", name="4 more from here").click()
    expect(done(page)).to_have_count(4, timeout=LONG)
    assert len({image.get_attribute("src") for image in page.locator(".sw-cell img").all()}) == 4
    expect(bar).to_have_attribute("data-state", "done", timeout=LONG)
    generate(page, "split-")
    still.click()
    page.locator("#split-stage .sw-here").get_by_role("button", name="Continue from step 2").click()
    carried = page.locator("#split-carried")
    expect(carried).to_contain_text("Goes on from step 2", timeout=LONG)
    generate(page, "split-")
    page.locator("#split-stage").get_by_role("button", name="Settings", exact=True).click()
    made = json.loads(page.locator("#split-stage .sw-settings pre").inner_text())
    assert made["init"]["start"] == 2 and made["segments"][0]["prompt"] == APPLE
    carried.get_by_role("button", name="Remove").click()
    expect(carried).not_to_contain_text("Goes on from")
