"""The app as a user starts it, and a real Chromium looking at it."""

import http.client
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

ROOT = Path(__file__).parents[2]
START_SECONDS = 180.0
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync",
]  # fmt: skip

SCRIPT_ERROR = re.compile("Error (executing|in watch|evaluating)")  # how Gradio tells of an error in a widget's script
NewPage = Callable[..., Page]


@pytest.fixture(scope="session")
def address(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(models, tmp_path_factory.mktemp("studio")) as address:
        yield address


@contextmanager
def served(models: Path, folder: Path, **environment: str) -> Iterator[str]:
    """`python app.py` in a process of its own, on a free port, with folders of its own; `environment` beside ours."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "app.py", "--port", str(port), "--models", str(models)]
    command += ["--data", str(folder / "data"), "--outputs", str(folder / "outputs")]
    usual = {"GRADIO_TEMP_DIR": str(folder / "temp"), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    log = folder / "log.txt"
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **usual, **environment}, stdout=out, stderr=subprocess.STDOUT)
    try:
        _wait(f"http://127.0.0.1:{port}", process, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)
    assert "Traceback" not in log.read_text(), log.read_text()[-3000:]


def _wait(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        assert process.poll() is None, log.read_text()[-3000:]
        try:
            urllib.request.urlopen(address, timeout=60).close()
            return
        except (OSError, http.client.HTTPException):
            time.sleep(0.3)
    raise AssertionError(f"the app did not start: {log.read_text()[-3000:]}")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = os.environ.get("CHROMIUM") or shutil.which("chromium")
    expect.set_options(timeout=60_000)  # two cores that may be busy with something else
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield running
        running.close()


@pytest.fixture
def new_page(browser: Browser, address: str) -> Iterator[NewPage]:
    """Opens the studio as a stranger would; fails the test for any script error."""
    opened: list[Any] = []
    errors: list[str] = []

    def open_page(**options: Any) -> Page:
        context = browser.new_context(**({"viewport": {"width": 1280, "height": 860}, "locale": "en-US"} | options))
        opened.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.set_default_navigation_timeout(240_000)  # a page takes two seconds of a core: on a busy machine that is a minute
        page.on("pageerror", lambda error: errors.append(str(error)) if "AbortError" not in str(error) else None)
        page.on("console", lambda message: errors.append(message.text) if SCRIPT_ERROR.match(message.text) else None)
        page.goto(address)
        return wait_until_ready(page)

    yield open_page
    for context in opened:
        context.close()
    assert not errors


@pytest.fixture
def ready() -> Callable[[Page], Page]:
    return wait_until_ready


def wait_until_ready(page: Page) -> Page:
    """Waits until the page has been filled from what the browser keeps."""
    page.wait_for_function("window.stepwise?.kept && document.querySelector('#run-state')?.textContent !== ''")
    return page
