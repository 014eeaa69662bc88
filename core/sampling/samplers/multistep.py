"""Adams-Bashforth kin: linear multistep formulas on the derivative d = (x - D)/s, remembered from earlier steps."""

import math
from collections.abc import Callable, Sequence

import numpy as np
from torch import Tensor

from core.sampling.samplers.base import Denoiser, Run, Sampler
from core.sampling.state import Past, SamplerState

Coefficients = Callable[[float, list[float]], list[float]]
"""(n, [s, sigmas of the past, newest first]) -> the weight of each derivative, dx = sum of weight * d."""


def _multistep(model: Denoiser, state: SamplerState, run: Run, order: int, weights: Coefficients) -> SamplerState:
    x, (s, n) = state.x, run.levels(state)
    D = model(x, s)
    d = (x - D) / s
    past = (Past(s, d), *state.history)[:order]
    if n == 0:
        return state.after(D, D, past)
    for weight, old in zip(weights(n, [old.sigma for old in past]), past, strict=True):
        x = x.add(old.value, alpha=weight)
    return state.after(x, D, past)


def lagrange(points: Sequence[float], j: int, t: float) -> float:
    """The polynomial that is 1 at points[j] and 0 at the others."""
    return math.prod((t - p) / (points[j] - p) for k, p in enumerate(points) if k != j)


def lms_weights(n: float, sigmas: list[float]) -> list[float]:
    """Integrals of the Lagrange polynomials over [s, n]. Two Gauss points are exact up to degree 3."""
    middle, half = (n + sigmas[0]) / 2, (n - sigmas[0]) / 2
    nodes = (middle - half / math.sqrt(3), middle + half / math.sqrt(3))
    return [half * sum(lagrange(sigmas, j, t) for t in nodes) for j in range(len(sigmas))]


def lms(model: Denoiser, state: SamplerState, run: Run) -> SamplerState:
    """Linear multistep, order 4, in sigma (Crowson's k-diffusion)."""
    return _multistep(model, state, run, 4, lms_weights)


ADAMS_BASHFORTH = {
    1: (1.0,),
    2: (3 / 2, -1 / 2),
    3: (23 / 12, -16 / 12, 5 / 12),
    4: (55 / 24, -59 / 24, 37 / 24, -9 / 24),
}


def ipndm_weights(n: float, sigmas: list[float]) -> list[float]:
    """Adams-Bashforth as if all steps were equal."""
    return [(n - sigmas[0]) * weight for weight in ADAMS_BASHFORTH[len(sigmas)]]


def ipndm(model: Denoiser, state: SamplerState, run: Run) -> SamplerState:
    """Improved PNDM, order 4 (Zhang and Chen 2022, arXiv 2204.13902)."""
    return _multistep(model, state, run, 4, ipndm_weights)


def ipndm_v_weights(n: float, sigmas: list[float]) -> list[float]:
    """Adams-Bashforth for unequal steps as diff-solvers publishes it.

    Exact at orders 1 and 2; its brackets at order 3 and its last ratio at order 4 differ from the exact formula.
    """
    levels = [n, *sigmas]
    h, h1, h2, h3 = [a - b for a, b in zip(levels, sigmas, strict=False)] + [math.nan] * (4 - len(sigmas))
    if len(sigmas) == 1:
        return [h]
    weights = [1 + h / h1 / 2, -h / h1 / 2, 0.0, 0.0]
    if len(sigmas) > 2:
        g = (1 - h / (3 * (h + h1)) * (h * (h + h1)) / (h1 * (h1 + h2))) / 2
        terms = (1.0, -(1 + h1 / h2), h1 / h2, 0.0)
        weights = [weight + g * term for weight, term in zip(weights, terms, strict=True)]
    if len(sigmas) > 3:
        g = (1 - h / (3 * (h + h1))) / 2 + (1 - h / (2 * (h + h1))) * h / (6 * (h + h1 + h2))
        g *= h * (h + h1) * (h + h1 + h2) / (h1 * (h1 + h2) * (h1 + h2 + h3))
        b = h1 * (h1 + h2) / (h2 * (h2 + h3))
        terms = (1.0, -(1 + h1 / h2 + b), h1 / h2 + b * (1 + h2 / h3), -b * h1 / h2)
        weights = [weight + g * term for weight, term in zip(weights, terms, strict=True)]
    return [h * weight for weight in weights[: len(sigmas)]]


def ipndm_v(model: Denoiser, state: SamplerState, run: Run) -> SamplerState:
    """Improved PNDM for unequal steps, order 4 (Zhou et al. 2023, diff-solvers)."""
    return _multistep(model, state, run, 4, ipndm_v_weights)


# The VP clock of EDM (Karras et al. 2022, table 1), ln(sigma^2+1) = B/2 t^2 + b t, with its sigma range and least time
_LOW, _HIGH, _EPS = math.log(0.002**2 + 1), math.log(80.0**2 + 1), 1e-3
BETA_D = 2 * (_LOW / _EPS - _HIGH) / (_EPS - 1)
BETA_MIN = _HIGH - BETA_D / 2
GAUSS_NODES, GAUSS_WEIGHTS = np.polynomial.legendre.leggauss(16)
POINTS = 10_000


def vp_time(sigma: float) -> float:
    return (math.sqrt(BETA_MIN**2 + 2 * BETA_D * math.log(sigma * sigma + 1)) - BETA_MIN) / BETA_D


def _d_sigma(t: np.ndarray) -> np.ndarray:
    """d sigma / dt of the VP clock."""
    sigma = np.sqrt(np.expm1(BETA_D / 2 * t * t + BETA_MIN * t))
    return (BETA_D * t + BETA_MIN) * (sigma * sigma + 1) / (2 * sigma)


def deis_weights(n: float, sigmas: list[float]) -> list[float]:
    """Integrals over sigma of Lagrange polynomials in VP time.

    The published sum takes 10000 points, both ends included; what it exceeds the integral by is kept.
    """
    times = [vp_time(sigma) for sigma in sigmas]
    a, b = times[0], vp_time(n)
    if len(sigmas) == 1:
        return [n - sigmas[0]]
    taus = np.concatenate([(a + b) / 2 + (b - a) / 2 * GAUSS_NODES, [a, b]])
    slopes = _d_sigma(taus)
    measure = np.concatenate([(b - a) / 2 * GAUSS_WEIGHTS * (1 - 1 / POINTS), [(b - a) / (2 * POINTS)] * 2]) * slopes
    weights: list[float] = []
    for j, own in enumerate(times):
        others = [t for k, t in enumerate(times) if k != j]
        polynomial = np.prod([(taus - t) / (own - t) for t in others], axis=0)
        weights.append(float(measure @ polynomial))
    return weights


def deis(model: Denoiser, state: SamplerState, run: Run) -> SamplerState:
    """DEIS, tAB form, order 3 (Zhang and Chen 2022, arXiv 2204.13902)."""
    return _multistep(model, state, run, 3, deis_weights)


def gradient_estimation(model: Denoiser, state: SamplerState, run: Run) -> SamplerState:
    """Permenter and Yuan 2023 (arXiv 2306.04848), gamma 2: the derivative, pushed away from the last one."""
    gamma = 2.0
    x, (s, n) = state.x, run.levels(state)
    D = model(x, s)
    d = (x - D) / s
    past = (Past(s, d),)
    if n == 0:
        return state.after(D, D, past)
    step: Tensor = d if not state.history else gamma * d + (1 - gamma) * state.history[0].value
    return state.after(x + step * (n - s), D, past)


SAMPLERS = (
    Sampler(name="lms", update=lms),
    Sampler(name="ipndm", update=ipndm),
    Sampler(name="ipndm_v", update=ipndm_v),
    Sampler(name="deis", update=deis),
    Sampler(name="gradient_estimation", update=gradient_estimation),
)
