"""Schedules: the levels of noise that a run goes through, from sigma_max down to 0, by ComfyUI's names.

A schedule of n steps has n+1 levels, the last one 0. Two exceptions are ComfyUI's own: ddim_uniform may be longer (its
stride is whole) and beta shorter (repeated levels fall out), so a run's number of steps is always the length less one.
"""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

from core.errors import UnknownName, UserError
from core.sampling.model_sampling import ModelSampling
from core.sampling.samplers import SAMPLERS

Schedule = Callable[[int, ModelSampling], Tensor]


def append_zero(sigmas: Tensor) -> Tensor:
    return torch.cat([sigmas, sigmas.new_zeros(1)])


def simple(n: int, ms: ModelSampling) -> Tensor:
    """Entries of the table at even distances, from the noisy end."""
    table = ms.sigmas
    stride = len(table) / n
    return append_zero(table[[len(table) - 1 - int(i * stride) for i in range(n)]])


def normal(n: int, ms: ModelSampling) -> Tensor:
    """Even timesteps from the first to the last. For flow this shifts the last one twice, as ComfyUI does."""
    start, end = ms.timestep(ms.sigma_max), ms.timestep(ms.sigma_min)
    if abs(ms.sigma(end)) < 1e-5:
        return ms.sigma(torch.linspace(start, end, n + 1))
    return append_zero(ms.sigma(torch.linspace(start, end, n)))


def sgm_uniform(n: int, ms: ModelSampling) -> Tensor:
    """Even timesteps without the last one (Stability's generative-models)."""
    start, end = ms.timestep(ms.sigma_max), ms.timestep(ms.sigma_min)
    return append_zero(ms.sigma(torch.linspace(start, end, n + 1)[:-1]))


def karras(n: int, ms: ModelSampling) -> Tensor:
    """Karras et al. 2022, equation 5, rho 7."""
    rho = 7.0
    low, high = ms.sigma_min ** (1 / rho), ms.sigma_max ** (1 / rho)
    return append_zero((high + torch.linspace(0, 1, n) * (low - high)) ** rho)


def exponential(n: int, ms: ModelSampling) -> Tensor:
    """Even steps of ln sigma."""
    return append_zero(torch.linspace(math.log(ms.sigma_max), math.log(ms.sigma_min), n).double().exp())


def ddim_uniform(n: int, ms: ModelSampling) -> Tensor:
    """Every (N // n)-th entry of the table from its second one on (Song et al. 2021)."""
    picked = ms.sigmas[1 :: max(len(ms.sigmas) // n, 1)].flip(0)
    return picked if abs(float(picked[-1])) < 1e-5 else append_zero(picked)


def beta(n: int, ms: ModelSampling) -> Tensor:
    """Quantiles of the beta distribution with a = b = 0.6 (Lee et al. 2024, Beta Sampling Is All You Need)."""
    # a third of a second to import, wanted by this schedule alone
    from scipy.special import betaincinv  # pyright: ignore[reportMissingTypeStubs]

    shares = 1 - np.linspace(0, 1, n, endpoint=False)
    indices = np.rint(betaincinv(0.6, 0.6, shares) * (len(ms.sigmas) - 1)).astype(int)
    distinct = [int(j) for k, j in enumerate(indices) if k == 0 or j != indices[k - 1]]
    return append_zero(ms.sigmas[distinct])


def linear_quadratic(n: int, ms: ModelSampling) -> Tensor:
    """Half the steps even over the first 2.5 %, then a parabola that starts with their slope (Genmo's Mochi)."""
    threshold, linear = 0.025, n // 2
    if n == 1:
        return torch.tensor([ms.sigma_max, 0.0])
    rest = n - linear
    slope = threshold / linear
    bend = (linear - threshold * n) / (linear * rest**2)
    done = [slope * i if i < linear else slope * i + bend * (i - linear) ** 2 for i in range(n)]
    return torch.tensor([1 - share for share in (*done, 1.0)]) * ms.sigma_max


def kl_optimal(n: int, ms: ModelSampling) -> Tensor:
    """Even angles between the arctangents of both ends (Sabour et al. 2024, Align Your Steps)."""
    share = torch.arange(n) / (n - 1)
    angles = share * math.atan(ms.sigma_min) + (1 - share) * math.atan(ms.sigma_max)
    return append_zero(torch.tan(angles.double()))


SCHEDULES: Mapping[str, Schedule] = MappingProxyType(
    {
        "normal": normal,
        "karras": karras,
        "exponential": exponential,
        "sgm_uniform": sgm_uniform,
        "simple": simple,
        "ddim_uniform": ddim_uniform,
        "beta": beta,
        "linear_quadratic": linear_quadratic,
        "kl_optimal": kl_optimal,
    }
)


def make_sigmas(name: str, steps: int, model_sampling: ModelSampling, sampler: str | None = None) -> Tensor:
    """The levels of a run, float32 on the CPU. Some samplers want a schedule of a step more, and drop a level of it."""
    if name not in SCHEDULES:
        raise UnknownName("scheduler", name, SCHEDULES)
    if sampler is not None and sampler not in SAMPLERS:
        raise UnknownName("sampler", sampler, SAMPLERS)
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UserError("The number of steps must be a whole number of at least 1, not {steps!r}.", steps=steps)
    drops = sampler is not None and SAMPLERS[sampler].discard_penultimate
    sigmas = SCHEDULES[name](steps + drops, model_sampling).float()
    if drops:
        sigmas = torch.cat([sigmas[:-2], sigmas[-1:]])
    if not bool(sigmas.isfinite().all()):
        raise UserError(
            "The scheduler {name} cannot make {steps} steps: choose more steps or another scheduler.",
            name=name,
            steps=steps,
        )
    return sigmas
