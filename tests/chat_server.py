"""A server that answers as OpenAI's does, for the tests: a real one, over HTTP, that streams."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from core.prompt.server import ChatServer

Say = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Notes what it was asked, and answers as the test says."""

    protocol_version = "HTTP/1.1"
    server: Any

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, dict(self.headers), body))
        try:
            self.server.say(self)
        except (BrokenPipeError, ConnectionResetError):
            self.server.hung_up.set()
        self.close_connection = True

    def head(self, status: int = 200, kind: str = "text/event-stream") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Connection", "close")
        self.end_headers()

    def line(self, text: str) -> None:
        self.wfile.write(text.encode())
        self.wfile.flush()

    def piece(self, text: str | None, end: str | None = None) -> None:
        choice = {"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": end}
        self.line(f"data: {json.dumps({'choices': [choice]}, ensure_ascii=False)}\r\n\r\n")

    def log_message(self, format: str, *args: Any) -> None: ...


@contextmanager
def serving(say: Say) -> Iterator[tuple[Any, ChatServer]]:
    house: Any = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    house.say, house.asked, house.hung_up = say, [], threading.Event()
    threading.Thread(target=house.serve_forever, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{house.server_address[1]}/v1"
        yield house, ChatServer(url=url, model="qwen3:4b", key="secret")
    finally:
        house.shutdown()
        house.server_close()


def all_words(handler: Handler) -> None:
    handler.head()
    handler.line(": a comment\n\n")
    for word in ("A ", "赤い", " apple"):
        handler.piece(word)
    handler.piece(None, end="stop")
    handler.line("data: [DONE]\n\n")
