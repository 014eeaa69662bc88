"""From a step on: recipes that go on from a kept step, and recipes that draw other noise there."""

from pathlib import Path

import pytest
import torch

from core import Pipeline
from core.errors import RecipeError
from core.events import StepDone
from core.onward import go_on, with_fresh_noise
from core.recipe import InitTrajectory, Recipe, parse

SIX = {"stepwise": 1, "prompt": "a red apple", "seed": 3, "steps": 6, "cfg": 1.0, "width": 64, "height": 64}
CUT = {**SIX, "segments": [{"end": 2}, {"end": 6, "prompt": "a red rabbit"}]}


def resolved(**fields: object) -> Recipe:
    return parse({**SIX, **fields})


def test_going_on_is_the_recipe_with_another_beginning() -> None:
    key = "a" * 64
    onward = go_on(resolved(), key, 4)
    assert onward.init == InitTrajectory(trajectory=key, start=4)
    assert onward.model_copy(update={"init": None}) == resolved()


@pytest.mark.parametrize(
    ("segments", "start", "wanted", "drawn"),
    [
        ([], 4, [(0, 4, None, False), (4, 6, True, None)], 1),
        ([{"start": 0, "end": 2}, {"start": 2, "end": 6}], 2, [(0, 2, None, False), (2, 6, True, None)], 1),
        ([{"start": 0, "end": 2}, {"start": 2, "end": 6}], 1, [(0, 1, None, False), (1, 2, True, None), (2, 6, None, None)], 1),
        ([{"start": 0, "end": 2}, {"start": 2, "end": 6}], 5, [(0, 2, None, None), (2, 5, None, False), (5, 6, True, None)], 2),
        ([{"start": 1, "end": 6}], 3, [(1, 3, None, False), (3, 6, True, None)], 1),
    ],
)  # fmt: skip
def test_fresh_noise_begins_a_segment(
    segments: list[dict[str, int]], start: int, wanted: list[tuple[object, ...]], drawn: int
) -> None:
    recipe, number = with_fresh_noise(resolved(segments=segments), start, 6)
    assert [(part.start, part.end, part.add_noise, part.leftover_noise) for part in recipe.segments] == wanted
    assert number == drawn and recipe.segments[number].border == "restart"


@pytest.mark.parametrize(("fields", "start"), [({}, 0), ({}, 6), ({"init": {"image": "0" * 64}}, 3)])
def test_there_must_be_something_before_and_after(fields: dict[str, object], start: int) -> None:
    with pytest.raises(RecipeError):
        with_fresh_noise(resolved(**fields), start, 6)


def test_samples_share_all_steps_before_the_noise(models: Path, tmp_path: Path) -> None:
    """Step 4 of 6 on: the last of the steps before goes to the end at once, so it runs anew, and then two a sample."""
    pipe = Pipeline(models=models, device="cpu", data=tmp_path)
    whole = pipe.generate(parse(CUT))
    recipe, number = with_fresh_noise(whole.recipe, 4, 6)
    seeds = [{"noise_seed": seed} for seed in (1, 2, 1)]
    samples = [
        pipe.generate(
            recipe.model_copy(
                update={"segments": (*recipe.segments[:number], recipe.segments[number].model_copy(update=seed))}
            )
        )
        for seed in seeds
    ]
    assert [sample.stats.model_calls for sample in samples] == [3, 2, 0]
    assert torch.equal(samples[0].latents, samples[2].latents)
    assert not torch.equal(samples[0].latents, samples[1].latents)


def test_going_on_unchanged_gives_the_same_picture(models: Path, tmp_path: Path) -> None:
    pipe = Pipeline(models=models, device="cpu", data=tmp_path)
    whole = pipe.generate(parse(CUT))
    step = [event for event in pipe.run(parse({**CUT, "seed": 3})) if isinstance(event, StepDone)][-1]
    assert step.start == 6
    events = [
        event
        for event in Pipeline(models=models, device="cpu", data=tmp_path).run(parse(CUT))
        if isinstance(event, StepDone)
    ]
    third = events[2]
    fresh = pipe.generate(go_on(whole.recipe, third.key, third.start))
    assert torch.equal(fresh.latents, whole.latents)
    other = pipe.generate(
        go_on(whole.recipe.model_copy(update={"prompt": "a blue car", "segments": ()}), third.key, third.start)
    )
    assert not torch.equal(other.latents, whole.latents) and other.stats.model_calls == 3
