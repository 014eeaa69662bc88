"""What happens in the explainer: strips are looked up, made, stopped, and opened where their setting is used."""

from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr

from core.errors import RecipeError, UserError
from core.jobs import JobView, Work
from core.recipe import Recipe
from core.sweep import coarse_first
from ui import session, texts, views
from ui.context import Context
from ui.events import text
from ui.explainer.cards import CARDS
from ui.explainer.recipes import AXES, STRIPS, Chosen, Strip, grid, pairs
from ui.explainer.view import Shown
from ui.opening import Opening, Updates
from ui.served import Served
from ui.texts import Texts
from ui.watching import Watching

GRID = "grid"


class Explaining:
    """Handlers of the cards. Pictures are everybody's; a job is of whoever asked for it, apart from their other jobs."""

    def __init__(self, context: Context, served: Served) -> None:
        self._context, self._shown, self._watching = (
            context,
            Shown(context=context, served=served),
            Watching(context.jobs),
        )

    # --- looking -------------------------------------------------------------------------------------------------------

    def look(self, event: gr.EventData, request: gr.Request) -> dict[str, Any]:
        """All cards, for a model."""
        return gr.update(shown=self._shown.all(self._chosen(event), self._words(request)))

    def look_crossed(self, event: gr.EventData, request: gr.Request) -> dict[str, Any]:
        """Two settings at once."""
        x, y = _axes(event)
        return gr.update(crossed=self._shown.crossed(self._chosen(event), x, y, self._words(request)))

    # --- making --------------------------------------------------------------------------------------------------------

    def ask(self, kept: Any, event: gr.EventData, request: gr.Request) -> tuple[dict[str, Any], str]:
        """Files what is missing of a strip. Outputs: the strip as it is now or why it cannot be made, the job."""
        owner, words, name = _maker(kept, request), self._words(request), text(event, "card")
        try:
            strip = self._strip(event)
            id = self._file(strip, name, owner)
        except UserError as error:
            return gr.update(asked={"card": name, "error": words.error(error), "cells": []}), ""
        told = self._shown.strip(strip, words)
        return gr.update(asked={"card": name, "error": told["problem"], "cells": told["cells"]}), id

    def _file(self, strip: Strip, name: str, owner: str) -> str:
        """The job that makes it; "" where nothing is missing. One that is under way already is not filed twice."""
        recipes = [cell.recipe for cell in strip.cells]
        keys = self._context.strips.keys(recipes)
        order = coarse_first(len(recipes))
        missing = [recipes[k] for k in order if self._context.strips.find(keys[k]) is None]
        if not missing:
            return ""
        for view in self._context.jobs.mine(owner):
            if view.work.name == name and not view.finished and view.recipe.model == missing[0].model:
                return view.id
        work = Work(recipe=missing[0], others=tuple(missing[1:]), name=name, shared=True)
        return self._context.jobs.file(work, owner)

    def watch(self, kept: Any, filed: str, request: gr.Request) -> Iterator[views.Value]:
        """What is in the making for this visitor, as it comes."""
        owner, words = _maker(kept, request), self._words(request)
        keys: dict[str, list[str]] = {}
        jobs: dict[str, views.Value] = {}
        cells: dict[str, views.Value] = {}
        coming = self._watching.follow(owner, filed)
        yield _news(jobs, cells)  # Gradio empties the outputs of a generator that yields nothing
        for view in coming:
            if view.id not in keys:
                keys[view.id] = self._context.strips.keys(view.work.recipes)
            waiting = [other for other in self._context.jobs.mine(owner) if not other.finished]
            jobs |= {other.work.name: self._job(other, words) for other in (*waiting, view)}
            cells |= self._shown.news(view, keys[view.id])
            yield _news(jobs, cells)

    def stop(self, kept: Any, request: gr.Request) -> None:
        """All that is in the making for this visitor here, and nothing else of theirs."""
        owner = _maker(kept, request)
        for view in self._context.jobs.mine(owner):
            if not view.finished:
                self._context.jobs.cancel(view.id, owner, "now")

    def broke(self, request: gr.Request) -> dict[str, Any]:
        """A bug on our side: the log has the traceback."""
        return gr.update(asked={"card": "", "error": self._words(request)("run.broken"), "cells": []})

    def _job(self, view: JobView, words: Texts) -> views.Value:
        bar = views.bar(view, words)
        took = views.short(view.seconds) if view.seconds is not None else ""
        done = words("explain.took", seconds=took, calls=view.calls) if view.state == "done" and took else bar["text"]
        return {"name": view.work.name, **bar, "text": done if view.finished else bar["text"]}

    # --- using ---------------------------------------------------------------------------------------------------------

    def using(self, opening: Opening) -> Callable[..., Updates]:
        """A handler that opens the value looked at in the tab of this form. Outputs: the form, the line beside Generate."""

        def use(event: gr.EventData, request: gr.Request) -> Updates:
            try:
                recipe, what = self._looked_at(event, self._words(request))
                return opening.opened(recipe, what, request)
            except UserError as error:
                return opening.refused(error, request)

        return use

    def _looked_at(self, event: gr.EventData, words: Texts) -> tuple[Recipe, str]:
        strip, name, at = self._strip(event), text(event, "card"), text(event, "at")
        if not (at.isdecimal() and int(at[:4]) < len(strip.cells)):
            raise RecipeError("The page shows something that is not here any more: reload it.")
        cell = strip.cells[int(at[:4])]
        value = words(cell.key, value=cell.text) if cell.key else cell.text
        title = words("explain.grid") if name == GRID else words(f"card.{name}.title")
        return cell.recipe, f"{title}: {value}"

    def _strip(self, event: gr.EventData) -> Strip:
        """Raises RecipeError for a card that there is not."""
        card, chosen = text(event, "card"), self._chosen(event)
        if card == GRID:
            return grid(chosen, *_axes(event))
        if card not in CARDS:
            raise RecipeError("The page shows something that is not here any more: reload it.")
        return STRIPS[card](chosen)

    def _chosen(self, event: gr.EventData) -> Chosen:
        return self._shown.chosen(text(event, "model"))

    def _words(self, request: gr.Request) -> Texts:
        return texts.of(session.language(request, self._context.language))


def _maker(kept: Any, request: gr.Request) -> str:
    """Whose these jobs are: a visitor's, but not among what they make in other tabs."""
    return f"strips/{session.owner(kept, request)}"


def _axes(event: gr.EventData) -> tuple[str, str]:
    """Two settings that go together; CFG and steps for all else."""
    x, y = text(event, "x"), text(event, "y")
    return (x, y) if x in AXES and y in pairs()[x] else ("cfg", "steps")


def _news(jobs: dict[str, views.Value], cells: dict[str, views.Value]) -> views.Value:
    return {"jobs": dict(jobs), "cells": dict(cells)}
