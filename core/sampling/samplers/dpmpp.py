"""DPM-Solver++ (Lu et al. 2022, arXiv 2211.01095): exponential integrators on denoised, lambda = -ln sigma."""

import math

from core.sampling.samplers.base import Denoiser, Run, Sampler, ancestral, ancestral_flow
from core.sampling.state import Past, SamplerState


def dpmpp_2m(model: Denoiser, state: SamplerState, run: Run) -> SamplerState:
    """Algorithm 2, multistep: D extrapolated along lambda from two evaluations."""
    x, (s, n) = state.x, run.levels(state)
    D = model(x, s)
    history = (Past(s, D),)
    if n == 0:
        return state.after(D, D, history)
    extrapolated = D
    if state.history:
        old = state.history[0]
        r = math.log(old.sigma / s) / math.log(s / n)
        extrapolated = (1 + 1 / (2 * r)) * D - 1 / (2 * r) * old.value
    return state.after(n / s * x + (1 - n / s) * extrapolated, D, history)


def dpmpp_2m_cfg_pp(model: Denoiser, state: SamplerState, run: Run) -> SamplerState:
    """Multistep with CFG++ (Chung et al. 2024): x goes on along the negative, from the guided D."""
    x, (s, n) = state.x, run.levels(state)
    D, U = model.both(x, s)
    history = (Past(s, U),)
    if n == 0:
        return state.after(D, D, history)
    ratio = n / s
    mixed = D + ratio * x - ratio * U
    if state.history:
        old = state.history[0]
        r = math.log(old.sigma / s) / math.log(s / n)
        mixed = mixed + (1 - ratio) / (2 * r) * (D - old.value)
    return state.after(mixed, D, history)


def dpmpp_2s_ancestral(model: Denoiser, state: SamplerState, run: Run) -> SamplerState:
    """Algorithm 1, singlestep (r = 1/2), to a lower sigma, then fresh noise back up."""
    x, (s, n) = state.x, run.levels(state)
    D = model(x, s)
    if n == 0:
        return state.after(D, D)
    if run.model_sampling.is_flow:
        down, scale, up = ancestral_flow(s, n)
        mid = _middle_of_flow(s, down)
    else:
        (down, up), scale = ancestral(s, n), 1.0
        mid = math.sqrt(s * down)
    D2 = model(mid / s * x + (1 - mid / s) * D, mid)
    x = (down / s * x + (1 - down / s) * D2) * scale
    return state.after(x + run.normal(state) * up, D, draws=1)


def _middle_of_flow(s: float, down: float) -> float:
    """Halfway in ln((1-sigma)/sigma); at sigma 1, where that is infinite, ComfyUI takes 0.9999."""
    if s == 1.0:
        return 0.9999
    odds = math.sqrt((1 - s) / s * ((1 - down) / down))
    return 1 / (odds + 1)


SAMPLERS = (
    Sampler(name="dpmpp_2s_ancestral", update=dpmpp_2s_ancestral, model_calls=2, randomness="normal"),
    Sampler(name="dpmpp_2m", update=dpmpp_2m),
    Sampler(name="dpmpp_2m_cfg_pp", update=dpmpp_2m_cfg_pp, needs_negative=True),
)
