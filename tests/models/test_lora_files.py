"""What a LoRA's header tells, and every way in which a file can be wrong: each a sentence, never anything else."""

import json
import random
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save, save_file
from torch import Tensor, nn

from core.errors import DamagedFile, ModelError, UserError
from core.models.lora import LoraFile, read

UNET = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"
XL = "lora_unet_input_blocks_4_1_transformer_blocks_1_attn2_to_k"


def pair(module: str, width: int = 768, out: int = 8, rank: int = 2) -> dict[str, Tensor]:
    return {f"{module}.lora_down.weight": torch.ones(rank, width), f"{module}.lora_up.weight": torch.ones(out, rank)}


def written(folder: Path, state: dict[str, Tensor], **metadata: str) -> LoraFile:
    save_file(state, folder / "x.safetensors", metadata=metadata or None)
    return read(folder / "x.safetensors")


# ------------------------------------------------------------------ what it is


@pytest.mark.parametrize(
    ("state", "metadata", "family"),
    [
        (pair(UNET), {}, "sd15"),
        (pair(UNET, 1024), {}, "sd2"),
        (pair(UNET, 12), {}, "sd15"),  # a small model of the family
        (pair(XL, 2048), {}, "sdxl"),
        (pair("lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_v", 2048), {}, "sdxl"),
        (pair("lora_te2_text_model_encoder_layers_0_mlp_fc1"), {}, "sdxl"),
        (pair("unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k"), {}, "sd15"),
        ({f"{UNET}.hada_w1_b": torch.ones(2, 768), f"{UNET}.hada_w1_a": torch.ones(8, 2)}, {}, "sd15"),
        (pair("lora_unet_double_blocks_0_img_attn_qkv", 3072), {}, "flux"),
        (pair("transformer.single_transformer_blocks.0.attn.to_q", 3072), {}, "flux"),
        (pair("lora_unet_joint_blocks_0_x_block_attn_qkv"), {}, "sd3"),
        (pair("diffusion_model.layers.0.attention.qkv", 3840), {}, "z_image"),
        (pair("lora_unet_layers_0_feed_forward_w1", 3840), {}, "z_image"),
        (pair("lora_te_text_model_encoder_layers_0_mlp_fc1"), {}, None),
        (pair("lora_te_text_model_encoder_layers_0_mlp_fc1"), {"ss_base_model_version": "sd_v1"}, "sd15"),
        (pair("lora_te_text_model_encoder_layers_0_mlp_fc1"), {"modelspec.architecture": "stable-diffusion-xl-v1-base/lora"}, "sdxl"),
        (pair(XL, 2048), {"ss_base_model_version": "sd_v1"}, "sdxl"),  # names are surer than words
        (pair("something_else"), {"ss_base_model_version": "nonsense"}, None),
    ],
)  # fmt: skip
def test_family(tmp_path: Path, state: dict[str, Tensor], metadata: dict[str, str], family: str | None) -> None:
    assert written(tmp_path, state, **metadata).family == family


def test_a_lora_of_another_family_is_refused_from_its_header(tmp_path: Path) -> None:
    file = written(tmp_path, pair(XL, 2048))
    file.check("sdxl")
    with pytest.raises(
        ModelError, match=r"^x.safetensors is a LoRA for SDXL, not for SD1.5: choose one made for SD1.5.$"
    ):
        file.check("sd15")
    written(tmp_path, pair("anything")).check("sd15")  # who does not tell is tried


def test_what_metadata_tells(tmp_path: Path) -> None:
    tags = {
        "10_inkstyle": {"inkstyle": 40, "a cat": 12, " ": 3, "bad": -1, "worse": "x"},
        "2_other": {"paper": 5, "a cat": 1},
    }
    file = written(
        tmp_path, pair(UNET), ss_tag_frequency=json.dumps(tags), ss_output_name="ink\nv1\u202e",
        ss_sd_model_name="C:\\models\\Any\\v5.safetensors",
    )  # fmt: skip
    assert file.trigger_words == ("inkstyle", "paper") and file.tags[:2] == (("inkstyle", 40), ("a cat", 13))
    assert (file.title, file.base_model, file.rank, file.has_text) == ("ink v1", "v5", 2, False)
    told = written(
        tmp_path, pair(UNET), ss_tag_frequency=json.dumps(tags), **{"modelspec.trigger_phrase": "ink, INK ,ink,"}
    )
    assert told.trigger_words == ("ink", "INK")


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "null", "1e999", '{"a": 3}', '{"a": {"b": 1e400}}', '{"a": {"\\ud800": 3}}', "[" * 100_000,
        '{"a":' + "9" * 5000 + "}", '{"a": {"": 4}}',
    ],
)  # fmt: skip
def test_broken_metadata_says_nothing(tmp_path: Path, text: str) -> None:
    file = written(tmp_path, pair(UNET), ss_tag_frequency=text, lora_adapter_metadata=text)
    assert file.trigger_words == () and file.tags == ()
    json.dumps([file.title, file.base_model]).encode()


@pytest.mark.parametrize("pattern", ["(a+)+$", "(.*a){20}", ".*.*.*.*.*.*.*x", "(", "[", "a" * 5000, "(?:x+x+)+y", r"(a)\1+"])
def test_patterns_that_would_take_for_ever(tmp_path: Path, pattern: str) -> None:
    """They are letters then, and no module has such a name: the scale is that of all."""
    told = {"unet.lora_alpha": 4, "unet.r": 2, "unet.alpha_pattern": {pattern: 100}}
    module = "unet." + "a" * 150 + "!"
    file = written(tmp_path, pair(module), lora_adapter_metadata=json.dumps(told))
    assert file.peft[""].scale(module.removeprefix("unet."), 2) == 2.0


def test_bundled_embeddings_are_offered(tmp_path: Path) -> None:
    vectors = torch.randn(3, 768)
    parts = ("ink.string_to_param.*", "two.clip_l", "two.clip_g")
    file = written(tmp_path, pair(UNET) | {f"bundle_emb.{part}": vectors.clone() for part in parts})
    assert file.embeddings == ("ink", "two") and torch.equal(file.embedding("ink")["string_to_param.*"], vectors)
    assert set(file.embedding("two")) == {"clip_l", "clip_g"}
    assert file.match(small()).total == 1  # not counted as modules


# ------------------------------------------------------------------ what does not fit


class Leaf(nn.Module):
    def __init__(self, **parts: nn.Module) -> None:
        super().__init__()
        for name, part in parts.items():
            self.add_module(name, part)


def small(width: int = 768) -> dict[str, nn.Module]:
    """A model with the one module that UNET names, and a text encoder with one."""
    attention = Leaf(attn2=Leaf(to_k=nn.Linear(width, 8, bias=False)))
    block = Leaf(attentions=nn.ModuleList([Leaf(transformer_blocks=nn.ModuleList([attention]))]))
    text = Leaf(encoder=Leaf(layers=nn.ModuleList([Leaf(mlp=Leaf(fc1=nn.Linear(8, 8)))])))
    return {"unet": Leaf(down_blocks=nn.ModuleList([block])), "text_encoder": text}


def test_a_partial_match_tells_what_is_left(tmp_path: Path) -> None:
    state = pair(UNET) | pair("lora_unet_nowhere") | pair("lora_te_text_model_encoder_layers_0_mlp_fc1", 9)
    match = written(tmp_path, state | {f"{UNET}.b1.weight": torch.ones(2)}).match(small())
    assert (match.applied, match.total) == (1, 4)
    assert match.unmatched == (f"{UNET}.b1.weight", "lora_te_text_model_encoder_layers_0_mlp_fc1", "lora_unet_nowhere")
    assert list(match.deltas) == ["unet"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"lora_up.weight": None}, "fits no module"),  # half a pair
        ({"lora_up.weight": torch.ones(8, 3)}, "fits no module"),  # other ranks
        ({"lora_up.weight": torch.ones(2)}, "fits no module"),
        ({"lora_up.weight": torch.ones(8, 0), "lora_down.weight": torch.ones(0, 768)}, "fits no module"),
        ({"lora_mid.weight": torch.ones(3, 3, 1, 1)}, "fits no module"),
        ({"alpha": torch.ones(2)}, "fits no module"),
        ({"dora_scale": torch.ones(7, 1)}, "fits no module"),
        ({"diff": torch.ones(8, 768)}, "fits no module"),  # two changes of one weight
        ({"diff_b": torch.ones(8)}, "fits no module"),  # there is no bias
        ({"lora_down.weight": torch.full((2, 768), float("nan"))}, "holds numbers that are not finite, in " + UNET),
        ({"lora_up.weight": torch.full((8, 2), float("inf"))}, "holds numbers that are not finite"),
        ({"alpha": torch.tensor(float("nan"))}, "holds numbers that are not finite"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused(tmp_path: Path, change: dict[str, Tensor | None], sentence: str) -> None:
    state = {**pair(UNET), **{f"{UNET}.{role}": tensor for role, tensor in change.items()}}
    file = written(tmp_path, {name: tensor for name, tensor in state.items() if tensor is not None})
    with pytest.raises(ModelError, match=sentence):
        file.match(small())


def test_other_sizes_and_other_names(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"fits no module of this model, their sizes differ"):
        written(tmp_path, pair(UNET)).match(small(1024))
    with pytest.raises(ModelError, match=r"matches nothing in this model, its first module is lora_unet_nowhere"):
        written(tmp_path, pair("lora_unet_nowhere")).match(small())


@pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.float64, torch.float8_e4m3fn, torch.float8_e5m2]
)
def test_every_number_format(tmp_path: Path, dtype: torch.dtype) -> None:
    match = written(tmp_path, {name: tensor.to(dtype) for name, tensor in pair(UNET).items()}).match(small())
    ((delta,),) = match.deltas["unet"].values()
    weight = torch.randn(8, 768)
    torch.testing.assert_close(delta.apply(weight, 0.5), weight + 1.0)  # 0.5 (1 + 1), no alpha
    assert delta.apply(weight, 0.0).dtype == torch.float32


def test_a_product_that_would_fill_the_memory_is_never_made(tmp_path: Path) -> None:
    """Two small factors whose Kronecker product has 10^13 entries."""
    state = {f"{UNET}.lokr_w1": torch.ones(1800, 1800), f"{UNET}.lokr_w2": torch.ones(1800, 1800)}
    with pytest.raises(ModelError, match="fits no module"):
        written(tmp_path, state).match(small())


# ------------------------------------------------------------------ what is no LoRA


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("model.diffusion_model.input_blocks.0.0.weight", "is a denoiser and no LoRA: put it into diffusion_models"),
        ("decoder.conv_in.weight", "is a VAE and no LoRA: put it into vae"),
        ("text_model.embeddings.x", "is a text encoder and no LoRA"),
        ("emb_params", "is an embedding and no LoRA: put it into embeddings"),
        ("something", "is no LoRA of a known kind"),
    ],
)
def test_other_files_given_as_loras(tmp_path: Path, name: str, sentence: str) -> None:
    with pytest.raises(ModelError, match=sentence):
        written(tmp_path, {name: torch.ones(4, 4, 3, 3)})


def test_a_whole_model_given_as_lora(tmp_path: Path) -> None:
    state = {
        "model.diffusion_model.input_blocks.0.0.weight": torch.ones(8, 4, 3, 3),
        "cond_stage_model.transformer.x": torch.ones(1),
    }
    with pytest.raises(ModelError, match=r"^x.safetensors is a whole model and no LoRA: put it into checkpoints\.$"):
        written(tmp_path, state)


def hollow(path: Path, shapes: dict[str, list[int]]) -> Path:
    """A file with a true header and holes instead of data: as large as it claims, without taking the disk."""
    header: dict[str, Any] = {}
    at = 0
    for name, shape in shapes.items():
        size = 4 * torch.Size(shape).numel()
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    raw = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(raw)) + raw)
        file.truncate(8 + len(raw) + at)
    return path


def test_gigantic_files(tmp_path: Path) -> None:
    ranks = {f"{UNET}.lora_down.weight": [100_000, 768], f"{UNET}.lora_up.weight": [8, 100_000]}
    with pytest.raises(ModelError, match="has rank 100000, more than 4096"):
        read(hollow(tmp_path / "rank.safetensors", ranks))
    with pytest.raises(ModelError, match="has 20 GiB, more than a LoRA of these models can have"):
        read(hollow(tmp_path / "size.safetensors", {f"{UNET}.diff": [20 * 2**28, 1]}))


@pytest.mark.parametrize("cut", [1, 7, 30, 200, -1, -500])
def test_truncated_files(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(save(pair(UNET))[:cut])
    with pytest.raises(DamagedFile, match=r"^x.safetensors is truncated"):
        read(path)


def test_a_file_that_changes_between_header_and_tensors(tmp_path: Path) -> None:
    file = written(tmp_path, pair(UNET))
    save_file(pair("lora_unet_other"), tmp_path / "x.safetensors")
    with pytest.raises(DamagedFile, match="changed while it was read"):
        file.match(small())


# ------------------------------------------------------------------ anything at all


def survives(path: Path) -> None:
    """Read, matched or refused: nothing but a sentence may come out."""
    try:
        file = read(path)
        repr((file.family, file.trigger_words, file.tags, file.rank, file.has_text, file.embeddings, file.base_model))
        file.match(small())
    except UserError as error:
        assert str(error)


@settings(max_examples=150, deadline=None)
@given(data=st.binary(max_size=300))
def test_random_bytes(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("x") / "x.safetensors"
    path.write_bytes(data)
    survives(path)
    path.write_bytes(struct.pack("<Q", len(data)) + data)
    survives(path)


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
ROLES = ("lora_up.weight", "lora_down.weight", "alpha", "lokr_w1", "lokr_w2_a", "hada_w1_a")
NAMES = st.sampled_from([*(f"{UNET}.{role}" for role in ROLES), "bundle_emb.a.b", "__metadata__", "\ud800"])
TENSORS = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["F32", "F16", "F4", "U8", "BOOL"]) | JUNK,
        "shape": st.lists(st.integers(0, 9), max_size=5) | JUNK,
        "data_offsets": st.just([0, 32]) | JUNK,
    }
)


@settings(max_examples=200, deadline=None)
@given(header=st.dictionaries(NAMES, JUNK | TENSORS, max_size=5))
def test_headers_of_anything(tmp_path_factory: pytest.TempPathFactory, header: dict[str, Any]) -> None:
    path = tmp_path_factory.mktemp("x") / "x.safetensors"
    raw = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(raw)) + raw + bytes(64))
    survives(path)


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32), count=st.integers(1, 12))
def test_mutated_files(tmp_path_factory: pytest.TempPathFactory, seed: int, count: int) -> None:
    """Bytes of a good file overwritten, most of them in its header."""
    draw = random.Random(seed)
    state = {name: tensor[:, :8].clone() if tensor.dim() == 2 else tensor for name, tensor in pair(UNET).items()}
    data = bytearray(
        save(state | {f"{UNET}.alpha": torch.tensor(1.0)}, metadata={"ss_tag_frequency": '{"a": {"b": 3}}'})
    )
    for _ in range(count):
        data[draw.randrange(len(data))] = draw.choice(b'0123456789{}[]",:aF\x00\xff')
    path = tmp_path_factory.mktemp("x") / "x.safetensors"
    path.write_bytes(bytes(data))
    survives(path)
