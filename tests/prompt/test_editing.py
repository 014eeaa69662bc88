"""Prompt editing: at every step the tree of the prompt that somebody would have written for it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.prompt.editing import choices, decided
from core.prompt.grammar import parse
from core.prompt.weights import chunks


def read(text: str, step: int, steps: int = 10, weighting: str = "comfyui") -> object:
    return decided(parse(text, weighting), iter(choices(text, weighting, step, steps)))


@pytest.mark.parametrize(
    ("text", "readings"),
    [
        ("a [b:c:3] d", ["a b d"] * 3 + ["a c d"] * 7),
        ("a [b:c:0.35]", ["a b"] * 3 + ["a c"] * 7),
        ("a [b:c:0]", ["a c"] * 10),
        ("a [b:c:10]", ["a b"] * 10),
        ("a [b:c:1.0]", ["a b"] * 10),
        ("a[ b:4]", ["a"] * 4 + ["a b"] * 6),
        ("a[ b::4]", ["a b"] * 4 + ["a"] * 6),
        ("[a|b|c]", ["a", "b", "c"] * 3 + ["a"]),
        ("[a:[b|c]:2]", ["a", "a", *["b", "c"] * 4]),
        ("[[a:b:1]:[c:d:8]:4]", ["a", *["b"] * 3, *["c"] * 4, *["d"] * 2]),
        ("(x [a:b:5]:1.3)", ["(x a:1.3)"] * 5 + ["(x b:1.3)"] * 5),
        ("a BREAK [b:c:2]", ["a BREAK b"] * 2 + ["a BREAK c"] * 8),
        ("[a:(b:1.2):3] c", ["a c"] * 3 + ["(b:1.2) c"] * 7),
    ],
)
@pytest.mark.parametrize("weighting", ["comfyui", "a1111"])
def test_every_step(text: str, readings: list[str], weighting: str) -> None:
    assert [read(text, step, 10, weighting) for step in range(10)] == [parse(said, weighting) for said in readings]


def test_a_share_that_binary_cannot_hold() -> None:
    for tenths in range(1, 100):
        switches = [step for step in range(100) if choices(f"[a:b:0.{tenths:02}]", "comfyui", step, 100) == (1,)]
        assert switches[0] == tenths


def test_only_what_is_read_is_chosen() -> None:
    """A branch that is not read does not make two equal prompts two."""
    assert {choices("[a:[b|c]:4]", "comfyui", step, 10) for step in range(4)} == {(0,)}


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from([*"[]():|ab3 ", ":0.5]", ":2]", "[a|b]", "BREAK"]), max_size=30).map("".join),
    st.integers(0, 9),
)
def test_any_text_can_be_read_at_any_step(text: str, step: int) -> None:
    for weighting in ("comfyui", "a1111"):
        assert chunks(text, weighting, choices(text, weighting, step, 10))
