"""What a language model is told of a prompt, and what is made of its answer."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import RecipeError
from core.prompt.enrich import LONGEST, brief, finished, script, shown
from core.prompt.quotes import quotes


@pytest.mark.parametrize(
    ("text", "letters"),
    [
        ('a sign "OPEN 24H" and "CLOSED"', ["OPEN 24H", "CLOSED"]),
        ("a sign “Café Noir”", ["Café Noir"]),
        ("ein Schild „Zum Löwen“, Regen", ["Zum Löwen"]),
        ("une enseigne « Le Chat »", [" Le Chat "]),
        ("看板に「営業中」と『本日休業』", ["営業中", "本日休業"]),
        ("a shirt that says 'don't panic', blue", ["don't panic"]),
        ("a sign ‘It’s late’ at night", ["It’s late"]),
        ("the dogs' bowl and the cat's bed, don't blur", []),
        ("no quotes at all", []),
        ('the same "A1" twice: "A1"', ["A1"]),
    ],
)
def test_quotes_of_all_kinds(text: str, letters: list[str]) -> None:
    assert [quote.letters for quote in quotes(text)] == letters


@pytest.mark.parametrize(
    ("prompt", "answer", "text", "lost"),
    [
        ('a sign "OPEN"', 'A tall sign says "OPEN" in red.', 'A tall sign says "OPEN" in red.', 0),
        ('a sign "OPEN"', "A tall sign says “OPEN” in red.", "A tall sign says “OPEN” in red.", 0),
        # misspelt, in its place
        ('a sign "OPEN 24H"', 'A sign "Open 24 h" glows.', 'A sign "OPEN 24H" glows.', 1),
        # without its marks
        ('a sign "OPEN"', "A sign that reads OPEN glows.", 'A sign that reads "OPEN" glows.', 1),
        # gone: its clause follows
        ('night. A sign "OPEN", rain. Fog', "A street at night", 'A street at night. A sign "OPEN", rain', 1),
        ("夜の街。看板に「営業中」", "夜の街が光る。", "夜の街が光る。看板に「営業中」", 1),
        # translated: the others are left alone
        ('"STOP" and "GO"', 'Two signs, "STOP" and "LOS".', 'Two signs, "STOP" and "LOS". "STOP" and "GO"', 1),
        # a letter within a word is no quote
        ('the letter "A"', "A wall.", 'A wall. the letter "A"', 1),
    ],
)  # fmt: skip
def test_quotes_are_kept_letter_by_letter(prompt: str, answer: str, text: str, lost: int) -> None:
    told = brief(prompt)
    made = finished(answer, told)
    assert (made.text, len(made.lost)) == (text, lost)
    assert all(quote.stands_in(made.text) for quote in told.quotes)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.text("abc \"“”「」'.,", max_size=12), max_size=4),
    st.text("OPEN open 24h\"“”「」«»'.!。, \n[]():", max_size=80),
)
def test_no_answer_loses_a_quote(around: list[str], answer: str) -> None:
    """Whatever is answered, with marks that close nothing, or with syntax."""
    told = brief(" ".join([*around, 'a sign "OPEN 24H" 「営業」']))
    made = finished(answer, told)
    assert not made.text or all(quote.stands_in(made.text) for quote in told.quotes)


def test_lora_tags_and_embeddings_come_back_at_the_end() -> None:
    told = brief("a <lora:pixel-art:0.8> red apple, embedding:glow, on (a table)")
    assert told.text == "a red apple, on (a table)" and "lora" not in told.instruction
    assert finished("A red apple.", told).text == "A red apple. <lora:pixel-art:0.8> embedding:glow"


@pytest.mark.parametrize(
    "prompt", ["[a cat:a dog:5] runs", "a [cat|dog]", "a (red:1.2) apple", "a cat BREAK a dog", "(a [b:c:0.5])"]
)
def test_syntax_that_would_not_survive_is_refused(prompt: str) -> None:
    with pytest.raises(RecipeError, match="would not survive"):
        brief(prompt)


@pytest.mark.parametrize(
    ("prompt", "said"), [("", "nothing to enrich"), (" ,\n", "nothing"), ("x" * (LONGEST + 1), "at most 4000")]
)
def test_what_is_empty_or_too_long_is_refused(prompt: str, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        brief(prompt)


def test_syntax_in_an_answer_is_text() -> None:
    """Nobody can slip a LoRA or a switch into the prompt from outside."""
    made = finished("A [cat|dog] <lora:evil:9> and (red:1.4) shoes (new).", brief("a cat"))
    assert made.text == r"A \[cat|dog\]  and \(red:1.4\) shoes \(new\)."
    assert finished("Two cats (one grey).", brief("cats")).text == "Two cats (one grey)."


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("a red apple", ""), ("une pomme rouge", ""), ("赤いりんご", "Japanese"), ("一只红苹果", "Chinese"), ("빨간 사과", "Korean"),
        ("красное яблоко", "Russian"), ("червоне яблуко, їжа", "Ukrainian"), ('a sign "営業中"', ""),
    ],
)  # fmt: skip
def test_the_language_is_named_where_letters_tell_it(text: str, name: str) -> None:
    assert script(text) == name
    assert (f"so write {name}." in brief(text).instruction) is bool(name)


def test_an_answer_in_another_script_is_noticed() -> None:
    assert finished("A red apple on a table.", brief("красное яблоко")).strays
    assert not finished("Красное яблоко на столе.", brief("красное яблоко")).strays
    assert not finished('A sign "営業中" glows.', brief('a sign "営業中"')).strays


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("<think>\nWell, an apple", ""),
        ("<thi", ""),
        ("<think>\n\n</think>\n\nA red\n\napple. ", "A red apple."),
        ("A\x00 red\x1b apple\u202e.", "A red apple."),
    ],
)
def test_thoughts_line_breaks_and_controls_are_not_shown(answer: str, text: str) -> None:
    assert shown(answer) == text


def test_an_answer_that_was_cut_ends_with_a_sentence() -> None:
    told = brief("apples")
    assert finished("Red apples on a table. They sh", told, cut=True).text == "Red apples on a table."
    assert finished("Red. Apples on a wide wooden table in the even", told, cut=True).text.endswith("even")
    assert finished('"Red apples."', told).text == "Red apples."
