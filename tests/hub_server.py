"""A hub on this machine: a real HTTP server that speaks what huggingface_hub asks for, ranges included, and counts what it sends."""

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "c0ffee" + "0" * 34
BLOCK = 2**16


@dataclass
class Hub:
    """`files`: "owner/name" -> path -> content."""

    files: Mapping[str, Mapping[str, bytes]]
    gated: frozenset[str] = frozenset()  # repositories
    hold_at: int | None = None  # bytes of a file after which it comes very slowly
    break_at: list[int] = field(default_factory=list)  # of the next answers: bytes after which the connection breaks
    ranges: bool = True
    going_on: threading.Event = field(default_factory=threading.Event)
    sent: list[tuple[str, int, int]] = field(default_factory=list)  # path, first byte, how many, of each answer
    address: str = ""

    def bytes_of(self, path: str) -> int:
        """Sent of a file, by all answers together."""
        return sum(count for name, _, count in self.sent if name == path)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _answer(self, *, body: bool) -> None:
        words = self.path.split("?")[0].strip("/").split("/")
        if words[:2] == ["api", "models"]:
            self._about("/".join(words[2:4]))
        elif len(words) > 4 and words[2] == "resolve":
            self._file("/".join(words[:2]), "/".join(words[4:]), body=body)
        else:
            self._short(404, b"")

    def _about(self, repository: str) -> None:
        files = self.hub.files.get(repository)
        if files is None:
            self._short(404, b"", {"X-Error-Code": "RepoNotFound"})
        else:
            siblings = [{"rfilename": name, "size": len(content)} for name, content in files.items()]
            self._short(200, json.dumps({"id": repository, "sha": COMMIT, "siblings": siblings}).encode())

    def _file(self, repository: str, path: str, *, body: bool) -> None:
        if repository in self.hub.gated and "Authorization" not in self.headers:
            return self._short(401, b"", {"X-Error-Code": "GatedRepo"})
        content = self.hub.files.get(repository, {}).get(path)
        if content is None:
            code = "EntryNotFound" if repository in self.hub.files else "RepoNotFound"
            return self._short(404, b"", {"X-Error-Code": code})
        wanted = self.headers.get("Range", "") if self.hub.ranges else ""
        first = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        self.send_response(206 if first else 200)
        self.send_header("Content-Length", str(len(content) - first))
        if first:
            self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Accept-Ranges", "bytes")
        self.end_headers()
        return self._send(path, content[first:], first) if body else None

    def _send(self, path: str, content: bytes, first: int) -> None:
        limit = self.hub.break_at.pop(0) if self.hub.break_at else len(content)
        done = 0
        try:
            while done < min(limit, len(content)):
                slow = self.hub.hold_at is not None and first + done >= self.hub.hold_at
                slow = slow and not self.hub.going_on.wait(0.1)
                block = content[done : done + (1 if slow else BLOCK)][: limit - done]
                self.wfile.write(block)
                done += len(block)
        except OSError:
            pass  # the other side has gone
        finally:
            self.hub.sent.append((path, first, done))
        if done < len(content):
            self.close_connection = True
            self.connection.close()

    def _short(self, status: int, content: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Content-Type", "application/json")
        self.send_header("X-Repo-Commit", COMMIT)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """The hub at `hub.address`, until the block ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    server.daemon_threads = True
    hub.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.going_on.set()
        server.shutdown()
        server.server_close()
