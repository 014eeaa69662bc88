"""LoRAs of Z-Image and Flux.1 in every way in which trainers name them, against a merge by hand into the makers' own matrices."""

import copy
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from core.errors import ModelError
from core.models.lora import Match, Places, outline_of, read
from tests import tiny_models

State = dict[str, Tensor]
MERGE = 1e-6
RANK, ALPHA = 4, 3.0
MAKERS = {"z_image": tiny_models.comfy_z_image, "flux": tiny_models.comfy_flux}


@pytest.fixture(scope="module", params=MAKERS)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Any]:
    """A family and diffusers' pipeline."""
    return request.param, getattr(tiny_models, request.param)(tmp_path_factory.mktemp("x"))


def components(pipe: Any) -> dict[str, nn.Module]:
    names = {"denoiser": "transformer", "text_encoder": "text_encoder", "text_encoder_2": "text_encoder_2"}
    return {name: getattr(pipe, own) for name, own in names.items() if getattr(pipe, own, None) is not None}


def pairs(weights: Mapping[str, Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
    """(up, down) for every matrix: module -> two tensors."""
    draw = torch.Generator().manual_seed(1)
    matrices = {
        name.removesuffix(".weight"): t for name, t in weights.items() if t.ndim == 2 and name.endswith(".weight")
    }
    return {
        name: (torch.randn(len(t), RANK, generator=draw) * 0.1, torch.randn(RANK, t.shape[1], generator=draw) * 0.1)
        for name, t in matrices.items()
    }


def merged(weights: Mapping[str, Tensor], loras: Mapping[str, tuple[Tensor, Tensor]], scale: float) -> State:
    """ComfyUI's rule: W + s (alpha / r) up down."""
    changes = {f"{module}.weight": scale * (up @ down) for module, (up, down) in loras.items()}
    return {name: weight + changes.get(name, torch.zeros(())) for name, weight in weights.items()}


def patched(module: nn.Module, deltas: Mapping[str, Any], strength: float = 0.7) -> nn.Module:
    module = copy.deepcopy(module)
    for name, (delta,) in deltas.items():
        weight = module.get_parameter(name)
        weight.data = delta.apply(weight.data, strength)
    return module


def close(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor], before: Mapping[str, Tensor]) -> None:
    assert ours.keys() == theirs.keys()
    changed = sum(not torch.equal(theirs[name], before[name]) for name in theirs)
    assert changed > 10
    for name, weight in theirs.items():
        torch.testing.assert_close(ours[name], weight, rtol=MERGE, atol=MERGE, msg=name)


def whole(file: Path, parts: Mapping[str, nn.Module], count: int) -> Match:
    """The match, in which every module has its place; the header alone tells the same."""
    match, told = read(file).match(parts), read(file).coverage(Places(outline_of(parts)))
    assert (match.applied, match.total, match.unmatched) == (count, count, ())
    assert (told.applied, told.total) == (count, count)
    return match


def kohya(module: str) -> str:
    return module.replace(".", "_")


FORMS: dict[str, tuple[Callable[[str], str], str, str]] = {
    "kohya": (lambda module: "lora_unet_" + kohya(module), "lora_down.weight", "lora_up.weight"),
    "ComfyUI": (lambda module: "diffusion_model." + module, "lora_down.weight", "lora_up.weight"),
    "ComfyUI, as AI-Toolkit writes it": (lambda module: "diffusion_model." + module, "lora_A.weight", "lora_B.weight"),
    "peft": (lambda module: "base_model.model." + module, "lora_A.default.weight", "lora_B.default.weight"),
    "LyCORIS": (lambda module: "lycoris_" + kohya(module), "lora_down.weight", "lora_up.weight"),
    "bare": (lambda module: module, "lora_A.weight", "lora_B.weight"),
}


@pytest.mark.parametrize("form", FORMS)
def test_the_makers_names(model: tuple[str, Any], tmp_path: Path, form: str) -> None:
    """With q, k, v in one, in Flux's single blocks the MLP too, and with Flux's last modulation upside down."""
    family, pipe = model
    names = MAKERS[family]
    before = names(pipe.transformer)
    loras, (called, down_name, up_name) = pairs(before), FORMS[form]
    state: State = {}
    for module, (up, down) in loras.items():
        state |= {f"{called(module)}.{up_name}": up, f"{called(module)}.{down_name}": down}
        if down_name.startswith("lora_down"):
            state[f"{called(module)}.alpha"] = torch.tensor(ALPHA)
    save_file(state, tmp_path / "x.safetensors")
    assert read(tmp_path / "x.safetensors").family == family
    match = whole(tmp_path / "x.safetensors", components(pipe), len(loras))
    scale = ALPHA / RANK if down_name.startswith("lora_down") else 1.0
    close(names(patched(pipe.transformer, match.deltas["denoiser"])), merged(before, loras, 0.7 * scale), before)


DIFFUSERS = {
    "diffusers and peft": ("transformer.", "lora_A.weight", "lora_B.weight"),
    "OneTrainer": ("lora_transformer_", "lora_down.weight", "lora_up.weight"),
    "AI-Toolkit": ("diffusion_model.", "lora_A.weight", "lora_B.weight"),
    "kohya's underscores": ("lora_unet_", "lora_down.weight", "lora_up.weight"),
}


@pytest.mark.parametrize("form", DIFFUSERS)
def test_diffusers_names(model: tuple[str, Any], tmp_path: Path, form: str) -> None:
    """q, k, v each by itself; of an attention's output some leave out the number."""
    family, pipe = model
    prefix, down_name, up_name = DIFFUSERS[form]
    before = dict(pipe.transformer.state_dict())
    loras = pairs(before)
    state: State = {}
    for module, (up, down) in loras.items():
        name = module.removesuffix(".0") if form == "AI-Toolkit" and module.endswith("to_out.0") else module
        name = prefix + (kohya(name) if prefix.endswith("_") else name)
        state |= {f"{name}.{up_name}": up, f"{name}.{down_name}": down}
    save_file(state, tmp_path / "x.safetensors")
    assert read(tmp_path / "x.safetensors").family == family
    match = whole(tmp_path / "x.safetensors", components(pipe), len(loras))
    close(dict(patched(pipe.transformer, match.deltas["denoiser"]).state_dict()), merged(before, loras, 0.7), before)


def test_what_peft_and_diffusers_write(model: tuple[str, Any], tmp_path: Path) -> None:
    """`save_lora_weights` with an alpha in the metadata, against peft's own merge."""
    from diffusers.training_utils import _collate_lora_metadata
    from peft import LoraConfig
    from peft.utils import get_peft_model_state_dict

    family, pipe = model
    theirs = copy.deepcopy(pipe.transformer)
    targets = [
        "to_q",
        "to_k",
        "to_v",
        "to_out.0",
        *(["proj_mlp", "norm1.linear"] if family == "flux" else ["w1", "w3"]),
    ]
    theirs.add_adapter(LoraConfig(r=4, lora_alpha=7, target_modules=targets, init_lora_weights="gaussian"))
    for name, parameter in theirs.named_parameters():
        if "lora_B" in name:
            parameter.data = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(2)) * 0.1
    layers = get_peft_model_state_dict(theirs)
    metadata = _collate_lora_metadata({"transformer": theirs})
    type(pipe).save_lora_weights(tmp_path, transformer_lora_layers=layers, **metadata)
    match = whole(tmp_path / "pytorch_lora_weights.safetensors", components(pipe), len(layers) // 2)
    theirs.fuse_lora()
    expected = {name.replace(".base_layer", ""): p for name, p in theirs.state_dict().items() if "lora_" not in name}
    ours = patched(pipe.transformer, match.deltas["denoiser"], 1.0).state_dict()
    close(dict(ours), expected, dict(pipe.transformer.state_dict()))


# ------------------------------------------------------------------ other methods over several of our modules


def fused(family: str, pipe: Any) -> tuple[str, Tensor]:
    """A matrix of the makers that is several of ours."""
    name = {"z_image": "layers.1.attention.qkv", "flux": "single_blocks.1.linear1"}[family]
    return name, MAKERS[family](pipe.transformer)[f"{name}.weight"]


def halves(weight: Tensor, *roles: str) -> State:
    draw = torch.Generator().manual_seed(4)
    sizes = {"a": (len(weight), 2), "b": (2, weight.shape[1])}
    return {role: torch.randn(sizes[role[-1]], generator=draw) for role in roles}


def loha(weight: Tensor) -> tuple[State, Tensor]:
    t = halves(weight, "hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b")
    change = (t["hada_w1_a"] @ t["hada_w1_b"]) * (t["hada_w2_a"] @ t["hada_w2_b"])
    return t | {"alpha": torch.tensor(1.0)}, weight + 0.5 * change


def lokr(weight: Tensor) -> tuple[State, Tensor]:
    """Whose blocks do not end where q does."""
    draw = torch.Generator().manual_seed(4)
    w1, w2 = torch.randn(16, 4, generator=draw), torch.randn(len(weight) // 16, weight.shape[1] // 4, generator=draw)
    return {"lokr_w1": w1, "lokr_w2": w2}, weight + torch.kron(w1, w2)


def full(weight: Tensor) -> tuple[State, Tensor]:
    change = torch.randn(weight.shape, generator=torch.Generator().manual_seed(4))
    return {"diff": change}, weight + change


def dora(weight: Tensor) -> tuple[State, Tensor]:
    t = halves(weight, "a", "b")
    v, m = weight + t["a"] @ t["b"], torch.rand(len(weight), 1, generator=torch.Generator().manual_seed(5)) + 0.5
    return {"lora_up.weight": t["a"], "lora_down.weight": t["b"], "dora_scale": m}, m * v / v.norm(dim=1, keepdim=True)


@pytest.mark.parametrize("method", [loha, lokr, full, dora])
def test_other_methods_on_a_fused_matrix(
    model: tuple[str, Any], tmp_path: Path, method: Callable[[Tensor], tuple[State, Tensor]]
) -> None:
    family, pipe = model
    name, weight = fused(family, pipe)
    state, expected = method(weight)
    save_file({f"diffusion_model.{name}.{role}": tensor for role, tensor in state.items()}, tmp_path / "x.safetensors")
    match = whole(tmp_path / "x.safetensors", components(pipe), 1)
    assert len(match.deltas["denoiser"]) == {"z_image": 3, "flux": 4}[family]
    after = MAKERS[family](patched(pipe.transformer, match.deltas["denoiser"], 1.0))
    torch.testing.assert_close(after[f"{name}.weight"], expected, rtol=MERGE, atol=MERGE * 10)


def test_a_dora_by_columns_of_a_fused_matrix_is_left_out(model: tuple[str, Any], tmp_path: Path) -> None:
    """The norm of a column is that of q, k and v together, which are three matrices here."""
    family, pipe = model
    name, weight = fused(family, pipe)
    state, _ = dora(weight)
    state["dora_scale"] = torch.ones(1, weight.shape[1])
    save_file({f"diffusion_model.{name}.{role}": tensor for role, tensor in state.items()}, tmp_path / "x.safetensors")
    with pytest.raises(ModelError, match="fits no module"):
        read(tmp_path / "x.safetensors").match(components(pipe))


def test_a_bias_of_a_fused_matrix(model: tuple[str, Any], tmp_path: Path) -> None:
    family, pipe = model
    if family == "z_image":
        return  # its attention has none
    bias = MAKERS[family](pipe.transformer)["single_blocks.1.linear1.bias"]
    change = torch.arange(float(len(bias)))
    save_file({"diffusion_model.single_blocks.1.linear1.diff_b": change}, tmp_path / "x.safetensors")
    match = whole(tmp_path / "x.safetensors", components(pipe), 1)
    after = MAKERS[family](patched(pipe.transformer, match.deltas["denoiser"], 1.0))["single_blocks.1.linear1.bias"]
    torch.testing.assert_close(after, bias + change, rtol=MERGE, atol=MERGE)


# ------------------------------------------------------------------ text encoders


TEXTS = {
    "kohya": ("lora_te1_{}", "lora_te3_{}", True),
    "OneTrainer": ("lora_te1_{}", "lora_te2_{}", True),
    "ComfyUI": ("text_encoders.clip_l.transformer.{}", "text_encoders.t5xxl.transformer.{}", False),
    "diffusers": ("text_encoder.{}", "text_encoder_2.{}", False),
}


@pytest.mark.parametrize("form", TEXTS)
def test_text_encoders_of_flux(tmp_path: Path, form: str) -> None:
    pipe = tiny_models.flux(tmp_path / "flux")
    parts, state, count = components(pipe), State(), 0
    clip, t5, flat = TEXTS[form]
    loras: dict[str, dict[str, tuple[Tensor, Tensor]]] = {}
    for component, pattern in (("text_encoder", clip), ("text_encoder_2", t5)):
        linear = {f"{n}.weight": m.weight for n, m in parts[component].named_modules() if isinstance(m, nn.Linear)}
        loras[component] = pairs(linear)
        for module, (up, down) in loras[component].items():
            shown = (
                module if component != "text_encoder" or module.startswith("text_model.") else "text_model." + module
            )
            name = pattern.format(kohya(shown) if flat else shown)
            state |= {
                f"{name}.lora_up.weight": up,
                f"{name}.lora_down.weight": down,
                f"{name}.alpha": torch.tensor(ALPHA),
            }
            count += 1
    save_file(state, tmp_path / "x.safetensors")
    file = read(tmp_path / "x.safetensors")
    assert file.family == "flux" and file.has_text
    match = whole(tmp_path / "x.safetensors", parts, count)
    for component, own in loras.items():
        before = {f"{n}.weight": m.weight for n, m in parts[component].named_modules() if isinstance(m, nn.Linear)}
        after = patched(parts[component], match.deltas[component])
        ours = {name: after.get_parameter(name) for name in before}
        close(ours, merged(before, own, 0.7 * ALPHA / RANK), before)


# ------------------------------------------------------------------ of which family


@pytest.mark.parametrize(
    ("module", "width", "family", "sentence"),
    [
        ("diffusion_model.layers.0.attention.qkv", 3840, "z_image", "is a LoRA for Z-Image, not for SDXL"),
        ("transformer.transformer_blocks.0.attn.add_q_proj", 3072, "flux", "is a LoRA for Flux.1, not for SDXL"),
        ("transformer.transformer_blocks.0.attn.add_q_proj", 1536, "sd3", "is a LoRA for SD3, not for SDXL"),
        ("lora_te3_encoder_block_0_layer_0_SelfAttention_q", 4096, "flux", "is a LoRA for Flux.1"),
        ("transformer.transformer_blocks.0.img_mlp.net.2", 3072, "qwen_image", "is a LoRA for Qwen-Image"),
        ("lora_unet_transformer_blocks_0_txt_mod_1", 3072, "qwen_image", "is a LoRA for Qwen-Image"),
        ("diffusion_model.blocks.0.self_attn.q", 1536, "wan", "is a LoRA for Wan"),
        ("transformer.single_transformer_blocks.0.attn.to_qkv_mlp_proj", 3072, "flux2", "is a LoRA for Flux.2"),
    ],
)
def test_family_and_refusal(tmp_path: Path, module: str, width: int, family: str, sentence: str) -> None:
    state = {f"{module}.lora_A.weight": torch.ones(2, width), f"{module}.lora_B.weight": torch.ones(8, 2)}
    save_file(state, tmp_path / "x.safetensors")
    file = read(tmp_path / "x.safetensors")
    assert file.family == family
    with pytest.raises(ModelError, match=sentence):
        file.check("sdxl")


def test_a_patch_runs(model: tuple[str, Any], tmp_path: Path) -> None:
    """As the pipeline puts it on, and off again to the bit."""
    from core.models.patch import Patch, Patched

    family, pipe = model
    name, weight = fused(family, pipe)
    state, _ = full(weight)
    save_file({f"{name}.diff": state["diff"]}, tmp_path / "x.safetensors", metadata={"x": json.dumps({})})
    match = read(tmp_path / "x.safetensors").match({"denoiser": pipe.transformer})
    before = {key: tensor.clone() for key, tensor in pipe.transformer.state_dict().items()}
    on = Patched({"denoiser": pipe.transformer})
    on.set([Patch(content="x", strength=1.0, deltas=match.deltas)])
    changed = {key for key, tensor in pipe.transformer.state_dict().items() if not torch.equal(tensor, before[key])}
    assert changed == set(match.deltas["denoiser"])
    on.set([])
    assert all(torch.equal(tensor, before[key]) for key, tensor in pipe.transformer.state_dict().items())
