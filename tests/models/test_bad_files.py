"""Files that people put into the wrong folder, or that are for another program: each is named as what it is, with what to do."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from core.errors import DamagedFile, ModelError
from core.models.library import Library
from core.models.weights import Weights

ZERO = torch.zeros(2, 2)
EIGHT = torch.zeros(2, 2, dtype=torch.float8_e4m3fn)
FLUX = {"double_blocks.0.img_attn.qkv.weight": ZERO}
VAE = {"decoder.conv_in.weight": torch.zeros(8, 16, 3, 3)}
QWEN = {"model.layers.0.self_attn.q_norm.weight": torch.zeros(8), "model.embed_tokens.weight": ZERO}
T5 = {"encoder.block.0.layer.0.SelfAttention.q.weight": ZERO, "shared.weight": ZERO}
LORA = {
    "diffusion_model.layers.0.attention.qkv.lora_A.weight": ZERO,
    "diffusion_model.layers.0.attention.qkv.lora_B.weight": ZERO,
}
Z_IMAGE = {"cap_embedder.1.weight": torch.zeros(3840, 2)}
BNB = {"double_blocks.0.img_attn.qkv.weight.quant_state.bitsandbytes__nf4": torch.zeros(2, dtype=torch.uint8)}


def put(root: Path, folder: str, state: dict[str, torch.Tensor]) -> Path:
    (root / folder).mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.clone() for name, tensor in state.items()}, root / folder / "x.safetensors")
    return root / folder / "x.safetensors"


@pytest.mark.parametrize(
    ("folder", "state", "sentence"),
    [
        ("diffusion_models", VAE, "x.safetensors is a VAE, which belongs into {root}/vae."),
        ("diffusion_models", QWEN, "x.safetensors is a text encoder alone, which belongs into {root}/text_encoders."),
        ("diffusion_models", LORA, "x.safetensors is a LoRA, which belongs into {root}/loras."),
        ("checkpoints", LORA, "x.safetensors is a LoRA, which belongs into {root}/loras."),
        ("checkpoints", T5, "x.safetensors is a text encoder alone, which belongs into {root}/text_encoders."),
        ("unet", {"emb_params": ZERO}, "x is an embedding, which belongs into {root}/embeddings."),
    ],
)  # fmt: skip
def test_the_wrong_part_given_as_a_model(
    tmp_path: Path, folder: str, state: dict[str, torch.Tensor], sentence: str
) -> None:
    put(tmp_path, folder, state)
    with pytest.raises(ModelError) as caught:
        Library(tmp_path).model("x.safetensors")
    assert str(caught.value).removeprefix("x.safetensors ") == sentence.format(root=tmp_path).partition(" ")[2]


@pytest.mark.parametrize(
    ("folder", "state", "sentence"),
    [
        ("vae", QWEN, "is a text encoder alone, which belongs into"),
        ("vae", Z_IMAGE, "is a denoiser alone, which belongs into"),
        ("vae", LORA, "is a LoRA, which belongs into"),
    ],
)
def test_the_wrong_part_given_as_a_vae(
    tmp_path: Path, folder: str, state: dict[str, torch.Tensor], sentence: str
) -> None:
    put(tmp_path, folder, state)
    with pytest.raises(ModelError, match=sentence):
        Library(tmp_path).vae("x.safetensors")


@pytest.mark.parametrize("folder", ["text_encoders", "vae", "clip"])
def test_a_misplaced_part_is_no_companion(tmp_path: Path, folder: str) -> None:
    """A denoiser among the text encoders neither breaks the scan nor is it taken for one."""
    put(tmp_path, folder, FLUX)
    put(tmp_path, "unet", Z_IMAGE)
    entries = {entry.path.parent.name: entry for entry in Library(tmp_path).scan()}
    assert "x.safetensors is a denoiser alone, which belongs into" in str(entries[folder].problem)
    assert entries["unet"].missing == ("text_encoders/qwen_3_4b.safetensors", "vae/ae.safetensors")


@pytest.mark.parametrize("prefix", ["", "model.diffusion_model."])
@pytest.mark.parametrize(
    ("state", "title"),
    [
        (FLUX | {"double_stream_modulation_img.lin.weight": ZERO}, "Flux.2"),
        (FLUX | {"distilled_guidance_layer.in_proj.weight": ZERO}, "Chroma"),
        ({"double_blocks.0.img_attn_qkv.weight": ZERO}, "Hunyuan"),
        ({"transformer_blocks.0.img_mod.1.weight": ZERO, "transformer_blocks.0.attn.to_q.weight": ZERO}, "Qwen-Image"),
        ({"joint_blocks.0.x_block.attn.qkv.weight": ZERO}, "SD3"),
        ({"blocks.0.cross_attn.k.weight": ZERO, "blocks.0.self_attn.k.weight": ZERO}, "Wan"),
        ({"cap_embedder.1.weight": torch.zeros(2304, 2), "layers.0.attention.qkv.weight": ZERO}, "Lumina 2"),
    ],
)
def test_other_families_are_named(tmp_path: Path, state: dict[str, torch.Tensor], title: str, prefix: str) -> None:
    put(tmp_path, "diffusion_models", {prefix + name: tensor for name, tensor in state.items()})
    with pytest.raises(ModelError) as caught:
        Library(tmp_path).model("x.safetensors")
    assert str(caught.value) == f"{title} models cannot be loaded yet: choose one of SD1.5, SDXL, Flux.1 or Z-Image."


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        (FLUX | BNB, "quantised by bitsandbytes, which cannot be read here: get a bf16, fp8 or GGUF one"),
        (
            {"transformer_blocks.0.qkv_proj.qweight": ZERO, "transformer_blocks.0.qkv_proj.wscales": ZERO},
            "quantised by SVDQuant",
        ),
        ({"single_transformer_blocks.0.attn.to_q.weight": ZERO}, "put the whole folder into the models folder"),
    ],
)
def test_files_for_other_programs(tmp_path: Path, state: dict[str, torch.Tensor], sentence: str) -> None:
    put(tmp_path, "unet", state)
    with pytest.raises(ModelError, match=sentence):
        Library(tmp_path).model("x.safetensors")


@pytest.mark.parametrize("mark", ["scaled_fp8", "x.comfy_quant", None])
def test_fp8_without_the_scales_that_it_needs(tmp_path: Path, mark: str | None) -> None:
    """Each of ComfyUI's three ways to say that there are scales; the third is in the header."""
    metadata = None if mark else {"_quantization_metadata": '{"layers": {"x": {"format": "float8_e4m3fn"}}}'}
    state = {"x.weight": EIGHT, **({mark: torch.zeros(2)} if mark else {})}
    save_file(state, tmp_path / "x.safetensors", metadata=metadata)
    with (
        Weights([tmp_path / "x.safetensors"]) as weights,
        pytest.raises(DamagedFile, match=r"the scale of x.weight is missing"),
    ):
        weights["x.weight"]


def test_fp8_in_rows(tmp_path: Path) -> None:
    """Some rows of a scaled matrix are those of the whole, for each kind of scale."""
    weight = torch.randn(6, 8).to(torch.float8_e4m3fn)
    scales = {"one": torch.tensor(0.5), "rows": torch.rand(6, 1), "flat": torch.rand(6), "blocks": torch.rand(2, 4)}
    for name, scale in scales.items():
        save_file({"x.weight": weight, "x.weight_scale": scale}, tmp_path / f"{name}.safetensors")
        with Weights([tmp_path / f"{name}.safetensors"]) as weights:
            assert torch.equal(weights.read("x.weight", slice(1, 4)), weights["x.weight"][1:4]), name


def test_a_file_cut_after_its_header_was_read(tmp_path: Path) -> None:
    save_file({"x": torch.zeros(1000)}, tmp_path / "x.safetensors")
    with Weights([tmp_path / "x.safetensors"]) as weights:
        with (tmp_path / "x.safetensors").open("r+b") as file:
            file.truncate(500)
        with pytest.raises(DamagedFile, match=r"x.safetensors changed while it was read: try again"):
            weights["x"]
