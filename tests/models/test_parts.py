"""Z-Image and Flux.1 from the files that people have, against the diffusers folder, bit for bit; what is missing is named."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from core.errors import DamagedFile, MissingPart, ModelError
from core.families import load, profile_of
from core.families.base import TextRequest
from core.models import dit_names
from core.models.library import Library
from core.models.parts import LAYOUTS
from core.models.weights import Weights
from core.pipeline import Pipeline
from tests import tiny_models

CPU = torch.device("cpu")
Z_KINDS = ["bare", "prefixed", "diffusers' names"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A models folder with a tiny Z-Image in it, and diffusers' pipeline."""
    root = tmp_path_factory.mktemp("models")
    pipe = tiny_models.z_image(root / "tiny")
    (root / "tokenizers").mkdir()
    pipe.tokenizer.save_pretrained(root / "tokenizers" / "qwen3")
    return root, pipe


@pytest.fixture
def parts(made: tuple[Path, Any], tmp_path: Path) -> Path:
    """A models folder with the text encoder and the VAE as ComfyUI has them."""
    _, pipe = made
    for folder in ("diffusion_models", "unet", "checkpoints", "text_encoders", "vae", "tokenizers"):
        (tmp_path / folder).mkdir()
    encoder = tiny_models.under("model.", pipe.text_encoder.state_dict())
    save_file(tiny_models.dense(encoder), tmp_path / "text_encoders" / "qwen_3_4b.safetensors")
    save_file(tiny_models.dense(tiny_models.ldm_vae(pipe.vae)), tmp_path / "vae" / "ae.safetensors")
    pipe.tokenizer.save_pretrained(tmp_path / "tokenizers" / "qwen3")
    return tmp_path


@pytest.fixture(scope="module")
def configs(made: tuple[Path, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The usual configurations, with what no shape tells: how the tiny models split their heads and their norms."""
    folder = tmp_path_factory.mktemp("configs")
    own = Path("core/families/configs/z_image")
    changes = {
        "transformer": {"axes_dims": [4, 6, 6], "axes_lens": [256, 32, 32]},
        "vae": {"norm_num_groups": 4},
        "text_encoder": {},
    }
    for name, change in changes.items():
        (folder / f"{name}.json").write_text(json.dumps(json.loads((own / f"{name}.json").read_text()) | change))
    return folder


def outputs(model: Any) -> dict[str, torch.Tensor]:
    """All that a model does, on the same inputs."""
    x = torch.randn(1, 16, 8, 8, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        cond = model.encode_text(TextRequest(text="a red apple", width=32, height=32))
        return {"context": cond.context, "out": model.forward(x, torch.tensor([0.5]), cond), "pixels": model.decode(x)}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("kind", Z_KINDS)
def test_parts_equal_the_folder(made: tuple[Path, Any], parts: Path, configs: Path, kind: str) -> None:
    root, pipe = made
    state = pipe.transformer.state_dict() if kind == "diffusers' names" else tiny_models.comfy_z_image(pipe.transformer)
    if kind == "prefixed":
        state = tiny_models.under("model.diffusion_model.", state)
    save_file(tiny_models.dense(state), parts / "diffusion_models" / "z_image_turbo_bf16.safetensors")
    library = Library(parts)
    entry = library.model("z_image_turbo_bf16.safetensors")
    assert (entry.kind, entry.family, entry.problem, entry.missing) == ("denoiser", "z_image", None, ())
    assert profile_of(entry).family.title == "Z-Image Turbo"
    found = load(entry, device=CPU, configs=configs)
    folder = load(Library(root).model("tiny"), device=CPU)
    assert same(outputs(found), outputs(folder)) and found.latent_format == folder.latent_format


def test_one_file_with_everything(made: tuple[Path, Any], parts: Path, configs: Path) -> None:
    root, pipe = made
    state = tiny_models.under("model.diffusion_model.", tiny_models.comfy_z_image(pipe.transformer))
    state |= tiny_models.under("text_encoders.qwen3_4b.transformer.model.", pipe.text_encoder.state_dict())
    state |= tiny_models.under("vae.", tiny_models.ldm_vae(pipe.vae))
    save_file(tiny_models.dense(state), parts / "checkpoints" / "all.safetensors")
    for path in (parts / "text_encoders").iterdir():
        path.unlink()
    entry = Library(parts).model("all.safetensors")
    assert entry.kind == "checkpoint"
    assert same(
        outputs(load(entry, device=CPU, configs=configs)), outputs(load(Library(root).model("tiny"), device=CPU))
    )


@pytest.mark.parametrize("spelling", ["scale_weight", "weight_scale"])
def test_scaled_fp8_equals_what_it_stands_for(
    made: tuple[Path, Any], parts: Path, configs: Path, spelling: str
) -> None:
    """Denoiser and text encoder; diffusers alone drops the scales and says nothing."""
    _, pipe = made
    state = tiny_models.dense(tiny_models.comfy_z_image(pipe.transformer))
    eights, reference = tiny_models.scaled_fp8(state, spelling)
    save_file(eights, parts / "unet" / "eight.safetensors")
    save_file(reference, parts / "unet" / "plain.safetensors")
    library = Library(parts)
    models = [
        load(library.model(name), device=CPU, dtype=torch.bfloat16, configs=configs)
        for name in ("eight.safetensors", "plain.safetensors")
    ]
    assert same(*map(outputs, models)) and models[0].dtype == torch.bfloat16
    wrong = {name: tensor for name, tensor in eights.items() if not name.endswith(spelling)}
    save_file(wrong, parts / "unet" / "wrong.safetensors")
    with pytest.raises(DamagedFile, match=r"wrong.safetensors is not complete: the scale of .*weight is missing"):
        load(library.model("wrong.safetensors"), device=CPU, configs=configs)


def test_plain_fp8(made: tuple[Path, Any], parts: Path, configs: Path) -> None:
    _, pipe = made
    eights = {
        name: tensor.to(torch.float8_e4m3fn) for name, tensor in tiny_models.comfy_z_image(pipe.transformer).items()
    }
    save_file(tiny_models.dense(eights), parts / "unet" / "eight.safetensors")
    save_file(tiny_models.dense({n: t.float() for n, t in eights.items()}), parts / "unet" / "plain.safetensors")
    library = Library(parts)
    assert same(
        *(outputs(load(library.model(f"{n}.safetensors"), device=CPU, configs=configs)) for n in ("eight", "plain"))
    )


def test_scales_of_blocks(tmp_path: Path) -> None:
    """Two by three blocks over a matrix that they do not fill."""
    weight = torch.randn(5, 8).to(torch.float8_e4m3fn)
    scale = torch.tensor([[1.0, 2.0, 4.0], [8.0, 16.0, 32.0]])
    save_file({"x.weight": weight, "x.weight_scale": scale}, tmp_path / "x.safetensors")
    with Weights([tmp_path / "x.safetensors"]) as weights:
        found = weights["x.weight"]
    for row in range(5):
        for column in range(8):
            assert found[row, column] == weight[row, column].float() * scale[row // 3, column // 3]


def test_integers_are_no_weights(made: tuple[Path, Any], parts: Path, configs: Path) -> None:
    _, pipe = made
    state = tiny_models.dense(tiny_models.comfy_z_image(pipe.transformer))
    state["layers.0.attention.out.weight"] = state["layers.0.attention.out.weight"].to(torch.int8)
    save_file(state, parts / "unet" / "odd.safetensors")
    with pytest.raises(ModelError, match=r"are kept in a way that is not known here \(int8\)"):
        load(Library(parts).model("odd.safetensors"), device=CPU, configs=configs)


def test_the_names_are_diffusers_own(made: tuple[Path, Any], parts: Path) -> None:
    """diffusers' converter reads the files of these tests to the same weights as ours."""
    from diffusers.loaders.single_file_utils import convert_z_image_transformer_checkpoint_to_diffusers as convert

    _, pipe = made
    state = tiny_models.dense(tiny_models.comfy_z_image(pipe.transformer))
    save_file(state, parts / "unet" / "z.safetensors")
    wanted = convert(dict(state))
    layout = LAYOUTS["ZImageTransformer2DModel"]
    with Weights([parts / "unet" / "z.safetensors"]) as weights:
        source = layout.source(weights, "", layout.config(weights, "", pipe.transformer.config))
        for key in pipe.transformer.state_dict():
            found = source(key)
            assert found is not None and torch.equal(found, wanted[key])


# ------------------------------------------------------------------ Flux.1


@pytest.fixture(scope="module", params=["dev", "schnell"])
def flux(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, Any]:
    """dev or schnell, a models folder with it, its text encoders and its VAE, and diffusers' pipeline."""
    root = tmp_path_factory.mktemp("models")
    pipe = tiny_models.flux(root / "tiny", guided=request.param == "dev")
    for folder in ("unet", "checkpoints", "clip", "vae"):
        (root / folder).mkdir()
    save_file(tiny_models.dense(tiny_models.text_model(pipe.text_encoder)), root / "clip" / "clip_l.safetensors")
    t5 = pipe.text_encoder_2.state_dict()
    t5.pop("encoder.embed_tokens.weight", None)  # shared.weight is enough, and all that most files have
    save_file(tiny_models.dense(t5), root / "clip" / "t5xxl_fp16.safetensors")
    save_file(tiny_models.dense(tiny_models.ldm_vae(pipe.vae)), root / "vae" / "ae.safetensors")
    tiny_models.tokenizer(root / "tokenizers" / "clip")
    pipe.tokenizer_2.save_pretrained(root / "tokenizers" / "t5")
    return request.param, root, pipe


@pytest.fixture(scope="module")
def flux_configs(flux: tuple[str, Path, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, own, pipe = tmp_path_factory.mktemp("configs"), Path("core/families/configs/flux"), flux[2]
    heads = pipe.text_encoder.config.num_attention_heads
    ends = {name: getattr(pipe.text_encoder.config, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    changes: dict[str, dict[str, Any]] = {
        "transformer": {"axes_dims_rope": [4, 6, 6]},
        "vae": {"norm_num_groups": 4},
        "text_encoder": {"num_attention_heads": heads, **ends},
        "text_encoder_2": {},
    }
    for name, change in changes.items():
        (folder / f"{name}.json").write_text(json.dumps(json.loads((own / f"{name}.json").read_text()) | change))
    return folder


@pytest.mark.parametrize("prefix", ["", "model.diffusion_model."])
def test_flux_parts_equal_the_folder(flux: tuple[str, Path, Any], flux_configs: Path, prefix: str) -> None:
    variant, root, pipe = flux
    state = tiny_models.under(prefix, tiny_models.comfy_flux(pipe.transformer))
    name = f"flux{len(prefix)}.safetensors"
    save_file(tiny_models.dense(state), root / "unet" / name)
    library = Library(root)
    entry = library.model(name)
    assert (entry.kind, entry.family, entry.missing) == ("denoiser", "flux", ())
    assert profile_of(entry).family.title == f"Flux.1 {variant}"
    assert same(
        outputs(load(entry, device=CPU, configs=flux_configs)), outputs(load(library.model("tiny"), device=CPU))
    )


def test_a_flux_checkpoint_equals_the_folder(flux: tuple[str, Path, Any], flux_configs: Path, tmp_path: Path) -> None:
    """One file with everything, in a models folder without companions."""
    _, root, pipe = flux
    state = tiny_models.under("model.diffusion_model.", tiny_models.comfy_flux(pipe.transformer))
    state |= tiny_models.under("text_encoders.clip_l.transformer.", tiny_models.text_model(pipe.text_encoder))
    state |= tiny_models.under("text_encoders.t5xxl.transformer.", dict(pipe.text_encoder_2.state_dict()))
    state |= tiny_models.under("vae.", tiny_models.ldm_vae(pipe.vae))
    (tmp_path / "checkpoints").mkdir()
    save_file(tiny_models.dense(state), tmp_path / "checkpoints" / "all.safetensors")
    (tmp_path / "tokenizers").symlink_to(root / "tokenizers")
    entry = Library(tmp_path).model("all.safetensors")
    assert entry.kind == "checkpoint"
    found = load(entry, device=CPU, configs=flux_configs)
    assert same(outputs(found), outputs(load(Library(root).model("tiny"), device=CPU)))


def test_scaled_fp8_flux(flux: tuple[str, Path, Any], flux_configs: Path) -> None:
    _, root, pipe = flux
    state = tiny_models.dense(tiny_models.comfy_flux(pipe.transformer))
    for name, tensors in zip(("eight", "plain"), tiny_models.scaled_fp8(state, "scale_weight"), strict=True):
        save_file(tensors, root / "unet" / f"{name}.safetensors")
    library = Library(root)
    eight, plain = (
        load(library.model(f"{name}.safetensors"), device=CPU, dtype=torch.bfloat16, configs=flux_configs)
        for name in ("eight", "plain")
    )
    assert same(outputs(eight), outputs(plain))


def test_flux_names_are_diffusers_own(flux: tuple[str, Path, Any], tmp_path: Path) -> None:
    """Its converter counts rows for a width of 3072 only: so matrices of that many rows, and of two columns."""
    from diffusers.loaders.single_file_utils import convert_flux_transformer_checkpoint_to_diffusers as convert

    wide = {"qkv": 3, "linear1": 7, "adaLN_modulation": 2}
    state: dict[str, torch.Tensor] = {}
    for name, tensor in tiny_models.comfy_flux(flux[2].transformer).items():
        rows = next((3072 * times for part, times in wide.items() if part in name), 4)
        state[name] = torch.randn(rows, *[2] * (tensor.ndim - 1))
    save_file(state, tmp_path / "flux.safetensors")
    wanted = convert(dict(state))
    assert wanted.keys() == flux[2].transformer.state_dict().keys()
    with Weights([tmp_path / "flux.safetensors"]) as weights:
        source = dit_names.flux_source(weights, "", 3072)
        for key, tensor in wanted.items():
            found = source(key)
            assert found is not None and torch.equal(found, tensor), key


def test_a_missing_t5_is_named(flux: tuple[str, Path, Any], tmp_path: Path) -> None:
    _, root, pipe = flux
    (tmp_path / "unet").mkdir()
    save_file(tiny_models.dense(tiny_models.comfy_flux(pipe.transformer)), tmp_path / "unet" / "flux.safetensors")
    for folder in ("clip", "vae"):
        (tmp_path / folder).mkdir()
    shutil.copy(root / "clip" / "clip_l.safetensors", tmp_path / "clip")
    shutil.copy(root / "vae" / "ae.safetensors", tmp_path / "vae")
    with pytest.raises(
        MissingPart, match=r"flux.safetensors needs t5xxl_fp16.safetensors, which is not there: put it into"
    ):
        Library(tmp_path).model("flux.safetensors")


# ------------------------------------------------------------------ what is missing, or wrong


def test_a_missing_companion_is_named(made: tuple[Path, Any], parts: Path) -> None:
    _, pipe = made
    save_file(tiny_models.dense(tiny_models.comfy_z_image(pipe.transformer)), parts / "unet" / "z.safetensors")
    (parts / "text_encoders" / "qwen_3_4b.safetensors").unlink()
    with pytest.raises(MissingPart) as caught:
        Library(parts).model("z.safetensors")
    folder = parts / "text_encoders"
    assert str(caught.value) == f"z.safetensors needs qwen_3_4b.safetensors, which is not there: put it into {folder}."
    (entry,) = (entry for entry in Library(parts).scan() if entry.id == "z.safetensors")
    assert entry.missing == ("text_encoders/qwen_3_4b.safetensors",)


def test_companions_fit_by_width(made: tuple[Path, Any], parts: Path) -> None:
    """A text encoder of another width and a VAE of other channels are no companions."""
    _, pipe = made
    save_file(tiny_models.dense(tiny_models.comfy_z_image(pipe.transformer)), parts / "unet" / "z.safetensors")
    (parts / "vae" / "ae.safetensors").unlink()
    save_file(tiny_models.dense(tiny_models.ldm_vae(tiny_models.vae())), parts / "vae" / "four.safetensors")
    wide = tiny_models.qwen3(pipe.tokenizer, width=32).state_dict()
    save_file(tiny_models.dense(tiny_models.under("model.", wide)), parts / "text_encoders" / "a.safetensors")
    (entry,) = (entry for entry in Library(parts).scan() if entry.id == "z.safetensors")
    assert entry.missing == ("vae/ae.safetensors",)
    assert entry.parts["text_encoder"].path.name == "qwen_3_4b.safetensors"


def test_a_file_that_is_not_whole(made: tuple[Path, Any], parts: Path, configs: Path) -> None:
    """A weight short, and a tensor short that tells the size of the text encoder."""
    _, pipe = made
    state = tiny_models.dense(tiny_models.comfy_z_image(pipe.transformer))
    del state["layers.1.feed_forward.w2.weight"]
    save_file(state, parts / "unet" / "z.safetensors")
    with pytest.raises(
        ModelError, match=r"1 weights of its transformer are missing, the first is layers.1.feed_forward.w2"
    ):
        load(Library(parts).model("z.safetensors"), device=CPU, configs=configs)
    state["layers.1.feed_forward.w2.weight"] = pipe.transformer.layers[1].feed_forward.w2.weight
    save_file(state, parts / "unet" / "z.safetensors")
    encoder = tiny_models.dense(tiny_models.under("model.", pipe.text_encoder.state_dict()))
    del encoder["model.layers.0.mlp.gate_proj.weight"]
    save_file(encoder, parts / "text_encoders" / "qwen_3_4b.safetensors")
    with pytest.raises(ModelError, match="weights that tell the size of its text encoder are missing"):
        load(Library(parts).model("z.safetensors"), device=CPU, configs=configs)


def test_a_denoiser_may_stand_in_a_run_with_another(made: tuple[Path, Any], parts: Path) -> None:
    _, pipe = made
    for name in ("one", "two"):
        save_file(tiny_models.dense(tiny_models.comfy_z_image(pipe.transformer)), parts / "unet" / f"{name}.safetensors")
    assert Pipeline(models=parts, device="cpu", trajectory_bytes=0).companions("one.safetensors") == ("two.safetensors",)


def test_lumina_is_no_z_image(parts: Path) -> None:
    save_file({"cap_embedder.1.weight": torch.zeros(2304, 8)}, parts / "diffusion_models" / "lumina.safetensors")
    with pytest.raises(ModelError, match="Lumina 2 models cannot be loaded yet"):
        Library(parts).model("lumina.safetensors")


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("z_image_turbo_bf16", "Z-Image Turbo"),
        ("z_image_bf16", "Z-Image"),
        ("Z-Image-Base_fp8", "Z-Image"),
        ("myFinetune_v2", "Z-Image Turbo"),
    ],
)  # fmt: skip
def test_turbo_and_base_by_name(made: tuple[Path, Any], parts: Path, name: str, title: str) -> None:
    _, pipe = made
    save_file(tiny_models.dense(tiny_models.comfy_z_image(pipe.transformer)), parts / "unet" / f"{name}.safetensors")
    assert profile_of(Library(parts).model(f"{name}.safetensors")).family.title == title
