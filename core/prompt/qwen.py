"""Prompts through Qwen3, as Z-Image reads them. T tokens, D width."""

from typing import Any

import torch
from torch import Tensor

from core.errors import RecipeError

# A chat of one turn, for which the encoder prepares its answer: Qwen3's own template, without a system prompt.
BEFORE, AFTER = "<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n"


class QwenEncoder:
    """A Qwen3 model with its tokenizer."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self.model, self.tokenizer = model, tokenizer

    def encode(self, text: str, most: int | None = None) -> Tensor:
        """[1, T, D] float32: what goes into the last layer. Never padded, never cut. most: of tokens that the denoiser takes."""
        ids: list[int] = self.tokenizer(BEFORE + text + AFTER, add_special_tokens=False, verbose=False)["input_ids"]
        if most is not None and len(ids) > most:
            raise RecipeError(
                "The prompt has {count} tokens, and this model reads {most} at most: shorten it.",
                count=len(ids),
                most=most,
            )
        out = self.model(
            input_ids=torch.tensor([ids], device=self.model.device), output_hidden_states=True, use_cache=False
        )
        return out.hidden_states[-2].float()
