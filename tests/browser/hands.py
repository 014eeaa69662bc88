"""What hands do on the page, shared by the browser tests."""

import base64
import re
from pathlib import Path

from playwright.sync_api import Page, expect

LONG = 240_000  # ms, on two busy cores
FRAMES = """() => new Promise((done) => {
  const next = (left) => (left ? requestAnimationFrame(() => next(left - 1)) : setTimeout(done));
  next(4);
})"""


def open_tab(page: Page, name: str) -> None:
    """On a phone the last tabs are behind a button."""
    tab = page.locator("#tabs").get_by_role("tab", name=name).first
    if not tab.is_visible():
        page.locator(".overflow-menu > button").click()
        tab = page.locator(".overflow-dropdown").get_by_text(name, exact=True)
    tab.click()
    let_it_unfold(page)


def open_drawer(page: Page, name: str) -> None:
    """Opens a drawer of the form that is closed."""
    page.locator(f"#drawer-{name} > button").click()
    let_it_unfold(page)


def let_it_unfold(page: Page) -> None:
    """Gradio fills what a tab or drawer shows for the first time one frame after it is there: no hand is faster."""
    page.evaluate(FRAMES)


def generate(page: Page, place: str = "") -> None:
    """Presses Generate and waits until that very run is done, however short it is; `place`: "split-" and so on."""
    bar = page.locator(f"#{place}run .sw-runbar")
    bar.evaluate("(bar) => { bar.dataset.state = ''; }")  # a run from kept steps ends before anybody has looked
    page.locator(f"#{place}generate").click()
    expect(bar).to_have_attribute("data-state", re.compile("done|stopped|failed"), timeout=LONG)
    assert bar.get_attribute("data-state") == "done", bar.inner_text()


def drop(page: Page, file: Path) -> None:
    """Lets a file fall on the page, as from the desktop."""
    page.evaluate(
        """([name, data]) => {
          const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
          const dataTransfer = new DataTransfer();
          dataTransfer.items.add(new File([bytes], name, { type: 'image/png' }));
          document.body.dispatchEvent(new DragEvent('drop', { dataTransfer, bubbles: true, cancelable: true }));
        }""",
        [file.name, base64.b64encode(file.read_bytes()).decode()],
    )
