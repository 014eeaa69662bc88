"""The split tab's form, and how a segment's fields stand in the inspector.

In the browser the timeline's value is {segments, chosen, edited}: `segments` is the recipe's own list as JSON text (a dict from
the browser could be taken for a file reference), with noise seeds as text, for a number of the browser ends at 2^53. `chosen` is
the segment that the inspector shows, `edited` the field that was just typed into there.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from core.errors import RecipeError
from core.recipe import Segment
from ui.bindings import TEXT2IMAGE, Binding, Data, whole_number

RUN = ("model", "prompt", "negative", "size", "steps", "cfg", "guidance", "shift", "seed", "sampler", "scheduler", "noise")

TEXTS = ("prompt", "negative", "noise_seed")
NUMBERS = ("start", "end", "cfg", "guidance", "steps", "shift", "clip_skip")
NAMES = ("sampler", "model", "scheduler", "weighting")
FLAGS = ("add_noise", "leftover_noise")
CHOICES: Mapping[str, str] = {"conditioning": "prompt", "border": "continue"}  # and what absent means
INSPECTED = (*TEXTS, *NUMBERS, *NAMES, *FLAGS, *CHOICES, "loras")


def segments_value(segments: Iterable[Segment], chosen: int = 0) -> dict[str, Any]:
    """The timeline's value for these segments."""
    return _value([segment.model_dump(mode="json", exclude_none=True) for segment in segments], chosen)


def _value(segments: list[Data], chosen: int) -> dict[str, Any]:
    plain = [
        {name: str(value) if name == "noise_seed" else value for name, value in segment.items() if _says(name, value)}
        for segment in segments
    ]
    return {"segments": json.dumps(plain, ensure_ascii=False), "chosen": chosen, "edited": ""}


def _says(name: str, value: object) -> bool:
    return CHOICES.get(name) != value


def read_segments(text: str) -> list[Data]:
    """The list that a timeline sent, noise seeds as numbers again. Raises RecipeError for what is none."""
    segments = _json(text, "The segments cannot be read: undo the last change, or open the preset again.")
    return [
        segment | {"noise_seed": whole_number(segment["noise_seed"])} if "noise_seed" in segment else segment
        for segment in segments
    ]


def _json(text: str, refusal: str) -> list[Data]:
    """A list of objects from JSON text. Raises RecipeError."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, list) or not all(isinstance(part, dict) for part in found):
        raise RecipeError(refusal)
    return found


def _segments() -> Binding:
    def read(data: Mapping[str, Any]) -> Any:
        return _value(list(data.get("segments", ())), 0)

    def write(value: Any, data: Data) -> None:
        if segments := read_segments(value["segments"]):
            data["segments"] = segments

    return Binding(control="segments", fields=("segments",), read=read, write=write)


def _loras() -> Binding:
    def read(data: Mapping[str, Any]) -> Any:
        return loras_text(data.get("loras", ()))

    def write(value: Any, data: Data) -> None:
        if value:
            data["loras"] = _json(value, "The LoRAs cannot be read: remove them and add them again.")

    return Binding(control="loras", fields=("loras",), read=read, write=write)


def loras_text(loras: Iterable[Any]) -> str:
    """A list of LoRAs as the control takes it."""
    return json.dumps(list(loras), ensure_ascii=False) if loras else ""


SPLIT: tuple[Binding, ...] = (*(binding for binding in TEXT2IMAGE if binding.control in RUN), _loras(), _segments())


def inspected(segment: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a segment as values of the inspector; what it leaves alone is empty."""
    values: dict[str, Any] = {name: segment.get(name) for name in NUMBERS}
    values |= {name: str(segment.get(name, "")) for name in (*TEXTS, *NAMES)}
    values |= {name: {True: "yes", False: "no"}.get(segment.get(name), "") for name in FLAGS}
    values |= {name: segment.get(name, absent) for name, absent in CHOICES.items()}
    values["loras"] = json.dumps(segment["loras"], ensure_ascii=False) if "loras" in segment else ""
    return values | ({"cfg": None} if isinstance(values["cfg"], Mapping) else {})
