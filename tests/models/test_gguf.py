"""GGUF files as ggml's own package writes them: its numbers, the pictures of the same weights, and for what is wrong a sentence."""

import json
import random
import shutil
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType as Kind
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor

from core import families
from core.errors import DamagedFile, MissingPart, ModelError, UserError
from core.families import load
from core.families.base import TextRequest
from core.models.header import read_header
from core.models.library import Library
from core.models.residency import LEVELS, Needs, Residency
from core.models.weights import Weights
from tests import tiny_models

CPU = torch.device("cpu")
FAMILIES = {"z_image": ("lumina2", tiny_models.comfy_z_image), "flux": ("flux", tiny_models.comfy_flux)}
CONFIGS: dict[str, dict[str, dict[str, Any]]] = {
    "z_image": {"transformer": {"axes_dims": [4, 6, 6], "axes_lens": [256, 32, 32]}, "vae": {"norm_num_groups": 4}, "text_encoder": {}},
    "flux": {
        "transformer": {"axes_dims_rope": [4, 6, 6]}, "vae": {"norm_num_groups": 4}, "text_encoder": {"num_attention_heads": 2},
        "text_encoder_2": {},
    },
}  # fmt: skip


def written(path: Path, architecture: str, tensors: Mapping[str, tuple[np.ndarray[Any, Any], Kind]]) -> Path:
    """A file by ggml's own writer. The numbers of a tensor: as its kind has them in memory."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_array("tokenizer.ggml.tokens", ["a", "bc", "def"])
    writer.add_array("some.numbers", [1, 2, 3])
    writer.add_bool("some.truth", True)
    for name, (numbers, kind) in tensors.items():
        writer.add_tensor(name, numbers, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def quantised(state: Mapping[str, Tensor], kind: Kind) -> dict[str, tuple[np.ndarray[Any, Any], Kind]]:
    """Matrices in blocks as city96's converter has them, the rest in float32."""
    block = gguf.GGML_QUANT_SIZES[kind][0]
    kinds = {name: kind if t.ndim == 2 and t.shape[1] % block == 0 else Kind.F32 for name, t in state.items()}
    return {name: (gguf.quants.quantize(t.float().numpy(), kinds[name]), kinds[name]) for name, t in state.items()}


def numbers(tensors: Mapping[str, tuple[np.ndarray[Any, Any], Kind]]) -> dict[str, Tensor]:
    """What ggml's package makes of them, in bfloat16."""
    return {
        name: torch.from_numpy(gguf.quants.dequantize(data, kind).copy()).bfloat16()
        for name, (data, kind) in tensors.items()
    }


def outputs(model: Any) -> list[Tensor]:
    x = torch.randn(1, 16, 8, 8, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        cond = model.encode_text(TextRequest(text="a red apple", width=32, height=32))
        return [cond.context, model.forward(x, torch.tensor([0.5]), cond)]


@pytest.fixture(scope="module", params=FAMILIES)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, Path, Any]:
    """A family, a models folder with its companions, configurations of the tiny sizes, and diffusers' pipeline."""
    family, root = request.param, tmp_path_factory.mktemp("models")
    pipe = getattr(tiny_models, family)(root / "tiny")
    for folder in ("text_encoders", "vae", "configs"):
        (root / folder).mkdir()
    save_file(tiny_models.dense(tiny_models.ldm_vae(pipe.vae)), root / "vae" / "ae.safetensors")
    for name, encoder in encoders(family, pipe).items():
        save_file(tiny_models.dense(encoder), root / "text_encoders" / f"{name}.safetensors")
    if family == "flux":
        tiny_models.tokenizer(root / "tokenizers" / "clip")
        pipe.tokenizer_2.save_pretrained(root / "tokenizers" / "t5")
        ends = ("bos_token_id", "eos_token_id", "pad_token_id")
        CONFIGS["flux"]["text_encoder"] |= {name: getattr(pipe.text_encoder.config, name) for name in ends}
    else:
        pipe.tokenizer.save_pretrained(root / "tokenizers" / "qwen3")
    for name, change in CONFIGS[family].items():
        usual = json.loads(Path(f"core/families/configs/{family}/{name}.json").read_text())
        (root / "configs" / f"{name}.json").write_text(json.dumps(usual | change))
    return family, root, root / "configs", pipe


def encoders(family: str, pipe: Any) -> dict[str, dict[str, Tensor]]:
    if family == "z_image":
        return {"qwen": dict(pipe.text_encoder.state_dict())}
    t5 = {name: tensor for name, tensor in pipe.text_encoder_2.state_dict().items() if "embed_tokens" not in name}
    return {"clip": tiny_models.text_model(pipe.text_encoder), "t5": t5}


# ------------------------------------------------------------------ the same numbers


@pytest.mark.parametrize("kind", [Kind.Q8_0, Kind.Q4_0, Kind.Q5_1, Kind.F16, Kind.BF16])
def test_a_denoiser_equals_its_numbers_in_bfloat16(made: tuple[str, Path, Path, Any], kind: Kind) -> None:
    family, root, configs, pipe = made
    architecture, names = FAMILIES[family]
    tensors = quantised(names(pipe.transformer), kind)
    written(root / "unet" / f"z_image_turbo-{kind.name}.gguf", architecture, tensors)
    save_file(tiny_models.dense(numbers(tensors)), root / "unet" / "plain.safetensors")
    library = Library(root)
    entry = library.model(f"z_image_turbo-{kind.name}.gguf")
    assert (entry.kind, entry.family, entry.problem, entry.details["dtype"]) == ("denoiser", family, None, kind.name)
    ours, plain = (
        load(one, device=CPU, dtype=torch.bfloat16, configs=configs)
        for one in (entry, library.model("plain.safetensors"))
    )
    theirs = plain.components["denoiser"].state_dict()
    for name, tensor in ours.components["denoiser"].state_dict().items():
        assert tensor.dtype == torch.bfloat16 and torch.equal(tensor, theirs[name]), name
    assert all(torch.equal(a, b) for a, b in zip(outputs(ours), outputs(plain), strict=True))


def test_what_it_takes_in_memory_is_known_from_its_header(
    made: tuple[str, Path, Path, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the numbers that blocks become, not as the bytes that they are; weighed as a large file is."""
    family, root, configs, pipe = made
    architecture, names = FAMILIES[family]
    written(root / "unet" / "weighed.gguf", architecture, quantised(names(pipe.transformer), Kind.Q4_0))
    weigh, found = families.weighed, list[Needs]()
    monkeypatch.setattr(families, "GROWN", 2**40)
    monkeypatch.setattr(families, "spare_bytes", lambda: 2**40)

    def weighing(*given: Any) -> Needs:
        found.append(weigh(*given))
        return found[-1]

    monkeypatch.setattr(families, "weighed", weighing)
    model: Any = load(Library(root).model("weighed.gguf"), device=CPU, configs=configs)
    for level in LEVELS:
        assert found[0].at(Residency(level)) == model.memory._needs.at(Residency(level))


@pytest.mark.parametrize("prefix", ["model.diffusion_model."])
def test_with_a_prefix(made: tuple[str, Path, Path, Any], prefix: str) -> None:
    family, root, _, pipe = made
    architecture, names = FAMILIES[family]
    tensors = quantised(tiny_models.under(prefix, names(pipe.transformer)), Kind.Q8_0)
    written(root / "unet" / "prefixed.gguf", architecture, tensors)
    assert Library(root).model("prefixed.gguf").family == family


READABLE = [kind for kind in Kind if kind in gguf.quants._type_traits]  # pyright: ignore[reportPrivateUsage]


@pytest.mark.parametrize("kind", READABLE, ids=lambda kind: kind.name)
def test_every_kind_of_blocks(tmp_path: Path, kind: Kind) -> None:
    """Random bytes, whole and a few rows of them, against ggml's own package."""
    size, count = gguf.GGML_QUANT_SIZES[kind]
    raw = np.random.default_rng(0).integers(0, 255, (5, 3 * count), dtype=np.uint8)
    with np.errstate(all="ignore"):
        expected = gguf.quants.dequantize(raw, kind)
        path = written(tmp_path / "x.gguf", "flux", {"x": (raw, kind)})
        with Weights([path]) as weights:
            whole, rows = weights["x"], weights.read("x", slice(1, 4))
            assert weights.shape("x") == whole.shape == (5, 3 * size)
    assert whole.float().numpy().tobytes() == expected.tobytes() and torch.equal(
        rows.nan_to_num(), whole[1:4].nan_to_num()
    )


def test_rows_of_a_large_matrix(tmp_path: Path) -> None:
    """More numbers than are made of blocks at a time."""
    data = gguf.quants.quantize(np.random.default_rng(0).standard_normal((700, 2048), dtype=np.float32), Kind.Q8_0)
    with Weights([written(tmp_path / "x.gguf", "flux", {"x": (data, Kind.Q8_0)})]) as weights:
        assert np.array_equal(weights["x"].numpy(), gguf.quants.dequantize(data, Kind.Q8_0))


TEXTS = {"qwen": gguf.MODEL_ARCH.QWEN3, "t5": gguf.MODEL_ARCH.T5ENCODER}


def llama_names(state: Mapping[str, Tensor], architecture: gguf.MODEL_ARCH, layers: int) -> dict[str, Tensor]:
    """llama.cpp's names, by the table of its own converter."""
    table = gguf.get_tensor_name_map(architecture, layers)
    named: dict[str, Tensor] = {}
    for name, tensor in state.items():
        own = name if architecture != gguf.MODEL_ARCH.QWEN3 else "model." + name
        found = table.get_name(own, try_suffixes=(".weight",))
        assert found is not None, name
        named[found] = tensor
    return named


def test_text_encoders(made: tuple[str, Path, Path, Any], tmp_path: Path) -> None:
    """Qwen3's and T5's, beside the other companions."""
    family, root, configs, pipe = made
    _, names = FAMILIES[family]
    for folder in ("vae", "tokenizers"):
        shutil.copytree(root / folder, tmp_path / folder)
    (tmp_path / "text_encoders").mkdir()
    denoiser = tiny_models.dense(names(pipe.transformer))
    (tmp_path / "unet").mkdir()
    save_file(denoiser, tmp_path / "unet" / "z.safetensors")
    for name, state in encoders(family, pipe).items():
        here = tmp_path / "text_encoders" / f"{name}.safetensors"
        if name not in TEXTS:
            save_file(tiny_models.dense(state), here)
            continue
        tensors = quantised(llama_names(state, TEXTS[name], 3), Kind.Q8_0)
        written(here.with_suffix(".gguf"), gguf.MODEL_ARCH_NAMES[TEXTS[name]], tensors)
        same_names = dict(zip(state, numbers(tensors).values(), strict=True))
        (tmp_path / "plain").mkdir(exist_ok=True)
        save_file(tiny_models.dense(same_names), tmp_path / "plain" / here.name)
    library = Library(tmp_path)
    entry = library.model("z.safetensors")
    ours = load(entry, device=CPU, dtype=torch.bfloat16, configs=configs)
    assert any(part.path.suffix == ".gguf" for part in entry.parts.values())
    for path in (tmp_path / "plain").iterdir():
        path.rename(tmp_path / "text_encoders" / path.name)
        (tmp_path / "text_encoders" / path.name).with_suffix(".gguf").unlink()
    theirs = load(library.model("z.safetensors"), device=CPU, dtype=torch.bfloat16, configs=configs)
    assert all(torch.equal(a, b) for a, b in zip(outputs(ours), outputs(theirs), strict=True))


# ------------------------------------------------------------------ what is wrong


@pytest.fixture
def small(tmp_path: Path) -> Path:
    (tmp_path / "unet").mkdir()
    data = gguf.quants.quantize(np.ones((4, 64), dtype=np.float32), Kind.Q8_0)
    return written(tmp_path / "unet" / "z.gguf", "lumina2", {"cap_embedder.1.weight": (data, Kind.Q8_0)})


def test_truncated_anywhere(small: Path) -> None:
    whole = small.read_bytes()
    for cut in range(len(whole) - 16):  # the writer fills its end up to the alignment
        small.write_bytes(whole[:cut])
        with pytest.raises(DamagedFile, match=r"^z.gguf is truncated, its end is missing: download it again\.$"):
            read_header(small)


@pytest.mark.parametrize(
    ("at", "content", "sentence"),
    [
        (0, b"GGML", "z.gguf has a broken GGUF header"),
        (4, struct.pack("<I", 1), "is a GGUF file of version 1, which is not known here: get one of version 3"),
        (4, struct.pack("<I", 4), "of version 4"),
        (4, struct.pack(">I", 3), "of version"),  # for machines of the other byte order
        (8, struct.pack("<Q", 2**60), "is truncated"),
        (16, struct.pack("<Q", 2**60), "is truncated"),
        (24, struct.pack("<Q", 2**40), "broken GGUF header"),
    ],
)
def test_what_is_wrong_in_a_header(small: Path, at: int, content: bytes, sentence: str) -> None:
    raw = bytearray(small.read_bytes())
    raw[at : at + len(content)] = content
    small.write_bytes(raw)
    with pytest.raises(ModelError, match=sentence):
        Library(small.parents[1]).model("z.gguf")


def test_a_kind_of_weights_from_the_future(small: Path) -> None:
    raw = small.read_bytes()
    at = raw.index(b"cap_embedder.1.weight") + len("cap_embedder.1.weight") + 4 + 16
    small.write_bytes(raw[:at] + struct.pack("<I", 999) + raw[at + 4 :])
    with pytest.raises(
        ModelError, match=r"holds weights of a kind that is not known here \(999\): get a bf16, fp8 or Q8_0 file"
    ):
        Library(small.parents[1]).model("z.gguf")


def test_a_kind_without_numbers(tmp_path: Path) -> None:
    """ggml knows it, and its package does not read it."""
    size = gguf.GGML_QUANT_SIZES[Kind.Q8_1][1]
    path = written(tmp_path / "x.gguf", "flux", {"x": (np.zeros((2, size), dtype=np.uint8), Kind.Q8_1)})
    with Weights([path]) as weights, pytest.raises(ModelError, match=r"x.gguf holds weights of a kind .* \(Q8_1\)"):
        weights["x"]


def test_a_language_model_is_named(tmp_path: Path) -> None:
    data = np.ones((4, 64), dtype=np.float32)
    written(tmp_path / "unet" / "chat.gguf", "llama", {"blk.0.attn_q.weight": (data, Kind.F32)})
    with pytest.raises(
        ModelError, match=r"This is a GGUF file of llama, which no model here can use: those of Z-Image"
    ):
        Library(tmp_path).model("chat.gguf")


def test_a_missing_companion_of_a_gguf(small: Path) -> None:
    data = np.ones((3840, 64), dtype=np.float16)
    written(small, "lumina2", {"cap_embedder.1.weight": (data, Kind.F16)})
    with pytest.raises(MissingPart, match=r"z.gguf needs qwen_3_4b.safetensors, which is not there"):
        Library(small.parents[1]).model("z.gguf")


def survives(path: Path) -> None:
    try:
        with Weights([path]) as weights, np.errstate(all="ignore"):
            for name in weights.names():
                weights[name]
    except UserError as error:
        assert str(error)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Iterator[bytes]:
    data = gguf.quants.quantize(np.ones((4, 64), dtype=np.float32), Kind.Q8_0)
    yield written(tmp_path_factory.mktemp("x") / "x.gguf", "flux", {"a.weight": (data, Kind.Q8_0)}).read_bytes()


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32), count=st.integers(1, 8))
def test_mutated_files(good: bytes, tmp_path_factory: pytest.TempPathFactory, seed: int, count: int) -> None:
    draw, data = random.Random(seed), bytearray(good)
    for _ in range(count):
        data[draw.randrange(len(data))] = draw.choice([0, 1, 2, 8, 9, 127, 255])
    path = tmp_path_factory.mktemp("x") / "x.gguf"
    path.write_bytes(data)
    survives(path)
