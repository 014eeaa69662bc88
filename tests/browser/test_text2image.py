"""What a person does on the first evening, in a real browser on the demo model."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.browser.hands import LONG, drop, let_it_unfold, open_drawer, open_tab

NewPage = Callable[..., Page]
Ready = Callable[[Page], Page]
HOSTILE = "${alert(1)}{{value}}`<img src=x onerror=alert(2)>\"'><script>alert(3)</script>"
WATCH = """() => {
  window.seen = [];
  new MutationObserver(() => {
    const kinds = [...document.querySelectorAll('.sw-picture')].map((p) => p.dataset.kind).join(' ');
    if (kinds && kinds !== window.seen.at(-1)) window.seen.push(kinds);
  }).observe(document.querySelector('#stage'), { subtree: true, childList: true, attributes: true });
}"""


def write(page: Page, control: str, text: str) -> None:
    page.locator(f"#{control} :is(textarea, input:not([type=range]))").first.fill(text)


def value(page: Page, control: str) -> str:
    return page.locator(f"#{control} :is(textarea, input:not([type=range]), select)").first.input_value()


def state(page: Page) -> str:
    return str(page.locator(".sw-runbar").get_attribute("data-state"))


def wait_for(page: Page, wanted: str) -> None:
    """Until the run has come to an end, and that it is this one."""
    bar = page.locator(".sw-runbar")
    expect(bar).to_have_attribute("data-state", re.compile("done|stopped|failed"), timeout=120_000)
    assert state(page) == wanted, bar.inner_text()


def make(page: Page, prompt: str, *, steps: int, seed: str = "7") -> None:
    write(page, "prompt", prompt)
    write(page, "steps", str(steps))
    write(page, "seed", seed)
    page.locator("#generate").click()


def recipe(page: Page) -> dict[str, Any]:
    """The settings of the picture on the stage, as the page tells them."""
    page.locator(".sw-stage").get_by_role("button", name="Settings", exact=True).click()
    return json.loads(page.locator(".sw-settings pre").inner_text())


def test_a_picture_grows_and_stays(new_page: NewPage) -> None:
    page = new_page()
    page.evaluate(WATCH)
    make(page, "a red rabbit on a blue background", steps=20, seed="1234")
    wait_for(page, "done")
    seen = page.evaluate("window.seen")
    assert "preview" in seen, seen
    assert seen[-1] == "done"
    picture = page.locator(".sw-picture img")
    page.wait_for_function("document.querySelector('.sw-picture img').naturalWidth === 128")
    assert "gradio_api/file=" in str(picture.get_attribute("src"))
    settings = recipe(page)
    assert [settings[field] for field in ("prompt", "seed", "steps")] == ["a red rabbit on a blue background", 1234, 20]
    expect(page.locator(".sw-still").first).to_be_visible()
    expect(page.locator("#run-state")).to_contain_text("1234")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert Path(download.value.path()).read_bytes().startswith(b"\x89PNG")


def test_settings_and_drawers_survive_a_reload(new_page: NewPage, ready: Ready) -> None:
    page = new_page()
    open_drawer(page, "sampling")
    page.locator("#sampler select").select_option("dpmpp_2m")
    write(page, "prompt", "a star")
    write(page, "seed", str(2**64 - 1))
    write(page, "cfg", "3.5")
    page.wait_for_timeout(300)
    page.reload()
    ready(page)
    expect(page.locator("#sampler select")).to_have_value("dpmpp_2m")
    assert [value(page, control) for control in ("prompt", "seed", "cfg")] == ["a star", str(2**64 - 1), "3.5"]


def test_stop_keeps_the_half_done_picture(new_page: NewPage) -> None:
    page = new_page()
    make(page, "a green apple", steps=1000)
    page.wait_for_selector('.sw-picture[data-kind="preview"]')
    page.keyboard.press("Escape")
    wait_for(page, "stopped")
    expect(page.locator(".sw-picture")).to_have_attribute("data-kind", "partial")
    assert recipe(page)["steps"] == 1000


def test_a_reload_finds_the_running_job(new_page: NewPage) -> None:
    page = new_page()
    make(page, "a yellow star", steps=1000)
    page.wait_for_selector('.sw-picture[data-kind="preview"]')
    page.reload()
    page.wait_for_selector('.sw-picture[data-kind="preview"]')
    assert state(page) == "running"
    page.locator("#stop-now").click()
    wait_for(page, "stopped")


def test_a_closed_page_loses_nothing(new_page: NewPage) -> None:
    page = new_page()
    make(page, "a purple umbrella", steps=40, seed="99")
    page.wait_for_selector('.sw-picture[data-kind="preview"]')
    page.close()
    other = new_page()
    open_tab(other, "Gallery")
    found = other.locator('.sw-tile[title="a purple umbrella"]')
    for words in ["umbrella", "purple umbrella"] * 30:  # each other text is a new search
        write(other, "gallery", words)
        other.wait_for_timeout(1000)
        if found.count():
            break
    found.click()
    other.get_by_role("button", name="Open in Text to image").click()
    expect(other.locator("#prompt textarea")).to_have_value("a purple umbrella")
    assert [value(other, control) for control in ("seed", "steps")] == ["99", "40"]


def test_a_picture_gives_its_settings_back(new_page: NewPage, tmp_path: Path) -> None:
    page = new_page()
    open_drawer(page, "more")
    page.locator("#weighting select").select_option("a1111")
    write(page, "batch", "2")
    write(page, "cfg", "1")
    make(page, "an orange cat", steps=3, seed=str(2**64 - 2))
    wait_for(page, "done")
    assert page.locator(".sw-picture").count() == 2
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    file = tmp_path / "picture.png"
    download.value.save_as(file)
    stranger = new_page()
    drop(stranger, file)
    expect(stranger.locator("#prompt textarea")).to_have_value("an orange cat")
    open_drawer(stranger, "more")
    expect(stranger.locator("#weighting select")).to_have_value("a1111")
    assert [value(stranger, control) for control in ("seed", "cfg", "steps")] == [str(2**64 - 2), "1", "3"]
    open_drawer(stranger, "negative")
    expect(stranger.locator("#negative textarea")).to_be_disabled()


def test_a_picture_is_the_start_of_the_next(new_page: NewPage, tmp_path: Path) -> None:
    page = new_page()
    make(page, "a red car", steps=4)
    wait_for(page, "done")
    page.get_by_role("button", name="Use as input").click()
    page.locator("#init img").wait_for()
    let_it_unfold(page)  # its drawer was opened with it
    write(page, "denoise", "0.5")
    make(page, "a blue car", steps=4)
    page.wait_for_function(
        "document.querySelectorAll('.sw-thumb').length > 1 && document.querySelector('.sw-thumb').title === 'a blue car'"
    )
    init = recipe(page)["init"]
    assert init["denoise"] == 0.5
    page.reload()
    page.locator("#init img").wait_for()
    page.get_by_role("button", name="Remove").click()
    expect(page.locator("#denoise input[type=number]")).to_be_disabled()
    Image.new("RGB", (96, 64), "teal").save(tmp_path / "mine.png")
    page.locator("#init input[type=file]").set_input_files(tmp_path / "mine.png")
    expect(page.locator("#denoise input[type=number]")).to_be_enabled(timeout=LONG)
    expect(page.locator("#init img")).to_be_visible()


def test_hostile_text_is_only_text(new_page: NewPage, ready: Ready) -> None:
    page = new_page()
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    make(page, HOSTILE, steps=1)
    wait_for(page, "done")
    assert recipe(page)["prompt"] == HOSTILE
    open_tab(page, "Gallery")
    page.locator(".sw-tile").first.click()
    expect(page.locator(".sw-detail .sw-prompt")).to_have_text(HOSTILE)
    page.reload()
    ready(page)
    assert value(page, "prompt") == HOSTILE
    assert not dialogs
    assert page.locator("img[src=x]").count() == 0


def test_what_is_wrong_is_said_and_nothing_is_lost(new_page: NewPage, ready: Ready) -> None:
    page = new_page(locale="ja-JP")
    make(page, "ウサギ", steps=0, seed="abc")
    expect(page.get_by_role("alert")).to_contain_text("整数")
    assert [value(page, control) for control in ("prompt", "seed")] == ["ウサギ", "abc"]
    write(page, "seed", "5")
    page.locator("#generate").click()
    expect(page.get_by_role("alert")).to_contain_text("1 以上")
    said = {"ru": ("Создать", "Галерея"), "zh": ("生成", "图库"), "en": ("Generate", "Gallery")}
    for language, (generate, gallery) in said.items():
        page.locator(".sw-header select").select_option(language)
        page.wait_for_url(f"**lang={language}*")
        ready(page)
        expect(page.locator("#generate")).to_contain_text(generate)
        expect(page.locator("#tabs").get_by_role("tab", name=gallery).first).to_be_attached()  # Gradio's own hand
        assert value(page, "prompt") == "ウサギ"


def test_presets_open_by_one_click(new_page: NewPage) -> None:
    page = new_page()
    open_drawer(page, "presets")
    page.locator("[data-preset]").first.click()
    expect(page.locator("#prompt textarea")).to_have_value("a red rabbit on a blue background")
    expect(page.locator("#run-state")).to_contain_text("A red rabbit")
    page.keyboard.press("Control+Enter")
    wait_for(page, "done")
    expect(page.locator(".sw-thumb").first).to_have_attribute("title", "a red rabbit on a blue background")


def test_deleting_asks_first(new_page: NewPage) -> None:
    page = new_page()
    make(page, "a grey stone to be thrown away", steps=1)
    wait_for(page, "done")
    open_tab(page, "Gallery")
    tile = page.locator('.sw-tile[title="a grey stone to be thrown away"]')
    tile.click()
    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_role("button", name="Keep it").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_role("button", name="Delete this picture").click()
    expect(tile).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone(new_page: NewPage, scheme: str) -> None:
    page = new_page(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True, color_scheme=scheme)
    for drawer in ("negative", "presets", "sampling", "more", "init"):
        open_drawer(page, drawer)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    low = page.evaluate("""() => {
        const reach = (part) => {  // a small face may have a large target: "::after" around it
            const { content, top, bottom } = getComputedStyle(part, "::after");
            return part.offsetHeight - (content === "none" ? 0 : parseFloat(top) + parseFloat(bottom));
        };
        return [...document.querySelectorAll('.sw button, .sw select, .sw a')]
            .filter((part) => part.offsetHeight && !(reach(part) >= 44)).map((part) => part.outerHTML.slice(0, 90));
    }""")
    assert not low
    generate, prompt = page.locator("#generate").bounding_box(), page.locator("#prompt textarea").bounding_box()
    assert generate and prompt
    assert generate["y"] + generate["height"] <= 844
    open_tab(page, "Gallery")
    expect(page.locator(".sw-wall")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_models_are_listed(new_page: NewPage) -> None:
    page = new_page()
    open_tab(page, "Models")
    for name in ("demo", "demo-turbo"):
        expect(page.locator(f'.sw-models tr[data-model="{name}"]')).to_contain_text("Ready")


def test_who_types_while_the_page_still_opens_loses_nothing(address: str, new_page: NewPage) -> None:
    page = new_page()
    page.goto(address)
    page.locator("#prompt textarea").fill("a blue car")  # as soon as it is there
    page.wait_for_function("window.stepwise?.kept")
    page.wait_for_timeout(300)
    assert value(page, "prompt") == "a blue car"
    page.locator("#generate").click()
    wait_for(page, "done")
    expect(page.locator(".sw-history button").first).to_have_attribute("title", "a blue car")
