"""Everything that fills the form: a reload, a preset, a picture, another model."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import gradio as gr

from core import importing
from core.errors import UnknownName, UserError
from core.images.gallery import Item
from core.loras import names_of
from core.models.catalogue import LORA_PAGES, offering
from core.recipe import Recipe, parse
from ui import form, session, texts, views
from ui.context import Context
from ui.events import text
from ui.making import Making
from ui.served import uploaded

Presets = Mapping[str, Recipe]
Updates = list[Any]
NOTHING: Mapping[str, str] = MappingProxyType({})
HELD = ("model", "prompt")  # always in sight: a person may be at them again before the server has answered


def read_presets(folder: Path) -> Presets:
    """Recipes by file name. Their titles are in ui/texts. Raises RecipeError for one that is no recipe."""
    files = sorted(folder.glob("*.json"))
    return MappingProxyType({file.stem: parse(json.loads(file.read_text(encoding="utf-8"))) for file in files})


def presets_of(presets: Presets, tab: str) -> list[str]:
    """The names of a tab's own: they begin with the tab's, text2image's with a number."""
    return [name for name in presets if tab == ("text2image" if name[:1].isdigit() else name.partition("-")[0])]


def lacking(context: Context, recipe: Recipe, words: texts.Texts) -> Iterator[str]:
    """A sentence for each file of a recipe that is not here: which, and where it is from."""
    library, root = context.pipe.library, "models" if context.guarded else str(context.pipe.library.root)
    if recipe.model not in {entry.id for entry in library.scan()}:
        offer = offering(recipe.model)
        key, title = ("put", "") if offer is None else ("offer", offer.title)
        yield words(f"lacks.model.{key}", file=recipe.model, title=title, folder=f"{root}/checkpoints")
    for name in names_of(recipe):
        try:
            context.pipe.loras.get(name)
        except UnknownName:
            page = LORA_PAGES.get(name, "")
            yield words("lacks.lora.page" if page else "lacks.lora.put", name=name, page=page, folder=f"{root}/loras")


class Opening:
    """Handlers whose outputs are all controls of the form, and then the line beside Generate."""

    def __init__(self, context: Context, controls: form.Form, presets: Presets, making: Making) -> None:
        self._context, self._form, self._presets, self._making = context, controls, presets, making

    def first(self) -> dict[str, Any]:
        """A newcomer's form."""
        return form.first_values(self._context)

    def restore(self, kept: Any, request: gr.Request) -> Updates:
        """A page that opens: what the browser kept, the latest pictures. Outputs: browser, form, bar, stage, drawers."""
        mine = session.kept(kept)
        values = self.first()
        before = mine[self._form.place]
        values |= {control: before[control] for control in self._form.names if control in before}
        stage = {"run": None, "history": self._making.history(session.owner(mine, request))}
        drawers = [gr.update(open=mine["drawers"].get(name) is True) for name in self._form.drawers]
        return [mine, *self._filled(values), views.said(self._ready(request)), stage, *drawers]

    def preset(self, event: gr.EventData, request: gr.Request) -> Updates:
        """One of ours, by name."""
        name = text(event, "name")
        if name not in self._presets:
            return self._skipped()
        words, recipe = self._words(request), self._presets[name]
        *filled, bar = self.opened(recipe, words(f"preset.{name.removesuffix('-sd15')}.title"), request)
        return [*filled, bar | {"note": words.sentences(lacking(self._context, recipe, words))}]

    def upload(self, event: gr.EventData, request: gr.Request) -> Updates:
        """The settings of a picture or a JSON file that was dropped or chosen, and what of them could not be carried over."""
        pipe = self._context.pipe
        try:
            shelf = importing.Shelf(pipe.library, pipe.loras, pipe.hashes)
            found = importing.read(uploaded(text(event, "path")), shelf)
        except UserError as error:
            return self.refused(error, request)
        *filled, bar = self.opened(found.recipe, found.recipe.prompt[:60], request, found.made_with)
        words = self._words(request)
        return [
            *filled,
            bar | {"note": words.sentences(words.template(note.template, note.values) for note in found.notes)},
        ]

    def item(self, kept: Any, event: gr.EventData, request: gr.Request) -> Updates:
        """The settings of a picture of the gallery."""
        try:
            item = self._item(kept, event, request)
            return self.opened(item.recipe, item.prompt[:60], request, item.made_with)
        except UserError as error:
            return self.refused(error, request)

    def as_input(self, kept: Any, event: gr.EventData, request: gr.Request) -> Updates:
        """A picture of the gallery becomes the one to start from. Outputs: the input, its denoise, its drawer, bar."""
        try:
            image = self._context.pipe.inputs.add(self._item(kept, event, request).path)
        except UserError as error:
            return [gr.skip(), gr.skip(), gr.skip(), self._said(error, request)]
        return [*self._input(image), gr.update(open=True), gr.skip()]

    def chosen_input(self, event: gr.EventData, request: gr.Request) -> Updates:
        """An uploaded picture becomes the one to start from. Outputs: the input, its denoise, bar."""
        try:
            image = self._context.pipe.inputs.add(uploaded(text(event, "path")))
        except UserError as error:
            return [gr.skip(), gr.skip(), self._said(error, request)]
        return [*self._input(image), gr.skip()]

    def other_model(self, before: str, *values: Any) -> Updates:
        """Another model was chosen. Outputs: the form without what is HELD, and the model's name for the next time."""
        now = dict(zip(self._form.names, values, strict=True))
        models = [form.model_of(self._context, name) for name in (before, now["model"])]
        filled = self._filled(form.other_model(now, *models))
        for name, update in zip(self._form.names, filled, strict=True):
            if name in HELD:
                del update["value"]
        return [*filled, now["model"]]

    def settle(self, *values: Any) -> Updates:
        """Which controls have no effect now. Outputs: the form, and the drawer of the negative."""
        now = dict(zip(self._form.names, values, strict=True))
        off = form.negative_is_off(self._context, now)
        drawer = gr.update(label=texts.label("drawer.negative.off" if off else "drawer.negative"))
        return [*form.updates(self._context, self._form, now, fill=False), drawer]

    def _ready(self, request: gr.Request) -> str:
        words, limits = self._words(request), self._context.limits
        if limits.pixels is None:
            return words("run.ready")
        most = round(limits.pixels / 1e6, 1)
        return f"{words('run.ready')} {words('run.limits', pixels=most, steps=limits.steps, batch=limits.batch)}"

    def _item(self, kept: Any, event: gr.EventData, request: gr.Request) -> Item:
        return self._context.gallery.get(text(event, "id"), self._context.sees(session.owner(kept, request)))

    def opened(self, recipe: Recipe, what: str, request: gr.Request, made_with: Mapping[str, str] = NOTHING) -> Updates:
        words, differs = self._words(request), ", ".join(self._context.pipe.differs(made_with))
        said = words("run.opened.differs", what=what, differs=differs) if differs else words("run.opened", what=what)
        return [*self._filled(form.complete(self._context, recipe, self._form.table)), views.said(said)]

    def _filled(self, values: Mapping[str, Any]) -> Updates:
        return form.updates(self._context, self._form, values)

    def _input(self, image: str) -> Updates:
        value = form.with_preview(self._context, {"image": image})
        controls = self._form.controls
        return [controls["init"].changed(value=value), controls["denoise"].changed(reason="")]

    def refused(self, error: UserError, request: gr.Request) -> Updates:
        return [*(gr.skip() for _ in self._form.names), self._said(error, request)]

    def _skipped(self) -> Updates:
        return [gr.skip() for _ in (*self._form.names, "bar")]

    def _said(self, error: UserError, request: gr.Request) -> views.Value:
        return views.said("", error=self._words(request).error(error))

    def _words(self, request: gr.Request) -> texts.Texts:
        return texts.of(session.language(request, self._context.language))
