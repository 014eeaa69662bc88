"""A run step by step: the noisy latent, the estimate of the clean one, and where guidance goes, in pictures and lengths.

The steps are those of the trajectory store: a run that was made before is not made again. Only the two halves of guidance,
which no run keeps apart, are asked for anew, one forward pass a step.
"""

import math
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from core.denoise import Denoiser
from core.errors import Stopped
from core.events import Event, Known, Planned, StepDone
from core.images.pixels import to_images
from core.images.preview import jpeg_data
from core.pipeline import Pipeline, Wish
from core.plan import Step
from core.ready import Ready
from core.recipe import Recipe
from core.sampling.guidance import cfg as guide

CFGS = (0.0, 1.0, 3.0, 10.0)  # beside the run's own; at 0 stands the negative, at 1 the positive
DECODED = 32 * 32  # latent cells that are decoded, however long it takes: a preview of so few shows little
MOST = 12  # steps that are shown, of a longer run evenly spread ones
SIDE = 160  # pixels, the longer one of a picture


@dataclass(frozen=True, kw_only=True)
class Arrows:
    """Negative and positive in the plane that they span with the latent x, which is its origin. In sampler units.

    The first axis leads from the negative to the positive, so cfg moves along it: the result is (along + cfg * gap, across).
    """

    along: float  # of the negative
    across: float  # of all of them: how far their line passes by x
    gap: float  # between the two

    def length(self, cfg: float) -> float:
        """From x to the result."""
        return math.hypot(self.along + cfg * self.gap, self.across)


@dataclass(frozen=True, kw_only=True)
class Stand:
    """How a run stands before a step; after the last one, at its end. Pictures are JPEG."""

    step: int  # steps done
    sigma: float
    latent: bytes  # as the net sees it: x scaled to unit variance
    estimate: bytes = b""  # denoised from here; none at the end
    arrows: Arrows | None = None  # where there is a negative
    tries: tuple[tuple[float, bytes], ...] = ()  # cfg, and the result with it


@dataclass(frozen=True, kw_only=True)
class Trace:
    """A run, as far as it has been looked through."""

    recipe: Recipe  # resolved
    steps: int
    stands: tuple[Stand, ...] = ()
    whole: bool = False


def trace(pipe: Pipeline, recipe: Recipe, stop: Callable[[], Wish]) -> Iterator[Event | Trace]:
    """Runs the recipe's first image as far as it is not known, then looks through its steps. Raises UserError, Stopped."""
    recipe = recipe.model_copy(update={"batch": 1})
    keys = yield from _run(pipe, recipe, stop)
    ready = yield from pipe.ready(recipe)
    found = Trace(recipe=ready.plan.recipe, steps=len(ready.plan.steps))
    for stand in _stands(pipe, ready, keys):
        if stop() is not None:
            raise Stopped
        found = Trace(recipe=found.recipe, steps=found.steps, stands=(*found.stands, stand))
        yield found
    yield Trace(recipe=found.recipe, steps=found.steps, stands=found.stands, whole=True)


def _run(pipe: Pipeline, recipe: Recipe, stop: Callable[[], Wish]) -> Generator[Event, None, list[str]]:
    """The keys of its steps, in order."""
    keys: list[str] = []
    for event in pipe.run(recipe, stop):
        match event:
            case Planned():
                pass  # told again when its steps are looked through
            case Known():
                keys += event.keys
            case StepDone():
                if event.step > len(keys):
                    keys.append(event.key)
                yield event
            case _:
                yield event
    if stop() is not None:
        raise Stopped
    return keys


def _stands(pipe: Pipeline, ready: Ready, keys: Sequence[str]) -> Iterator[Stand]:
    denoiser = ready.denoiser(range(1), ready.latent())
    shown = spread(len(keys), MOST)
    x: Tensor | None = denoiser.start.x
    for number, (step, key) in enumerate(zip(ready.plan.steps, keys, strict=True)):
        after = pipe.trajectories.get(key)
        if number in shown and x is not None and after is not None and after.state.denoised is not None:
            yield _stand(pipe, ready, denoiser, step, number, x, after.state.denoised)
        x = None if after is None else after.state.x.to(denoiser.latent.device)
    if x is not None:
        (end,) = pictures(pipe, ready, [x])
        yield Stand(step=len(keys), sigma=0.0, latent=end)


def _stand(
    pipe: Pipeline, ready: Ready, denoiser: Denoiser, step: Step, number: int, x: Tensor, denoised: Tensor
) -> Stand:
    """Before a step: x is there, denoised what its first evaluation gave, with guidance."""
    shown = [step.leg.model_sampling.input(x, step.sigma), denoised.to(x.device)]
    arrows, others = None, list[float]()
    if step.needs_negative:
        negative, positive = denoiser.halves(step, x)
        arrows = arrows_of(x, negative, positive)
        others = [scale for scale in CFGS if scale != step.cfg]
        shown += [guide(positive, negative, scale) for scale in others]
    latent, estimate, *tries = pictures(pipe, ready, shown)
    own = [(step.cfg, estimate)] if arrows else []
    tried = tuple(sorted([*own, *zip(others, tries, strict=True)]))
    return Stand(step=number, sigma=step.sigma, latent=latent, estimate=estimate, arrows=arrows, tries=tried)


def pictures(pipe: Pipeline, ready: Ready, latents: Sequence[Tensor]) -> list[bytes]:
    """Latents [1, C, h, w] in sampler units as small JPEGs; decoded together, which takes a third of the time."""
    model = ready.model
    if latents[0][0, 0].numel() > DECODED or model.residency.level != "resident":
        return [jpeg_data(pipe.preview(latent), SIDE) for latent in latents]
    with torch.inference_mode():
        pixels = model.decode(model.latent_format.to_vae(torch.cat(list(latents))))
    return [jpeg_data(picture, SIDE) for picture in to_images(pixels)]


def arrows_of(x: Tensor, negative: Tensor, positive: Tensor) -> Arrows:
    """Three points lie in one plane, so nothing is lost; in float64, for far from x the gap is small beside the way there."""
    a, b = (negative - x).double().flatten(), (positive - x).double().flatten()
    gap = float(torch.linalg.vector_norm(b - a))
    if gap == 0:
        return Arrows(along=0.0, across=float(torch.linalg.vector_norm(a)), gap=0.0)
    direction = (b - a) / gap
    along = float(a @ direction)
    return Arrows(along=along, across=float(torch.linalg.vector_norm(a - along * direction)), gap=gap)


def spread(count: int, most: int) -> set[int]:
    """At most so many of 0 … count-1, evenly spread, the first and the last among them."""
    if count <= most:
        return set(range(count))
    return {round(k * (count - 1) / (most - 1)) for k in range(most)}
