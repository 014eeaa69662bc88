"""From a prompt's tree to chunks of weighted text, with ComfyUI's arithmetic or A1111's."""

from collections.abc import Iterator
from dataclasses import dataclass

from core.prompt.editing import Choices, decided
from core.prompt.grammar import Alternate, Break, Edit, LoraTag, Text, Tree, Weighted, parse
from core.prompt.tags import untagged

PLAIN = 1.1  # what a bracket without a number multiplies by, or divides


@dataclass(frozen=True)
class Piece:
    """A text and its weight; it is tokenised alone, so that no token spans two weights."""

    text: str
    weight: float = 1.0


Chunk = tuple[Piece, ...]
"""What stands between two BREAKs: it begins a new window."""


def chunks(text: str, weighting: str = "comfyui", choices: Choices = ()) -> tuple[Chunk, ...]:
    """The weighted pieces of a prompt, at least one chunk. `choices`: the branches of its edits; the first where none is told."""
    found: list[list[Piece]] = [[]]
    for piece in _pieces(untagged(decided(parse(text, weighting), iter(choices))), 1.0, weighting):
        if piece is None:
            found.append([])
        elif piece.text:
            found[-1].append(piece)
    return tuple(_merged(chunk) if weighting == "a1111" else tuple(chunk) for chunk in found)


def _pieces(tree: Tree, weight: float, weighting: str) -> Iterator[Piece | None]:
    """None stands for BREAK."""
    for node in tree:
        match node:
            case Text(text):
                yield Piece(text, weight)
            case Weighted(items, bracket, number):
                yield from _pieces(items, _weight(weight, bracket, number, weighting), weighting)
            case Break():
                yield None
            case Edit() | Alternate() | LoraTag():
                raise TypeError("a tree is decided and its tags are taken out before it is read")


def _weight(outer: float, bracket: str, number: float | None, weighting: str) -> float:
    """ComfyUI: a number replaces what stands outside. A1111: everything multiplies, square brackets divide."""
    if weighting == "a1111":
        return outer * (number if number is not None else PLAIN) if bracket == "(" else outer / PLAIN
    return outer * PLAIN if number is None else number


def _merged(chunk: list[Piece]) -> Chunk:
    """A1111 tokenises neighbours of equal weight together."""
    merged: list[Piece] = []
    for piece in chunk:
        if merged and merged[-1].weight == piece.weight:
            merged[-1] = Piece(merged[-1].text + piece.text, piece.weight)
        else:
            merged.append(piece)
    return tuple(merged)
