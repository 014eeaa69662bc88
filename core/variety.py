"""Blind starts: the first steps of a run see no prompt, so that a distilled model's seeds differ again. Recipes in, recipes out.

ComfyUI's way, two KSampler (Advanced): 0 to k with a zeroed conditioning and leftover noise, then k to the end without added noise.
Here that is one recipe with two segments, so it is cut, continued and opened like any other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from core.onward import go_on
from core.recipe import Border, ConditioningKind, InitTrajectory, Recipe, Segment

MOST = 3  # blind steps: of nine, more leave too few for the prompt
SHIFTS = (3.0, 5.0, 7.0)  # of the plot
GAIN = 1.05  # times the plain distance: less is chance
COST = 5.0  # points of adherence: blur and wrong subjects lie apart too, so a gain that costs more is none

Verdict = Literal["gain", "none", "cost"]


@dataclass(frozen=True, kw_only=True)
class Blind:
    """How a run starts: so many steps under something else than the prompt."""

    steps: int = 2
    conditioning: ConditioningKind = "zero"  # `prompt`: a second one
    prompt: str = ""  # that second one
    border: Border = "restart"  # ComfyUI's look; `continue` lets res_multistep extrapolate from the blind estimate

    def segments(self) -> tuple[Segment, ...]:
        if not self.steps:
            return ()
        prompt = self.prompt if self.conditioning == "prompt" else None
        return Segment(end=self.steps, conditioning=self.conditioning, prompt=prompt), Segment(border=self.border)


def blind_of(recipe: Recipe) -> Blind | None:
    """How a recipe starts, also a resolved one; None where its segments say anything else."""
    if not recipe.segments:
        return Blind(steps=0)
    if len(recipe.segments) != 2:
        return None
    first, second = recipe.segments
    if first.end is None or first.end > MOST:
        return None
    found = Blind(steps=first.end, conditioning=first.conditioning, prompt=first.prompt or "", border=second.border)
    return found if _bare(recipe, first, second) == found.segments() else None


def _bare(recipe: Recipe, first: Segment, second: Segment) -> tuple[Segment, Segment]:
    """Two segments without what they say though it is so anyway, as resolved ones do."""
    adds = not isinstance(recipe.init, InitTrajectory)
    for name, anyway in (("start", 0), ("add_noise", adds), ("leftover_noise", True)):
        first = _without(first, name, anyway)
    for name, anyway in (("start", first.end), ("end", recipe.steps), ("add_noise", False), ("leftover_noise", False)):
        second = _without(second, name, anyway)
    return first, second


def _without(segment: Segment, name: str, anyway: object) -> Segment:
    return segment.model_copy(update={name: None}) if getattr(segment, name) == anyway else segment


def started(recipe: Recipe, blind: Blind) -> Recipe:
    """The recipe with that start."""
    return recipe.model_copy(update={"segments": blind.segments()})


def rows(recipe: Recipe, samplers: Sequence[str] = (), plain: bool = True) -> tuple[Recipe, ...]:
    """What is made of the same seeds: the plain run above, the recipe's own start below; the same once more for each further sampler."""
    pair = (recipe.model_copy(update={"segments": ()}), recipe) if plain and recipe.segments else (recipe,)
    others = [one.model_copy(update={"sampler": name}) for name in samplers for one in pair]
    return (*pair, *others)


def grid(recipe: Recipe, blind: Blind, shifts: Sequence[float] = SHIFTS) -> tuple[Recipe, ...]:
    """The recipe at every number of blind steps and every shift: rows of equal steps, one after the other."""
    return tuple(
        started(recipe, Blind(steps=steps, conditioning=blind.conditioning, prompt=blind.prompt, border=blind.border))
        .model_copy(update={"shift": shift})
        for steps in range(MOST + 1) for shift in shifts
    )  # fmt: skip


def pinned(recipe: Recipe, key: str, start: int, prompts: Sequence[str]) -> tuple[Recipe, ...]:
    """Other prompts on the blind start of one picture, whose state is kept under `key`: none of its blind steps is run again."""
    blind = blind_of(recipe)
    own = recipe if blind is None else started(recipe, blind)  # without flags that spoke of a run from its beginning
    return tuple(go_on(own.model_copy(update={"prompt": prompt}), key, start) for prompt in prompts)


# --- what it brings --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Stand:
    """How the pictures of some seeds stand."""

    apart: float  # mean distance
    followed: float | None = None  # points of adherence, 0 to 100; None: nobody knows


def cost(plain: Stand, blind: Stand) -> float | None:
    """Points of adherence lost against the plain run; below 0: won."""
    known = plain.followed is not None and blind.followed is not None
    return round(plain.followed - blind.followed, 6) if known else None  # type: ignore[operator]


def verdict(plain: Stand, blind: Stand) -> Verdict:
    """Whether seeds differ more, and without paying for it. What nobody knows costs nothing."""
    if blind.apart < GAIN * plain.apart:
        return "none"
    return "cost" if (cost(plain, blind) or 0.0) > COST else "gain"


def best(stands: Sequence[Stand | None], plain: Stand | None) -> int | None:
    """Where seeds differ most of all that do not cost too much against the plain run; None while nothing is known."""
    fair = [
        k for k, one in enumerate(stands) if one is not None and (plain is None or (cost(plain, one) or 0.0) <= COST)
    ]
    return max(fair, key=lambda k: stands[k].apart, default=None)  # type: ignore[union-attr]
