"""First order: Euler, Euler with noise, and their CFG++ forms."""

import math

from core.sampling.samplers.base import Denoiser, Run, Sampler, ancestral, ancestral_flow
from core.sampling.state import SamplerState


def euler(model: Denoiser, state: SamplerState, run: Run) -> SamplerState:
    """Karras et al. 2022, algorithm 2 without its correction; DDIM (Song et al. 2021) is the same in these units."""
    x, (s, n) = state.x, run.levels(state)
    D = model(x, s)
    d = (x - D) / s
    return state.after(x + d * (n - s), D)


def euler_ancestral(model: Denoiser, state: SamplerState, run: Run) -> SamplerState:
    """Euler to a lower sigma, then fresh noise back up (k-diffusion; the flow form keeps the path's variance)."""
    x, (s, n) = state.x, run.levels(state)
    D = model(x, s)
    if n == 0:
        return state.after(D, D)
    if run.model_sampling.is_flow:
        down, scale, up = ancestral_flow(s, n)
        x = (down / s * x + (1 - down / s) * D) * scale
    else:
        down, up = ancestral(s, n)
        x = x + (x - D) / s * (down - s)
    return state.after(x + run.normal(state) * up, D, draws=1)


def euler_cfg_pp(model: Denoiser, state: SamplerState, run: Run) -> SamplerState:
    """CFG++ (Chung et al. 2024): the clean part is guided, the direction of the noise is the negative's."""
    x, (s, n) = state.x, run.levels(state)
    D, U = model.both(x, s)
    alpha_s, alpha_n = _alphas(run, s, n)
    d = (x - alpha_s * U) / s
    return state.after(alpha_n * D + n * d, D)


def euler_ancestral_cfg_pp(model: Denoiser, state: SamplerState, run: Run) -> SamplerState:
    """Euler ancestral with CFG++; it splits the variance in units of sigma/alpha."""
    x, (s, n) = state.x, run.levels(state)
    D, U = model.both(x, s)
    if n == 0:
        return state.after(D, D)
    alpha_s, alpha_n = _alphas(run, s, n)
    r = n / s * alpha_s / alpha_n
    d = (x - alpha_s * U) / s
    up = n * math.sqrt(1 - r * r)
    return state.after(alpha_n * D + n * r * d + run.normal(state) * up, D, draws=1)


def _alphas(run: Run, s: float, n: float) -> tuple[float, float]:
    """The share of the clean latent in x before and after: 1 for eps and v, 1 - sigma for flow."""
    return (1 - s, 1 - n) if run.model_sampling.is_flow else (1.0, 1.0)


SAMPLERS = (
    Sampler(name="euler", update=euler),
    Sampler(name="euler_cfg_pp", update=euler_cfg_pp, needs_negative=True),
    Sampler(name="euler_ancestral", update=euler_ancestral, randomness="normal"),
    Sampler(name="euler_ancestral_cfg_pp", update=euler_ancestral_cfg_pp, randomness="normal", needs_negative=True),
    Sampler(name="ddim", update=euler),
)
