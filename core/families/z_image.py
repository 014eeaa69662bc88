"""Z-Image, Turbo and base: one Qwen3 text encoder, a transformer over text and image, Flux's VAE.

The network is told 1 - sigma and gives the velocity with its sign turned; caption and image are lists, one entry an image.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from core.families.base import Conditioning, Defaults, TextRequest
from core.families.flow import FlowFamily, flow
from core.families.model import Model
from core.models.loader import DenoiserPart, TextPart
from core.prompt.answer import Answer, Draft, Drawing, asked, drafts
from core.prompt.plain import plain
from core.prompt.qwen import QwenEncoder

TOKENS = 32  # the caption is padded to a multiple of this by the network itself

TURBO = FlowFamily(
    name="z_image",
    title="Z-Image Turbo",
    defaults=Defaults(
        width=1024, height=1024, steps=9, sampler="res_multistep", scheduler="simple", cfg=1.0, shift=3.0
    ),
    denoiser=DenoiserPart(name="transformer", kind="ZImageTransformer2DModel", title="transformer"),
    texts=(TextPart(name="text_encoder", tokenizer="tokenizer", kind="qwen3"),),
    working_bytes=2_000_000_000,
    has_weights=False,
    table=flow,
)
BASE = replace(TURBO, title="Z-Image", defaults=replace(TURBO.defaults, steps=30, cfg=4.0, shift=6.0))


def most_tokens(axes_lens: Sequence[int]) -> int:
    """Of a caption, template and all. Positions are looked up in a table: the caption's are 1 … T padded, the image stands
    at the one after."""
    return (axes_lens[0] - 2) // TOKENS * TOKENS


class ZImageModel(Model):
    readers = (QwenEncoder,)

    def _encode(self, request: TextRequest) -> Conditioning:
        most = most_tokens(self._net.config.axes_lens)
        hidden = self.encoders[0].encode(plain(request.text, request.weighting, request.choices), most)
        return Conditioning(context=hidden.to(self.dtype))

    def write(self, instruction: str, text: str, drawing: Drawing) -> Iterator[Draft]:
        """What the text encoder answers, as it grows. Where memory runs out it goes on one level down, from the same token."""
        self._with("text_encoder", self._come_clean)
        encoder = self.encoders[0]
        with self.memory.use("text_encoder"):
            answer = Answer(encoder.model, encoder.tokenizer, asked(encoder.tokenizer, instruction, text))
            yield from drafts(answer, lambda answer: self._with("text_encoder", partial(self._logits, answer)), drawing)

    def _come_clean(self) -> None:
        """The text encoder comes to the device without any LoRA on it: those are for pictures."""
        self.memory.settle("text_encoder")
        self._encoders.set(())
        self.memory.bring("text_encoder")

    def _logits(self, answer: Answer) -> Tensor:
        self.memory.bring("text_encoder")
        return answer.logits()

    def _forward(self, x: Tensor, timestep: Tensor, cond: Conditioning) -> Tensor:
        images = list(x.to(self.dtype)[:, :, None].unbind())  # each [C, 1, h, w]
        out = self._net(images, 1 - timestep, list(cond.context.unbind()), return_dict=False)[0]
        return -torch.stack(out)[:, :, 0].float()
