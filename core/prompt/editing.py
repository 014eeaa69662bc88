"""Prompt editing: which branch of [a:b:10] and [a|b] is read at a step of the run.

We switch after exactly n steps, as ComfyUI's nodes and SwarmUI do; A1111 itself is a step late. A prompt with its choices made is the
tree of the prompt that somebody would have written for that step, so it gives the same bits.
"""

from collections.abc import Iterator

from core.prompt.grammar import Alternate, Edit, Text, Tree, Weighted, parse

Choices = tuple[int, ...]
"""The branch taken at each edit and alternation, in the order in which they are read."""


def choices(text: str, weighting: str, step: int, steps: int) -> Choices:
    """The branches that are read at a step (from 0) of a run of `steps`."""
    if "[" not in text:  # nothing to edit: most prompts, at every step
        return ()
    return tuple(_chosen(parse(text, weighting), step, steps))


def _chosen(tree: Tree, step: int, steps: int) -> Iterator[int]:
    for node in tree:
        branches = _branches(node)
        if isinstance(node, Edit):
            # A share such as 0.35 of 20 steps is 7, though 0.35 * 20 is a little less in binary.
            switch = node.when if isinstance(node.when, int) else int(node.when * steps + 1e-9)
            branch = int(step >= switch)
        else:
            branch = step % len(branches)
        if isinstance(node, Edit | Alternate):
            yield branch
            yield from _chosen(branches[branch], step, steps)
        elif isinstance(node, Weighted):
            yield from _chosen(node.items, step, steps)


def _branches(node: object) -> tuple[Tree, ...]:
    match node:
        case Edit(before=before, after=after):
            return (before, after)
        case Alternate(options=options):
            return options
        case _:
            return ((),)


def decided(tree: Tree, taken: Iterator[int]) -> Tree:
    """The tree with only the branches that were taken; texts that come to stand side by side become one."""
    nodes: list[object] = []
    for node in tree:
        if isinstance(node, Edit | Alternate):
            nodes += decided(_branches(node)[next(taken, 0)], taken)
        elif isinstance(node, Weighted):
            nodes.append(Weighted(decided(node.items, taken), node.bracket, node.number))
        else:
            nodes.append(node)
    return merged(nodes)


def merged(nodes: list[object]) -> Tree:
    """Texts that stand side by side become one."""
    tree: list[object] = []
    for node in nodes:
        if isinstance(node, Text) and tree and isinstance(tree[-1], Text):
            tree[-1] = Text(tree[-1].text + node.text)
        else:
            tree.append(node)
    return tuple(tree)  # type: ignore[return-value]
