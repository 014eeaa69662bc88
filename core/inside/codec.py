"""What a VAE loses: a picture through it and back, the difference, and how large it is."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps

from core.errors import RecipeError, Stopped
from core.events import Event, Loading
from core.families import vae_of
from core.images.pixels import encoded, to_images
from core.models import vae
from core.pipeline import Pipeline, Wish
from core.recipe import InitImage, Recipe

SIDE = 512  # pixels, the longer side at most: it is looked at, not kept
SEEN = 0.99  # of all differences that the amplified map shows without clipping
FACTORS = (1, 2, 3, 4, 5, 8, 10, 15, 20, 30, 50)  # that a map is amplified by
LEVELS = 255


@dataclass(frozen=True, kw_only=True)
class Loss:
    """One VAE's. Pictures are PNG, so that what is seen is the VAE's doing alone."""

    name: str  # of the VAE; "" is the model's own
    decoded: bytes
    difference: bytes  # absolute, times `factor`
    factor: int
    psnr: float  # dB, over all colours of all pixels; infinite where nothing is lost
    mean: float  # absolute difference, in levels of 255
    worst: int  # the same, the largest
    numbers: int  # of the latent
    of: int  # of the picture


@dataclass(frozen=True, kw_only=True)
class Losses:
    """A picture through one VAE after the other, as far as that has come."""

    original: bytes  # PNG
    width: int
    height: int
    losses: tuple[Loss, ...] = ()
    whole: bool = False


def losses(pipe: Pipeline, recipe: Recipe, stop: Callable[[], Wish]) -> Iterator[Event | Losses]:
    """The recipe's input picture through its model's own VAE, and through the recipe's other one where it names one.

    Only the VAEs are read. Raises UserError, Stopped.
    """
    if not isinstance(recipe.init, InitImage):
        raise RecipeError("There is no picture yet: choose one.")
    picture = pipe.inputs.open(recipe.init.image)
    entry = pipe.library.model(recipe.model)
    names = [None] if recipe.vae is None else [None, recipe.vae]
    found: Losses | None = None
    for name in names:
        yield Loading(what=name or recipe.model, share=0.0)
        if stop() is not None:
            raise Stopped
        coder: Any = vae_of(entry, None if name is None else pipe.library.vae(name)).to(pipe.device)
        fitted = fit(picture, vae.downscale(coder))
        found = found or Losses(original=encoded(fitted, "PNG"), width=fitted.width, height=fitted.height)
        loss = measured(coder, fitted, name or "")
        found = Losses(
            original=found.original, width=found.width, height=found.height, losses=(*found.losses, loss), whole=name is names[-1]
        )  # fmt: skip
        yield found


def fit(picture: Image.Image, cell: int) -> Image.Image:
    """At most SIDE a side, and whole latent cells; what sticks out is cut off evenly."""
    share = min(1.0, SIDE / max(picture.size))
    width, height = (max(cell, round(side * share) // cell * cell) for side in picture.size)
    return ImageOps.fit(picture.convert("RGB"), (width, height), Image.Resampling.LANCZOS)


@torch.inference_mode()
def measured(coder: Any, picture: Image.Image, name: str) -> Loss:
    """There and back, rounded to 256 levels as a picture is."""
    latent = vae.encode(coder, picture)
    back = to_images(vae.decode(coder, latent))[0]
    before, after = (np.asarray(one, np.int16) for one in (picture, back))
    difference = np.abs(after - before)
    factor = factor_of(difference)
    amplified = np.clip(difference * factor, 0, LEVELS).astype(np.uint8)
    return Loss(
        name=name, decoded=encoded(back, "PNG"), difference=encoded(Image.fromarray(amplified, "RGB"), "PNG"), factor=factor,
        psnr=psnr(difference), mean=float(difference.mean()), worst=int(difference.max()), numbers=latent.numel(), of=before.size,
    )  # fmt: skip


def psnr(difference: np.ndarray) -> float:
    """Peak signal to noise, in dB."""
    square = float(np.mean(np.square(difference, dtype=np.float64)))
    return math.inf if square == 0 else 10 * math.log10(LEVELS**2 / square)


def factor_of(difference: np.ndarray) -> int:
    """The largest factor that clips next to nothing."""
    high = float(np.quantile(difference, SEEN))
    return max(factor for factor in FACTORS if factor == 1 or factor * high <= LEVELS)
