"""Recipe -> form -> recipe is exact, whatever the recipe holds; and what a browser sends never breaks it."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import RecipeError
from core.recipe import Recipe, parse
from ui.bindings import CARRIED, CONTROLS, TEXT2IMAGE, carried_fields, pack, unpack

texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=40)
names = texts.filter(bool)
pixels = st.integers(2, 512).map(lambda n: n * 8)
strengths = st.floats(-2, 2, allow_nan=False)
cfgs = st.one_of(st.floats(0, 100), st.dictionaries(st.integers(0, 100), st.floats(0, 100), min_size=1, max_size=3))
loras = st.lists(st.fixed_dictionaries({"name": names}, optional={"model": strengths, "text": strengths}), max_size=2)
segments = st.lists(
    st.fixed_dictionaries({}, optional={"prompt": texts, "cfg": cfgs, "conditioning": st.just("zero")}), max_size=3
)
digests = st.text("0123456789abcdef", min_size=64, max_size=64)
inits = st.one_of(
    st.fixed_dictionaries({"image": digests}, optional={"denoise": st.floats(0.01, 1)}),
    st.fixed_dictionaries({"trajectory": digests, "start": st.integers(0, 50)}),
)
OPTIONAL = {
    "vae": names, "prediction": st.sampled_from(["eps", "v", "v_zsnr", "lcm"]), "width": pixels, "height": pixels,
    "batch": st.integers(1, 64), "batching": st.sampled_from(["exact", "fast"]), "noise": st.sampled_from(["keyed", "comfyui"]),
    "steps": st.integers(1, 1000), "sampler": names, "scheduler": names, "cfg": cfgs, "shift": st.floats(0.1, 10),
    "guidance": st.floats(0, 10), "clip_skip": st.integers(1, 64), "weighting": st.sampled_from(["comfyui", "a1111"]),
    "vae_tiling": st.booleans(), "prompt": texts, "negative": texts, "loras": loras, "segments": segments, "init": inits,
}  # fmt: skip
recipes = st.fixed_dictionaries(
    {"stepwise": st.just(1), "model": names, "seed": st.integers(0, 2**64 - 1)}, optional=OPTIONAL
).map(parse)


def values_of(recipe: Recipe) -> list[Any]:
    filled = unpack(recipe)
    return [filled[control] for control in CONTROLS]


def test_every_field_is_tried() -> None:
    assert OPTIONAL.keys() | {"stepwise", "model", "seed"} == Recipe.model_fields.keys()


@settings(max_examples=300, deadline=None)
@given(recipes)
def test_round_trip(recipe: Recipe) -> None:
    assert pack(values_of(recipe)) == recipe


@settings(max_examples=100, deadline=None)
@given(recipes)
def test_round_trip_through_the_browser(recipe: Recipe) -> None:
    """JSON makes floats whole where they are, and the widgets clean what they are sent."""
    from ui.components.fields import Carried, Choice, Flag, InputPicture, Seed, Size, Slide, Text

    cleaners = {
        "prompt": Text,
        "negative": Text,
        "size": Size,
        "seed": Seed,
        "vae_tiling": Flag,
        "init": InputPicture,
        CARRIED: Carried,
    }
    slides = {"steps", "cfg", "guidance", "shift", "clip_skip", "batch", "denoise"}
    sent = json.loads(
        json.dumps(values_of(recipe)), parse_float=lambda n: int(float(n)) if float(n).is_integer() else float(n)
    )
    kinds = [cleaners.get(control, Slide if control in slides else Choice) for control in CONTROLS]
    assert pack([kind.clean(None, value) for kind, value in zip(kinds, sent, strict=True)]) == recipe


def test_what_has_no_control_is_carried_and_named() -> None:
    recipe = parse(
        {
            "stepwise": 1,
            "cfg": {"0": 7.0, "5": 2.0},
            "segments": [{"end": 5}],
            "init": {"trajectory": "a" * 64, "start": 3},
        }
    )
    assert carried_fields(unpack(recipe)[CARRIED]) == {"cfg", "segments", "init"}


def test_what_has_a_control_is_not_carried() -> None:
    recipe = parse({"stepwise": 1, "seed": 5, "cfg": 7.0, "prompt": "x", "init": {"image": "a" * 64}})
    assert carried_fields(unpack(recipe)[CARRIED]) == frozenset()


@pytest.mark.parametrize("seed", ["abc", "1.5", "0x10", "９", "18446744073709551616", "-2"])
def test_a_seed_that_is_none_is_refused_in_words(seed: str) -> None:
    values = dict(zip(CONTROLS, values_of(Recipe(stepwise=1)), strict=True)) | {"seed": seed}
    with pytest.raises(RecipeError, match="seed"):
        pack(list(values.values()))


@pytest.mark.parametrize("seed", ["", "-1"])
def test_an_empty_seed_is_drawn(seed: str) -> None:
    values = dict(zip(CONTROLS, values_of(Recipe(stepwise=1)), strict=True)) | {"seed": seed}
    drawn = {pack(list(values.values())).seed for _ in range(8)}
    assert len(drawn) > 1


@pytest.mark.parametrize("carried", ["[]", "nothing", "{", '{"model_config": 1}', '{"path": "/etc/passwd"}'])
def test_a_broken_carried_text_is_refused_in_words(carried: str) -> None:
    values = dict(zip(CONTROLS, values_of(Recipe(stepwise=1)), strict=True)) | {CARRIED: carried}
    with pytest.raises(RecipeError):
        pack(list(values.values()))


def test_controls_are_unique() -> None:
    assert len({binding.control for binding in TEXT2IMAGE}) == len(TEXT2IMAGE)
