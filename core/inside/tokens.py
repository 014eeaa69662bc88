"""What the text encoders get of a prompt: tokens in their windows, with their weights, as they change over the steps.

The tokenizers are the model's own, and the windows are made by the very functions that encode; no weights are read.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Literal

import torch

from core.prompt.editing import Choices, choices
from core.prompt.encode import ROOM, Token, Vector, rows, tokens_of
from core.prompt.plain import plain
from core.prompt.qwen import AFTER, BEFORE
from core.prompt.t5 import LEAST
from core.prompt.tags import tags
from core.prompt.weights import chunks

MOST_READINGS = 12  # an alternation beside an edit has as many as there are steps

Kind = Literal["word", "embedding", "template"]


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """One text encoder of a model, without its weights."""

    title: str  # as people call it
    kind: str  # clip, t5 or qwen3
    tokenizer: Any
    most: int | None = None  # tokens that the denoiser takes: a longer prompt is refused
    first_only: bool = False  # what is used of it is made from the first window alone
    vectors: Mapping[str, int] = field(
        default_factory=dict[str, int]
    )  # textual inversions, and the tokens each stands for


@dataclass(frozen=True, kw_only=True)
class Chip:
    """One token as people can read it."""

    text: str
    weight: float = 1.0
    kind: Kind = "word"
    joined: bool = False  # it goes on with the word before it
    trigger: bool = False  # it belongs to a LoRA's trigger word


@dataclass(frozen=True, kw_only=True)
class Row:
    """One window; of encoders without windows, all there is."""

    chips: tuple[Chip, ...]
    room: int | None = None  # tokens that fit into it
    padding: int = 0  # tokens that fill it up
    broken: bool = False  # BREAK began it


@dataclass(frozen=True, kw_only=True)
class Read:
    """What one text encoder gets."""

    title: str
    rows: tuple[Row, ...]
    tokens: int  # of the prompt, start, end, padding and template apart
    most: int | None
    too_long: int  # tokens over the most
    unused: int  # windows of which nothing is used


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The prompt as it is read at some steps: all its edits decided."""

    steps: tuple[int, ...]  # from 0
    reads: tuple[Read, ...]
    loras: tuple[str, ...]  # tags as written, which no encoder gets


def readings(
    text: str, weighting: str, steps: int, encoders: Sequence[Encoder], triggers: Sequence[str] = ()
) -> tuple[Reading, ...]:
    """Every different reading of a prompt over a run, the earliest first, MOST_READINGS at most.

    triggers: words that LoRAs were trained on. Raises RecipeError for a tag that cannot be read, UnknownName for an embedding.
    """
    at: dict[Choices, list[int]] = {}
    for step in range(steps):
        at.setdefault(choices(text, weighting, step, steps), []).append(step)
    return tuple(
        Reading(
            steps=tuple(where),
            reads=tuple(_read(text, weighting, taken, encoder, triggers) for encoder in encoders),
            loras=tuple(tag.source for tag in tags(text, weighting, taken)),
        )
        for taken, where in list(at.items())[:MOST_READINGS]
    )


def _read(text: str, weighting: str, taken: Choices, encoder: Encoder, triggers: Sequence[str]) -> Read:
    found = {"clip": _clip, "t5": _t5, "qwen3": _qwen}[encoder.kind](text, weighting, taken, encoder)
    found = tuple(replace(row, chips=marked(row.chips, triggers)) for row in found)
    tokens = sum(chip.kind != "template" for row in found for chip in row.chips)
    every = sum(len(row.chips) for row in found)
    return Read(
        title=encoder.title, rows=found, tokens=tokens, most=encoder.most,
        too_long=0 if encoder.most is None else max(0, every - encoder.most),
        unused=len(found) - 1 if encoder.first_only else 0,
    )  # fmt: skip


def _clip(text: str, weighting: str, taken: Choices, encoder: Encoder) -> tuple[Row, ...]:
    # Each embedding's rows are its own number, by which they are known again.
    names = list(encoder.vectors)
    stand_ins = {name: torch.full((encoder.vectors[name], 1), float(k)) for k, name in enumerate(names)}
    found: list[Row] = []
    for number, chunk in enumerate(chunks(text, weighting, taken)):
        for place, row in enumerate(rows(encoder.tokenizer, chunk, weighting, stand_ins)):
            chips = _clip_chips(encoder.tokenizer, row, names)
            found.append(Row(chips=chips, room=ROOM, padding=ROOM - len(row), broken=number > 0 and place == 0))
    return tuple(found)


def _clip_chips(tokenizer: Any, row: Sequence[Token], names: Sequence[str]) -> tuple[Chip, ...]:
    """`</w>` ends a word: what follows a token without it goes on with the word."""
    chips: list[Chip] = []
    joined = False
    for token, weight in row:
        if isinstance(token, Vector):
            chips.append(Chip(text=names[int(token.values[0])], weight=weight, kind="embedding"))
            joined = False
        else:
            written = _written(tokenizer, token)
            chips.append(Chip(text=letters(written.removesuffix("</w>")), weight=weight, joined=joined))
            joined = not written.endswith("</w>")
    return tuple(chips)


def _t5(text: str, weighting: str, taken: Choices, encoder: Encoder) -> tuple[Row, ...]:
    """BREAK divides nothing; `▁` begins a word."""
    chips: list[Chip] = []
    for chunk in chunks(text, weighting, taken):
        for piece in chunk:
            for token in tokens_of(encoder.tokenizer, piece.text):
                written = _written(encoder.tokenizer, token)
                begins = written.startswith("▁") or not chips
                chips.append(Chip(text=written.removeprefix("▁") or "▁", weight=piece.weight, joined=not begins))
    return (Row(chips=tuple(chips), padding=max(0, LEAST - len(chips) - 1)),)


def _qwen(text: str, weighting: str, taken: Choices, encoder: Encoder) -> tuple[Row, ...]:
    """A chat: the template around the prompt is read too. `Ġ`, a blank, begins a word."""
    tokenizer, words = encoder.tokenizer, plain(text, weighting, taken)
    ids = tokens_of(tokenizer, BEFORE + words + AFTER)
    before, after = len(tokens_of(tokenizer, BEFORE)), len(tokens_of(tokenizer, AFTER))
    chips: list[Chip] = []
    for place, token in enumerate(ids):
        kind: Kind = "word" if before <= place < len(ids) - after else "template"
        written = _written(tokenizer, token)
        begins = kind == "template" or written.startswith("Ġ") or place == before
        shown = written if written.startswith("<|") else letters(written.removeprefix("Ġ")) or "␣"
        chips.append(Chip(text=shown.replace("\n", "⏎"), kind=kind, joined=not begins))
    return (Row(chips=tuple(chips)),)


def marked(chips: Sequence[Chip], triggers: Sequence[str]) -> tuple[Chip, ...]:
    """The tokens that are whole trigger words are marked; case and blanks do not count."""
    found = list(chips)
    for words in triggers:
        wanted = "".join(words.split()).lower()
        for first in range(len(found)) if wanted else ():
            end = _ends(found, first, wanted)
            if end is not None:
                found[first:end] = [replace(chip, trigger=True) for chip in found[first:end]]
    return tuple(found)


def _ends(chips: Sequence[Chip], first: int, wanted: str) -> int | None:
    """Where the words end that begin with this token and read as `wanted`, if they do."""
    if chips[first].joined or chips[first].kind != "word":
        return None
    read, place = "", first
    while place < len(chips) and len(read) < len(wanted) and chips[place].kind == "word":
        read += chips[place].text.lower()
        place += 1
    whole = place == len(chips) or not chips[place].joined
    return place if read == wanted and whole else None


def _written(tokenizer: Any, token: int) -> str:
    return str(tokenizer.convert_ids_to_tokens(token))


def letters(written: str) -> str:
    """A token of a byte alphabet as text; bytes that are no whole letter as their numbers."""
    known = byte_alphabet()
    if any(letter not in known for letter in written):
        return written
    data = bytes(known[letter] for letter in written)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return " ".join(f"{byte:02X}" for byte in data)


@cache
def byte_alphabet() -> Mapping[str, int]:
    """GPT-2's letters for the 256 bytes: printable ones stand for themselves, the others for letters from 256 on."""
    plain_bytes = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain_bytes]
    return {chr(byte): byte for byte in plain_bytes} | {chr(256 + k): byte for k, byte in enumerate(others)}
