"""Kept runs in a real browser: after the server was started anew a run is found, gone on from, and deleted."""

import json
from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import served, wait_until_ready
from tests.browser.hands import LONG, generate, let_it_unfold, open_tab

PROMPT = "a small orange fish on a white background"
STEPS = 4


def opened(browser: Browser, address: str) -> Page:
    page = browser.new_page(viewport={"width": 1280, "height": 860}, locale="en-US")
    page.set_default_timeout(60_000)
    page.goto(address)
    return wait_until_ready(page)


def run_once(browser: Browser, address: str) -> None:
    page = opened(browser, address)
    page.locator("#prompt textarea").fill(PROMPT)
    page.locator("#steps input.sw-number").fill(str(STEPS))
    generate(page)
    page.close()


def test_a_kept_run_outlives_the_server(browser: Browser, models: Path, tmp_path: Path) -> None:
    with served(models, tmp_path) as address:
        run_once(browser, address)
    with served(models, tmp_path) as address:
        page = opened(browser, address)
        open_tab(page, "Gallery")
        page.locator("#drawer-kept > button").click()
        let_it_unfold(page)
        run = page.locator("#kept li")
        expect(run).to_have_count(1)
        expect(run).to_contain_text(PROMPT)
        go_on_from(page, 2)
        open_tab(page, "Gallery")
        deleted(page)
        page.close()


def go_on_from(page: Page, step: int) -> None:
    """Its settings are in the form of the split tab, with the step that they start from."""
    run = page.locator("#kept li")
    run.get_by_role("combobox").select_option(str(step))
    run.get_by_role("button", name="Continue from there").click()
    expect(page.locator("#split-carried")).to_contain_text(f"Goes on from step {step}", timeout=LONG)
    generate(page, "split-")
    page.locator("#split-stage").get_by_role("button", name="Settings", exact=True).click()
    made = json.loads(page.locator("#split-stage .sw-settings pre").inner_text())
    assert made["init"]["start"] == step and made["prompt"] == PROMPT


def deleted(page: Page) -> None:
    """One question, then it is gone, and with it its steps."""
    page.locator("#drawer-kept > button").click()
    let_it_unfold(page)
    page.locator("#drawer-kept > button").click()  # what is listed is what is there when the drawer opens
    let_it_unfold(page)
    runs = page.locator("#kept li")
    expect(runs.first).to_be_visible()
    before = runs.count()
    runs.first.get_by_role("button", name="Delete").click()
    runs.first.get_by_role("button", name="Delete this run").click()
    expect(runs).to_have_count(before - 1)
