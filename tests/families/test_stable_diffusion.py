"""SD1.5 and SDXL against diffusers' pipelines on tiny random models: the same text, forward pass and pixels."""

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from core.families import FAMILIES, load
from core.families.base import Conditioning, Defaults, LatentFormat, TextRequest, join
from core.models.library import Library
from core.models.memory import Memory, Residency
from core.sampling.model_sampling import EpsDiscrete, LCMDistilled, VDiscrete
from tests import tiny_models

CPU = torch.device("cpu")
LONG = "a red apple on the blue rabbit, " * 12


@pytest.fixture(scope="module")
def sd15(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    root = tmp_path_factory.mktemp("models")
    pipe = tiny_models.sd15(root / "tiny")
    # diffusers 0.42 with clip_skip looks for `text_model`, which transformers 5.6 took out of CLIPTextModel.
    vars(pipe.text_encoder)["text_model"] = pipe.text_encoder
    return load(Library(root).model("tiny"), device=CPU), pipe


@pytest.fixture(scope="module")
def sdxl(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    root = tmp_path_factory.mktemp("models")
    pipe = tiny_models.sdxl(root / "tiny")
    return load(Library(root).model("tiny"), device=CPU), pipe


def request(text: str, **changes: Any) -> TextRequest:
    return TextRequest(text=text, width=64, height=32, **changes)


@pytest.mark.parametrize("text", ["a red apple", "", "A Rabbit, on the BLUE!"])
@pytest.mark.parametrize("skip", [1, 2, 3])
def test_sd15_text(sd15: tuple[Any, Any], text: str, skip: int) -> None:
    """diffusers' clip_skip counts from 0."""
    model, pipe = sd15
    wanted, _ = pipe.encode_prompt(text, CPU, 1, False, clip_skip=None if skip == 1 else skip - 1)
    assert torch.equal(model.encode_text(request(text, clip_skip=skip)).context, wanted)


@pytest.mark.parametrize("text", ["a red apple", "", "A Rabbit, on the BLUE!"])
@pytest.mark.parametrize("skip", [2, 3])
def test_sdxl_text(sdxl: tuple[Any, Any], text: str, skip: int) -> None:
    """Two layers before the end is SDXL's own, diffusers' clip_skip counts on from there."""
    model, pipe = sdxl
    wanted, _, pooled, _ = pipe.encode_prompt(
        text, device=CPU, do_classifier_free_guidance=False, clip_skip=None if skip == 2 else skip - 2
    )
    found = model.encode_text(request(text, clip_skip=skip))
    assert torch.equal(found.context, wanted) and torch.equal(found.pooled, pooled)
    assert torch.equal(found.extra["time_ids"], torch.tensor([[32.0, 64, 0, 0, 32, 64]]))


def test_defaults_of_clip_skip(sd15: tuple[Any, Any], sdxl: tuple[Any, Any]) -> None:
    for (model, _), skip in ((sd15, 1), (sdxl, 2)):
        default, explicit = model.encode_text(request("a")), model.encode_text(request("a", clip_skip=skip))
        assert torch.equal(default.context, explicit.context)


@pytest.mark.parametrize("name", ["sd15", "sdxl"])
def test_long_prompts_window_by_window(name: str, sd15: Any, sdxl: Any) -> None:
    """diffusers truncates at 77 tokens: its first window is ours, and the pooled text is the first window's."""
    model, pipe = {"sd15": sd15, "sdxl": sdxl}[name]
    found = model.encode_text(request(LONG))
    assert found.context.shape[1] % 77 == 0 and found.context.shape[1] > 77
    if name == "sd15":
        wanted, _ = pipe.encode_prompt(LONG, CPU, 1, False)
    else:
        wanted, _, pooled, _ = pipe.encode_prompt(LONG, device=CPU, do_classifier_free_guidance=False)
        assert torch.equal(found.pooled, pooled)
    assert torch.equal(found.context[:, :77], wanted)


def test_forward(sd15: tuple[Any, Any], sdxl: tuple[Any, Any]) -> None:
    for model, pipe in (sd15, sdxl):
        cond = join([model.encode_text(request("")), model.encode_text(request("a red apple"))])
        x = torch.randn(2, 4, 4, 8, generator=torch.Generator().manual_seed(1))
        t = torch.tensor([999.0, 999.0])
        added = {"text_embeds": cond.pooled, **cond.extra} if cond.pooled is not None else None
        wanted = pipe.unet(x, t, encoder_hidden_states=cond.context, added_cond_kwargs=added).sample
        out = model.forward(x, t, cond)
        assert torch.equal(out, wanted) and out.dtype == torch.float32


def test_latents_and_pixels(sd15: tuple[Any, Any], sdxl: tuple[Any, Any]) -> None:
    for (model, pipe), scale in ((sd15, 0.18215), (sdxl, 0.13025)):
        assert model.latent_format == LatentFormat(channels=4, scale=scale, downscale=4)
        latent = torch.randn(2, 4, 8, 6, generator=torch.Generator().manual_seed(2))
        wanted = pipe.image_processor.postprocess(pipe.vae.decode(latent).sample, output_type="pt")
        pixels = model.decode(latent)
        assert torch.equal(pixels, wanted) and pixels.shape == (2, 3, 32, 24)
        image = Image.effect_noise((24, 32), 80).convert("RGB")
        mean = pipe.vae.encode(pipe.image_processor.preprocess(image)).latent_dist.mean
        assert torch.allclose(model.encode_image(image), mean, atol=1e-5)
        assert torch.equal(model.encode_image(image), model.encode_image(image))


def test_a_whole_picture_like_the_pipeline(sd15: tuple[Any, Any], sdxl: tuple[Any, Any]) -> None:
    """6 Euler steps with guidance, the pipeline's own sigmas, our parts in its loop's place: equal to 1e-4 of the largest."""
    for model, pipe in (sd15, sdxl):
        pipe.scheduler.set_timesteps(6)
        sigmas, start = pipe.scheduler.sigmas, torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(7))
        wanted = pipe(
            "a red apple", negative_prompt="blue", num_inference_steps=6, guidance_scale=5.0, height=32, width=32,
            latents=start.clone(), output_type="latent",
        ).images  # fmt: skip
        ask = {"width": 32, "height": 32}
        cond = join([model.encode_text(TextRequest(text=text, **ask)) for text in ("blue", "a red apple")])
        x = start * pipe.scheduler.init_noise_sigma
        for k, t in enumerate(pipe.scheduler.timesteps):
            s, n = float(sigmas[k]), float(sigmas[k + 1])
            out = model.forward(torch.cat([x, x]) / (s * s + 1) ** 0.5, t.repeat(2).float(), cond)
            u, c = out.chunk(2)
            x = x + (u + 5.0 * (c - u)) * (n - s)
        assert torch.allclose(x, wanted, atol=1e-4 * float(wanted.abs().max()))


def test_defaults_take_the_models_own_size(sd15: tuple[Any, Any], sdxl: tuple[Any, Any]) -> None:
    basics: dict[str, Any] = {"steps": 20, "sampler": "euler", "scheduler": "normal", "cfg": 7.0}
    assert sd15[0].defaults == Defaults(width=32, height=32, clip_skip=1, **basics)
    assert sdxl[0].defaults == Defaults(width=32, height=32, clip_skip=2, **basics)
    assert FAMILIES["sd15"].defaults.width == 512 and FAMILIES["sdxl"].defaults.width == 1024


def test_predictions() -> None:
    kinds = {"eps": EpsDiscrete(), "v": VDiscrete(), "v_zsnr": VDiscrete(zsnr=True), "lcm": LCMDistilled()}
    for family in (FAMILIES["sd15"], FAMILIES["sdxl"]):
        assert {name: family.model_sampling(name, None, 512, 512) for name in kinds} == kinds


@pytest.mark.parametrize(
    ("config", "prediction"),
    [({"prediction_type": "epsilon"}, "eps"), ({"prediction_type": "v_prediction"}, "v"), ({}, "eps"),
     ({"prediction_type": "v_prediction", "rescale_betas_zero_snr": True}, "v_zsnr")],
)  # fmt: skip
def test_prediction_of_a_folder(tmp_path: Path, config: dict[str, Any], prediction: str) -> None:
    import json

    tiny_models.sd15(tmp_path / "tiny")
    (tmp_path / "tiny" / "scheduler" / "scheduler_config.json").write_text(json.dumps(config))
    assert load(Library(tmp_path).model("tiny"), device=CPU).prediction == prediction


def test_encoded_prompts_are_kept_within_bounds(sd15: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    model, _ = sd15
    one = model.encode_text(request("a red rabbit"))
    assert model.encode_text(request("a red rabbit")).context is one.context
    assert model.encode_text(request("a red rabbit", weighting="a1111")).context is not one.context
    monkeypatch.setattr("core.families.model.CACHE_BYTES", 5 * one.context.nbytes)
    for k in range(9):
        model.encode_text(request(f"apple {k}"))
    assert sum(cond.context.nbytes for cond in model._texts.values()) <= 5 * one.context.nbytes


def test_zeroed_conditioning(sdxl: tuple[Any, Any]) -> None:
    cond: Conditioning = sdxl[0].encode_text(request("a red apple"))
    zero = cond.zeroed()
    assert zero.pooled is not None and not zero.context.any() and not zero.pooled.any()
    assert zero.context.shape == cond.context.shape and torch.equal(zero.extra["time_ids"], cond.extra["time_ids"])


# ------------------------------------------------------------------ memory


def test_tiles_only_where_asked(sd15: tuple[Any, Any]) -> None:
    model, _ = sd15
    latent = torch.randn(1, 4, 32, 32, generator=torch.Generator().manual_seed(4))
    whole, tiled = model.decode(latent), model.decode(latent, tiled=True)
    assert whole.shape == tiled.shape and not torch.equal(whole, tiled)
    assert torch.equal(model.decode(latent), whole)


def test_a_decode_without_memory_is_done_in_tiles(tmp_path: Path) -> None:
    """The CPU's allocator fails on the whole latent only; the latent is not lost, and the next one goes into tiles at once."""
    tiny_models.sd15(tmp_path / "tiny")
    model: Any = load(Library(tmp_path).model("tiny"), device=CPU)
    latent = torch.randn(1, 4, 32, 32, generator=torch.Generator().manual_seed(4))
    tiled = model.decode(latent, tiled=True)
    decoder, calls = model._vae.decoder.forward, []

    def small_only(z: torch.Tensor, *rest: Any) -> torch.Tensor:
        calls.append(z.shape[-1])
        return torch.empty(10**15) if z.shape[-1] == 32 else decoder(z, *rest)

    model._vae.decoder.forward = small_only
    assert torch.equal(model.decode(latent), tiled)
    assert "it is done in tiles" in str(model.residency) and calls.count(32) == 1
    assert torch.equal(model.decode(latent), tiled) and calls.count(32) == 1
    assert model.decode(latent[..., :16, :16]).shape == (1, 3, 64, 64)


def test_turns_give_the_same_bits(sd15: tuple[Any, Any], tmp_path: Path) -> None:
    tiny_models.sd15(tmp_path / "tiny")
    turns: Any = load(Library(tmp_path).model("tiny"), device=CPU)
    turns.memory = Memory(turns.memory._parts, CPU, Residency("swap", ()))
    latent = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(4))
    found: list[tuple[torch.Tensor, torch.Tensor]] = []
    for model in (sd15[0], turns):
        cond = model.encode_text(request("a red apple"))
        found.append((model.forward(latent, torch.tensor([7.0]), cond), model.decode(latent)))
    assert torch.equal(found[0][0], found[1][0]) and torch.equal(found[0][1], found[1][1])
