"""Textual inversion files: vectors that stand in a prompt as words do.

emb_params                       A1111, [n, D]
string_to_param.*                A1111's older name
<token>                          diffusers, [D] or [n, D], whatever the token is called
clip_l, clip_g                   SDXL, [n, 768] and [n, 1280]
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from core.errors import DamagedFile, ModelError
from core.models.hashes import file_hash
from core.models.weights import Weights

PARTS = {"clip_l": "text_encoder", "clip_g": "text_encoder_2"}
MOST = 75  # vectors: more do not fit between a window's start and end


@dataclass(frozen=True, kw_only=True, eq=False)
class Embedding:
    """One textual inversion in one model."""

    name: str
    content: str  # hash of the file
    vectors: Mapping[str, Tensor]  # by text encoder: [n, D] float32


def read(name: str, path: Path, components: Mapping[str, nn.Module]) -> Embedding:
    """The vectors for each text encoder among `components`. Raises ModelError where they do not fit, DamagedFile."""
    with Weights([path]) as weights:
        parts = {part: weights[part].float().clone() for part in weights.names()}
    vectors: dict[str, Tensor] = {}
    for component, width in widths(components).items():
        found = _part(parts, component, width)
        if found is None:
            raise ModelError(
                "Embedding {name} has vectors of {its} numbers, this model's text encoders take {wanted}: it is for another family.",
                name=name,
                its=" and ".join(str(tensor.shape[-1]) for tensor in parts.values() if tensor.ndim),
                wanted=" and ".join(map(str, widths(components).values())),
            )
        vectors[component] = found.reshape(-1, width)
        if not len(vectors[component]) or len(vectors[component]) > MOST or not bool(found.isfinite().all()):
            raise DamagedFile(
                "Embedding {name} is damaged: it has no vectors, too many, or numbers that are none.", name=name
            )
    return Embedding(name=name, content=file_hash(path), vectors=vectors)


def widths(components: Mapping[str, nn.Module]) -> dict[str, int]:
    """The length of a word's vector in each text encoder."""
    encoders: dict[str, Any] = {name: part for name, part in components.items() if name in PARTS.values()}
    return {name: int(encoder.get_input_embeddings().weight.shape[1]) for name, encoder in encoders.items()}


def _part(parts: Mapping[str, Tensor], component: str, width: int) -> Tensor | None:
    named = [tensor for part, tensor in parts.items() if PARTS.get(part, component) == component]
    return next((tensor for tensor in named if tensor.ndim in {1, 2} and tensor.shape[-1] == width), None)
