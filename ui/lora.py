"""What happens in the LoRA tab: looking through the library, using one, what of it fits, its words and notes, sweeps by one click."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gradio as gr

from core.errors import RecipeError, UnknownName, UserError
from core.lora_library import LoraItem
from core.loras import names_of
from core.models.checkpoint import FAMILY_TITLES
from core.prompt.tags import every_tag
from core.recipe import Lora, Recipe, Segment, StrengthValue
from core.sweep import Axis
from ui import form, session, views, wires
from ui.bindings import pack
from ui.context import Context
from ui.events import text
from ui.making import Making
from ui.opening import Opening, Presets
from ui.served import Served
from ui.tabs.lora import LORA, LoraTab
from ui.texts import Texts
from ui.wires import LATEST, LOCAL, NOW

Updates = list[Any]
QUARTERS = (0.0, 0.25, 0.5, 0.75, 1.0)
MOST = 64  # LoRAs of a recipe
NAMED = 3  # parts of a file that fit nothing and are named
AGAIN = "() => stepwise.tell('library')"  # wall and rows look again: the tab is opened, or the model is another


def first_values(context: Context) -> dict[str, Any]:
    """A newcomer's form."""
    models = [name for name, _ in form.model_choices(context)]
    recipe = Recipe(
        stepwise=1, model=models[0] if models else "demo", prompt="a red apple on a white background", seed=1
    )
    return form.complete(context, recipe, LORA)


class Shelving(Opening):
    """The handlers of the tab."""

    def __init__(self, context: Context, desk: LoraTab, presets: Presets, making: Making, served: Served) -> None:
        super().__init__(context, desk.form, presets, making)
        self._served = served

    def first(self) -> dict[str, Any]:
        return first_values(self._context)

    def turn(self, model: str, loras: str, event: gr.EventData, request: gr.Request) -> dict[str, Any]:
        """A page of the library: the first, another one, another search, or the same while files are still looked for."""
        return gr.update(value=self._page(event, model, request), used=_names(loras))

    def pick(self, model: str, event: gr.EventData, request: gr.Request) -> dict[str, Any]:
        """One LoRA, looked at. Of a file that has just gone a sentence says so."""
        try:
            item = self._context.pipe.loras.find(text(event, "name"))
        except UserError as error:
            return gr.update(value=self._page(event, model, request, error))
        return gr.update(chosen=self._tile(item, self._family(model), request))

    def annotate(self, model: str, event: gr.EventData, request: gr.Request) -> dict[str, Any]:
        """One's own trigger words and notes."""
        words = text(event, "words").split(",")
        return self._changed(
            lambda: self._context.pipe.loras.annotate(text(event, "name"), words, text(event, "notes")), model, event, request
        )

    def depict(self, kept: Any, model: str, event: gr.EventData, request: gr.Request) -> dict[str, Any]:
        """A picture made here becomes a LoRA's thumbnail."""

        def change() -> None:
            picture = self._context.gallery.get(text(event, "id"), self._context.sees(session.owner(kept, request)))
            self._context.pipe.loras.depict(text(event, "name"), picture.path)

        return self._changed(change, model, event, request)

    def _changed(
        self, change: Callable[[], object], model: str, event: gr.EventData, request: gr.Request
    ) -> dict[str, Any]:
        """The library after somebody wrote into it; on a shared server it stays as its owner left it."""
        try:
            if not self._context.guarded:
                change()
            item = self._context.pipe.loras.find(text(event, "name"))
        except UserError as error:
            return gr.update(value=self._page(event, model, request, error))
        return gr.update(chosen=self._tile(item, self._family(model), request), value=self._page(event, model, request))

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
        return gr.update(used=_names(loras))

    def facts(self, model: str, loras: str, request: gr.Request) -> dict[str, Any]:
        """What is known of each LoRA in use, before anything is run: how much of it fits the model, its words."""
        words = self._words(request)
        return gr.update(facts={name: self._fact(name, model, words) for name in _names(loras)[:MOST]})

    def _fact(self, name: str, model: str, words: Texts) -> views.Value:
        fact: views.Value = {"words": [], "text": True, "covered": "", "odd": "", "reason": ""}
        try:
            item = self._context.pipe.loras.get(name)
            fact |= {"words": list(item.trigger_words), "text": item.has_text}
            found = self._context.pipe.coverage(model, name)
        except UserError as error:
            return fact | {"reason": words.error(error)}
        fact["covered"] = words("lora.covered", applied=found.applied, total=found.total)
        if found.unmatched:
            first = ", ".join(found.unmatched[:NAMED])
            more = words("lora.part.more", count=len(found.unmatched) - NAMED) if len(found.unmatched) > NAMED else ""
            fact["odd"] = words("lora.part", left=len(found.unmatched), model=model, names=first + more)
        return fact

    def settled(self, *values: Any) -> Updates:
        """Which controls have no effect now. Outputs: the form."""
        now = dict(zip(self._form.names, values, strict=True))
        return form.updates(self._context, self._form, now, fill=False)

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
            recipe = self._context.pipe.resolve(pack(_with_seed(values, text(event, "seed")), LORA))
            if not names_of(recipe):
                return views.said(words("run.failed"), state="failed", error=words("lora.first")), ""
            recipe, axis = swept(text(event, "kind"), recipe)
            id = self._context.jobs.submit(recipe, session.owner(kept, request), [axis])
            return views.bar(self._context.jobs.get(id), words), id
        except UserError as error:
            return views.said(words("run.failed"), state="failed", error=words.error(error)), ""

    def _page(
        self, event: gr.EventData, model: str, request: gr.Request, error: UserError | None = None
    ) -> views.Value:
        """The page that the wall asks for; `error`: what came of what it asked for besides."""
        words, search, page = self._words(request), text(event, "search"), _number(event)
        found, family = self._context.pipe.loras.page(search, page=page), self._family(model)
        gone = isinstance(error, UnknownName)
        said = words("lora.gone", name=text(event, "name")) if gone else "" if error is None else words.error(error)
        return {
            "items": [self._tile(item, family, request) for item in found.items], "total": found.total, "page": found.page,
            "pages": found.pages, "scanning": found.scanning, "writable": not self._context.guarded, "said": said,
            "folder": "models/loras" if self._context.guarded else str(self._context.pipe.library.root / "loras"),
        }  # fmt: skip

    def _tile(self, item: LoraItem, family: str | None, request: gr.Request) -> views.Value:
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

    That a LoRA acts from a step on is a border: before it, none does. Raises RecipeError.
    """
    assert recipe.steps is not None  # resolved
    if recipe.segments:
        raise RecipeError("This recipe is cut into segments: its LoRAs are swept in the Split tab.")
    if kind == "strength":
        return recipe, _strengths(recipe.loras)
    without = recipe.prompt
    for tag in every_tag(recipe.prompt, recipe.weighting):
        without = without.replace(tag.source, "")
    none = Segment(end=recipe.steps, loras=(), prompt=None if without == recipe.prompt else without)
    changes: dict[str, Any] = {"segments": (none, Segment())}
    starts: tuple[int, ...] = (recipe.steps, 0)
    if kind == "pair":
        changes["batch"] = 1
    else:
        changes["loras"] = tuple(_from_the_start(lora) for lora in recipe.loras)
        starts = tuple(dict.fromkeys(round(recipe.steps * part) for part in QUARTERS))
    return recipe.model_copy(update=changes), Axis(path=("segments", "0", "end"), values=starts)


def _strengths(loras: Sequence[Lora]) -> Axis:
    """The first LoRA's strength on the model, in quarters; that of a schedule where it acts at all."""
    if not loras:
        raise RecipeError("A strength in the prompt cannot be swept: choose the LoRA above instead.")
    first, path = loras[0], ("loras", "0", "model")
    acting = [(step, one) for step, one in first.model.items() if one] if isinstance(first.model, dict) else []
    if len(acting) > 1:
        raise RecipeError("The strength of {name} follows a schedule: give it one number to sweep it.", name=first.name)
    path = (*path, str(acting[0][0])) if acting else path
    full = acting[0][1] if acting else first.model if isinstance(first.model, float) and first.model else 1.0
    return Axis(path=path, values=tuple(round(full * part, 4) for part in QUARTERS))


def _from_the_start(lora: Lora) -> Lora:
    """The same LoRA without the steps before which it does nothing."""

    def moved(value: StrengthValue) -> StrengthValue:
        if not isinstance(value, dict):
            return value
        acting = sorted(step for step, one in value.items() if one)
        return {0: value[acting[0]]} | {step: one for step, one in value.items() if step > acting[0]} if acting else 0.0

    return lora.model_copy(update={"model": moved(lora.model), "text": moved(lora.text)})


def wire(desk: LoraTab, shelf: Shelving, tab: gr.Tab, kept: gr.BrowserState) -> None:
    """The tab's own events; making, keeping and restoring are every tab's."""
    controls, wall = desk.form.controls, desk.wall
    model, loras = controls["model"], controls["loras"]
    tab.select(None, None, None, js=AGAIN, **LOCAL)
    wall.turn(shelf.turn, [model, loras], wall, **NOW)
    for told, handler in ((wall.pick, shelf.pick), (wall.annotate, shelf.annotate)):
        told(handler, model, wall, **NOW)
    wall.depict(shelf.depict, [kept, model], wall, **NOW)
    loras.look(shelf.pick, model, wall, **NOW)
    used = wall.use(shelf.use, loras, [loras, wall], **NOW)
    for told in (wall.say, loras.say):
        wires.kept_by(told(shelf.say, controls["prompt"], controls["prompt"], **NOW), desk.form, kept)
    wires.kept_by(used, desk.form, kept)
    loras.ask(shelf.facts, [model, loras], loras, **NOW)
    loras.input(shelf.marked, loras, wall, **NOW)
    settling = [controls[name].input for name in ("cfg", "sampler", "carried")]
    gr.on(settling, shelf.settled, desk.form.inputs, desk.form.inputs, **LATEST)
    chosen = gr.State(str(shelf.first()["model"]))
    changed = model.input(shelf.other_model, [chosen, *desk.form.inputs], [*desk.form.inputs, chosen], **LATEST)
    opened = [
        wires.opens(desk.form, desk.bar, kept, desk.stage.reuse, shelf.item, kept),
        wires.opens(desk.form, desk.bar, kept, desk.stage.opened, shelf.upload, None),
        wires.opens(desk.form, desk.bar, kept, desk.presets.opened, shelf.preset, None),
        wires.kept_by(changed, desk.form, kept),
    ]
    for event in opened:
        event.then(None, None, None, js=AGAIN, **LOCAL)


def _with_seed(values: Sequence[Any], seed: str) -> Sequence[Any]:
    """The form's values; where the seed is left to chance, with that of the picture that is looked at."""
    names = [binding.control for binding in LORA]
    drawn = values[names.index("seed")] in ("", "-1") and seed.isdecimal()
    return [seed if drawn and name == "seed" else value for name, value in zip(names, values, strict=False)] + [values[-1]]


def _names(loras: str) -> list[str]:
    return [str(lora.get("name", "")) for lora in _listed(loras)]


def _listed(loras: str) -> list[dict[str, Any]]:
    try:
        found = json.loads(loras or "[]")
    except (ValueError, RecursionError):
        return []
    return [lora for lora in found if isinstance(lora, Mapping)] if isinstance(found, list) else []


def _number(event: gr.EventData) -> int:
    page = text(event, "page")
    return int(page) if page.isdecimal() and len(page) < 8 else 0
