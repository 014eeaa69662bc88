"""Sweeps: axes, the order, and the tree, whose forward passes are counted."""

import itertools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from core import Pipeline
from core.errors import RecipeError
from core.events import ImageDone
from core.families.sd15 import SD15
from core.plan import compile_plan
from core.recipe import Recipe, parse
from core.sweep import axis, caption, coarse_first, variants
from core.tree import Cost

SWITCH = {
    "stepwise": 1, "prompt": "a red apple", "seed": 3, "steps": 20,
    "segments": [{"end": 10}, {"end": 20, "prompt": "a red rabbit"}],
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("segments.0.end=0:3", (0, 1, 2, 3)),
        ("cfg=1:2:0.5", (1.0, 1.5, 2.0)),
        ("x=0:1:0.1", tuple(k / 10 for k in range(11))),
        ("x=3:1", (3, 2, 1)),
        ("seed=5:5", (5,)),
        ("sampler=euler|heun", ("euler", "heun")),
        ("cfg=1|2.5", (1, 2.5)),
        ("prompt=a cat", ("a cat",)),
    ],
)
def test_an_axis(text: str, values: tuple[Any, ...]) -> None:
    found = axis(text).values
    assert found == values and [type(value) for value in found] == [type(value) for value in values]


@pytest.mark.parametrize("text", ["cfg", "=1:2", "cfg=", "cfg=1:5:-1", "cfg=1:5:0", "cfg=0:9999", "a..b=1:2"])
def test_no_axis(text: str) -> None:
    with pytest.raises(RecipeError):
        axis(text)


@given(st.integers(1, 300))
def test_the_coarse_picture_comes_first(count: int) -> None:
    order = coarse_first(count)
    assert sorted(order) == list(range(count))
    assert order[0] == 0 and order[min(1, count - 1)] == count - 1
    for seen in range(3, count):  # no stretch is left open while others are already fine
        gaps = [b - a for a, b in itertools.pairwise(sorted(order[:seen]))]
        assert max(gaps) <= 4 * min(gaps) + 2


def test_variants_are_checked_recipes_at_their_places() -> None:
    made = variants(SWITCH, [axis("segments.0.end=0:2"), axis("cfg=1|3")])
    assert len(made) == 6
    for variant in made:
        assert variant.recipe.segments[0].end == variant.place[0] == variant.values["segments.0.end"]
        assert variant.recipe.cfg == (1, 3)[variant.place[1]]
    with pytest.raises(RecipeError, match="sampler"):
        variants(SWITCH, [axis("sampler.x=1:2")])
    with pytest.raises(RecipeError, match="too large"):
        variants(SWITCH, [axis("seed=1:100"), axis("cfg=1:50")])


def run_all(pipe: Pipeline, data: dict[str, Any], *axes: str) -> tuple[int, dict[tuple[int, ...], Image.Image]]:
    calls, pictures = 0, {}
    for variant in variants(data, [axis(text) for text in axes]):
        result = pipe.generate(variant.recipe)
        calls += result.stats.model_calls
        pictures[variant.place] = result.images[0]
    return calls, pictures


def cost_of(pipe: Pipeline, data: dict[str, Any], *axes: str) -> Cost:
    return pipe.cost(variant.recipe for variant in variants(data, [axis(text) for text in axes]))


@pytest.mark.parametrize(("sampler", "cfg"), [("dpmpp_2m", 1.0), ("euler", 5.0)])
def test_a_border_over_all_steps_costs_a_tree(models: Path, tmp_path: Path, sampler: str, cfg: float) -> None:
    pipe = Pipeline(models=models, device="cpu", data=tmp_path)
    data = {**SWITCH, "sampler": sampler, "cfg": cfg}
    calls, pictures = run_all(pipe, data, "segments.0.end=0:20")
    assert calls == 20 + sum(range(1, 21)) == 230
    assert cost_of(pipe, data, "segments.0.end=0:20") == Cost(steps=230, alone=420)
    bare = Pipeline(models=models, device="cpu", data=tmp_path, trajectory_bytes=0)
    for cut in (0, 7, 20):
        alone = parse(
            {
                **SWITCH,
                "sampler": sampler,
                "cfg": cfg,
                "segments": [{"end": cut}, {"end": 20, "prompt": "a red rabbit"}],
            }
        )
        assert bare.generate(alone).images[0].tobytes() == pictures[(cut,)].tobytes()


def test_two_axes_share_what_they_have_in_common(models: Path, tmp_path: Path) -> None:
    pipe = Pipeline(models=models, device="cpu", data=tmp_path)
    data = {**SWITCH, "steps": 6, "cfg": 1.0, "segments": [{"end": 3}, {"end": 6, "prompt": "a red rabbit"}]}
    calls, pictures = run_all(pipe, data, "segments.0.end=0:6:2", "segments.1.cfg=1|3")
    # The trunk of 6; from each of 0, 2, 4 two branches to the end; at 6 both are the trunk.
    assert calls == 6 + 2 * (6 + 4 + 2) and len(pictures) == 8
    assert cost_of(pipe, data, "segments.0.end=0:6:2", "segments.1.cfg=1|3") == Cost(steps=calls, alone=48)


@pytest.mark.parametrize(
    ("change", "axes"),
    [
        ({"sampler": "euler_ancestral"}, ["segments.0.end=0:6:3"]),
        ({"sampler": "dpmpp_2m_sde", "noise": "comfyui"}, ["segments.0.end=0:6:3"]),
        ({"batch": 2}, ["segments.0.end=0:6:3"]),
        ({}, ["seed=1|1|2"]),
        ({}, ["steps=3:6"]),
        ({}, ["segments.1.border=continue|restart", "segments.1.noise_seed=1|2"]),
        ({"segments": [], "prompt": "a [red apple:red rabbit:3]"}, ["prompt=a [red apple:red rabbit:2]|a [red apple:red rabbit:4]"]),
        ({"negative": "blue"}, ["segments.1.negative=blue|green"]),
        ({}, ["width=64|128"]),
        ({}, ["segments.1.conditioning=prompt|zero|empty"]),
    ],
)  # fmt: skip
def test_the_cost_is_known_before(models: Path, tmp_path: Path, change: dict[str, Any], axes: list[str]) -> None:
    """What is counted from the recipes alone is what is run."""
    pipe = Pipeline(models=models, device="cpu", data=tmp_path)
    data = {**SWITCH, "steps": 6, "segments": [{"end": 3}, {"end": 6, "prompt": "a red rabbit"}], "cfg": 3.0, **change}
    calls, steps = 0, 0
    for variant in variants(data, [axis(text) for text in axes]):
        for event in pipe.run(variant.recipe):
            if isinstance(event, ImageDone):
                calls += event.stats.model_calls
                steps += steps_of(pipe, variant.recipe)
    assert cost_of(pipe, data, *axes) == Cost(steps=calls, alone=steps)


def steps_of(pipe: Pipeline, recipe: Recipe) -> int:
    """Of one image."""
    resolved = pipe.resolve(recipe)
    return len(compile_plan(resolved, SD15).steps)


def test_prompts_that_are_encoded_alike_are_counted_apart(models: Path, tmp_path: Path) -> None:
    """The count errs on the side of more."""
    pipe = Pipeline(models=models, device="cpu", data=tmp_path)
    data = {**SWITCH, "steps": 4, "segments": []}
    calls, _ = run_all(pipe, data, "prompt=a red apple|a  red apple")
    assert calls == 4 and cost_of(pipe, data, "prompt=a red apple|a  red apple") == Cost(steps=8, alone=8)


def test_a_seed_of_an_axis_is_drawn_once() -> None:
    drawn = axis("seed=-1|-1|7")
    assert drawn.values[2] == 7 and all(isinstance(seed, int) and 0 <= seed < 2**32 for seed in drawn.values)
    assert axis("cfg=-1|1").values == (-1, 1)


def test_a_caption_names_each_axis_as_shortly_as_it_can() -> None:
    assert caption({"segments.0.end": 7}) == "end 7"
    assert caption({"segments.0.end": 7, "cfg": 1.5}) == "end 7, cfg 1.5"
    assert caption({"segments.0.end": 7, "segments.1.end": 9}) == "segments.0.end 7, segments.1.end 9"
