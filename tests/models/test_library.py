"""What lies in a models folder, and every way in which a file can be wrong: each a sentence."""

import json
import os
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from core.errors import DamagedFile, ModelError, Refused, UnknownName
from core.families import load
from core.models.header import HEADER_LIMIT, read_header
from core.models.library import Library

ZERO = torch.zeros(2, 2)


def save(state: dict[str, torch.Tensor], path: Path, metadata: dict[str, str] | None = None) -> None:
    save_file({name: tensor.clone() for name, tensor in state.items()}, path, metadata=metadata)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for folder in ("checkpoints/sub", "loras/style", "vae", "embeddings", "diffusion_models", "text_encoders"):
        (tmp_path / "models" / folder).mkdir(parents=True)
    return tmp_path / "models"


def unet(channels: int = 4) -> dict[str, torch.Tensor]:
    return {"model.diffusion_model.input_blocks.0.0.weight": torch.zeros(8, channels, 3, 3)}


SD15 = unet() | {"cond_stage_model.transformer.text_model.x": ZERO}
SDXL = unet() | {"conditioner.embedders.0.transformer.x": ZERO, "conditioner.embedders.1.model.x": ZERO}
LORA = {"lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight": torch.zeros(4, 768)}


@pytest.mark.parametrize(
    ("state", "kind", "family", "prediction", "problem"),
    [
        (SD15, "checkpoint", "sd15", None, None),
        (SD15 | {"v_pred": ZERO}, "checkpoint", "sd15", "v", None),
        (SDXL, "checkpoint", "sdxl", None, None),
        (SDXL | {"v_pred": ZERO, "ztsnr": ZERO}, "checkpoint", "sdxl", "v_zsnr", None),
        (unet() | {"conditioner.embedders.0.model.x": ZERO}, "checkpoint", "sdxl", None, "SDXL refiner"),
        (unet() | {"cond_stage_model.model.x": ZERO}, "checkpoint", "sd2", None, "SD2 checkpoints cannot be loaded"),
        (SD15 | unet(9), "checkpoint", "sd15", None, "9 input channels"),
        (SD15 | {"scaled_fp8": ZERO}, "checkpoint", "sd15", None, "scaled fp8"),
        (unet(), "denoiser", "sd15", None, "a UNet alone"),
        ({"double_blocks.0.img_attn.qkv.weight": ZERO}, "denoiser", "flux", None, "needs clip_l.safetensors"),
        ({"double_blocks.0.img_attn.qkv.weight": ZERO, "img_in.weight": torch.zeros(8, 384)}, "denoiser", "flux", None, "(96 input"),
        ({"model.diffusion_model.cap_embedder.1.weight": torch.zeros(3840, 1)}, "denoiser", "z_image", None, "needs qwen_3_4b"),
        ({"joint_blocks.0.x.weight": ZERO}, "checkpoint", "sd3", None, "SD3 models cannot be loaded yet"),
        ({"something": ZERO}, "checkpoint", None, None, "is not known"),
    ],
)  # fmt: skip
def test_what_a_checkpoint_is(
    root: Path,
    state: dict[str, torch.Tensor],
    kind: str,
    family: str | None,
    prediction: str | None,
    problem: str | None,
) -> None:
    save(state, root / "checkpoints" / "sub" / "file.safetensors")
    (entry,) = Library(root).scan()
    assert (entry.id, entry.kind, entry.family, entry.prediction) == ("sub/file.safetensors", kind, family, prediction)
    assert (entry.problem is None) if problem is None else problem in str(entry.problem)


def test_modelspec_metadata_tells_the_prediction(root: Path) -> None:
    save(SD15, root / "checkpoints" / "v.safetensors", metadata={"modelspec.prediction_type": "v"})
    assert Library(root).model("v.safetensors").prediction == "v"


def test_names_of_parts(root: Path) -> None:
    save(LORA, root / "loras" / "style" / "ink.v1.safetensors")  # not listed here: core.lora_library has these
    save({"decoder.conv_in.weight": torch.zeros(8, 4, 3, 3)}, root / "vae" / "soft.safetensors")
    save({"emb_params": ZERO}, root / "embeddings" / "thing.safetensors")
    found = {(entry.kind, entry.id, entry.family) for entry in Library(root).scan()}
    assert found == {("vae", "soft.safetensors", None), ("embedding", "thing", None)}


def test_a_lora_given_as_checkpoint(root: Path) -> None:
    save(LORA, root / "checkpoints" / "ink.safetensors")
    with pytest.raises(ModelError) as caught:
        Library(root).model("ink.safetensors")
    assert str(caught.value) == f"ink.safetensors is a LoRA, which belongs into {root / 'loras'}."


def test_a_model_given_as_vae(root: Path) -> None:
    save(SD15, root / "checkpoints" / "real.safetensors")
    with pytest.raises(ModelError, match=r"real.safetensors is a whole model, which belongs into"):
        Library(root).vae("real.safetensors")


# ------------------------------------------------------------------ damaged files


def safetensors(header: bytes, data: bytes = b"", length: int | None = None) -> bytes:
    return struct.pack("<Q", len(header) if length is None else length) + header + data


def tensor(**fields: object) -> bytes:
    return json.dumps({"x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **fields}}).encode()


DAMAGED = {
    "empty": (b"", "truncated or no safetensors file"),
    "seven bytes": (b"1234567", "truncated or no safetensors file"),
    "giant header": (safetensors(b"{}", length=2**60), f"claims a header of {2**60} bytes"),
    "large header": (safetensors(b"{}", length=HEADER_LIMIT + 1), "claims a header of"),
    "header beyond the end": (safetensors(b"{}", length=50), "truncated or no safetensors file"),
    "data beyond the end": (safetensors(tensor(), b"1234"), "is truncated, its end is missing"),
    "no JSON": (safetensors(b"hello world"), "broken safetensors header"),
    "no object": (safetensors(b"[1, 2]"), "broken safetensors header"),
    "NaN shape": (safetensors(tensor(shape=[float("nan")]), b"12345678"), "broken safetensors header"),
    "negative shape": (safetensors(tensor(shape=[-2]), b"12345678"), "broken safetensors header"),
    "text shape": (safetensors(tensor(shape="2"), b"12345678"), "broken safetensors header"),
    "true shape": (safetensors(tensor(shape=[True]), b"12345678"), "broken safetensors header"),
    "huge shape": (safetensors(tensor(shape=[10**30]), b"12345678"), "broken safetensors header"),
    "wrong size": (safetensors(tensor(shape=[3]), b"12345678"), "broken safetensors header"),
    "unknown dtype": (safetensors(tensor(dtype="F7"), b"12345678"), "broken safetensors header"),
    "bad offsets": (safetensors(tensor(data_offsets=[8, 0]), b"12345678"), "broken safetensors header"),
    "three offsets": (safetensors(tensor(data_offsets=[0, 4, 8]), b"12345678"), "broken safetensors header"),
    "deep JSON": (safetensors(b'{"a":' * 50_000 + b"1" + b"}" * 50_000), "broken safetensors header"),
    "not UTF-8": (safetensors(b'{"\xff": 1}'), "broken safetensors header"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_files(root: Path, name: str) -> None:
    content, sentence = DAMAGED[name]
    (root / "checkpoints" / "bad.safetensors").write_bytes(content)
    with pytest.raises(DamagedFile) as caught:
        Library(root).model("bad.safetensors")
    assert sentence in str(caught.value) and str(caught.value).startswith("bad.safetensors ")


@pytest.mark.parametrize("suffix", [".ckpt", ".pt", ".pth", ".bin"])
def test_pickles(root: Path, suffix: str) -> None:
    (root / "checkpoints" / f"old{suffix}").write_bytes(b"\x80\x04.")
    with pytest.raises(DamagedFile, match="is a pickle file, which can run code when it is opened"):
        Library(root).model(f"old{suffix}")


def test_headers_agree_with_the_library(tmp_path: Path) -> None:
    """Names, shapes and dtypes as safetensors itself reads them."""
    state = {
        "a": torch.zeros(2, 3, dtype=torch.float16),
        "b": torch.zeros((), dtype=torch.bfloat16),
        "c": torch.zeros(0, 5),
    }
    save(state, tmp_path / "x.safetensors", metadata={"k": "v"})
    header = read_header(tmp_path / "x.safetensors")
    assert {name: info.shape for name, info in header.tensors.items()} == {n: tuple(t.shape) for n, t in state.items()}
    assert [header.tensors[name].dtype for name in "abc"] == ["F16", "BF16", "F32"] and header.metadata == {"k": "v"}


# ------------------------------------------------------------------ names and links


@pytest.mark.parametrize(
    "name", ["../x", "..", "/etc/passwd", "a/../../x", "nothing", "sub/none.safetensors", "x/..", "\\x", "C:x"]
)
def test_unknown_names_list_the_known(root: Path, name: str) -> None:
    save(SD15, root / "checkpoints" / "real.safetensors")
    (root.parent / "x").write_text("secret")
    with pytest.raises(UnknownName) as caught:
        Library(root).model(name)
    assert str(caught.value) == f"Unknown model {name!r}: choose one of real.safetensors."
    with pytest.raises(UnknownName):
        Library(root).vae(name)


def test_links_that_lead_outside_are_dropped(root: Path, tmp_path: Path) -> None:
    save(SD15, tmp_path / "outside.safetensors")
    save(SD15, root / "checkpoints" / "inside.safetensors")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "model_index.json").write_text("{}")
    save(SD15, tmp_path / "folder" / "deep.safetensors")
    (root / "checkpoints" / "link.safetensors").symlink_to(tmp_path / "outside.safetensors")
    (root / "checkpoints" / "again.safetensors").symlink_to(root / "checkpoints" / "inside.safetensors")
    (root / "checkpoints" / "linked").symlink_to(tmp_path / "folder")
    (root / "model").symlink_to(tmp_path / "folder")
    assert [entry.id for entry in Library(root).scan()] == ["again.safetensors", "inside.safetensors"]
    with pytest.raises(UnknownName, match=r"Unknown model 'link.safetensors'"):
        Library(root).model("link.safetensors")


def test_a_hub_id_without_downloads(root: Path) -> None:
    entry = Library(root).model("someone/some-model")
    assert (entry.kind, entry.path) == ("hub", root / "diffusers" / "someone--some-model")
    with pytest.raises(Refused, match="someone/some-model is not here, and downloads are switched off"):
        load(entry, device=torch.device("cpu"), downloads=False)


def test_an_interrupted_download_goes_on(root: Path) -> None:
    folder = root / "diffusers" / "someone--some-model"
    folder.mkdir(parents=True)
    (folder / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}')
    assert Library(root).model("someone/some-model").kind == "hub"


def test_a_pipeline_that_is_not_known(root: Path) -> None:
    (root / "odd").mkdir()
    (root / "odd" / "model_index.json").write_text('{"_class_name": "OddPipeline"}')
    with pytest.raises(ModelError, match="odd is for OddPipeline, a kind of model that is not known here"):
        Library(root).model("odd")
    (root / "odd" / "model_index.json").write_text("{" * 10)
    with pytest.raises(DamagedFile, match=r"model_index.json in .* cannot be read"):
        Library(root).model("odd")


def test_no_folder_at_all(tmp_path: Path) -> None:
    assert Library(tmp_path / "none").scan() == ()


def test_a_scan_reads_a_file_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two thousand files: the second scan opens none, and a changed one is read anew."""
    save(SD15, root / "checkpoints" / "0.safetensors")
    for k in range(1, 2000):
        os.link(root / "checkpoints" / "0.safetensors", root / "checkpoints" / f"{k}.safetensors")
    library = Library(root)
    assert len(library.scan()) == 2000
    reads: list[Path] = []

    def counted(path: Path) -> object:
        reads.append(path)
        return read_header(path)

    monkeypatch.setattr("core.models.library.read_header", counted)
    library.scan()
    assert not reads
    (root / "checkpoints" / "7.safetensors").unlink()
    save(SDXL, root / "checkpoints" / "7.safetensors")
    assert library.model("7.safetensors").family == "sdxl" and len(reads) == 1
