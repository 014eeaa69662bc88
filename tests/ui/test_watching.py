"""A watcher sees every job to its end, also one that was done before it looked."""

from collections.abc import Iterable
from typing import Any

from core.jobs import JobView, Work
from core.recipe import Recipe
from ui.watching import PACE, Watching


def view(id: str, **fields: Any) -> JobView:
    return JobView(id=id, owner="me", work=Work(recipe=Recipe(stepwise=1)), filed=0.0, **fields)


class Played:
    """Jobs whose views follow a script."""

    def __init__(self, *scripts: Iterable[JobView]) -> None:
        self._scripts = {script[0].id: script for script in map(list, scripts)}

    def mine(self, owner: str) -> list[JobView]:
        return [script[0] for script in self._scripts.values() if script[0].owner == owner]

    def watch(self, id: str, since: int, timeout: float) -> JobView:
        script = self._scripts[id]
        if len(script) > 1:
            script.pop(0)
        return script[0]


def test_all_jobs_are_seen_to_their_end_one_after_the_other() -> None:
    jobs = Played(
        [view("a", state="queued"), view("a", version=1, state="running"), view("a", version=2, state="done")],
        [view("b", state="queued"), view("b", version=1, state="failed")],
    )
    seen = [(look.id, look.state) for look in Watching(jobs).follow("me", "b")]
    assert seen[-1] == ("b", "failed")
    assert [id for id, state in seen if state in ("done", "failed")] == ["a", "b"]


def test_a_job_that_was_done_before_anybody_looked_is_shown() -> None:
    jobs = Played([view("a", state="done")])
    assert [look.id for look in Watching(jobs).follow("me", "a")] == ["a"]
    assert not list(Watching(jobs).follow("me"))


def test_what_ends_before_the_first_look_is_shown_whole() -> None:
    """A page that opens is first told how things stand; the last picture may come while it is told."""
    jobs = Played([view("a", state="running"), view("a", version=1, state="done")])
    coming = Watching(jobs).follow("me")
    jobs.watch("a", 0, 0.0)
    assert [(look.id, look.state) for look in coming] == [("a", "done")]


def test_of_others_nothing_is_seen() -> None:
    assert not list(Watching(Played([view("a", state="done")])).follow("you", "a"))


def test_the_first_preview_and_the_end_do_not_wait() -> None:
    import time

    script = [
        view("a", state="queued"),
        view("a", version=1, state="running"),
        view("a", version=2, state="running", previews=(b"one",)),
        view("a", version=3, state="done"),
    ]
    began = time.monotonic()
    looks = list(Watching(Played(script)).follow("me", "a"))
    assert time.monotonic() - began < PACE
    assert (b"one",) in [look.previews for look in looks]
    assert looks[-1].state == "done"


def test_a_text_in_the_making_is_nobodys_picture() -> None:
    """Whoever asked for words looks at them alone; the line beside Generate is of pictures."""
    words = JobView(
        id="w", owner="me", work=Work(recipe=Recipe(stepwise=1), wording=1), filed=0.0, version=1, state="running"
    )
    jobs = Played([words], [view("a", state="queued"), view("a", version=1, state="done")])
    assert {look.id for look in Watching(jobs).follow("me")} == {"a"}
