"""Our run against diffusers' own pipeline: the same weights, sigmas, steps, start and prompts, in turns.

Both start with encoded prompts in their cache and end with the latent, so that what is compared is the loop.
"""

import statistics
from pathlib import Path
from typing import Any

import torch

from bench.stopwatch import Timing, measure
from core import Pipeline
from core.events import ImageDone
from core.plan import compile_plan, resolve
from core.recipe import Recipe
from core.sampling import starting_noise

STEPS = 20
CFG = 5.0
RECIPE = {
    "prompt": "a red rabbit on a blue background",
    "sampler": "euler",
    "scheduler": "simple",
    "steps": STEPS,
    "cfg": CFG,
}


def oracle(model: Any) -> Any:
    """diffusers' pipeline over the very modules that our model holds."""
    from diffusers import EulerDiscreteScheduler, StableDiffusionPipeline

    scheduler = EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", timestep_spacing="leading"
    )
    encoder = model.encoders[0]
    pipe = StableDiffusionPipeline(
        vae=model._vae, text_encoder=encoder.model, tokenizer=encoder.tokenizer, unet=model._net, scheduler=scheduler,
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    pipe.set_progress_bar_config(disable=True)
    return pipe


def compare(models: Path, model_id: str, rounds: int, data: Path, **size: int) -> dict[str, float]:
    """Median ratio of total times, milliseconds a step around the forwards, and how far the latents lie apart."""
    ours = Pipeline(models=models, device="cpu", trajectory_bytes=0, data=data)
    recipe = Recipe(stepwise=1, model=model_id, **RECIPE, **size)
    first = ours.generate(recipe)
    assert ours._main is not None
    model: Any = ours._main
    step = compile_plan(resolve(recipe, model.family, model.defaults, model.prediction), model.family).steps[0]
    pipe = oracle(model)
    positive, negative = (pipe.encode_prompt(text, "cpu", 1, False)[0] for text in (recipe.prompt, recipe.negative))
    # With "leading" diffusers scales the start by sqrt(1 + sigma^2), as we do.
    noise = starting_noise(recipe.seed, tuple(first.latents.shape))

    def theirs() -> Any:
        pipe.scheduler.is_scale_input_called = False
        return pipe(
            prompt_embeds=positive, negative_prompt_embeds=negative, latents=noise.clone(), guidance_scale=CFG,
            num_inference_steps=STEPS, sigmas=list(step.leg.sigmas), output_type="latent", **size,
        ).images  # fmt: skip

    def loop() -> None:
        for event in ours.run(recipe):
            assert not isinstance(event, ImageDone) or event.stats.model_calls == STEPS

    apart = float((theirs() - first.latents).abs().max())
    model.decode = lambda latent, tiled=False: torch.zeros(1, 3, 8, 8)  # the decode is not part of the loop
    pairs: list[tuple[Timing, Timing]] = []
    for turn in range(rounds):
        order = (loop, theirs) if turn % 2 else (theirs, loop)
        timings = {run: measure(run, model._net) for run in order}
        pairs.append((timings[loop], timings[theirs]))
    return {
        "total time, ours / diffusers": statistics.median(a.total / b.total for a, b in pairs),
        "ms a step around the forwards, ours": statistics.median(a.around_a_step(STEPS) for a, _ in pairs),
        "ms a step around the forwards, diffusers": statistics.median(b.around_a_step(STEPS) for _, b in pairs),
        "seconds, ours": statistics.median(a.total for a, _ in pairs),
        "largest difference of the latents": apart,
    }
