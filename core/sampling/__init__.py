"""Sampling: from noise to a clean latent, step by step, whatever the model is.

schedules (levels of noise) -> noise (the start) -> samplers (a pure function a step) -> state (what is left after it).
Nothing here knows a model: it calls something that gives denoised. `sample` runs it all over a table of sigmas.
"""

from core.sampling import model_sampling
from core.sampling.guidance import cfg, cfg_is_off
from core.sampling.loop import StepInfo, sample
from core.sampling.model_sampling import ModelSampling
from core.sampling.noise import NoiseSource, Seeds, noise_source, starting_noise
from core.sampling.samplers import SAMPLERS
from core.sampling.samplers.base import CallableDenoiser, Denoiser, Run, Sampler
from core.sampling.schedules import SCHEDULES, make_sigmas
from core.sampling.state import Past, SamplerState

__all__ = [
    "SAMPLERS",
    "SCHEDULES",
    "CallableDenoiser",
    "Denoiser",
    "ModelSampling",
    "NoiseSource",
    "Past",
    "Run",
    "Sampler",
    "SamplerState",
    "Seeds",
    "StepInfo",
    "cfg",
    "cfg_is_off",
    "make_sigmas",
    "model_sampling",
    "noise_source",
    "sample",
    "starting_noise",
]
