"""What the server tells apart: languages, hosts, other sites, files."""

import json
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.responses import HTMLResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from core.errors import ImageError
from ui import session
from ui.guard import Guard
from ui.opening import read_presets
from ui.page import Page
from ui.served import uploaded
from ui.texts import WORDS

PRESETS = Path(__file__).parents[2] / "presets"


@pytest.mark.parametrize(
    ("method", "headers", "local", "allowed"),
    [
        ("GET", {"host": "127.0.0.1:7860"}, True, True),
        ("GET", {"host": "localhost"}, True, True),
        ("GET", {"host": "[::1]:7860"}, True, True),
        ("GET", {"host": "evil.example:7860"}, True, False),  # DNS rebinding
        ("GET", {"host": "studio.example"}, False, True),
        ("POST", {"host": "127.0.0.1:7860", "origin": "http://127.0.0.1:7860"}, True, True),
        ("POST", {"host": "127.0.0.1:7860"}, True, True),  # no browser
        ("POST", {"host": "127.0.0.1:7860", "origin": "https://evil.example"}, True, False),
        ("POST", {"host": "127.0.0.1:7860", "origin": "null"}, True, False),
        (
            "POST",
            {"host": "10.0.0.1", "x-forwarded-host": "studio.example", "origin": "https://studio.example"},
            False,
            True,
        ),
    ],
)
def test_other_sites_are_turned_away(method: str, headers: dict[str, str], local: bool, allowed: bool) -> None:
    assert (Guard(app=Starlette(), local=local).refusal(method, Headers(headers)) == "") is allowed


@pytest.mark.parametrize(
    ("path", "headers", "language"),
    [
        ("/?lang=ja", {}, "ja"),
        ("/", {"cookie": "stepwise_lang=ja"}, "ja"),
        ("/?lang=en", {"cookie": "stepwise_lang=ja"}, "en"),
        ("/", {"accept-language": "ja"}, "ja"),
        ("/?lang=<script>", {"cookie": "stepwise_lang=%22%3E"}, "en"),
        ("/?lang=ru", {"accept-language": "ja"}, "ru"),
        ("/", {"accept-language": "zh-TW"}, "zh-CN"),  # the tag by which Gradio finds its own words
    ],
)
def test_the_page_is_in_the_readers_language(path: str, headers: dict[str, str], language: str) -> None:
    page = Starlette(routes=[Route("/", lambda request: HTMLResponse('<html lang="en"><head></head></html>'))])
    answer = TestClient(Page(page), headers={"accept-language": ""}).get(path, headers=headers)
    assert f'<html lang="{language}">' in answer.text
    assert f'value:"{language}"' in answer.text
    assert len(answer.content) == int(answer.headers["content-length"])


def test_what_the_browser_keeps_is_checked() -> None:
    for broken in (
        None,
        3,
        [],
        {"version": 0, "owner": "x" * 32},
        {"version": 1, "owner": 5, "form": [], "drawers": None},
    ):
        mine = session.kept(broken)
        assert len(mine["owner"]) == 32
        assert mine["form"] == {} == mine["drawers"]
    assert session.kept({"version": 1, "owner": "a" * 32, "form": {"prompt": "x"}})["form"] == {"prompt": "x"}


@pytest.mark.parametrize("path", ["/etc/passwd", "../../etc/passwd", "", None, {"path": "/etc/passwd"}, "\x00", "."])
def test_only_uploads_are_read(path: object) -> None:
    with pytest.raises(ImageError):
        uploaded(path)


def test_an_upload_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    (tmp_path / "a.png").write_bytes(b"x")
    (tmp_path / "out").symlink_to("/etc/passwd")
    assert uploaded(str(tmp_path / "a.png")) == tmp_path / "a.png"
    with pytest.raises(ImageError):
        uploaded(str(tmp_path / "out"))


def test_presets_are_recipes_with_titles_in_every_language() -> None:
    presets = read_presets(PRESETS)
    assert len(presets) >= 5
    for name in {name.removesuffix("-sd15") for name in presets}:  # one experiment, two models
        for words in WORDS.values():
            assert f"preset.{name}.title" in words
            assert f"preset.{name}.look" in words
    assert all(json.loads(file.read_text(encoding="utf-8"))["stepwise"] == 1 for file in PRESETS.glob("*.json"))
