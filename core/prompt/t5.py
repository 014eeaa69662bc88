"""Prompts through T5, as Flux.1 reads them: one sequence of any length, padded like ComfyUI's. T tokens, D width."""

from typing import Any

import torch
from torch import Tensor

from core.prompt.editing import Choices
from core.prompt.encode import moved, scaled, tokens_of
from core.prompt.weights import chunks

Token = tuple[int, float]
LEAST = 256  # tokens: what is shorter is padded


class T5Encoder:
    """A T5 encoder with its tokenizer."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self.model, self.tokenizer = model, tokenizer

    def encode(self, text: str, weighting: str, choices: Choices = ()) -> Tensor:
        """[1, T, D] float32; padding is attended to. BREAK divides nothing here."""
        pieces = [piece for chunk in chunks(text, weighting, choices) for piece in chunk]
        tokens = self._padded(
            [(token, piece.weight) for piece in pieces for token in tokens_of(self.tokenizer, piece.text)]
        )
        z, weights = self._forward(tokens), [weight for _, weight in tokens]
        if all(weight == 1.0 for weight in weights):
            return z
        return scaled(z, weights) if weighting == "a1111" else moved(z, self._empty(len(tokens)), weights)

    def _empty(self, length: int) -> Tensor:
        """The empty prompt at another prompt's length."""
        return self._forward(self._padded([], length))

    def _padded(self, tokens: list[Token], least: int = LEAST) -> list[Token]:
        end, pad = self.tokenizer.convert_tokens_to_ids(["</s>", "<pad>"])
        return [*tokens, (end, 1.0), *[(pad, 1.0)] * (least - len(tokens) - 1)]

    def _forward(self, tokens: list[Token]) -> Tensor:
        ids = torch.tensor([[token for token, _ in tokens]], device=self.model.device)
        return self.model(input_ids=ids)[0].float()
