"""The textual inversions of a run: which prompts name them, and their vectors for each model."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from core.families.base import LoadedModel
from core.models import embedding
from core.models.embedding import Embedding
from core.note import Note
from core.plan import Plan, Prompt
from core.prompt.embeddings import Reference, split
from core.prompt.weights import chunks

Named = Mapping[Prompt, tuple[Embedding, ...]]


@dataclass(frozen=True, kw_only=True)
class Inversions:
    """The embeddings that the prompts of a plan name."""

    named: Named

    def of(self, prompt: Prompt) -> tuple[Embedding, ...]:
        """Those of one prompt."""
        return self.named.get(prompt, ())

    @property
    def every(self) -> dict[str, Embedding]:
        """By name, each once."""
        return {one.name: one for found in self.named.values() for one in found}

    def notes(self) -> Iterator[Note]:
        for one in self.every.values():
            yield Note(
                template="{name} in the prompt is an embedding of {count} vectors.",
                values={"name": one.name, "count": len(next(iter(one.vectors.values())))},
            )

    def made_with(self) -> dict[str, str]:
        """The content of each file by its name; nothing without embeddings."""
        every = {name: one.content for name, one in self.every.items()}
        return {"embedding_hashes": json.dumps(every, ensure_ascii=False)} if every else {}


def inversions(plan: Plan, models: Mapping[str, LoadedModel], known: Mapping[str, Path]) -> Inversions:
    """Reads what the prompts name. `known`: the files by name. Raises UnknownName, or ModelError for one that does not fit."""
    read: dict[tuple[str, str], Embedding] = {}
    named: dict[Prompt, tuple[Embedding, ...]] = {}
    for prompt in dict.fromkeys(_prompts(plan)):
        takes_them = models[prompt.model].family.has_embeddings
        names = dict.fromkeys(_names(prompt, known)) if takes_them else {}
        for name in names:
            if (prompt.model, name) not in read:
                read[prompt.model, name] = embedding.read(name, known[name], models[prompt.model].components)
        named[prompt] = tuple(read[prompt.model, name] for name in names)
    return Inversions(named=named)


def _prompts(plan: Plan) -> Iterator[Prompt]:
    for step in plan.steps:
        yield step.positive
        if step.needs_negative:
            yield step.negative


def _names(prompt: Prompt, known: Mapping[str, Path]) -> Iterator[str]:
    for chunk in chunks(prompt.text, prompt.weighting, prompt.choices):
        for piece in chunk:
            for part in split(piece.text, known):
                if isinstance(part, Reference):
                    yield part.name
