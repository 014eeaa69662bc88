"""What happens when somebody asks for their prompt in more words. The browser only watches; the job is the server's."""

import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import gradio as gr

from core.errors import Refused, UserError
from core.jobs import JobView, Work
from core.recipe import Recipe
from ui import session, texts, views
from ui.bindings import pack
from ui.components.enrich_panels import Enrich
from ui.context import Context
from ui.events import text
from ui.form import Form
from ui.wires import NOW, WATCHING

PACE = 0.15  # seconds between two looks
BREATH = 5.0  # seconds after which an unchanged job is told again, so that a watcher who left is noticed
MOST = 999  # wordings


class Enriching:
    """Handlers of one tab's panel."""

    def __init__(self, context: Context, form: Form) -> None:
        self._context, self._form = context, form
        self._name = f"enrich-{form.place}"

    def ask(self, kept: Any, event: gr.EventData, request: gr.Request, *values: Any) -> tuple[views.Value, str]:
        """Files the prompt of the form. What is wrong with it is said in the panel. Outputs: panel, job."""
        words, asked = self._words(request), text(event, "wording")
        wording = min(max(int(asked), 1), MOST) if asked.isdecimal() and len(asked) < 9 else 1
        try:
            filled = pack(values, self._form.table)
            recipe = Recipe(
                stepwise=1, model=filled.model, vae=filled.vae, prompt=filled.prompt, weighting=filled.weighting
            )
            work = Work(recipe=recipe, wording=wording, name=self._name)
            id = self._context.jobs.file(work, session.owner(kept, request))
            return told(self._context.jobs.get(id), words), id
        except UserError as error:
            return said("failed", wording, error=words.error(error)), ""

    def broke(self, request: gr.Request) -> views.Value:
        """A bug on our side: the log has the traceback."""
        return said("failed", 1, error=self._words(request)("enrich.broken"))

    def watch(self, job: str, request: gr.Request) -> Iterator[Any]:
        """The text as it grows."""
        yield from self._looks(job, self._words(request))

    def resume(self, kept: Any, request: gr.Request) -> Iterator[Any]:
        """A page that opens finds a text again that is still being written."""
        mine = self._context.jobs.mine(session.owner(kept, request))
        writing = [view.id for view in mine if view.work.name == self._name and not view.finished]
        yield from self._looks(writing[-1] if writing else "", self._words(request))

    def _looks(self, job: str, words: texts.Texts) -> Iterator[Any]:
        yield gr.skip()  # Gradio empties the output of a generator that yields nothing
        since = -1
        while job:
            try:
                view = self._context.jobs.watch(job, since, BREATH)
            except Refused:  # it was forgotten meanwhile
                return
            yield told(view, words)
            if view.finished:
                return
            since = view.version
            time.sleep(PACE)

    def stop(self, kept: Any, event: gr.EventData, request: gr.Request) -> None:
        """Within a token, keeping what is there."""
        owner = session.owner(kept, request)
        with suppress(Refused):  # of somebody else, or long gone
            asked = self._context.jobs.get(text(event, "job"))
            if asked.work.wording:
                self._context.jobs.cancel(asked.id, owner)

    def _words(self, request: gr.Request) -> texts.Texts:
        return texts.of(session.language(request, self._context.language))


def told(view: JobView, words: texts.Texts) -> views.Value:
    """A job as the panel shows it."""
    return said(
        view.state, view.work.wording, job=view.id, text=view.text, line=_line(view, words),
        note=" ".join(words.template(note.template, note.values) for note in view.notes),
        error=words.error(view.error) if view.error else "",
    )  # fmt: skip


def said(
    state: str, wording: int, *, job: str = "", text: str = "", line: str = "", note: str = "", error: str = ""
) -> views.Value:
    """Always of one shape."""
    return {"job": job, "state": state, "text": text, "line": line, "note": note, "error": error, "wording": wording}


def _line(view: JobView, words: texts.Texts) -> str:
    match view.state:
        case "running" if view.phase == "loading":
            return words("run.loading", what=view.what, percent=round(view.share * 100))
        case "running":
            return words("enrich.writing", tokens=view.tokens) if view.tokens else words("enrich.reading")
        case "done":
            return words("enrich.done", tokens=view.tokens)
        case "stopped":
            return words("enrich.stopped")
        case _:
            return views.sentence(view, words)


def wire(panel: Enrich, form: Form, context: Context, kept: gr.BrowserState, restored: Any) -> None:
    """Asking, watching, stopping. What is used or undone the browser does by itself."""
    handlers, job = Enriching(context, form), gr.State("")
    filed = panel.ask(handlers.ask, [kept, *form.inputs], [panel, job], **NOW)
    filed.failure(handlers.broke, None, panel, **NOW)
    filed.success(handlers.watch, job, panel, trigger_mode="always_last", **WATCHING)
    panel.stop(handlers.stop, kept, None, **NOW)
    restored.then(handlers.resume, kept, panel, **WATCHING)
