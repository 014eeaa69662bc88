"""What a prompt names: every caption of the training is read as it was meant, and what is not clear is not read."""

import random
from pathlib import Path

import pytest

from core.adherence.judge import FOLDER, Judge
from core.adherence.words import named, spoken
from training import judge_export
from training.scenes import EMPTY_PRAISE, Scene, caption, draw_scene, mentioned


@pytest.fixture(scope="module")
def judge(models: Path) -> Judge:
    return Judge(models / FOLDER)


def meant(scene: Scene, names: frozenset[str]) -> dict[str, str]:
    """What a caption of these names asks for that can be seen."""
    seen = names - ({"place"} if {"place", "size"} <= names and scene.size == "big" else set())
    return {"thing": scene.thing} | {name: getattr(scene, name) for name in seen}


def test_captions_are_read_as_they_were_meant(judge: Judge) -> None:
    rng = random.Random("words")
    for _ in range(3000):
        scene = draw_scene(rng)
        names = mentioned(rng, scene)
        words = f"{caption(rng, scene, names)}, {rng.choice(EMPTY_PRAISE)}"
        assert judge.named(words) == meant(scene, names), words
        assert judge.named(words.upper()) == meant(scene, names)


def test_the_words_shipped_are_those_of_the_training(judge: Judge) -> None:
    assert judge.world.says == judge_export.says()
    assert all(set(said.values()) == set(judge.world.answers[name]) for name, said in judge.world.says.items())


@pytest.mark.parametrize(
    ("prompt", "found"),
    [
        ("a (red:1.3) rabbit, ((blue background))", {"background": "blue", "thing": "rabbit", "colour": "red"}),
        ("<lora:pixel-art:0.8> a teddy bear", {"thing": "teddy bear"}),
        ("a [cat:dog:0.5]", {"thing": "dog"}),  # what it is at the end
        ("a grey palm tree in the centre", {"thing": "palm tree", "place": "center", "colour": "gray"}),
        ("the rabbit is red", {"thing": "rabbit", "colour": "red"}),
        ("a red or blue rabbit", {"thing": "rabbit"}),  # which of both?
        ("a big car on the left", {"thing": "car", "size": "big"}),  # it has no room to stand there
        ("a car on the left", {"thing": "car", "place": "left"}),
        ("a scarecrow, carpet, starfish", {}),
        ("a cat and a dog", {}),  # the judge sees one thing
        ("a red background", {}),
        ("a rabbit without a hat", {}),
        ("a portrait of a young woman, golden hour", {}),
        ("赤いうさぎ", {}),
        ("", {}),
        ("(((((", {}),
    ],
)
def test_what_is_clear_is_read_and_nothing_else(judge: Judge, prompt: str, found: dict[str, str]) -> None:
    assert judge.named(prompt) == found


def test_a_prompt_is_read_without_its_weights() -> None:
    assert spoken("a (red:1.3) \\(old\\) rabbit<lora:ink:1> BREAK at [night:noon:2]").split() == [
        "a", "red", "(old)", "rabbit", "at", "noon"
    ]  # fmt: skip


def test_longer_phrases_go_first() -> None:
    says = {"thing": {"tree": "tree", "palm tree": "palm"}}
    assert named("palm tree", says) == {"thing": "palm"}
    assert named("palm tree, tree", says) == {}
