"""What happens in the LoRA tab: looking through the library, using one, its words and notes, sweeps by one click."""

import json
from collections.abc import Mapping
from typing import Any

import gradio as gr

from core.errors import UserError
from core.lora_library import LoraItem
from core.models.checkpoint import FAMILY_TITLES
from core.recipe import Recipe, Segment
from core.sweep import Axis
from ui import form, session, views, wires
from ui.bindings import pack
from ui.context import Context
from ui.events import text
from ui.making import Making
from ui.opening import Opening
from ui.served import Served
from ui.tabs.lora import LORA, LoraTab
from ui.wires import NOW

Updates = list[Any]
QUARTERS = (0.0, 0.25, 0.5, 0.75, 1.0)


def first_values(context: Context) -> dict[str, Any]:
    """A newcomer's form."""
    models = [name for name, _ in form.model_choices(context)]
    recipe = Recipe(
        stepwise=1, model=models[0] if models else "demo", prompt="a red apple on a white background", seed=1
    )
    return form.complete(context, recipe, LORA)


class Shelf(Opening):
    """The handlers of the tab."""

    def __init__(self, context: Context, desk: LoraTab, making: Making, served: Served) -> None:
        super().__init__(context, desk.form, {}, making)
        self._desk, self._served = desk, served

    def first(self) -> dict[str, Any]:
        return first_values(self._context)

    def entered(self, model: str, request: gr.Request) -> dict[str, Any]:
        """The tab is opened: the first page, and nothing looked at."""
        return gr.update(value=self._page("", 0, model, request), chosen=None)

    def turn(self, model: str, event: gr.EventData, request: gr.Request) -> dict[str, Any]:
        """Another page, another search, or the same one while files are still looked for."""
        return gr.update(value=self._page(text(event, "search"), _number(event), model, request))

    def pick(self, model: str, event: gr.EventData, request: gr.Request) -> dict[str, Any]:
        """One LoRA, looked at. A file that has just gone leaves the page as it is now."""
        try:
            item = self._context.pipe.loras.find(text(event, "name"))
        except UserError:
            return self.turn(model, event, request)
        return gr.update(chosen=self._item(item, self._family(model), request))

    def annotate(self, model: str, event: gr.EventData, request: gr.Request) -> dict[str, Any]:
        """One's own trigger words and notes; on a shared server the library stays as its owner wrote it."""
        if not self._context.guarded:
            words = text(event, "words").split(",")
            self._context.pipe.loras.annotate(text(event, "name"), words, text(event, "notes"))
        chosen = self.pick(model, event, request)
        return chosen | {"value": self._page(text(event, "search"), _number(event), model, request)}

    def use(self, loras: str, event: gr.EventData) -> tuple[Any, Any]:
        """One more LoRA at full strength. Outputs: the list, the wall."""
        listed = _listed(loras)
        name = text(event, "name")
        if name and all(lora.get("name") != name for lora in listed):
            listed.append({"name": name, "model": 1.0, "text": 1.0})
        value = json.dumps(listed, ensure_ascii=False)
        return self._form.controls["loras"].changed(value=value), self.marked(value)

    def marked(self, loras: str) -> dict[str, Any]:
        """Which tiles are of LoRAs in use."""
        return gr.update(used=[str(lora.get("name", "")) for lora in _listed(loras)])

    def say(self, prompt: str, event: gr.EventData) -> dict[str, Any]:
        """A trigger word into the prompt, once."""
        word = text(event, "word")
        said = [part.strip() for part in prompt.split(",") if part.strip()]
        value = prompt if word in said else ", ".join([*said, word])
        return self._form.controls["prompt"].changed(value=value)

    def sweep(self, kept: Any, event: gr.EventData, request: gr.Request, *values: Any) -> tuple[views.Value, str]:
        """Files a sweep of the LoRAs in use. What is wrong with it is said beside Generate."""
        words = self._words(request)
        try:
            recipe = self._context.pipe.resolve(pack(values, LORA))
            if not recipe.loras:
                return views.said(words("run.failed"), state="failed", error=words("lora.first")), ""
            recipe, axis = swept(text(event, "kind"), recipe)
            id = self._context.jobs.submit(recipe, session.owner(kept, request), [axis])
            return views.bar(self._context.jobs.get(id), words), id
        except UserError as error:
            return views.said(words("run.failed"), state="failed", error=words.error(error)), ""

    def _page(self, search: str, page: int, model: str, request: gr.Request) -> views.Value:
        found, family = self._context.pipe.loras.page(search, page=page), self._family(model)
        return {
            "items": [self._item(item, family, request) for item in found.items], "total": found.total, "page": found.page,
            "pages": found.pages, "scanning": found.scanning, "writable": not self._context.guarded,
            "folder": "models/loras" if self._context.guarded else str(self._context.pipe.library.root / "loras"),
        }  # fmt: skip

    def _item(self, item: LoraItem, family: str | None, request: gr.Request) -> views.Value:
        words, thumb = self._words(request), self._context.pipe.loras.thumbnail(item)
        reason = "" if item.problem is None else words.error(item.problem)
        if not reason and family and item.family not in (None, family):
            reason = words("lora.other", its=FAMILY_TITLES[item.family], family=FAMILY_TITLES.get(family, family))
        return {
            "name": item.name, "title": item.title, "reason": reason, "words": list(item.trigger_words), "notes": item.notes,
            "tags": [tag for tag, _ in item.tags], "base": item.base_model, "rank": item.rank, "text": item.has_text,
            "size": item.size_bytes, "thumb": "" if thumb is None else self._served.url(thumb),
        }  # fmt: skip

    def _family(self, model: str) -> str | None:
        try:
            return self._context.pipe.library.model(model).family
        except UserError:
            return None


def swept(kind: str, recipe: Recipe) -> tuple[Recipe, Axis]:
    """A resolved recipe and the axis of a sweep of its LoRAs: strength, start (the step from which they act), or pair (without, with).

    That a LoRA acts from a step on is a border: before it, none does.
    """
    assert recipe.steps is not None  # resolved
    if kind == "strength":
        full = recipe.loras[0].model
        full = full if isinstance(full, float) and full else 1.0
        return recipe, Axis(path=("loras", "0", "model"), values=tuple(round(full * part, 4) for part in QUARTERS))
    cut = recipe.model_copy(update={"segments": (Segment(end=recipe.steps, loras=()), Segment())})
    starts = (
        (recipe.steps, 0) if kind == "pair" else tuple(dict.fromkeys(round(recipe.steps * part) for part in QUARTERS))
    )
    return cut, Axis(path=("segments", "0", "end"), values=starts)


def wire(desk: LoraTab, shelf: Shelf, tab: gr.Tab, kept: gr.BrowserState) -> None:
    """The tab's own events; making, keeping and restoring are every tab's."""
    controls, wall = desk.form.controls, desk.wall
    model = controls["model"]
    tab.select(shelf.entered, model, wall, **NOW)
    for told, handler in ((wall.turn, shelf.turn), (wall.pick, shelf.pick), (wall.annotate, shelf.annotate)):
        told(handler, model, wall, **NOW)
    used = wall.use(shelf.use, controls["loras"], [controls["loras"], wall], **NOW)
    said = wall.say(shelf.say, controls["prompt"], controls["prompt"], **NOW)
    for event in (used, said):
        wires.kept_by(event, desk.form, kept)
    controls["loras"].input(shelf.marked, controls["loras"], wall, **NOW)
    chosen = gr.State(str(shelf.first()["model"]))
    changed = model.input(shelf.other_model, [chosen, *desk.form.inputs], [*desk.form.inputs, chosen], **NOW)
    wires.kept_by(changed.then(shelf.entered, model, wall, **NOW), desk.form, kept)


def _listed(loras: str) -> list[dict[str, Any]]:
    try:
        found = json.loads(loras or "[]")
    except (ValueError, RecursionError):
        return []
    return [lora for lora in found if isinstance(lora, Mapping)] if isinstance(found, list) else []


def _number(event: gr.EventData) -> int:
    page = text(event, "page")
    return int(page) if page.isdecimal() and len(page) < 8 else 0
