"""What the cards say has no effect has none: the same bits with and without. The sentences are `card.<id>.none` in ui/texts."""

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from core import Pipeline
from core.errors import ModelError, RecipeError
from core.events import StepDone
from core.families import FAMILIES, VARIANTS
from core.recipe import parse
from core.sampling import SAMPLERS, make_sigmas
from core.sampling.model_sampling import EpsDiscrete

START: Mapping[str, Any] = {"stepwise": 1, "prompt": "a red rabbit", "seed": 7, "steps": 4, "cfg": 3.0}
TURBO = {"model": "demo-turbo", "steps": 3, "cfg": 1.0}


@pytest.fixture(scope="module")
def pipe(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    made = Pipeline(models, device="cpu", trajectory_bytes=0, data=tmp_path_factory.mktemp("data"))  # nothing is reused
    yield made
    made.close()


def latent(pipe: Pipeline, **changes: Any) -> Tensor:
    return pipe.generate(parse({**START, **changes})).latents


def same(pipe: Pipeline, one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return torch.equal(latent(pipe, **one), latent(pipe, **other))


def refused(pipe: Pipeline, word: str, **changes: Any) -> None:
    with pytest.raises(RecipeError, match=word):
        pipe.generate(parse({**START, **changes}))


def test_steps_change_neither_the_noise_nor_the_first_guess(pipe: Pipeline) -> None:
    def first(steps: int) -> Tensor:
        events = pipe.run(parse({**START, "steps": steps}))
        return next(event.denoised for event in events if isinstance(event, StepDone))

    assert torch.equal(first(2), first(6))
    assert not same(pipe, {"steps": 2}, {"steps": 6})


@pytest.mark.parametrize("changes", [{}, {"sampler": "lcm"}, TURBO])
def test_cfg_1_reads_no_negative(pipe: Pipeline, changes: Mapping[str, Any]) -> None:
    off = {**changes, "cfg": 1.0}
    assert same(pipe, off, {**off, "negative": "blue, a cat"})
    calls = [pipe.generate(parse({**START, **changes, "cfg": cfg})).stats.model_calls for cfg in (1.0, 3.0)]
    assert calls[0] <= calls[1]


def test_above_1_and_for_cfg_pp_the_negative_is_read(pipe: Pipeline) -> None:
    assert not same(pipe, {}, {"negative": "blue, a cat"})
    needing = {name for name, sampler in SAMPLERS.items() if sampler.needs_negative}
    assert needing == {name for name in SAMPLERS if "cfg_pp" in name}
    for name in ("euler_cfg_pp", "res_multistep_cfg_pp"):
        pp = {"sampler": name, "cfg": 1.0}
        assert not same(pipe, pp, {**pp, "negative": "blue, a cat"})


def test_without_noise_the_seed_decides_nothing(pipe: Pipeline) -> None:
    empty = {"segments": [{"add_noise": False}]}
    assert same(pipe, empty, {**empty, "seed": 8})
    drawing = {**empty, "sampler": "euler_ancestral"}
    assert not same(pipe, drawing, {**drawing, "seed": 8}), "this sampler adds noise of its own"
    assert not same(pipe, {}, {"seed": 8})


def test_without_noise_of_its_own_a_sampler_does_not_care_where_noise_is_from(pipe: Pipeline) -> None:
    assert same(pipe, {"noise": "keyed"}, {"noise": "comfyui"})
    drawing = {"sampler": "euler_ancestral"}
    assert not same(pipe, {**drawing, "noise": "keyed"}, {**drawing, "noise": "comfyui"})


def test_ddim_is_euler(pipe: Pipeline) -> None:
    assert same(pipe, {"sampler": "euler"}, {"sampler": "ddim"})


def test_one_step_is_not_divided() -> None:
    tables = [make_sigmas(name, 1, EpsDiscrete()) for name in ("normal", "karras", "exponential")]
    assert all(torch.allclose(table, tables[0], rtol=1e-6) for table in tables)
    several = [make_sigmas(name, 4, EpsDiscrete()) for name in ("normal", "karras", "exponential")]
    assert not torch.allclose(several[0], several[1])


def test_clip_skip_shift_and_guidance_are_refused_where_they_mean_nothing(pipe: Pipeline) -> None:
    refused(pipe, "clip_skip", **TURBO, clip_skip=2)
    refused(pipe, "shift", shift=3.0)
    refused(pipe, "guidance", guidance=3.5)
    refused(pipe, "guidance", **TURBO, guidance=3.5)


def test_which_families_have_them() -> None:
    """The cards name families: these are the ones."""
    known = {record.title: record.defaults for record in (*FAMILIES.values(), *VARIANTS.values())}
    assert {name for name, own in known.items() if own.clip_skip is not None} == {"SD1.5", "SDXL"}
    assert {name for name, own in known.items() if own.guidance is not None} == {"Flux.1 dev"}
    assert {name for name, own in known.items() if own.shift is None} == {"SD1.5", "SDXL"}
    assert {name for name, record in FAMILIES.items() if record.has_embeddings} == {"sd15", "sdxl"}


def test_embeddings_are_words_to_z_image(pipe: Pipeline, models: Path, tmp_path: Path) -> None:
    shutil.copytree(models / "demo-turbo", tmp_path / "models" / "demo-turbo")
    without = Pipeline(tmp_path / "models", device="cpu", trajectory_bytes=0, data=tmp_path / "data")
    named = {**START, **TURBO, "prompt": "a cat, moonlit"}
    assert "moonlit" in pipe.library.embeddings() and "moonlit" not in without.library.embeddings()
    assert torch.equal(pipe.generate(parse(named)).latents, without.generate(parse(named)).latents)
    without.close()


def test_a_vae_takes_no_part_in_the_steps(pipe: Pipeline) -> None:
    whole, tiled = (pipe.generate(parse({**START, "vae_tiling": tiles})) for tiles in (False, True))
    assert torch.equal(whole.latents, tiled.latents)
    assert whole.images[0].tobytes() != tiled.images[0].tobytes()


def test_a_lora_at_zero_changes_nothing(pipe: Pipeline) -> None:
    assert same(pipe, {}, {"loras": [{"name": "pixel-art", "model": 0.0, "text": 0.0}]})
    assert not same(pipe, {}, {"loras": [{"name": "pixel-art"}]})
    with pytest.raises(ModelError):
        pipe.generate(parse({**START, **TURBO, "loras": [{"name": "pixel-art"}]}))


def test_leftover_noise_means_nothing_at_the_end(pipe: Pipeline) -> None:
    def parts(leftover: bool) -> dict[str, Any]:
        return {"segments": [{"end": 2}, {"leftover_noise": leftover}]}

    assert same(pipe, parts(True), parts(False))
    early = [
        {"segments": [{"end": 2, "leftover_noise": leftover}, {"border": "restart"}]} for leftover in (True, False)
    ]
    assert not same(pipe, *early)


def test_denoise_is_for_pictures(pipe: Pipeline) -> None:
    image = pipe.inputs.add(Image.new("RGB", (128, 128), "orange"))
    whole = {"init": {"image": image, "denoise": 1.0}}
    assert same(pipe, {**TURBO, **whole}, TURBO), "a flow keeps nothing of it"
    assert not same(pipe, whole, {}), "a trace stays in SD1.5"
    trace = (latent(pipe, **whole) - latent(pipe)).abs().mean()
    assert trace < (latent(pipe, init={"image": image, "denoise": 0.3}) - latent(pipe)).abs().mean()
