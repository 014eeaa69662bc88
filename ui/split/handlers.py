"""What happens in the split tab: segments that change, settings that change, presets and pictures that are opened."""

from collections.abc import Mapping
from typing import Any

import gradio as gr

from core import table
from core.errors import UserError
from core.loras import names_of
from core.recipe import Recipe
from core.sampling import SAMPLERS, SCHEDULES
from ui import form
from ui.bindings import pack
from ui.context import Context
from ui.making import Making
from ui.opening import Opening, Presets, presets_of
from ui.split import view
from ui.split.fields import INSPECTED, SPLIT, read_segments, segments_value
from ui.tabs.split import Split

FIRST = "split-3-apple-to-rabbit"  # what a newcomer finds
Updates = list[Any]


def first_values(context: Context, presets: Presets) -> dict[str, Any]:
    """A newcomer's form: an experiment that runs, with the first model where the demo is not here."""
    recipe = presets.get(FIRST, Recipe(stepwise=1))
    models = [name for name, _ in form.model_choices(context)]
    if models and recipe.model not in models:
        recipe = recipe.model_copy(update={"model": models[0]})
    return form.complete(context, recipe, SPLIT)


def experiments(context: Context, presets: Presets) -> list[str]:
    """The names of the tab's presets, without those whose LoRAs are not here."""

    def is_here(name: str) -> bool:
        return any(item.name == name for item in context.pipe.loras.page(search=name).items)

    return [name for name in presets_of(presets, "split") if all(is_here(lora) for lora in names_of(presets[name]))]


class Splitting(Opening):
    """The handlers of a form that is opened, and those of the timeline."""

    def __init__(self, context: Context, bench: Split, presets: Presets, making: Making) -> None:
        super().__init__(context, bench.form, presets, making)
        self._bench, self._presets = bench, presets

    def first(self) -> dict[str, Any]:
        return first_values(self._context, self._presets)

    def look(self, request: gr.Request, *values: Any) -> Updates:
        """A setting was changed: what it means, and nothing filled in anew. Outputs: form, then inspector."""
        return self._look(request, values, fill=False)

    def show(self, request: gr.Request, *values: Any) -> Updates:
        """Segments were changed, or another one chosen: the inspector shows it. Outputs: form, then inspector."""
        return self._look(request, values, fill=True)

    def _look(self, request: gr.Request, values: tuple[Any, ...], *, fill: bool) -> Updates:
        now = dict(zip(self._form.names, values, strict=True))
        words = self._words(request)
        chosen, segment = _chosen(now["segments"])
        course, recipe = None, self._run_of(now)
        try:
            recipe = pack(values, SPLIT)
            course = view.course(self._context.pipe, recipe)
            seen = view.timeline(course, words)
        except UserError as error:
            seen = view.refused(words.error(error))
        inspector = view.inspector(recipe, course, chosen, segment, words, fill=fill)
        for name, listed in view.choices(inspector, self._options(recipe.model)).items():
            inspector[name]["choices"] = listed
        known = self._known_loras(recipe.model)
        inspector["loras"] |= {"choices": known, "inherited": now["loras"]}
        settled = dict(zip(self._form.names, form.updates(self._context, self._form, now, fill=False), strict=True))
        settled["segments"] = self._form.controls["segments"].changed(reason="", view=seen)
        settled["loras"] = self._form.controls["loras"].changed(reason="", choices=known)
        return [*settled.values(), *(self._bench.inspector[name].changed(**inspector[name]) for name in INSPECTED)]

    def table(self, *values: Any) -> str:
        """The run as tab-separated lines; nothing where it is refused, for the timeline says why."""
        try:
            return table.write(self._context.pipe.plan(pack(values, SPLIT)))
        except UserError:
            return ""

    def from_table(self, request: gr.Request, text: str, *values: Any) -> Updates:
        """The form as a pasted table says. Outputs: form, then the line beside Generate."""
        try:
            recipe = table.read(text, self._context.pipe.plan(pack(values, SPLIT)))
        except UserError as error:
            return self.refused(error, request)
        return self.opened(recipe, self._words(request)("timeline.steps"), request)

    def _run_of(self, values: Mapping[str, Any]) -> Recipe:
        """The recipe without its segments, for what they inherit also while one of them is refused."""
        alone = values | {"segments": segments_value(())}
        try:
            return self._context.pipe.resolve(pack([alone[name] for name in self._form.names], SPLIT))
        except UserError:
            return self._model(values).recipe

    def _model(self, values: Mapping[str, Any]) -> form.Model:
        return form.model_of(self._context, str(values["model"]))

    def _known_loras(self, model: str) -> list[str]:
        """The first ones that fit; any other can be typed."""
        try:
            family = self._context.pipe.library.model(model).family
            return [item.name for item in self._context.pipe.loras.page(family=family).items]
        except UserError:
            return []

    def _companions(self, model: str) -> list[tuple[str, str]]:
        """Models that may take over within a run."""
        try:
            return [(name, f"={name}") for name in self._context.pipe.companions(model)]
        except UserError:
            return []

    def _options(self, model: str) -> dict[str, list[tuple[str, str]]]:
        switch = [("yes", "split.yes"), ("no", "split.no")]
        return {
            "conditioning": [(name, f"inspect.conditioning.{name}") for name in ("prompt", "zero", "empty")],
            "border": [(name, f"inspect.border.{name}") for name in ("continue", "restart")],
            "sampler": [(name, f"={name}") for name in SAMPLERS],
            "scheduler": [(name, f"={name}") for name in SCHEDULES],
            "model": self._companions(model),
            "weighting": [(name, f"weighting.{name}") for name in ("comfyui", "a1111")],
            "add_noise": switch,
            "leftover_noise": switch,
        }


def _chosen(value: Mapping[str, Any]) -> tuple[int, Mapping[str, Any]]:
    """The segment that the inspector shows; an empty one where the run has no cuts."""
    try:
        segments = read_segments(value["segments"])
    except UserError:
        segments = []
    chosen = min(value["chosen"], max(len(segments) - 1, 0))
    return chosen, segments[chosen] if segments else {}
