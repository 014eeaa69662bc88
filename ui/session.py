"""Who is there, in which language, and what their browser keeps."""

import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import gradio as gr

from ui import texts

VERSION = 1
STORAGE_KEY = "stepwise"
STORAGE_SECRET = "not a secret: it only has to stay the same"
LANGUAGE_COOKIE = "stepwise_lang"

Kept = dict[str, Any]  # what the browser keeps: version, owner, of each form control -> value, drawers (name -> open)
FORMS = ("form", "split", "lora", "variety")  # text2image's, and those of the tabs of these names


def browser_state() -> gr.BrowserState:
    return gr.BrowserState(None, storage_key=STORAGE_KEY, secret=STORAGE_SECRET)


def kept(value: Any) -> Kept:
    """What the browser kept, in our shape; a newcomer gets an id that nobody can guess."""
    old = value if isinstance(value, Mapping) and value.get("version") == VERSION else {}
    owner = old.get("owner")
    return {
        "version": VERSION,
        "owner": owner if isinstance(owner, str) and len(owner) == 32 else secrets.token_hex(16),
        **{part: dict(old[part]) if isinstance(old.get(part), Mapping) else {} for part in (*FORMS, "drawers")},
    }


def owner(value: Any, request: gr.Request) -> str:
    """The login's name, else the browser's id. Who knows an id owns what belongs to it: it is drawn from 2^128."""
    return f"user:{request.username}" if request.username else f"browser:{kept(value)['owner']}"


def language(request: gr.Request, default: str = "") -> str:
    """What the address says, else what was chosen before, else the app's, else the browser's."""
    return choose_language(
        address=str(request.headers.get("referer", "")),
        cookie=request.cookies.get(LANGUAGE_COOKIE, ""),
        accept=str(request.headers.get("accept-language", "")),
        default=default,
    )


def choose_language(*, address: str, cookie: str, accept: str, default: str) -> str:
    asked = parse_qs(urlsplit(address).query).get("lang", [""])[0]
    said = (texts.known(tag) for tag in (asked, cookie, default))
    return next(filter(None, said), None) or texts.preferred(accept)
