"""The one table between controls and recipe fields.

A control may fill several fields (size: width and height), and every field of a recipe that no control
shows is carried along as it is, so that opening a recipe and reading the form again gives the same recipe.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.errors import RecipeError
from core.recipe import Recipe, parse

Data = dict[str, Any]  # a recipe as JSON
CARRIED = "carried"
DENOISE = 0.6  # where an input picture comes without one


@dataclass(frozen=True, kw_only=True)
class Binding:
    """`read` takes its fields out of recipe data, or returns MISFIT; `write` puts a control's value in."""

    control: str  # name of the control in the form
    fields: tuple[str, ...]  # dotted
    read: Callable[[Mapping[str, Any]], Any]
    write: Callable[[Any, Data], None]


class Misfit(Exception):
    """The control cannot show this value: it is carried."""


def number(field: str, *, whole: bool = False) -> Binding:
    """A number, or None for the family's own. Whole numbers may come as 20.0 from the browser."""

    def read(data: Mapping[str, Any]) -> Any:
        value = data.get(field)
        if isinstance(value, Mapping):  # a schedule by steps
            raise Misfit
        return value

    def write(value: Any, data: Data) -> None:
        if value is not None:
            data[field] = _whole(value) if whole else float(value)

    return Binding(control=field, fields=(field,), read=read, write=write)


def text(field: str) -> Binding:
    return Binding(control=field, fields=(field,), read=lambda data: data.get(field, ""), write=_put(field))


def name(field: str) -> Binding:
    """A choice whose "" stands for null."""

    def write(value: Any, data: Data) -> None:
        if value:
            data[field] = value

    return Binding(control=field, fields=(field,), read=lambda data: data.get(field) or "", write=write)


def flag(field: str) -> Binding:
    return Binding(control=field, fields=(field,), read=lambda data: data.get(field, False), write=_put(field))


def _put(field: str) -> Callable[[Any, Data], None]:
    def write(value: Any, data: Data) -> None:
        data[field] = value

    return write


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _is_whole(value: str) -> bool:
    digits = value.removeprefix("-")
    return digits.isascii() and digits.isdigit() and len(digits) <= 40


def whole_number(value: Any) -> Any:
    """Text of digits as a number. Other text goes to the recipe as it is and is refused there, in a sentence."""
    return int(value) if isinstance(value, str) and _is_whole(value) else value


def _seed() -> Binding:
    def write(value: Any, data: Data) -> None:
        data["seed"] = whole_number(value) if value != "" else -1

    return Binding(control="seed", fields=("seed",), read=lambda data: str(data.get("seed", 0)), write=write)


def _size() -> Binding:
    def read(data: Mapping[str, Any]) -> Any:
        return {"width": data.get("width"), "height": data.get("height")}

    def write(value: Any, data: Data) -> None:
        data.update({side: pixels for side, pixels in value.items() if pixels is not None})

    return Binding(control="size", fields=("width", "height"), read=read, write=write)


def _init_picture() -> Binding:
    """`init.image`; the preview beside it is for the eye and is made anew from the stored input."""

    def read(data: Mapping[str, Any]) -> Any:
        init = data.get("init")
        if init is None:
            return None
        if "image" not in init:
            raise Misfit
        return {"image": init["image"], "preview": ""}

    def write(value: Any, data: Data) -> None:
        if value is not None:
            data.setdefault("init", {})["image"] = value["image"]

    return Binding(control="init", fields=("init.image",), read=read, write=write)


def _denoise() -> Binding:
    def read(data: Mapping[str, Any]) -> Any:
        return (data.get("init") or {}).get("denoise", DENOISE)

    def write(value: Any, data: Data) -> None:
        if "init" in data and "image" in data["init"] and value is not None:
            data["init"]["denoise"] = float(value)

    return Binding(control="denoise", fields=("init.denoise",), read=read, write=write)


TEXT2IMAGE: tuple[Binding, ...] = (
    name("model"),
    text("prompt"),
    text("negative"),
    _size(),
    number("steps", whole=True),
    number("cfg"),
    number("guidance"),
    number("shift"),
    _seed(),
    name("sampler"),
    name("scheduler"),
    name("noise"),
    name("prediction"),
    name("vae"),
    flag("vae_tiling"),
    number("clip_skip", whole=True),
    name("weighting"),
    number("batch", whole=True),
    name("batching"),
    _init_picture(),
    _denoise(),
)
CONTROLS: tuple[str, ...] = (*(binding.control for binding in TEXT2IMAGE), CARRIED)


def pack(values: Sequence[Any], table: Sequence[Binding] = TEXT2IMAGE) -> Recipe:
    """The form's values, in the table's order and what is carried last, as a checked recipe. Raises RecipeError."""
    data: Data = {"stepwise": 1}
    for binding, value in zip(table, values[:-1], strict=True):
        binding.write(value, data)
    return parse(data | _carried(values[-1]))


def unpack(recipe: Recipe, table: Sequence[Binding] = TEXT2IMAGE) -> dict[str, Any]:
    """A recipe as values of the form, by control."""
    data = recipe.model_dump(mode="json", exclude_none=True)
    values: dict[str, Any] = {}
    shown: set[str] = {"stepwise"}
    for binding in table:
        try:
            values[binding.control] = binding.read(data)
        except Misfit:
            values[binding.control] = None
        else:
            shown.update(field.split(".")[0] for field in binding.fields if _shows(binding, data))
    defaults = Recipe(stepwise=1).model_dump(mode="json", exclude_none=True)
    carried = {field: value for field, value in data.items() if field not in shown and defaults.get(field) != value}
    values[CARRIED] = json.dumps(carried, ensure_ascii=False)
    return values


def carried_fields(carried: str) -> frozenset[str]:
    """The fields that an opened recipe sets over the form."""
    try:
        return frozenset(_carried(carried))
    except RecipeError:
        return frozenset()


def _shows(binding: Binding, data: Mapping[str, Any]) -> bool:
    # Denoise alone does not show an init that continues a trajectory.
    return not (binding.control == "denoise" and "image" not in (data.get("init") or {"image": ""}))


def _carried(text: str) -> Data:
    try:
        data = json.loads(text)
    except ValueError:
        data = None
    if not isinstance(data, dict):
        raise RecipeError(
            "What was carried over from the opened picture cannot be read: remove it and open the picture again."
        )
    return data
