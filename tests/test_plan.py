"""The plan: a cut that changes nothing is the same plan, and ComfyUI's slicing where a border restarts."""

from typing import Any

import pytest

from core.errors import RecipeError, UnknownName
from core.families import FAMILIES
from core.families.base import Defaults
from core.plan import Plan, alone, compile_plan, resolve
from core.recipe import parse
from core.sampling import make_sigmas
from core.sampling.model_sampling import EpsDiscrete

DEFAULTS = Defaults(width=128, height=128, steps=10, sampler="euler", scheduler="normal", cfg=5.0, clip_skip=1)
SD15 = FAMILIES["sd15"]
TABLE = make_sigmas("normal", 10, EpsDiscrete()).tolist()


def plan(*segments: dict[str, Any], **fields: Any) -> Plan:
    recipe = parse({"stepwise": 1, "prompt": "a", "segments": list(segments), **fields})
    return compile_plan(resolve(recipe, SD15, DEFAULTS, "eps"), SD15)


def rows(made: Plan) -> list[tuple[Any, ...]]:
    """All that a step is, but for the segment that it is shown in."""
    return [
        (
            s.number,
            s.index,
            s.model,
            s.loras,
            s.sampler,
            s.positive,
            s.negative,
            s.cfg,
            s.leg.sigmas,
            s.leg.noise_seed,
            s.leg.add_noise,
            s.leg.left_at,
        )
        for s in made.steps
    ]


@pytest.mark.parametrize("cut", range(11))
def test_a_cut_that_changes_nothing_is_the_same_plan(cut: int) -> None:
    assert rows(plan({"end": cut}, {"end": 10})) == rows(plan())
    assert rows(plan({"end": cut}, {"start": cut, "prompt": "a"}, {"start": 10})) == rows(plan())


def test_what_a_segment_leaves_out_comes_from_the_recipe_not_from_the_segment_before() -> None:
    made = plan({"end": 3, "cfg": 2.0, "prompt": "b"}, {"end": 6}, {"prompt": "c"}, cfg=7.0)
    assert [s.cfg for s in made.steps] == [2.0] * 3 + [7.0] * 7
    assert "".join(s.positive.text for s in made.steps) == "bbbaaacccc"


def test_an_empty_segment_is_dropped_and_an_end_beyond_the_last_step_is_the_end() -> None:
    made = plan({"end": 4}, {"end": 4, "prompt": "never"}, {"end": 10_000, "prompt": "b"})
    assert "".join(s.positive.text for s in made.steps) == "aaaabbbbbb"
    assert made.recipe.segments[2].end == 10
    assert "".join(s.positive.text for s in plan({"end": 0, "prompt": "never"}, {"prompt": "b"}).steps) == "b" * 10


@pytest.mark.parametrize(
    ("segments", "word"),
    [
        (({"end": 5}, {"add_noise": True}), "adds noise"),
        (({"end": 5, "leftover_noise": False}, {}), "noise is removed"),
        (({"end": 5}, {"start": 7}), "left out"),
        (({"end": 5}, {"start": 3}), "goes back"),
    ],
)
def test_what_turns_a_border_into_a_restart_is_said(segments: tuple[dict[str, Any], ...], word: str) -> None:
    made = plan(*segments)
    assert [str(note) for note in made.notes if word in str(note)]
    assert made.recipe.segments[1].border == "restart"
    assert made.steps[0].leg is not made.steps[-1].leg


def test_restart_slices_as_comfyui_does() -> None:
    made = plan({"end": 4}, {"border": "restart", "noise_seed": 9})
    first, second = made.steps[0].leg, made.steps[-1].leg
    assert list(first.sigmas) == TABLE[:5] and list(second.sigmas) == TABLE[4:]
    assert (first.add_noise, second.add_noise) == (True, False)
    assert (first.left_at, second.left_at) == (None, TABLE[4])
    assert (second.noise_seed, second.first) == (9, 4)


def test_leftover_noise_off_jumps_to_clean() -> None:
    assert plan({"end": 4}).steps[-1].leg.sigmas[-1] == 0.0  # absent at the last segment means off
    assert plan({"end": 4, "leftover_noise": True}).steps[-1].leg.sigmas[-1] == TABLE[4]


def test_a_restart_may_have_its_own_schedule_and_only_a_restart() -> None:
    made = plan({"end": 4}, {"border": "restart", "steps": 20, "start": 8, "scheduler": "karras"})
    own = make_sigmas("karras", 20, EpsDiscrete()).tolist()
    assert list(made.steps[-1].leg.sigmas) == own[8:]
    assert [s.number for s in made.steps] == list(range(16))  # keyed noise goes on counting
    with pytest.raises(RecipeError, match="restart"):
        plan({"end": 4}, {"steps": 20})


def test_image_to_image_keeps_the_last_steps_of_a_longer_schedule() -> None:
    made = plan(init={"image": "a" * 64, "denoise": 0.6})
    assert list(made.steps[0].leg.sigmas) == make_sigmas("normal", 16, EpsDiscrete()).tolist()[-11:]
    assert plan({"start": 6}, init={"image": "a" * 64}).steps[0].number == 6


def test_the_number_of_steps_is_the_table_s() -> None:
    assert len(plan(scheduler="ddim_uniform", steps=6).steps) == len(make_sigmas("ddim_uniform", 6, EpsDiscrete())) - 1


def test_a_schedule_of_cfg_counts_steps_of_the_run() -> None:
    assert [s.cfg for s in plan({"end": 5}, {"border": "restart"}, cfg={"0": 8, "7": 1}).steps] == [8] * 7 + [1] * 3


def test_the_negative_is_needed_only_where_it_acts() -> None:
    assert not any(s.needs_negative for s in plan(cfg=1.0).steps)
    assert all(s.needs_negative for s in plan(cfg=1.0, sampler="euler_cfg_pp").steps)
    assert all(s.needs_negative for s in plan(cfg=0.0).steps)


def test_a_model_is_a_column_and_its_change_is_said() -> None:
    made = plan({"end": 4}, {"end": 6, "model": "other"}, {"border": "restart"}, model="own")
    assert "".join(s.model[1] for s in made.steps) == "wwwwttwwww"  # own, other
    assert (
        [s.positive.model for s in made.steps]
        == [s.negative.model for s in made.steps]
        == [s.model for s in made.steps]
    )
    assert [str(note) for note in made.notes] == [
        "Segment 2 goes on with other: what the sampler remembers of earlier steps is dropped there."
    ]


def test_loras_are_the_segment_s_or_else_the_recipe_s_and_strength_zero_is_absence() -> None:
    made = plan(
        {"end": 2}, {"end": 4, "loras": []}, {"end": 6, "loras": [{"name": "b", "model": -1.0, "text": 0.0}]}, {},
        loras=[{"name": "a", "model": {"0": 0.0, "7": 0.5}, "text": 0.25}, {"name": "a"}],
    )  # fmt: skip
    half = (("a", 0.5), ("a", 1.0))
    assert [s.loras for s in made.steps] == [half[1:]] * 2 + [()] * 2 + [(("b", -1.0),)] * 2 + [half[1:]] + [half] * 3
    texts = [(("a", 0.25), ("a", 1.0))]
    assert [s.positive.loras for s in made.steps] == texts * 2 + [()] * 4 + texts * 4
    assert all(s.negative.loras == s.positive.loras for s in made.steps)
    assert rows(plan(loras=[{"name": "a", "model": 0.0, "text": 0.0}])) == rows(plan())


@pytest.mark.parametrize("weighting", ["comfyui", "a1111"])
def test_tags_come_after_the_list_and_follow_the_prompt_s_edits(weighting: str) -> None:
    made = plan(
        {"end": 8}, {"prompt": "b"},
        prompt="a <lora:x:0.8> [(<lora:y:0.25:0.5>:1.2)::4] <lora:z:te=0.5:unet=0>", loras=[{"name": "l"}], weighting=weighting,
    )  # fmt: skip
    first, later = (("l", 1.0), ("x", 0.8), ("y", 0.5)), (("l", 1.0), ("x", 0.8))
    assert [s.loras for s in made.steps] == [first] * 4 + [later] * 4 + [(("l", 1.0),)] * 2
    assert made.steps[0].positive.loras == (("l", 1.0), ("x", 0.8), ("y", 0.25), ("z", 0.5))
    assert str(made.notes[1]) == (
        "<lora:y:0.25:0.5> in the prompt is LoRA y: strength 0.5 on the model, 0.25 on the text encoders."
    )
    assert len(made.notes) == 3 and made.recipe.prompt.startswith("a <lora:x")
    assert plan({"conditioning": "empty"}, prompt="<lora:x>").steps[0].loras == (("x", 1.0),)


def test_zero_and_empty_conditioning() -> None:
    made = plan({"end": 2, "conditioning": "zero"}, {"end": 4, "conditioning": "empty"}, {})
    assert [(s.positive.text, s.positive.zero) for s in made.steps[::2]] == [("a", True), ("", False)] + [
        ("a", False)
    ] * 3


@pytest.mark.parametrize(
    ("fields", "error", "words"),
    [
        ({"sampler": "eulr"}, UnknownName, "Unknown sampler 'eulr': choose one of "),
        ({"scheduler": "karass"}, UnknownName, "Unknown scheduler 'karass'"),
        ({"segments": [{"sampler": "eulr"}]}, UnknownName, "eulr"),
        ({"prompt": "a <lora:x:big>"}, RecipeError, "<lora:x:big> cannot be read"),
        ({"prompt": "a <lora:x:101>"}, RecipeError, "<lora:x:101> cannot be read"),
        ({"prompt": "a <lora:x:1:lbw=MID>"}, RecipeError, "<lora:x:1:lbw=MID> cannot be read"),
        ({"prompt": "a [b:<lora:x:1:2:3>:4]"}, RecipeError, "<lora:x:1:2:3> cannot be read"),
        ({"prompt": "<lora:x>" * 65}, RecipeError, "65 LoRA tags"),
        ({"segments": [{"negative": "(<lora:x:1>)"}]}, RecipeError, "stands in the negative prompt"),
        ({"init": {"trajectory": "a" * 64, "start": 10}}, RecipeError, "leave no step to run"),
        ({"shift": 3.0}, RecipeError, "shift has no effect on"),
        ({"guidance": 3.5}, RecipeError, "guidance has no effect on"),
        ({"segments": [{"start": 10}]}, RecipeError, "leave no step to run"),
        ({"segments": [{"end": 8}, {"end": 4}]}, RecipeError, "Segment 2 ends at step 4, before it starts at 8"),
        ({"init": {"image": "a" * 64, "denoise": 0.0001}, "steps": 100}, RecipeError, "too little"),
    ],
)
def test_refusals(fields: dict[str, Any], error: type[Exception], words: str) -> None:
    segments = fields.pop("segments", [])
    with pytest.raises(error) as caught:
        plan(*segments, **fields)
    assert words in str(caught.value)


def test_the_resolved_recipe_has_nothing_null_that_has_a_value_and_makes_the_same_plan() -> None:
    made = plan({"end": 4, "prompt": "b"}, {"add_noise": True, "noise_seed": 3})
    again = compile_plan(resolve(made.recipe, SD15, DEFAULTS, "eps"), SD15)
    assert rows(again) == rows(made) and again.recipe == made.recipe
    nulls = {name for name, value in made.recipe.model_dump().items() if value is None}
    assert nulls == {"vae", "shift", "guidance", "init"}


def test_an_image_of_a_batch_alone_has_its_own_seeds() -> None:
    made = plan({"end": 4}, {"add_noise": True, "noise_seed": 2**64 - 1}, seed=5, batch=3)
    own = alone(made.recipe, 2)
    assert (own.batch, own.seed, own.segments[1].noise_seed) == (1, 7, 1)
