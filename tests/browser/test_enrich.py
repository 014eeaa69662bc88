"""A prompt in more words, in a real browser: watched, edited, used, undone; stopped; closed where nobody can write."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests import tiny_models
from tests.browser.conftest import served
from tests.browser.hands import LONG, open_tab

NewPage = Callable[..., Page]
PROMPT = 'a sign that reads "OPEN 24H"'
STOP_SOON = """() => {
  const [text, stop] = ["#enrich-text", "#enrich-stop"].map((id) => document.querySelector(id));
  if (text.value.length > 2 && !stop.hidden) stop.click();
  return text.value.length > 2;
}"""  # no hand is fast enough: four hundred tokens take a second
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


@pytest.fixture(scope="module")
def address(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A studio with both demo models, and a tiny random Z-Image whose text encoder can write, whatever that is."""
    folder = tmp_path_factory.mktemp("enrich")
    for name in ("demo", "demo-turbo"):
        shutil.copytree(models / name, folder / "models" / name)
    tiny_models.z_image(folder / "models" / "tiny", writes=True)
    with served(folder / "models", folder) as here:
        yield here


def with_writer(page: Page, prompt: str = PROMPT) -> Page:
    """The model that can, and a prompt."""
    page.locator("#model select").select_option("tiny")
    expect(page.locator("#enrich-ask")).to_be_enabled(timeout=LONG)
    expect(page.locator("#size-width, #size")).to_be_visible()
    page.locator("#prompt textarea").fill(prompt)
    return page


def test_watched_edited_used_and_undone_by_keyboard(new_page: NewPage) -> None:
    page = with_writer(new_page())
    prompt, text = page.locator("#prompt textarea"), page.locator("#enrich-text")
    page.locator("#enrich-ask").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#enrich-stop")).to_be_focused()
    page.wait_for_function(
        "/Writing: \\d+ tokens/.test(document.querySelector('#enrich-state').textContent)", timeout=LONG
    )
    assert not text.is_editable() and prompt.input_value() == PROMPT
    expect(page.locator("#enrich-use")).to_be_focused(timeout=LONG)
    expect(page.locator("#enrich .sw-spoken")).to_contain_text("tokens written")
    assert '"OPEN 24H"' in text.input_value()
    text.fill(f"{text.input_value()[-40:]} And rain.")
    page.locator("#enrich-use").press("Enter")
    expect(prompt).to_have_value(f"{text.input_value()}")
    assert prompt.input_value().endswith("And rain.") and not page.locator(".sw-enrich-box").first.is_visible()
    expect(page.locator("#enrich-undo")).to_be_focused()
    page.keyboard.press("Enter")
    expect(prompt).to_have_value(PROMPT)
    expect(page.locator("#enrich-undo")).to_be_hidden()
    page.reload()  # what was put back is what the browser keeps
    page.wait_for_function("window.stepwise?.kept")
    expect(prompt).to_have_value(PROMPT)


def test_stopped_on_a_phone_and_worded_anew(new_page: NewPage) -> None:
    page = with_writer(new_page(**PHONE))
    page.locator("#enrich-ask").tap()
    page.wait_for_function(STOP_SOON, timeout=LONG)
    expect(page.locator("#enrich-state")).to_have_text("Stopped. What is there can be used.", timeout=LONG)
    first = page.locator("#enrich-text").input_value()
    page.locator("#enrich-again").tap()
    expect(page.locator("#enrich-again")).to_be_hidden()
    expect(page.locator("#enrich-again")).to_be_visible(timeout=LONG)
    assert page.locator("#enrich-text").input_value() not in ("", first)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.locator("#enrich-discard").tap()
    expect(page.locator("#enrich-text")).to_be_hidden()
    expect(page.locator("#prompt textarea")).to_have_value(PROMPT)


def test_closed_with_the_reason_where_nobody_can_write(new_page: NewPage) -> None:
    page = new_page()
    for model, reason in (("demo", "only read"), ("demo-turbo", "never taught to write")):
        page.locator("#model select").select_option(model)
        expect(page.locator("#enrich-why")).to_contain_text(reason, timeout=LONG)
        expect(page.locator("#enrich-ask")).to_be_disabled()
    open_tab(page, "Variety")
    expect(page.locator("#variety-enrich-why")).to_contain_text("never taught to write", timeout=LONG)
    expect(page.locator("#variety-enrich-ask")).to_be_disabled()
    page.locator("#variety-model select").select_option("tiny")
    expect(page.locator("#variety-enrich-ask")).to_be_enabled(timeout=LONG)
