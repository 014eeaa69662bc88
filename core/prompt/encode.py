"""Prompts through CLIP: windows of 77 tokens, weights, clip skip.

Windows follow ComfyUI; with a1111 weighting, chunks of 75 that go back to a comma. T = 77 times the number of windows.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from core.errors import RecipeError
from core.prompt.editing import Choices
from core.prompt.embeddings import Reference, split
from core.prompt.weights import Chunk, chunks

WINDOW = 77
ROOM = WINDOW - 2  # between the start token and the end token
WHOLE_WORDS = 8  # ComfyUI: a piece of fewer tokens than this is not split between two windows
NO_EMBEDDINGS: Mapping[str, Tensor] = MappingProxyType({})
COMMA_REACH = 20  # A1111: how many tokens after a comma may move on to the next window with it


@dataclass(frozen=True, eq=False)
class Vector:
    """One row of a textual inversion, in the place of a token."""

    values: Tensor  # [D]


@dataclass(frozen=True)
class Window:
    """77 tokens and a weight for each."""

    ids: tuple[int, ...]
    weights: tuple[float, ...]
    vectors: tuple[tuple[int, Tensor], ...] = ()  # places whose token's embedding [D] is another

    @property
    def is_weighted(self) -> bool:
        return any(weight != 1.0 for weight in self.weights)


@dataclass(frozen=True)
class Encoded:
    """What one text encoder makes of a prompt."""

    hidden: Tensor  # [1, T, D] float32
    pooled: Tensor  # [1, P] float32: of the first window


class ClipEncoder:
    """A CLIP text model with its tokenizer."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self.model, self.tokenizer = model, tokenizer
        # CLIPTextModelWithProjection holds the encoder one level down.
        self._inner = getattr(model, "text_model", model)

    @property
    def layers(self) -> int:
        return self.model.config.num_hidden_layers

    def encode(
        self,
        text: str,
        weighting: str,
        clip_skip: int,
        *,
        final_norm: bool,
        choices: Choices = (),
        embeddings: Mapping[str, Tensor] = NO_EMBEDDINGS,
    ) -> Encoded:
        """One prompt. `choices`: the branches of its edits. `clip_skip` 1 is the last layer.

        `final_norm`: the encoder's last layer norm is applied to that layer's output. `embeddings`: textual inversions [n, D] by name.
        """
        if clip_skip > self.layers:
            raise RecipeError(
                "Clip skip {skip} is too much: this model's text encoder has {layers} layers.",
                skip=clip_skip,
                layers=self.layers,
            )
        found = windows(self.tokenizer, chunks(text, weighting, choices), weighting, embeddings)
        encoded = [self._forward(window, clip_skip, final_norm) for window in found]
        hidden = [one.hidden for one in encoded]
        if any(window.is_weighted for window in found):
            if weighting == "a1111":
                hidden = [scaled(z, window.weights) for z, window in zip(hidden, found, strict=True)]
            else:
                empty = self._forward(window_of(self.tokenizer, []), clip_skip, final_norm).hidden
                hidden = [moved(z, empty, window.weights) for z, window in zip(hidden, found, strict=True)]
        return Encoded(torch.cat(hidden, dim=1), encoded[0].pooled)

    def _forward(self, window: Window, clip_skip: int, final_norm: bool) -> Encoded:
        """One window; windows go alone, so that a prompt's bits do not depend on what it is encoded with."""
        ids = torch.tensor([window.ids], device=self.model.device)
        with injected(self.model.get_input_embeddings(), window.vectors):
            out = self.model(input_ids=ids, output_hidden_states=True)
        hidden = out.hidden_states[-clip_skip]
        if final_norm:
            hidden = self._inner.final_layer_norm(hidden)
        pooled = getattr(out, "text_embeds", None)  # projected, where the model has a projection
        return Encoded(hidden.float(), (out.pooler_output if pooled is None else pooled).float())


@contextmanager
def injected(layer: nn.Module, vectors: Sequence[tuple[int, Tensor]]) -> Generator[None]:
    """Inside, the embedding layer gives these vectors at these places of the window, whatever the tokens there are."""

    def put(layer: nn.Module, ids: tuple[Tensor, ...], rows: Tensor) -> Tensor:
        rows = rows.clone()
        for place, vector in vectors:
            rows[0, place] = vector.to(rows)
        return rows

    handle = layer.register_forward_hook(put) if vectors else None
    try:
        yield
    finally:
        if handle is not None:
            handle.remove()


def moved(z: Tensor, empty: Tensor, weights: Sequence[float]) -> Tensor:
    """ComfyUI's weights: each token is moved away from the empty prompt's, [1, 77, D]."""
    w = torch.tensor(weights, device=z.device)[None, :, None]
    return (z - empty) * w + empty


def scaled(z: Tensor, weights: Sequence[float]) -> Tensor:
    """A1111's weights: tokens are scaled, then the window's mean is restored, [1, 77, D]."""
    w = torch.tensor(weights, device=z.device)[None, :, None]
    heavier = z * w
    return heavier * (z.mean() / heavier.mean())


Token = tuple[int | Vector, float]


def windows(
    tokenizer: Any, prompt: Sequence[Chunk], weighting: str, embeddings: Mapping[str, Tensor] = NO_EMBEDDINGS
) -> list[Window]:
    """All windows of a prompt, at least one."""
    return [window_of(tokenizer, row) for chunk in prompt for row in rows(tokenizer, chunk, weighting, embeddings)]


def rows(tokenizer: Any, chunk: Chunk, weighting: str, embeddings: Mapping[str, Tensor]) -> list[list[Token]]:
    """What stands in the windows of one chunk, start, end and padding apart."""
    pieces = [
        [(token, piece.weight) for token in group]
        for piece in chunk
        for group in groups(tokenizer, piece.text, embeddings)
    ]
    return by_commas(pieces, tokens_of(tokenizer, ",")) if weighting == "a1111" else by_pieces(pieces)


def groups(tokenizer: Any, text: str, embeddings: Mapping[str, Tensor]) -> Iterator[list[int] | list[Vector]]:
    """The tokens of a text; each embedding in it is a group of its own."""
    for part in split(text, embeddings):
        if isinstance(part, Reference):
            yield [Vector(values) for values in embeddings[part.name]]
        else:
            yield tokens_of(tokenizer, part)


def tokens_of(tokenizer: Any, text: str) -> list[int]:
    # verbose=False: transformers warns about texts above 77 tokens, which are what windows are for.
    return tokenizer(text, add_special_tokens=False, truncation=False, verbose=False)["input_ids"]


def by_pieces(pieces: Sequence[Sequence[Token]]) -> list[list[Token]]:
    """ComfyUI: fills windows; a short piece that does not fit moves on as a whole, a long one is split."""
    rows: list[list[Token]] = [[]]
    for piece in pieces:
        if len(piece) < WHOLE_WORDS and len(rows[-1]) + len(piece) > ROOM:
            rows.append([])
        for token in piece:
            if len(rows[-1]) == ROOM:
                rows.append([])
            rows[-1].append(token)
    return rows


def by_commas(pieces: Sequence[Sequence[Token]], comma: Sequence[int]) -> list[list[Token]]:
    """A1111: fills windows; what follows a near comma moves on with the token that does not fit any more."""
    rows: list[list[Token]] = [[]]
    for token in (token for piece in pieces for token in piece):
        if len(rows[-1]) == ROOM:
            full = rows[-1]
            cut = next((at + 1 for at in range(ROOM - 1, ROOM - 1 - COMMA_REACH, -1) if [full[at][0]] == comma), ROOM)
            rows[-1], tail = full[:cut], full[cut:]
            rows.append(tail)
        rows[-1].append(token)
    return rows


def window_of(tokenizer: Any, row: Sequence[Token]) -> Window:
    """Start, at most 75 tokens, end, padding; all but the tokens weigh 1."""
    padding = WINDOW - 2 - len(row)
    ids = [
        tokenizer.bos_token_id,
        # The pooled output is read at the end token: what stands for a vector must be another.
        *(0 if isinstance(token, Vector) else token for token, _ in row),
        tokenizer.eos_token_id,
        *[tokenizer.pad_token_id] * padding,
    ]
    vectors = tuple((k, token.values) for k, (token, _) in enumerate(row, start=1) if isinstance(token, Vector))
    return Window(tuple(ids), (1.0, *(weight for _, weight in row), 1.0, *[1.0] * padding), vectors)
