"""The variety tab's form and its experiments: recipe -> form -> recipe, what a pin holds, and what is told of a job."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from core.errors import RecipeError
from core.models.library import Library
from core.recipe import Recipe, parse
from core.variety import Blind, blind_of, pinned, started
from ui import texts
from ui.bindings import CARRIED, carried_fields, pack, unpack
from ui.opening import presets_of, read_presets
from ui.served import Served
from ui.variety.fields import MOST_PROMPTS, VARIETY, read_pin
from ui.variety.view import Varied, row_title

PRESETS = Path(__file__).parents[1] / "presets"
KEY = "ab" * 32
EN = texts.of("en")


def through(recipe: Recipe, **changes: Any) -> Recipe:
    """Into the form and out again."""
    values = unpack(recipe, VARIETY) | changes
    return pack([*(values[binding.control] for binding in VARIETY), values[CARRIED]], VARIETY)


def a_recipe(**fields: Any) -> Recipe:
    return parse(
        {"stepwise": 1, "model": "demo-turbo", "prompt": "a red rabbit", "seed": 3, "batch": 4, "cfg": 1.0, **fields}
    )


STARTS = [
    Blind(steps=0),
    Blind(steps=1),
    Blind(steps=3, conditioning="empty", border="continue"),
    Blind(steps=2, conditioning="prompt", prompt="a tree"),
]


@pytest.mark.parametrize("blind", STARTS)
def test_a_start_goes_through_the_form(blind: Blind) -> None:
    recipe = started(a_recipe(shift=6.0, sampler="euler"), blind)
    assert through(recipe) == recipe
    (on_it,) = pinned(recipe, KEY, 2, ["x"])
    assert through(on_it) == on_it


@pytest.mark.parametrize(
    "fields",
    [
        {"segments": [{"end": 5}, {"prompt": "x"}]},
        {"loras": [{"name": "ink"}]},
        {"cfg": {"0": 1.0, "5": 2.0}},
        {"init": {"image": KEY, "denoise": 0.5}},
        {"vae": "other", "noise": "comfyui"},
    ],
)
def test_what_the_form_cannot_show_is_carried(fields: dict[str, Any]) -> None:
    recipe = a_recipe(**fields)
    assert through(recipe) == recipe
    assert set(fields) <= carried_fields(unpack(recipe, VARIETY)[CARRIED])


def test_the_slider_decides() -> None:
    recipe = started(a_recipe(), Blind(steps=2))
    assert through(recipe, blind=0).segments == ()
    assert blind_of(through(recipe, blind=3.0, conditioning="prompt", second="a tree")) == Blind(
        steps=3, conditioning="prompt", prompt="a tree"
    )
    with pytest.raises(RecipeError, match="whole number"):
        through(recipe, blind=1.5)


def test_a_pin_is_read_with_care() -> None:
    assert read_pin("") is None
    lines = "\n".join([" a ", "", "b", "a", *map(str, range(20))])
    pin = read_pin(
        json.dumps({"trajectory": KEY, "start": 2, "recipe": a_recipe().model_dump_json(), "prompts": lines})
    )
    assert pin is not None and pin.recipe == a_recipe()
    assert pin.prompts[:2] == ("a", "b") and len(pin.prompts) == MOST_PROMPTS
    for wrong in ("{", "[]", "{}", '{"trajectory": "x"}', "1", '{"trajectory": "x", "start": 1, "recipe": 3}'):
        with pytest.raises(RecipeError):
            read_pin(wrong)
    with pytest.raises(RecipeError):
        through(a_recipe(), pin='{"trajectory": "../../etc", "start": 1}')


def test_experiments_are_of_the_tab() -> None:
    presets = read_presets(PRESETS)
    names = presets_of(presets, "variety")
    assert len(names) == 10 and {"demo-turbo"} < {presets[name].model for name in names}
    for name in names:
        assert through(presets[name]) == presets[name], name
        assert unpack(presets[name], VARIETY)[CARRIED] == "{}", "all of it is on the form"
        for language in texts.LANGUAGES:
            assert texts.of(language)(f"preset.{name}.title") and texts.of(language)(f"preset.{name}.look")
    turbo = [presets[name] for name in names if presets[name].model != "demo-turbo"]
    assert {(recipe.steps, recipe.sampler, recipe.scheduler, recipe.cfg) for recipe in turbo} == {
        (9, "res_multistep", "simple", 1.0)
    }
    assert {recipe.shift for recipe in turbo if recipe.segments} == {3.0, 6.0, 7.0}
    enriched = presets["variety-turbo-6-android-enriched"].prompt
    short = presets["variety-turbo-5-android"].prompt
    assert '"TURBO FEELINGS"' in short and '"TURBO FEELINGS"' in enriched and len(enriched) > 5 * len(short)


def test_rows_have_names() -> None:
    assert [row_title(started(a_recipe(), blind), EN) for blind in STARTS] == [
        "Plain", "1 blind, zeros", "3 blind, empty prompt", "2 blind, second prompt"
    ]  # fmt: skip


def test_without_a_model_the_tab_says_what_to_do(tmp_path: Path) -> None:
    for models, said in ((tmp_path, EN("variety.no_model")), (PRESETS.parent / "models", "")):
        context: Any = SimpleNamespace(
            jobs=SimpleNamespace(mine=lambda owner: []), pipe=SimpleNamespace(library=Library(models))
        )
        assert Varied(context, Served()).shown("me", EN)["problem"] == said
