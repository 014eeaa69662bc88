"""Prompts of others in our grammar, so that the same steps read the same words."""

import re
from collections.abc import Callable
from dataclasses import replace

from core.importing.draft import Draft
from core.prompt.grammar import Alternate, Break, Edit, LoraTag, Node, Text, Tree, Weighted, parse

FOREIGN_TAG = re.compile(r"<(?!lora:)[a-z]{2,12}:[^<>]{1,200}>")
LORA_TAG = re.compile(r"<lora:[^<>]{1,300}>")
NUMBER = re.compile(r"[+-]?(?:\d{1,6}\.?\d{0,6}|\.\d{1,6})")
MOST_STRENGTH = 100.0
MOST_LETTERS = 20_000  # as in a recipe, which refuses a longer prompt in its own words

Rename = Callable[[str], str]


def from_comfyui(text: str, draft: Draft) -> str:
    """ComfyUI knows weights alone: what we would read as more is written so that it stays text."""
    tree = _every(parse(text)) if len(text) <= MOST_LETTERS else []
    if any(isinstance(node, LoraTag) for node in tree):
        text = LORA_TAG.sub("", text)
        draft.say("A LoRA tag in a prompt is only text in ComfyUI: it was taken out.")
    if any(isinstance(node, Edit | Alternate) for node in tree):
        text = re.sub(r"(?<!\\)[\[\]]", r"\\\g<0>", text)
        draft.say("Square brackets are only text in ComfyUI: a backslash before them keeps them so.")
    if any(isinstance(node, Break) for node in tree):
        text = re.sub(r"\bBREAK\b", "break", text)
        draft.say("BREAK is only a word in ComfyUI: in small letters it stays one.")
    return text


def from_a1111(text: str, steps: int | None, rename: Rename, draft: Draft) -> str:
    """A1111's prompt: edits switch where they switch there, LoRAs have the names that they have here."""
    if len(text) > MOST_LETTERS:
        return text
    if found := FOREIGN_TAG.findall(text.replace("<lyco:", "<lora:")):
        draft.say("{tag} in the prompt is not known here: it was taken out.", tag=found[0])
    text = FOREIGN_TAG.sub("", text.replace("<lyco:", "<lora:"))
    if re.search(r"\bAND\b", text):
        draft.say("AND joins prompts in A1111 and is only a word here: cut the run into segments instead.")
    tree = parse(text, "a1111")
    moved = _Moved(steps, rename, draft).tree(tree)
    now = written(moved)
    if written(tree) == now:
        return text
    if written(parse(now, "a1111")) != now:
        draft.say("The edits in square brackets could not be moved to A1111's steps: they switch a step earlier here.")
        return text
    if any(isinstance(node, Edit | Alternate) for node in _every(tree)):
        draft.say("A1111 switches [a:b:n] a step later than written, and [a|b] too: the prompt was rewritten so that "
                  "each step reads the same words.")  # fmt: skip
    return now


def without_tags(text: str, draft: Draft) -> str:
    """A negative prompt of A1111, which reads no LoRA there."""
    if LORA_TAG.search(text):
        draft.say("A LoRA tag in the negative prompt has no effect in A1111: it was taken out.")
    return LORA_TAG.sub("", text).strip()


def written(tree: Tree) -> str:
    """The text of a tree, as a1111 weighting reads it."""
    return "".join(map(_written, tree))


def _written(node: Node) -> str:
    match node:
        case Text(text=text):
            return re.sub(r"[\\()\[\]]", r"\\\g<0>", text)
        case Weighted(items=items, bracket="(", number=number):
            return f"({written(items)}{'' if number is None else f':{number:.9g}'})"
        case Weighted(items=items):
            return f"[{written(items)}]"
        case Edit(before=before, after=after, when=when):
            return f"[{written(before)}:{written(after)}:{when}]"
        case Alternate(options=options):
            return f"[{'|'.join(map(written, options))}]"
        case Break():
            return "BREAK"
        case LoraTag(source=source):
            return source


def _every(tree: Tree) -> list[Node]:
    """All nodes of a tree, which is never deep."""
    nodes: list[Node] = []
    for node in tree:
        nodes.append(node)
        match node:
            case Weighted(items=items):
                nodes += _every(items)
            case Edit(before=before, after=after):
                nodes += _every((*before, *after))
            case Alternate(options=options):
                nodes += [inner for option in options for inner in _every(option)]
            case _:
                pass
    return nodes


class _Moved:
    """A tree of A1111's as a tree of ours."""

    def __init__(self, steps: int | None, rename: Rename, draft: Draft) -> None:
        self._steps, self._rename, self._draft = steps, rename, draft

    def tree(self, tree: Tree) -> Tree:
        return tuple(self._node(node) for node in tree)

    def _node(self, node: Node) -> Node:
        match node:
            case Weighted(items=items):
                return replace(node, items=self.tree(items))
            case Edit(before=before, after=after, when=when):
                return Edit(self.tree(before), self.tree(after), self._when(when), "")
            case Alternate(options=options) if len(options) > 1:
                first, *_, last = moved = [self.tree(option) for option in options]
                # There the first option is read twice: at step 0, and at 1, where the turn begins.
                return Edit(first, (Alternate((last, *moved[:-1]), ""),), 1, "")
            case LoraTag():
                return self._tag(node)
            case _:
                return node

    def _when(self, when: float) -> int | float:
        """The number of steps before the switch: one more than written, but for 0."""
        if isinstance(when, float) and when <= 1:
            if self._steps is None:
                return when
            when = when * self._steps + 1e-9
        return int(when) + 1 if when >= 1 else 0

    def _tag(self, node: LoraTag) -> LoraTag:
        """Our name, and no more than the strengths."""
        named = dict(argument.split("=", 1) for argument in node.arguments if "=" in argument)
        numbers = [argument for argument in node.arguments if "=" not in argument]
        kept = [number for number in numbers[:2] if _is_strength(number)]
        te, unet = named.get("te", kept[0] if kept else "1"), named.get("unet", kept[-1] if kept else None)
        unet = te if unet is None else unet
        if not (_is_strength(te) and _is_strength(unet)):
            te = unet = "1"
        if len(kept) < len(numbers) or named.keys() - {"te", "unet"}:
            self._draft.say("Of {tag} only the strengths are carried over.", tag=node.source)
        arguments = (te,) if te == unet else (f"te={te}", f"unet={unet}")
        name = self._rename(node.name.strip())
        name = node.name if re.search("[<>:]", name) else name  # such a name cannot stand in a tag
        if name == node.name and node.arguments in ((), arguments):
            return node
        return LoraTag(name, arguments, f"<lora:{name}:{':'.join(arguments)}>")


def _is_strength(text: str) -> bool:
    return NUMBER.fullmatch(text.strip()) is not None and abs(float(text)) <= MOST_STRENGTH
