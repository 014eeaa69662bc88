"""The form of a tab: its controls, and what their values mean for each other."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from core.errors import UserError
from core.families import profile_of
from core.families.base import Defaults
from core.images.preview import jpeg_data
from core.models.library import MODEL_KINDS
from core.recipe import Recipe
from core.sampling import SAMPLERS
from ui.bindings import CARRIED, DENOISE, TEXT2IMAGE, Binding, carried_fields, unpack
from ui.components.fields import Choices
from ui.components.widget import Widget
from ui.context import Context
from ui.views import jpeg

Update = dict[str, Any]
PREVIEW_SIDE = 256  # pixels, of the input picture in the form
FROM_MODEL = ("steps", "cfg", "sampler", "scheduler", "clip_skip")  # controls that show the model's own value
GHOSTS = ("guidance", "shift")  # those that are empty for it, and show it as a ghost
MAY_LACK = (*GHOSTS, "clip_skip", "prediction")  # those that mean nothing to some models


@dataclass(frozen=True, kw_only=True)
class Form:
    """The controls of a tab by name, what is carried among them, and its drawers."""

    place: str  # where the browser keeps it
    table: Sequence[Binding]
    controls: Mapping[str, Widget]
    drawers: Mapping[str, gr.Accordion]

    @property
    def names(self) -> tuple[str, ...]:
        """Of the controls, in the order that `pack` takes."""
        return (*(binding.control for binding in self.table), CARRIED)

    @property
    def inputs(self) -> list[Widget]:
        return [self.controls[name] for name in self.names]


@dataclass(frozen=True, kw_only=True)
class Model:
    """What the form has to know of a model before it is loaded."""

    recipe: Recipe  # its own values for all that can be left out
    multiple: int = 8
    defaults: Defaults | None = None  # None: it is not here, so nothing is known of it

    @property
    def lacks(self) -> tuple[str, ...]:
        """The controls that mean nothing to it."""
        return () if self.defaults is None else tuple(name for name in MAY_LACK if getattr(self.recipe, name) is None)

    def own(self, values: Mapping[str, Any]) -> dict[str, float | None]:
        """What it takes where guidance and shift are left to it: some models' shift grows with the picture."""
        if self.defaults is None:
            return dict.fromkeys(GHOSTS)
        size = values.get("size") or {}
        width, height = size.get("width") or self.defaults.width, size.get("height") or self.defaults.height
        return {"guidance": self.defaults.guidance, "shift": self.defaults.shift_at(width, height)}


FALLBACK = Recipe(
    stepwise=1, width=512, height=512, steps=20, sampler="euler", scheduler="normal", cfg=7.0, clip_skip=1
)


def model_of(context: Context, name: str) -> Model:
    """Facts about a model; for one that cannot be used, a usual model's, for its error comes with the run."""
    try:
        profile = profile_of(context.pipe.library.model(name))
        resolved = context.pipe.resolve(Recipe(stepwise=1, model=name))
    except UserError:
        return Model(recipe=FALLBACK.model_copy(update={"model": name}))
    return Model(recipe=resolved, multiple=profile.family.multiple, defaults=profile.defaults)


def first_values(context: Context) -> dict[str, Any]:
    """A newcomer's form: the first model with its own values."""
    models = model_choices(context)
    model = model_of(context, models[0][0] if models else "demo")
    values = unpack(model.recipe.model_copy(update={"prompt": "", "negative": ""}))
    return _left(values, model) | {"seed": "-1", "prediction": "", "denoise": DENOISE, CARRIED: "{}"}


def complete(context: Context, recipe: Recipe, table: Sequence[Binding] = TEXT2IMAGE) -> dict[str, Any]:
    """A recipe as values of the form, what it leaves to the model filled in, so that the form shows it."""
    model = model_of(context, recipe.model)
    own, values = unpack(model.recipe, table), unpack(recipe, table)
    values[CARRIED] = _beyond(values[CARRIED], own[CARRIED])
    carried = carried_fields(values[CARRIED])
    for control in FROM_MODEL:
        if values.get(control, "shown elsewhere") in (None, "") and control not in carried:
            values[control] = own[control]
    values["size"] = {side: values["size"][side] or own["size"][side] for side in ("width", "height")}
    return _left(values, model)


def _left(values: Mapping[str, Any], model: Model) -> dict[str, Any]:
    """With guidance and shift left to the model where they are its own: so they follow the size and the model."""
    own = model.own(values)
    left = {name: None for name in GHOSTS if name in values and values[name] == own[name]}
    return dict(values) | left


def _beyond(carried: str, own: str) -> str:
    """What is carried, without what is the model's own anyway."""
    theirs = json.loads(own)
    beyond = {name: value for name, value in json.loads(carried).items() if theirs.get(name) != value}
    return json.dumps(beyond, ensure_ascii=False)


def updates(context: Context, form: Form, values: Mapping[str, Any], *, fill: bool = True) -> list[Update]:
    """All that hangs on the form's values, for all controls in order; with `fill` the values themselves too."""
    model = model_of(context, str(values["model"]))
    why = reasons(values, model)
    props: dict[str, Update] = {control: {"reason": why.get(control, "")} for control in form.names}
    props["model"]["choices"] = [list(choice) for choice in model_choices(context)]
    if "vae" in props:
        props["vae"]["choices"] = [list(choice) for choice in vae_choices(context)]
    props["size"] |= shape(model)
    if "enrich" in form.controls["prompt"].props:
        props["prompt"]["enrich"] = context.pipe.enricher.why_not(str(values["model"]))
    for name in props.keys() & set(GHOSTS):
        props[name]["ghost"] = ghost(model.own(values)[name])
    if fill:
        for control in form.names:
            props[control]["value"] = without(values, model)[control]
        if "init" in props:
            props["init"]["value"] = with_preview(context, values["init"])
    return [form.controls[control].changed(**props[control]) for control in form.names]


def without(values: Mapping[str, Any], model: Model) -> dict[str, Any]:
    """Without what means nothing to the model: a run with it would be refused, and its control is closed."""
    nothing = {"prediction": ""}
    return dict(values) | {name: nothing.get(name) for name in model.lacks if name in values}


def ghost(value: float | None) -> str:
    """A number as it stands in an empty control."""
    return "" if value is None else f"{value:.4g}"


def shape(model: Model) -> Update:
    width, height = model.recipe.width or 512, model.recipe.height or 512
    return {"multiple": model.multiple, "native": width * height}


def reasons(values: Mapping[str, Any], model: Model) -> dict[str, str]:
    """Controls that have no effect now, and the text that says why."""
    off: dict[str, str] = {field: "carried.reason" for field in carried_fields(values[CARRIED]) if field in values}
    sampler = SAMPLERS.get(values["sampler"])
    if values["cfg"] == 1 and "cfg" not in off and not (sampler and sampler.needs_negative):
        off["negative"] = "negative.reason"
    off |= {name: f"{name}.reason" for name in model.lacks if name in values}
    if values.get("init") is None:
        off["denoise"] = "denoise.reason"
    return off


def negative_is_off(context: Context, values: Mapping[str, Any]) -> bool:
    return "negative" in reasons(values, model_of(context, str(values["model"])))


def other_model(values: Mapping[str, Any], before: Model, now: Model) -> dict[str, Any]:
    """The form after another model was chosen: what stood as the old model likes it stands as the new one likes it."""
    old, new = unpack(before.recipe), unpack(now.recipe)
    own = (*FROM_MODEL, "size")
    touched = {control: values[control] for control in values if values[control] != old.get(control)}
    moved = {control: new[control] for control in own if control in values and control not in touched}
    return dict(values) | moved | {"model": now.recipe.model}


def with_preview(context: Context, value: Mapping[str, Any] | None) -> dict[str, str] | None:
    """An input picture with a small preview made from the stored one; without where it is not here."""
    if value is None:
        return None
    try:
        picture = context.pipe.inputs.open(value["image"])
    except UserError:
        return {"image": value["image"], "preview": ""}
    picture.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE))
    return {"image": value["image"], "preview": jpeg(jpeg_data(picture))}


def model_choices(context: Context) -> Sequence[tuple[str, str]]:
    """Usable models, the demo first."""
    entries = [entry for entry in context.pipe.library.scan() if entry.kind in MODEL_KINDS and entry.problem is None]
    entries.sort(key=lambda entry: (not entry.id.startswith("demo"), entry.id.casefold()))
    return [(entry.id, f"={entry.id}") for entry in entries]


def vae_choices(context: Context) -> Choices:
    entries = (entry for entry in context.pipe.library.scan() if entry.kind == "vae" and entry.problem is None)
    return [("", "vae.auto"), *((entry.id, f"={entry.id}") for entry in entries)]
