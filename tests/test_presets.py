"""Every preset on models of its family under the names that it asks for, very small; and what is said where they are not here."""

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from core import Pipeline
from core.recipe import parse
from tests import tiny_models
from ui import texts
from ui.opening import lacking, presets_of, read_presets

ROOT = Path(__file__).parents[1]
PRESETS = read_presets(ROOT / "presets")
PORTRAIT = PRESETS["lora-2-portrait-flux"]
EN = texts.of("en")


@pytest.fixture(scope="module")
def pipe(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    """A folder is as good as a file: it has the file's name here."""
    root = tmp_path_factory.mktemp("models")
    for name in ("demo", "demo-turbo"):
        shutil.copytree(ROOT / "models" / name, root / name)
    tiny_models.sd15(root / "v1-5-pruned-emaonly-fp16.safetensors")
    tiny_models.z_image(root / "z_image_turbo_bf16.safetensors")
    tiny_models.flux(root / PORTRAIT.model)
    return Pipeline(models=root, device="cpu")


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_has_a_plan(pipe: Pipeline, name: str) -> None:
    """Nothing in it means nothing to its model, and no step is lost."""
    segments = [one.model_copy(update={"loras": None}) for one in PRESETS[name].segments]  # LoRA files are not here
    recipe = PRESETS[name].model_copy(update={"loras": (), "segments": tuple(segments)})
    assert len(pipe.plan(recipe).steps) >= (recipe.steps or 1)
    resolved = pipe.resolve(recipe)
    assert resolved.model == recipe.model and (resolved.steps, resolved.cfg) == (recipe.steps, recipe.cfg)


def test_the_portrait_is_made(pipe: Pipeline) -> None:
    """The preset itself, at a size that takes no time: its LoRA acts, on the model alone."""
    net: Any = tiny_models.flux(pipe.library.root / "again").transformer
    width = net.config.attention_head_dim * net.config.num_attention_heads
    generator = torch.Generator().manual_seed(0)
    factors = {
        f"transformer.transformer_blocks.0.attn.to_{which}.lora_{side}.weight": torch.randn(shape, generator=generator)
        for which in "qkv"
        for side, shape in (("A", (2, width)), ("B", (width, 2)))
    }
    (pipe.library.root / "loras").mkdir()
    save_file(factors, pipe.library.root / "loras" / "FLUX-dev-lora-add_details.safetensors")
    small = PORTRAIT.model_copy(update={"width": 32, "height": 32, "steps": 3})
    made = pipe.generate(small)
    without = pipe.generate(small.model_copy(update={"loras": ()}))
    assert made.recipe.guidance == 3.5 and made.recipe.cfg == 1.0 and made.stats.model_calls == 3
    assert not torch.equal(made.latents, without.latents)
    assert made.recipe.loras[0].model == 0.8 and made.recipe.loras[0].text == 0.0
    told = small.model_copy(update={"loras": (small.loras[0].model_copy(update={"text": 1.0}),)})
    assert torch.equal(pipe.generate(told).latents, made.latents), "Flux's text encoders are left alone"


def test_what_is_not_here_is_said() -> None:
    """Which file, and where it is from; nothing for a preset that can be run as it is."""
    pipe = Pipeline(models=ROOT / "models", device="cpu")
    context: Any = SimpleNamespace(pipe=pipe, guarded=False)
    portrait = list(lacking(context, PORTRAIT, EN))
    assert len(portrait) == 2
    assert "flux1-dev-fp8.safetensors" in portrait[0] and "Flux.1 dev, fp8 in the Models tab" in portrait[0]
    assert "https://huggingface.co/Shakker-Labs/FLUX.1-dev-LoRA-add-details" in portrait[1]
    assert portrait[1].endswith(f"{ROOT / 'models' / 'loras'}.")
    guarded: Any = SimpleNamespace(pipe=pipe, guarded=True)
    assert not [said for said in lacking(guarded, PORTRAIT, EN) if str(ROOT) in said], "a path of the server"
    rose = list(lacking(context, PRESETS["lora-1-pixel-art-sd15"], EN))
    assert "Stable Diffusion 1.5" in rose[0] and "PX64NOCAP_epoch_10" in rose[1]
    other = parse({"stepwise": 1, "model": "mine.safetensors"})
    assert list(lacking(context, other, EN)) == [
        f"mine.safetensors is not here: put it into {ROOT / 'models'}/checkpoints."
    ]
    assert not list(lacking(context, PRESETS["lora-1-pixel-art"], EN))


def test_each_tab_lists_its_own() -> None:
    every = [name for tab in ("text2image", "lora", "split", "variety") for name in presets_of(PRESETS, tab)]
    assert sorted(every) == sorted(PRESETS)
    assert {"lora-1-pixel-art-sd15", "lora-1-pixel-art", "lora-2-portrait-flux"} <= set(presets_of(PRESETS, "lora"))
