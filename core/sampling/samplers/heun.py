"""Second order in one step, with two model calls: Heun, Heun++, DPM-Solver-2."""

import math
from collections.abc import Sequence

from core.sampling.samplers.base import Denoiser, Key, Run, Sampler, ancestral, ancestral_flow
from core.sampling.state import SamplerState


def heun(model: Denoiser, state: SamplerState, run: Run) -> SamplerState:
    """Karras et al. 2022, algorithm 2."""
    x, (s, n) = state.x, run.levels(state)
    D = model(x, s)
    d = (x - D) / s
    euler = x + d * (n - s)
    if n == 0:
        return state.after(euler, D)
    d2 = (euler - model(euler, n)) / n
    return state.after(x + (d + d2) / 2 * (n - s), D)


def heunpp2(model: Denoiser, state: SamplerState, run: Run) -> SamplerState:
    """Heun++ (Carzit's sd-webui samplers): derivatives at the next levels, weighed by sigma over the run's first."""
    i, sigmas = state.step, run.sigmas
    x, (s, n) = state.x, run.levels(state)
    D = model(x, s)
    d = (x - D) / s
    x2 = x + d * (n - s)
    if n == sigmas[-1]:
        return state.after(x2, D)
    d2 = (x2 - model(x2, n)) / n
    third = sigmas[i + 2]
    if third == sigmas[-1]:
        w2 = n / (2 * sigmas[0])
        return state.after(x + ((1 - w2) * d + w2 * d2) * (n - s), D)
    x3 = x2 + d2 * (third - n)
    d3 = (x3 - model(x3, third)) / third
    w2, w3 = n / (3 * sigmas[0]), third / (3 * sigmas[0])
    return state.after(x + ((1 - w2 - w3) * d + w2 * d2 + w3 * d3) * (n - s), D)


def heunpp2_reads(sigmas: Sequence[float], i: int) -> Key:
    s, n, last = sigmas[i], sigmas[i + 1], sigmas[-1]
    if n == last:
        return (s, n)
    third = sigmas[i + 2]
    return (sigmas[0], s, n) if third == last else (sigmas[0], s, n, third)


def dpm_2(model: Denoiser, state: SamplerState, run: Run) -> SamplerState:
    """DPM-Solver-2 (Lu et al. 2022): the derivative at the middle of ln sigma."""
    x, (s, n) = state.x, run.levels(state)
    D = model(x, s)
    d = (x - D) / s
    if n == 0:
        return state.after(x + d * (n - s), D)
    mid = math.sqrt(s * n)
    x2 = x + d * (mid - s)
    d2 = (x2 - model(x2, mid)) / mid
    return state.after(x + d2 * (n - s), D)


def dpm_2_ancestral(model: Denoiser, state: SamplerState, run: Run) -> SamplerState:
    """DPM-Solver-2 to a lower sigma, then fresh noise back up."""
    x, (s, n) = state.x, run.levels(state)
    D = model(x, s)
    d = (x - D) / s
    if n == 0:
        return state.after(x + d * (n - s), D)
    down, scale, up = ancestral_flow(s, n) if run.model_sampling.is_flow else with_scale(*ancestral(s, n))
    mid = math.sqrt(s * down)
    x2 = x + d * (mid - s)
    d2 = (x2 - model(x2, mid)) / mid
    x = (x + d2 * (down - s)) * scale
    return state.after(x + run.normal(state) * up, D, draws=1)


def with_scale(down: float, up: float) -> tuple[float, float, float]:
    return down, 1.0, up


SAMPLERS = (
    Sampler(name="heun", update=heun, model_calls=2),
    Sampler(name="heunpp2", update=heunpp2, model_calls=3, reads=heunpp2_reads),
    Sampler(name="dpm_2", update=dpm_2, model_calls=2, discard_penultimate=True),
    Sampler(
        name="dpm_2_ancestral", update=dpm_2_ancestral, model_calls=2, randomness="normal", discard_penultimate=True
    ),
)
