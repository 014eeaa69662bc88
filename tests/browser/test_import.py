"""Pictures and workflows of other programs, dropped on the page."""

import json
from pathlib import Path

from playwright.sync_api import expect

from tests.browser.conftest import NewPage
from tests.browser.hands import drop, generate, open_tab
from tests.importing.files import a1111_picture, png, two

INFOTEXT = (
    "a red rabbit\nNegative prompt: blurry\nSteps: 3, Sampler: Heun, Schedule type: Karras, CFG scale: 4, Seed: 7, Size: 64x64, "
    "Model: demo, Hires upscale: 2, Version: v1.10.1"
)


def test_a_picture_of_a1111_fills_the_form_and_says_what_is_lost(new_page: NewPage, tmp_path: Path) -> None:
    page = new_page()
    file = tmp_path / "a.png"
    file.write_bytes(a1111_picture("PNG", INFOTEXT))
    drop(page, file)
    expect(page.locator("#prompt textarea")).to_have_value("a red rabbit")
    expect(page.locator("#steps input").first).to_have_value("3")
    expect(page.locator("#run .sw-hint")).to_contain_text("A1111 drew its noise on the GPU")
    expect(page.locator("#run .sw-hint")).to_contain_text("Hires fix (upscale 2) is not carried over")
    generate(page)


def test_a_workflow_of_comfyui_in_the_split_tab_in_japanese(new_page: NewPage, tmp_path: Path) -> None:
    page = new_page(locale="ja-JP")
    open_tab(page, "分割")
    graph = two({"sampler_name": "euler_ancestral"}, {"sampler_name": "euler_ancestral"})
    file = tmp_path / "a.json"
    file.write_text(json.dumps(graph))
    drop(page, file)
    expect(page.locator("#split-prompt textarea")).to_have_value("a red apple")
    expect(page.locator("#split-run .sw-hint")).to_contain_text("GPU では ComfyUI は euler_ancestral のノイズを")
    generate(page, "split-")


def test_a_picture_that_tells_nothing_leaves_the_form_as_it_is(new_page: NewPage, tmp_path: Path) -> None:
    page = new_page()
    before = page.locator("#prompt textarea").input_value()
    file = tmp_path / "a.png"
    file.write_bytes(png(invokeai_metadata="{}"))
    drop(page, file)
    expect(page.locator("#run .sw-error")).to_contain_text("InvokeAI made this picture")
    expect(page.locator("#prompt textarea")).to_have_value(before)
