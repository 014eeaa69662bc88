"""Schedules as curves, and where on them a sampler really asks the model: measured on a toy, never looked up."""

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from core.errors import UserError
from core.sampling import SAMPLERS, SCHEDULES, ModelSampling, StepInfo, make_sigmas, sample
from core.sampling.model_sampling import floats

TOY = (1, 1, 2, 2)  # the smallest latent that every sampler takes


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The model is asked at this level of noise, in this step (from 0)."""

    step: int
    sigma: float


@dataclass(frozen=True, kw_only=True)
class Curve:
    """The levels of one schedule, n+1 for n steps; or none, and why."""

    name: str
    sigmas: tuple[float, ...] = ()
    error: UserError | None = None


@dataclass(frozen=True, kw_only=True)
class Calls:
    """How often a sampler asks the model in a run; or none, and why it cannot make that run."""

    sampler: str
    steps: int = 0  # of the run, which a schedule may make longer or shorter
    calls: int = 0
    between: int = 0  # of these, at a level that is none of the schedule's
    error: UserError | None = None


def curves(steps: int, model_sampling: ModelSampling, sampler: str | None = None) -> tuple[Curve, ...]:
    """Every schedule, as a sampler takes it. Raises UnknownName."""
    return tuple(_curve(name, steps, model_sampling, sampler) for name in SCHEDULES)


def _curve(name: str, steps: int, model_sampling: ModelSampling, sampler: str | None) -> Curve:
    try:
        return Curve(name=name, sigmas=tuple(floats(make_sigmas(name, steps, model_sampling, sampler))))
    except UserError as error:
        return Curve(name=name, error=error)


def evaluations(sampler: str, sigmas: Tensor, model_sampling: ModelSampling) -> tuple[Evaluation, ...]:
    """Every call of the model over a table, in order: the real sampler runs, its model writes down what it is asked.

    Raises UnknownName, or UserError where the sampler cannot step over this table.
    """
    asked: list[Evaluation] = []
    done = 0

    def model(x: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        asked.append(Evaluation(step=done, sigma=float(sigma[0])))
        denoised = unit_normal(x, float(sigma[0]), model_sampling)
        return denoised, denoised

    def count(info: StepInfo) -> None:
        nonlocal done
        done = info.i + 1

    start = torch.ones(TOY) * float(sigmas[0])
    sample(model, start, sigmas, sampler, model_sampling=model_sampling, on_step=count)
    return tuple(asked)


def unit_normal(x: Tensor, sigma: float, model_sampling: ModelSampling) -> Tensor:
    """The best denoised there is where clean latents are unit normal: a model in closed form."""
    kept = 1 - sigma if model_sampling.is_flow else 1.0  # the share of the clean latent in x
    return x * (kept / (kept * kept + sigma * sigma))


@lru_cache(maxsize=16)
def calls(steps: int, scheduler: str, model_sampling: ModelSampling) -> tuple[Calls, ...]:
    """All samplers over one schedule: what each really costs. Raises UnknownName."""
    return tuple(_calls(name, steps, scheduler, model_sampling) for name in SAMPLERS)


def _calls(sampler: str, steps: int, scheduler: str, model_sampling: ModelSampling) -> Calls:
    try:
        sigmas = make_sigmas(scheduler, steps, model_sampling, sampler)
        asked = evaluations(sampler, sigmas, model_sampling)
    except UserError as error:
        return Calls(sampler=sampler, error=error)
    return Calls(sampler=sampler, steps=len(sigmas) - 1, calls=len(asked), between=between(asked, floats(sigmas)))


def between(asked: tuple[Evaluation, ...], levels: list[float]) -> int:
    """How many of these calls are at a level that the schedule does not have."""
    return sum(not any(math.isclose(one.sigma, level, rel_tol=1e-5) for level in levels) for one in asked)
