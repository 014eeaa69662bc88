"""One recipe and axes: many recipes, in an order that shows the coarse picture first.

Run over one trajectory store they are a tree: what two of them have in common is run once. A border moved over 0 … 20 of 20 steps
costs 230 steps, not 420, in any order.
"""

import copy
import itertools
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from core.errors import RecipeError
from core.recipe import Recipe, assign, parse

MOST = 1024  # recipes in a sweep
NUMBER = r"-?\d{1,20}(?:\.\d{1,9})?"
SEEDS = frozenset({"seed", "noise_seed"})
RANGE = re.compile(rf"({NUMBER}):({NUMBER})(?::({NUMBER}))?")

Value = int | float | str


@dataclass(frozen=True, kw_only=True)
class Axis:
    """A field of the recipe by its dotted path, and the values that it takes."""

    path: tuple[str, ...]
    values: tuple[Value, ...]

    @property
    def name(self) -> str:
        return ".".join(self.path)


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One recipe of a sweep and its place in the grid."""

    place: tuple[int, ...]  # an index on each axis
    values: Mapping[str, Value]
    recipe: Recipe


def axis(text: str) -> Axis:
    """`segments.0.end=0:20`, `cfg=1:8:0.5` (the end included) or `sampler=euler|heun`. Raises RecipeError."""
    path, equals, values = text.partition("=")
    if not equals or not values or not all(path.split(".")):
        raise RecipeError(
            "{text} is no axis: write field=first:last, field=first:last:step or field=a|b|c.", text=text[:80]
        )
    names = tuple(path.split("."))
    found = _values(values)
    if names[-1] in SEEDS:
        # Drawn now, so that the sweep is the same whenever its recipes are made: also after a restart.
        found = tuple(secrets.randbits(32) if value == -1 else value for value in found)
    return Axis(path=names, values=found)


def _values(text: str) -> tuple[Value, ...]:
    found = RANGE.fullmatch(text)
    if found is None:
        return tuple(_value(part) for part in text.split("|"))
    first, last = Fraction(found[1]), Fraction(found[2])
    step = Fraction(found[3] or (1 if last >= first else -1))
    count = int((last - first) / step) + 1 if step else 0
    if not 1 <= count <= MOST:
        raise RecipeError("{text} has no values, or more than {most}: choose another step.", text=text[:80], most=MOST)
    # Fractions, so that 0:1:0.1 ends at 1 and holds 0.3, not 0.30000000000000004.
    steps = [first + k * step for k in range(count)]
    whole = all(part.isdecimal() or part[1:].isdecimal() for part in found.groups() if part)
    return tuple(int(value) if whole else float(value) for value in steps)


def _value(text: str) -> Value:
    if re.fullmatch(NUMBER, text):
        return float(text) if "." in text else int(text)
    return text


def variants(data: Mapping[str, Any], axes: Sequence[Axis]) -> list[Variant]:
    """Every recipe of the sweep, checked, the coarse ones first. Raises RecipeError about the first that is wrong."""
    count = 1
    for one in axes:
        count *= len(one.values)
    if not axes or count > MOST:
        raise RecipeError("A sweep of {count} pictures is too large: at most {most}.", count=count, most=MOST)
    orders = [coarse_first(len(one.values)) for one in axes]
    ranks = [{index: rank for rank, index in enumerate(order)} for order in orders]
    places = list(itertools.product(*orders))
    # The rank of a place is that of its finest axis, so that two axes fill the grid evenly.
    places.sort(key=lambda place: max(rank[index] for rank, index in zip(ranks, place, strict=True)))
    return [_variant(data, axes, place) for place in places]


def _variant(data: Mapping[str, Any], axes: Sequence[Axis], place: tuple[int, ...]) -> Variant:
    changed = copy.deepcopy(dict(data))
    values: dict[str, Value] = {}
    for one, index in zip(axes, place, strict=True):
        values[one.name] = one.values[index]
        assign(changed, one.path, one.values[index])
    return Variant(place=place, values=values, recipe=parse(changed))


def coarse_first(count: int) -> list[int]:
    """Both ends, the middle, the quarters, …: every index once."""
    order = dict.fromkeys([0, count - 1])
    pieces = 1
    while len(order) < count:
        pieces *= 2
        order |= dict.fromkeys(round(Fraction(k * (count - 1), pieces)) for k in range(pieces + 1))
    return list(order)


def caption(values: Mapping[str, Value]) -> str:
    """What stands under a picture: each axis by the last word of its path, by all of it where that would be ambiguous."""
    words = [name.rpartition(".")[2] for name in values]
    names = (word if words.count(word) == 1 else name for name, word in zip(values, words, strict=True))
    return ", ".join(f"{name} {value}" for name, value in zip(names, values.values(), strict=True))
