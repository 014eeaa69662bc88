"""Who does a job: a recipe goes in, reports come out. Nothing here or above it holds a tensor of the run.

In this process today; another process or machine needs no more than this protocol.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from PIL.Image import Image
from torch import Tensor

from core.events import (
    Decoding,
    Encoding,
    ImageDone,
    Known,
    Loading,
    Planned,
    Stats,
    StepDone,
    Writing,
    Written,
)
from core.images.preview import jpeg_data
from core.images.structure import stripes
from core.inside.looks import LOOKS, Layers, Losses, Pair, Seen, Trace
from core.jobs.film import SIDE, Cut, Frame
from core.note import Note
from core.pipeline import Pipeline, Wish
from core.recipe import Recipe
from core.tree import Cost

Phase = Literal["", "loading", "encoding", "sampling", "decoding", "writing", "looking"]

PREVIEW_SECONDS = 0.25  # between two previews of an image
PREVIEW_SHARE = 0.125  # of the time, at most, goes into previews


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far it is."""

    phase: Phase
    what: str = ""  # the thing being loaded
    share: float = 0.0  # of loading or encoding, 0 to 1
    image: int = 0  # the one in the making, of the recipe's batch
    step: int = 0  # steps done
    steps: int = 0
    sigma: float = 0.0
    ran: int = 0  # steps really run so far, of all images of this run; kept ones are not
    seconds_left: float = 0.0  # 0 when unknown
    preview: bytes | None = None  # JPEG of this image as it is now
    frames: tuple[Frame, ...] = ()  # new in the film


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """What is going to happen, before it does."""

    recipe: Recipe  # resolved
    notes: tuple[Note, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Picture:
    """A finished picture, or with `partial` the half-done one of a run that was stopped."""

    image: int
    picture: Image
    recipe: Recipe  # resolved, of this image alone
    made_with: Mapping[str, str]
    partial: bool = False
    ran: int = 0  # steps really run for it
    stats: Stats = field(default_factory=Stats)


@dataclass(frozen=True, kw_only=True)
class Words:
    """A prompt in more words, as far as it is written."""

    text: str
    tokens: int
    whole: bool = False  # there is no more to come
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Sight:
    """What a look inside shows so far."""

    seen: Seen


Report = Progress | Outlook | Picture | Words | Sight


class Worker(Protocol):
    """Runs one recipe at a time."""

    def run(self, recipe: Recipe, stop: Callable[[], Wish]) -> Iterator[Report]:
        """Raises UserError for what the user can mend. `stop` is asked before each forward pass."""
        ...

    def enrich(self, recipe: Recipe, wording: int, stop: Callable[[], Wish]) -> Iterator[Report]:
        """The prompt of a recipe in more words. `stop` is asked after each token. Raises as `run`, and Stopped."""
        ...

    def look(self, recipe: Recipe, kind: str, stop: Callable[[], Wish]) -> Iterator[Report]:
        """A look inside, of a kind in core.inside.looks. Raises as `run`, and Stopped."""
        ...

    def cost(self, recipes: Sequence[Recipe]) -> Cost:
        """What these recipes cost together, counted without running anything. Raises UserError."""
        ...


class PipelineWorker:
    """A pipeline in this process."""

    def __init__(self, pipe: Pipeline) -> None:
        self._pipe = pipe
        self._costs: deque[float] = deque(maxlen=3)  # seconds of the last previews

    def run(self, recipe: Recipe, stop: Callable[[], Wish]) -> Iterator[Report]:
        """Events become reports, a few of the steps with a preview."""
        course = _Course(pace=_Pace(together=recipe.batch if recipe.batching == "fast" else 1))
        for event in self._pipe.run(recipe, stop):
            match event:
                case Loading(what=what, share=share):
                    yield Progress(phase="loading", what=what, share=share)
                case Encoding(done=done, total=total):
                    yield Progress(phase="encoding", share=done / total)
                case Planned(recipe=resolved, notes=notes):
                    course.cut = Cut.of(recipe.batch, event.borders, min(self._costs, default=None))
                    yield Outlook(recipe=resolved, notes=notes)
                case Known():
                    course.kept[event.image] = len(event.keys)
                    yield self._recalled(event, course)
                case StepDone():
                    course.ran[event.image] = event.step - course.kept.get(event.image, 0)
                    yield self._step(event, course)
                case Decoding(image=image):
                    yield Progress(phase="decoding", image=image)
                case ImageDone():
                    yield Picture(
                        image=event.image, picture=event.picture, recipe=event.recipe,
                        made_with=event.made_with, partial=event.partial, ran=course.ran.get(event.image, 0),
                        stats=event.stats,
                    )  # fmt: skip

    def enrich(self, recipe: Recipe, wording: int, stop: Callable[[], Wish]) -> Iterator[Report]:
        tokens = 0
        for event in self._pipe.enrich(recipe, wording, stop):
            match event:
                case Loading(what=what, share=share):
                    yield Progress(phase="loading", what=what, share=share)
                case Writing(text=text, tokens=tokens):
                    yield Words(text=text, tokens=tokens)
                case Written(text=text, notes=notes):
                    yield Words(text=text, tokens=tokens, notes=notes, whole=True)

    def look(self, recipe: Recipe, kind: str, stop: Callable[[], Wish]) -> Iterator[Report]:
        """Runs within a look have no film and no picture of their own: what is seen is the look's."""
        for event in LOOKS[kind](self._pipe, recipe, stop):
            match event:
                case Loading(what=what, share=share):
                    yield Progress(phase="loading", what=what, share=share)
                case StepDone(step=step, steps=steps, seconds_left=left):
                    yield Progress(phase="sampling", step=step, steps=steps, seconds_left=left)
                case Trace() | Losses() | Layers() | Pair():
                    yield Sight(seen=event)
                case _:
                    pass

    def cost(self, recipes: Sequence[Recipe]) -> Cost:
        return self._pipe.cost(recipes)

    def _step(self, event: StepDone, course: "_Course") -> Progress:
        preview, frames = None, ()
        filmed = course.cut.wants(event.step, event.steps)
        if filmed or course.pace.due(event.image):
            picture = self._preview(event.denoised)
            course.pace.spent(event.image, self._costs[-1])
            preview = jpeg_data(picture)
            if filmed:
                frames = (course.frame(event.image, event.step, event.start, event.key, picture),)
        return Progress(
            phase="sampling", image=event.image, step=event.step, steps=event.steps,
            sigma=event.sigma, ran=sum(course.ran.values()), seconds_left=event.seconds_left, preview=preview, frames=frames,
        )  # fmt: skip

    def _recalled(self, event: Known, course: "_Course") -> Progress:
        """The film of the steps that need not run, but for the last of them: that one is told as done."""
        frames: list[Frame] = []
        for step, key in enumerate(event.keys[:-1], start=1):
            if course.cut.wants(step, event.steps) and (denoised := event.denoised(step)) is not None:
                picture = self._preview(denoised)
                frames.append(course.frame(event.image, step, event.start + step, key, picture))
        return Progress(
            phase="sampling", image=event.image, step=len(event.keys), steps=event.steps, ran=sum(course.ran.values()),
            frames=tuple(frames),
        )  # fmt: skip

    def _preview(self, denoised: Tensor) -> Image:
        began = time.perf_counter()
        picture = self._pipe.preview(denoised)
        self._costs.append(time.perf_counter() - began)
        return picture


@dataclass(kw_only=True)
class _Course:
    """How far a run is."""

    pace: "_Pace"
    cut: Cut = field(default_factory=Cut)
    kept: dict[int, int] = field(default_factory=dict[int, int])  # image -> steps that need not run
    ran: dict[int, int] = field(default_factory=dict[int, int])  # image -> steps run

    def frame(self, image: int, step: int, start: int, key: str, picture: Image) -> Frame:
        border = step in self.cut.borders
        return Frame(
            image=image, step=step, start=start, key=key, jpeg=jpeg_data(picture, SIDE), border=border,
            stripes=stripes(picture) if border else 0.0,
        )  # fmt: skip


class _Pace:
    """When the next preview of an image is due: by time, not by step, and slower where one is expensive."""

    def __init__(self, together: int) -> None:
        self._together = together  # images that are in the making at the same time
        self._next: dict[int, float] = {}

    def due(self, image: int) -> bool:
        return time.perf_counter() >= self._next.get(image, 0.0)

    def spent(self, image: int, seconds: float) -> None:
        wait = max(PREVIEW_SECONDS, seconds * self._together / PREVIEW_SHARE)
        self._next[image] = time.perf_counter() + wait
