"""RES, the refined exponential solver (Zhang et al. 2023, arXiv 2308.02157), as a multistep; lambda = -ln sigma.

With noise each step goes to a lower sigma (`down`) and fresh noise leads back up.
"""

import math

from torch import Tensor

from core.sampling.samplers.base import Denoiser, Run, Sampler, ancestral
from core.sampling.state import Past, SamplerState


def _res(model: Denoiser, state: SamplerState, run: Run, noisy: bool, cfg_pp: bool) -> SamplerState:
    x, (s, n) = state.x, run.levels(state)
    D, U = model.both(x, s) if cfg_pp else _twice(model(x, s))
    down, up = ancestral(s, n) if noisy else (n, 0.0)
    history = (Past(s, U),)
    if down == 0 or not state.history:
        x = D + down / s * (x - U)
    else:
        x = _second_order(x + (D - U) if cfg_pp else x, U, state.history[0], (s, down), noisy)
    if up == 0:
        return state.after(x, D, history)
    return state.after(x + run.normal(state) * up, D, history, draws=1)


def _twice(D: Tensor) -> tuple[Tensor, Tensor]:
    return D, D


def _second_order(x: Tensor, D: Tensor, old: Past, step: tuple[float, float], noisy: bool) -> Tensor:
    """The paper's phi functions at -h. c2 is where the old evaluation stands, in steps from where its step ended."""
    s, down = step
    h = math.log(s / down)
    arrived = ancestral(old.sigma, s)[0] if noisy else s
    c2 = math.log(arrived / old.sigma) / h
    phi_1 = -math.expm1(-h) / h
    phi_2 = (1 - phi_1) / h
    b2 = phi_2 / c2 if c2 else 0.0
    return math.exp(-h) * x + (h * (phi_1 - b2)) * D + (h * b2) * old.value


def res_multistep(model: Denoiser, state: SamplerState, run: Run) -> SamplerState:
    """Without noise."""
    return _res(model, state, run, noisy=False, cfg_pp=False)


def res_multistep_ancestral(model: Denoiser, state: SamplerState, run: Run) -> SamplerState:
    """With noise."""
    return _res(model, state, run, noisy=True, cfg_pp=False)


def res_multistep_cfg_pp(model: Denoiser, state: SamplerState, run: Run) -> SamplerState:
    """CFG++ (Chung et al. 2024): along the negative, from the guided D."""
    return _res(model, state, run, noisy=False, cfg_pp=True)


def res_multistep_ancestral_cfg_pp(model: Denoiser, state: SamplerState, run: Run) -> SamplerState:
    """CFG++ with noise."""
    return _res(model, state, run, noisy=True, cfg_pp=True)


SAMPLERS = (
    Sampler(name="res_multistep", update=res_multistep),
    Sampler(name="res_multistep_cfg_pp", update=res_multistep_cfg_pp, needs_negative=True),
    Sampler(name="res_multistep_ancestral", update=res_multistep_ancestral, randomness="normal"),
    Sampler(
        name="res_multistep_ancestral_cfg_pp",
        update=res_multistep_ancestral_cfg_pp,
        randomness="normal",
        needs_negative=True,
    ),
)
