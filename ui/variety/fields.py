"""The variety tab's form: a blind start as four controls, a pinned start as one, and what is the tab's own and in no recipe."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from core.errors import RecipeError
from core.recipe import Recipe, parse
from core.variety import Blind, blind_of
from ui.bindings import TEXT2IMAGE, Binding, Data, Misfit

RUN = ("model", "prompt", "negative", "size", "steps", "cfg", "shift", "seed", "sampler", "scheduler", "batch")
BLIND = ("blind", "conditioning", "second", "border")
LOCKED = ("model", "size", "steps", "shift", "seed", "scheduler", "batch", *BLIND)  # a pinned start has decided these
MOST_PROMPTS = 8  # tried on a pinned start at once


def _blind(control: str, read: Callable[[Blind], Any], write: Callable[[Any, list[Data]], None]) -> Binding:
    """One part of the blind start; all parts together are the recipe's two segments."""

    def get(data: Mapping[str, Any]) -> Any:
        found = blind_of(parse(dict(data)))
        if found is None:
            raise Misfit
        return read(found)

    def put(value: Any, data: Data) -> None:
        if "segments" in data:
            write(value, data["segments"])

    return Binding(control=control, fields=("segments",), read=get, write=put)


def _steps() -> Binding:
    reading = _blind("blind", lambda blind: blind.steps, lambda value, segments: None)

    def write(value: Any, data: Data) -> None:
        if value:
            steps = int(value) if float(value).is_integer() else value
            data["segments"] = [{"end": steps}, {}]

    return Binding(control="blind", fields=("segments",), read=reading.read, write=write)


def _conditioning(value: Any, segments: list[Data]) -> None:
    segments[0]["conditioning"] = value or "zero"


def _second(value: Any, segments: list[Data]) -> None:
    if segments[0].get("conditioning") == "prompt":
        segments[0]["prompt"] = value


def _border(value: Any, segments: list[Data]) -> None:
    segments[1]["border"] = value or "restart"


@dataclass(frozen=True, kw_only=True)
class Pin:
    """A blind start that other prompts are tried on."""

    trajectory: str
    start: int
    recipe: Recipe | None = None  # of the picture that it is from: made again beside the others, for nothing
    prompts: tuple[str, ...] = ()  # further ones


def read_pin(value: str) -> Pin | None:
    """What the pin's control holds; None where nothing is pinned. Raises RecipeError."""
    if not value:
        return None
    try:
        told = json.loads(value)
        recipe = parse(json.loads(told["recipe"])) if told.get("recipe") else None
        lines = [line.strip() for line in str(told.get("prompts", "")).splitlines()]
        pin = Pin(trajectory=told["trajectory"], start=told["start"], recipe=recipe)
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise RecipeError("The pinned start cannot be read: pin it again.") from error
    return Pin(**{**vars(pin), "prompts": tuple(dict.fromkeys(line for line in lines if line))[:MOST_PROMPTS]})


def _pin() -> Binding:
    def read(data: Mapping[str, Any]) -> Any:
        init = data.get("init")
        if init is None:
            return ""
        if "trajectory" not in init:
            raise Misfit
        return json.dumps(dict(init))

    def write(value: Any, data: Data) -> None:
        if (pin := read_pin(value or "")) is not None:
            data["init"] = {"trajectory": pin.trajectory, "start": pin.start}

    return Binding(control="pin", fields=("init",), read=read, write=write)


def _own(control: str, value: Any) -> Binding:
    """A control that no recipe knows."""
    return Binding(control=control, fields=(), read=lambda data: value, write=lambda value, data: None)


VARIETY: tuple[Binding, ...] = (
    *(binding for binding in TEXT2IMAGE if binding.control in RUN),
    _steps(),
    _blind("conditioning", lambda blind: blind.conditioning if blind.steps else "zero", _conditioning),
    _blind("second", lambda blind: blind.prompt, _second),
    _blind("border", lambda blind: blind.border, _border),
    _pin(),
    _own("beside", ""),  # another sampler on the same seeds
)
