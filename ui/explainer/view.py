"""The explainer as its page is told of it: strips with the pictures that are there, and what is in the making."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from core.errors import UserError
from core.images.gallery import Item
from core.jobs import JobView
from core.strips import Seen
from ui import form, views
from ui.context import Context
from ui.explainer.cards import CARDS
from ui.explainer.recipes import AXES, DEMO, STRIPS, TABS, TURBO, Cell, Chosen, Strip, grid, pairs, written
from ui.served import Served
from ui.texts import Texts

LIGHT = frozenset({DEMO, TURBO})  # models whose strips are made without being asked for
NOTHING: views.Value = {"cells": [], "at": 0, "source": "", "auto": False}


@dataclass(frozen=True, kw_only=True)
class Shown:
    """Puts strips into values of the page."""

    context: Context
    served: Served

    def chosen(self, name: str) -> Chosen:
        """A model that is here; the demo for any other name."""
        names = [known for known, _ in form.model_choices(self.context)]
        return Chosen(context=self.context, name=name if name in names else DEMO)

    def all(self, chosen: Chosen, words: Texts) -> views.Value:
        """Every card's strip, and the models and axes that can be chosen."""
        models = [name for name, _ in form.model_choices(self.context)]
        seen = Seen(self.context.pipe)
        cards = {card: self._told(chosen, STRIPS[card], words, seen) | {"tab": tab_of(card)} for card in CARDS}
        return {"model": chosen.name, "models": models, "cards": cards, "pairs": pairs()}

    def crossed(self, chosen: Chosen, x: str, y: str, words: Texts) -> views.Value:
        """Two settings at once."""
        told = self._told(chosen, lambda chosen: grid(chosen, x, y), words)
        axes = {name: [written(value) for value in AXES[name].values] for name in (x, y)}
        return told | {"x": x, "y": y, "columns": axes[x], "rows": axes[y], "tab": tab_of(y if y in TABS else x)}

    def _told(
        self, chosen: Chosen, make: Callable[[Chosen], Strip], words: Texts, seen: Seen | None = None
    ) -> views.Value:
        """A card's strip: why it is of another model, and what is to be known of it."""
        try:
            strip = make(chosen)
        except UserError as error:
            return {**NOTHING, "problem": words.error(error), "model": chosen.name, "why": "", "note": ""}
        return self.strip(strip, words, seen) | {
            "why": words(f"explain.why.{strip.why}", model=chosen.name, shown=strip.model) if strip.why else "",
            "note": words(f"explain.note.{strip.note}", **strip.values) if strip.note else "",
        }  # fmt: skip

    def strip(self, strip: Strip, words: Texts, seen: Seen | None = None) -> views.Value:
        """A strip with whatever is there of it; what is wrong with it is said in its place."""
        try:
            keys = self.context.strips.keys((cell.recipe for cell in strip.cells), seen)
            source = self._source(strip)
        except UserError as error:
            return {**NOTHING, "problem": words.error(error), "model": strip.model}
        cells = [self._cell(cell, key, words) for cell, key in zip(strip.cells, keys, strict=True)]
        light = all(cell.recipe.model in LIGHT for cell in strip.cells)
        return {"model": strip.model, "cells": cells, "at": strip.at, "problem": "", "source": source, "auto": light}

    def _cell(self, cell: Cell, key: str, words: Texts) -> views.Value:
        label = words(cell.key, value=cell.text) if cell.key else cell.text
        return {"key": key, "label": label, **self.picture(self.context.strips.find(key))}

    def picture(self, item: Item | None) -> views.Value:
        """A finished picture and what it took; nothing for one that is not there."""
        if item is None:
            return {"src": "", "thumb": "", "width": 1, "height": 1, "seconds": "", "calls": ""}
        told = item.made_with
        alone = told.get("reused_steps") == "0"  # what it shared with others it did not take
        return {
            "src": self.served.url(item.path), "thumb": self.served.url(self.context.strips.thumbnail(item)),
            "width": item.width, "height": item.height, "calls": told.get("model_calls", "") if alone else "",
            "seconds": views.short(float(told["seconds"])) if alone and "seconds" in told else "",
        }  # fmt: skip

    def news(self, view: JobView, keys: Sequence[str]) -> Mapping[str, views.Value]:
        """The pictures of a job by key: finished ones, and the one in the making."""
        found = {item.id: {**self.picture(item), "preview": ""} for item in view.made.values()}
        for image, preview in enumerate(view.previews):
            if preview and image not in view.made:
                found[keys[image]] = {**self.picture(None), "preview": views.jpeg(preview)}
        return found

    def _source(self, strip: Strip) -> str:
        """The picture that a strip starts from."""
        if not strip.source:
            return ""
        shown = form.with_preview(self.context, {"image": strip.source})
        return "" if shown is None else shown["preview"]


def tab_of(card: str) -> str:
    return TABS.get(card, "text2image")
