"""The recipe: everything that the contract allows, and a sentence for everything that it does not."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from core.errors import RecipeError
from core.recipe import Recipe, at_step, parse

CONTRACT = {
    "stepwise": 1, "model": "demo", "vae": None, "prediction": None, "width": 128, "height": 128, "batch": 1,
    "batching": "exact", "seed": 1234, "noise": "keyed", "steps": 20, "sampler": "euler", "scheduler": "normal", "cfg": 5.0,
    "shift": None, "guidance": None, "clip_skip": None, "weighting": "comfyui", "vae_tiling": False,
    "prompt": "a red apple", "negative": "", "loras": [{"name": "pixel-art", "model": 1.0, "text": 1.0}],
    "segments": [
        {"end": 10},
        {"end": 20, "prompt": "a red rabbit", "loras": [], "cfg": 4.0, "conditioning": "prompt",
         "add_noise": False, "noise_seed": None, "leftover_noise": True, "border": "restart"}],
    "init": None,
}  # fmt: skip


def test_the_contract_s_own_example() -> None:
    recipe = parse(CONTRACT)
    assert recipe.segments[1].border == "restart" and recipe.loras[0].name == "pixel-art"
    assert parse(json.loads(recipe.model_dump_json())) == recipe


def test_everything_but_the_version_may_be_left_out() -> None:
    bare = parse({"stepwise": 1})
    nulls = parse(dict.fromkeys(Recipe.model_fields) | {"stepwise": 1})
    assert bare == nulls
    assert bare.model == "demo" and bare.steps is None and bare.prompt == "" and bare.segments == ()
    with pytest.raises(RecipeError, match="stepwise"):
        parse({})


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("steps", 0, "steps must be at least 1, not 0."),
        ("steps", 20.0, "steps must be a whole number, not 20.0."),
        ("steps", "20", "steps must be a whole number, not '20'."),
        ("steps", True, "steps must be a whole number, not True."),
        ("cfg", math.nan, "cfg must be a number, not nan."),
        ("cfg", math.inf, "cfg must be a number, not inf."),
        ("cfg", {"3": math.nan}, "cfg.3 must be a number, not nan."),
        ("cfg", {"-1": 2.0}, "cfg.-1 must be a whole number, not '-1'."),
        ("cfg", {}, "cfg is empty: fill it in or leave it out."),
        ("seed", 2**64, f"seed must be below {2**64}, not {2**64}."),
        ("seed", -2, "seed must be at least -1, not -2."),
        ("width", 513, "width must be a multiple of 8, not 513: take 512."),
        ("height", 8192, "height must be at most 4096, not 8192."),
        ("batch", 0, "batch must be at least 1, not 0."),
        ("batching", "quick", "batching must be one of 'exact' or 'fast', not 'quick'."),
        ("prediction", "x0", "prediction must be one of 'eps', 'v', 'v_zsnr' or 'lcm', not 'x0'."),
        ("prompt", 7, "prompt must be text, not 7."),
        ("prompt", "\ud800", "prompt has characters that cannot be stored: take them out."),
        ("prompt", "a\x00b", "prompt has characters that cannot be stored: take them out."),
        ("prompt", "x" * 20_001, "prompt is too long: at most 20000."),
        ("vae_tiling", 1, "vae_tiling must be true or false, not 1."),
        ("colour", "red", "A recipe has no field colour: take it out."),
        ("segments", [{"color": 1}], "A recipe has no field segments.0.color: take it out."),
        ("segments", [{"start": 5, "end": 3}], "segments.0 ends at step 3, before it starts at 5: swap them."),
        ("segments", 3, "segments cannot be read: 3 does not fit there."),
        ("loras", [{"name": ""}], "loras.0.name is empty: fill it in or leave it out."),
        ("init", {"image": "../secret"}, "init.image must be 64 hexadecimal digits, not '../secret'."),
        ("init", {"image": "a" * 64, "denoise": 0}, "init.denoise must be above 0.0, not 0."),
        ("init", {"trajectory": "b" * 64}, "The recipe lacks init.start: add it."),
    ],
)
def test_refusals(field: str, value: object, sentence: str) -> None:
    with pytest.raises(RecipeError) as caught:
        parse({"stepwise": 1, field: value})
    assert str(caught.value) == sentence
    with pytest.raises(ValidationError):
        Recipe.model_validate({"stepwise": 1, field: value})


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(sorted(Recipe.model_fields)) | st.text(max_size=8),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
            max_leaves=6,
        ),
    )
)
def test_hostile_data_gives_a_recipe_or_one_sentence(data: dict[str, object]) -> None:
    try:
        recipe = parse({"stepwise": 1, **data})
    except RecipeError as error:
        assert "\n" not in str(error) and str(error).endswith(".")
    else:
        assert parse(recipe.model_dump(mode="json")) == recipe


def test_a_drawn_seed_stays() -> None:
    recipe = parse({"stepwise": 1, "seed": -1})
    assert 0 <= recipe.seed < 2**32
    assert parse(recipe.model_dump()).seed == recipe.seed
    assert len({parse({"stepwise": 1, "seed": -1}).seed for _ in range(20)}) > 1
    assert parse({"stepwise": 1, "seed": 2**64 - 1}).seed == 2**64 - 1


def test_frozen_and_lax_in_containers_only() -> None:
    recipe = parse({"stepwise": 1, "segments": [{"end": 3}]})
    assert recipe.segments[0].end == 3
    with pytest.raises(ValidationError):
        recipe.steps = 3  # type: ignore[misc]


def test_a_schedule_holds_until_the_next_step_named() -> None:
    schedule = {2: 7.0, 5: 3.0}
    assert [at_step(schedule, step) for step in range(7)] == [7, 7, 7, 7, 7, 3, 3]
    assert at_step(4, 3) == 4.0


def test_keys_tell_recipes_apart() -> None:
    assert parse(CONTRACT).key == parse(CONTRACT).key
    assert parse(CONTRACT).key != parse({**CONTRACT, "seed": 1235}).key
