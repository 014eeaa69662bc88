"""Image k of a batch, and the same image alone: whether they are the same bits, found by running both, with no kept step."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from core.errors import Stopped
from core.events import Event
from core.images.pixels import to_images
from core.images.preview import jpeg_data
from core.pipeline import Pipeline, Wish
from core.plan import alone
from core.ready import Ready
from core.recipe import Recipe

BATCH = 3
STEPS = 8  # at most: enough for every bit to meet every other
SIDE = 256  # pixels, the longer one of a picture


@dataclass(frozen=True, kw_only=True)
class Run:
    """The same image made in some way. Pictures are JPEG."""

    way: str  # alone, exact or fast
    seed: int  # that the recipe names
    picture: bytes
    difference: float  # of the latent from the one made alone: its largest, in sampler units; 0.0 is the same bits


@dataclass(frozen=True, kw_only=True)
class Pair:
    """The last image of a batch in all ways, as far as they are run."""

    seed: int  # its own
    runs: tuple[Run, ...] = ()
    whole: bool = False


def pair(pipe: Pipeline, recipe: Recipe, stop: Callable[[], Wish]) -> Iterator[Event | Pair]:
    """The last of BATCH images: alone, in a batch image by image, and in a batch in one forward pass. Raises UserError, Stopped."""
    usual = pipe.resolve(recipe).steps or STEPS
    batch = recipe.model_copy(update={"batch": BATCH, "steps": min(usual, STEPS)})
    last = alone(batch, BATCH - 1)
    ways = (("alone", last, range(1)), ("exact", batch, range(BATCH - 1, BATCH)), ("fast", batch, range(BATCH)))
    found = Pair(seed=last.seed)
    yield found
    reference: Tensor | None = None
    for way, asked, images in ways:
        ready = yield from pipe.ready(asked)
        x = _final(ready, images, stop)
        reference = x if reference is None else reference
        run = Run(way=way, seed=asked.seed, picture=_picture(ready, x), difference=float((x - reference).abs().max()))
        found = Pair(seed=last.seed, runs=(*found.runs, run), whole=way == ways[-1][0])
        yield found


def _final(ready: Ready, images: Sequence[int], stop: Callable[[], Wish]) -> Tensor:
    """The last image's latent at the end of the run, [1, C, h, w]."""

    def before_call() -> None:
        if stop() is not None:
            raise Stopped

    denoiser = ready.denoiser(images, ready.latent(), before_call)
    *_, (_, state) = denoiser.run()
    return state.x[-1:]


def _picture(ready: Ready, x: Tensor) -> bytes:
    with torch.inference_mode():
        pixels = ready.model.decode(ready.model.latent_format.to_vae(x))
    return jpeg_data(to_images(pixels)[0], SIDE, 90)
