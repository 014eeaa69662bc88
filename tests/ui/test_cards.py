"""The cards' words: short enough to read standing, with no number that the code does not fill in; and strips that can be made."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from core import Pipeline
from core.families import FAMILIES, VARIANTS
from core.families.base import Defaults
from core.sampling import SAMPLERS, SCHEDULES, cfg_is_off
from core.sampling.model_sampling import LCMDistilled
from ui import texts
from ui.explainer.cards import CARDS, PARTS
from ui.explainer.numbers import OFF, filled, numbers
from ui.explainer.recipes import AXES, STRIPS, Chosen, grid, pairs

LONGEST = {
    "title": 44,
    "what": 150,
    "like": 130,
    "low": 110,
    "high": 130,
    "none": 150,
    "usual": 150,
}  # letters, as filled
WIDE = {"ja", "zh"}  # scripts of which a letter says as much as two or three of ours
NAMES = r"SD1\.5|Flux\.1|dpmpp_2m|image2image|1/(?=\{)"  # names may hold digits, and a fraction its numerator


@pytest.mark.parametrize("language", sorted(texts.LANGUAGES))
def test_every_card_says_everything(language: str) -> None:
    words = texts.WORDS[language]
    assert {key for key in words if key.startswith("card.")} == {
        f"card.{card}.{part}" for card in CARDS for part in PARTS
    }


@pytest.mark.parametrize("language", sorted(texts.LANGUAGES))
def test_no_line_is_too_long(language: str) -> None:
    words = filled({key: text for key, text in texts.WORDS[language].items() if key.startswith("card.")})
    share = 0.75 if language in WIDE else 1.25 if language == "ru" else 1.0
    long = {key: len(text) for key, text in words.items() if len(text) > LONGEST[key.rpartition(".")[2]] * share}
    assert not long


@pytest.mark.parametrize("language", sorted(texts.LANGUAGES))
def test_no_number_is_typed_in(language: str) -> None:
    """A number in a text would be out of date one day: it is a placeholder, and comes from the code."""
    stale = {
        key: text for key, text in texts.WORDS[language].items()
        if key.startswith("card.") and re.search(r"\d", re.sub(r"\{\w+\}", "", re.sub(NAMES, "", text)))
    }  # fmt: skip
    assert not stale


def test_placeholders_are_filled_and_no_number_is_left_over() -> None:
    for card in CARDS:
        keys = [f"card.{card}.{part}" for part in PARTS]
        named = set[str]().union(*(texts.fields_of(texts.WORDS["en"][key]) for key in keys))
        assert named == numbers().get(card, {}).keys(), card
    assert not any(
        "{" in text for text in filled({k: v for k, v in texts.WORDS["en"].items() if k.startswith("card.")}).values()
    )


def test_numbers_are_the_families_own() -> None:
    known = {record.title: record.defaults for record in (*FAMILIES.values(), *VARIANTS.values())}

    def says(card: str, name: str, title: str, field: str) -> bool:
        own: Defaults = known[title]
        return float(numbers()[card][name]) == pytest.approx(getattr(own, field), rel=0.005)

    titles = {
        "sd15": "SD1.5",
        "flux": "Flux.1 dev",
        "schnell": "Flux.1 schnell",
        "turbo": "Z-Image Turbo",
        "base": "Z-Image",
    }
    for card, field in (("steps", "steps"), ("cfg", "cfg"), ("shift", "shift"), ("guidance", "guidance")):
        for name in numbers()[card].keys() & titles.keys():
            assert says(card, name, titles[name], field), (card, name)
    assert says("clip_skip", "sdxl", "SDXL", "clip_skip")
    assert cfg_is_off(float(OFF))
    assert numbers()["sampler"]["z_image"] in SAMPLERS and numbers()["scheduler"]["flux"] in SCHEDULES
    assert numbers()["lcm"]["sampler"] in SAMPLERS and len(LCMDistilled().sigmas) == 50
    for title in ("Flux.1 dev", "Flux.1 schnell"):
        assert (
            known[title].sampler == numbers()["sampler"]["flux"]
            and known[title].scheduler == numbers()["scheduler"]["flux"]
        )
    for title in ("Z-Image", "Z-Image Turbo"):
        assert known[title].scheduler == numbers()["scheduler"]["flux"]
    assert {own.cfg for title, own in known.items() if title in ("Z-Image Turbo", "Flux.1 dev", "Flux.1 schnell")} == {
        float(OFF)
    }


@pytest.fixture(scope="module")
def context(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    pipe = Pipeline(models, device="cpu", data=tmp_path_factory.mktemp("data"))
    yield SimpleNamespace(pipe=pipe)
    pipe.close()


@pytest.mark.parametrize("model", ["demo", "demo-turbo"])
@pytest.mark.parametrize("card", CARDS)
def test_every_strip_can_be_planned_and_moves_one_thing(context: Any, card: str, model: str) -> None:
    strip = STRIPS[card](Chosen(context=context, name=model))
    recipes = [cell.recipe for cell in strip.cells]
    assert 2 <= len(recipes) <= 9 and 0 <= strip.at < len(recipes)
    assert context.pipe.cost(recipes).steps > 0
    assert len({recipe.model_dump_json() for recipe in recipes}) == len(recipes)
    assert all(cell.text or cell.key in texts.WORDS["en"] for cell in strip.cells)
    for key in [f"explain.why.{strip.why}"] * bool(strip.why) + [f"explain.note.{strip.note}"] * bool(strip.note):
        assert key in texts.WORDS["en"]
    if card not in ("seed", "guidance"):
        assert len({recipe.seed for recipe in recipes}) == 1
    if strip.model != model and not strip.why:
        raise AssertionError("a strip of another model says why")


@pytest.mark.parametrize(("x", "y"), [(x, y) for x in AXES for y in pairs()[x]])
def test_every_pair_of_settings_can_be_planned(context: Any, x: str, y: str) -> None:
    strip = grid(Chosen(context=context, name="demo"), x, y)
    count = len(AXES[x].values) * len(AXES[y].values)
    recipes = [cell.recipe for cell in strip.cells]
    assert len(recipes) == count == len({recipe.model_dump_json() for recipe in recipes})
    assert context.pipe.cost(recipes).steps > 0
    assert x in pairs()[y], "whichever way round"
