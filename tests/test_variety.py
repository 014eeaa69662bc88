"""Blind starts on a tiny random Z-Image: the recipe is ComfyUI's two samplers, a pinned start is free, and recipes read back."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from core import Pipeline
from core.events import StepDone
from core.families import load
from core.families.base import TextRequest
from core.jobs import Work
from core.models.library import Library
from core.recipe import Recipe, parse
from core.sampling import make_sigmas, sample, starting_noise
from core.sampling.model_sampling import Flow
from core.variety import Blind, blind_of, grid, pinned, rows, started
from tests import tiny_models

PROMPT = "a red apple"
SIZE: dict[str, int] = {"width": 32, "height": 32}
STARTS = [
    Blind(steps=1),
    Blind(steps=2, conditioning="empty"),
    Blind(steps=3, conditioning="prompt", prompt="a blue car on the"),
]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    tiny_models.z_image(folder / "tiny-turbo")
    return folder


@pytest.fixture
def pipe(root: Path, tmp_path: Path) -> Pipeline:
    return Pipeline(models=root, device="cpu", data=tmp_path)


@pytest.fixture(scope="module")
def model(root: Path) -> Any:
    return load(Library(root).model("tiny-turbo"), device=torch.device("cpu"))


def a_recipe(**fields: Any) -> Recipe:
    return parse({"stepwise": 1, "model": "tiny-turbo", "prompt": PROMPT, "seed": 7, **SIZE, **fields})


def two_samplers(model: Any, blind: Blind, sampler: str, shift: float) -> Tensor:
    """KSampler (Advanced) twice: 0 to k with leftover noise, then k to the end without added noise; each run begins anew."""
    flow, k, form = Flow(shift), blind.steps, model.latent_format
    sigmas = make_sigmas("simple", 9, flow, sampler)

    def under(text: str, zero: bool = False) -> Any:
        cond = model.encode_text(TextRequest(text=text, **SIZE))
        cond = cond.zeroed() if zero else cond

        def denoised(x: Tensor, sigma: Tensor) -> Tensor:
            s = float(sigma)
            time = torch.full((1,), float(flow.timestep(s)))
            return flow.denoised(x, s, model.forward(flow.input(x, s), time, cond))

        return denoised

    first = {"zero": under(PROMPT, zero=True), "empty": under(""), "prompt": under(blind.prompt)}[blind.conditioning]
    noise = starting_noise([7], (1, 16, 8, 8))
    half = sample(
        first, flow.noise_scaling(1.0, noise, torch.zeros_like(noise)), sigmas[: k + 1], sampler, model_sampling=flow
    )
    left = float(sigmas[k])
    latent = form.to_vae(flow.inverse_noise_scaling(left, half.x))
    x = flow.noise_scaling(left, torch.zeros_like(latent), form.to_sampler(latent))
    return sample(under(PROMPT), x, sigmas[k:], sampler, model_sampling=flow).x


@pytest.mark.parametrize("blind", STARTS, ids=lambda blind: f"{blind.steps}-{blind.conditioning}")
@pytest.mark.parametrize(("sampler", "shift"), [("res_multistep", 3.0), ("euler", 7.0)])
def test_a_blind_start_is_two_samplers(pipe: Pipeline, model: Any, blind: Blind, sampler: str, shift: float) -> None:
    """Bit for bit."""
    found = pipe.generate(started(a_recipe(sampler=sampler, shift=shift), blind))
    with torch.inference_mode():
        assert torch.equal(found.latents, two_samplers(model, blind, sampler, shift))
    assert found.stats.model_calls == 9


def test_a_blind_start_that_continues_is_another_picture(pipe: Pipeline) -> None:
    """res_multistep extrapolates from the blind estimate there; euler remembers nothing, and only the rounding is left."""
    for sampler, same in (("res_multistep", False), ("euler", True)):
        restart, carried = (
            pipe.generate(started(a_recipe(sampler=sampler), Blind(border=border))).latents
            for border in ("restart", "continue")
        )
        assert torch.allclose(restart, carried, atol=1e-4 * float(restart.abs().max())) is same


@pytest.mark.parametrize("prompt", ["a blue car", "the rabbit on the red apple, a long way off"])
def test_a_pinned_start_is_free(pipe: Pipeline, prompt: str) -> None:
    """Also under a prompt of another length, whose zeros would have been other ones."""
    recipe = started(a_recipe(), Blind())
    told = [event for event in pipe.run(recipe) if isinstance(event, StepDone)]
    assert [event.step for event in told] == [*range(1, 10)]
    start = told[1]
    again, other = (pipe.generate(one) for one in pinned(recipe, start.key, start.start, [PROMPT, prompt]))
    assert again.stats.model_calls == 0, "the same prompt on it is the same picture"
    assert other.stats.model_calls == 7
    assert not torch.equal(other.latents, again.latents)
    assert torch.equal(again.latents, pipe.generate(recipe).latents)


def test_prompts_of_equal_length_share_blind_steps_even_unpinned(pipe: Pipeline) -> None:
    pipe.generate(started(a_recipe(), Blind()))
    assert pipe.generate(started(a_recipe(prompt=PROMPT[::-1]), Blind())).stats.model_calls == 7


@pytest.mark.parametrize("blind", [Blind(steps=0), *STARTS, Blind(border="continue")])
def test_a_start_reads_back(pipe: Pipeline, blind: Blind) -> None:
    recipe = started(a_recipe(), blind)
    assert blind_of(recipe) == blind
    assert blind_of(parse(recipe.model_dump(mode="json"))) == blind
    done = pipe.generate(recipe).recipe
    assert blind_of(done) == blind, "with its flags written out"
    if blind.steps:
        (again,) = pinned(done, "ab" * 32, blind.steps, ["x"])
        assert blind_of(again) == blind


@pytest.mark.parametrize(
    "segments",
    [
        [{"end": 2, "conditioning": "zero"}],
        [{"end": 5, "conditioning": "zero"}, {"border": "restart"}],
        [{"end": 2, "conditioning": "zero", "cfg": 2.0}, {"border": "restart"}],
        [{"end": 2, "conditioning": "zero"}, {"border": "restart", "prompt": "x"}],
        [{"end": 2, "conditioning": "zero"}, {"border": "restart", "add_noise": True}],
        [{"end": 2}, {"end": 4}, {}],
    ],
)
def test_other_segments_are_no_blind_start(segments: list[dict[str, Any]]) -> None:
    assert blind_of(a_recipe(segments=segments)) is None


def test_rows_are_of_the_same_seeds() -> None:
    recipe = started(a_recipe(batch=3), Blind())
    plain, blind = rows(recipe)
    assert (plain.segments, blind) == ((), recipe) and plain.seed == blind.seed
    assert rows(a_recipe()) == (a_recipe(),)
    assert [(one.sampler, bool(one.segments)) for one in rows(recipe, ["euler"])] == [
        (None, False), (None, True), ("euler", False), ("euler", True)
    ]  # fmt: skip
    assert rows(recipe, plain=False) == (recipe,)
    order = Work(recipe=plain, others=(blind,)).variants
    assert [(one.recipe.seed, bool(one.recipe.segments)) for one in order] == [
        (7, 0),
        (7, 1),
        (8, 0),
        (8, 1),
        (9, 0),
        (9, 1),
    ]
    assert [one.place for one in order] == [(0, 0), (1, 0), (0, 1), (1, 1), (0, 2), (1, 2)]


def test_the_grid_shares_what_is_blind(pipe: Pipeline) -> None:
    """Of 4 x 2 runs of 9 steps the blind ones of a shift are a prefix of each other: 3 + 2 + 1 fewer in each column."""
    recipes = grid(a_recipe(), Blind(), shifts=(3.0, 7.0))
    assert [(blind_of(one).steps, one.shift) for one in recipes[:3]] == [(0, 3.0), (0, 7.0), (1, 3.0)]  # type: ignore[union-attr]
    cost = pipe.cost(recipes)
    assert (cost.alone, cost.steps) == (72, 72 - 2 * (1 + 2))
    assert sum(pipe.generate(one).stats.model_calls for one in recipes) == cost.steps
