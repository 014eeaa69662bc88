"""What the LoRA tab's sweeps are as recipes: strengths, the step from which they act, without and with."""

from typing import Any

import pytest

from core.errors import RecipeError
from core.jobs import Work
from core.recipe import Recipe, parse
from core.sweep import Axis
from ui.lora import swept
from ui.sweep import is_pair


def recipe(*loras: Any, **fields: Any) -> Recipe:
    return parse({"stepwise": 1, "steps": 20, "prompt": "a red apple", "loras": loras, **fields})


def ink(**strengths: Any) -> dict[str, Any]:
    return {"name": "ink", **strengths}


@pytest.mark.parametrize(
    ("model", "path", "values"),
    [
        (0.8, ("loras", "0", "model"), (0.0, 0.2, 0.4, 0.6, 0.8)),
        (0.0, ("loras", "0", "model"), (0.0, 0.25, 0.5, 0.75, 1.0)),
        ({0: 0.0, 6: 0.8}, ("loras", "0", "model", "6"), (0.0, 0.2, 0.4, 0.6, 0.8)),
        ({0: 0.0, 6: -1.0, 12: 0.0}, ("loras", "0", "model", "6"), (0.0, -0.25, -0.5, -0.75, -1.0)),
    ],
)
def test_strengths(model: Any, path: tuple[str, ...], values: tuple[float, ...]) -> None:
    """A stretch of steps stays where it is."""
    plain = recipe(ink(model=model))
    assert swept("strength", plain) == (plain, Axis(path=path, values=values))
    made = Work(recipe=plain, axes=(swept("strength", plain)[1],)).recipes
    assert {one.loras[0].model if isinstance(model, float) else one.loras[0].model[6] for one in made} == set(values)  # type: ignore[index]


def test_what_cannot_be_swept_is_refused() -> None:
    with pytest.raises(RecipeError, match="The strength of ink follows a schedule: give it one number"):
        swept("strength", recipe(ink(model={0: 0.2, 9: 0.9})))
    with pytest.raises(RecipeError, match="A strength in the prompt cannot be swept"):
        swept("strength", recipe(prompt="a red apple <lora:ink:0.5>"))
    for kind in ("strength", "start", "pair"):
        with pytest.raises(RecipeError, match="cut into segments"):
            swept(kind, recipe(ink(), segments=[{"end": 5}, {}]))


def test_the_first_step_is_swept_whatever_it_was() -> None:
    """Ends stay; a stretch begins with the run, so that the border alone says from where."""
    plain = recipe(ink(model={0: 0.0, 6: 0.8, 15: 0.0}, text={0: 0.0, 6: 0.5}), {"name": "wash", "model": 0.3})
    cut, axis = swept("start", plain)
    assert axis == Axis(path=("segments", "0", "end"), values=(0, 5, 10, 15, 20))
    assert cut.loras[0].model == {0: 0.8, 15: 0.0} and cut.loras[0].text == {0: 0.5} and cut.loras[1].model == 0.3
    assert cut.segments[0].loras == () and cut.segments[1].loras is None
    assert not is_pair(Work(recipe=cut, axes=(axis,)))


def test_without_and_with() -> None:
    cut, axis = swept("pair", recipe(ink(model={0: 0.0, 6: 0.8}), batch=4))
    assert is_pair(Work(recipe=cut, axes=(axis,)))
    without, with_it = (
        one.segments[0].end
        for one in sorted(Work(recipe=cut, axes=(axis,)).recipes, key=lambda one: -one.segments[0].end)
    )  # type: ignore[operator]
    assert (without, with_it) == (20, 0) and cut.batch == 1
    assert cut.loras[0].model == {0: 0.0, 6: 0.8}  # the one with them is the recipe itself


def test_without_is_without_the_tags_in_the_prompt_too() -> None:
    cut, _ = swept("pair", recipe(prompt="ink, a red apple <lora:ink:0.5>"))
    assert cut.segments[0].prompt == "ink, a red apple " and cut.prompt == "ink, a red apple <lora:ink:0.5>"
    cut, _ = swept("pair", recipe(ink()))
    assert cut.segments[0].prompt is None


def test_other_sweeps_of_two_are_no_pair() -> None:
    """Somebody's own border in the split tab."""
    for segments in ([{"end": 20, "loras": []}, {"prompt": "a blue apple"}], [{"end": 20}, {}]):
        own = recipe(ink(), segments=segments)
        assert not is_pair(Work(recipe=own, axes=(Axis(path=("segments", "0", "end"), values=(20, 0)),)))
    cut, _ = swept("pair", recipe(ink()))
    assert not is_pair(Work(recipe=cut, axes=(Axis(path=("segments", "0", "end"), values=(20, 10, 0)),)))
