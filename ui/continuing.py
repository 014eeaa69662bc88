"""Going on from a step: of the run on the stage, or of one that is kept on the disk."""

import time
from typing import Any

import gradio as gr

from core.errors import MissingPart, Refused, UserError
from core.jobs import JobView
from core.kept import KeptRun
from core.onward import go_on, with_fresh_noise
from core.plan import alone
from core.recipe import Recipe
from core.sweep import axis
from ui import session, texts, views
from ui.context import Context
from ui.events import text
from ui.opening import Opening, Updates
from ui.texts import Texts

SAMPLES = 4
LISTED = 50  # kept runs


class Continuing:
    """Handlers. `opening` fills the form that a run goes on in."""

    def __init__(self, context: Context, opening: Opening) -> None:
        self._context, self._opening = context, opening

    def from_film(self, kept: Any, event: gr.EventData, request: gr.Request) -> Updates:
        """The run on the stage from one of its steps on, in the form. Outputs: form, bar."""
        try:
            view = self._job(kept, event, request)
            frame = next(frame for frame in view.film if (frame.image, frame.step) == _place(event))
            recipe = go_on(_recipe(view, frame.image), frame.key, frame.start)
        except StopIteration:
            return self._opening.refused(_gone(), request)
        except UserError as error:
            return self._opening.refused(error, request)
        return self._opening.opened(recipe, self._words(request)("onward.opened", step=frame.step), request)

    def from_disk(self, event: gr.EventData, request: gr.Request) -> Updates:
        """A kept run from one of its steps on, in the form. Outputs: form, bar."""
        try:
            run = self._runs().run(text(event, "id"))
            number = int(text(event, "step")) if text(event, "step").isdecimal() else 0
            if not 1 <= number <= len(run.steps):
                raise _gone()
            step = run.steps[number - 1]
        except UserError as error:
            return self._opening.refused(error, request)
        recipe = go_on(run.recipe, step.key, step.start)
        return self._opening.opened(recipe, self._words(request)("onward.opened", step=number), request)

    def more(self, kept: Any, event: gr.EventData, request: gr.Request) -> tuple[views.Value, str]:
        """Other noise from that step on, a few times: files a sweep. Outputs: bar, job."""
        words = self._words(request)
        try:
            view = self._job(kept, event, request)
            image, step = _place(event)
            frame = next(frame for frame in view.film if (frame.image, frame.step) == (image, step))
            recipe, number = with_fresh_noise(_recipe(view, image), frame.start, view.steps)
            seeds = axis(f"segments.{number}.noise_seed={'|'.join(['-1'] * SAMPLES)}")
            id = self._context.jobs.submit(recipe, session.owner(kept, request), [seeds])
            return views.bar(self._context.jobs.get(id), words), id
        except StopIteration:
            return views.said(words("run.failed"), state="failed", error=words.error(_gone())), ""
        except UserError as error:
            return views.said(words("run.failed"), state="failed", error=words.error(error)), ""

    def listed(self, request: gr.Request) -> views.Value:
        """What is kept on the disk."""
        runs = self._context.pipe.kept
        if runs is None or self._context.guarded:  # kept runs know no owner
            return {"on": False, "runs": [], "bytes": 0, "limit": 0}
        return {"on": True, "runs": [_row(run) for run in runs.runs(LISTED)], "bytes": runs.nbytes, "limit": runs.limit}

    def delete(self, event: gr.EventData, request: gr.Request) -> views.Value:
        """Deletes a kept run; the page has asked whether that is meant."""
        try:
            self._runs().delete(text(event, "id"))
        except UserError as error:
            return self.listed(request) | {"error": self._words(request).error(error)}
        return self.listed(request)

    def _runs(self) -> Any:
        if self._context.pipe.kept is None or self._context.guarded:
            raise Refused("Kept runs are not shown here.")
        return self._context.pipe.kept

    def _job(self, kept: Any, event: gr.EventData, request: gr.Request) -> JobView:
        view = self._context.jobs.get(text(event, "job"))
        if view.owner != session.owner(kept, request):
            raise Refused("There is no such job: it finished long ago, or was never filed here.")
        return view

    def _words(self, request: gr.Request) -> Texts:
        return texts.of(session.language(request, self._context.language))


def _place(event: gr.EventData) -> tuple[int, int]:
    """Image and step that the page names; (-1, -1) for what is none."""
    image, step = text(event, "image"), text(event, "step")
    return (int(image), int(step)) if image.isdecimal() and step.isdecimal() else (-1, -1)


def _recipe(view: JobView, image: int) -> Recipe:
    """Of one picture of a plain job, resolved."""
    return view.made[image].recipe if image in view.made else alone(view.resolved or view.recipe, image)


def _gone() -> MissingPart:
    return MissingPart(
        "The steps of this picture are no longer in memory: run its settings again, then go on from them."
    )


def _row(run: KeptRun) -> views.Value:
    there = [number for number, step in enumerate(run.steps, start=1) if step.nbytes]
    return {
        "id": run.id, "prompt": run.recipe.prompt, "seed": str(run.recipe.seed), "model": run.recipe.model, "bytes": run.nbytes,
        "made": time.strftime("%Y-%m-%d %H:%M", time.localtime(run.created)), "steps": len(run.steps), "there": there,
    }  # fmt: skip
