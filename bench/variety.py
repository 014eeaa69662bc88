"""What a blind start costs and brings: a prompt on a pinned start against a full run of nine steps, and how seeds stand."""

import statistics
import time
from pathlib import Path

from bench.sweeping import denoised, ready
from core import Pipeline
from core.adherence import Asked, Measures, followed
from core.events import Event, StepDone
from core.images.structure import pyramid, spread
from core.recipe import Recipe
from core.variety import Blind, Stand, pinned, started, verdict

STEPS, BLIND, SEEDS = 9, 2, 8
NOBODY = float("nan")  # points where nobody measures
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
    """How eight seeds stand, mean over prompts: how far apart, and whether they follow the prompt, by blind steps and shift.

    Distances against the plain run at shift 3. Last the best that costs no more than five points, 1.0 where there is none.
    """
    pipe, measures = Pipeline(models=models, device="cpu", data=data), Measures(models)

    def mean(steps: int, shift: float) -> Stand:
        recipes = [
            started(Recipe(stepwise=1, model=model_id, steps=STEPS, shift=shift, prompt=prompt), Blind(steps=steps))
            for prompt in PROMPTS
        ]
        stands = [stand(pipe, measures, recipe) for recipe in recipes]
        points = [one.followed for one in stands if one.followed is not None]
        followed = statistics.mean(points) if len(points) == len(stands) else None
        return Stand(apart=statistics.mean(one.apart for one in stands), followed=followed)

    plain = mean(0, 3.0)
    cells = {(steps, shift): mean(steps, shift) for steps in (1, 2, 3) for shift in (3.0, 7.0)}
    rows: dict[str, float] = {"plain, shift 3": plain.apart}
    rows["  points of adherence, plain"] = NOBODY if plain.followed is None else plain.followed
    for (steps, shift), cell in cells.items():
        name = f"{steps} blind, shift {shift:g}"
        rows[f"{name}, times the plain"] = cell.apart / plain.apart
        rows[f"  points of adherence, {name}"] = NOBODY if cell.followed is None else cell.followed
    fair = [cell.apart / plain.apart for cell in cells.values() if verdict(plain, cell) == "gain"]
    return rows | {"most, at five points at most": max(fair, default=1.0)}


def stand(pipe: Pipeline, measures: Measures, recipe: Recipe) -> Stand:
    """How eight seeds of a recipe stand."""
    made = [pipe.generate(recipe.model_copy(update={"seed": seed})).images[0] for seed in range(1, SEEDS + 1)]
    asked = Asked(prompt=recipe.prompt, model=recipe.model, width=made[0].width, height=made[0].height)
    measure, apart = measures.of(asked), spread([pyramid(image) for image in made])
    assert apart is not None
    readings = [] if isinstance(measure, str) else [measure.read(image, asked) for image in made]
    return Stand(apart=apart, followed=followed(readings))
