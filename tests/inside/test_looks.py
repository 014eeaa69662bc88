"""Looks inside: what they show is what a run does, on the demo model and in the queue."""

import math
import shutil
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
import torch
from PIL import Image

from core import Pipeline
from core.errors import RecipeError, Stopped
from core.events import Event, StepDone
from core.images.gallery import Gallery
from core.images.preview import pictures
from core.inside.codec import Losses, factor_of, losses, psnr
from core.inside.layers import Layers, layers
from core.inside.looks import Seen
from core.inside.pair import Pair, pair
from core.inside.trace import Arrows, Trace, arrows_of, spread, trace
from core.jobs import Jobs, PipelineWorker, Work
from core.recipe import Recipe, parse
from core.sampling.guidance import cfg
from tests.tiny_models import vae

Kind = TypeVar("Kind", Trace, Losses, Layers, Pair)
STEPS = 5


@pytest.fixture(scope="module")
def pipe(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return Pipeline(models=models, data=tmp_path_factory.mktemp("data"))


def recipe(**changes: Any) -> Recipe:
    usual = {"stepwise": 1, "model": "demo", "prompt": "a red apple", "seed": 7, "steps": STEPS, "cfg": 4.0}
    return parse(usual | changes)


def last(kind: type[Kind], told: Iterator[Event | Seen]) -> Kind:
    found = [one for one in told if isinstance(one, kind)]
    assert found[-1].whole and not any(one.whole for one in found[:-1])
    return found[-1]


def never() -> None:
    return None


# --- cfg as arrows -----------------------------------------------------------------------------------------------------


def test_three_points_keep_their_distances_in_the_plane() -> None:
    x, negative, positive = torch.randn(3, 1, 4, 8, 8, generator=torch.Generator().manual_seed(1)).unbind()
    found = arrows_of(x, negative, positive)
    assert found.gap == pytest.approx(float((positive - negative).norm()), rel=1e-5)
    for scale in (0.0, 1.0, 7.5):
        assert found.length(scale) == pytest.approx(float((cfg(positive, negative, scale) - x).norm()), rel=1e-5)


def test_equal_halves_have_no_direction() -> None:
    x, both = torch.zeros(1, 4, 2, 2), torch.ones(1, 4, 2, 2)
    assert arrows_of(x, both, both) == Arrows(along=0.0, across=4.0, gap=0.0)


def test_the_halves_of_a_run_give_its_estimate(pipe: Pipeline) -> None:
    """The sum at the run's own cfg lies where the run's denoised lies: the sampler made it, not the look."""
    asked = recipe()
    found = last(Trace, trace(pipe, asked, never))
    done = [event for event in pipe.run(asked) if isinstance(event, StepDone)]
    assert [stand.step for stand in found.stands] == list(range(STEPS + 1)) and found.steps == STEPS
    ready = run_out(pipe.ready(asked))
    denoiser = ready.denoiser(range(1), ready.latent())
    x = denoiser.start.x
    for stand, (step, state) in zip(found.stands, denoiser.run(), strict=False):
        assert stand.arrows is not None and stand.sigma == step.sigma
        assert stand.arrows.length(4.0) == pytest.approx(float((state.denoised - x).double().norm()), rel=1e-4)
        scales = [scale for scale, _ in stand.tries]
        assert scales == sorted(scales) and {0.0, 1.0, 4.0} <= set(scales)
        own = dict(stand.tries)[4.0]
        assert np.abs(np.asarray(seen(own), int) - np.asarray(seen(stand.estimate), int)).max() <= 4
        x = state.x
    assert len(done) == 1, "a run that is known needs no step"


def run_out(generator: Any) -> Any:
    """What a generator returns."""
    while True:
        try:
            next(generator)
        except StopIteration as end:
            return end.value


def seen(jpeg: bytes) -> Image.Image:
    return Image.open(BytesIO(jpeg)).convert("RGB")


def test_a_second_look_runs_no_step(pipe: Pipeline) -> None:
    asked = recipe(seed=11)
    first = sum(isinstance(event, StepDone) for event in trace(pipe, asked, never))
    again = sum(isinstance(event, StepDone) for event in trace(pipe, asked, never))
    assert (first, again) == (STEPS, 1)


def test_without_a_negative_there_are_no_arrows(pipe: Pipeline) -> None:
    found = last(Trace, trace(pipe, recipe(cfg=1.0, steps=2), never))
    assert all(stand.arrows is None and not stand.tries for stand in found.stands)
    assert found.stands[0].estimate and not found.stands[-1].estimate


def test_of_a_long_run_some_steps_are_shown() -> None:
    assert spread(3, 12) == {0, 1, 2}
    some = spread(50, 12)
    assert len(some) == 12 and {0, 49} <= some


def test_a_look_stops(pipe: Pipeline) -> None:
    wishes = iter([None] * 12)
    with pytest.raises(Stopped):
        list(trace(pipe, recipe(seed=13), lambda: next(wishes, "now")))


# --- seed and batch ----------------------------------------------------------------------------------------------------


def test_image_three_of_a_batch_is_the_same_bits_alone(pipe: Pipeline) -> None:
    found = last(Pair, pair(pipe, recipe(steps=3), never))
    alone, exact, fast = found.runs
    assert found.seed == 9 and (alone.seed, exact.seed, fast.seed) == (9, 7, 7)
    assert exact.difference == 0.0 and exact.picture == alone.picture
    assert fast.difference < 1e-3, "one forward pass over all three rounds in another order, no more"
    made = pipe.generate(recipe(steps=3, batch=3, batching="exact"))
    np.testing.assert_allclose(np.asarray(made.images[2], int), np.asarray(seen(alone.picture), int), atol=40)


# --- what the VAE loses ------------------------------------------------------------------------------------------------


@pytest.fixture
def photo(pipe: Pipeline) -> str:
    return pipe.inputs.add(next(iter(pictures(1, 96, seed=3))))


def test_a_vae_s_loss_is_measured(pipe: Pipeline, photo: str) -> None:
    found = last(Losses, losses(pipe, recipe(init={"image": photo}), never))
    (loss,) = found.losses
    before, after, map_ = (np.asarray(seen(data), int) for data in (found.original, loss.decoded, loss.difference))
    assert before.shape == (96, 96, 3)
    assert loss.psnr == pytest.approx(10 * math.log10(255**2 / np.mean((after - before) ** 2)))
    assert (loss.worst, loss.mean) == (np.abs(after - before).max(), pytest.approx(np.abs(after - before).mean()))
    np.testing.assert_array_equal(map_, np.clip(np.abs(after - before) * loss.factor, 0, 255))
    assert loss.of / loss.numbers == 96 * 96 * 3 / (4 * 12 * 12)


def test_it_is_the_model_s_own_vae(pipe: Pipeline, photo: str) -> None:
    """The same pixels as through the whole model."""
    found = last(Losses, losses(pipe, recipe(init={"image": photo}), never))
    ready = run_out(pipe.ready(recipe(width=96, height=96)))
    picture = pipe.inputs.open(photo)
    pixels = ready.model.decode(ready.model.encode_image(picture))
    whole = (pixels[0].permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
    np.testing.assert_allclose(np.asarray(seen(found.losses[0].decoded), int), whole.astype(int), atol=1)


def test_another_vae_stands_beside(models: Path, tmp_path: Path) -> None:
    shutil.copytree(models / "demo", tmp_path / "models" / "demo")
    vae().save_pretrained(tmp_path / "models" / "vae" / "other")
    pipe = Pipeline(models=tmp_path / "models", data=tmp_path / "data")
    photo = pipe.inputs.add(next(iter(pictures(1, 64, seed=3))))
    found = last(Losses, losses(pipe, recipe(init={"image": photo}, vae="other"), never))
    own, other = found.losses
    assert (own.name, other.name) == ("", "other") and own.psnr > other.psnr + 3
    assert pipe.residency is None, "the model itself is not read"


def test_without_a_picture_it_says_so(pipe: Pipeline) -> None:
    with pytest.raises(RecipeError, match="no picture"):
        list(losses(pipe, recipe(), never))


def test_numbers_of_a_loss() -> None:
    assert psnr(np.zeros((2, 2, 3))) == math.inf
    assert psnr(np.full((2, 2, 3), 255)) == 0
    assert factor_of(np.full((4, 4), 30)) == 8 and factor_of(np.full((4, 4), 200)) == 1


# --- clip skip, layer by layer -----------------------------------------------------------------------------------------


def test_layers_are_what_the_encoder_gives(pipe: Pipeline) -> None:
    found = last(Layers, layers(pipe, recipe(prompt="a red apple"), never))
    assert [one.skip for one in found.layers] == [1, 2] and found.own == 1
    ready = run_out(pipe.ready(recipe(clip_skip=2)))
    context = ready.encoded[ready.plan.steps[0].positive].context[0].float()
    assert found.layers[1].lengths == pytest.approx(context.norm(dim=-1).tolist())
    assert found.layers[0].likeness == pytest.approx([1.0] * 77) and min(found.layers[1].likeness) < 0.99


def test_where_clip_skip_has_no_effect_it_says_so(pipe: Pipeline) -> None:
    with pytest.raises(RecipeError, match="no effect"):
        list(layers(pipe, parse({"stepwise": 1, "model": "demo-turbo", "width": 64, "height": 64}), never))


# --- in the queue ------------------------------------------------------------------------------------------------------


@pytest.fixture
def jobs(pipe: Pipeline, tmp_path: Path) -> Iterator[Jobs]:
    made = Jobs(PipelineWorker(pipe), Gallery(tmp_path / "outputs"), tmp_path / "jobs.sqlite")
    yield made
    made.close()


def wait(jobs: Jobs, id: str, until: Callable[[Any], bool] = lambda view: view.finished) -> Any:
    view = jobs.get(id)
    while not until(view):
        view = jobs.watch(id, view.version, 60)
    return view


def test_a_look_is_a_job_without_pictures(jobs: Jobs, tmp_path: Path) -> None:
    view = wait(jobs, jobs.file(Work(recipe=recipe(steps=2), look="trace", name="inside"), "me"))
    assert view.state == "done" and isinstance(view.seen, Trace) and view.seen.whole
    assert not view.items and not list((tmp_path / "outputs").rglob("*.png"))


def test_a_look_in_the_queue_stops(jobs: Jobs) -> None:
    id = jobs.file(Work(recipe=recipe(steps=60, seed=99), look="trace", name="inside"), "me")
    wait(jobs, id, lambda view: view.step > 0 or view.finished)
    jobs.cancel(id, "me")
    assert wait(jobs, id).state == "stopped"


def test_what_is_wrong_is_said_by_the_job(jobs: Jobs) -> None:
    view = wait(jobs, jobs.file(Work(recipe=recipe(), look="vae", name="inside"), "me"))
    assert view.state == "failed" and isinstance(view.error, RecipeError)
