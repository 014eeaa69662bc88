"""What a sampler is: a pure function from one state to the next, and what the rest of the program must know about it.

A step is (model, state, run) -> state. It evaluates the model at the state's sigma first, then corrects, then predicts,
so that whatever changes between two steps acts from the first step after the change. Symbols as in the papers: s and n
are the sigmas before and after the step, D is denoised, U the negative's denoised, d = (x - D)/s the derivative, h a
step in lambda = -ln sigma.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import torch
from torch import Tensor

from core.errors import UserError
from core.sampling.model_sampling import ModelSampling
from core.sampling.noise import NoiseSource, table_ends
from core.sampling.state import SamplerState

Key = tuple[float | int | str, ...]


class Denoiser(Protocol):
    """A model with its conditioning and guidance: x of shape [B, ...] and a sigma to denoised."""

    def __call__(self, x: Tensor, sigma: float) -> Tensor: ...

    def both(self, x: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
        """(denoised, denoised of the negative alone), for the samplers that need the negative."""
        ...


class CallableDenoiser:
    """Any callable `model(x, sigma) -> denoised` (or the pair of both), sigma float32 of shape [B] on x's device."""

    def __init__(self, model: Callable[[Tensor, Tensor], Tensor | tuple[Tensor, Tensor]]) -> None:
        self._model = model

    def _call(self, x: Tensor, sigma: float) -> Tensor | tuple[Tensor, Tensor]:
        return self._model(x, torch.full((x.shape[0],), sigma, dtype=torch.float32, device=x.device))

    def __call__(self, x: Tensor, sigma: float) -> Tensor:
        out = self._call(x, sigma)
        return out if isinstance(out, Tensor) else out[0]

    def both(self, x: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
        out = self._call(x, sigma)
        return (out, out) if isinstance(out, Tensor) else out


@dataclass(frozen=True, slots=True)
class Run:
    """What stays the same over the steps of a run."""

    sigmas: tuple[float, ...]
    """The whole table: n+1 float32 levels for n steps."""
    model_sampling: ModelSampling
    noise: NoiseSource
    step_offset: int = 0
    """Run steps before this table's first, where a restarted segment has a table of its own."""

    def levels(self, state: SamplerState) -> tuple[float, float]:
        """Sigma before and after the state's next step."""
        return self.sigmas[state.step], self.sigmas[state.step + 1]

    def normal(self, state: SamplerState) -> Tensor:
        return self.noise.normal(self.step_offset + state.step, state.draws).to(state.x.device)

    def brownian(self, state: SamplerState, *times: float) -> list[Tensor]:
        """Standardised increments from times[0] to each later time."""
        return [w.to(state.x.device) for w in self.noise.brownian(self.step_offset + state.step, times)]


def two_levels(sigmas: Sequence[float], i: int) -> Key:
    return (sigmas[i], sigmas[i + 1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampler:
    """A sampler's record."""

    name: str
    update: Callable[[Denoiser, SamplerState, Run], SamplerState]
    model_calls: int = 1
    """Evaluations in an ordinary step; a first or last step may need fewer."""
    randomness: Literal["none", "normal", "brownian"] = "none"
    needs_negative: bool = False
    discard_penultimate: bool = False
    """Its schedule is made for one step more, whose level before 0 is then dropped."""
    reads: Callable[[Sequence[float], int], Key] = two_levels
    """Everything of the table that step i reads, beside what its history holds."""
    last_sigma: float = 0.0
    """Where it really stops when the table ends in 0."""

    @property
    def uses_noise(self) -> bool:
        return self.randomness != "none"

    def step(self, model: Denoiser, state: SamplerState, run: Run) -> SamplerState:
        """Step `state.step` of the run. A history that another sampler left is dropped."""
        if state.sampler != self.name:
            state = replace(state, sampler=self.name, history=())
        try:
            return self.update(model, state, run)
        except ZeroDivisionError as error:  # a step of no length, where the method divides by it
            s, n = run.levels(state)
            raise UserError(
                "The sampler {sampler} cannot step from sigma {s:g} to {n:g}: choose fewer steps or another scheduler.",
                sampler=self.name,
                s=s,
                n=n,
            ) from error

    def table_key(self, sigmas: Sequence[float], i: int, noise: str, run_step: int | None = None) -> Key:
        """All of the table and of the step's place that can reach the bits of step i, given the state before it.

        Equal model_sampling, seeds and noise kind are presumed. `run_step` is the step of the whole run (default i).
        """
        key: Key = (self.name, *self.reads(sigmas, i))
        if self.uses_noise and noise == "keyed":
            return (*key, i if run_step is None else run_step)
        if self.randomness == "brownian":
            return (*key, *table_ends(sigmas))
        return key


def ancestral(s: float, n: float) -> tuple[float, float]:
    """(down, up): step down to `down`, then noise of size `up` leads back up to n. down^2 + up^2 = n^2."""
    r = n / s
    return n * r, n * math.sqrt(max(1 - r * r, 0.0))


def ancestral_flow(s: float, n: float) -> tuple[float, float, float]:
    """(down, scale, up) for flow, 0 < n: step to `down`, multiply by `scale`, add noise of size `up`."""
    down = n * n / s
    scale = (1 - n) / (1 - down)
    return down, scale, math.sqrt(max(n * n - (down * scale) ** 2, 0.0))
