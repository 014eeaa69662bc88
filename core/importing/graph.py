"""ComfyUI's API graph as data: nodes by id, inputs that are values or links to another node's output. All of it may be hostile."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from core.errors import MetadataError
from core.importing.draft import Draft, finite, shown, whole

MOST_NODES = 5000
MOST_LINKS = 200  # followed one after the other
VALUES = ("value", "seed", "noise_seed", "int", "float", "number", "text", "string", "prompt", "Number")  # of primitive nodes


@dataclass(frozen=True)
class Link:
    """An output of a node."""

    node: str
    slot: int


@dataclass(frozen=True)
class Node:
    """`kind` is ComfyUI's class_type."""

    id: str
    kind: str
    inputs: Mapping[str, object]

    @property
    def title(self) -> str:
        """As a sentence names it."""
        return f"{shown(self.kind)} {shown(self.id)}"


class Graph:
    """Nodes, and the way from one to those before it."""

    def __init__(self, nodes: Iterable[Node], draft: Draft) -> None:
        self.nodes: dict[str, Node] = {node.id: node for node in nodes}
        self.draft = draft

    def link(self, node: Node, *names: str) -> Link | None:
        """What the first of these inputs that is linked comes from."""
        found = (as_link(node.inputs.get(name)) for name in names)
        return next((link for link in found if link is not None), None)

    def at(self, link: Link | None) -> Node | None:
        return None if link is None else self.nodes.get(link.node)

    def back(self, link: Link | None, follow: Sequence[str]) -> Iterator[tuple[Node, Link]]:
        """From a link backwards, node by node, each with its output that leads on. Raises MetadataError for a circle.

        `follow`: the inputs to go by, in order of preference.
        """
        seen: set[str] = set()
        while link is not None and (node := self.at(link)) is not None:
            if node.id in seen or len(seen) >= MOST_LINKS:
                raise MetadataError("The workflow runs in a circle at {node}: it cannot be followed.", node=node.title)
            seen.add(node.id)
            yield node, link
            link = self.link(node, *follow)

    def value(self, node: Node, name: str, fits: Callable[[object], bool] = lambda value: True) -> object:
        """A value, also where a primitive node gives one that fits; None where it is absent or made by a node that is not known."""
        value = node.inputs.get(name)
        if as_link(value) is None:
            return value
        source = None
        for source, _ in self.back(as_link(value), VALUES):
            values = [source.inputs[key] for key in VALUES if key in source.inputs]
            found = next((value for value in values if as_link(value) is not None or fits(value)), None)
            if found is None:
                break
            if as_link(found) is None:
                return found
        self.draft.say("{field} of {node} comes from {source}, which is not read.", field=name, node=node.title,
                       source="?" if source is None else source.title)  # fmt: skip
        return None

    def number(self, node: Node, name: str) -> float | None:
        """Raises MetadataError for what is no finite number."""
        value = self.value(node, name, lambda value: finite(value) is not None)
        if value is None or finite(value) is not None:
            return finite(value)
        raise _wrong(node, name, value)

    def whole(self, node: Node, name: str) -> int | None:
        value = self.value(node, name, lambda value: whole(value) is not None)
        if value is None or whole(value) is not None:
            return whole(value)
        raise _wrong(node, name, value)

    def text(self, node: Node, name: str) -> str | None:
        value = self.value(node, name, lambda value: isinstance(value, str))
        if value is None or isinstance(value, str):
            return value
        raise _wrong(node, name, value)

    def flag(self, node: Node, name: str, default: bool) -> bool:
        """enable and disable, as these nodes write it, or true and false."""
        value = self.value(node, name)
        return default if value is None else value in (True, "enable", "true")


def _wrong(node: Node, name: str, value: object) -> MetadataError:
    return MetadataError("{field} of {node} cannot be {value}: the workflow is damaged.", field=name, node=node.title,
                         value=shown(repr(value)[:60]))  # fmt: skip


def as_link(value: object) -> Link | None:
    """[node id, slot] as a link."""
    if not isinstance(value, list):
        return None
    parts = cast("list[object]", value)
    if len(parts) != 2 or not isinstance(parts[0], str | int) or not isinstance(parts[1], int):
        return None
    return Link(str(parts[0]), parts[1])


def from_api(data: object, draft: Draft) -> Graph:
    """The graph of an API file. Raises MetadataError."""
    if not isinstance(data, dict):
        raise MetadataError("This workflow is damaged: it is no JSON object.")
    nodes = list(_nodes(cast("dict[str, Any]", data)))
    if len(nodes) > MOST_NODES:
        raise MetadataError("This workflow has {count} nodes: at most {most} are read.", count=len(nodes), most=MOST_NODES)
    return Graph(nodes, draft)


def _nodes(data: Mapping[str, object]) -> Iterator[Node]:
    for id, node in data.items():
        if isinstance(node, dict):
            node = cast("dict[str, object]", node)
            kind, inputs = node.get("class_type"), node.get("inputs")
            if isinstance(kind, str) and isinstance(inputs, dict):
                yield Node(str(id), kind, cast("dict[str, object]", inputs))
