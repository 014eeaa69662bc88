"""LoRA tags in a prompt: what they ask for, and the prompt without them.

<lora:name>  <lora:name:0.8>        one strength, for the model and for its text encoders
<lora:name:0.5:0.8>                 the text encoders', then the model's, as A1111 reads two numbers (SwarmUI: the reverse)
<lora:name:te=0.5:unet=0.8>         by name, as A1111 writes them
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from core.errors import RecipeError
from core.prompt.editing import Choices, decided, merged
from core.prompt.grammar import Alternate, Edit, LoraTag, Tree, Weighted, parse

NUMBER = re.compile(r"\s*([+-]?(?:\d{1,9}\.?\d{0,9}|\.\d{1,9}))\s*")
MOST = 100.0  # as a LoRA's strength in a recipe
MOST_TAGS = 64  # as LoRAs in a recipe


@dataclass(frozen=True, kw_only=True)
class Tag:
    """One LoRA that a prompt asks for."""

    name: str
    model: float
    text: float
    source: str  # as written


def tags(text: str, weighting: str, choices: Choices = ()) -> tuple[Tag, ...]:
    """The tags of a prompt, in order; of its edits only those in the branches taken. Raises RecipeError."""
    if "<lora:" not in text:  # most prompts, at every step
        return ()
    return tuple(_tag(node) for node in _found(decided(parse(text, weighting), iter(choices))))


def every_tag(text: str, weighting: str) -> tuple[Tag, ...]:
    """The tags of a prompt in all branches of its edits. Raises RecipeError."""
    if "<lora:" not in text:
        return ()
    found = tuple(_tag(node) for node in _found(parse(text, weighting)))
    if len(found) > MOST_TAGS:
        raise RecipeError("A prompt has {count} LoRA tags: {most} are the most.", count=len(found), most=MOST_TAGS)
    return found


def untagged(tree: Tree) -> Tree:
    """The tree of the same prompt without its tags."""
    nodes: list[object] = []
    for node in tree:
        if isinstance(node, Weighted):
            nodes.append(Weighted(untagged(node.items), node.bracket, node.number))
        elif not isinstance(node, LoraTag):
            nodes.append(node)
    return merged(nodes)


def _found(tree: Tree) -> Iterator[LoraTag]:
    for node in tree:
        match node:
            case LoraTag():
                yield node
            case Weighted(items=items):
                yield from _found(items)
            case Edit(before=before, after=after):
                yield from _found((*before, *after))
            case Alternate(options=options):
                for option in options:
                    yield from _found(option)
            case _:
                pass


def _tag(node: LoraTag) -> Tag:
    named = dict(argument.split("=", 1) for argument in node.arguments if "=" in argument)
    numbers = [_number(node, argument) for argument in node.arguments if "=" not in argument]
    if len(numbers) > 2 or (numbers and named) or named.keys() - {"te", "unet"}:
        raise _unreadable(node)
    strengths = {name: _number(node, value) for name, value in named.items()}
    if numbers:
        strengths = {"te": numbers[0], "unet": numbers[-1]}
    model = strengths.get("unet", strengths.get("te", 1.0))
    return Tag(name=node.name.strip(), model=model, text=strengths.get("te", model), source=node.source)


def _number(node: LoraTag, written: str) -> float:
    found = NUMBER.fullmatch(written)
    if found is None or abs(float(found[1])) > MOST:
        raise _unreadable(node)
    return float(found[1])


def _unreadable(node: LoraTag) -> RecipeError:
    return RecipeError(
        "{tag} cannot be read: write <lora:name:strength>, or <lora:name:te=0.5:unet=0.8>.",
        tag=node.source[:80],
    )
