"""Stable Diffusion XL: two text encoders, a pooled text, and the picture's size as part of the conditioning."""

from dataclasses import replace

import torch
from torch import Tensor

from core.families.base import Conditioning, Defaults, TextRequest
from core.families.unet import UNetFamily, UNetModel
from core.models.loader import TextPart
from core.prompt.encode import ClipEncoder

SDXL = UNetFamily(
    name="sdxl",
    title="SDXL",
    defaults=Defaults(width=1024, height=1024, steps=20, sampler="euler", scheduler="normal", cfg=7.0, clip_skip=2),
    texts=(
        TextPart(name="text_encoder", tokenizer="tokenizer", prefix="conditioner.embedders.0.transformer."),
        TextPart(
            name="text_encoder_2",
            tokenizer="tokenizer_2",
            prefix="conditioner.embedders.1.model.",
            open_clip=True,
            projection=True,
            pad="!",
        ),
    ),
    working_bytes=2_000_000_000,
)


class SDXLModel(UNetModel):
    readers = (ClipEncoder, ClipEncoder)

    def _encode(self, request: TextRequest) -> Conditioning:
        parts = self._read(request, final_norm=False)
        tokens = min(part.hidden.shape[1] for part in parts)
        context = torch.cat([part.hidden[:, :tokens] for part in parts], dim=-1)
        pooled = parts[-1].pooled
        return Conditioning(context=context.to(self.dtype), pooled=pooled.to(self.dtype))

    def _completed(self, cond: Conditioning, request: TextRequest) -> Conditioning:
        """time_ids [1, 6]: original height and width, the crop's top and left, target height and width, in pixels."""
        size = (request.height, request.width)
        time_ids = torch.tensor([[*size, 0, 0, *size]], dtype=self.dtype, device=self.device)
        return replace(cond, extra={"time_ids": time_ids})

    def _added(self, cond: Conditioning) -> dict[str, Tensor | None]:
        return {"text_embeds": cond.pooled, "time_ids": cond.extra["time_ids"]}
