"""How the page is served: look, language, limits, and what a browser may ask."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from starlette.middleware import Middleware

from ui import texts
from ui.context import Context
from ui.explainer.numbers import filled
from ui.guard import Guard
from ui.page import Page
from ui.theme import theme

STATIC = Path(__file__).parent / "static"
STYLES = ("app.css", "variety.css", "explainer.css", "help.css", "enrich.css", "inside.css")
SCRIPT_TEXTS = (
    "language.", "header.", "model", "prompt", "negative", "size", "steps", "cfg", "seed", "sampler", "scheduler", "noise",
    "prediction", "vae", "shift", "guidance", "clip_skip", "weighting", "batch", "init", "denoise", "choice.", "carried.", "run.", "stage.",
    "picture.", "gallery.", "kind.", "preset.", "limits.", "split.", "timeline", "inspect.", "nodes.", "heading.", "lora", "steps.",
    "sweep.", "onward", "kept.", "variety.", "card.", "explain.", "open_in", "tab.", "enrich.", "inside.",
)  # fmt: skip
LARGEST_UPLOAD = "20mb"
WATCHERS = 64  # threads that may wait for news of a job at the same time


def launch_options(context: Context) -> dict[str, Any]:
    """Keyword arguments for Blocks.launch."""
    return {
        "theme": theme(),
        "head": head(),
        "i18n": texts.translations(),
        "app_kwargs": {
            "middleware": [
                Middleware(Guard, local=not context.guarded),
                Middleware(Page, default=context.language),
            ]
        },
        "allowed_paths": [],
        "blocked_paths": [str(folder.resolve()) for folder in context.private],
        "max_file_size": LARGEST_UPLOAD,
        "max_threads": WATCHERS,
        "run_history": False,
        "enable_monitoring": False,
        "footer_links": [],
        "show_error": False,
        "quiet": False,
        "pwa": False,
        "ssr_mode": False,
        "state_session_capacity": 500,
    }


def queue_options(context: Context) -> dict[str, Any]:
    """Keyword arguments for Blocks.queue. The queue of pictures is core.jobs; this one only carries looks at it."""
    return {
        "api_open": False,
        "max_size": WATCHERS * 4,
        "default_concurrency_limit": WATCHERS if context.guarded else None,
    }


@cache
def head() -> str:
    """Style and shared script, in the page itself: no further requests, and both there before the first widget."""
    said = {language: filled(words) for language, words in texts.for_browser(SCRIPT_TEXTS).items()}
    words = json.dumps(said, ensure_ascii=False).replace("<", "\\u003c")
    script = (STATIC / "stepwise.js").read_text(encoding="utf-8").replace('"/*texts*/"', words)
    script += "".join((STATIC / name).read_text(encoding="utf-8") for name in ("help.js", "segments.js", "desks.js", "plot.js"))
    style = "".join((STATIC / name).read_text(encoding="utf-8") for name in STYLES)
    return f"<style>{style}</style><script>{script}</script>"
