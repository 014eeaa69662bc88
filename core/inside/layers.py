"""Clip skip, layer by layer: what the conditioning is after each layer of the text encoder, token by token."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from core.errors import RecipeError
from core.events import Event
from core.families.base import TextRequest
from core.pipeline import Pipeline, Wish
from core.prompt.encode import WINDOW
from core.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class Layer:
    """The conditioning with one clip skip, its first window's tokens, start and end among them."""

    skip: int  # 1 is the last layer
    lengths: tuple[float, ...]  # of each token's vector
    likeness: tuple[float, ...]  # cosine with the same token of the last layer


@dataclass(frozen=True, kw_only=True)
class Layers:
    """All layers, the last one first."""

    layers: tuple[Layer, ...]
    own: int  # the model's usual clip skip
    whole: bool = True


def layers(pipe: Pipeline, recipe: Recipe, stop: Callable[[], Wish]) -> Iterator[Event | Layers]:
    """Of a recipe's prompt as it is read in the first step. Raises RecipeError where clip skip has no effect."""
    ready = yield from pipe.ready(recipe.model_copy(update={"batch": 1, "clip_skip": None}))
    own, step = ready.model.defaults.clip_skip, ready.plan.steps[0]
    if own is None:
        raise RecipeError(
            "{field} has no effect on {family}: leave it out.", field="clip_skip", family=ready.model.family.title
        )
    encoder: Any = ready.model.components["text_encoder"]
    prompt, found = step.positive, list[Tensor]()
    for skip in range(1, encoder.config.num_hidden_layers + 1):
        request = TextRequest(
            text=prompt.text, weighting=prompt.weighting, choices=prompt.choices, clip_skip=skip,
            patches=ready.loras.patches(prompt.model, prompt.loras), embeddings=ready.words.of(prompt),
        )  # fmt: skip
        found.append(ready.model.encode_text(request).context[0, :WINDOW].float())
    yield Layers(layers=tuple(_layer(skip, z, found[0]) for skip, z in enumerate(found, start=1)), own=own)


def _layer(skip: int, z: Tensor, last: Tensor) -> Layer:
    """z, last: [T, D]."""
    lengths: list[float] = z.norm(dim=-1).tolist()
    likeness: list[float] = torch.cosine_similarity(z, last, dim=-1).tolist()
    return Layer(skip=skip, lengths=tuple(lengths), likeness=tuple(likeness))
