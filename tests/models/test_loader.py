"""Single files against folders, bit for bit; folders against diffusers; every failure one sentence."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from core.errors import DamagedFile, MissingPart, ModelError
from core.families import load
from core.families.base import Conditioning, TextRequest
from core.models.library import Library
from tests import tiny_models

CPU = torch.device("cpu")
MAKERS = {"sd15": tiny_models.sd15, "sdxl": tiny_models.sdxl}


@pytest.fixture(scope="module", params=["sd15", "sdxl"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, Any]:
    """A family's name, a models folder with the tiny model in it, and diffusers' pipeline."""
    root = tmp_path_factory.mktemp("models")
    pipe = MAKERS[request.param](root / "tiny")
    tiny_models.tokenizer(root / "tokenizers" / "clip")
    return request.param, root, pipe


def outputs(model: Any, size: int = 8) -> dict[str, torch.Tensor]:
    """All that a model does, on the same inputs."""
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(1, 4, size, size, generator=generator)
    with torch.inference_mode():
        cond: Conditioning = model.encode_text(TextRequest(text="a (red:1.3) apple", width=32, height=32))
        pooled = {} if cond.pooled is None else {"pooled": cond.pooled}
        out = model.forward(x, torch.tensor([500.0]), cond)
        return {"context": cond.context, **pooled, "out": out, "pixels": model.decode(x)}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_single_file_equals_folder(made: tuple[str, Path, Any], dtype: torch.dtype) -> None:
    family, root, _ = made
    name = f"{family}-{str(dtype).removeprefix('torch.')}"
    pipe = MAKERS[family](root / name, dtype=dtype)
    (root / "checkpoints").mkdir(exist_ok=True)
    save_file(tiny_models.checkpoint(pipe), root / "checkpoints" / f"{name}.safetensors")
    library = Library(root)
    entry = library.model(f"{name}.safetensors")
    assert (entry.kind, entry.family, entry.problem) == ("checkpoint", family, None)
    configs = tiny_models.configs(pipe, root / "configs" / name)
    single = load(entry, device=CPU, configs=configs)
    folder = load(library.model(name), device=CPU)
    assert single.dtype == folder.dtype == torch.float32
    assert same(outputs(single), outputs(folder))
    assert single.defaults == folder.defaults and single.latent_format == folder.latent_format


def test_the_layout_is_diffusers_own(made: tuple[str, Path, Any]) -> None:
    """The files that these tests write are read by diffusers' converters to the same weights."""
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint, convert_ldm_vae_checkpoint

    _, _, pipe = made
    state = tiny_models.checkpoint(pipe)
    for part, convert in ((pipe.unet, convert_ldm_unet_checkpoint), (pipe.vae, convert_ldm_vae_checkpoint)):
        found, wanted = convert(dict(state), part.config), part.state_dict()
        assert found.keys() == wanted.keys()
        assert all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_half_stays_half_where_it_is_asked_for(made: tuple[str, Path, Any]) -> None:
    _, root, _ = made
    model = load(Library(root).model("tiny"), device=CPU, dtype=torch.bfloat16)
    assert model.dtype == torch.bfloat16
    found = outputs(model)
    assert found["context"].dtype == torch.bfloat16 and found["out"].dtype == torch.float32


def test_a_vae_of_its_own(made: tuple[str, Path, Any]) -> None:
    """A file in either layout and a folder give the same pixels, with the family's scale where the file has none."""
    _, root, pipe = made
    torch.manual_seed(9)
    other = tiny_models.vae(block_out_channels=[8, 8, 16], layers_per_block=1, scaling_factor=0.5)
    (root / "vae").mkdir(exist_ok=True)
    save_file(tiny_models.ldm_vae(other), root / "vae" / "ldm.safetensors")
    save_file(
        tiny_models.under("first_stage_model.", tiny_models.ldm_vae(other)), root / "vae" / "prefixed.safetensors"
    )
    save_file(other.state_dict(), root / "vae" / "plain.safetensors")
    other.save_pretrained(root / "vae" / "folder")
    library = Library(root)
    latent = torch.randn(1, 4, 4, 4, generator=torch.Generator().manual_seed(5))
    with torch.inference_mode():
        wanted = ((other.decode(latent).sample + 1) / 2).clamp(0, 1)
        for name in ("ldm.safetensors", "prefixed.safetensors", "plain.safetensors", "folder"):
            model = load(library.model("tiny"), library.vae(name), device=CPU)
            assert torch.equal(model.decode(latent), wanted)
            assert model.latent_format.scale == (0.5 if name == "folder" else pipe.vae.config.scaling_factor)


def test_a_vae_with_other_channels_is_refused(made: tuple[str, Path, Any]) -> None:
    _, root, _ = made
    (root / "vae").mkdir(exist_ok=True)
    save_file(tiny_models.ldm_vae(tiny_models.vae(latent_channels=16)), root / "vae" / "wide.safetensors")
    library = Library(root)
    with pytest.raises(ModelError, match=r"wide.safetensors has 16 latent channels, this model works in 4"):
        load(library.model("tiny"), library.vae("wide.safetensors"), device=CPU)


def test_old_names_of_the_vae_attention(made: tuple[str, Path, Any], tmp_path: Path) -> None:
    """The first SD1.5 folders call them query, key, value, proj_attn."""
    _, root, _ = made
    shutil.copytree(root / "tiny", tmp_path / "old")
    path = tmp_path / "old" / "vae" / "diffusion_pytorch_model.safetensors"
    from safetensors.torch import load_file

    new = {".to_q.": ".query.", ".to_k.": ".key.", ".to_v.": ".value.", ".to_out.0.": ".proj_attn."}
    state = load_file(path)
    for ours, old in new.items():
        state = {name.replace(ours, old): tensor for name, tensor in state.items()}
    save_file(state, path)
    assert same(
        outputs(load(Library(tmp_path).model("old"), device=CPU)),
        outputs(load(Library(root).model("tiny"), device=CPU)),
    )


# ------------------------------------------------------------------ what can be wrong


@pytest.fixture
def tiny(made: tuple[str, Path, Any], tmp_path: Path) -> Path:
    """A copy of the tiny model to break, in a models folder of its own."""
    shutil.copytree(made[1] / "tiny", tmp_path / "tiny")
    return tmp_path / "tiny"


def sentence(folder: Path) -> str:
    with pytest.raises(ModelError) as caught:
        load(Library(folder.parent).model(folder.name), device=CPU)
    return str(caught.value)


def test_missing_part(tiny: Path) -> None:
    (tiny / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    (entry,) = Library(tiny.parent).scan()
    assert entry.missing == ("unet/diffusion_pytorch_model.safetensors",) and isinstance(entry.problem, MissingPart)
    assert sentence(tiny) == f"diffusion_pytorch_model.safetensors is missing: put it into {tiny / 'unet'}."


def test_truncated_weights(tiny: Path) -> None:
    path = tiny / "vae" / "diffusion_pytorch_model.safetensors"
    path.write_bytes(path.read_bytes()[:-10])
    assert sentence(tiny) == "diffusion_pytorch_model.safetensors is truncated, its end is missing: download it again."


def test_pickles_in_a_folder(tiny: Path) -> None:
    path = tiny / "unet" / "diffusion_pytorch_model.safetensors"
    path.rename(path.with_suffix(".bin"))
    assert "holds pickle files (.bin), which can run code when opened" in sentence(tiny)


def test_weights_that_are_not_there(tiny: Path) -> None:
    from safetensors.torch import load_file

    path = tiny / "unet" / "diffusion_pytorch_model.safetensors"
    state = load_file(path)
    del state["conv_in.weight"]
    save_file(state, path)
    assert "1 weights of its UNet are missing, the first is conv_in.weight" in sentence(tiny)


def test_weights_of_another_shape(tiny: Path) -> None:
    path = tiny / "unet" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"cross_attention_dim": 32}))
    assert "another shape than this family's" in sentence(tiny)


def test_a_configuration_that_is_none(tiny: Path) -> None:
    path = tiny / "unet" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"down_block_types": ["NoSuchBlock"] * 3}))
    assert sentence(tiny).startswith("The configuration of this UNet2DConditionModel cannot be used: ")
    path.write_text("[1")
    assert "config.json in" in sentence(tiny)


def test_no_tokenizer_anywhere(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    shutil.rmtree(tiny / "tokenizer")
    with pytest.raises(MissingPart) as caught:
        load(Library(tiny.parent).model("tiny"), device=CPU, downloads=False)
    folder = tiny.parent / "tokenizers" / "clip"
    assert str(caught.value) == (
        "A single-file model needs CLIP's tokenizer: put vocab.json and merges.txt "
        f"(from openai/clip-vit-large-patch14) into {folder}."
    )


def test_a_damaged_tokenizer(tiny: Path) -> None:
    for path in (tiny / "tokenizer").iterdir():
        path.write_text("{")
    with pytest.raises(DamagedFile, match="The tokenizer in"):
        load(Library(tiny.parent).model("tiny"), device=CPU)
