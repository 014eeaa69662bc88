"""A recipe in the making: the fields that were read, and a sentence for all that could not be carried over."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from core.errors import MetadataError, RecipeError
from core.note import Note
from core.recipe import Recipe, parse

MOST_NOTES = 60
VALUE_LETTERS = 100  # of foreign text in a sentence


@dataclass(frozen=True, kw_only=True)
class Imported:
    """What a file held."""

    recipe: Recipe
    notes: tuple[Note, ...] = ()
    made_with: Mapping[str, str] = field(default_factory=dict[str, str])  # of a picture of ours
    ours: bool = False


@dataclass
class Draft:
    """Filled in by the reader of a format."""

    fields: dict[str, Any] = field(default_factory=lambda: dict[str, Any](stepwise=1))
    notes: list[Note] = field(default_factory=list[Note])

    def set(self, **values: Any) -> None:
        """Fields of the recipe; None is left out."""
        self.fields |= {name: value for name, value in values.items() if value is not None}

    def say(self, template: str, **values: object) -> None:
        """A sentence about what is not carried over, once."""
        note = Note(template=template, values={name: shown(value) for name, value in values.items()})
        if note not in self.notes and len(self.notes) < MOST_NOTES:
            self.notes.append(note)

    def done(self, ours: bool = False) -> Imported:
        """The recipe, checked. Raises MetadataError."""
        try:
            return Imported(recipe=parse(self.fields), notes=tuple(self.notes), ours=ours)
        except RecipeError as error:
            raise MetadataError("What this file asks for cannot be a recipe. {why}", why=error) from error


def shown(value: object) -> object:
    """Foreign text as it may stand in a sentence: one line, not long. Numbers stay."""
    if isinstance(value, int | float) and abs(value) < 2**64:
        return value
    text = " ".join(str(value).encode("utf-8", "replace").decode().split())
    return text if len(text) <= VALUE_LETTERS else f"{text[:VALUE_LETTERS]}…"


def from_json(text: str) -> object:
    """Any JSON text; NaN and Infinity, which ComfyUI writes, are numbers that `finite` refuses. Raises ValueError."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def finite(value: object) -> float | None:
    """A number that is one, also as text; None: it is none."""
    if isinstance(value, str) and len(value) <= 40:
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < 1e18 and math.isfinite(value) else None


def whole(value: object) -> int | None:
    """A whole number of at most 20 digits, also as text, as seeds have them; None: it is none."""
    if isinstance(value, str) and len(value) <= 20 and value.strip().removeprefix("-").isdecimal():
        value = int(value)
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**20 else None
