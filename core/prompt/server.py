"""A language model behind a server that speaks as OpenAI's does: Ollama, LM Studio, llama.cpp and others.

The owner of the studio names it at the start; a browser never does. What it sends is bounded in length and in time.
"""

import json
import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from core.errors import ModelError, Stopped, UserError
from core.prompt.answer import Draft, Drawing

CONNECT, SILENCE = 10.0, 180.0  # seconds: to be reached, and between two pieces; a model that is being loaded is silent
LOOK = 0.1  # seconds between two looks at whether to stop
LONGEST_LINE, LONGEST_TEXT = 2**18, 20_000  # characters
LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True)
class End:
    """The server has nothing more to say; cut: it had, but may not."""

    cut: bool


Pieces = queue.SimpleQueue[str | End | UserError]


@dataclass(frozen=True, kw_only=True)
class ChatServer:
    """Where it is, as in http://127.0.0.1:11434/v1, which of its models writes, and the key that it may want."""

    url: str
    model: str
    key: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        """Raises ModelError for what is no address."""
        parts = urlsplit(self.url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ModelError(
                "{url} is no address of a server: write one like http://127.0.0.1:11434/v1.", url=self.place
            )
        if not self.model:
            raise ModelError("Which model of {url} is to write is not told: give --enrich-model.", url=self.place)

    @property
    def place(self) -> str:
        """Its address as it may be shown: without a name and password in it."""
        return self.url.replace(f"{urlsplit(self.url).netloc}", urlsplit(self.url).netloc.rpartition("@")[2], 1)

    def drafts(self, instruction: str, text: str, drawing: Drawing, stop: Callable[[], bool]) -> Iterator[Draft]:
        """The text after each piece that comes. Raises ModelError, and Stopped within a tenth of a second."""
        pieces, gone = Pieces(), threading.Event()
        body = self._body(instruction, text, drawing)
        threading.Thread(target=self._read, args=(body, pieces, gone), name="stepwise-enrich", daemon=True).start()
        said, count = "", 0
        try:
            while isinstance(piece := _next(pieces, stop), str):
                said, count = said + piece, count + 1
                if len(said) > LONGEST_TEXT:
                    raise ModelError("The server at {url} does not stop writing: choose another model.", url=self.place)
                yield Draft(text=said, tokens=count)
        finally:
            gone.set()
        if piece.cut:
            yield Draft(text=said, tokens=count, cut=True)

    def _body(self, instruction: str, text: str, drawing: Drawing) -> dict[str, Any]:
        messages = [{"role": "system", "content": instruction}, {"role": "user", "content": text}]
        how = {"temperature": drawing.temperature, "top_p": drawing.top_p, "seed": drawing.seed}
        return {"model": self.model, "messages": messages, "stream": True, "max_tokens": 4 * drawing.most, **how}

    def _read(self, body: dict[str, Any], pieces: Pieces, gone: threading.Event) -> None:
        """Beside the one who waits: so that a server that is silent can be left at once. It hangs up at the next piece."""
        import httpx

        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        # A proxy from the environment has no business between this machine and itself.
        outside = urlsplit(self.url).hostname not in LOCAL
        times = httpx.Timeout(SILENCE, connect=CONNECT)
        try:
            with (
                httpx.Client(timeout=times, trust_env=outside) as client,
                client.stream("POST", f"{self.url.rstrip('/')}/chat/completions", json=body, headers=headers) as answer,
            ):
                self._check(answer)
                for piece in self._pieces(answer):
                    if gone.is_set():
                        return
                    pieces.put(piece)
        except UserError as error:
            pieces.put(error)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            pieces.put(ModelError("Nobody answers at {url}: start the server, or check --enrich-url.", url=self.place))
        except httpx.TimeoutException:
            pieces.put(ModelError(
                "The server at {url} was silent for {seconds:.0f} seconds: look whether it still loads {model}.",
                url=self.place, seconds=SILENCE, model=self.model,
            ))  # fmt: skip
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError):
            pass
        finally:
            pieces.put(self._broke_off())  # the last word, heard only where no other end came before it

    def _check(self, answer: Any) -> None:
        """Raises ModelError for an answer that is a refusal."""
        status: int = answer.status_code
        if status in {401, 403}:
            raise ModelError(
                "The server at {url} wants a key, or another one: set STEPWISE_ENRICH_KEY.", url=self.place
            )
        if status == 404:
            raise ModelError(
                "The server at {url} knows no model {model}, or has no /chat/completions there: check --enrich-model and --enrich-url.",
                url=self.place, model=self.model,
            )  # fmt: skip
        if status != 200:
            raise ModelError(
                "The server at {url} refused with status {status}: its own log says why.", url=self.place, status=status
            )
        if "text/event-stream" not in answer.headers.get("content-type", ""):
            raise self._garbled()

    def _pieces(self, answer: Any) -> Iterator[str | End]:
        """The words of the answer as they come, and its end: server-sent events, a JSON object each."""
        ended = ""
        for line in self._lines(answer):
            if not line.startswith("data:"):
                continue
            data = line[5:].strip()
            if data == "[DONE]":
                break
            try:
                told = json.loads(data)
                if told.get("error"):
                    raise ModelError(
                        "The server at {url} broke off with an error: its own log says why.", url=self.place
                    )
                choice = (told.get("choices") or [{}])[0]
                piece = (choice.get("delta") or {}).get("content") or ""
                ended = str(choice.get("finish_reason") or ended)
            except (ValueError, AttributeError, TypeError, KeyError, RecursionError) as error:
                raise self._garbled() from error
            if not isinstance(piece, str):
                raise self._garbled()
            if piece:
                yield piece
        else:
            if not ended:
                return  # it was cut off: no end
        yield End(cut=ended == "length")

    def _lines(self, answer: Any) -> Iterator[str]:
        rest = ""
        for text in answer.iter_text():
            *lines, rest = (rest + text).split("\n")
            yield from (line.rstrip("\r") for line in lines)
            if len(rest) > LONGEST_LINE:
                raise self._garbled()
        yield rest.rstrip("\r")

    def _garbled(self) -> ModelError:
        return ModelError(
            "What {url} answers is no stream of a chat: check that --enrich-url ends as the server's OpenAI address does, often in /v1.",
            url=self.place,
        )

    def _broke_off(self) -> ModelError:
        return ModelError("The server at {url} broke off in the middle: try again, or look at its log.", url=self.place)


def _next(pieces: Pieces, stop: Callable[[], bool]) -> str | End:
    """The next piece, or that there is none. Raises what went wrong, and Stopped."""
    while not stop():
        try:
            piece = pieces.get(timeout=LOOK)
        except queue.Empty:
            continue
        if isinstance(piece, UserError):
            raise piece
        return piece
    raise Stopped
