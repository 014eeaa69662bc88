"""What recipes have in common, counted before anything is loaded, encoded or run.

Steps are named as `core.denoise` names them, but for what only a loaded model knows: prompts go in as they are read at the step,
not as they are encoded. So two steps that are told apart here may turn out the same, never the other way round.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache

from core.denoise import seeds, step_keys
from core.plan import Plan, Prompt, Step
from core.prompt.weights import chunks
from core.recipe import InitTrajectory
from core.trajectory import digest

NAMED_BY_KEY = frozenset({"number", "index", "leg", "segment", "positive", "negative", "cfg"})  # columns of a step


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Steps that some recipes take together, each counted for each of its images."""

    steps: int  # at most: what they share is run once
    alone: int  # as single runs


def cost(plans: Iterable[Plan]) -> Cost:
    """The cost of running these plans over one trajectory store that begins empty, in any order."""
    known: set[str] = set()
    steps = alone = 0
    read = cache(_read)
    for plan in plans:
        images = range(plan.recipe.batch)
        groups = [images] if plan.recipe.batching == "fast" else [images[k : k + 1] for k in images]
        for group in groups:
            keys = _keys(plan, group, read)
            steps += len(group) * len(set(keys) - known)
            alone += len(group) * len(keys)
            known |= set(keys)
    return Cost(steps=steps, alone=alone)


def _keys(plan: Plan, images: Sequence[int], read: Callable[[Prompt], object]) -> list[str]:
    recipe = plan.recipe
    what = (recipe.model, recipe.vae, recipe.loras)

    def content(step: Step) -> object:
        # Whatever columns a step has beside those that name themselves: models and LoRAs of a segment.
        columns = [getattr(step, field.name) for field in fields(step) if field.name not in NAMED_BY_KEY]
        negative = read(step.negative) if step.needs_negative else None
        return read(step.positive), negative, what, columns

    return step_keys(plan.steps, _start(plan, images), noise=recipe.noise, images=images, form=what, content=content)


def _start(plan: Plan, images: Sequence[int]) -> str:
    recipe, leg = plan.recipe, plan.steps[0].leg
    if isinstance(recipe.init, InitTrajectory):
        return recipe.init.trajectory
    noise = (seeds(leg, images), leg.sigmas[0], leg.model_sampling) if leg.add_noise else len(images)
    return digest("start", noise, recipe.width, recipe.height, recipe.init, recipe.model, recipe.vae)


def _read(prompt: Prompt) -> object:
    """What an encoder would be given: a prompt with its edits decided, and all that decides how it is read."""
    return chunks(prompt.text, prompt.weighting, prompt.choices), replace(prompt, text="", choices=())
