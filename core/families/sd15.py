"""Stable Diffusion 1.5 and all of its architecture: one CLIP text encoder, 77 tokens wide windows, a UNet."""

from core.families.base import Conditioning, Defaults, TextRequest
from core.families.unet import UNetFamily, UNetModel
from core.models.loader import TextPart
from core.prompt.encode import ClipEncoder

SD15 = UNetFamily(
    name="sd15",
    title="SD1.5",
    defaults=Defaults(width=512, height=512, steps=20, sampler="euler", scheduler="normal", cfg=7.0, clip_skip=1),
    texts=(TextPart(name="text_encoder", tokenizer="tokenizer", prefix="cond_stage_model.transformer."),),
    working_bytes=1_000_000_000,
)


class SD15Model(UNetModel):
    readers = (ClipEncoder,)

    def _encode(self, request: TextRequest) -> Conditioning:
        # The final layer norm is applied whatever layer is taken (ComfyUI, A1111, diffusers agree).
        (encoded,) = self._read(request, final_norm=True)
        return Conditioning(context=encoded.hidden.to(self.dtype))
