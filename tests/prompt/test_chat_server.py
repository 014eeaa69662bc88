"""A language model behind a server: a real one, over HTTP, that sends what such servers send."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from core.errors import ModelError, Stopped
from core.prompt.answer import Draft, Drawing
from core.prompt.server import LONGEST_LINE, ChatServer
from tests.chat_server import Handler, Say, all_words, serving


def drafts(
    server: ChatServer, stop: Callable[[], bool] = lambda: False, drawing: Drawing | None = None
) -> Iterator[Draft]:
    return server.drafts("Tell more.", "a red apple", drawing or Drawing(), stop)


def test_the_words_come_one_after_the_other() -> None:
    with serving(all_words) as (house, server):
        found = list(drafts(server, drawing=Drawing(temperature=0.7, top_p=0.8, seed=3)))
    assert [(draft.text, draft.tokens, draft.cut) for draft in found] == [
        ("A ", 1, False), ("A 赤い", 2, False), ("A 赤い apple", 3, False),
    ]  # fmt: skip
    ((path, headers, body),) = house.asked
    assert path == "/v1/chat/completions" and headers["Authorization"] == "Bearer secret"
    assert body["stream"] is True and body["model"] == "qwen3:4b" and body["seed"] == 3 and body["temperature"] == 0.7
    assert [(message["role"], message["content"]) for message in body["messages"]] == [
        ("system", "Tell more."), ("user", "a red apple"),
    ]  # fmt: skip


def test_it_streams() -> None:
    """The first word is here before the second is sent."""
    heard = threading.Event()

    def slowly(handler: Handler) -> None:
        handler.head()
        handler.piece("One")
        assert heard.wait(10)
        handler.piece(" two", end="length")

    with serving(slowly) as (_, server):
        coming = drafts(server)
        assert next(coming).text == "One"
        heard.set()
        *_, last = coming
    assert last == Draft(text="One two", tokens=2, cut=True)


def test_a_silent_server_is_left_at_once_and_hung_up_on() -> None:
    go_on = threading.Event()

    def silent(handler: Handler) -> None:
        handler.head()
        handler.piece("One")
        go_on.wait(10)
        for _ in range(500):
            handler.piece("x" * 10_000)

    wish = threading.Event()
    with serving(silent) as (house, server):
        coming = drafts(server, wish.is_set)
        next(coming)
        wish.set()
        began = time.monotonic()
        with pytest.raises(Stopped):
            next(coming)
        assert time.monotonic() - began < 1
        go_on.set()
        assert house.hung_up.wait(10)


def status(code: int) -> Say:
    return lambda handler: handler.head(code, "application/json")


def whole(handler: Handler) -> None:
    handler.head(kind="application/json")
    handler.line('{"choices": [{"message": {"content": "not streamed"}}]}')


def said(*lines: str) -> Say:
    def say(handler: Handler) -> None:
        handler.head()
        for line in lines:
            handler.line(line)

    return say


def breaks_off(handler: Handler) -> None:
    handler.head()
    handler.piece("One")


@pytest.mark.parametrize(
    ("say", "sentence"),
    [
        (status(401), "wants a key"),
        (status(404), "knows no model qwen3:4b"),
        (status(500), "status 500"),
        (status(302), "status 302"),
        (whole, "no stream of a chat"),
        (said("data: {broken\n\n"), "no stream of a chat"),
        (said("data: [1]\n\n"), "no stream of a chat"),
        (said('data: {"choices": [{"delta": {"content": 7}}]}\n\n'), "no stream of a chat"),
        (said('data: {"error": {"message": "out of memory"}}\n\n'), "broke off with an error"),
        (said("data: " + "x" * (LONGEST_LINE + 2**16)), "no stream of a chat"),
        (said(*['data: {"choices": [{"delta": {"content": "' + "x" * 9000 + '"}}]}\n\n'] * 3), "does not stop"),
        (breaks_off, "broke off in the middle"),
    ],
)  # fmt: skip
def test_what_goes_wrong_is_a_sentence(say: Say, sentence: str) -> None:
    with serving(say) as (_, server), pytest.raises(ModelError, match=sentence):
        list(drafts(server))


def test_nobody_there() -> None:
    with serving(all_words) as (_, server):
        pass
    with pytest.raises(ModelError, match=r"Nobody answers at http://127\.0\.0\.1:\d+/v1: start the server"):
        list(drafts(server))


def test_a_proxy_of_the_environment_is_not_asked_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with serving(all_words) as (_, server):
        assert [draft.text for draft in drafts(server)][-1] == "A 赤い apple"


@pytest.mark.parametrize("url", ["", "127.0.0.1:11434", "file:///etc/passwd", "http://"])
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(ModelError, match="no address of a server"):
        ChatServer(url=url, model="m")


def test_nothing_secret_is_told() -> None:
    server = ChatServer(url="http://me:word@127.0.0.1:1/v1", model="m", key="secret")
    with pytest.raises(ModelError) as told:
        list(drafts(server))
    assert "word" not in str(told.value) and "secret" not in repr(server)
