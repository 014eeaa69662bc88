"""What happens when somebody presses Generate, watches, and presses stop."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, Protocol

import gradio as gr

from core.errors import UserError
from core.jobs import JobView
from ui import session, sweep, texts, views
from ui.bindings import Binding, pack
from ui.context import Context
from ui.served import Served
from ui.watching import Watching

HISTORY = 16  # latest pictures under the stage


class Panel(Protocol):
    """What shows jobs of its own kind."""

    def shown(self, owner: str, words: texts.Texts) -> views.Value:
        """All of it, for the page."""
        ...

    def measure(self, owner: str) -> bool:
        """Learn a moment longer what the pictures say; False when there is no more to learn."""
        ...


class Making:
    """Handlers around the queue. The browser only watches; the job is the server's.

    desks: how many tabs show what is in the making, each a stage and a run bar. sweeps: how many panels show the latest sweep;
    they are told last. panels: what shows jobs of its own kind, each after a run bar of its own, told after all others.
    """

    def __init__(
        self, context: Context, served: Served, desks: int = 1, sweeps: int = 1, panels: Sequence[Panel] = ()
    ) -> None:
        self._context, self._served, self._watching = context, served, Watching(context.jobs)
        self._desks, self._sweeps, self._panels = desks, sweeps, panels

    def submitting(self, table: Sequence[Binding]) -> Callable[..., tuple[views.Value, str]]:
        """Files a form as a job. What is wrong with it is said beside Generate, and the form stays as it is."""

        def submit(request: gr.Request, kept: Any, *values: Any) -> tuple[views.Value, str]:
            words = self._words(request)
            try:
                id = self._context.jobs.submit(pack(values, table), session.owner(kept, request))
                return views.bar(self._context.jobs.get(id), words), id
            except UserError as error:
                return views.said(words("run.failed"), state="failed", error=words.error(error)), ""

        return submit

    def broke(self, request: gr.Request) -> views.Value:
        """A bug on our side: the form stays, and the log has the traceback."""
        return views.said(self._words(request)("run.failed"), state="failed", error=self._words(request)("run.broken"))

    def watch(self, kept: Any, filed: str, request: gr.Request) -> Iterator[tuple[Any, ...]]:
        """Everything of this person that is still to be made, and at least what was just filed, as it comes."""
        yield from self._looks(session.owner(kept, request), self._words(request), filed)

    def resume(self, kept: Any, request: gr.Request) -> Iterator[tuple[Any, ...]]:
        """A page that opens finds its running jobs and its latest sweep again."""
        yield from self._looks(session.owner(kept, request), self._words(request))

    def _looks(self, owner: str, words: texts.Texts, filed: str | None = None) -> Iterator[tuple[Any, ...]]:
        """Only what was told once may be told again: between two dicts of a generator Gradio sends what differs, and its page
        carries that out on the very value that a widget holds. A skip in between would empty it."""
        coming = self._watching.follow(owner, filed or "")  # first: what ends before the next line would stay half told
        past, shown = self.history(owner), self._latest_sweep(owner, words)
        # A page that opens was filled a moment ago: what has ended since belongs to it. After Generate the stage stays as it is.
        stage = {"run": None, "history": past} if filed is None else gr.skip()
        bar: Any = gr.skip()
        # Gradio empties the outputs of a generator that yields nothing.
        yield *(stage, bar) * self._desks, *(shown,) * self._sweeps, *self._panelled(owner, words, bar)
        for view in self._with_measures(owner, coming):
            if view is None:
                yield *(stage, bar) * self._desks, *(shown,) * self._sweeps, *self._panelled(owner, words, bar)
                continue
            if view.finished:
                past = self.history(owner)
            if view.work.name:  # a panel shows it
                stage = {**_run_of(stage), "history": past} if view.finished else stage
            elif view.work.axes:
                shown = sweep.result(view, self._context, self._served, words) | {"fresh": True}
                stage = {**_run_of(stage), "history": past} if view.finished else stage
            else:
                stage = {"run": views.run(view, self._served), "history": past}
            bar = views.bar(view, words)
            yield *(stage, bar) * self._desks, *(shown,) * self._sweeps, *self._panelled(owner, words, bar)

    def _with_measures(self, owner: str, coming: Iterator[JobView]) -> Iterator[JobView | None]:
        """Jobs as they come, and None whenever more is known of their pictures. What is made meanwhile goes first."""
        while True:
            for view in coming:
                self._measure(owner)
                yield view
            if not self._measure(owner):
                return
            yield None
            coming = self._watching.follow(owner)

    def _measure(self, owner: str) -> bool:
        learnt = [panel.measure(owner) for panel in self._panels]
        return any(learnt)

    def _panelled(self, owner: str, words: texts.Texts, bar: views.Value) -> list[views.Value]:
        return [part for panel in self._panels for part in (bar, panel.shown(owner, words))]

    def _latest_sweep(self, owner: str, words: texts.Texts) -> views.Value | None:
        """As the page left it: nothing of it is brought to the stage."""
        sweeps = [view for view in self._context.jobs.mine(owner) if view.work.axes and view.made]
        if not sweeps:
            return None
        return sweep.result(sweeps[-1], self._context, self._served, words) | {"fresh": False}

    def stop(self, kept: Any, request: gr.Request) -> None:
        """At once: within a step, keeping what is there."""
        self._cancel(session.owner(kept, request), "now")

    def stop_after(self, kept: Any, request: gr.Request) -> None:
        """With the picture in the making."""
        self._cancel(session.owner(kept, request), "after")

    def history(self, owner: str) -> list[views.Value]:
        """The latest pictures that this person may see."""
        gallery = self._context.gallery
        return views.history(gallery.list(self._context.sees(owner), limit=HISTORY), gallery, self._served)

    def _cancel(self, owner: str, how: Literal["now", "after"]) -> None:
        """The job that runs, and those of the same person that wait behind it; a text in the making has a stop of its own."""
        for view in self._context.jobs.mine(owner):
            if not view.finished and not view.work.wording:
                self._context.jobs.cancel(view.id, owner, how)

    def _words(self, request: gr.Request) -> texts.Texts:
        return texts.of(session.language(request, self._context.language))


def _run_of(stage: views.Value) -> views.Value:
    """The run that the stage was told of, if it was."""
    return {"run": stage["run"]} if "run" in stage else {}
