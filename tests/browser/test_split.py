"""The split tab in a real browser: segments by mouse, touch and keyboard, and the pictures that they make."""

import base64
import io
import re
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from tests.browser.hands import generate, let_it_unfold, open_drawer, open_tab

NewPage = Callable[..., Page]
Ready = Callable[[Page], Page]
LONG = 120_000  # milliseconds: two slow cores, maybe busy
APPLE, RABBIT = "a red apple on a white background", "a red rabbit on a white background"


@pytest.fixture
def split(new_page: NewPage) -> Callable[..., Page]:
    """The split tab with an experiment in it."""

    def open_split(preset: str = "split-3-apple-to-rabbit", **options: Any) -> Page:
        page = new_page(**options)
        to_split(page)
        open_preset(page, preset)
        return page

    return open_split


def to_split(page: Page) -> None:
    open_tab(page, "Split")
    expect(page.locator("#split-said")).not_to_be_empty(timeout=LONG)


def open_preset(page: Page, name: str) -> None:
    open_drawer(page, "split-presets")
    page.locator(f'#split-presets [data-preset="{name}"]').click()
    expect(page.locator("#split-run-state")).to_contain_text("Settings opened", timeout=LONG)


def border(page: Page, number: int = 0) -> Locator:
    return page.locator('.sw-tl-border[data-side="end"]').nth(number)


def stands_at(page: Page, step: int, number: int = 0) -> None:
    expect(border(page, number)).to_have_attribute("aria-valuenow", str(step), timeout=LONG)


def says(page: Page, *words: str) -> None:
    for text in words:
        expect(page.locator("#split-said")).to_contain_text(text, timeout=LONG)


def at_step(page: Page, step: int, steps: int = 20) -> tuple[float, float]:
    """The middle of the track at a step."""
    page.locator(".sw-tl-track").scroll_into_view_if_needed()
    box = page.locator(".sw-tl-track").bounding_box()
    assert box
    return box["x"] + box["width"] * step / steps, box["y"] + box["height"] / 2


def write(page: Page, control: str, text: str) -> None:
    page.locator(f"#split-{control} :is(textarea, input:not([type=range]))").first.fill(text)


def make(page: Page) -> bytes:
    """Makes the picture; its pixels."""
    generate(page, "split-")
    picture = page.locator("#split-stage .sw-picture[data-kind=done] img")
    expect(picture).to_have_attribute("src", re.compile("gradio_api"), timeout=LONG)
    data = picture.evaluate("""async (image) => {
      const bytes = new Uint8Array(await (await fetch(image.src)).arrayBuffer());
      return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''));
    }""")
    return Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB").tobytes()


# --- hands ------------------------------------------------------------------------------------------------------------


def test_a_border_is_dragged_with_the_mouse(split: Callable[..., Page]) -> None:
    page = split()
    stands_at(page, 10)
    page.mouse.move(*at_step(page, 10))
    page.mouse.down()
    page.mouse.move(*at_step(page, 8))
    page.mouse.move(*at_step(page, 6))
    stands_at(page, 6)
    page.mouse.up()
    stands_at(page, 6)
    says(page, f"Steps 0–5 follow “{APPLE}”, 6–19 follow “{RABBIT}”")
    expect(page.locator("#segment-end input")).to_have_value("6", timeout=LONG)


def test_a_border_is_dragged_with_a_finger_and_the_page_stays(split: Callable[..., Page]) -> None:
    page = split(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    x, y = at_step(page, 10)
    finger = page.context.new_cdp_session(page)
    before = page.evaluate("scrollY")

    def touch(kind: str, *points: tuple[float, float]) -> None:
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y} for x, y in points]})

    touch("touchStart", (x, y))
    for step in (11, 12, 14, 15):
        touch("touchMove", (at_step(page, step)[0], y + step))
    stands_at(page, 15)
    touch("touchEnd")
    stands_at(page, 15)
    says(page, "Steps 0–14 follow")
    assert page.evaluate("scrollY") == before


def test_a_border_is_moved_with_the_keys(split: Callable[..., Page]) -> None:
    page = split()
    border(page).focus()
    for key, step in (
        ("ArrowRight", 11),
        ("ArrowLeft", 10),
        ("Shift+ArrowLeft", 5),
        ("PageUp", 10),
        ("End", 20),
        ("Home", 0),
    ):
        page.keyboard.press(key)
        stands_at(page, step)
        expect(border(page)).to_be_focused()
    expect(border(page)).to_have_attribute("aria-valuetext", "Step 0 of 20")
    for key, step in (("Control+z", 20), ("Control+z", 10), ("Control+Shift+z", 20)):
        page.keyboard.press(key)
        stands_at(page, step)
    says(page, f"All 20 steps follow “{APPLE}”")


def test_segments_are_split_and_deleted_and_that_is_taken_back(split: Callable[..., Page]) -> None:
    page = split()
    segments = page.locator(".sw-tl-segment")
    segments.nth(1).click()
    expect(page.locator("#segment-heading")).to_contain_text("Segment 2 of 2", timeout=LONG)
    expect(page.locator("#segment-prompt textarea")).to_have_value(RABBIT, timeout=LONG)
    page.keyboard.press("s")
    expect(segments).to_have_count(3)
    stands_at(page, 15, 1)
    expect(page.locator("#segment-prompt textarea")).to_have_value(RABBIT, timeout=LONG)
    page.keyboard.press("Delete")
    expect(segments).to_have_count(2)
    page.get_by_role("button", name="Undo").click()
    expect(segments).to_have_count(3)
    page.get_by_role("button", name="Redo").click()
    expect(segments).to_have_count(2)
    page.mouse.dblclick(*at_step(page, 4))
    expect(segments).to_have_count(3)
    stands_at(page, 4)
    page.get_by_label("Step to split at").fill("8")
    page.get_by_role("button", name="Split at").click()
    expect(segments).to_have_count(4)
    stands_at(page, 8, 1)


def test_the_inspector_edits_the_chosen_segment(split: Callable[..., Page]) -> None:
    page = split()
    page.locator(".sw-tl-segment").nth(1).click()
    expect(page.locator("#segment-prompt textarea")).to_have_value(RABBIT, timeout=LONG)
    page.locator("#segment-cfg input").fill("3.5")
    says(page, "From step 10 on: CFG 3.5")
    expect(page.locator(".sw-tl-segment").nth(1)).to_contain_text("CFG 3.5")
    page.locator("#segment-sampler select").select_option("dpmpp_2m")
    says(page, "dpmpp_2m")
    page.locator("#segment-prompt textarea").fill("")
    expect(page.locator("#segment-prompt textarea")).to_have_attribute("placeholder", APPLE, timeout=LONG)
    says(page, f"All 20 steps follow “{APPLE}”")
    page.locator("#segment-border select").select_option("restart")
    says(page, "At step 10 a new sampler begins")


def test_the_nodes_are_the_same_segments(split: Callable[..., Page]) -> None:
    page = split()
    page.get_by_role("button", name="KSampler (Advanced)").click()
    end = page.get_by_label("end_at_step of node 1")
    expect(end).to_have_value("10", timeout=LONG)
    end.fill("7")
    end.press("Enter")
    stands_at(page, 7)
    expect(page.get_by_label("start_at_step of node 2")).to_have_value("7", timeout=LONG)
    page.get_by_label("add_noise of node 2").select_option("enable")
    expect(page.locator("#split-odd")).to_contain_text("Segment 2 adds noise", timeout=LONG)


def test_a_table_from_a_spreadsheet_becomes_segments(split: Callable[..., Page]) -> None:
    page = split()
    page.get_by_role("button", name="Step table").click()
    rows = page.locator("#steps-table tbody tr")
    expect(rows).to_have_count(20, timeout=LONG)
    expect(rows.nth(10)).to_contain_text(RABBIT)
    page.get_by_label("Paste a table here").fill(
        "step\tprompt\tcfg\n0\ta blue star\t5\n4\ta blue star\t2\n15\ta green star\t2\n"
    )
    page.get_by_role("button", name="Use", exact=True).click()
    says(page, "Steps 0–14 follow “a blue star”, 15–19 follow “a green star”")
    expect(rows.nth(4)).to_contain_text("a blue star", timeout=LONG)
    page.get_by_label("Paste a table here").fill("step\tcolour\n0\tred\n")
    page.get_by_role("button", name="Use", exact=True).click()
    expect(page.locator("#split-run").get_by_role("alert")).to_contain_text("colour", timeout=LONG)


# --- words ------------------------------------------------------------------------------------------------------------


def test_nonsense_gets_its_sentence(split: Callable[..., Page]) -> None:
    page = split("split-2-no-noise")
    expect(page.locator("#split-odd")).to_contain_text("there is nothing to remove", timeout=LONG)
    page.locator("#segment-end input").fill("12")
    expect(page.locator("#split-odd")).to_contain_text("step 11 of 20 jumps", timeout=LONG)
    page.locator("#segment-start input").fill("15")
    expect(page.locator("#split-wrong")).to_be_visible(timeout=LONG)
    expect(page.locator("#split-wrong")).to_contain_text("before it starts", timeout=LONG)


def test_edits_within_a_prompt_are_marked(split: Callable[..., Page]) -> None:
    page = split("split-1-divide")
    says(page, "changes nothing")
    page.locator("#segment-prompt textarea").fill("a red [apple:rabbit:4]")
    expect(page.locator(".sw-tl-tick")).to_have_attribute("data-step", "4", timeout=LONG)


@pytest.mark.parametrize("name", ["1-divide", "2-no-noise", "3-apple-to-rabbit", "5-noise-in-the-middle"])
def test_experiments_open(split: Callable[..., Page], name: str) -> None:
    page = split(f"split-{name}")
    expect(page.locator("#split-said")).not_to_be_empty()
    expect(page.locator("#split-wrong")).to_be_hidden()


def test_an_experiment_for_a_model_that_is_not_here_says_so(split: Callable[..., Page]) -> None:
    page = split("split-1-divide-sd15")
    expect(page.locator("#split-model select")).to_have_value("v1-5-pruned-emaonly-fp16.safetensors", timeout=LONG)
    expect(page.locator("#split-wrong")).to_contain_text("v1-5-pruned-emaonly-fp16", timeout=LONG)


# --- pictures ---------------------------------------------------------------------------------------------------------


def test_a_lora_is_switched_in_the_timeline(split: Callable[..., Page]) -> None:
    """From step 6 on, by moving the border never, and from the beginning: three pictures."""
    page = split("split-4-lora-from-step-6")
    stands_at(page, 6)
    says(page, "pixel-art")
    pictures = [make(page)]
    for key, step in (("End", 20), ("Home", 0)):
        border(page).focus()
        page.keyboard.press(key)
        stands_at(page, step)
        pictures.append(make(page))
    assert len(set(pictures)) == 3


def test_a_cut_that_changes_nothing_gives_the_same_picture(split: Callable[..., Page]) -> None:
    page = split("split-1-divide")
    cut = make(page)
    still = page.locator('.sw-tl-still[data-border="0"]')
    expect(still).to_have_attribute("title", "Handed over after step 10", timeout=LONG)
    expect(still.locator("img")).to_have_attribute("src", re.compile("^data:image/jpeg"))
    page.get_by_role("button", name="Delete", exact=True).first.click()
    expect(page.locator(".sw-tl-segment")).to_have_count(1)
    says(page, "All 20 steps follow")
    write(page, "seed", "1235")
    other = make(page)
    write(page, "seed", "1234")
    whole = make(page)
    assert whole == cut
    assert other != cut


def test_what_is_made_here_opens_in_the_other_tab_and_back(split: Callable[..., Page]) -> None:
    page = split()
    write(page, "steps", "4")
    border(page).focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    stands_at(page, 2)
    make(page)
    page.locator("#split-stage").get_by_role("button", name="Open in Text to image").click()
    expect(page.locator("#prompt textarea")).to_have_value(APPLE, timeout=LONG)
    expect(page.locator("#carried")).to_contain_text("segments", timeout=LONG)
    page.locator("#stage").get_by_role("button", name="Open in Split").click()
    stands_at(page, 2)
    says(page, "2–3 follow")


def test_a_reload_finds_the_segments(split: Callable[..., Page], ready: Ready) -> None:
    page = split()
    border(page).focus()
    page.keyboard.press("ArrowRight")
    page.locator(".sw-tl-segment").nth(1).click()
    expect(page.locator("#segment-prompt textarea")).to_have_value(RABBIT, timeout=LONG)
    page.locator("#segment-prompt textarea").fill("a blue star")
    says(page, "11–19 follow “a blue star”")
    page.reload()
    ready(page)
    to_split(page)
    stands_at(page, 11)
    says(page, "11–19 follow “a blue star”")


# --- looks ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone(split: Callable[..., Page], scheme: str) -> None:
    page = split(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True, color_scheme=scheme)
    for drawer in ("split-noise", "split-reading", "split-sampling"):
        open_drawer(page, drawer)
    page.get_by_role("button", name="KSampler (Advanced)").click()
    let_it_unfold(page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_many_segments_and_many_steps(split: Callable[..., Page]) -> None:
    page = split("split-1-divide")
    write(page, "steps", "1000")
    expect(border(page)).to_have_attribute("aria-valuetext", "Step 10 of 1000", timeout=LONG)
    segments = page.locator(".sw-tl-segment")
    segments.last.click()
    for count in range(3, 11):
        segments.last.press("s")
        expect(segments).to_have_count(count, timeout=LONG)
    says(page, "changes nothing")
    page.set_viewport_size({"width": 390, "height": 844})
    expect(segments.last).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
