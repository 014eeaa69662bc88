"""Textual inversions in a prompt: `embedding:name`, or the bare name as a word of its own. Each stands for vectors instead of tokens."""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from core.errors import UnknownName

EXPLICIT = re.compile(r"(?<![\w-])embedding:([^\s,]+)")
SUFFIX = r"(?:\.(?:safetensors|pt|bin))?"  # some write the file's name


@dataclass(frozen=True)
class Reference:
    """Where a text names an embedding."""

    name: str


def split(text: str, names: Collection[str]) -> Iterator[str | Reference]:
    """A text as stretches of words and the embeddings between them. Raises UnknownName for an `embedding:` that is not there."""
    at = 0
    for found in _pattern(names).finditer(text) if names else ():
        yield from _words(text[at : found.start()], names)
        yield Reference(_spelled(found[1], names))
        at = found.end()
    yield from _words(text[at:], names)


def _words(text: str, names: Collection[str]) -> Iterator[str]:
    if unknown := EXPLICIT.search(text):
        raise UnknownName("embedding", unknown[1], sorted(names)[:20])
    if text:
        yield text


def _pattern(names: Collection[str]) -> re.Pattern[str]:
    """The longest name wins; case does not matter, as tokens have none."""
    every = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    return re.compile(rf"(?<![\w-])(?:embedding:)?({every}){SUFFIX}(?![\w-])", re.IGNORECASE)


def _spelled(written: str, names: Collection[str]) -> str:
    return written if written in names else next(name for name in names if name.lower() == written.lower())
