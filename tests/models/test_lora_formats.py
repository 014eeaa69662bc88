"""LoRA files as real libraries write them (LyCORIS, peft, diffusers), against those libraries' own effect and against a merge by hand."""

import copy
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from core.errors import ModelError
from core.models.lora import Match, read
from tests import tiny_models

State = dict[str, Tensor]
MERGE = 1e-6  # between our weight and one merged by hand
EFFECT = 2e-5  # between outputs of our patched model and of the library's own, which adds in another order


@pytest.fixture(scope="module", autouse=True)
def quiet() -> Iterator[None]:
    """LyCORIS and diffusers tell a lot."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module", params=["sd15", "sdxl"])
def pipe(request: pytest.FixtureRequest, folder: Path) -> Any:
    return getattr(tiny_models, request.param)(folder / request.param)


@pytest.fixture(scope="module")
def sd15(folder: Path) -> Any:
    return tiny_models.sd15(folder / "sd15")


def components(pipe: Any) -> dict[str, nn.Module]:
    names = ("unet", "text_encoder", "text_encoder_2")
    return {name: getattr(pipe, name) for name in names if getattr(pipe, name, None) is not None}


def noise(module: nn.Module, amount: float = 0.1) -> None:
    """Fresh adapters change nothing: every number of theirs becomes a trained-looking one."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * amount)


def outputs(pipe: Any) -> list[Tensor]:
    """What the text encoders and the UNet make of fixed inputs."""
    generator = torch.Generator().manual_seed(5)
    found: list[Tensor] = []
    with torch.no_grad():
        for name, encoder in components(pipe).items():
            if name != "unet":
                found.append(encoder(torch.arange(20)[None])[0])
        config = pipe.unet.config
        x = torch.randn(1, 4, 8, 8, generator=generator)
        context = torch.randn(1, 7, config.cross_attention_dim, generator=generator)
        added = {"text_embeds": torch.randn(1, 20, generator=generator), "time_ids": torch.arange(6.0)[None]}
        found.append(pipe.unet(x, 500, context, added_cond_kwargs=added, return_dict=False)[0])
    return found


@contextmanager
def patched(pipe: Any, match: Match, strength: float = 1.0) -> Iterator[None]:
    """The model with a LoRA on it, and clean again."""
    clean: list[tuple[Tensor, Tensor]] = []
    for component, parameters in match.deltas.items():
        for name, deltas in parameters.items():
            weight = components(pipe)[component].get_parameter(name).data
            clean.append((weight, weight.clone()))
            for delta in deltas:
                weight.copy_(delta.apply(weight.clone(), strength))
    yield
    for weight, before in clean:
        weight.copy_(before)


def same(ours: list[Tensor], theirs: list[Tensor], before: list[Tensor]) -> None:
    """Equal, and not because nothing happened."""
    for a, b, unchanged in zip(ours, theirs, before, strict=True):
        assert (b - unchanged).abs().max() > 100 * EFFECT
        assert (a - b).abs().max() < EFFECT * max(1.0, float(b.abs().max()))


# ------------------------------------------------------------------ LyCORIS, which names modules as kohya does

PRESET = """
enable_conv = true
unet_target_module = ["Transformer2DModel", "ResnetBlock2D", "Downsample2D", "Upsample2D", "TimestepEmbedding"]
unet_target_name = ["conv_in", "conv_out", "conv_norm_out"]
text_encoder_target_module = ["CLIPAttention", "CLIPMLP"]
text_encoder_target_name = ["final_layer_norm"]
"""
KINDS: dict[str, dict[str, Any]] = {
    "lora": {"algo": "lora"},
    "locon with mid": {"algo": "locon", "use_tucker": True},
    "rank-stabilised": {"algo": "lora", "rs_lora": True},
    "loha": {"algo": "loha"},
    "loha with cores": {"algo": "loha", "use_tucker": True},
    "lokr": {"algo": "lokr", "factor": 2},
    "lokr, both halves factored": {"algo": "lokr", "factor": 4, "decompose_both": True},
    "lokr, whole": {"algo": "lokr", "factor": 4, "full_matrix": True},
    "lokr with core": {"algo": "lokr", "factor": 2, "use_tucker": True},
    "dora by rows": {"algo": "lora", "dora_wd": True},
    "dora by columns": {"algo": "lora", "dora_wd": True, "wd_on_output": False},
    "doha": {"algo": "loha", "dora_wd": True},
    "dokr": {"algo": "lokr", "factor": 2, "dora_wd": True},
    "full with norms": {"algo": "full", "train_norm": True},
    "lora with norms": {"algo": "lora", "train_norm": True},
}


def lycoris(pipe: Any, path: Path, kind: Mapping[str, Any]) -> tuple[int, list[Tensor]]:
    """A file written by LyCORIS. Returns its number of modules, and the outputs with its adapters on."""
    from lycoris.kohya import create_network

    preset = path.with_suffix(".toml")
    preset.write_text(PRESET)
    encoders: Any = [part for name, part in components(pipe).items() if name != "unet"]
    encoders = encoders if len(encoders) > 1 else encoders[0]
    net = create_network(1.0, 2, 1.0, None, encoders, pipe.unet, preset=str(preset), **kind)
    net.apply_to(encoders, pipe.unet, True, True)
    noise(net)
    net.save_weights(str(path), None, {})
    effect = outputs(pipe)
    net.restore()
    return len(net.unet_loras) + len(net.text_encoder_loras), effect


@pytest.mark.parametrize("kind", KINDS)
def test_lycoris(pipe: Any, tmp_path: Path, kind: str) -> None:
    before = outputs(pipe)
    count, theirs = lycoris(pipe, tmp_path / "x.safetensors", KINDS[kind])
    match = read(tmp_path / "x.safetensors").match(components(pipe))
    assert (match.applied, match.total, match.unmatched) == (count, count, ())
    with patched(pipe, match):
        same(outputs(pipe), theirs, before)


def by_hand(state: State, module: str, weight: Tensor, strength: float) -> Tensor:
    """ComfyUI's rules, from the tensors of the file: W + s (alpha / r) M, and W + s (m V / |V| - W) with DoRA."""
    get: Callable[[str], Tensor | None] = lambda role: state.get(f"{module}.{role}")  # noqa: E731
    alpha, up = get("alpha"), get("lora_up.weight")
    rank: int | None = None
    if up is not None:
        down, mid = get("lora_down.weight"), get("lora_mid.weight")
        rank = up.shape[1]
        if mid is None:
            matrix = up.flatten(1) @ down.flatten(1)
        else:  # rank by rank
            matrix = sum(
                mid[m, n][None, None] * (up[:, m].view(-1, 1) @ down[n].view(1, -1))[:, :, None, None]
                for m in range(rank)
                for n in range(rank)
            )
    elif get("hada_w1_a") is not None:
        halves = []
        rank = get("hada_w1_b").shape[0]
        for k in (1, 2):
            a, b, t = get(f"hada_w{k}_a"), get(f"hada_w{k}_b"), get(f"hada_t{k}")
            halves.append(a @ b if t is None else torch.einsum("ijkl,ip,jq->pqkl", t, a, b))
        matrix = halves[0] * halves[1]
    else:
        w1, w2 = get("lokr_w1"), get("lokr_w2")
        if w1 is None:
            w1, rank = get("lokr_w1_a") @ get("lokr_w1_b"), get("lokr_w1_b").shape[0]
        if w2 is None:
            a, b, t = get("lokr_w2_a"), get("lokr_w2_b"), get("lokr_t2")
            rank = b.shape[0]
            w2 = a @ b if t is None else torch.einsum("ijkl,ip,jq->pqkl", t, a, b)
        matrix = torch.stack([torch.cat([x * w2.flatten(1) for x in row], dim=1) for row in w1]).flatten(0, 1)
    scale = 1.0 if alpha is None or rank is None else float(alpha) / rank
    change = scale * matrix.reshape(weight.shape)
    magnitude = get("dora_scale")
    if magnitude is None:
        return weight + strength * change
    direction = weight + change
    sides = [side for side in range(weight.dim()) if magnitude.shape[side] == 1]
    norm = (direction**2).sum(dim=sides, keepdim=True).sqrt()
    return weight + strength * (magnitude * direction / norm - weight)


@pytest.mark.parametrize("strength", [1.0, 0.5, -0.7])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if "norms" not in kind])
def test_every_weight_against_a_merge_by_hand(sd15: Any, tmp_path: Path, kind: str, strength: float) -> None:
    lycoris(sd15, tmp_path / "x.safetensors", KINDS[kind])
    state = load_file(tmp_path / "x.safetensors")
    match = read(tmp_path / "x.safetensors").match(components(sd15))
    seen = 0
    for component, prefix in (("unet", "lora_unet_"), ("text_encoder", "lora_te_")):
        for name, (delta,) in match.deltas[component].items():
            weight = components(sd15)[component].get_parameter(name).data
            kohya = prefix + name.removesuffix(".weight").replace(".", "_")
            if (
                f"{kohya}.alpha" not in state
            ):  # transformers shows a CLIPTextModel's names with or without `text_model.`
                kohya = kohya.replace("lora_te_", "lora_te_text_model_")
            expected = by_hand(state, kohya, weight, strength)
            torch.testing.assert_close(delta.apply(weight, strength), expected, rtol=MERGE, atol=MERGE)
            seen += 1
    assert seen == match.total > 200


def test_full_differences_norms_and_biases_by_hand(sd15: Any, tmp_path: Path) -> None:
    lycoris(sd15, tmp_path / "x.safetensors", KINDS["full with norms"])
    state = load_file(tmp_path / "x.safetensors")
    match = read(tmp_path / "x.safetensors").match({"unet": sd15.unet})
    seen: set[str] = set()
    for name, (delta,) in match.deltas["unet"].items():
        module, _, kind = name.rpartition(".")
        roles = {"weight": ("diff", "w_norm"), "bias": ("diff_b", "b_norm")}[kind]
        key = next(key for role in roles if (key := f"lora_unet_{module.replace('.', '_')}.{role}") in state)
        weight = sd15.unet.get_parameter(name).data
        torch.testing.assert_close(delta.apply(weight, 0.5), weight + 0.5 * state[key], rtol=MERGE, atol=MERGE)
        seen.add(key.rpartition(".")[2])
    assert seen == {"diff", "diff_b", "w_norm", "b_norm"}


@pytest.mark.parametrize(("algo", "method"), [("diag-oft", "OFT"), ("boft", "OFT"), ("glora", "GLoRA")])
def test_methods_that_cannot_be_applied_are_named(sd15: Any, tmp_path: Path, algo: str, method: str) -> None:
    lycoris(sd15, tmp_path / "x.safetensors", {"algo": algo})
    with pytest.raises(ModelError, match=rf"^x.safetensors is trained by {method}, which cannot be applied here"):
        read(tmp_path / "x.safetensors").match(components(sd15))


# ------------------------------------------------------------------ the same file in other layouts


def flat(name: str) -> str:
    return name.replace(".", "_")


def ldm_modules(unet: Any) -> dict[str, str]:
    """From diffusers' flat names of modules to LDM's, numbered as LDM's own constructors count."""
    names = list(unet.state_dict())
    shown = tiny_models.ldm_unet(SimpleNamespace(
        config=unet.config, up_blocks=unet.up_blocks, state_dict=lambda: {name: torch.tensor(k) for k, name in enumerate(names)}
    ))  # fmt: skip
    return {flat(names[int(k)].rpartition(".")[0]): flat(ldm.rpartition(".")[0]) for ldm, k in shown.items()}


def check_same_deltas(one: Match, other: Match, pipe: Any) -> None:
    assert {(c, n) for c, names in one.deltas.items() for n in names} == {
        (c, n) for c, names in other.deltas.items() for n in names
    }
    for component, names in one.deltas.items():
        for name, (delta,) in names.items():
            weight = components(pipe)[component].get_parameter(name).data
            torch.testing.assert_close(
                other.deltas[component][name][0].apply(weight, 0.8), delta.apply(weight, 0.8), rtol=0, atol=MERGE
            )


@pytest.mark.parametrize("kind", ["lora", "lora with norms"])
def test_ldm_block_names(pipe: Any, tmp_path: Path, kind: str) -> None:
    """As sd-scripts writes SDXL's (input_blocks_4_1_…)."""
    lycoris(pipe, tmp_path / "x.safetensors", KINDS[kind])
    state, modules = load_file(tmp_path / "x.safetensors"), ldm_modules(pipe.unet)
    renamed: State = {}
    for name, tensor in state.items():
        module, _, role = name.partition(".")
        here = module.removeprefix("lora_unet_")
        renamed[f"lora_unet_{modules[here]}.{role}" if here != module else name] = tensor
    assert any("input_blocks_" in name for name in renamed) and not any("down_blocks" in name for name in renamed)
    save_file(renamed, tmp_path / "ldm.safetensors")
    plain, ldm = (read(tmp_path / f"{name}.safetensors").match(components(pipe)) for name in ("x", "ldm"))
    assert ldm.applied == ldm.total == plain.total
    check_same_deltas(plain, ldm, pipe)


def dotted(pipe: Any, path: Path) -> list[tuple[str, str, str, Tensor]]:
    """(component, module in the model's own names, role, tensor) of a kohya file."""
    prefixes = {
        "unet": "lora_unet_",
        "text_encoder": "lora_te_" if not hasattr(pipe, "text_encoder_2") else "lora_te1_",
        "text_encoder_2": "lora_te2_",
    }
    names = {
        prefixes[component] + flat(name): (component, name)
        for component, model in components(pipe).items()
        for name, _ in model.named_modules()
    }
    return [(*names[key.partition(".")[0]], key.partition(".")[2], tensor) for key, tensor in load_file(path).items()]


PREFIXES: dict[str, dict[str, str]] = {
    "diffusers": {"unet": "unet.", "text_encoder": "text_encoder.", "text_encoder_2": "text_encoder_2."},
    "comfyui": {"unet": "diffusion_model.", "text_encoder": "clip_l.transformer.", "text_encoder_2": "clip_g.transformer."},
    "comfyui's full names": {
        "unet": "model.diffusion_model.", "text_encoder": "text_encoders.clip_l.transformer.",
        "text_encoder_2": "text_encoders.clip_g.transformer.",
    },
    "lycoris' own": {"unet": "lycoris_"},
    "peft": {"unet": "base_model.model."},
    "none": {"unet": ""},
}  # fmt: skip


SPELLINGS = (
    ("lora_down.weight", "lora_up.weight"),  # kohya, ComfyUI
    ("lora.down.weight", "lora.up.weight"),  # diffusers
    ("lora_A.weight", "lora_B.weight"),  # peft
    ("lora_A.default.weight", "lora_B.default.weight"),  # peft's state dict saved as it is
    ("lora_linear_layer.down.weight", "lora_linear_layer.up.weight"),  # diffusers' text encoders
)


@pytest.fixture(scope="module")
def kohya(pipe: Any, folder: Path) -> Path:
    """One plain LoRA for every layout."""
    path = folder / f"kohya-{type(pipe).__name__}.safetensors"
    lycoris(pipe, path, KINDS["lora"])
    return path


@pytest.mark.parametrize("prefixes", PREFIXES)
def test_every_spelling_of_a_plain_lora(pipe: Any, kohya: Path, tmp_path: Path, prefixes: str) -> None:
    parts = {name: part for name, part in components(pipe).items() if name in PREFIXES[prefixes]}
    plain = read(kohya).match(parts)
    for down, up in SPELLINGS:
        spelling = {"lora_down.weight": down, "lora_up.weight": up, "alpha": "alpha"}
        renamed: State = {}
        for component, module, role, tensor in dotted(pipe, kohya):
            if component in parts:
                shown = flat(module) if prefixes == "lycoris' own" else module
                renamed[f"{PREFIXES[prefixes][component]}{shown}.{spelling[role]}"] = tensor
        save_file(renamed, tmp_path / "y.safetensors")
        other = read(tmp_path / "y.safetensors").match(parts)
        assert other.applied == other.total == len(renamed) // 3 and not other.unmatched
        check_same_deltas(plain, other, pipe)


# ------------------------------------------------------------------ peft and diffusers

LINEAR = ["to_q", "to_k", "to_v", "to_out.0", "proj_in", "ff.net.0.proj", "ff.net.2"]
TEXT = ["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"]


def adapted(pipe: Any, config: Callable[[list[str]], Any]) -> Any:
    """A copy of a pipeline with a peft adapter on every component."""
    pipe = copy.deepcopy(pipe)
    for name, part in components(pipe).items():
        part.add_adapter(config(LINEAR if name == "unet" else TEXT), "default")
        noise(
            nn.ModuleList(
                module for key, module in part.named_modules() if "lora_" in key and not list(module.children())
            )
        )
        parameters = [p for key, p in part.named_parameters() if "lora_magnitude" in key]
        for parameter in parameters:
            parameter.data.mul_(1.1)
    return pipe


def merged(model: nn.Module) -> dict[str, Tensor]:
    """peft's own merge: the weights, under the names that they had before."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    for module in model.modules():
        if isinstance(module, BaseTunerLayer):
            module.merge()
    found = {name.replace(".base_layer", ""): p.data for name, p in model.named_parameters()}
    return {
        name: weight for name, weight in found.items() if not any(mark in name for mark in ("lora_", "hada_", "lokr_"))
    }


def check_against(match: Match, clean: Mapping[str, nn.Module], theirs: Mapping[str, Mapping[str, Tensor]]) -> None:
    """Every parameter: those with deltas as the library merged them, all others as they were."""
    for component, weights in theirs.items():
        changed = 0
        for name, expected in weights.items():
            weight = clean[component].get_parameter(name).data
            for delta in match.deltas[component].get(name, ()):
                changed += 1
                assert not torch.equal(weight, expected)
                weight = delta.apply(weight, 1.0)
            torch.testing.assert_close(weight, expected, rtol=MERGE, atol=MERGE)
        assert changed > 10


PEFT: dict[str, dict[str, Any]] = {
    "plain": {"r": 4, "lora_alpha": 4},
    "with an alpha": {"r": 4, "lora_alpha": 7},
    "rank-stabilised": {"r": 4, "lora_alpha": 2, "use_rslora": True},
    "ranks by module": {"r": 4, "lora_alpha": 6, "rank_pattern": {"to_q": 2, "q_proj": 3}, "alpha_pattern": {"to_k": 3, "k_proj": 5}},
    "alphas by expressions": {
        "r": 4, "lora_alpha": 6,
        "alpha_pattern": {r"attn1\.to_[qk]": 3, "^down_blocks.0.*to_v": 5, "attn2.to_(q|out.0)": 2, "attn2": 9, r"layers\.\d.*q_proj": 5},
    },
    "dora": {"r": 4, "lora_alpha": 4, "use_dora": True},
    "with biases": {"r": 4, "lora_alpha": 8, "lora_bias": True},
}  # fmt: skip


@pytest.mark.parametrize("kind", PEFT)
def test_diffusers_save_lora_weights(pipe: Any, tmp_path: Path, kind: str) -> None:
    """What diffusers' trainers write, their metadata with the alphas included."""
    from diffusers.training_utils import _collate_lora_metadata
    from peft import LoraConfig
    from peft.utils import get_peft_model_state_dict

    def config(targets: list[str]) -> LoraConfig:
        own = {key: value for key, value in PEFT[kind].items() if not key.endswith("_pattern")}
        patterns = {key: value for key, value in PEFT[kind].items() if key.endswith("_pattern")}
        if kind == "with biases":
            targets = [name for name in targets if name not in {"to_q", "to_k", "to_v"}]  # these have no bias to add to
        return LoraConfig(target_modules=targets, **own, **patterns)

    theirs = adapted(pipe, config)
    parts = components(theirs)
    layers = {f"{name}_lora_layers": get_peft_model_state_dict(part) for name, part in parts.items()}
    type(theirs).save_lora_weights(tmp_path, **layers, **_collate_lora_metadata(parts))
    file = read(tmp_path / "pytorch_lora_weights.safetensors")
    match = file.match(components(pipe))
    assert match.applied == match.total and not match.unmatched and file.has_text
    check_against(match, components(pipe), {name: merged(part) for name, part in parts.items()})


@pytest.mark.parametrize("kind", PEFT)
def test_peft_save_pretrained(sd15: Any, tmp_path: Path, kind: str) -> None:
    """peft's folder: adapter_model.safetensors, with the alphas in adapter_config.json beside it."""
    from peft import LoraConfig, get_peft_model

    targets = ["to_out.0", "proj_in"] if kind == "with biases" else LINEAR
    model = get_peft_model(copy.deepcopy(sd15.unet), LoraConfig(target_modules=targets, **PEFT[kind]))
    noise(nn.ModuleList(m for key, m in model.named_modules() if "lora_" in key and not list(m.children())))
    model.save_pretrained(tmp_path)
    match = read(tmp_path / "adapter_model.safetensors").match({"unet": sd15.unet})
    assert match.applied == match.total and not match.unmatched
    check_against(match, {"unet": sd15.unet}, {"unet": merged(model.get_base_model())})


@pytest.mark.parametrize("kind", ["loha", "lokr"])
def test_pefts_loha_and_lokr(sd15: Any, tmp_path: Path, kind: str) -> None:
    from peft import LoHaConfig, LoKrConfig, get_peft_model

    config = {"loha": LoHaConfig, "lokr": LoKrConfig}[kind]
    targets = [*LINEAR, "conv1", "conv2"]
    model = get_peft_model(copy.deepcopy(sd15.unet), config(r=2, alpha=3, target_modules=targets))
    noise(nn.ParameterList(p for key, p in model.named_parameters() if "hada_" in key or "lokr_" in key))
    model.save_pretrained(tmp_path)
    match = read(tmp_path / "adapter_model.safetensors").match({"unet": sd15.unet})
    assert match.applied == match.total and not match.unmatched
    check_against(match, {"unet": sd15.unet}, {"unet": merged(model.get_base_model())})


def test_kohya_as_diffusers_writes_it(sd15: Any, tmp_path: Path) -> None:
    """diffusers' own converter from peft to kohya's names, against peft's merge."""
    from diffusers.utils import convert_all_state_dict_to_peft, convert_state_dict_to_kohya
    from peft import LoraConfig
    from peft.utils import get_peft_model_state_dict

    theirs = adapted(sd15, lambda targets: LoraConfig(r=4, lora_alpha=4, target_modules=targets))
    state = {f"unet.{name}": tensor for name, tensor in get_peft_model_state_dict(theirs.unet).items()}
    save_file(convert_state_dict_to_kohya(convert_all_state_dict_to_peft(state)), tmp_path / "x.safetensors")
    match = read(tmp_path / "x.safetensors").match(components(sd15))
    assert match.applied == match.total
    check_against(match, components(sd15), {"unet": merged(theirs.unet)})


def test_attention_processors_of_old_diffusers(sd15: Any, tmp_path: Path) -> None:
    """`attn1.processor.to_q_lora.down.weight`, as diffusers 0.12 wrote it: what today's diffusers reads from it is the reference."""
    generator = torch.Generator().manual_seed(1)
    state: State = {}
    for name, module in sd15.unet.named_modules():
        if name.endswith((".to_q", ".to_k", ".to_v", ".to_out.0")):
            out, width = module.weight.shape
            at, _, last = name.removesuffix(".0").rpartition(".")
            state[f"unet.{at}.processor.{last}_lora.down.weight"] = torch.randn(2, width, generator=generator)
            state[f"unet.{at}.processor.{last}_lora.up.weight"] = torch.randn(out, 2, generator=generator)
    save_file(state, tmp_path / "x.safetensors")
    theirs = copy.deepcopy(sd15)
    theirs.load_lora_weights(tmp_path, weight_name="x.safetensors", adapter_name="old")
    match = read(tmp_path / "x.safetensors").match(components(sd15))
    assert match.applied == match.total == len(state) // 2
    check_against(match, components(sd15), {"unet": merged(theirs.unet)})
