"""A prompt's text as a tree: weights, editing, BREAK and LoRA tags. Any text has a tree; what is no syntax is literal.

    (x)  (x:1.2)           a weight             both weightings, with different arithmetic (weights.py)
    [x]                    a lower weight       a1111; literal in comfyui
    [a:b:n]  [b:n]  [a::n] editing at step n    both
    [a|b|c]                alternation          both
    BREAK                  a new window         both
    <lora:name:weight>     a LoRA               both
    \\( \\) \\[ \\]            literal brackets     both; \\\\ is a backslash in a1111

Two passes, each linear in the text: tokens by one regular expression, then a stack of open brackets. A bracket that finds no
partner is literal, except that a1111 closes at the end what is still open. Brackets deeper than DEPTH are literal too, so that
whoever walks a tree may recurse.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

DEPTH = 64

NUMBER = r"(?:\d{1,9}\.?\d{0,9}|\.\d{1,9})"
TOKEN = re.compile(
    rf"""(?P<escape>\\[()\[\]\\])
      | (?P<lora><lora:(?P<name>[^<>:]{{1,300}})(?P<rest>(?::[^<>:]{{0,50}}){{0,8}})>)
      | (?P<number>:\s{{0,8}}[+-]?{NUMBER}\s{{0,8}}(?=\))|:\s{{0,8}}{NUMBER}\s{{0,8}}(?=\]))
      | (?P<break>\bBREAK\b)
      | (?P<open>[(\[])
      | (?P<close>[)\]])
      | (?P<mark>[:|])
      | (?P<text>[^\\()\[\]:|<B]+|.)""",
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True)
class Text:
    """Literal text, escapes resolved."""

    text: str


@dataclass(frozen=True)
class Weighted:
    """(x), (x:1.2) or [x]: `number` is None where none was written."""

    items: "Tree"
    bracket: str  # ( or [
    number: float | None = None


@dataclass(frozen=True)
class Edit:
    """[before:after:when]: an int counts steps of the run, a float is a share of them."""

    before: "Tree"
    after: "Tree"
    when: int | float
    source: str


@dataclass(frozen=True)
class Alternate:
    """[a|b|c]: one after the other, a step each."""

    options: "tuple[Tree, ...]"
    source: str


@dataclass(frozen=True)
class Break:
    """A new window of 77 tokens begins."""


@dataclass(frozen=True)
class LoraTag:
    """<lora:name:1.0>: `arguments` are the numbers and words after the name, as written."""

    name: str
    arguments: tuple[str, ...]
    source: str


Node = Text | Weighted | Edit | Alternate | Break | LoraTag
Tree = tuple[Node, ...]


@dataclass(frozen=True)
class _Mark:
    """A : or | that may still turn out to belong to an edit; else it is text."""

    text: str


@dataclass
class _Open:
    """A bracket that is open: where it stands in the list of items and in the source, and how deep its content is."""

    bracket: str
    item: int
    start: int
    height: int = 0


def parse(text: str, weighting: str = "comfyui") -> Tree:
    """The tree of a prompt. Never fails."""
    return _Parser(text, weighting).run()


class _Parser:
    """One flat list of items; a bracket that closes folds the end of the list into one node, an unclosed one just stays."""

    def __init__(self, source: str, weighting: str) -> None:
        self.source, self.a1111 = source, weighting == "a1111"
        self.items: list[Node | _Mark] = []
        self.open: list[_Open] = []
        self.rounds = 0  # how many of the open brackets are round

    def run(self) -> Tree:
        number = ""  # of a weight or an edit; the next token is the closing bracket that takes it
        for token in TOKEN.finditer(self.source):
            kind, word = token.lastgroup, token[0]
            if kind == "number":
                number = word
            elif kind == "close":
                self.close(word, number, token.end())
                number = ""
            elif kind == "open":
                self.open.append(_Open(word, len(self.items), token.start()))
                self.rounds += word == "("
                self.items.append(Text(word))
            else:
                self.items.append(self.leaf(kind, token))
        while self.open:
            top = self.pop()
            if self.a1111 and top.height < DEPTH:
                self.items[top.item :] = [Weighted(_joined(self.items[top.item + 1 :]), top.bracket)]
                if self.open:
                    self.open[-1].height = max(self.open[-1].height, top.height + 1)
        return _joined(self.items)

    def leaf(self, kind: str | None, token: re.Match[str]) -> Node | _Mark:
        word = token[0]
        if kind == "mark":
            return _Mark(word)
        if kind == "break":
            return Break()
        if kind == "lora":
            return LoraTag(token["name"], tuple(token["rest"].split(":")[1:]), word)
        is_escape = kind == "escape" and (word != "\\\\" or self.a1111)
        return Text(word[1] if is_escape else word)

    def close(self, word: str, number: str, end: int) -> None:
        """A round bracket closes over unclosed square ones, which ComfyUI's users write as text; never the reverse."""
        if word == ")" and self.rounds:
            while self.open[-1].bracket == "[":
                self.pop()
        if self.open and self.open[-1].bracket + word in {"()", "[]"}:
            top = self.pop()
            node = self.node(top, word, number, end) if top.height < DEPTH else None
            if self.open:
                self.open[-1].height = max(self.open[-1].height, top.height + 1)
            if node is not None:
                self.items[top.item :] = [node]
                return
        if number:
            self.items += [_Mark(":"), Text(number[1:])]
        self.items.append(Text(word))

    def node(self, top: _Open, word: str, number: str, end: int) -> Node | None:
        inner = self.items[top.item + 1 :]
        return self.round(inner, number) if word == ")" else self.square(inner, number, self.source[top.start : end])

    def round(self, inner: "list[Node | _Mark]", number: str) -> Node:
        if number and not inner and not self.a1111:
            return Weighted((Text(number),), "(")  # ComfyUI: a number without a text is a text
        return Weighted(_joined(inner), "(", float(number[1:]) if number else None)

    def square(self, inner: "list[Node | _Mark]", number: str, source: str) -> Node | None:
        """An edit, an alternation, a plain bracket; None: it is literal."""
        if _Mark("|") in inner:
            rest = [_Mark(":"), Text(number[1:])] if number else []
            return Alternate(tuple(map(_joined, _split([*inner, *rest], "|"))), source[:200])
        if number and inner and inner.count(_Mark(":")) <= 1:
            *before, after = map(_joined, _split(inner, ":"))
            when = float(number[1:]) if "." in number else int(number[1:])
            return Edit(before[0] if before else (), after, when, source[:200])
        if not self.a1111:
            return None
        return Weighted(_joined([*inner, Text(number)]), "[")

    def pop(self) -> _Open:
        """The innermost open bracket is done with; what it holds counts for the one around it."""
        top = self.open.pop()
        self.rounds -= top.bracket == "("
        if self.open:
            self.open[-1].height = max(self.open[-1].height, top.height)
        return top


def _split(items: "list[Node | _Mark]", mark: str) -> "list[list[Node | _Mark]]":
    parts: list[list[Node | _Mark]] = [[]]
    for item in items:
        if item == _Mark(mark):
            parts.append([])
        else:
            parts[-1].append(item)
    return parts


def _joined(items: "Sequence[Node | _Mark]") -> Tree:
    """Marks that marked nothing become text, texts side by side become one."""
    tree: list[Node] = []
    words: list[str] = []
    for item in [*items, None]:
        if isinstance(item, (Text, _Mark)):
            words.append(item.text)
            continue
        if "".join(words):
            tree.append(Text("".join(words)))
        words = []
        if item is not None:
            tree.append(item)
    return tuple(tree)
