"""One LoRA as the library knows it, and its row in the database."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from core.errors import DamagedFile, MissingPart, ModelError
from core.models.lora import read
from core.models.lora.metadata import clean

PROBLEMS: Mapping[str, type[ModelError]] = MappingProxyType(
    {kind.__name__: kind for kind in (ModelError, MissingPart, DamagedFile)}
)
TAGS = 20  # that are kept


@dataclass(frozen=True, kw_only=True)
class Stamp:
    """What tells whether a file is still the one that was read."""

    path: str  # below the models folder
    size: int  # bytes
    mtime: int  # nanoseconds


@dataclass(frozen=True, kw_only=True)
class LoraItem:
    """A LoRA in the library."""

    name: str  # in recipes: its path below loras/ without the suffix
    path: Path
    size_bytes: int = 0
    family: str | None = None  # None where the file does not tell
    rank: int | None = None
    has_text: bool = False  # it acts on text encoders, too
    title: str = ""
    base_model: str = ""
    trigger_words: tuple[str, ...] = ()  # as edited, else the file's
    file_words: tuple[str, ...] = ()  # the file's own
    tags: tuple[tuple[str, int], ...] = ()  # of the training captions, the most frequent first
    embeddings: tuple[str, ...] = ()  # bundled textual inversions
    notes: str = ""
    problem: ModelError | None = field(default=None, compare=False)  # why it cannot be used


COLUMNS = "name, path, size, mtime, family, rank, has_text, title, base_model, file_words, tags, embeddings, problem, words, sort"
FILES = """
    CREATE TABLE files (
        name TEXT PRIMARY KEY, path TEXT NOT NULL, size INTEGER NOT NULL, mtime INTEGER NOT NULL, family TEXT, rank INTEGER,
        has_text INTEGER NOT NULL, title TEXT NOT NULL, base_model TEXT NOT NULL, file_words TEXT NOT NULL, tags TEXT NOT NULL,
        embeddings TEXT NOT NULL, problem TEXT, words TEXT NOT NULL, sort TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX files_in_order ON files (sort);
    CREATE TABLE notes (name TEXT PRIMARY KEY, trigger_words TEXT, notes TEXT NOT NULL, words TEXT NOT NULL) WITHOUT ROWID
"""
PLACES = ",".join("?" * len(COLUMNS.split(",")))


def row_of(name: str, stamp: Stamp, path: Path) -> tuple[object, ...]:
    """The row of a file, from its header. A file that cannot be used has a row that says why."""
    try:
        file = read(path)
    except ModelError as error:
        kind = type(error).__name__
        problem = json.dumps(
            {"kind": kind, "template": error.template, "values": {k: str(v) for k, v in error.values.items()}}
        )
        words = name.casefold()
        return (
            name,
            stamp.path,
            stamp.size,
            stamp.mtime,
            None,
            None,
            0,
            "",
            "",
            "[]",
            "[]",
            "[]",
            problem,
            words,
            words,
        )
    words = "\n".join((name, file.title, file.base_model, *file.trigger_words)).casefold()
    texts = (json.dumps(found) for found in (file.trigger_words, file.tags[:TAGS], [*map(clean, file.embeddings)]))
    return (
        name, stamp.path, stamp.size, stamp.mtime, file.family, file.rank, int(file.has_text), file.title, file.base_model,
        *texts, None, words, name.casefold(),
    )  # fmt: skip


SHOWN = "name, path, size, family, rank, has_text, title, base_model, file_words, tags, embeddings, problem"


def item_of(row: tuple[Any, ...], root: Path) -> LoraItem:
    """From a row of SHOWN and the two columns of notes."""
    (
        name,
        path,
        size,
        family,
        rank,
        has_text,
        title,
        base_model,
        file_words,
        tags,
        embeddings,
        problem,
        edited,
        notes,
    ) = row
    own = tuple(json.loads(file_words))
    return LoraItem(
        name=name, path=root / path, size_bytes=size, family=family, rank=rank, has_text=bool(has_text), title=title,
        base_model=base_model, trigger_words=own if edited is None else tuple(json.loads(edited)), file_words=own,
        tags=tuple((tag, count) for tag, count in json.loads(tags)), embeddings=tuple(json.loads(embeddings)),
        notes=notes or "", problem=None if problem is None else _problem(json.loads(problem)),
    )  # fmt: skip


def _problem(told: Mapping[str, Any]) -> ModelError:
    return PROBLEMS[told["kind"]](told["template"], **told["values"])
