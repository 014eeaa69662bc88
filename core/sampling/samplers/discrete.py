"""Samplers that jump to denoised or to the posterior: LCM and DDPM."""

import math

from core.sampling.samplers.base import Denoiser, Run, Sampler
from core.sampling.state import SamplerState


def lcm(model: Denoiser, state: SamplerState, run: Run) -> SamplerState:
    """Latent consistency (Luo et al. 2023): jump to D, then noise it again down to n."""
    x, (s, n) = state.x, run.levels(state)
    D = model(x, s)
    if n == 0:
        return state.after(D, D)
    return state.after(run.model_sampling.noise_scaling(n, run.normal(state), D, max_denoise=False), D, draws=1)


def ddpm(model: Denoiser, state: SamplerState, run: Run) -> SamplerState:
    """Ho et al. 2020, the posterior's mean and variance, at acp = 1/(sigma^2 + 1)."""
    x, (s, n) = state.x, run.levels(state)
    D = model(x, s)
    acp, acp_next = 1 / (s * s + 1), 1 / (n * n + 1)
    alpha = acp / acp_next
    eps = (x - D) / s
    mean = (x * math.sqrt(acp) - (1 - alpha) / math.sqrt(1 - acp) * eps) / math.sqrt(alpha)
    if n == 0:
        return state.after(mean, D)
    up = math.sqrt((1 - alpha) * (1 - acp_next) / (1 - acp))
    return state.after((mean + run.normal(state) * up) / math.sqrt(acp_next), D, draws=1)


SAMPLERS = (
    Sampler(name="lcm", update=lcm, randomness="normal"),
    Sampler(name="ddpm", update=ddpm, randomness="normal"),
)
