"""Owner of models, inputs and kept steps: runs recipes, one at a time, and yields what happens."""

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from threading import Thread
from typing import Literal

import torch
from PIL import Image
from torch import Tensor

from core.denoise import Denoiser, Origin
from core.encoding import encode
from core.enriching import Enricher
from core.errors import MissingPart, Stopped, UserError
from core.events import Decoding, Event, ImageDone, Known, Loading, Planned, Stats, StepDone, WritingEvent
from core.families import prepare, profile_of
from core.families.base import LoadedModel, Profile
from core.fitting import Coverages, Fitting
from core.holding import Held, Models, surroundings
from core.images.inputs import InputStore
from core.images.latent import fits
from core.images.pixels import fit_to, to_images
from core.images.preview import Previewer
from core.inversion import inversions
from core.keeping import check_origin, kept_step, new_run
from core.kept import KeptRuns
from core.lora_library import LoraLibrary
from core.loras import names_of
from core.models.downloads import Downloads
from core.models.hashes import Hashes
from core.models.library import MODEL_KINDS, Library
from core.models.lora import Coverage
from core.models.memory import pick_device
from core.models.residency import Residency, check_level, storage_of
from core.models.variants import Variants
from core.plan import Plan, alone, check, compile_plan, resolve, sigma_after
from core.prompt.server import ChatServer
from core.ready import Ready
from core.recipe import InitImage, InitTrajectory, Recipe
from core.sampling import SamplerState
from core.together import check_together, fit_together, models_of
from core.trajectory import TrajectoryStore
from core.tree import Cost, cost

Wish = Literal["after", "now"] | None
"""Stop after the image in the making, or now, keeping it as it is."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Result:
    """What `Pipeline.generate` returns."""

    images: list[Image.Image]
    latents: Tensor  # [B, C, h, w] float32 in sampler units
    recipe: Recipe  # resolved
    stats: Stats


@dataclass(kw_only=True)
class _Course:
    """How far a run is, and what it has cost."""

    stop: Callable[[], Wish]
    images: int
    steps: int
    surroundings: dict[str, str]
    made_with: Callable[[], dict[str, str]]  # hashes, waited for
    model_calls: int = 0
    ran: int = 0  # steps really run
    stepping: float = 0.0  # seconds that they took
    rounded_at: int | None = None  # the step in which memory ran out, and weights were rounded

    def before_call(self) -> None:
        if self.stop() == "now":
            raise Stopped
        self.model_calls += 1

    def seconds_left(self, image: int, step: int) -> float:
        left = self.steps - step + (self.images - 1 - image) * self.steps
        return left * self.stepping / self.ran if self.ran else 0.0


class Pipeline:
    """Owner of models, inputs and trajectories.

    models: the folder of weights, in ComfyUI's layout. device: auto, cpu, cuda, cuda:1 or mps. trajectory_bytes: how much
    memory kept steps may take, 0 = keep none. data: where input pictures, file hashes and kept runs are. kept_bytes: how
    much of the disk kept runs may take, 0 = keep none. memory: auto, resident, swap, stream or fp8. writer: a server that
    enriches prompts, None for the text encoder of a model that can. One run at a time.
    """

    def __init__(
        self,
        models: str | Path = "models",
        device: str = "auto",
        trajectory_bytes: int = 2**30,
        data: str | Path = "data",
        downloads: bool = True,
        kept_bytes: int = 0,
        memory: str = "auto",
        writer: ChatServer | None = None,
    ) -> None:
        self.library = Library(Path(models), Variants(Path(data) / "variants.json"))
        self.loras = LoraLibrary(Path(models), Path(data) / "loras.sqlite")
        self.downloads = Downloads(Path(models), downloads)
        self.inputs = InputStore(Path(data) / "inputs")
        self.kept = KeptRuns(Path(data) / "kept", kept_bytes) if kept_bytes else None
        self.trajectories = TrajectoryStore(trajectory_bytes, self.kept)
        self.hashes = Hashes(Path(data) / "hashes.sqlite")
        self.device = pick_device(device)
        self._models = Models(self.library, self.hashes, self.device, downloads)
        self.memory = memory
        self.enricher = Enricher(self.library, writer)
        self._fitting = Fitting(lambda name: self.loras.get(name).path, self.hashes)
        self._coverages = Coverages()
        self._versions = {
            name: version(name) for name in ("torch", "diffusers", "transformers")
        }  # 10 ms: once, not a run
        self._main: LoadedModel | None = None  # the recipe's own that ran last
        self._preparing: Thread | None = None
        self._previewer: tuple[LoadedModel, Previewer] | None = None

    def close(self) -> None:
        """Write what is still to be kept, and end a download where it is."""
        self.downloads.close()
        if self.kept is not None:
            self.kept.close()

    def prepare(self) -> None:
        """Begins to import the model libraries beside the caller, so that the first picture need not wait for them."""
        self._preparing = Thread(target=prepare, name="stepwise-prepare", daemon=True)
        self._preparing.start()

    def run(self, recipe: Recipe, stop: Callable[[], Wish] = lambda: None) -> Iterator[Event]:
        """Makes the pictures of a recipe and tells what happens.

        `stop` is asked before every forward pass: "now" keeps the picture as it is, "after" ends with the image in the
        making. Raises UserError (RecipeError, UnknownName, ModelError, …).
        """
        ready = yield from self.ready(recipe)
        images = range(recipe.batch)
        groups = [images] if recipe.batching == "fast" else [images[k : k + 1] for k in images]
        course = _Course(
            stop=stop, images=recipe.batch, steps=len(ready.plan.steps),
            surroundings=self._versions | surroundings(ready.model), made_with=ready.made_with,
        )  # fmt: skip
        latent = ready.latent()
        for group in groups:
            yield from self._group(ready.denoiser(group, latent, course.before_call), course)
            if stop() is not None:
                return

    def ready(self, recipe: Recipe) -> Generator[Event, None, Ready]:
        """Loads, plans and encodes, and tells what happens: all of a run but its steps. Raises as `run`."""
        check(recipe)
        origin = self._origin(recipe)
        self._check_loras(recipe)
        held = yield from self._loaded(recipe)
        models = {name: one.model for name, one in held.items()}
        model = models[recipe.model]
        resolved = resolve(recipe, model.family, model.defaults, model.prediction)
        plan = compile_plan(resolved, model.family, None if origin is None else origin.kept.sigma)
        if origin is not None:
            check_origin(origin.kept, model.latent_format, plan.recipe)
        loras, words = self._fitting.fit(plan, models), inversions(plan, models, self.library.embeddings())
        notes = (*plan.notes, *loras.notes(), *words.notes())
        yield Planned(recipe=plan.recipe, steps=len(plan.steps), notes=notes, borders=plan.borders)
        encoded = yield from encode(plan, models, loras.patches, words.of)
        return Ready(
            models=models, weights={name: one.weights for name, one in held.items()}, plan=plan, encoded=encoded,
            latent=lambda: self._initial(model, plan.recipe), origin=origin, loras=loras, words=words,
        )  # fmt: skip

    def _loaded(self, recipe: Recipe) -> Generator[Loading, None, Mapping[str, Held]]:
        """The models of a recipe, read where they are not in memory."""
        if self._preparing is not None:
            self._preparing.join()  # two threads that import diffusers at once see it half made
        if not self._models.holds(recipe):
            self._main = self._previewer = None  # frees the old one before the new one is read
        held = yield from self._models.hold(recipe)
        self._main = held[recipe.model].model
        return held

    def generate(self, recipe: Recipe) -> Result:
        """Runs to the end and gives everything at once. Raises as `run`."""
        resolved, done = recipe, list[ImageDone]()
        for event in self.run(recipe):
            if isinstance(event, Planned):
                resolved = event.recipe
            elif isinstance(event, ImageDone):
                done.append(event)
        return Result(
            images=[event.picture for event in done],
            latents=torch.cat([event.latent for event in done]),
            recipe=resolved,
            stats=sum((event.stats for event in done), Stats()),
        )

    def enrich(self, recipe: Recipe, wording: int = 1, stop: Callable[[], Wish] = lambda: None) -> Iterator[WritingEvent]:
        """The prompt of a recipe in more words, as they come: by the server, or the text encoder of the recipe's own model.

        wording: 1 is the likeliest, each further number another one. `stop` is asked after each token; what is written by
        then is told before Stopped is raised. Raises RecipeError for a prompt that cannot be enriched, ModelError.
        """
        yield from self.enricher.run(recipe, wording, lambda: stop() is not None, self._loaded)

    def resolve(self, recipe: Recipe) -> Recipe:
        """The recipe with nothing null that has a value. Reads configurations, no weights. Raises UserError."""
        own = self._profile(recipe)
        return resolve(recipe, own.family, own.defaults, own.prediction)

    def plan(self, recipe: Recipe) -> Plan:
        """What a run would do, step by step. Reads configurations, no weights. Raises UserError."""
        own = self._profile(recipe)
        resolved = resolve(recipe, own.family, own.defaults, own.prediction)
        kept = self.trajectories.get(recipe.init.trajectory) if isinstance(recipe.init, InitTrajectory) else None
        return compile_plan(resolved, own.family, None if kept is None else kept.sigma)

    def _profile(self, recipe: Recipe) -> Profile:
        """Of the recipe's own model, once all that can be refused without loading anything is."""
        check(recipe)
        profiles = {name: profile_of(self.library.model(name)) for name in models_of(recipe)}
        check_together(recipe, profiles)
        self._check_loras(recipe)
        return profiles[recipe.model]

    def _check_loras(self, recipe: Recipe) -> None:
        if names := names_of(recipe):
            families = (self.library.model(name).family for name in models_of(recipe))
            self._fitting.check(names, [family for family in families if family is not None])

    def cost(self, recipes: Iterable[Recipe]) -> Cost:
        """How many steps these recipes take together, at most, and alone. Loads nothing. Raises UserError."""
        return cost(self.plan(recipe) for recipe in recipes)

    def coverage(self, model: str, name: str) -> Coverage:
        """How much of a LoRA fits a model. Reads headers, no weights. Raises UnknownName, or ModelError where nothing fits."""
        return self._coverages.of(self.library.model(model), self.loras.get(name).path)

    def companions(self, name: str) -> tuple[str, ...]:
        """The other models here that may stand in one run with this one. Raises UnknownName, ModelError."""
        own = profile_of(self.library.model(name))
        return tuple(
            entry.id
            for entry in self.library.scan()
            if entry.kind in MODEL_KINDS and entry.problem is None and entry.id != name
            and fit_together(own, profile_of(entry))
        )  # fmt: skip

    @property
    def memory(self) -> str:
        """The memory level that models are given: auto, the first that fits, or one of core.models.residency.LEVELS."""
        return self._models.level

    @memory.setter
    def memory(self, level: str) -> None:
        """Holds from the next run on: its models are read again where they were given another level. Raises UnknownName, ModelError."""
        check_level(level, self.device)
        self._models.level = level

    @property
    def residency(self) -> Residency | None:
        """Which components of the model in memory stay there, and why; None while there is no model."""
        return None if self._main is None else self._models.residency(self._main)

    def differs(self, made_with: Mapping[str, str]) -> tuple[str, ...]:
        """What decides the bits and is not the same here as where a picture was made: names such as torch, device."""
        here = self._versions | ({} if self._main is None else surroundings(self._main))
        others = tuple(name for name, value in here.items() if made_with.get(name, value) != value)
        if self._main is not None and "memory" in made_with and self._main.storage != storage_of(made_with["memory"]):
            return (*others, "memory")
        return others

    def preview(self, denoised: Tensor) -> Image.Image:
        """A small RGB picture of a `StepDone.denoised` [1, C, h, w] of the model that ran last."""
        model = self._main
        if model is None:
            raise RuntimeError("nothing has run yet, so there is nothing to preview")
        if self._previewer is None or self._previewer[0] is not model:
            self._previewer = (model, Previewer(model))
        return self._previewer[1](denoised)

    def _initial(self, model: LoadedModel, recipe: Recipe) -> Tensor:
        """The latent that the run starts from, [1, C, h, w] in VAE units: of the picture given, or empty."""
        assert recipe.width and recipe.height  # resolved
        if isinstance(recipe.init, InitImage):
            if (given := self.inputs.latent(recipe.init.image)) is not None:
                return fits(given, model.latent_format, recipe.width, recipe.height).to(model.device)
            picture = fit_to(self.inputs.open(recipe.init.image), recipe.width, recipe.height)
            return model.encode_image(picture)
        form = model.latent_format
        shape = (1, form.channels, recipe.height // form.downscale, recipe.width // form.downscale)
        return torch.zeros(shape, device=model.device)

    def _origin(self, recipe: Recipe) -> Origin | None:
        """The kept step that the run goes on from, if it does."""
        if not isinstance(recipe.init, InitTrajectory):
            return None
        key = recipe.init.trajectory
        kept = self.trajectories.get(key)
        if kept is None:
            raise MissingPart(
                "The kept step {key} is gone: run its recipe again, then go on from it.", key=f"{key[:12]}…"
            )
        return Origin(key=key, kept=kept)

    def _group(self, denoiser: Denoiser, course: _Course) -> Iterator[Event]:
        """The images of one group: the steps that are not known yet, then the pictures."""
        began, calls = time.perf_counter(), course.model_calls
        keys = denoiser.keys(repr(course.surroundings))
        if self.kept is not None:
            self.kept.begin(new_run(denoiser, keys))
        reused, known = self.trajectories.longest(keys)
        state = None if known is None else known.state.to(denoiser.model.device)
        if state is not None:
            yield from self._known(denoiser, course, keys[:reused])
            yield from self._step_events(denoiser, course, keys, reused, state)
        done, stopped = reused, False
        running, storage = denoiser.run(state, reused), denoiser.storage
        while done < len(keys):
            step_began = time.perf_counter()
            try:
                step, state = next(running)
            except Stopped:
                stopped = True
                break
            course.ran, course.stepping = course.ran + 1, course.stepping + time.perf_counter() - step_began
            if denoiser.storage != storage:  # memory ran out in this step: it and what follows are another model's
                keys, storage = denoiser.keys(repr(course.surroundings), keys[:done]), denoiser.storage
                course.rounded_at = done
                if self.kept is not None:
                    self.kept.begin(new_run(denoiser, keys))
            self.trajectories.put(keys[done], kept_step(denoiser, step, state))
            done += 1
            yield from self._step_events(denoiser, course, keys, done, state)
        if state is not None:
            stats = Stats(
                model_calls=course.model_calls - calls, reused_steps=reused, seconds=time.perf_counter() - began
            )
            yield from self._pictures(denoiser, course, state, done if stopped else None, stats)

    def _known(self, denoiser: Denoiser, course: _Course, keys: Sequence[str]) -> Iterator[Event]:
        def denoised(place: int, step: int) -> Tensor | None:
            known = self.trajectories.get(keys[step - 1])
            return None if known is None or known.state.denoised is None else known.state.denoised[place : place + 1]

        steps = denoiser.plan.steps
        for place, image in enumerate(denoiser.images):
            yield Known(
                image=image, images=course.images, steps=len(steps), keys=tuple(keys), start=steps[0].number,
                denoised=partial(denoised, place),
            )  # fmt: skip

    def _step_events(
        self, denoiser: Denoiser, course: _Course, keys: Sequence[str], done: int, state: SamplerState
    ) -> Iterator[Event]:
        if state.denoised is None:
            return
        for place, image in enumerate(denoiser.images):
            yield StepDone(
                image=image, images=course.images, step=done, steps=len(keys), sigma=denoiser.plan.steps[done - 1].sigma,
                denoised=state.denoised[place : place + 1], key=keys[done - 1], start=denoiser.plan.steps[done - 1].number + 1,
                seconds_left=course.seconds_left(image, done),
            )  # fmt: skip

    def _pictures(
        self, denoiser: Denoiser, course: _Course, state: SamplerState, stopped_at: int | None, stats: Stats
    ) -> Iterator[Event]:
        """Decodes and hands out. A run that was stopped gives its last estimate of the clean latent."""
        model, plan, last = denoiser.model, denoiser.plan, denoiser.plan.steps[-1]
        x = state.x if stopped_at is None or state.denoised is None else state.denoised
        if not bool(torch.isfinite(x).all()):
            raise UserError(
                "The numbers overflowed and left no picture: lower cfg, or choose another sampler or scheduler."
            )
        clean = last.leg.model_sampling.inverse_noise_scaling(sigma_after(last), x) if stopped_at is None else x
        made_with = {
            **course.surroundings,
            **course.made_with(),
            **({} if stopped_at is None else {"stopped_at_step": str(stopped_at)}),
            **({} if course.rounded_at is None else {"rounded_from_step": str(course.rounded_at)}),
        }
        for place, image in enumerate(denoiser.images):
            yield Decoding(image=image, images=course.images)
            began = time.perf_counter()
            latent = model.latent_format.to_vae(clean[place : place + 1])
            pixels = model.decode(latent, tiled=plan.recipe.vae_tiling)
            spent = Stats(seconds=time.perf_counter() - began)
            yield ImageDone(
                image=image, images=course.images, picture=to_images(pixels)[0], latent=x[place : place + 1].clone().cpu(),
                vae_latent=latent.cpu(),
                recipe=alone(plan.recipe, image), made_with=made_with, partial=stopped_at is not None,
                # A group's forward passes are counted once, with its first image.
                stats=(stats if place == 0 else Stats(reused_steps=stats.reused_steps)) + spent,
            )  # fmt: skip
