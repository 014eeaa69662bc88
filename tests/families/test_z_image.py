"""Z-Image against diffusers' ZImagePipeline on a tiny random model: the same text, forward pass and pictures."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from core import Pipeline, Recipe
from core.errors import RecipeError, UserError
from core.events import StepDone
from core.families import load
from core.families.base import Conditioning, LatentFormat, TextRequest, join
from core.models.library import Library
from core.recipe import parse
from core.sampling import make_sigmas
from core.sampling.model_sampling import Flow
from tests import tiny_models

CPU = torch.device("cpu")
ROOT = Path(__file__).parents[2]
SIZE: dict[str, int] = {"width": 32, "height": 48}


@pytest.fixture(scope="module")
def pipe(root: Path) -> Any:
    return tiny_models.z_image(root / "tiny-turbo")


@pytest.fixture(scope="module")
def model(root: Path, pipe: Any) -> Any:
    return load(Library(root).model("tiny-turbo"), device=CPU)


def encoded(model: Any, text: str, **changes: Any) -> Conditioning:
    return model.encode_text(TextRequest(text=text, **SIZE, **changes))


@pytest.mark.parametrize("text", ["a red apple", "", 'A sign: "(OPEN:1.2)" — 東京', "a {red} apple\n" * 9])
def test_text(model: Any, pipe: Any, text: str) -> None:
    """Padded to 512 and trimmed again by diffusers, never padded here: equal to 1e-6."""
    (wanted,), _ = pipe.encode_prompt([text], device=CPU, do_classifier_free_guidance=False)
    found = encoded(model, text).context
    assert found.shape == (1, *wanted.shape) and torch.allclose(found[0], wanted, atol=1e-6)


def test_brackets_are_text_and_edits_are_edits(model: Any) -> None:
    plain = encoded(model, "a (red:1.2) [apple]").context
    for weighting in ("comfyui", "a1111"):
        assert torch.equal(encoded(model, "a (red:1.2) [apple]", weighting=weighting).context, plain)
        edited = encoded(model, "a (red:1.2) [[rabbit]:[apple]:5]", weighting=weighting, choices=(1,)).context
        assert torch.equal(edited, plain)
    assert plain.shape[1] == encoded(model, "").context.shape[1] + len("a (red:1.2) [apple]")


def test_a_prompt_that_is_too_long(model: Any) -> None:
    with pytest.raises(RecipeError, match=r"The prompt has 2\d\d tokens, and this model reads 224 at most"):
        encoded(model, "a" * 220)


def test_zero_keeps_the_length(model: Any) -> None:
    cond = encoded(model, "a red apple")
    assert cond.zeroed().context.shape == cond.context.shape and not cond.zeroed().context.any()


def test_forward(model: Any, pipe: Any) -> None:
    """Alone, and both halves of guidance at once: the network's own output with its sign turned, bit for bit."""
    x = torch.randn(1, 16, 12, 8, generator=torch.Generator().manual_seed(1))
    sigma = torch.tensor([0.7])
    cond, other = encoded(model, "a red apple"), encoded(model, "a car, blue")
    assert cond.context.shape == other.context.shape
    wanted = -pipe.transformer([x[0][:, None]], 1 - sigma, [cond.context[0]], return_dict=False)[0][0][:, 0]
    assert torch.equal(model.forward(x, sigma, cond)[0], wanted)
    both = model.forward(torch.cat([x, x]), sigma.repeat(2), join([cond, other]))
    assert torch.allclose(both[0], wanted, atol=1e-5)
    assert torch.allclose(both[1:], model.forward(x, sigma, other), atol=1e-5)


def test_latents_and_pixels(model: Any, pipe: Any) -> None:
    assert model.latent_format == LatentFormat(channels=16, scale=0.3611, shift=0.1159, downscale=4)
    x = torch.randn(1, 16, 8, 8, generator=torch.Generator().manual_seed(2))
    latent = x / 0.3611 + 0.1159
    assert torch.allclose(model.latent_format.to_vae(x), latent)
    wanted = pipe.image_processor.postprocess(pipe.vae.decode(latent).sample, output_type="pt")
    assert torch.equal(model.decode(latent), wanted)


@pytest.mark.parametrize("cfg", [1.0, 4.0])
def test_a_whole_picture_like_the_pipeline(pipeline: Pipeline, pipe: Any, cfg: float) -> None:
    """9 Euler steps on the same sigmas, cfg here is diffusers' guidance and one: equal to 1e-4 of the largest."""
    recipe = Recipe(
        stepwise=1, model="tiny-turbo", prompt="a red apple", negative="blue", cfg=cfg, sampler="euler", seed=3, **SIZE
    )
    result = pipeline.generate(recipe)
    assert result.recipe.shift == 3.0 and result.recipe.steps == 9 and result.recipe.prediction is None
    sigmas = make_sigmas("simple", 9, Flow(3.0))[:-1]
    start = torch.randn(1, 16, 12, 8, generator=torch.Generator().manual_seed(3))
    unshifted = (sigmas / (3.0 - 2.0 * sigmas)).tolist()  # the scheduler shifts them again
    wanted = pipe(
        "a red apple", negative_prompt="blue", sigmas=unshifted, num_inference_steps=9, guidance_scale=cfg - 1,
        latents=start, output_type="latent", **SIZE,
    ).images  # fmt: skip
    assert torch.allclose(result.latents, wanted, atol=1e-4 * float(wanted.abs().max()))
    pixels = pipe(
        "a red apple", negative_prompt="blue", sigmas=unshifted, num_inference_steps=9, guidance_scale=cfg - 1,
        latents=start, output_type="pt", **SIZE,
    ).images  # fmt: skip
    found = torch.tensor(list(result.images[0].getdata())).view(SIZE["height"], SIZE["width"], 3) / 255
    assert (found - pixels[0].permute(1, 2, 0)).abs().max() < 1.5 / 255
    assert result.stats.model_calls == (9 if cfg == 1.0 else 18)  # two lengths of text: two passes


def test_defaults(root: Path, pipeline: Pipeline) -> None:
    """Turbo and base differ by their name, or by the shift that their scheduler was given; everything can be set."""
    tiny_models.z_image(root / "tiny-image", shift=6.0)
    turbo, base = (pipeline.resolve(parse({"stepwise": 1, "model": name})) for name in ("tiny-turbo", "tiny-image"))
    assert (turbo.steps, turbo.sampler, turbo.scheduler, turbo.cfg, turbo.shift) == (9, "res_multistep", "simple", 1, 3)
    assert (base.steps, base.cfg, base.shift) == (30, 4.0, 6.0) and (base.width, base.height) == (32, 32)
    changed = pipeline.resolve(parse({"stepwise": 1, "model": "tiny-image", "steps": 9, "cfg": 1.0, "shift": 3.1}))
    assert (changed.steps, changed.cfg, changed.shift) == (9, 1.0, 3.1)


def test_what_has_no_effect(pipeline: Pipeline) -> None:
    for field, value in (("clip_skip", 2), ("guidance", 3.5), ("prediction", "v")):
        with pytest.raises(RecipeError, match=f"{field} has no effect on Z-Image Turbo: leave it out"):
            pipeline.resolve(parse({"stepwise": 1, "model": "tiny-turbo", field: value}))
    with pytest.raises(RecipeError, match="width must be a multiple of 16 for Z-Image Turbo"):
        pipeline.resolve(parse({"stepwise": 1, "model": "tiny-turbo", "width": 40}))


def test_never_float16(root: Path, pipe: Any) -> None:
    model = load(Library(root).model("tiny-turbo"), device=CPU, dtype=torch.float16)
    assert model.dtype == torch.bfloat16


def test_overflow_ends_the_run_after_its_first_step(tmp_path: Path) -> None:
    """A damaged weight: one step, then a sentence with the reason."""
    from safetensors.torch import load_file, save_file

    tiny_models.z_image(tmp_path / "models" / "bad")
    path = tmp_path / "models" / "bad" / "transformer" / "diffusion_pytorch_model.safetensors"
    state = load_file(path)
    state["layers.0.feed_forward.w2.weight"][0, 0] = float("inf")
    save_file(state, path)
    pipeline, steps = Pipeline(models=tmp_path / "models", device="cpu", data=tmp_path / "data"), 0
    with pytest.raises(UserError, match=r"bad overflowed in its first step \(float32\)"):
        for event in pipeline.run(parse({"stepwise": 1, "model": "bad", "width": 32, "height": 32})):
            steps += isinstance(event, StepDone)
    assert steps == 0


def test_weights_are_told_to_be_text(pipeline: Pipeline) -> None:
    for prompt, told in (("a (red:1.2) apple", True), ("a red apple (old", False)):
        plan = pipeline.plan(parse({"stepwise": 1, "model": "tiny-turbo", "prompt": prompt}))
        assert any("reads brackets and numbers in the prompt as text" in str(note) for note in plan.notes) == told


def test_a_cut_that_changes_nothing(pipeline: Pipeline) -> None:
    """res_multistep carries its history over the border: the same bits, and nothing is computed twice."""
    base = {"stepwise": 1, "model": "tiny-turbo", "prompt": "a red apple", **SIZE}
    whole = pipeline.generate(parse(base))
    cut = pipeline.generate(parse({**base, "segments": [{"end": 2}, {}]}))
    assert torch.equal(cut.latents, whole.latents) and cut.stats.model_calls == 0
    blind = {**base, "segments": [{"end": 2, "conditioning": "zero"}, {"border": "restart"}]}
    first, other = pipeline.generate(parse(blind)), pipeline.generate(parse({**blind, "prompt": "a big apple"}))
    assert not torch.equal(first.latents, whole.latents)
    assert other.stats.reused_steps == 2  # a zeroed prompt of equal length is the same prompt


def test_the_preview_is_a_picture(model: Any) -> None:
    from core.images.preview import fit, rgb

    found = rgb(fit(model), torch.randn(1, 16, 8, 8, generator=torch.Generator().manual_seed(4)))
    assert found.size == (8, 8) and len(found.getcolors() or []) > 1


def test_command_line(root: Path, pipe: Any, tmp_path: Path) -> None:
    """A process of its own: the picture, and the model in the list."""
    recipe = tmp_path / "recipe.json"
    recipe.write_text(json.dumps({"stepwise": 1, "model": "tiny-turbo", "prompt": "a red apple", "steps": 2, **SIZE}))
    common = ["--models", str(root), "--data", str(tmp_path / "data"), "--device", "cpu"]
    words = ["generate", str(recipe), "--out", str(tmp_path / "out"), "--json"]
    done = subprocess.run(
        [sys.executable, "app.py", *common, *words], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    row = json.loads(done.stdout)
    assert row["model_calls"] == 2 and Path(row["file"]).is_file()


def test_names_of_embeddings_are_words(root: Path, pipeline: Pipeline) -> None:
    """A file of SD1.5's stands in the folder: here its name is a word like any other."""
    from safetensors.torch import save_file

    recipe = parse({"stepwise": 1, "model": "tiny-turbo", "prompt": "a red easynegative", "steps": 1, **SIZE})
    before = pipeline.generate(recipe)
    (root / "embeddings").mkdir()
    save_file({"emb_params": torch.zeros(1, 768)}, root / "embeddings" / "easynegative.safetensors")
    assert torch.equal(pipeline.generate(recipe).latents, before.latents)


@pytest.mark.parametrize("prefix", ["transformer.", "diffusion_model.", ""])
def test_a_lora_on_the_transformer(root: Path, pipeline: Pipeline, pipe: Any, model: Any, prefix: str) -> None:
    """q, k and v apart, in peft's words: the picture of weights that were merged by hand, to 1e-5 of the largest."""
    from safetensors.torch import load_file, save_file

    made = torch.Generator().manual_seed(5)
    name, modules = f"ink{len(prefix)}", [f"layers.{n}.attention.to_{which}" for n in (0, 1) for which in "qkv"]
    state = {f"{prefix}{m}.lora_{side}.weight": torch.randn(*shape, generator=made) / 4
             for m in modules for side, shape in (("A", (2, 32)), ("B", (32, 2)))}  # fmt: skip
    (root / "loras").mkdir(exist_ok=True)
    save_file(state, root / "loras" / f"{name}.safetensors")
    pipeline.loras.wait()
    merged = root / f"merged{len(prefix)}-turbo"
    shutil.copytree(root / "tiny-turbo", merged)
    path = merged / "transformer" / "diffusion_pytorch_model.safetensors"
    weights = load_file(path)
    for m in modules:
        up, down = state[f"{prefix}{m}.lora_B.weight"], state[f"{prefix}{m}.lora_A.weight"]
        weights[f"{m}.weight"] += 0.5 * up @ down
    save_file(weights, path)
    base = {"stepwise": 1, "prompt": "a red apple", "steps": 2, **SIZE}
    found = pipeline.generate(parse({**base, "model": "tiny-turbo", "loras": [{"name": name, "model": 0.5}]}))
    wanted = pipeline.generate(parse({**base, "model": merged.name}))
    plain = pipeline.generate(parse({**base, "model": "tiny-turbo"}))
    assert not torch.allclose(plain.latents, wanted.latents, atol=1e-3)
    assert torch.allclose(found.latents, wanted.latents, atol=1e-5 * float(wanted.latents.abs().max()))
