"""An edit of the last quarter of a run against that run whole, and what keeping runs on the disk costs a step; in turns."""

import statistics
import time
from pathlib import Path
from typing import Any

from bench.sweeping import STEPS, denoised, ready
from core import Pipeline
from core.recipe import Recipe

APPLE = {"stepwise": 1, "prompt": "a red apple on a white background", "steps": STEPS, "sampler": "euler", "cfg": 5.0}
EDIT = {**APPLE, "segments": [{"end": STEPS * 3 // 4}, {"prompt": "a red rabbit on a white background"}]}


def edit(models: Path, model_id: str, rounds: int, data: Path) -> dict[str, float]:
    """Median ratio of CPU time. Both prompts are encoded before; pictures are not decoded."""
    whole, edited = (Recipe(model=model_id, **recipe) for recipe in (APPLE, EDIT))
    pipe = ready(models, data, edited)
    ratios: list[float] = []
    calls = 0
    for seed in range(1, rounds + 1):
        full, _ = denoised(pipe, [whole.model_copy(update={"seed": seed})])
        part, calls = denoised(pipe, [edited.model_copy(update={"seed": seed})])
        ratios.append(part / full)
    return {
        "denoising time, edit of the last quarter / whole": statistics.median(ratios),
        "forward passes of the edit": calls,
    }


def keep(models: Path, model_id: str, rounds: int, data: Path) -> dict[str, float]:
    """Milliseconds of waiting that a run's thread has a step from handing its steps to the disk, and what they take there."""
    recipe = Recipe(model=model_id, **APPLE)
    pipe = ready(models, data, recipe, kept_bytes=2**30)
    assert pipe.kept is not None
    waited: list[float] = []
    put = pipe.kept.put

    def timed(key: str, step: Any) -> None:
        began = time.perf_counter()
        put(key, step)
        waited.append(time.perf_counter() - began)

    pipe.kept.put = timed
    for seed in range(1, rounds + 1):
        denoised(pipe, [recipe.model_copy(update={"seed": seed})])
    pipe.close()
    reopened = Pipeline(models=models, device="cpu", data=data, kept_bytes=2**30)
    assert reopened.kept is not None
    took, run = reopened.kept.nbytes, reopened.kept.runs(limit=1)[0]
    began = time.perf_counter()
    reopened.trajectories.longest([step.key for step in run.steps])
    found = time.perf_counter() - began
    reopened.close()
    return {
        "ms a step to hand it over": statistics.median(waited) * 1000,
        "KiB a step on the disk": took / 1024 / STEPS / (rounds + 1),
        "ms to find a run of 20 steps after a restart": found * 1000,
    }
