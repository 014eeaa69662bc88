"""Sweeps in the browser: what is asked for, what it costs, how its pictures stand, and what can be saved of it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gradio as gr

from core.errors import RecipeError, Refused, UserError
from core.images import files, sheets
from core.images.compare import difference, difference_map
from core.images.files import opened
from core.images.gallery import Item
from core.images.pixels import encoded
from core.jobs import JobView, Work
from core.recipe import SEEDS, Recipe, Segment
from core.sweep import Axis, axis, caption
from ui import session, texts, views
from ui.bindings import Binding, pack
from ui.context import Context
from ui.events import text
from ui.served import Served
from ui.texts import Texts

MOST_AXES = 3
MOST_VALUES = 256
SHEETS = ("webp", "gif", "mp4", "png")
GAIN = 4  # a difference map is brightened, or small changes could not be seen


# --- what is asked for ---------------------------------------------------------------------------------------------------


def read_axes(asked: str) -> list[Axis]:
    """The axes that the page sent: {"axes": [{"path", "values"}]}, values a text such as 1:8:0.5 or a list. Raises RecipeError."""
    try:
        found = json.loads(asked)["axes"]
        rows = [(row["path"], row["values"]) for row in found[:MOST_AXES]]
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        raise RecipeError("The sweep cannot be read: choose its fields again.") from error
    return [_axis(path, values) for path, values in rows]


def _axis(path: object, values: object) -> Axis:
    if isinstance(path, str) and isinstance(values, str):
        return axis(f"{path}={'|'.join(part.strip() for part in values.replace(',', '|').split('|'))}")
    if isinstance(path, str) and isinstance(values, list) and values and all(isinstance(one, str) for one in values):
        return Axis(path=tuple(path.split(".")), values=tuple(values[:MOST_VALUES]))
    raise RecipeError("Choose at least one value for each field of the sweep.")


def loosened(recipe: Recipe, axes: Sequence[Axis]) -> Recipe:
    """The recipe with borders that can be moved: a segment that starts where the swept one ends follows it."""
    segments = list(recipe.segments)
    for one in axes:
        match one.path:
            case ("segments", number, "end") if number.isdecimal() and int(number) + 1 < len(segments):
                here, after = segments[int(number)], segments[int(number) + 1]
                if after.start is not None and after.start == here.end:
                    segments[int(number) + 1] = after.model_copy(update={"start": None})
            case _:
                pass
    return recipe.model_copy(update={"segments": tuple(segments)})


# --- how it stands -------------------------------------------------------------------------------------------------------


def result(view: JobView, context: Context, served: Served, words: Texts) -> views.Value:
    """A sweep as the page shows it: its axes, and a cell for every picture in the order of making."""
    axes = [
        {"path": one.name, "values": [str(value) for value in one.values]} for one in view.work.axes
    ]  # fmt: skip
    batch = max(recipe.batch for recipe in view.work.recipes)
    if batch > 1:
        axes.append({"path": "batch", "values": [str((view.recipe.seed + k) % SEEDS) for k in range(batch)]})
    return {
        "id": view.id, "state": view.state, "now": view.image if view.phase in ("sampling", "decoding") else -1, "axes": axes,
        "cells": [_cell(view, image, place, context, served) for image, place in _places(view.work, batch)],
        "text": spent(view, words), "pair": is_pair(view.work),
    }  # fmt: skip


def is_pair(work: Work) -> bool:
    """Whether it is one picture without its LoRAs and one with them, as the LoRA tab files it."""
    match work.axes, work.recipe.segments:
        case (Axis(path=("segments", "0", "end"), values=(_, 0)),), (Segment(loras=()), last):
            return last == Segment()
        case _:
            return False


def _places(work: Work, batch: int) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Every picture of the job and its place; a batch is one more axis."""
    for variant, first in zip(work.variants, work.firsts, strict=False):
        for image in range(variant.recipe.batch):
            yield first + image, (*variant.place, image) if batch > 1 else variant.place


def _cell(view: JobView, image: int, place: tuple[int, ...], context: Context, served: Served) -> views.Value:
    item = view.made.get(image)
    if item is not None:
        thumb = served.url(context.gallery.thumbnail(item))
        return {"place": place, "thumb": thumb, **views.picture(item, served)}
    preview = view.previews[image] if image < len(view.previews) else b""
    recipe = view.resolved or view.recipe
    return {
        "place": place, "id": "", "kind": "preview" if preview else "wait", "src": views.jpeg(preview), "thumb": views.jpeg(preview),
        "name": "", "seed": "", "width": recipe.width or 1, "height": recipe.height or 1, "recipe": "",
    }  # fmt: skip


def spent(view: JobView, words: Texts) -> str:
    """What it took, against what single runs would have taken."""
    if view.cost is None or not view.finished:
        return ""
    values = {"made": len(view.made), "images": view.images, "ran": view.ran, "alone": view.cost.alone}
    whole = words("sweep.spent" if view.state == "done" else "sweep.spent.part", **values)
    return whole if view.seconds is None else f"{whole} {words('run.done', seconds=views.short(view.seconds))}."


def captions(view: JobView) -> Mapping[sheets.Place, str]:
    batch = max(recipe.batch for recipe in view.work.recipes)
    variants = {variant.place: variant for variant in view.work.variants}
    return {
        place: caption(variants[place[: len(view.work.axes)]].values) for _, place in _places(view.work, batch)
    }  # fmt: skip


# --- handlers ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Sweeping:
    """Handlers of the panel that asks for a sweep and of the one that shows it."""

    context: Context
    served: Served
    table: Sequence[Binding]  # of the form whose recipe is swept

    def look(self, request: gr.Request, asked: str, *values: Any) -> dict[str, Any]:
        """What the sweep would cost, or why it cannot be made."""
        words = self._words(request)
        try:
            axes = read_axes(asked)
            work = Work(recipe=loosened(pack(values, self.table), axes), axes=tuple(axes))
            cost = self.context.pipe.cost(work.recipes)
            self.context.limits.admit(work, cost)
        except UserError as error:
            return gr.update(view={"cost": "", "error": words.error(error)})
        said = words("sweep.cost", images=work.images, steps=cost.steps, alone=cost.alone)
        return gr.update(view={"cost": said, "error": ""})

    def submit(self, request: gr.Request, kept: Any, asked: str, *values: Any) -> tuple[views.Value, str]:
        """Files the sweep. What is wrong with it is said beside Generate."""
        words = self._words(request)
        try:
            axes = read_axes(asked)
            recipe = loosened(pack(values, self.table), axes)
            id = self.context.jobs.submit(recipe, session.owner(kept, request), axes)
            return views.bar(self.context.jobs.get(id), words), id
        except UserError as error:
            return views.said(words("run.failed"), state="failed", error=words.error(error)), ""

    def compare(self, kept: Any, event: gr.EventData, request: gr.Request) -> dict[str, Any]:
        """Two pictures, where they differ, and by how much."""
        words, sees = self._words(request), self.context.sees(session.owner(kept, request))
        names = {name: text(event, name) for name in ("a", "b")}
        try:
            a, b = (_pixels(self.context.gallery.get(id, sees)) for id in names.values())
            found = difference(a, b)
        except UserError as error:
            return gr.update(compared={**names, "error": words.error(error)})
        said = words(
            "sweep.difference", rms=f"{found.rms:.1%}", most=f"{found.most:.0%}", changed=f"{found.changed:.0%}"
        )
        shown = encoded(difference_map(a, b, GAIN), "JPEG", quality=90)
        told = {**names, "src": views.jpeg(shown), "text": said, "rms": round(found.rms, 6), "error": ""}
        return gr.update(compared=told)

    def save(self, kept: Any, event: gr.EventData, request: gr.Request) -> dict[str, Any]:
        """The pictures so far as one file: an animation, or a contact sheet."""
        form = text(event, "form")
        try:
            if form not in SHEETS:
                raise RecipeError("{name} is no animation: let its name end in .webp, .gif or .mp4.", name=form)
            view = self._mine(text(event, "job"), session.owner(kept, request))
            return gr.update(saved={"src": self._sheet(view, form), "name": f"sweep.{form}", "error": ""})
        except UserError as error:
            return gr.update(saved={"error": self._words(request).error(error)})

    def _mine(self, id: str, owner: str) -> JobView:
        view = self.context.jobs.get(id)
        if view.owner != owner:
            raise Refused("There is no such job: it finished long ago, or was never filed here.")
        return view

    def _sheet(self, view: JobView, form: str) -> str:
        batch = max(recipe.batch for recipe in view.work.recipes)
        places = {place: view.made[image] for image, place in _places(view.work, batch) if image in view.made}
        if not places:
            raise RecipeError("There is no picture of this sweep yet: wait for the first one.")
        pictures = {place: _pixels(item) for place, item in places.items()}
        with TemporaryDirectory() as folder:
            path = Path(folder) / f"sweep.{form}"
            if form == "png":
                files.write(path, encoded(sheets.grid(pictures, captions(view)), "PNG"))
            else:
                sheets.animate(pictures, path, captions(view))
            return self.served.url(path)

    def _words(self, request: gr.Request) -> Texts:
        return texts.of(session.language(request, self.context.language))


def _pixels(item: Item) -> Any:
    with opened(item.path) as picture:
        return picture.convert("RGB")
