"""What happens in the variety tab: rows, a pinned start, the plot, the endless run; stars and sweeping away."""

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import gradio as gr

from core.errors import MissingPart, Refused, UserError
from core.jobs import JobView, Work, free_bytes, gigabytes
from core.recipe import Recipe
from core.variety import MOST, SHIFTS, Blind, blind_of, grid, pinned, rows, started
from ui import form, session, views
from ui.bindings import CARRIED, carried_fields, pack
from ui.context import Context
from ui.events import text
from ui.making import Making
from ui.opening import Opening, Presets, Updates
from ui.variety.fields import BLIND, LOCKED, VARIETY, read_pin
from ui.variety.models import FIRST, model_choices
from ui.variety.view import Varied

SEEDS = 4  # a newcomer's
PROMPT = "a red rabbit"


def first_values(context: Context) -> dict[str, Any]:
    """A newcomer's form: four seeds of the first model, two blind steps."""
    listed = model_choices(context)
    recipe = Recipe(stepwise=1, model=listed[0][0] if listed else FIRST, prompt=PROMPT, seed=1, batch=SEEDS)
    return _shown(context, form.complete(context, started(recipe, Blind()), VARIETY))


def _shown(context: Context, values: dict[str, Any]) -> dict[str, Any]:
    """With the shift written out: here it is what one plays with."""
    own = form.model_of(context, str(values["model"])).own(values)["shift"]
    return values | {"shift": own if values["shift"] is None else values["shift"]}


class Varying(Opening):
    """The handlers of the tab. What fills the form gives its controls in order, and then the line beside Generate."""

    def __init__(self, context: Context, controls: form.Form, presets: Presets, making: Making, varied: Varied) -> None:
        super().__init__(context, controls, presets, making)
        self._varied = varied

    def first(self) -> dict[str, Any]:
        return first_values(self._context)

    def restore(self, kept: Any, request: gr.Request) -> Updates:
        """A page that opens. Outputs: browser, form, bar, pictures, drawers."""
        outputs = super().restore(kept, request)
        place = len(self._form.names) + 2
        shown = self._varied.shown(session.owner(outputs[0], request), self._words(request))
        return [*outputs[:place], shown, *outputs[place + 1 :]]

    def asked(self, request: gr.Request, *values: Any) -> dict[str, str]:
        """What the plot and the endless run would take."""
        return self._asked(dict(zip(self._form.names, values, strict=True)), request)

    def other_model(self, before: str, *values: Any) -> Updates:
        """Another model was chosen: a shift that was the old one's own is the new one's own."""
        now = dict(zip(self._form.names, values, strict=True))
        if now["shift"] == form.model_of(self._context, before).own(now)["shift"]:
            now["shift"] = None
        return super().other_model(before, *now.values())

    def settle(self, request: gr.Request, *values: Any) -> Updates:
        """Which controls have no effect now. Outputs: the form, and what can be asked for."""
        now = dict(zip(self._form.names, values, strict=True))
        return [*self._updates(now, fill=False), self._asked(now, request)]

    def _filled(self, values: Any) -> Updates:
        return self._updates(_shown(self._context, dict(values)), fill=True)

    def _updates(self, values: dict[str, Any], *, fill: bool) -> Updates:
        found = form.updates(self._context, self._form, values, fill=fill)
        why = _reasons(values)
        for name, update in zip(self._form.names, found, strict=True):
            if name in why:
                update["reason"] = why[name]
            if name == "model":
                update["choices"] = [list(choice) for choice in model_choices(self._context)]
        return found

    def _asked(self, values: dict[str, Any], request: gr.Request) -> dict[str, str]:
        words, limits = self._words(request), self._context.limits
        cells, seeds = (MOST + 1) * len(SHIFTS), max(2, int(values.get("batch") or 1))
        free = gigabytes(free_bytes(self._context.gallery.folder))
        end = words("variety.endless.ends", least=f"{gigabytes(limits.free_bytes):g}", free=f"{free:g}")
        if limits.pictures is not None:
            end = words("variety.endless.limit", most=limits.pictures, end=end)
        off = words("variety.pinned.off") if values.get("pin") else ""
        return {
            "grid": words("variety.grid.cost", cells=cells, seeds=seeds, pictures=cells * seeds),
            "endless": end,
            "off": off,
        }

    # --- filing --------------------------------------------------------------------------------------------------------

    def rows(self, request: gr.Request, kept: Any, *values: Any) -> tuple[views.Value, str]:
        """Generate: the seeds plain and with their blind start, or prompts on a pinned one."""
        now = dict(zip(self._form.names, values, strict=True))

        def work() -> Work:
            recipe, pin = pack(values, VARIETY), read_pin(now["pin"])
            if pin is None:
                samplers = [now["beside"]] if now["beside"] not in ("", recipe.sampler) else []
                return _work(rows(recipe, samplers), "rows")
            recipe = recipe.model_copy(update={"batch": 1})
            others = pinned(recipe, pin.trajectory, pin.start, [recipe.prompt, *pin.prompts])
            own = () if pin.recipe is None else (pin.recipe.model_copy(update={"batch": 1}),)
            return _work((*own, *others), "pin")

        return self._file(work, kept, request)

    def grid(self, request: gr.Request, kept: Any, *values: Any) -> tuple[views.Value, str]:
        """The plot: every number of blind steps at every shift."""

        def work() -> Work:
            recipe = pack(values, VARIETY)
            recipe = recipe.model_copy(update={"batch": max(2, recipe.batch), "init": None})
            return _work(grid(recipe, blind_of(recipe) or Blind()), "grid")

        return self._file(work, kept, request)

    def endless(self, request: gr.Request, kept: Any, *values: Any) -> tuple[views.Value, str]:
        """Ever new seeds."""
        return self._file(lambda: Work(recipe=pack(values, VARIETY), endless=True, name="endless"), kept, request)

    def _file(self, work: Callable[[], Work], kept: Any, request: gr.Request) -> tuple[views.Value, str]:
        """What is wrong with it is said beside Generate."""
        words = self._words(request)
        try:
            id = self._context.jobs.file(work(), session.owner(kept, request))
            return views.bar(self._context.jobs.get(id), words), id
        except UserError as error:
            return views.said(words("run.failed"), state="failed", error=words.error(error)), ""

    # --- the pictures --------------------------------------------------------------------------------------------------

    def star(self, kept: Any, event: gr.EventData, request: gr.Request) -> views.Value:
        """Keeps a picture from being swept away, or no longer."""
        owner = session.owner(kept, request)
        with suppress(Refused):  # the job was forgotten meanwhile: what is shown now says so
            self._context.jobs.star(text(event, "job"), owner, _image(event), text(event, "on") == "1")
        return self._varied.shown(owner, self._words(request))

    def sweep(self, kept: Any, event: gr.EventData, request: gr.Request) -> tuple[views.Value, views.Value]:
        """Deletes all without a star; the page has asked whether that is meant. Outputs: pictures, bar."""
        owner, words = session.owner(kept, request), self._words(request)
        try:
            count = self._context.jobs.sweep_away(text(event, "job"), owner)
            said = views.said(words("variety.swept", count=count))
        except UserError as error:
            said = views.said("", error=words.error(error))
        return self._varied.shown(owner, words), said

    def pin(self, kept: Any, event: gr.EventData, request: gr.Request, *values: Any) -> Updates:
        """A picture's blind start is pinned, and the form is filled with its settings, but for the number of seeds.

        Outputs: form, bar.
        """
        now = dict(zip(self._form.names, values, strict=True))
        try:
            view = self._context.jobs.get(text(event, "job"))
            image = _image(event)
            if view.owner != session.owner(kept, request) or image not in view.made or image not in view.handed:
                raise MissingPart("The start of this picture is no longer known: make it again, then pin it.")
            recipe, filled = view.made[image].recipe, self._pinned(view, image) | {"batch": now["batch"]}
        except UserError as error:
            return self.refused(error, request)
        said = self._words(request)("variety.pinned", seed=recipe.seed)
        return [*self._filled(filled), views.said(said)]

    def _pinned(self, view: JobView, image: int) -> dict[str, Any]:
        recipe, frame = view.made[image].recipe, view.handed[image]
        values = form.complete(self._context, recipe, VARIETY)
        told = {
            "trajectory": frame.key, "start": frame.start, "seed": str(recipe.seed), "src": views.jpeg(frame.jpeg),
            "recipe": recipe.model_dump_json(exclude_none=True), "prompts": "",
        }  # fmt: skip
        return values | {"pin": json.dumps(told, ensure_ascii=False)}


def _work(recipes: Sequence[Recipe], name: str) -> Work:
    return Work(recipe=recipes[0], others=tuple(recipes[1:]), name=name)


def _image(event: gr.EventData) -> int:
    image = text(event, "image")
    return int(image) if image.isdecimal() and len(image) < 9 else -1


def _reasons(values: dict[str, Any]) -> dict[str, str]:
    """Controls of this tab that have no effect now, and the text that says why."""
    why: dict[str, str] = {}
    if values.get("conditioning") != "prompt":
        why["second"] = "variety.second.reason"
    if not values.get("blind"):
        why |= dict.fromkeys(("conditioning", "second", "border"), "variety.blind.reason")
    if "segments" in carried_fields(values[CARRIED]):
        why |= dict.fromkeys(BLIND, "carried.reason")
    if values.get("pin"):
        why |= dict.fromkeys(LOCKED, "variety.pinned.reason") | {"beside": "variety.pinned.reason"}
    return why
