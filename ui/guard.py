"""What other sites may make a visitor's browser do here: nothing.

Gradio accepts uploads from other origins and any Host, which lets a foreign page reach a studio on localhost.
"""

from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOCAL = frozenset({"localhost", "127.0.0.1", "[::1]"})
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class Guard:
    """ASGI middleware: `local` accepts no host name but this machine's own (DNS rebinding)."""

    def __init__(self, app: ASGIApp, local: bool) -> None:
        self.app, self.local = app, local

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        refusal = self.refusal(scope["method"], Headers(scope=scope))
        if refusal:
            await PlainTextResponse(refusal, status_code=403)(scope, receive, send)
            return

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["x-content-type-options"] = "nosniff"
                headers["referrer-policy"] = "same-origin"
            await send(message)

        await self.app(scope, receive, send_safely)

    def refusal(self, method: str, headers: Headers) -> str:
        """Why a request is turned away, or nothing."""
        hosts = {_name(headers.get("host", "")), _name(headers.get("x-forwarded-host", ""))} - {""}
        if self.local and not hosts <= LOCAL:
            return "This studio answers only to its own machine."
        origin = headers.get("origin")
        if method not in SAFE and origin and _name(urlsplit(origin).netloc) not in hosts:
            return "This request comes from another site."
        return ""


def _name(host: str) -> str:
    """Without the port."""
    return host.rsplit(":", 1)[0] if not host.endswith("]") else host
