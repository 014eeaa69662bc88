"""What Z-Image and Flux.1 have in common: a transformer that predicts the velocity of a flow."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch

from core.families.base import Defaults
from core.families.model import Record, sized
from core.sampling.model_sampling import Flow, FluxFlow, ModelSampling


@dataclass(frozen=True, kw_only=True)
class FlowFamily(Record):
    """The record of a family that lives in x = (1-sigma)*x0 + sigma*noise."""

    multiple: int = 16  # two latent cells: the transformer's patches
    half: torch.dtype = torch.bfloat16  # their activations overflow in float16
    table: Callable[[float], ModelSampling]  # of sigmas, for a shift

    def model_sampling(self, prediction: str | None, shift: float | None, width: int, height: int) -> ModelSampling:
        return self.table(shift or self.defaults.shift or 1.0)

    def own_defaults(self, denoiser: Mapping[str, Any], vae: Mapping[str, Any]) -> Defaults:
        """At the size that the VAE was made for: its `sample_size`, in pixels."""
        side = vae.get("sample_size")
        return sized(self.defaults, side if isinstance(side, int) and side % self.multiple == 0 else None)


@lru_cache(maxsize=32)
def flow(shift: float) -> Flow:
    """Kept, because each makes its sigma table when it is first asked for."""
    return Flow(shift)


@lru_cache(maxsize=32)
def flux_flow(shift: float) -> FluxFlow:
    """The same curve over Flux dev's finer table."""
    return FluxFlow(math.log(shift))
