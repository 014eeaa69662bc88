"""A closed-form network whose ComfyUI results stand in tests/refs/toy.npz, and ComfyUI's way to run a segment on it."""

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from core.sampling import SAMPLERS, SamplerState, cfg, make_sigmas, sample, starting_noise
from core.sampling.model_sampling import EpsDiscrete, Flow, ModelSampling

REFS = Path(__file__).parents[1] / "refs"
SEED = 1234


@dataclass(frozen=True)
class Kind:
    """A kind of model as the references were made with it."""

    model_sampling: ModelSampling
    schedule: str
    steps: int
    shape: tuple[int, ...]
    w: float
    scale: float
    shift: float

    def sigmas(self, sampler: str) -> Tensor:
        return make_sigmas(self.schedule, self.steps, self.model_sampling, sampler)


KINDS = {
    "eps": Kind(EpsDiscrete(), "normal", 8, (1, 4, 8, 8), w=0.01, scale=0.18215, shift=0.0),
    "zflow": Kind(Flow(3.0), "simple", 9, (1, 16, 8, 8), w=10.0, scale=0.3611, shift=0.1159),
}
# the second table of the identity tests: same model, levels at other places
MORE_KINDS = {**KINDS, "eps_karras": Kind(EpsDiscrete(), "karras", 7, (1, 4, 8, 8), w=0.01, scale=1.0, shift=0.0)}


@functools.cache
def toy_refs() -> dict[str, Tensor]:
    with np.load(REFS / "toy.npz") as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays.files}


@functools.cache
def schedule_refs() -> dict[str, list[float] | str]:
    return json.loads((REFS / "schedules.json").read_text())


def net(x: Tensor, t: Tensor, w: float, context: float) -> Tensor:
    return 0.7 * x + 0.2 * torch.tanh(2 * torch.roll(x, 1, dims=-1)) + 0.05 * torch.sin(w * t) + context


def toy_model(
    kind: Kind, sampler: str, scale: float = 2.0
) -> Callable[[Tensor, Tensor], Tensor | tuple[Tensor, Tensor]]:
    ms, pair = kind.model_sampling, SAMPLERS[sampler].needs_negative

    def model(x: Tensor, sigma: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        t = ms.timestep(sigma).float().view(-1, 1, 1, 1)
        net_input = ms.input(x, sigma)
        positive, negative = (ms.denoised(x, sigma, net(net_input, t, kind.w, context)) for context in (0.3, -0.2))
        guided = cfg(positive, negative, scale)
        return (guided, negative) if pair else guided

    return model


def start(kind: Kind, sigmas: Tensor, seed: int | list[int] = SEED, batch: int = 1) -> Tensor:
    noise = starting_noise(seed, (batch, *kind.shape[1:]))
    return kind.model_sampling.noise_scaling(float(sigmas[0]), noise, torch.zeros_like(noise))


def comfy_segment(kind: Kind, sampler: str, sigmas: Tensor, latent: Tensor, seed: int, add_noise: bool) -> Tensor:
    """One KSampler (Advanced): latent in, latent out, in the units that ComfyUI hands between nodes."""
    ms = kind.model_sampling
    clean = (latent - kind.shift) * kind.scale if bool(latent.count_nonzero()) else latent
    noise = starting_noise(seed, latent.shape) if add_noise else torch.zeros_like(latent)
    x = ms.noise_scaling(float(sigmas[0]), noise, clean)
    state = sample(toy_model(kind, sampler), x, sigmas, sampler, model_sampling=ms, seed=seed, noise="comfyui")
    ended_at = float(sigmas[-1]) or SAMPLERS[sampler].last_sigma
    return ms.inverse_noise_scaling(ended_at, state.x) / kind.scale + kind.shift


def same_state(a: SamplerState, b: SamplerState) -> bool:
    """Equal in every bit that a next step could read."""
    if (a.step, a.sampler, a.draws, len(a.history)) != (b.step, b.sampler, b.draws, len(b.history)):
        return False
    if not torch.equal(a.x, b.x):
        return False
    return all(
        p.sigma == q.sigma
        and torch.equal(p.value, q.value)
        and (p.x is None) == (q.x is None)
        and (p.x is None or q.x is None or torch.equal(p.x, q.x))
        for p, q in zip(a.history, b.history, strict=True)
    )
