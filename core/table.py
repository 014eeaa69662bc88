"""A run as a table with a row a step, for a spreadsheet: recipe -> rows -> recipe.

Columns: step, sigma (to read only), prompt, negative, cfg, sampler, and for each LoRA `lora NAME`, with `lora NAME:text` where the
text encoders get another strength. Steps are counted as schedules in a recipe count them, from 0 over the whole run.
"""

import csv
import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from types import MappingProxyType
from typing import Any

from pydantic import TypeAdapter, ValidationError

from core.errors import RecipeError
from core.plan import Plan, Step
from core.recipe import Cfg, Lora, Recipe, Segment, Strength, Text, at_step, parse
from core.sampling import SAMPLERS

TEXTS = ("prompt", "negative")
KNOWN = ("step", "sigma", *TEXTS, "cfg", "sampler")
LORA, OF_TEXT = "lora ", ":text"
FORMULA = ("=", "+", "-", "@")  # a spreadsheet would compute a text that begins so; ' before it says that it is text

NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?")
BOUNDS: Mapping[str, TypeAdapter[Any]] = MappingProxyType(
    {"cfg": TypeAdapter(Cfg), "strength": TypeAdapter(Strength), "text": TypeAdapter(Text)}
)

Row = Mapping[str, str | float]
"""The columns of one step; what is not there stays as it is in the recipe."""


# --- plan -> table ------------------------------------------------------------------------------------------------


def write(plan: Plan) -> str:
    """Tab-separated lines, the first one naming the columns."""
    rows = [_row(plan, step) for step in plan.steps]
    names = [*KNOWN, *dict.fromkeys(name for row in rows for name in row if name not in KNOWN)]
    out = io.StringIO()
    lines = csv.writer(out, delimiter="\t", lineterminator="\n")
    lines.writerow(names)
    lines.writerows([_cell(row.get(name, "")) for name in names] for row in rows)
    return out.getvalue()


def _row(plan: Plan, step: Step) -> dict[str, str | float]:
    """What the recipe says of a step."""
    recipe, own = plan.recipe, _segment(plan.recipe, step)
    return {
        "step": step.number,
        "sigma": float(f"{step.sigma:.6g}"),
        "prompt": recipe.prompt if own.prompt is None else own.prompt,
        "negative": recipe.negative if own.negative is None else own.negative,
        "cfg": step.cfg,
        "sampler": step.sampler,
        **_strengths(recipe, own, step.number),
    }


def _segment(recipe: Recipe, step: Step) -> Segment:
    return recipe.segments[step.segment] if recipe.segments else Segment()


def _strengths(recipe: Recipe, own: Segment, number: int) -> dict[str, float]:
    """Columns of the LoRAs that act at a step. One that is listed twice has no column."""
    listed = recipe.loras if own.loras is None else own.loras
    columns: dict[str, float] = {}
    for lora in listed:
        if sum(other.name == lora.name for other in listed) == 1:
            columns[f"{LORA}{lora.name}"] = at_step(lora.model, number)
            if lora.text != lora.model:
                columns[f"{LORA}{lora.name}{OF_TEXT}"] = at_step(lora.text, number)
    return columns


def _cell(value: str | float) -> str:
    if isinstance(value, str):
        return f"'{value}" if value.startswith(FORMULA) else value
    return repr(value).removesuffix(".0")


# --- table -> recipe ----------------------------------------------------------------------------------------------


def read(text: str, plan: Plan) -> Recipe:
    """The plan's recipe with what a table says of its steps: equal neighbours are one segment, numbers become schedules.

    The first line may name the columns, any of them in any order; without it they are those of `write`. With a column `step`
    a row holds until the next one. An empty text is no text, any other empty cell leaves things as they are. Raises
    RecipeError naming row and column.
    """
    names, lines = _columns(_lines(text), plan)
    rows = _by_step([(number, _row_of(number, cells, names)) for number, cells in lines], plan)
    recipe = plan.recipe
    if not recipe.segments:
        whole = Segment(start=0, end=plan.steps[-1].index + 1)
        parts = list(_parts(recipe, whole, plan.steps, rows))
        if len(parts) == 1:
            lifted = parts[0].model_dump(exclude_none=True, include={"prompt", "negative", "sampler", "cfg", "loras"})
            return parse(recipe.model_dump(exclude_none=True) | lifted)
    else:
        parts = list[Segment]()
        for k, own in enumerate(recipe.segments):
            steps = [step for step in plan.steps if step.segment == k]
            parts += _parts(recipe, own, steps, rows) if steps else [own]
    segments = [part.model_dump(exclude_none=True) for part in _merged(parts, recipe.segments)]
    return parse(recipe.model_dump(exclude_none=True) | {"segments": segments})


def _lines(text: str) -> list[tuple[int, list[str]]]:
    """Lines with anything in them, numbered from 1. Spreadsheets quote a cell that has a tab, a line or a quote in it."""
    plain = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    try:
        found = list(csv.reader(io.StringIO(plain, newline=""), delimiter="\t", strict=True))
    except csv.Error:  # quotes that are just quotes
        found = [line.split("\t") for line in plain.split("\n")]
    lines = [(number, [_plain(cell) for cell in line]) for number, line in enumerate(found, start=1) if any(line)]
    if not lines:
        raise RecipeError("The table is empty: paste a row for each step.")
    return lines


def _plain(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(FORMULA) else cell


def _columns(lines: list[tuple[int, list[str]]], plan: Plan) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The names of the columns, and the lines below them."""
    header = [cell.strip() for cell in lines[0][1]]
    if not {cell.casefold() for cell in header} & set(KNOWN):
        return next(csv.reader([write(plan).split("\n")[0]], delimiter="\t")), lines
    names = [name.casefold() if name.casefold() in KNOWN else name for name in header]
    while names and not names[-1]:
        names.pop()
    for k, name in enumerate(names):
        if name not in KNOWN and not name.startswith(LORA):
            raise RecipeError(
                "The table has an unknown column {column}: take {known}, or lora and a name.",
                column=repr(name[:80]), known=", ".join(KNOWN),
            )  # fmt: skip
        if name in names[:k]:
            raise RecipeError("The table has the column {column} twice: take one of them out.", column=repr(name[:80]))
    return names, lines[1:]


@dataclass(frozen=True)
class _Cell:
    """One cell of a pasted table, and where it stands."""

    row: int
    column: str
    text: str

    def within(self, kind: str, value: object) -> Any:
        """The value, if a recipe may have it there."""
        try:
            return BOUNDS[kind].validate_python(value)
        except ValidationError as error:
            raise RecipeError(
                "Row {row}, column {column}: {value} cannot stand there. It is too long, too small or too large.",
                row=self.row, column=self.column, value=repr(self.text[:40]),
            ) from error  # fmt: skip

    def number(self) -> float:
        """With a point or a comma."""
        text = self.text.strip(" \u00a0")
        if not NUMBER.fullmatch(text) or not math.isfinite(value := float(text.replace(",", "."))):
            raise RecipeError(
                "Row {row}, column {column}: {value} is no number.",
                row=self.row,
                column=self.column,
                value=repr(self.text[:40]),
            )
        return value

    def sampler(self) -> str:
        name = self.text.strip()
        if name not in SAMPLERS:
            raise RecipeError(
                "Row {row}, column {column}: there is no {value}, choose one of {choices}.",
                row=self.row, column=self.column, value=repr(name[:40]), choices=", ".join(SAMPLERS),
            )  # fmt: skip
        return name


def _row_of(number: int, cells: Sequence[str], names: Sequence[str]) -> Row:
    """A line as values by column."""
    if any(cell.strip() for cell in cells[len(names) :]):
        raise RecipeError(
            "Row {row} has {cells} cells and the table {columns} columns: take out what is too much.",
            row=number, cells=len(cells), columns=len(names),
        )  # fmt: skip
    row: dict[str, str | float] = {}
    for name, text in zip(names, [*cells, *[""] * len(names)], strict=False):
        cell = _Cell(number, name, text)
        if name in TEXTS:
            row[name] = cell.within("text", text)
        elif text.strip() and name == "sampler":
            row[name] = cell.sampler()
        elif text.strip() and name == "step":
            row[name] = cell.number()
        elif text.strip() and name != "sigma":
            row[name] = cell.within("cfg" if name == "cfg" else "strength", cell.number())
    return row


def _by_step(given: Sequence[tuple[int, Row]], plan: Plan) -> Mapping[int, Row]:
    """The row of each step of the run, by the step's number."""
    numbers = [step.number for step in plan.steps]
    if not any("step" in row for _, row in given):
        if len(given) != len(numbers):
            raise RecipeError(
                "The table has {rows} rows for {steps} steps: give each step a row, or add a column step.",
                rows=len(given), steps=len(numbers),
            )  # fmt: skip
        return {number: row for number, (_, row) in zip(numbers, given, strict=True)}
    named: dict[float, Row] = {}
    for line, row in given:
        step = row.get("step", -1)
        if step not in numbers:
            raise RecipeError(
                "Row {row}, column step: {value} is no step of this run, whose steps are {first} to {last}.",
                row=line, value=f"{step:g}" if "step" in row else "nothing", first=numbers[0], last=numbers[-1],
            )  # fmt: skip
        assert isinstance(step, float)
        if named and step <= max(named):
            raise RecipeError(
                "Row {row}, column step: {value} does not come after {before}: put the rows in order, each step once.",
                row=line, value=f"{step:g}", before=f"{max(named):g}",
            )  # fmt: skip
        named[step] = row
    return {number: named[max([s for s in named if s <= number], default=min(named))] for number in numbers}


def _parts(recipe: Recipe, own: Segment, steps: Sequence[Step], rows: Mapping[int, Row]) -> Iterator[Segment]:
    """A segment, cut where its texts or its sampler change."""
    assert own.end is not None  # resolved

    def kind(step: Step) -> tuple[str | float, ...]:
        row = rows[step.number]
        return tuple(row.get(name, _said(recipe, own, name)) for name in (*TEXTS, "sampler"))

    groups = [(values, list(group)) for values, group in groupby(steps, kind)]
    at = own.end - len(steps)  # place in the sigma table
    for k, (values, group) in enumerate(groups):
        inner = k + 1 < len(groups)
        place: dict[str, Any] = {"end": at + len(group) if inner else own.end}
        if k:
            place |= {"start": at, "border": "continue", "add_noise": False, "noise_seed": None,
                      "steps": None, "scheduler": None, "shift": None}  # fmt: skip
        if inner:
            place["leftover_noise"] = True
        for name, value in zip((*TEXTS, "sampler"), values, strict=True):
            if value != _said(recipe, own, name):
                place[name] = None if value == getattr(recipe, name) else value
        yield own.model_copy(update=place | _numbers(recipe, own, [step.number for step in group], rows))
        at += len(group)


def _said(recipe: Recipe, own: Segment, name: str) -> Any:
    """What the recipe has for a segment."""
    value = getattr(own, name)
    return getattr(recipe, name) if value is None else value


def _numbers(recipe: Recipe, own: Segment, numbers: Sequence[int], rows: Mapping[int, Row]) -> dict[str, Any]:
    """cfg and LoRAs of some steps, as far as the table changes them."""
    changed: dict[str, Any] = {}
    before = {n: at_step(_said(recipe, own, "cfg"), n) for n in numbers}
    cfg = {n: _float(rows[n].get("cfg", before[n])) for n in numbers}
    if cfg != before:
        changed["cfg"] = _schedule(cfg)
    listed: Sequence[Lora] = _said(recipe, own, "loras")
    written = (
        name.removeprefix(LORA).removesuffix(OF_TEXT) for n in numbers for name in rows[n] if name.startswith(LORA)
    )
    absent = [Lora(name=name, model=0.0, text=0.0) for name in dict.fromkeys(written)]
    everything = [*listed, *(lora for lora in absent if lora.name not in {other.name for other in listed})]
    loras = [_lora(lora, numbers, rows) for lora in everything]
    if any(new is not old for new, old in zip(loras, everything, strict=True)):
        changed["loras"] = tuple(lora for lora in loras if lora not in absent)
    return changed


def _lora(old: Lora, numbers: Sequence[int], rows: Mapping[int, Row]) -> Lora:
    """A LoRA with the strengths that the table gives it; one number stands for both, unless they differ already."""
    column = f"{LORA}{old.name}"
    before = ({n: at_step(old.model, n) for n in numbers}, {n: at_step(old.text, n) for n in numbers})
    model = {n: _float(rows[n].get(column, before[0][n])) for n in numbers}
    rest = model if old.model == old.text else before[1]
    text = {n: _float(rows[n].get(f"{column}{OF_TEXT}", rest[n])) for n in numbers}
    return old if (model, text) == before else Lora(name=old.name, model=_schedule(model), text=_schedule(text))


def _float(value: str | float) -> float:
    assert not isinstance(value, str)  # of a column of numbers
    return value


def _schedule(values: Mapping[int, float]) -> float | dict[int, float]:
    """Values by step as a recipe has them: one number, or those steps where it changes."""
    changes = [b for a, b in pairwise(values) if values[a] != values[b]]
    first = next(iter(values))
    return {n: values[n] for n in (first, *changes)} if changes else values[first]


def _merged(parts: Sequence[Segment], before: Sequence[Segment]) -> list[Segment]:
    """Without the borders that the table made idle; those that stood there already stay."""
    merged: list[Segment] = []
    for part in parts:
        last = merged[-1] if merged else None
        if last is not None and not (last in before and part in before) and _goes_on(last, part):
            merged[-1] = last.model_copy(update={"end": part.end, "leftover_noise": part.leftover_noise})
        else:
            merged.append(part)
    return merged


def _goes_on(last: Segment, part: Segment) -> bool:
    """Whether nothing changes from one segment to the next."""
    place = {"start", "end", "border", "add_noise", "noise_seed", "leftover_noise", "steps", "scheduler", "shift"}
    plain = (
        part.border == "continue" and not part.add_noise and last.leftover_noise is not False and last.end == part.start
    )
    return plain and last.model_dump(exclude=place) == part.model_dump(exclude=place)
