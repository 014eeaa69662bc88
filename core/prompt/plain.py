"""A prompt for a text encoder that knows no weights: edits are decided, brackets and numbers stay as they were written."""

from collections.abc import Iterator

from core.prompt.editing import Choices, decided
from core.prompt.grammar import Break, Text, Tree, Weighted, parse

CLOSING = {"(": ")", "[": "]"}


def plain(text: str, weighting: str, choices: Choices = ()) -> str:
    """The text as it is encoded. BREAK is a space, LoRA tags vanish; `choices` as in `core.prompt.editing`."""
    return "".join(_words(decided(parse(text, weighting), iter(choices))))


def is_weighted(text: str, weighting: str) -> bool:
    """Whether a prompt has brackets that would weight it, where weights are known."""
    return any(isinstance(node, Weighted) for node in parse(text, weighting))


def _words(tree: Tree) -> Iterator[str]:
    for node in tree:
        match node:
            case Text(text):
                yield text
            case Weighted(items, bracket, number):
                yield bracket
                yield from _words(items)
                yield "" if number is None else f":{number:g}"
                yield CLOSING[bracket]
            case Break():
                yield " "
            case _:
                pass
