"""A recipe's segments with their places in the run: start, end, border and sigma table made plain.

What turns a border into a restart is decided here, and said.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from core.errors import RecipeError
from core.families.base import Family
from core.note import Note
from core.recipe import InitImage, InitTrajectory, Recipe, Segment
from core.sampling import ModelSampling, make_sigmas

MOST_SCHEDULED_STEPS = 10_000  # int(steps / denoise) may explode; no schedule is made longer than this


@dataclass(frozen=True, kw_only=True)
class Table:
    """A whole sigma table, before a leg cuts its part out of it."""

    sigmas: Tensor
    model_sampling: ModelSampling

    @property
    def steps(self) -> int:
        return len(self.sigmas) - 1  # not always the number asked for: ddim_uniform may be longer, beta shorter


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """A segment with its place in the run known."""

    number: int
    segment: Segment
    start: int
    end: int
    restart: bool
    add_noise: bool
    leftover_noise: bool
    table: Table

    def resolved(self) -> Segment:
        """The segment with its flags written out; texts and numbers that come from the recipe stay away."""
        flags = {"start": self.start, "end": self.end, "border": "restart" if self.restart else "continue",
                 "add_noise": self.add_noise, "leftover_noise": self.leftover_noise}  # fmt: skip
        return self.segment.model_copy(update=flags)


def lay_out(recipe: Recipe, family: Family, notes: list[Note]) -> Iterator[Stretch]:
    """Segments with starts, ends and borders made plain; what turns a border into a restart is said in the notes."""
    segments = recipe.segments or (Segment(),)
    goes_on = isinstance(recipe.init, InitTrajectory)  # the first segment too has something before it
    table = None
    before, clean_before = 0, False
    for number, segment in enumerate(segments):
        start = before if segment.start is None else segment.start
        gap = start - before if number else 0
        reason = _restart_reason(segment, gap, clean_before) if number or goes_on else None
        restart = segment.border == "restart" or reason is not None
        if segment.border == "continue":
            notes += _border_notes(number, segment, reason)
        if table is None or restart:
            table = _table(recipe, family, number, segment)
        end = table.steps if segment.end is None else min(segment.end, table.steps)
        if segment.end is not None and segment.end < start:
            raise RecipeError("Segment {number} ends at step {end}, before it starts at {start}: move its end.",
                              number=number + 1, end=segment.end, start=start)  # fmt: skip
        last = number == len(segments) - 1
        leftover = not last if segment.leftover_noise is None else segment.leftover_noise
        first = number == 0 and not goes_on
        yield Stretch(
            number=number, segment=segment, start=start, end=end, restart=restart, table=table,
            add_noise=first if segment.add_noise is None else segment.add_noise, leftover_noise=leftover,
        )  # fmt: skip
        before, clean_before = end, not leftover and end < table.steps


def _restart_reason(segment: Segment, gap: int, clean_before: bool) -> str | None:
    if segment.add_noise:
        return "Segment {number} adds noise, so it restarts there as in ComfyUI."
    if clean_before:
        return "The noise is removed before segment {number}, so it restarts there as in ComfyUI."
    if gap > 0:
        return "Steps are left out before segment {number}, so it restarts there as in ComfyUI."
    if gap < 0:
        return "Segment {number} goes back over steps already done, so it restarts there as in ComfyUI."
    return None


def _border_notes(number: int, segment: Segment, reason: str | None) -> list[Note]:
    """What a segment that was asked to continue really does."""
    if reason:
        return [Note(template=reason, values={"number": number + 1})]
    if segment.steps or segment.scheduler or segment.shift:
        raise RecipeError(
            "Segment {number} has steps, a scheduler or a shift of its own: set its border to restart.",
            number=number + 1,
        )
    if number and segment.noise_seed is not None:
        return [
            Note(
                template="Segment {number} carries the noise on: its noise seed has no effect.",
                values={"number": number + 1},
            )
        ]
    return []


def _table(recipe: Recipe, family: Family, number: int, own: Segment) -> Table:
    """The sigma table of a leg that begins with this segment, made for its sampler."""
    steps, scheduler, sampler = (
        own.steps or recipe.steps,
        own.scheduler or recipe.scheduler,
        own.sampler or recipe.sampler,
    )
    assert steps and scheduler and sampler and recipe.width and recipe.height  # resolved
    model_sampling = family.model_sampling(recipe.prediction, own.shift or recipe.shift, recipe.width, recipe.height)
    denoise = recipe.init.denoise if isinstance(recipe.init, InitImage) and number == 0 else 1.0
    if denoise > 0.9999:  # ComfyUI's bound for "whole"
        return Table(sigmas=make_sigmas(scheduler, steps, model_sampling, sampler), model_sampling=model_sampling)
    scheduled = int(steps / denoise)
    if scheduled > MOST_SCHEDULED_STEPS:
        raise RecipeError("denoise {denoise} with {steps} steps is too little: raise it.", denoise=denoise, steps=steps)
    sigmas = make_sigmas(scheduler, scheduled, model_sampling, sampler)[-(steps + 1) :]
    return Table(sigmas=sigmas, model_sampling=model_sampling)
