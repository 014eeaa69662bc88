"""`sample`: a sampler over a table of sigmas, with any callable as the model: the pipeline's steps alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from core.errors import UnknownName, UserError
from core.sampling.model_sampling import ModelSampling, floats
from core.sampling.noise import Seeds, noise_source
from core.sampling.samplers import SAMPLERS
from core.sampling.samplers.base import CallableDenoiser, Run
from core.sampling.state import SamplerState


@dataclass(frozen=True, slots=True)
class StepInfo:
    """What `on_step` is told after each step."""

    i: int
    """The step just done; its sigma is sigmas[i]."""
    sigma: float
    x: Tensor
    """After the step."""
    denoised: Tensor
    """The step's first evaluation."""
    state: SamplerState


@torch.no_grad()
def sample(
    model: Callable[[Tensor, Tensor], Tensor | tuple[Tensor, Tensor]],
    x: Tensor | None,
    sigmas: Tensor | Sequence[float],
    sampler: str,
    *,
    model_sampling: ModelSampling,
    seed: Seeds = 0,
    noise: str = "keyed",
    start: int | None = None,
    stop: int | None = None,
    state: SamplerState | None = None,
    step_offset: int = 0,
    on_step: Callable[[StepInfo], object] | None = None,
) -> SamplerState:
    """Run steps start … stop of the one table `sigmas` from x, or go on from a state as if there had been no cut.

    `model(x, sigma)` gives denoised for x [B, ...] and sigma float32 [B]; for samplers that need the negative, the pair
    (denoised, denoised of the negative). The caller scales the start (`noise_scaling`). ComfyUI's restart at a border is
    a second call with the sliced table and no state.
    """
    if sampler not in SAMPLERS:
        raise UnknownName("sampler", sampler, SAMPLERS)
    table = tuple(floats(torch.as_tensor(sigmas, dtype=torch.float32)))
    state = _begin(x, state, start)
    stop = len(table) - 1 if stop is None else stop
    if not 0 <= state.step <= stop < max(len(table), 1):
        steps = max(len(table) - 1, 0)
        raise UserError(
            "Steps {start} to {stop} do not lie within a table of {steps} steps: choose others.",
            start=state.step, stop=stop, steps=steps,
        )  # fmt: skip
    run = Run(table, model_sampling, noise_source(noise, seed, state.x.shape, table), step_offset)
    record, denoiser = SAMPLERS[sampler], CallableDenoiser(model)
    for i in range(state.step, stop):
        state = record.step(denoiser, state, run)
        if on_step is not None:
            denoised = state.x if state.denoised is None else state.denoised
            on_step(StepInfo(i, table[i], state.x, denoised, state))
    return state


def _begin(x: Tensor | None, state: SamplerState | None, start: int | None) -> SamplerState:
    if state is None:
        if x is None:
            raise UserError("A run needs a start: give x, or the state that an earlier run returned.")
        return SamplerState(x.to(torch.float32), step=start or 0)
    if start is not None and start != state.step:
        raise UserError(
            "The state stands before step {step}, not {start}: leave start out.", step=state.step, start=start
        )
    return state if x is None else replace(state, x=x.to(torch.float32))
