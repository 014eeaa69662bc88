"""Flux.1 against diffusers' FluxPipeline on tiny random models: the same text, forward pass and pictures."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from core import Pipeline
from core.errors import RecipeError
from core.families import FAMILIES, load
from core.families.base import Conditioning, LatentFormat, TextRequest, join
from core.families.flux import packed, places, unpacked
from core.models.library import Library
from core.recipe import parse
from core.sampling import make_sigmas
from core.sampling.model_sampling import Flow, FluxFlow
from tests import tiny_models

CPU = torch.device("cpu")
SIZE: dict[str, int] = {"width": 32, "height": 48}


@pytest.fixture(scope="module", params=["dev", "schnell"])
def variant(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def pipe(root: Path, variant: str) -> Any:
    return tiny_models.flux(root / variant, guided=variant == "dev")


@pytest.fixture(scope="module")
def model(root: Path, variant: str, pipe: Any) -> Any:
    return load(Library(root).model(variant), device=CPU)


def encoded(model: Any, text: str, **changes: Any) -> Conditioning:
    return model.encode_text(TextRequest(text=text, **SIZE, **changes))


@pytest.mark.parametrize("text", ["a red apple", "", "the rabbit, on A blue apple!"])
def test_text(model: Any, pipe: Any, text: str) -> None:
    """ComfyUI pads T5's tokens to 256, which diffusers does when it is told to."""
    wanted, pooled, _ = pipe.encode_prompt(text, text, device=CPU, max_sequence_length=256)
    found = encoded(model, text)
    assert torch.equal(found.context, wanted) and torch.equal(found.pooled, pooled)


def test_weights_move_tokens_away_from_the_empty_prompt(model: Any) -> None:
    """Two tokens of (red apple:1.5), by the formula; the pooled text has no weights."""
    plain, empty = encoded(model, "red apple"), encoded(model, "")
    found = encoded(model, "(red apple:1.5)")
    wanted = plain.context.clone()
    wanted[:, :2] = (plain.context[:, :2] - empty.context[:, :2]) * 1.5 + empty.context[:, :2]
    assert torch.allclose(found.context, wanted, atol=1e-6) and torch.equal(found.pooled, plain.pooled)


def test_long_prompts_are_not_cut(model: Any) -> None:
    assert encoded(model, " ".join(["red"] * 300)).context.shape[1] == 301


def test_packing_is_diffusers_own(pipe: Any) -> None:
    x = torch.randn(2, 16, 6, 8, generator=torch.Generator().manual_seed(1))
    tokens = pipe._pack_latents(x, 2, 16, 6, 8)
    assert torch.equal(packed(x), tokens) and torch.equal(unpacked(tokens, 3, 4), x)
    assert torch.equal(places(3, 4, CPU), pipe._prepare_latent_image_ids(2, 3, 4, CPU, torch.float32))


def test_forward(model: Any, pipe: Any, variant: str) -> None:
    x = torch.randn(1, 16, 12, 8, generator=torch.Generator().manual_seed(1))
    sigma, cond = torch.tensor([0.7]), encoded(model, "a red apple", guidance=2.5)
    assert ("guidance" in cond.extra) == (variant == "dev")
    wanted = pipe.transformer(
        hidden_states=packed(x), timestep=sigma, guidance=torch.tensor([2.5]) if variant == "dev" else None,
        pooled_projections=cond.pooled, encoder_hidden_states=cond.context, txt_ids=torch.zeros(256, 3),
        img_ids=places(6, 4, CPU), return_dict=False,
    )[0]  # fmt: skip
    assert torch.equal(model.forward(x, sigma, cond), unpacked(wanted, 6, 4))
    other = encoded(model, "blue", guidance=2.5)
    both = model.forward(torch.cat([x, x]), sigma.repeat(2), join([cond, other]))
    assert torch.allclose(both[1:], model.forward(x, sigma, other), atol=1e-5)


def test_latents(model: Any) -> None:
    assert model.latent_format == LatentFormat(channels=16, scale=0.3611, shift=0.1159, downscale=4)


@pytest.mark.parametrize("cfg", [1.0, 3.0])
def test_a_whole_picture_like_the_pipeline(pipeline: Pipeline, pipe: Any, variant: str, cfg: float) -> None:
    """6 Euler steps on the same sigmas, with and without true cfg: equal to 1e-4 of the largest."""
    told = {"guidance": 2.5} if variant == "dev" else {}
    recipe = parse({"stepwise": 1, "model": variant, "prompt": "a red apple", "negative": "blue", "cfg": cfg, "steps": 6,
                    "sampler": "euler", "seed": 3, **SIZE, **told})  # fmt: skip
    result = pipeline.generate(recipe)
    assert result.recipe.shift is not None
    table = FluxFlow(math.log(result.recipe.shift)) if variant == "dev" else Flow(1.0)
    sigmas = make_sigmas("simple", 6, table)[:-1].tolist()
    start = torch.randn(1, 16, 12, 8, generator=torch.Generator().manual_seed(3))
    wanted = pipe(
        "a red apple", negative_prompt="blue", true_cfg_scale=cfg, sigmas=sigmas, num_inference_steps=6, guidance_scale=2.5,
        latents=packed(start), output_type="latent", max_sequence_length=256, **SIZE,
    ).images  # fmt: skip
    assert torch.allclose(result.latents, unpacked(wanted, 6, 4), atol=1e-4 * float(wanted.abs().max()))
    assert result.stats.model_calls == 6  # both texts have 256 tokens: one pass for both halves


def test_the_shift_grows_with_the_picture(pipeline: Pipeline, variant: str) -> None:
    from diffusers.pipelines.flux.pipeline_flux import calculate_shift

    for width, height in ((1024, 1024), (512, 768), (2048, 1024)):
        resolved = pipeline.resolve(parse({"stepwise": 1, "model": variant, "width": width, "height": height}))
        mu = calculate_shift(width * height // 256, 256, 4096, 0.5, 1.15) if variant == "dev" else 0.0
        assert resolved.shift == pytest.approx(math.exp(mu))
    given = pipeline.resolve(parse({"stepwise": 1, "model": variant, "shift": 3.0}))
    assert given.shift == 3.0


def test_defaults(pipeline: Pipeline, variant: str) -> None:
    found = pipeline.resolve(parse({"stepwise": 1, "model": variant}))
    assert (found.steps, found.cfg, found.guidance) == ((20, 1.0, 3.5) if variant == "dev" else (4, 1.0, None))
    assert (found.sampler, found.scheduler) == ("euler", "simple")
    if variant == "schnell":
        with pytest.raises(RecipeError, match=r"guidance has no effect on Flux.1 schnell: leave it out"):
            pipeline.resolve(parse({"stepwise": 1, "model": variant, "guidance": 3.5}))


def test_guidance_changes_what_it_stands_over(pipeline: Pipeline, variant: str) -> None:
    """Of a segment: its own steps only, and the steps before it are known already."""
    if variant == "schnell":
        return
    base = {"stepwise": 1, "model": variant, "prompt": "a red apple", "steps": 4, "seed": 3, **SIZE}
    whole = pipeline.generate(parse(base))
    cut = pipeline.generate(parse({**base, "segments": [{"end": 2}, {"guidance": 1.0}]}))
    assert cut.stats.reused_steps == 2 and not torch.equal(cut.latents, whole.latents)


def test_the_table_of_the_family() -> None:
    assert FAMILIES["flux"].model_sampling(None, None, 1024, 1024) == FluxFlow(math.log(math.exp(1.15)))
