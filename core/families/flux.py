"""Flux.1, dev and schnell: CLIP's pooled text, T5's tokens, a transformer over packed latents.

dev is distilled: it is told the guidance as a number, and needs no second pass. Its shift grows with the picture.
"""

import math
from dataclasses import replace

import torch
from torch import Tensor

from core.families.base import Conditioning, Defaults, TextRequest
from core.families.flow import FlowFamily, flow, flux_flow
from core.families.model import Model
from core.models.loader import DenoiserPart, TextPart
from core.prompt.encode import ClipEncoder
from core.prompt.t5 import T5Encoder

DEV = FlowFamily(
    name="flux",
    title="Flux.1 dev",
    defaults=Defaults(
        width=1024, height=1024, steps=20, sampler="euler", scheduler="simple", cfg=1.0, guidance=3.5,
        shift=math.exp(1.15), mu=(0.5, 1.15),
    ),
    denoiser=DenoiserPart(name="transformer", kind="FluxTransformer2DModel", title="transformer"),
    texts=(
        TextPart(name="text_encoder", tokenizer="tokenizer"),
        TextPart(name="text_encoder_2", tokenizer="tokenizer_2", kind="t5"),
    ),
    working_bytes=3_000_000_000,
    table=flux_flow,
)  # fmt: skip
SCHNELL = replace(
    DEV,
    title="Flux.1 schnell",
    defaults=replace(DEV.defaults, steps=4, guidance=None, shift=1.0, mu=None),
    table=flow,
)


class FluxModel(Model):
    readers = (ClipEncoder, T5Encoder)

    def _encode(self, request: TextRequest) -> Conditioning:
        clip, t5 = self.encoders
        read = request.text, request.weighting
        pooled = clip.encode(*read, 1, final_norm=True, choices=request.choices).pooled
        context = t5.encode(*read, request.choices)
        return Conditioning(context=context.to(self.dtype), pooled=pooled.to(self.dtype))

    def _completed(self, cond: Conditioning, request: TextRequest) -> Conditioning:
        """With the guidance [1], where the model is told one."""
        if not self._net.config.guidance_embeds:
            return cond
        told = self.defaults.guidance if request.guidance is None else request.guidance
        return replace(cond, extra={"guidance": torch.tensor([told], dtype=torch.float32, device=self.device)})

    def _forward(self, x: Tensor, timestep: Tensor, cond: Conditioning) -> Tensor:
        height, width = x.shape[-2] // 2, x.shape[-1] // 2
        out = self._net(
            hidden_states=packed(x.to(self.dtype)),
            timestep=timestep.to(self.dtype),
            guidance=cond.extra.get("guidance"),
            pooled_projections=cond.pooled,
            encoder_hidden_states=cond.context,
            txt_ids=torch.zeros(cond.context.shape[1], 3, device=x.device),
            img_ids=places(height, width, x.device),
            return_dict=False,
        )[0]
        return unpacked(out.float(), height, width)


def packed(x: Tensor) -> Tensor:
    """[B, C, 2h, 2w] -> [B, h*w, 4C]: 2 x 2 cells are one token, its channels outermost."""
    b, c, h, w = x.shape
    return x.view(b, c, h // 2, 2, w // 2, 2).permute(0, 2, 4, 1, 3, 5).reshape(b, h * w // 4, c * 4)


def unpacked(tokens: Tensor, height: int, width: int) -> Tensor:
    """[B, h*w, 4C] -> [B, C, 2h, 2w]."""
    b, _, c = tokens.shape
    grid = tokens.view(b, height, width, c // 4, 2, 2).permute(0, 3, 1, 4, 2, 5)
    return grid.reshape(b, c // 4, height * 2, width * 2)


def places(height: int, width: int, device: torch.device) -> Tensor:
    """[h*w, 3]: 0, row and column of each token."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([torch.zeros_like(rows), rows, columns], dim=-1).view(-1, 3).float().to(device)
