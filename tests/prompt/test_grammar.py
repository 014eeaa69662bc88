"""The prompt language: trees, ComfyUI's and A1111's weights, and any text whatever in linear time."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.prompt.grammar import DEPTH, Alternate, Break, Edit, LoraTag, Node, Text, Tree, Weighted, parse
from core.prompt.weights import chunks


def pieces(text: str, weighting: str) -> list[list[tuple[str, float]]]:
    return [[(piece.text, pytest.approx(piece.weight)) for piece in chunk] for chunk in chunks(text, weighting)]  # type: ignore[misc]


COMFYUI = {
    "a cat": [("a cat", 1.0)],
    "(a (b:2.0) c:1.2)": [("a ", 1.2), ("b", 2.0), (" c", 1.2)],
    "((a))": [("a", 1.21)],
    "(a)": [("a", 1.1)],
    "(a:x)": [("a:x", 1.1)],
    "(a:1.2:1.3)": [("a:1.2", 1.3)],
    "(a: 1.5 )": [("a", 1.5)],
    "(a:-1)": [("a", -1.0)],
    "(a:.5)(b:0)": [("a", 0.5), ("b", 0.0)],
    "[x] [[y]]": [("[x] [[y]]", 1.0)],
    r"\(a\) (b\):1.5)": [("(a) ", 1.0), ("b)", 1.5)],
    "(unclosed": [("(unclosed", 1.0)],
    "closed) twice)": [("closed) twice)", 1.0)],
    "(a [b:1.2)": [("a [b", 1.2)],
    "x:1.2 | y": [("x:1.2 | y", 1.0)],
    "(:1.2)": [(":1.2", 1.1)],
    "()": [],
    "": [],
    "mail@x:y, 10:30 [": [("mail@x:y, 10:30 [", 1.0)],
}
A1111 = {
    "normal text": [("normal text", 1.0)],
    "an (important) word": [("an ", 1.0), ("important", 1.1), (" word", 1.0)],
    "(unbalanced": [("unbalanced", 1.1)],
    r"\(literal\]": [("(literal]", 1.0)],
    "(unnecessary)(parens)": [("unnecessaryparens", 1.1)],
    "[less]": [("less", 1 / 1.1)],
    "[[less]] ((more))": [("less", 1 / 1.21), (" ", 1.0), ("more", 1.21)],
    "((a:1.5))": [("a", 1.65)],
    "(a (b:2.0) c:1.2)": [("a ", 1.2), ("b", 2.4), (" c", 1.2)],
    "[(a:1.1)]": [("a", 1.0)],
    r"a\\b \[c\]": [("a\\b [c]", 1.0)],
    "[a:b]": [("a:b", 1 / 1.1)],
    "a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).": [
        ("a ", 1.0), ("house", 1.573), (" ", 1.1), ("on", 1.0), (" a ", 1.1),
        ("hill", 0.55), (", sun, ", 1.1), ("sky", 1.4641), (".", 1.1),
    ],
}  # fmt: skip


@pytest.mark.parametrize("text", COMFYUI)
def test_weights_as_in_comfyui(text: str) -> None:
    assert pieces(text, "comfyui") == [COMFYUI[text]]


@pytest.mark.parametrize("text", A1111)
def test_weights_as_in_a1111(text: str) -> None:
    assert pieces(text, "a1111") == [A1111[text]]


@pytest.mark.parametrize("weighting", ["comfyui", "a1111"])
def test_break_keeps_the_weight_around_it(weighting: str) -> None:
    assert pieces("a BREAK (b BREAK c:1.5)", weighting) == [[("a ", 1.0)], [(" ", 1.0), ("b ", 1.5)], [(" c", 1.5)]]
    assert pieces("BREAKFAST OUTBREAK", weighting) == [[("BREAKFAST OUTBREAK", 1.0)]]
    assert pieces("BREAK", weighting) == [[], []]


A, B = (Text("a"),), (Text("b"),)
TREES: dict[str, Node] = {
    "[a:b:10]": Edit(A, B, 10, "[a:b:10]"),
    "[a:b:0.5]": Edit(A, B, 0.5, "[a:b:0.5]"),
    "[b:3]": Edit((), B, 3, "[b:3]"),
    "[a::.25]": Edit(A, (), 0.25, "[a::.25]"),
    "[a|b]": Alternate((A, B), "[a|b]"),
    "[a||b]": Alternate((A, (), B), "[a||b]"),
    "[(a:1.2):b:5]": Edit((Weighted(A, "(", 1.2),), B, 5, "[(a:1.2):b:5]"),
    "[[a:b:3]:b:5]": Edit((Edit(A, B, 3, "[a:b:3]"),), B, 5, "[[a:b:3]:b:5]"),
    "<lora:pixel art:0.8>": LoraTag("pixel art", ("0.8",), "<lora:pixel art:0.8>"),
    "<lora:x:0.8:te=1>": LoraTag("x", ("0.8", "te=1"), "<lora:x:0.8:te=1>"),
    "<lora:x>": LoraTag("x", (), "<lora:x>"),
    "BREAK": Break(),
}


@pytest.mark.parametrize("weighting", ["comfyui", "a1111"])
@pytest.mark.parametrize("text", TREES)
def test_trees_that_both_weightings_share(text: str, weighting: str) -> None:
    assert parse(text, weighting) == (TREES[text],)


@pytest.mark.parametrize(
    "text", ["[a:b:c:3]", "[a:b]", "[:)", "<lora:>", "<lora:a:b", "[a:b:1.2.3]", "[:5]", r"\[a:b:3\]", "[a:b:-1]"]
)
def test_what_only_looks_like_editing_is_text(text: str) -> None:
    literal = text.replace("\\", "")
    assert parse(text, "comfyui") == (Text(literal),)


@pytest.mark.parametrize("weighting", ["comfyui", "a1111"])
@pytest.mark.parametrize(
    ("tagged", "plain"),
    [
        ("a red<lora:ink:0.8> apple", "a red apple"),
        ("(a <lora:ink>:1.3)", "(a :1.3)"),
        ("<lora:ink>", ""),
        ("[a <lora:x>:b<lora:y:2>:3] c", "[a :b:3] c"),
    ],
)
def test_a_lora_tag_leaves_no_trace_in_the_text(tagged: str, plain: str, weighting: str) -> None:
    for read in ((0,), (1,)):
        assert chunks(tagged, weighting, read) == chunks(plain, weighting, read)


def depth(tree: Tree) -> int:
    inner = [node.items for node in tree if isinstance(node, Weighted)]
    inner += [part for node in tree if isinstance(node, Edit) for part in (node.before, node.after)]
    inner += [part for node in tree if isinstance(node, Alternate) for part in node.options]
    return 1 + max(map(depth, inner), default=-1)


ALPHABET = st.sampled_from(
    [*"()[]:|\\<>,. \n10ab", "BREAK", "<lora:", ":1.2)", ":3]", "embedding:", "(((", "]]]", "é", "語"]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(ALPHABET, max_size=60).map("".join) | st.text(max_size=200), st.sampled_from(["comfyui", "a1111"]))
def test_any_text_has_a_tree(text: str, weighting: str) -> None:
    assert depth(parse(text, weighting)) <= DEPTH
    found = chunks(text, weighting)
    assert len(found) >= 1 and all(piece.text for chunk in found for piece in chunk)


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="ab ,.é語'!?-", max_size=200))
def test_plain_text_stays_as_it_is(text: str) -> None:
    for weighting in ("comfyui", "a1111"):
        assert parse(text, weighting) == ((Text(text),) if text else ())


HOSTILE = [
    "(",
    "[",
    ")",
    "]",
    "(a",
    "(a:1",
    "(a|",
    "[a|",
    "[a:b:1]",
    "<lora:",
    "((",
    "[(",
    "([",
    "BREAK ",
    ":1)",
    ":1]",
    "\\",
    "B",
    "<",
]
SHAPES = [*[part * (20_000 // len(part)) for part in HOSTILE], "(" * 10_000 + ")" * 10_000, "[" * 10_000 + "]" * 10_000]
SHAPES += ["[" * 6_000 + "a" + "|b]" * 4_000, "[" * 5_000 + "a" + ":b:1]" * 3_000, "(" * 5_000 + "a" + ":1.1)" * 3_000]


@pytest.mark.parametrize("text", SHAPES, ids=map(str, range(len(SHAPES))))
def test_hostile_text_is_read_in_linear_time(text: str) -> None:
    """20 000 characters, the longest prompt that a recipe takes; half of them must not take less than a quarter of the time."""
    for weighting in ("comfyui", "a1111"):
        began = time.process_time()
        depth(parse(text, weighting))
        chunks(text, weighting)
        assert time.process_time() - began < 1.0
