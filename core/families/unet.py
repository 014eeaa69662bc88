"""Stable Diffusion: what SD1.5 and SDXL have in common, a UNet and CLIP text encoders."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from torch import Tensor

from core.families.base import Conditioning, Defaults, TextRequest
from core.families.model import Model, Record, sized
from core.prompt.encode import Encoded
from core.sampling.model_sampling import EpsDiscrete, LCMDistilled, ModelSampling, VDiscrete

# Kept, because each makes its sigma table when it is first asked for: half a millisecond a run otherwise.
PREDICTIONS: Mapping[str, ModelSampling] = MappingProxyType(
    {"eps": EpsDiscrete(), "v": VDiscrete(), "v_zsnr": VDiscrete(zsnr=True), "lcm": LCMDistilled()}
)


@dataclass(frozen=True, kw_only=True)
class UNetFamily(Record):
    """The record of a family with a UNet and CLIP text encoders."""

    has_embeddings: bool = True
    prediction: str | None = "eps"

    def model_sampling(self, prediction: str | None, shift: float | None, width: int, height: int) -> ModelSampling:
        return PREDICTIONS[prediction or "eps"]

    def own_defaults(self, denoiser: Mapping[str, Any], vae: Mapping[str, Any]) -> Defaults:
        """At the size that the UNet was made for: its `sample_size`, in latent cells."""
        side, halvings = denoiser.get("sample_size"), len(vae.get("block_out_channels", ())) - 1
        return sized(self.defaults, side * 2**halvings if isinstance(side, int) else None)


class UNetModel(Model):
    """Its subclasses say how text becomes conditioning."""

    def _read(self, request: TextRequest, final_norm: bool) -> list[Encoded]:
        """What each text encoder makes of a prompt."""
        return [
            encoder.encode(
                request.text, request.weighting, request.clip_skip or 1, final_norm=final_norm, choices=request.choices,
                embeddings={one.name: one.vectors[name] for one in request.embeddings},
            )
            for name, encoder in zip(self._encoders.components, self.encoders, strict=True)
        ]  # fmt: skip

    def _added(self, cond: Conditioning) -> dict[str, Tensor | None] | None:
        """What the UNet takes besides the context."""
        return None

    def _forward(self, x: Tensor, timestep: Tensor, cond: Conditioning) -> Tensor:
        out = self._net(
            x.to(self.dtype),
            timestep,
            encoder_hidden_states=cond.context,
            added_cond_kwargs=self._added(cond),
            return_dict=False,
        )
        return out[0].float()
