"""The table of samplers. A new one is a function in its kin's file and a row in that file's SAMPLERS."""

from collections.abc import Mapping
from types import MappingProxyType

from core.sampling.samplers import discrete, dpmpp, euler, heun, multistep, res, sde, unipc
from core.sampling.samplers.base import Sampler

KINS = (euler, heun, dpmpp, sde, multistep, unipc, res, discrete)

SAMPLERS: Mapping[str, Sampler] = MappingProxyType({sampler.name: sampler for kin in KINS for sampler in kin.SAMPLERS})

__all__ = ["SAMPLERS", "Sampler"]
