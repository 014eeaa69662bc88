"""The pipeline on the demo model: bit for bit, with the forward passes counted where the store would hide them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from core import Pipeline, Recipe, Result
from core.errors import MissingPart, RecipeError, UnknownName, UserError
from core.events import ImageDone, Planned, StepDone
from core.pipeline import Wish
from core.recipe import parse
from core.sampling import SAMPLERS

APPLE = {"stepwise": 1, "model": "demo", "prompt": "a red apple", "seed": 7, "steps": 6, "cfg": 5.0}
Make = Callable[..., Result]


@pytest.fixture(scope="module")
def bare(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    """Keeps no trajectories: every step is really run."""
    return Pipeline(models=models, device="cpu", trajectory_bytes=0, data=tmp_path_factory.mktemp("bare"))


@pytest.fixture
def keeping(models: Path, tmp_path: Path) -> Pipeline:
    return Pipeline(models=models, device="cpu", data=tmp_path)


def made(pipe: Pipeline, **fields: Any) -> Result:
    return pipe.generate(parse({**APPLE, **fields}))


def same(first: Result, second: Result) -> bool:
    pictures = all(a.tobytes() == b.tobytes() for a, b in zip(first.images, second.images, strict=True))
    return torch.equal(first.latents, second.latents) and pictures


@pytest.mark.parametrize("sampler", sorted(SAMPLERS))
def test_a_cut_that_changes_nothing_changes_no_bit(bare: Pipeline, sampler: str) -> None:
    whole = made(bare, sampler=sampler)
    cut = made(bare, sampler=sampler, segments=[{"end": 2}, {"end": 3, "prompt": "a red apple"}, {}])
    assert torch.isfinite(whole.latents).all()
    assert same(whole, cut)
    assert whole.stats.model_calls == cut.stats.model_calls >= 6 and cut.stats.reused_steps == 0


@pytest.mark.parametrize("sampler", ["euler", "dpmpp_2m", "dpmpp_2m_sde", "uni_pc", "res_multistep"])
@pytest.mark.parametrize("noise", ["keyed", "comfyui"])
def test_every_cut(bare: Pipeline, sampler: str, noise: str) -> None:
    whole = made(bare, sampler=sampler, noise=noise)
    for cut in range(1, 6):
        assert same(whole, made(bare, sampler=sampler, noise=noise, segments=[{"end": cut}, {}])), cut


@pytest.mark.parametrize("sampler", ["euler", "euler_ancestral", "dpmpp_sde", "dpmpp_3m_sde"])
def test_an_image_of_a_batch_is_the_same_alone(bare: Pipeline, sampler: str) -> None:
    batch = made(bare, sampler=sampler, batch=3, seed=2**64 - 2)
    for image, seed in enumerate((2**64 - 2, 2**64 - 1, 0)):
        alone = made(bare, sampler=sampler, seed=seed)
        assert torch.equal(batch.latents[image], alone.latents[0])
        assert batch.images[image].tobytes() == alone.images[0].tobytes()
    assert batch.stats.model_calls == 3 * alone.stats.model_calls


def test_a_fast_batch_costs_one_forward_for_all_and_is_close(bare: Pipeline) -> None:
    exact, fast = made(bare, batch=3), made(bare, batch=3, batching="fast")
    assert fast.stats.model_calls == 6 and exact.stats.model_calls == 18
    assert torch.allclose(exact.latents, fast.latents, atol=1e-3)
    assert [image.size for image in fast.images] == [(128, 128)] * 3


def test_a_run_leaves_nothing_behind(bare: Pipeline) -> None:
    first = made(bare)
    made(bare, prompt="a blue car", sampler="dpmpp_2m", clip_skip=2, cfg=3.0)
    assert same(first, made(bare))


def test_kept_steps_give_the_bits_of_real_ones(bare: Pipeline, keeping: Pipeline) -> None:
    assert same(made(bare), made(keeping))
    again = made(keeping)
    assert same(again, made(bare)) and (again.stats.model_calls, again.stats.reused_steps) == (0, 6)


@pytest.mark.parametrize("sampler", ["euler", "dpmpp_2m", "uni_pc", "dpmpp_sde", "lms"])
def test_an_edit_runs_again_only_from_the_step_that_changed(bare: Pipeline, keeping: Pipeline, sampler: str) -> None:
    made(keeping, sampler=sampler)
    edit = {"sampler": sampler, "segments": [{"end": 4}, {"prompt": "a red rabbit"}]}
    edited, fresh = made(keeping, **edit), made(bare, **edit)
    assert same(edited, fresh)
    assert edited.stats.reused_steps == 4 and edited.stats.model_calls < fresh.stats.model_calls


def test_the_store_keeps_within_its_bytes(models: Path, tmp_path: Path) -> None:
    pipe = Pipeline(models=models, device="cpu", trajectory_bytes=50_000, data=tmp_path)
    for seed in range(4):
        made(pipe, seed=seed)
        assert 0 < pipe.trajectories.nbytes <= 50_000


def test_what_a_prompt_says_is_not_part_of_a_key_but_its_bytes_are(keeping: Pipeline) -> None:
    made(keeping, cfg=1.0, negative="blurry")
    assert made(keeping, cfg=1.0, negative="something else").stats.model_calls == 0  # never evaluated at cfg 1
    assert made(keeping, cfg=1.0, prompt="a red  pear").stats.reused_steps == 0


def test_cfg_one_evaluates_no_negative(bare: Pipeline) -> None:
    assert made(bare, cfg=1.0).stats.model_calls == 6
    assert not same(made(bare, cfg=1.0), made(bare, cfg=1.5))


def test_restart_draws_its_own_noise_and_continue_carries_it(bare: Pipeline) -> None:
    def split(**second: Any) -> Result:
        return made(bare, sampler="euler_ancestral", noise="comfyui", segments=[{"end": 3}, second])

    assert same(split(), made(bare, sampler="euler_ancestral", noise="comfyui"))
    assert not same(split(border="restart"), split())
    assert not same(split(border="restart", noise_seed=1), split(border="restart", noise_seed=2))
    assert not same(split(add_noise=True), split(border="restart"))


def test_the_first_segment_without_noise_gives_what_the_net_makes_of_nothing(bare: Pipeline) -> None:
    assert same(
        made(bare, seed=1, segments=[{"add_noise": False}]), made(bare, seed=2, segments=[{"add_noise": False}])
    )


def test_segments_change_what_they_say(bare: Pipeline) -> None:
    plain = made(bare)
    for change in ({"prompt": "a car"}, {"cfg": 1.0}, {"sampler": "dpmpp_2m"}, {"conditioning": "zero"}, {"conditioning": "empty"},
                   {"negative": "a red apple"}, {"clip_skip": 2}, {"weighting": "a1111", "prompt": "a (red:1.4) apple"}):  # fmt: skip
        assert not same(plain, made(bare, segments=[{"end": 2}, change])), change


@pytest.mark.parametrize(
    ("edited", "segments"),
    [
        ("a [red apple:blue car:3]", [{"end": 3, "prompt": "a red apple"}, {"prompt": "a blue car"}]),
        ("a [red apple:blue car:0.5]", [{"end": 3, "prompt": "a red apple"}, {"prompt": "a blue car"}]),
        ("a car[ on a red background:2]", [{"end": 2, "prompt": "a car"}, {"prompt": "a car on a red background"}]),
        ("a (red:1.3) [apple::4]", [{"end": 4, "prompt": "a (red:1.3) apple"}, {"prompt": "a (red:1.3) "}]),
        ("a [cat|dog]", [{"end": k + 1, "prompt": f"a {'dog' if k % 2 else 'cat'}"} for k in range(6)]),
        (
            "[a [red:blue:1] apple:a car:4]",
            [{"end": 1, "prompt": "a red apple"}, {"end": 4, "prompt": "a blue apple"}, {"prompt": "a car"}],
        ),
    ],
)
def test_editing_in_the_prompt_is_the_segments_written_out(
    bare: Pipeline, edited: str, segments: list[dict[str, Any]]
) -> None:
    assert same(made(bare, prompt=edited), made(bare, prompt="unused", segments=segments))
    assert same(
        made(bare, negative=edited),
        made(bare, segments=[{**s, "negative": s["prompt"], "prompt": None} for s in segments]),
    )


def test_image_to_image(bare: Pipeline) -> None:
    digest = bare.inputs.add(Image.new("RGB", (200, 100), "red"))
    close = made(bare, init={"image": digest, "denoise": 0.3})
    assert close.stats.model_calls == 6
    assert same(close, made(bare, init={"image": digest, "denoise": 0.3}))
    middle = close.images[0].getpixel((64, 64))
    assert isinstance(middle, tuple) and middle[0] > 120 and middle[2] < 120  # still red
    with pytest.raises(MissingPart):
        made(bare, init={"image": "0" * 64})


def test_stop_now_keeps_the_partial_picture_and_the_steps(bare: Pipeline, keeping: Pipeline) -> None:
    done: list[StepDone] = []
    last: list[ImageDone] = []

    def stop() -> Wish:
        return "now" if len(done) == 4 else None

    for event in keeping.run(parse({**APPLE, "batch": 2}), stop=stop):
        done += [event] if isinstance(event, StepDone) else []
        last += [event] if isinstance(event, ImageDone) else []
    assert len(last) == 1 and last[0].partial and last[0].made_with["stopped_at_step"] == "4"
    assert torch.equal(last[0].latent, done[-1].denoised)
    resumed = made(keeping)
    assert resumed.stats.reused_steps == 4 and same(resumed, made(bare))


def test_stop_after_ends_with_the_image_in_the_making(bare: Pipeline) -> None:
    events = list(bare.run(parse({**APPLE, "batch": 3}), stop=lambda: "after"))
    assert [event.partial for event in events if isinstance(event, ImageDone)] == [False]


@pytest.mark.parametrize("sampler", ["euler", "dpmpp_2m", "uni_pc", "euler_ancestral", "dpmpp_sde"])
def test_a_run_goes_on_from_any_kept_step(bare: Pipeline, keeping: Pipeline, sampler: str) -> None:
    recipe = {**APPLE, "sampler": sampler}
    keys = [event.key for event in keeping.run(parse(recipe)) if isinstance(event, StepDone)]
    for start in range(1, 6):
        again = {**recipe, "init": {"trajectory": keys[start - 1], "start": start}}
        assert same(keeping.generate(parse(again)), made(bare, sampler=sampler))
        other = keeping.generate(parse({**again, "prompt": "a blue car"}))
        assert same(other, made(bare, sampler=sampler, segments=[{"end": start}, {"prompt": "a blue car"}]))


def test_what_a_run_cannot_go_on_from(keeping: Pipeline) -> None:
    with pytest.raises(MissingPart, match="is gone"):
        made(keeping, init={"trajectory": "a" * 64, "start": 3})
    key = next(event.key for event in keeping.run(parse(APPLE)) if isinstance(event, StepDone))
    with pytest.raises(RecipeError, match="128 x 128"):
        made(keeping, init={"trajectory": key, "start": 1}, width=64)


def test_events_tell_what_happens(bare: Pipeline) -> None:
    events = list(bare.run(parse({**APPLE, "batch": 2})))
    planned = next(event for event in events if isinstance(event, Planned))
    assert planned.steps == 6 and planned.recipe.width == 128
    steps = [(event.image, event.step) for event in events if isinstance(event, StepDone)]
    assert steps == [(image, step) for image in range(2) for step in range(1, 7)]
    pictures = [event for event in events if isinstance(event, ImageDone)]
    assert [event.recipe.seed for event in pictures] == [7, 8]
    assert all(len(event.made_with["model_hash"]) == 64 for event in pictures)
    assert isinstance(
        bare.preview(next(event for event in events if isinstance(event, StepDone)).denoised), Image.Image
    )


def test_a_resolved_recipe_makes_the_same_picture(bare: Pipeline) -> None:
    first = made(bare, sampler=None, steps=3, segments=[{"end": 1}, {"add_noise": True, "noise_seed": 5}])
    assert isinstance(first.recipe, Recipe) and first.recipe.sampler is not None
    assert same(first, bare.generate(first.recipe))


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"sampler": "eulr"}, UnknownName),
        ({"scheduler": "kl_optimal", "steps": 1}, UserError),
        ({"model": "no-such-model"}, UnknownName),
        ({"model": "../../etc/passwd"}, UnknownName),
        ({"vae": "none.safetensors"}, UnknownName),
        ({"loras": [{"name": "x"}]}, UnknownName),
        ({"prompt": "a <lora:../../x:0.8> b"}, UnknownName),
        ({"prompt": "a embedding:nobody"}, UserError),
        ({"clip_skip": 40}, RecipeError),
    ],
)
def test_bad_input_is_one_sentence_and_loses_nothing(
    bare: Pipeline, fields: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error) as caught:
        made(bare, **fields)
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")
    assert made(bare, steps=1).images


def test_the_same_bits_in_a_model_s_own_units(bare: Pipeline) -> None:
    """Latents come in sampler units: about unit variance, not the VAE's."""
    assert 0.2 < made(bare, steps=12).latents.std() < 3
