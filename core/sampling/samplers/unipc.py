"""UniPC (Zhao et al. 2023, arXiv 2302.04867): predictor and corrector on denoised, order 3, lambda = -ln sigma.

A step first corrects the state that it was handed, with its own fresh evaluation, and then predicts the next.
"""

import math
from collections.abc import Sequence

import numpy as np
from torch import Tensor

from core.sampling.samplers.base import Denoiser, Key, Run, Sampler
from core.sampling.state import Past, SamplerState

ORDER = 3
LAST_SIGMA = 0.001
"""In place of a final 0, where lambda is infinite (ComfyUI's value)."""
LAST_LEVEL = 2.0**-10
"""What float32 leaves of it in ComfyUI, where sigma goes through sqrt(1 - 1/(1 + sigma^2))."""


def _order(steps: int, i: int) -> int:
    """The order of the prediction in step i, as far as the table decides: lower at the end; 0 in a run of one step."""
    return min(ORDER, steps - 1, steps - i)


def unipc_reads(sigmas: Sequence[float], i: int) -> Key:
    steps = len(sigmas) - 1
    return (sigmas[i], sigmas[i + 1], _order(steps, i))  # which decides the order of the step before as well


def _weights(ratios: list[float], h: float, bh2: bool, corrects: bool) -> list[float]:
    """-B(h) rho, where sum_m rho_m r_m^(k-1) = k! h phi_(k+1)(-h) / B(h) for k = 1 … p (the paper's equation 5).

    The last ratio, 1, is the evaluation at the end of the step, which only the corrector has.
    """
    hh = -h
    B = math.expm1(hh) if bh2 else hh
    phi = math.expm1(hh) / hh - 1
    right: list[float] = []
    for k in range(1, len(ratios) + 1):
        right.append(phi * math.factorial(k) / B)
        phi = phi / hh - 1 / math.factorial(k + 1)
    unknowns = len(ratios) if corrects else len(ratios) - 1
    if unknowns == 1:
        return [-B / 2]  # the paper's own simplification
    left = [[r**k for r in ratios[:unknowns]] for k in range(unknowns)]
    return [-B * rho for rho in np.linalg.solve(left, right[:unknowns]).tolist()] if unknowns else []


def _solve(x: Tensor, n: float, points: Sequence[Past], D_n: Tensor | None, bh2: bool) -> Tensor:
    """From points[0] to n through all points, as many as the order; with the evaluation at n, the corrector."""
    base, others = points[0], points[1:]
    h = math.log(base.sigma / n)
    ratios = [math.log(base.sigma / other.sigma) / h for other in others]
    weights = _weights([*ratios, 1.0], h, bh2, corrects=D_n is not None)
    values = [(other.value, w / r) for other, w, r in zip(others, weights, ratios, strict=False)]
    if D_n is not None:
        values.append((D_n, weights[-1]))
    x = n / base.sigma * x
    x = x.add(base.value, alpha=-math.expm1(-h) - sum(weight for _, weight in values))
    for value, weight in values:
        x = x.add(value, alpha=weight)
    return x


def _unipc(model: Denoiser, state: SamplerState, run: Run, bh2: bool) -> SamplerState:
    i, steps, past = state.step, len(run.sigmas) - 1, state.history
    x, (s, n) = state.x, run.levels(state)
    D = model(x, s)
    if past and past[0].x is not None:
        x = _solve(past[0].x, s, past[: _order(steps, i - 1)], D, bh2)
    points = (Past(s, D, x), *past)[:ORDER]
    if steps == 1:  # ComfyUI's quirk: order 0 only changes the scale
        return state.after(x * math.sqrt((1 + (n or LAST_SIGMA) ** 2) / (1 + s * s)), D)
    x = _solve(x, n or LAST_LEVEL, points[: _order(steps, i)], None, bh2)
    return state.after(x, D, (points[0], *(Past(old.sigma, old.value) for old in points[1:])))


def uni_pc(model: Denoiser, state: SamplerState, run: Run) -> SamplerState:
    """B(h) = h."""
    return _unipc(model, state, run, bh2=False)


def uni_pc_bh2(model: Denoiser, state: SamplerState, run: Run) -> SamplerState:
    """B(h) = e^h - 1."""
    return _unipc(model, state, run, bh2=True)


SAMPLERS = (
    Sampler(name="uni_pc", update=uni_pc, discard_penultimate=True, reads=unipc_reads, last_sigma=LAST_SIGMA),
    Sampler(name="uni_pc_bh2", update=uni_pc_bh2, discard_penultimate=True, reads=unipc_reads, last_sigma=LAST_SIGMA),
)
