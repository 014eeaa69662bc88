"""A model's modules known before it is loaded: the same names and shapes, the same counts, and not one weight read."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from core.errors import ModelError
from core.families import load
from core.families.outline import outline
from core.models.library import Entry, Library
from core.models.lora import Coverage, Outline, Places, outline_of, read
from core.models.lora.places import flat_text
from core.models.weights import Weights
from tests import tiny_models

CPU = torch.device("cpu")
ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "models" / "loras" / "pixel-art.safetensors"


def layers(components: Outline) -> Iterator[tuple[str, str, tuple[int, ...]]]:
    """What LoRAs change: all of a denoiser, the layers of text encoders, by names that do not depend on who wrote them."""
    for component, shapes in components.items():
        for name, shape in shapes.items():
            if component == "denoiser" or ".layers." in name or ".block." in name:
                yield component, name if component == "denoiser" else flat_text(name), shape


def same_as_loaded(entry: Entry, configs: Path | None = None) -> None:
    loaded = load(entry, device=CPU, configs=configs)
    known = set(layers(outline(entry, configs)))
    assert set(layers(outline_of(loaded.components))) <= known and len(known) > 50


@pytest.mark.parametrize("make", [tiny_models.sd15, tiny_models.sdxl], ids=lambda make: make.__name__)
def test_of_folders_and_checkpoints(make: Any, tmp_path: Path) -> None:
    pipe = make(tmp_path / "tiny")
    tiny_models.tokenizer(tmp_path / "tokenizers" / "clip")
    (tmp_path / "checkpoints").mkdir()
    save_file(tiny_models.checkpoint(pipe), tmp_path / "checkpoints" / "one.safetensors")
    library = Library(tmp_path)
    same_as_loaded(library.model("tiny"))
    same_as_loaded(library.model("one.safetensors"), tiny_models.configs(pipe, tmp_path / "configs"))


def test_of_parts(tmp_path: Path) -> None:
    pipe = tiny_models.flux(tmp_path / "tiny")
    for folder in ("unet", "clip", "vae", "configs"):
        (tmp_path / folder).mkdir()
    save_file(tiny_models.dense(tiny_models.comfy_flux(pipe.transformer)), tmp_path / "unet" / "flux.safetensors")
    save_file(tiny_models.dense(tiny_models.text_model(pipe.text_encoder)), tmp_path / "clip" / "clip_l.safetensors")
    t5 = {name: tensor for name, tensor in pipe.text_encoder_2.state_dict().items() if "embed_tokens" not in name}
    save_file(tiny_models.dense(t5), tmp_path / "clip" / "t5.safetensors")
    save_file(tiny_models.dense(tiny_models.ldm_vae(pipe.vae)), tmp_path / "vae" / "ae.safetensors")
    tiny_models.tokenizer(tmp_path / "tokenizers" / "clip")
    pipe.tokenizer_2.save_pretrained(tmp_path / "tokenizers" / "t5")
    ends = {name: getattr(pipe.text_encoder.config, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    heads = {"num_attention_heads": pipe.text_encoder.config.num_attention_heads}
    changes = {
        "transformer": {"axes_dims_rope": [4, 6, 6]},
        "vae": {"norm_num_groups": 4},
        "text_encoder": heads | ends,
    }
    for file in (ROOT / "core" / "families" / "configs" / "flux").iterdir():
        (tmp_path / "configs" / file.name).write_text(
            json.dumps(json.loads(file.read_text()) | changes.get(file.stem, {}))
        )
    same_as_loaded(Library(tmp_path).model("flux.safetensors"), tmp_path / "configs")


def test_a_model_that_is_not_here_yet(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="owner/name must be fetched before it is known what fits it"):
        outline(Library(tmp_path).model("owner/name"))


# ------------------------------------------------------------------ counts


@pytest.fixture
def demo() -> Entry:
    return Library(ROOT / "models").model("demo")


def counts(found: Coverage) -> tuple[int, int, tuple[str, ...]]:
    return found.applied, found.total, found.unmatched


def test_the_counts_are_those_of_the_match(demo: Entry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole file; one with two modules more; one whose ups are too wide for their places."""
    whole = load_file(SHIPPED)
    strange = {f"lora_unet_nowhere_{k}.lora_{end}.weight": torch.ones(4, 4) for k in range(2) for end in ("up", "down")}
    wide = {
        name: torch.cat([tensor, tensor]) if name.endswith("lora_up.weight") and "mlp" in name else tensor
        for name, tensor in whole.items()
    }
    models: dict[str, nn.Module] = dict(load(demo, device=CPU).components)
    for state, unmatched in ((whole, 0), (whole | strange, 2), (wide, sum("mlp" in name for name in whole) // 3)):
        path = tmp_path / f"{unmatched}.safetensors"
        save_file(state, path)
        wanted = counts(read(path).match(models))
        with monkeypatch.context() as patch:
            patch.setattr(Weights, "__getitem__", lambda *_: pytest.fail("a weight was read"))
            assert counts(read(path).coverage(Places(outline(demo)))) == wanted
        assert len(wanted[2]) == unmatched and wanted[0] == wanted[1] - unmatched


def test_what_fits_nothing_says_so(demo: Entry, tmp_path: Path) -> None:
    save_file(
        {"lora_unet_nowhere.lora_up.weight": torch.ones(4, 4), "lora_unet_nowhere.lora_down.weight": torch.ones(4, 4)},
        tmp_path / "x.safetensors",
    )
    with pytest.raises(
        ModelError, match=r"x\.safetensors matches nothing in this model, its first module is lora_unet_nowhere"
    ):
        read(tmp_path / "x.safetensors").coverage(Places(outline(demo)))
