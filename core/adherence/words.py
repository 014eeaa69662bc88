"""What a prompt names, in the words of somebody who knows few of them."""

import re
from collections.abc import Iterator, Mapping

from core.prompt.editing import choices, decided
from core.prompt.grammar import Break, Text, Tree, Weighted, parse

WORD = re.compile(r"[^\W\d_]+")
DENIALS = re.compile(r"\b(?:no|not|without)\b")
LAST = 10**6  # a step behind every edit

Says = Mapping[str, Mapping[str, str]]
"""Attribute -> phrase -> what it says: {"size": {"tiny": "small"}}. Attributes are looked for in this order."""


def spoken(prompt: str, weighting: str = "comfyui") -> str:
    """The prompt as it stands at the end of a run, without weights, brackets and tags."""
    taken = choices(prompt, weighting, LAST - 1, LAST)
    return "".join(_texts(decided(parse(prompt, weighting), iter(taken))))


def named(prompt: str, says: Says) -> dict[str, str]:
    """Attribute -> what the prompt asks for. One that is named in two ways is left out; a denial leaves nothing."""
    text = " ".join(WORD.findall(spoken(prompt).lower()))
    if DENIALS.search(text):
        return {}
    found: dict[str, str] = {}
    for attribute, phrases in says.items():
        pattern = re.compile(rf"\b(?:{'|'.join(map(re.escape, sorted(phrases, key=len, reverse=True)))})\b")
        meant = {phrases[phrase] for phrase in pattern.findall(text)}
        if len(meant) == 1:
            found[attribute] = meant.pop()
        text = pattern.sub(" | ", text)  # "red background" says nothing of the object's colour
    return found


def _texts(tree: Tree) -> Iterator[str]:
    for node in tree:
        match node:
            case Text(text):
                yield text
            case Weighted(items=items):
                yield from _texts(items)
            case Break():
                yield " "
            case _:
                pass
