"""The loop: one generator over the steps of a plan. The caller decides about progress, previews, stopping and keeping.

Shapes: G images that run together (1 with exact batching), C latent channels, h x w latent size.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from torch import Tensor

from core.errors import UserError
from core.families.base import Conditioning, LoadedModel, join
from core.loras import LoraSet
from core.models.memory import BitsChanged
from core.models.patch import Patch
from core.plan import Leg, Plan, Prompt, Step
from core.recipe import SEEDS
from core.sampling import SAMPLERS, Run, SamplerState, noise_source, starting_noise
from core.sampling.guidance import cfg as guide
from core.sampling.model_sampling import ModelSampling
from core.trajectory import KeptStep, digest

BeforeCall = Callable[[], None]
"""Called before every forward pass; may raise Stopped."""


class GuidedModel:
    """A network with its conditioning and guidance, as a sampler sees it: x [G, C, h, w] and sigma to denoised."""

    def __init__(self, model: LoadedModel, model_sampling: ModelSampling, cfg: float, before_call: BeforeCall) -> None:
        self._model, self._sampling, self._cfg, self._before_call = model, model_sampling, cfg, before_call
        self._halves: list[Conditioning] = []

    def conditioned(self, positive: Conditioning, negative: Conditioning | None, images: int) -> "GuidedModel":
        """With these prompts; without a negative it is never evaluated. Both go in one pass where their lengths agree."""
        parts = [positive] if negative is None else [negative, positive]
        if len({part.context.shape for part in parts}) == 1:
            self._halves = [join([part for part in parts for _ in range(images)])]
        else:
            self._halves = [join([part] * images) for part in parts]
        self._has_negative = negative is not None
        return self

    def __call__(self, x: Tensor, sigma: float) -> Tensor:
        return self.both(x, sigma)[0] if self._has_negative else self._outputs(x, sigma)[0]

    def both(self, x: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
        """(guided, denoised of the negative alone)."""
        negative, positive = self._outputs(x, sigma)
        return guide(positive, negative, self._cfg), negative

    def halves(self, x: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
        """(denoised of the negative, of the positive), before guidance; only where there is a negative."""
        negative, positive = self._outputs(x, sigma)
        return negative, positive

    def _outputs(self, x: Tensor, sigma: float) -> list[Tensor]:
        """Denoised for each half, in the order of the conditionings."""
        net_input, timestep = self._sampling.input(x, sigma), float(self._sampling.timestep(sigma))
        outputs: list[Tensor] = []
        for half in self._halves:
            self._before_call()
            repeats = half.context.shape[0] // x.shape[0]
            batch = net_input if repeats == 1 else torch.cat([net_input] * repeats)
            steps = torch.full((batch.shape[0],), timestep, dtype=torch.float32, device=x.device)
            outputs += self._model.forward(batch, steps, half).chunk(repeats)
        return [self._sampling.denoised(x, sigma, output) for output in outputs]


@dataclass(frozen=True, kw_only=True, eq=False)
class Origin:
    """A kept step of another run, that this run goes on from: its key and its state."""

    key: str
    kept: KeptStep


PatchesOf = Callable[[str, LoraSet], Sequence[Patch]]
"""The patches of some LoRAs for a model, by its name."""


def unpatched(model: str, loras: LoraSet) -> Sequence[Patch]:
    """No patches."""
    return ()


@dataclass(frozen=True, kw_only=True)
class Denoiser:
    """Everything a plan needs to run for some images of a batch."""

    models: Mapping[str, LoadedModel]  # by name, all that the plan's steps name
    weights: Mapping[str, str]  # identity of each model's weights
    plan: Plan
    encoded: Mapping[Prompt, Conditioning]
    noise: str
    images: Sequence[int]  # places in the batch; their seeds are the leg's plus this
    latent: Tensor  # [G, C, h, w] in VAE units; all zeros is the empty latent
    origin: Origin | None = None  # a kept state to go on from, instead of the latent
    before_call: BeforeCall = lambda: None
    patches: PatchesOf = unpatched
    _guided: dict[tuple[object, ...], GuidedModel] = field(default_factory=dict)

    @property
    def model(self) -> LoadedModel:
        """The recipe's own: its VAE and its latents are the run's."""
        return self.models[self.plan.recipe.model]

    @cached_property
    def start(self) -> SamplerState:
        """The state before the first step; x is [G, C, h, w]."""
        if self.origin is not None:
            state = self.origin.kept.state.to(self.latent.device)
            return replace(state, step=self.plan.steps[0].index)
        return SamplerState(x=self._scaled(self.plan.steps[0].leg, self.latent))

    def _scaled(self, leg: Leg, latent: Tensor) -> Tensor:
        """A latent in VAE units as the first state of a leg, with or without fresh noise (ComfyUI's prepare_noise)."""
        # The empty latent is not moved by the format's shift: zeros stay zeros.
        clean = self.model.latent_format.to_sampler(latent) if bool(latent.any()) else latent
        noise = (
            starting_noise(seeds(leg, self.images), tuple(latent.shape)) if leg.add_noise else torch.zeros(latent.shape)
        )
        return leg.model_sampling.noise_scaling(leg.sigmas[0], noise.to(clean.device), clean)

    @property
    def storage(self) -> tuple[str, ...]:
        """How the models keep their weights now: a run that finds no memory changes it, and with it the keys of what is left."""
        return tuple(model.storage for model in self.models.values())

    def keys(self, stack: str, known: Sequence[str] = ()) -> list[str]:
        """The key of each step, the first ones `known`. `stack` names device, dtype, attention and versions."""
        before = [self.origin.key] if self.origin else []
        start = [*before, *known][-1] if before or known else digest("start", self.start.x, len(self.images), stack)
        return [*known, *step_keys(
            self.plan.steps[len(known) :], start, noise=self.noise, images=self.images, form=self.model.latent_format,
            content=self._content,
        )]  # fmt: skip

    def _content(self, step: Step) -> object:
        negative = self.encoded[step.negative].digest if step.needs_negative else None
        model, weights = self.models[step.model], self.weights[step.model]
        patches = model.patch_key(self.patches(step.model, step.loras))
        return self.encoded[step.positive].digest, negative, weights, model.storage, patches

    def run(self, state: SamplerState | None = None, done: int = 0) -> Iterator[tuple[Step, SamplerState]]:
        """Runs the steps from the done-th on and yields the state after each. Raises what `before_call` raises."""
        state = state or self.start
        runs: dict[int, Run] = {}
        for step in self.plan.steps[done:]:
            # Not around the yield: the caller's own code must not run in inference mode.
            with torch.inference_mode():
                if step.begins_leg and step.leg.left_at is not None:
                    state = self._restarted(step.leg, state)
                if id(step.leg) not in runs:
                    runs[id(step.leg)] = self._run(step.leg)
                state = self._stepped(step, self._of(step, state), runs[id(step.leg)])
            if step is self.plan.steps[done]:
                _refuse_overflow(state.x, self.models[step.model], step.model)
            yield step, state

    def _stepped(self, step: Step, state: SamplerState, run: Run) -> SamplerState:
        """The state after a step. A step in whose middle a model was rounded is done again: its key names one model."""
        while True:
            try:
                return SAMPLERS[step.sampler].step(self._model_of(step), state, run)
            except BitsChanged:  # once for each model at most
                continue

    def _of(self, step: Step, state: SamplerState) -> SamplerState:
        """The state as a step of this model takes it: what another model left of history is forgotten."""
        weights = self.weights[step.model]
        return replace(state if state.model == weights else state.forget(), model=weights)

    def halves(self, step: Step, x: Tensor) -> tuple[Tensor, Tensor]:
        """What a step that has a negative makes its guidance of: denoised of the negative and of the positive at x."""
        with torch.inference_mode():
            return self._model_of(step).halves(x, step.sigma)

    def _run(self, leg: Leg) -> Run:
        shape = tuple(self.latent.shape)
        source = noise_source(self.noise, seeds(leg, self.images), shape, leg.sigmas)
        return Run(sigmas=leg.sigmas, model_sampling=leg.model_sampling, noise=source, step_offset=leg.first)

    def _restarted(self, leg: Leg, state: SamplerState) -> SamplerState:
        """ComfyUI's border: out to VAE units and in again, with its rounding; a fresh history and noise stream."""
        assert leg.left_at is not None
        latent = self.model.latent_format.to_vae(leg.model_sampling.inverse_noise_scaling(leg.left_at, state.x))
        return SamplerState(x=self._scaled(leg, latent))

    def _model_of(self, step: Step) -> GuidedModel:
        """The guided model of a step, made once for all steps that share it; its LoRAs are put on."""
        model = self.models[step.model]
        model.patch(self.patches(step.model, step.loras))
        negative = step.negative if step.needs_negative else None
        key = (step.model, step.leg.model_sampling, step.positive, negative, step.cfg)
        if key not in self._guided:
            guided = GuidedModel(model, step.leg.model_sampling, step.cfg, self.before_call)
            encoded_negative = None if negative is None else self.encoded[negative]
            self._guided[key] = guided.conditioned(self.encoded[step.positive], encoded_negative, len(self.images))
        return self._guided[key]


def _refuse_overflow(x: Tensor, model: LoadedModel, name: str) -> None:
    """Looks once, after the first step of a run: what overflows there does so in every step. Raises UserError."""
    if not bool(torch.isfinite(x).all()):
        raise UserError(
            "{model} overflowed in its first step ({dtype}): its weights are damaged, or a LoRA or cfg is far too strong.",
            model=name,
            dtype=str(model.dtype).removeprefix("torch."),
        )


def seeds(leg: Leg, images: Sequence[int]) -> list[int]:
    """The noise seed of each image."""
    return [(leg.noise_seed + image) % SEEDS for image in images]


def step_keys(
    steps: Sequence[Step],
    start: str,
    *,
    noise: str,
    images: Sequence[int],
    form: object,
    content: Callable[[Step], object],
) -> list[str]:
    """The key of each step, from the key of the start on.

    form: names the latent format. content: names what a step only refers to: what its prompts are encoded to, weights.
    """
    key = start
    keys: list[str] = []
    for step in steps:
        leg, sampler = step.leg, SAMPLERS[step.sampler]
        if step.begins_leg and leg.left_at is not None:
            fresh = seeds(leg, images) if leg.add_noise else None
            key = digest("restart", key, leg.left_at, leg.sigmas[0], fresh, form)
        key = digest(
            key, sampler.table_key(leg.sigmas, step.index, noise, step.number), leg.model_sampling,
            (noise, seeds(leg, images)) if sampler.uses_noise else None, content(step), step.cfg,
        )  # fmt: skip
        keys.append(key)
    return keys
