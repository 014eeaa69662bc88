"""What a blind start costs and brings: a prompt on a pinned start against a full run of nine steps, and how far seeds lie apart."""

import statistics
import time
from pathlib import Path

from bench.sweeping import denoised, ready
from core import Pipeline
from core.events import Event, StepDone
from core.images.structure import pyramid, spread
from core.recipe import Recipe
from core.variety import Blind, pinned, started

STEPS, BLIND, SEEDS = 9, 2, 8
PROMPTS = ("a red rabbit on a white background", "a big blue car on a yellow background", "a green tree")


def pin(models: Path, model_id: str, rounds: int, data: Path) -> dict[str, float]:
    """Median ratio of CPU time. All prompts are encoded before; pictures are not decoded."""
    whole = started(Recipe(stepwise=1, model=model_id, steps=STEPS, prompt=PROMPTS[0]), Blind(steps=BLIND))
    pipe = ready(models, data, whole)
    denoised(pipe, [whole.model_copy(update={"prompt": PROMPTS[1], "seed": rounds + 2})])  # both are encoded now
    ratios: list[float] = []
    calls = 0
    for seed in range(2, rounds + 2):  # `ready` has kept the steps of seed 1
        recipe = whole.model_copy(update={"seed": seed})
        began = time.process_time()
        told: list[Event] = list(pipe.run(recipe))
        full = time.process_time() - began
        blind = [event for event in told if isinstance(event, StepDone)][BLIND - 1]
        part, calls = denoised(pipe, pinned(recipe, blind.key, blind.start, PROMPTS[1:2]))
        ratios.append(part / full)
    return {
        "denoising time, pinned start / full run of nine": statistics.median(ratios),
        "forward passes on a pinned start": calls,
    }


def vary(models: Path, model_id: str, data: Path) -> dict[str, float]:
    """How far eight seeds lie apart, mean over prompts: plain, and by blind steps and shift against the plain run at shift 3."""
    pipe = Pipeline(models=models, device="cpu", data=data)

    def apart(steps: int, shift: float) -> float:
        recipes = [
            started(Recipe(stepwise=1, model=model_id, steps=STEPS, shift=shift, prompt=prompt), Blind(steps=steps))
            for prompt in PROMPTS
        ]
        return statistics.mean(_spread(pipe, recipe) for recipe in recipes)

    plain = apart(0, 3.0)
    cells = {(steps, shift): apart(steps, shift) for steps in (1, 2, 3) for shift in (3.0, 7.0)}
    return {"plain, shift 3": plain} | {
        f"{steps} blind, shift {shift:g}, times the plain": cell / plain for (steps, shift), cell in cells.items()
    }


def _spread(pipe: Pipeline, recipe: Recipe) -> float:
    images = [pipe.generate(recipe.model_copy(update={"seed": seed})).images[0] for seed in range(1, SEEDS + 1)]
    found = spread([pyramid(image) for image in images])
    assert found is not None
    return found
