"""A plan is a flat list of fully resolved steps: Recipe -> resolve -> compile -> tuple[Step].

A cut that changes nothing compiles to the same plan, and so to the same bits.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from core.errors import RecipeError, UnknownName
from core.families.base import Defaults, Family
from core.loras import LoraSet, active, tags_of
from core.note import Note
from core.prompt.editing import Choices, choices
from core.prompt.plain import is_weighted
from core.prompt.tags import tags
from core.recipe import SEEDS, InitTrajectory, Recipe, at_step
from core.sampling import SAMPLERS, SCHEDULES, ModelSampling, cfg_is_off
from core.stretches import Stretch, lay_out


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """What the text encoders are asked for."""

    model: str  # whose text encoders
    loras: LoraSet = ()  # on them
    text: str
    weighting: str
    clip_skip: int | None
    guidance: float | None = None  # distilled: a number that the denoiser is told
    choices: Choices = ()  # the branches of its edits that are read at this step
    zero: bool = False  # zeros of the same length instead


@dataclass(frozen=True, kw_only=True, eq=False)
class Leg:
    """Steps that share one sigma table, one noise stream and one history: what ComfyUI calls a sampler run."""

    sigmas: tuple[float, ...]  # n+1 float32 levels for n steps, falling
    model_sampling: ModelSampling
    noise_seed: int  # of image 0; image k adds k
    add_noise: bool
    first: int  # number of its first step in the run
    left_at: float | None  # sigma at which the leg before ended; None: the run starts here


@dataclass(frozen=True, kw_only=True, eq=False)
class Step:
    """One fully resolved step."""

    number: int  # counted over the whole run
    index: int  # in leg.sigmas
    leg: Leg
    segment: int  # in recipe.segments; 0 when there are none
    model: str
    loras: LoraSet  # on its denoiser
    sampler: str
    positive: Prompt
    negative: Prompt
    cfg: float

    @property
    def sigma(self) -> float:
        return self.leg.sigmas[self.index]

    @property
    def begins_leg(self) -> bool:
        return self.index == 0

    @property
    def needs_negative(self) -> bool:
        """At cfg 1 the negative is not evaluated, unless the sampler itself works with it."""
        return not cfg_is_off(self.cfg) or SAMPLERS[self.sampler].needs_negative


@dataclass(frozen=True, kw_only=True, eq=False)
class Plan:
    """All steps of one image, and what has to be said about them."""

    steps: tuple[Step, ...]
    recipe: Recipe  # resolved, the flags of its segments written out
    notes: tuple[Note, ...] = ()

    @property
    def borders(self) -> tuple[int, ...]:
        """How many steps are done where a segment begins, the first one apart."""
        return tuple(k for k, (a, b) in enumerate(pairwise(self.steps), start=1) if a.segment != b.segment)


# --- Recipe -> resolved Recipe ------------------------------------------------------------------------------------


def resolve(recipe: Recipe, family: Family, defaults: Defaults, prediction: str | None) -> Recipe:
    """The recipe with nothing null that has a value. Raises RecipeError or UnknownName."""
    check(recipe)
    _refuse_what_has_no_effect(recipe, family, defaults, prediction)
    filled: dict[str, Any] = {
        "width": recipe.width or defaults.width,
        "height": recipe.height or defaults.height,
        "steps": recipe.steps or defaults.steps,
        "sampler": recipe.sampler or defaults.sampler,
        "scheduler": recipe.scheduler or defaults.scheduler,
        "cfg": defaults.cfg if recipe.cfg is None else recipe.cfg,
        "shift": recipe.shift or defaults.shift_at(recipe.width or defaults.width, recipe.height or defaults.height),
        "guidance": defaults.guidance if recipe.guidance is None else recipe.guidance,
        "clip_skip": recipe.clip_skip or defaults.clip_skip,
        "prediction": recipe.prediction or prediction,
    }
    for side in ("width", "height"):
        if filled[side] % family.multiple:
            raise RecipeError(
                "{field} must be a multiple of {multiple} for {family}, not {value}.",
                field=side, multiple=family.multiple, family=family.title, value=filled[side],
            )  # fmt: skip
    return recipe.model_copy(update=filled)


def check(recipe: Recipe) -> None:
    """What can be refused before a model is loaded. Raises UnknownName, or RecipeError for a tag in a prompt."""
    tags_of(recipe)
    for part in (recipe, *recipe.segments):
        for kind, name, table in (("sampler", part.sampler, SAMPLERS), ("scheduler", part.scheduler, SCHEDULES)):
            if name is not None and name not in table:
                raise UnknownName(kind, name, table)


def _refuse_what_has_no_effect(recipe: Recipe, family: Family, defaults: Defaults, prediction: str | None) -> None:
    for name, default in (
        ("prediction", prediction),
        ("shift", defaults.shift),
        ("guidance", defaults.guidance),
        ("clip_skip", defaults.clip_skip),
    ):
        given = [getattr(part, name, None) for part in (recipe, *recipe.segments)]
        if default is None and any(value is not None for value in given):
            raise RecipeError("{field} has no effect on {family}: leave it out.", field=name, family=family.title)


# --- resolved Recipe -> Plan --------------------------------------------------------------------------------------


def compile_plan(recipe: Recipe, family: Family, stands: float | None = None) -> Plan:
    """The steps of a resolved recipe. Raises RecipeError when nothing is left to run.

    `stands`: the sigma of the kept step that the recipe goes on from, where it is known.
    """
    notes: list[Note] = []
    stretches = list(lay_out(recipe, family, notes))
    legs: list[list[Stretch]] = []
    for stretch in stretches:
        if not legs or stretch.restart:
            legs.append([])
        legs[-1].append(stretch)
    steps: list[Step] = []
    for leg in legs:
        steps += _leg_steps(recipe, leg, steps[-1] if steps else None)
    if isinstance(recipe.init, InitTrajectory):
        steps = [step for step in steps if step.number >= recipe.init.start]
        if steps and stands is not None:
            restart = any(stretch.restart for stretch in stretches if stretch.number == steps[0].segment)
            steps = _going_on(steps, stands, restart and steps[0].begins_leg, notes)
    if not steps:
        raise RecipeError(
            "The segments leave no step to run: let one start before the last step and end after its start."
        )
    notes += [*_model_notes(steps), *_tag_notes(recipe), *_weight_notes(steps, family)]
    segments = tuple(stretch.resolved() for stretch in stretches) if recipe.segments else ()
    return Plan(steps=tuple(steps), recipe=recipe.model_copy(update={"segments": segments}), notes=tuple(notes))


def _going_on(steps: list[Step], stands: float, restart: bool, notes: list[Note]) -> list[Step]:
    """The steps that follow a kept step: a restart leaves it from the level where it really stands."""
    leg = steps[0].leg
    if restart:
        left = replace(leg, left_at=stands)
        return [replace(step, leg=left) if step.leg is leg else step for step in steps]
    if not math.isclose(stands, steps[0].sigma, rel_tol=1e-4):
        notes.append(
            Note(
                template="The kept step stands at sigma {stands:.4g}, this run goes on at {sigma:.4g}: with its own steps, "
                "scheduler and sampler the two are the same.",
                values={"stands": stands, "sigma": steps[0].sigma},
            )
        )
    return steps


def _model_notes(steps: Sequence[Step]) -> Iterator[Note]:
    """Where a leg goes on with another model."""
    for before, step in pairwise(steps):
        if step.leg is before.leg and step.model != before.model:
            yield Note(
                template="Segment {number} goes on with {model}: what the sampler remembers of earlier steps is dropped there.",
                values={"number": step.segment + 1, "model": step.model},
            )


def _weight_notes(steps: Sequence[Step], family: Family) -> Iterator[Note]:
    """Where somebody wrote weights for a text encoder that knows none."""
    prompts = {prompt for step in steps for prompt in (step.positive, step.negative)}
    if not family.has_weights and any(is_weighted(prompt.text, prompt.weighting) for prompt in prompts):
        yield Note(
            template="{family} reads brackets and numbers in the prompt as text: they give no weight.",
            values={"family": family.title},
        )


def _tag_notes(recipe: Recipe) -> Iterator[Note]:
    for tag in tags_of(recipe):
        yield Note(
            template="{tag} in the prompt is LoRA {name}: strength {model:g} on the model, {text:g} on the text encoders.",
            values={"tag": tag.source, "name": tag.name, "model": tag.model, "text": tag.text},
        )


def _leg_steps(recipe: Recipe, stretches: Sequence[Stretch], before: Step | None) -> list[Step]:
    """The steps of one leg; none if it starts at or after its end, as ComfyUI hands such a latent on untouched."""
    head, tail = stretches[0], stretches[-1]
    sigmas = head.table.sigmas
    if tail.end < head.table.steps:
        sigmas = sigmas[: tail.end + 1].clone()
        if not tail.leftover_noise:
            sigmas[-1] = 0.0  # ComfyUI's "force full denoise": the last step jumps straight to clean
    if head.start >= tail.end:
        return []
    noise_seed = head.segment.noise_seed
    leg = Leg(
        sigmas=tuple(sigmas[head.start :].tolist()),
        model_sampling=head.table.model_sampling,
        noise_seed=recipe.seed if noise_seed is None else noise_seed,
        add_noise=head.add_noise,
        first=head.start if before is None else before.number + 1,
        left_at=None if before is None else sigma_after(before),
    )
    return [
        _step(recipe, stretch, leg, index)
        for stretch in stretches
        for index in range(stretch.start - head.start, stretch.end - head.start)
    ]


def sigma_after(step: Step) -> float:
    """Where a step really ends: a few samplers never reach the table's final 0."""
    sigma = step.leg.sigmas[step.index + 1]
    return sigma if sigma else SAMPLERS[step.sampler].last_sigma


def _step(recipe: Recipe, stretch: Stretch, leg: Leg, index: int) -> Step:
    own = stretch.segment
    number = leg.first + index
    weighting = own.weighting or recipe.weighting
    clip_skip = own.clip_skip or recipe.clip_skip
    model = own.model or recipe.model
    text = recipe.prompt if own.prompt is None else own.prompt
    negative = recipe.negative if own.negative is None else own.negative
    read = choices(text, weighting, number, stretch.table.steps)
    loras = active(recipe, own, number, tags(text, weighting, read))

    guidance = recipe.guidance if own.guidance is None else own.guidance

    def prompt(text: str, read: Choices = (), zero: bool = False) -> Prompt:
        return Prompt(
            model=model, loras=loras.text, text=text, weighting=weighting, clip_skip=clip_skip, guidance=guidance,
            choices=read, zero=zero,
        )  # fmt: skip

    cfg = recipe.cfg if own.cfg is None else own.cfg
    sampler = own.sampler or recipe.sampler
    assert cfg is not None and sampler is not None  # resolved
    return Step(
        number=number,
        index=index,
        leg=leg,
        segment=stretch.number,
        model=model,
        loras=loras.model,
        sampler=sampler,
        positive=prompt("") if own.conditioning == "empty" else prompt(text, read, own.conditioning == "zero"),
        negative=prompt(negative, choices(negative, weighting, number, stretch.table.steps)),
        cfg=at_step(cfg, number),
    )


def alone(recipe: Recipe, image: int) -> Recipe:
    """The recipe of image k of a batch, to be made alone: its own seeds, batch 1."""
    segments = tuple(
        segment
        if segment.noise_seed is None
        else segment.model_copy(update={"noise_seed": (segment.noise_seed + image) % SEEDS})
        for segment in recipe.segments
    )
    return recipe.model_copy(update={"batch": 1, "seed": (recipe.seed + image) % SEEDS, "segments": segments})
