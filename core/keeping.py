"""Between a run and what is kept of it: a step as it is put away, a run as it is listed, a step to go on from."""

from collections.abc import Sequence

import torch

from core.denoise import Denoiser
from core.errors import RecipeError
from core.families.base import LatentFormat
from core.kept import NewRun, RunStep
from core.plan import Step, alone, sigma_after
from core.recipe import InitTrajectory, Recipe
from core.sampling import SamplerState
from core.trajectory import KeptStep


def kept_step(denoiser: Denoiser, step: Step, state: SamplerState) -> KeptStep:
    """The state after a step, with all that a run with other settings must know to go on from it."""
    form, sigma = denoiser.model.latent_format, sigma_after(step)
    # Both ways out are linear: x * scale + shift.
    scale = float(step.leg.model_sampling.inverse_noise_scaling(sigma, torch.ones(1)))
    return KeptStep(state=state, sigma=sigma, form=repr(form), scale=scale / form.scale, shift=form.shift)


def new_run(denoiser: Denoiser, keys: Sequence[str]) -> NewRun:
    """A run as it is listed before its first step. Images that run together are one run, with the whole recipe."""
    plan, images, origin = denoiser.plan, denoiser.images, denoiser.origin
    init = plan.recipe.init
    steps = [
        RunStep(key=key, start=step.number + 1, sigma=step.sigma) for key, step in zip(keys, plan.steps, strict=True)
    ]
    before = None
    if origin is not None and isinstance(init, InitTrajectory):
        before = RunStep(key=origin.key, start=init.start, sigma=origin.kept.sigma)
    recipe = alone(plan.recipe, images[0]) if len(images) == 1 else plan.recipe
    return NewRun(recipe=recipe, steps=steps, origin=before)


def check_origin(kept: KeptStep, form: LatentFormat, recipe: Recipe) -> None:
    """Raises RecipeError where a resolved recipe cannot go on from a kept step."""
    assert recipe.width and recipe.height  # resolved
    if kept.form != repr(form):
        raise RecipeError(
            "The kept step is of a model whose latents differ from those of {model}: go on with its own model.",
            model=recipe.model,
        )
    together, _, height, width = kept.state.x.shape
    if (width * form.downscale, height * form.downscale) != (recipe.width, recipe.height):
        raise RecipeError(
            "The kept step is of a picture of {width} x {height} pixels: give the recipe that size.",
            width=width * form.downscale, height=height * form.downscale,
        )  # fmt: skip
    running = recipe.batch if recipe.batching == "fast" else 1
    if together != running:
        raise RecipeError(
            "The kept step is of {together} pictures that ran together: set batch to {together} and batching to fast.",
            together=together,
        )
