"""What a run tells while it goes on. The pipeline yields these; everybody else hangs progress, previews and saving on them."""

from collections.abc import Callable
from dataclasses import dataclass

from PIL.Image import Image
from torch import Tensor

from core.note import Note
from core.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class Loading:
    """Files are being read or fetched."""

    what: str
    share: float  # 0 to 1


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """Prompts are being encoded."""

    done: int
    total: int


@dataclass(frozen=True, kw_only=True)
class Planned:
    """The plan stands: its resolved recipe, how many steps an image has, and what has to be said about it."""

    recipe: Recipe
    steps: int
    notes: tuple[Note, ...]
    borders: tuple[int, ...] = ()  # steps done where another segment begins


@dataclass(frozen=True, kw_only=True, eq=False)
class Known:
    """The first steps of one image need not run: they are kept. Nothing is read until somebody asks."""

    image: int
    images: int
    steps: int  # of the whole image
    keys: tuple[str, ...]  # of the kept steps, first to last
    start: int  # `init.start` that goes on before the first of them; each later step is one more
    denoised: Callable[[int], Tensor | None]  # after so many steps: as in StepDone, or None where that state is gone


@dataclass(frozen=True, kw_only=True, eq=False)
class StepDone:
    """One step of one image is done."""

    image: int
    images: int
    step: int  # steps done, kept ones counted in: 1 to steps
    steps: int
    sigma: float
    denoised: Tensor  # [1, C, h, w], the estimate of the clean latent in sampler units
    key: str  # in the trajectory store
    start: int  # `init.start` that goes on from here
    seconds_left: float  # for all that is left of the run; 0 when unknown


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """The VAE is at work."""

    image: int
    images: int


@dataclass(frozen=True, kw_only=True)
class Stats:
    """What an image, or a run, really cost."""

    model_calls: int = 0  # forward passes; one over both cfg halves counts one
    reused_steps: int = 0
    seconds: float = 0.0

    def __add__(self, other: "Stats") -> "Stats":
        return Stats(
            model_calls=self.model_calls + other.model_calls,
            reused_steps=self.reused_steps + other.reused_steps,
            seconds=self.seconds + other.seconds,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageDone:
    """A picture is there."""

    image: int
    images: int
    picture: Image
    latent: Tensor  # [1, C, h, w] float32 in sampler units, on the CPU
    vae_latent: Tensor  # what was decoded, in VAE units, on the CPU
    recipe: Recipe  # resolved, of this image alone: batch 1, its own seed
    made_with: dict[str, str]  # content hashes, versions, device, dtype: what decides the bits beside the recipe
    partial: bool  # stopped on the way: the last estimate of the clean latent
    stats: Stats


@dataclass(frozen=True, kw_only=True)
class Writing:
    """A prompt is being enriched."""

    text: str  # so far
    tokens: int


@dataclass(frozen=True, kw_only=True)
class Written:
    """It is, as far as it came; with what has to be said about it."""

    text: str
    notes: tuple[Note, ...] = ()


Event = Loading | Encoding | Planned | Known | StepDone | Decoding | ImageDone
WritingEvent = Loading | Writing | Written
