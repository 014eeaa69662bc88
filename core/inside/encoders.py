"""The text encoders of a model as a prompt meets them: their tokenizers, and what is known from headers and configurations."""

from collections.abc import Mapping
from pathlib import Path

from core.families import configs_of, record_of, tokenizer_of
from core.families.z_image import most_tokens
from core.inside.tokens import Encoder
from core.models import loader, tokenizers
from core.models.embedding import PARTS
from core.models.header import read_header
from core.models.library import Entry
from core.models.loader import TextPart

POOLED = {("flux", "text_encoder")}  # of these encoders only the pooled output is used: the first window's


def encoders_of(entry: Entry, embeddings: Mapping[str, Path]) -> tuple[Encoder, ...]:
    """No weights are read, nothing is downloaded. Raises ModelError, MissingPart where a tokenizer is not here."""
    family = record_of(entry)
    return tuple(
        Encoder(
            title=tokenizers.KINDS[text.kind].title + (f" {number}" if _again(family.texts, text) else ""),
            kind=text.kind,
            tokenizer=tokenizer_of(entry, text, downloads=False),
            most=_most(entry) if text.kind == "qwen3" else None,
            first_only=(family.name, text.name) in POOLED,
            vectors=_vectors(embeddings, text.name) if family.has_embeddings else {},
        )
        for number, text in enumerate(family.texts, start=1)
    )


def _again(texts: tuple[TextPart, ...], text: TextPart) -> bool:
    """Whether a family has several encoders of this kind, so that their names need a number."""
    return sum(other.kind == text.kind for other in texts) > 1


def _most(entry: Entry) -> int:
    family = record_of(entry)
    folder = entry.path / family.denoiser.name / "config.json"
    alone = configs_of(family) / f"{family.denoiser.name}.json"
    return most_tokens(loader.read_json(folder if entry.kind == "folder" else alone)["axes_lens"])


def _vectors(embeddings: Mapping[str, Path], component: str) -> dict[str, int]:
    """How many vectors each file has for this text encoder; a file without any is another family's."""
    counts: dict[str, int] = {}
    for name, path in embeddings.items():
        shapes = [
            info.shape
            for part, info in read_header(path).tensors.items()
            if PARTS.get(part, component) == component and len(info.shape) in (1, 2)
        ]
        if shapes:
            counts[name] = shapes[0][0] if len(shapes[0]) == 2 else 1
    return counts
