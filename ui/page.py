"""The page's language is settled before its first script runs.

Gradio takes the browser's language and offers no other way to choose one. So the page that it sends gets the
chosen language as <html lang> and, for Gradio's own words too, as navigator.language.
"""

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ui import texts
from ui.session import LANGUAGE_COOKIE, choose_language

SCRIPT = '<script>Object.defineProperty(navigator,"language",{{value:"{language}",configurable:true}})</script>'


class Page:
    """ASGI middleware around everything; touches only HTML answers to the page's own address."""

    def __init__(self, app: ASGIApp, default: str = "") -> None:
        self.app, self.default = app, default

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        here = scope["type"] == "http" and scope["path"].rstrip("/") == scope.get("root_path", "")
        if here and scope["method"] == "HEAD":
            # Gradio asks itself so at the start and gives up after three seconds: a busy machine needs longer for a page.
            await HTMLResponse()(scope, receive, send)
            return
        if not here or scope["method"] != "GET":
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        language = choose_language(
            address=str(request.url),
            cookie=request.cookies.get(LANGUAGE_COOKIE, ""),
            accept=request.headers.get("accept-language", ""),
            default=self.default,
        )
        await self.app(scope, receive, _Rewriter(send, language))


class _Rewriter:
    """Holds the answer back until it is whole, then sends it with the language in it."""

    def __init__(self, send: Send, language: str) -> None:
        self.send, self.language = send, language
        self.start: Message | None = None
        self.body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            if headers.get("content-type", "").startswith("text/html") and "content-encoding" not in headers:
                self.start = message
                return
        elif self.start is not None:
            self.body += message.get("body", b"")
            if message.get("more_body"):
                return
            message = {"type": "http.response.body", "body": self._rewritten()}
            headers = MutableHeaders(scope=self.start)
            headers["content-length"] = str(len(message["body"]))
            headers["content-language"] = texts.locale(self.language)
            headers.append("vary", "Cookie, Accept-Language")
            await self.send(self.start)
        await self.send(message)

    def _rewritten(self) -> bytes:
        tag = texts.locale(self.language)
        page = self.body.decode().replace('lang="en"', f'lang="{tag}"', 1)
        return page.replace("<head>", "<head>" + SCRIPT.format(language=tag), 1).encode()
