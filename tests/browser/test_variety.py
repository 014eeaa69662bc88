"""The variety tab in a real browser: rows, a pinned start, the plot, the endless run; by hand, by keyboard, on a phone."""

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests import tiny_models
from tests.browser.conftest import served
from tests.browser.hands import LONG, generate, let_it_unfold, open_drawer, open_tab

NewPage = Callable[..., Page]


@pytest.fixture(scope="module")
def address(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A studio with a tiny random Z-Image and a tiny random CLIP beside the demo model: nothing here hangs on what pictures show."""
    folder = tmp_path_factory.mktemp("variety")
    shutil.copytree(models / "demo", folder / "models" / "demo")
    tiny_models.z_image(folder / "models" / "tiny-turbo")
    tiny_models.clip_model(folder / "models" / "clip_vision" / "tiny-clip")
    with served(folder / "models", folder) as here:
        yield here


@pytest.fixture
def page(new_page: NewPage) -> Page:
    return opened(new_page())


def opened(page: Page) -> Page:
    """The tab, at a size that takes no time."""
    open_tab(page, "Variety")
    expect(page.locator("#variety-grid-hint")).not_to_be_empty(timeout=LONG)
    expect(page.locator("#variety-model select")).to_have_value("tiny-turbo")
    open_drawer(page, "variety-sampling")
    for side in ("Width", "Height"):
        page.get_by_role("tabpanel").get_by_label(f"{side} in pixels").fill("32")
    return page


def seeds(page: Page, count: int) -> None:
    page.locator("#variety-batch input.sw-number").fill(str(count))
    expect(page.locator("#variety-grid-hint")).to_contain_text(f"of {max(2, count)} seeds", timeout=LONG)


def done(page: Page) -> Locator:
    return page.locator('.sw-var-picture[data-kind="done"]')


def rows(page: Page) -> Locator:
    return page.locator(".sw-var-row")


def running(page: Page) -> Page:
    """An endless run that has made three pictures at least."""
    seeds(page, 1)
    page.locator("#variety-endless").click()
    expect(done(page).nth(2)).to_be_visible(timeout=LONG)
    return page


def made(page: Page) -> int:
    """How many pictures the endless run has; only the latest are shown."""
    text = page.locator("#variety-endless-count").inner_text()
    return int(text.split()[0])


def goes_on(page: Page) -> None:
    """More pictures come."""
    before = made(page)
    page.wait_for_function(
        "(before) => parseInt(document.querySelector('#variety-endless-count').textContent) > before + 1",
        arg=before,
        timeout=LONG,
    )


def stop(page: Page) -> None:
    page.locator("#variety-stop-after").click()
    expect(page.locator("#variety-run .sw-runbar")).to_have_attribute("data-state", "stopped", timeout=LONG)


def test_only_models_of_a_flow_are_offered(page: Page) -> None:
    assert page.locator("#variety-model option").all_inner_texts() == ["tiny-turbo"]


def test_the_same_seeds_plain_above_and_blind_below(page: Page) -> None:
    seeds(page, 2)
    generate(page, "variety-")
    expect(rows(page).locator("h2")).to_have_text(["Plain", "2 blind, zeros"], timeout=LONG)
    for row in (0, 1):
        cells = rows(page).nth(row).locator('.sw-var-picture[data-kind="done"]')
        expect(cells).to_have_count(2, timeout=LONG)
        assert [cells.nth(k).get_attribute("aria-label") for k in (0, 1)] == ["seed 1", "seed 2"]
    assert rows(page).nth(0).locator(".sw-var-still:visible").count() == 0
    expect(rows(page).nth(1).locator(".sw-var-still figcaption")).to_have_text(["after step 2"] * 2)
    expect(page.locator(".sw-var-number")).to_contain_text(
        re.compile(
            r"Seeds differ by 0\.\d\d plain, by 0\.\d\d with.*Prompt followed: [\d.]+ of 100 plain, [\d.]+ with.*tiny-clip"
        )
    )
    page.reload()
    page.wait_for_function("window.stepwise?.kept")
    open_tab(page, "Variety")
    expect(done(page)).to_have_count(4, timeout=LONG)
    expect(page.locator(".sw-var-number")).to_contain_text(re.compile("Seeds differ by.*Prompt followed: "))


def test_two_samplers_side_by_side(page: Page) -> None:
    seeds(page, 1)
    page.locator("#variety-beside select").select_option("euler")
    generate(page, "variety-")
    names = ["Plain · res_multistep", "2 blind, zeros · res_multistep", "Plain · euler", "2 blind, zeros · euler"]
    expect(rows(page).locator("h2")).to_have_text(names, timeout=LONG)
    expect(done(page)).to_have_count(4, timeout=LONG)


def test_the_negative_is_closed_with_its_reason(page: Page) -> None:
    negative = page.locator("#variety-negative")
    page.locator("#variety-cfg input.sw-number").fill("2")
    expect(negative.locator("textarea")).to_be_enabled(timeout=LONG)
    page.locator("#variety-cfg input.sw-number").fill("1")
    expect(negative.locator("textarea")).to_be_disabled(timeout=LONG)
    expect(negative).to_contain_text("At CFG 1 the negative prompt is not evaluated")


def test_other_prompts_on_a_pinned_start(page: Page) -> None:
    seeds(page, 1)
    generate(page, "variety-")
    rows(page).nth(1).locator(".sw-var-picture").click()
    page.locator('[data-act="pin"]').click()
    pin = page.locator("#variety-pin .sw-pin")
    expect(pin).to_contain_text("The blind start of seed 1 is pinned", timeout=LONG)
    expect(page.locator("#variety-seed input").first).to_be_disabled(timeout=LONG)
    let_it_unfold(page)
    page.locator("#variety-prompt textarea").fill("a blue car")
    page.locator("#variety-further").fill("the long way round\na red apple")
    generate(page, "variety-")
    expect(page.locator(".sw-var-caption:visible")).to_have_text(
        ["a red rabbit", "a blue car", "the long way round", "a red apple"], timeout=LONG
    )
    expect(done(page)).to_have_count(4, timeout=LONG)
    page.locator("#variety-unpin").click()
    expect(pin).to_be_hidden(timeout=LONG)
    expect(page.locator("#variety-seed input").first).to_be_enabled(timeout=LONG)


def test_the_plot_is_a_table(page: Page) -> None:
    seeds(page, 2)
    page.locator("#variety-grid").click()
    table = page.get_by_role("table", name="How much seeds differ, and how far the prompt is followed")
    expect(table.get_by_role("columnheader")).to_have_text(["shift 3", "shift 5", "shift 7"], timeout=LONG)
    names = ["Plain", "1 blind, zeros", "2 blind, zeros", "3 blind, zeros"]
    expect(table.get_by_role("rowheader")).to_have_text(names, timeout=LONG)
    told = re.compile(r", shift \d: seeds differ by 0\.\d\d, prompt followed [\d.]+ of 100")
    expect(table.get_by_role("button", name=told)).to_have_count(12, timeout=LONG)
    expect(table.locator(".is-best")).to_have_accessible_name(re.compile("the most of all$"))
    expect(table.locator(".is-best")).to_have_count(1)
    expect(page.locator(".sw-var-board > .sw-hint")).to_contain_text("more than 5 points")
    cell = table.get_by_role("button", name="2 blind, zeros, shift 7")
    cell.press("Enter")
    expect(cell).to_have_attribute("aria-expanded", "true")
    expect(page.locator(".sw-var-board .sw-var-picture:visible")).to_have_count(2)


def test_an_endless_run_survives_a_reload_and_is_stopped(page: Page) -> None:
    expect(page.locator("#variety-endless-hint")).to_contain_text("GB of the disk is free (now")
    running(page)
    page.reload()
    page.wait_for_function("window.stepwise?.kept")
    open_tab(page, "Variety")
    expect(page.locator("#variety-run-state")).to_contain_text("of an endless run", timeout=LONG)
    goes_on(page)
    stop(page)


def test_stars_are_kept_and_the_rest_is_swept_away(page: Page) -> None:
    running(page)
    stop(page)
    count = made(page)
    star = page.locator(".sw-var-star").nth(1)
    star.click()
    expect(star).to_have_attribute("aria-pressed", "true", timeout=LONG)
    expect(page.locator("#variety-endless-count")).to_contain_text(f"{count} pictures, 1 kept")
    kept = star.get_attribute("aria-label")
    page.locator("#variety-sweep").click()
    page.locator("#variety-sweep-yes").click()
    expect(done(page)).to_have_count(1, timeout=LONG)
    expect(page.locator(".sw-var-star")).to_have_attribute("aria-label", kept or "")
    expect(page.locator("#variety-sweep")).to_be_disabled()


def test_another_run_is_let_in_between(page: Page) -> None:
    """Generate in another tab while the endless run goes on: it is made, and then that goes on."""
    running(page)
    open_tab(page, "Text to image")
    page.locator("#size").get_by_label("Width in pixels").fill("64")
    page.locator("#steps input.sw-number").fill("1")
    page.locator("#generate").click()
    expect(page.locator("#stage .sw-picture[data-kind='done']")).to_be_visible(timeout=LONG)
    open_tab(page, "Variety")
    goes_on(page)
    stop(page)


def test_a_blind_start_opens_in_split(page: Page) -> None:
    seeds(page, 1)
    generate(page, "variety-")
    rows(page).nth(1).locator(".sw-var-picture").click()
    page.locator('.sw-var-detail [data-open="in_split"]').click()
    expect(page.get_by_role("tab", name="Split")).to_have_attribute("aria-selected", "true", timeout=LONG)
    expect(page.locator("#timeline .sw-tl-segment")).to_have_count(2, timeout=LONG)
    expect(page.locator("#timeline .sw-tl-border.is-restart")).to_have_count(1, timeout=LONG)


def test_an_experiment_fills_the_form(page: Page) -> None:
    open_drawer(page, "variety-presets")
    page.locator('[data-preset="variety-demo-second-prompt"]').click()
    expect(page.locator("#variety-prompt textarea")).to_have_value("a red car", timeout=LONG)
    open_drawer(page, "variety-start")
    expect(page.locator("#variety-conditioning select")).to_have_value("prompt", timeout=LONG)
    expect(page.locator("#variety-second textarea")).to_have_value(re.compile("green tree"), timeout=LONG)


def test_by_keyboard_alone(page: Page) -> None:
    seeds(page, 1)
    page.locator("#variety-prompt textarea").focus()
    bar = page.locator("#variety-run .sw-runbar")
    page.keyboard.press("Control+Enter")
    expect(bar).to_have_attribute("data-state", "done", timeout=LONG)
    picture = rows(page).nth(1).locator(".sw-var-picture")
    picture.press("Enter")
    expect(picture).to_have_attribute("aria-pressed", "true")
    expect(page.locator(".sw-var-detail")).to_be_visible()
    page.locator('[data-act="pin"]').press("Enter")
    expect(page.locator("#variety-pin .sw-pin")).to_be_visible(timeout=LONG)


def test_on_a_phone(new_page: NewPage) -> None:
    page = opened(new_page(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True))
    seeds(page, 2)
    generate(page, "variety-")
    expect(done(page)).to_have_count(4, timeout=LONG)
    assert page.evaluate("document.documentElement.scrollWidth <= 390"), "nothing sticks out"
    small = page.evaluate(
        "[...document.querySelectorAll('#tab-variety .sw-variety button, #tab-variety .sw-variety-ask button')]"
        ".filter((one) => one.getClientRects().length && one.getBoundingClientRect().height < 43.5).map((one) => one.outerHTML)"
    )
    assert not small
