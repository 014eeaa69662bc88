"""A sweep of a border against single runs of the same recipes, both without the decoding of pictures, in turns."""

import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from core import Pipeline
from core.events import ImageDone
from core.recipe import Recipe
from core.sweep import axis, variants

STEPS = 20
SWITCH = {
    "stepwise": 1, "prompt": "a red apple on a white background", "steps": STEPS, "sampler": "euler", "cfg": 5.0,
    "segments": [{"end": 10}, {"end": STEPS, "prompt": "a red rabbit on a white background"}],
}  # fmt: skip


def sweep(models: Path, model_id: str, rounds: int, data: Path) -> dict[str, float]:
    """Median ratio of CPU time, and the forward passes of both."""
    recipes = [one.recipe for one in variants({**SWITCH, "model": model_id}, [axis(f"segments.0.end=0:{STEPS}")])]
    loading = Pipeline(models=models, device="cpu", data=data)
    loading.generate(recipes[0])  # imports, and the first run's own costs
    pairs: list[tuple[tuple[float, int], tuple[float, int]]] = []
    for turn in range(rounds):
        tree, single = ready(models, data, recipes[0]), ready(models, data, recipes[0], trajectory_bytes=0)
        order = (tree, single) if turn % 2 else (single, tree)
        took = {id(pipe): denoised(pipe, recipes) for pipe in order}
        pairs.append((took[id(tree)], took[id(single)]))
    return {
        f"denoising time, sweep of {len(recipes)} / single runs": statistics.median(a[0] / b[0] for a, b in pairs),
        "forward passes of the sweep": pairs[0][0][1],
        "forward passes of single runs": pairs[0][1][1],
        "seconds of CPU, sweep": statistics.median(a[0] for a, _ in pairs),
    }


def ready(models: Path, data: Path, recipe: Recipe, **options: Any) -> Pipeline:
    """A pipeline whose model is loaded and whose prompts are encoded, with nothing kept of the run that did it."""
    pipe = Pipeline(models=models, device="cpu", data=data, **options)
    pipe.generate(recipe.model_copy(update={"seed": recipe.seed + 1}))
    model: Any = pipe._main
    model.decode = lambda latent, tiled=False: torch.zeros(1, 3, 8, 8)  # the decode is not part of it
    return pipe


def denoised(pipe: Pipeline, recipes: Sequence[Recipe]) -> tuple[float, int]:
    """Seconds of this process's CPU, and forward passes, for all of these recipes."""
    began, calls = time.process_time(), 0
    for recipe in recipes:
        calls += sum(event.stats.model_calls for event in pipe.run(recipe) if isinstance(event, ImageDone))
    return time.process_time() - began, calls
