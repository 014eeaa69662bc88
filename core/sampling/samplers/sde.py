"""DPM-Solver++ as SDE solvers (Lu et al. 2022; k-diffusion), eta 1: noise is the increment of a Brownian path.

lambda = ln(alpha/sigma), alpha the share of the clean latent in x: 1 for eps and v, 1 - sigma for flow.
"""

import math

import numpy as np
from torch import Tensor

from core.sampling.samplers.base import Denoiser, Run, Sampler, ancestral
from core.sampling.state import Past, SamplerState


def _lambda(sigma: float, flow: bool) -> float:
    return math.log((1 - sigma) / sigma) if flow else -math.log(sigma)


def _middle(s: float, n: float, flow: bool) -> float:
    """Halfway in lambda, in float32 all along: ComfyUI's Brownian tree is asked at this very float."""
    lambda_s, lambda_n = np.float32(_lambda(s, flow)), np.float32(_lambda(n, flow))
    middle = float(lambda_s + np.float32(0.5) * (lambda_n - lambda_s))
    return float(np.float32(1 / (math.exp(middle) + 1) if flow else math.exp(-middle)))


def _levels(state: SamplerState, run: Run) -> tuple[float, float]:
    """As the table's, but a flow's first sigma stays below 1, where lambda is infinite."""
    s, n = run.levels(state)
    if state.step == 0 and run.model_sampling.is_flow and s >= 1:
        s = float(np.float32(run.model_sampling.percent_to_sigma(1e-4)))
    return s, n


def dpmpp_sde(model: Denoiser, state: SamplerState, run: Run) -> SamplerState:
    """Singlestep, r = 1/2: an ancestral step to the middle of lambda, evaluate there, then one from s to n."""
    x, (s, n) = state.x, _levels(state, run)
    D = model(x, s)
    if n == 0:
        return state.after(D, D)
    flow = run.model_sampling.is_flow
    mid = _middle(s, n, flow)
    to_mid, to_n = run.brownian(state, s, mid, n)
    D2 = model(_ancestral_step(x, D, s, mid, flow, to_mid), mid)
    return state.after(_ancestral_step(x, D2, s, n, flow, to_n), D)


def _ancestral_step(x: Tensor, D: Tensor, s: float, n: float, flow: bool, noise: Tensor) -> Tensor:
    alpha_s, alpha_n = (1 - s, 1 - n) if flow else (1.0, 1.0)
    down, up = ancestral(s / alpha_s, n / alpha_n)
    ratio = down / (s / alpha_s)
    return (alpha_n / alpha_s * ratio) * x + alpha_n * (1 - ratio) * D + noise * (alpha_n * up)


def _first_order(x: Tensor, D: Tensor, s: float, n: float, flow: bool) -> tuple[Tensor, float, float, float]:
    """The first-order part of a multistep SDE step, with alpha, h and he = h(1 + eta) = 2h at hand for the rest."""
    h = _lambda(n, flow) - _lambda(s, flow)
    alpha, he = (1 - n if flow else 1.0), 2 * h
    return n / s * math.exp(-h) * x - alpha * math.expm1(-he) * D, alpha, h, he


def _with_noise(x: Tensor, state: SamplerState, run: Run, s: float, n: float, h: float) -> Tensor:
    (noise,) = run.brownian(state, s, n)
    return x + noise * (n * math.sqrt(-math.expm1(-2 * h)))


def _dpmpp_2m_sde(model: Denoiser, state: SamplerState, run: Run, heun: bool) -> SamplerState:
    x, (s, n) = state.x, _levels(state, run)
    D = model(x, s)
    history = (Past(s, D),)
    if n == 0:
        return state.after(D, D, history)
    flow = run.model_sampling.is_flow
    x, alpha, h, he = _first_order(x, D, s, n, flow)
    if state.history:
        old = state.history[0]
        r = (_lambda(s, flow) - _lambda(old.sigma, flow)) / h
        phi = math.expm1(-he) / he + 1 if heun else -0.5 * math.expm1(-he)
        x = x + alpha * phi / r * (D - old.value)
    return state.after(_with_noise(x, state, run, s, n, h), D, history)


def dpmpp_2m_sde(model: Denoiser, state: SamplerState, run: Run) -> SamplerState:
    """Multistep of second order, midpoint form."""
    return _dpmpp_2m_sde(model, state, run, heun=False)


def dpmpp_2m_sde_heun(model: Denoiser, state: SamplerState, run: Run) -> SamplerState:
    """Multistep of second order, Heun form."""
    return _dpmpp_2m_sde(model, state, run, heun=True)


def dpmpp_3m_sde(model: Denoiser, state: SamplerState, run: Run) -> SamplerState:
    """Multistep of third order."""
    x, (s, n) = state.x, _levels(state, run)
    D = model(x, s)
    history = (Past(s, D), *state.history)[:2]
    if n == 0:
        return state.after(D, D, history)
    flow = run.model_sampling.is_flow
    x, alpha, h, he = _first_order(x, D, s, n, flow)
    phi_2 = math.expm1(-he) / he + 1
    if state.history:
        old = state.history[0]
        r0 = (_lambda(s, flow) - _lambda(old.sigma, flow)) / h
        d1 = d1_0 = (D - old.value) / r0
        if len(state.history) > 1:
            older = state.history[1]
            r1 = (_lambda(old.sigma, flow) - _lambda(older.sigma, flow)) / h
            d2 = (d1_0 - (old.value - older.value) / r1) / (r0 + r1)
            d1 = d1_0 + d2 * r0
            x = x - alpha * (phi_2 / he - 0.5) * d2
        x = x + alpha * phi_2 * d1
    return state.after(_with_noise(x, state, run, s, n, h), D, history)


SAMPLERS = (
    Sampler(name="dpmpp_sde", update=dpmpp_sde, model_calls=2, randomness="brownian"),
    Sampler(name="dpmpp_2m_sde", update=dpmpp_2m_sde, randomness="brownian"),
    Sampler(name="dpmpp_2m_sde_heun", update=dpmpp_2m_sde_heun, randomness="brownian"),
    Sampler(name="dpmpp_3m_sde", update=dpmpp_3m_sde, randomness="brownian"),
)
