"""From files to modules on the CPU: a diffusers folder, or one checkpoint in the LDM layout. Both fill the same modules."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from core.errors import DamagedFile, MissingPart, ModelError
from core.models import ldm
from core.models.text_encoders import MAKERS, Config
from core.models.weights import Source, Weights, build, fill, renamed


@dataclass(frozen=True, kw_only=True)
class TextPart:
    """One text encoder of a family, and where files keep it."""

    name: str  # its folder in a diffusers folder
    tokenizer: str
    prefix: str = ""  # in a checkpoint
    kind: str = "clip"  # or qwen3, t5
    open_clip: bool = False  # in such a checkpoint it has open_clip's names
    projection: bool = False  # it has a projected pooled output
    pad: str | None = None  # the padding token of single files; None: the end token


@dataclass(frozen=True, kw_only=True)
class DenoiserPart:
    """A family's denoiser, and where a diffusers folder keeps it."""

    name: str = "unet"  # its folder
    kind: str = "UNet2DConditionModel"  # diffusers' class
    title: str = "UNet"  # how messages call it


@dataclass(frozen=True, kw_only=True)
class Parts:
    """A model's components, on the CPU."""

    denoiser: nn.Module
    vae: nn.Module
    encoders: tuple[nn.Module, ...]
    tokenizers: tuple[Any, ...]


# ------------------------------------------------------------------ reading configs and finding files


def read_json(path: Path) -> dict[str, Any]:
    """A small JSON object. Raises MissingPart, DamagedFile."""
    try:
        if path.stat().st_size > 2**22:
            raise DamagedFile("{name} is too large to be a configuration.", name=path.name)
        found: Any = json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise MissingPart(
            "{name} is missing: put it into {folder}.", name=path.name, folder=str(path.parent)
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise DamagedFile("{name} in {folder} cannot be read.", name=path.name, folder=str(path.parent)) from error
    if not isinstance(found, dict):
        raise DamagedFile("{name} in {folder} cannot be read.", name=path.name, folder=str(path.parent))
    return found  # pyright: ignore[reportUnknownVariableType]


def weight_files(folder: Path) -> tuple[Path, ...]:
    """The safetensors files of one component, the plain variant before others (fp16). Raises MissingPart."""
    stems = ("diffusion_pytorch_model", "model")
    variants = ("", ".fp16", ".bf16")
    for stem in (stem + variant for variant in variants for stem in stems):
        single, index = folder / f"{stem}.safetensors", folder / f"{stem}.safetensors.index.json"
        if single.is_file():
            return (single,)
        if index.is_file():
            names = sorted(set(map(str, read_json(index).get("weight_map", {}).values())))
            return tuple(folder / Path(name).name for name in names)
    if any(folder.glob("*.bin")):
        raise DamagedFile(
            "{folder} holds pickle files (.bin), which can run code when opened: get the .safetensors files.",
            folder=str(folder),
        )
    raise MissingPart(
        "{name} is missing: put it into {folder}.",
        name="model.safetensors" if folder.name.startswith("text_encoder") else "diffusion_pytorch_model.safetensors",
        folder=str(folder),
    )


# ------------------------------------------------------------------ one component


def denoiser(part: DenoiserPart, config: Config, source: Source, dtype: torch.dtype, file: str) -> nn.Module:
    import diffusers

    kind = getattr(diffusers, part.kind)
    return fill(build(lambda: made(kind, config)), source, dtype, part=part.title, file=file)


def vae(config: Config, source: Source, file: str) -> nn.Module:
    """Always float32: SDXL's overflows in float16, and it is small beside the UNet."""
    from diffusers import AutoencoderKL

    return fill(build(lambda: made(AutoencoderKL, config)), source, torch.float32, part="VAE", file=file)


def made(kind: Any, config: Config) -> nn.Module:
    """A diffusers module from a config file; what cannot be one is a sentence."""
    try:
        return kind.from_config(dict(config))
    except (TypeError, ValueError, KeyError, AttributeError, IndexError, ZeroDivisionError) as error:
        raise ModelError(
            "The configuration of this {part} cannot be used: {reason}.", part=kind.__name__, reason=str(error)[:200]
        ) from error


# ------------------------------------------------------------------ a diffusers folder


def from_folder(
    folder: Path,
    part: DenoiserPart,
    texts: Sequence[TextPart],
    dtype: Callable[[torch.dtype], torch.dtype],
    tokenizer: Callable[[TextPart], Any],
) -> Parts:
    """All components of a diffusers folder. `dtype` picks from the dtype stored, `tokenizer` finds one for a text part."""
    with Weights(weight_files(folder / part.name)) as weights:
        kept = dtype(weights.dtype())
        net = denoiser(part, read_json(folder / part.name / "config.json"), renamed(weights, str), kept, weights.title)
    encoders: list[nn.Module] = []
    for text in texts:
        with Weights(weight_files(folder / text.name)) as weights:
            config = read_json(folder / text.name / "config.json")
            make = MAKERS[text.kind]
            encoders.append(
                make(config, text_source(weights), kept, projection=text.projection, file=weights.title)
            )
    return Parts(
        denoiser=net,
        vae=vae_from_folder(folder / "vae"),
        encoders=tuple(encoders),
        tokenizers=tuple(map(tokenizer, texts)),
    )


def text_source(weights: Weights, prefix: str = "") -> Source:
    """transformers' names below a prefix, with or without what its versions put before them: `text_model.` or `model.`"""
    return renamed(
        weights,
        lambda key: prefix + key,
        lambda key: prefix + ldm.clip_name(key),
        lambda key: f"{prefix}text_model.{ldm.clip_name(key)}",
        lambda key: f"{prefix}model.{key}",
        lambda key: prefix + key.replace("encoder.embed_tokens.", "shared."),  # T5's one table under two names
    )


def vae_from_folder(folder: Path) -> nn.Module:
    with Weights(weight_files(folder)) as weights:
        return vae(read_json(folder / "config.json"), renamed(weights, str, ldm.old_vae_name), weights.title)


# ------------------------------------------------------------------ a single file in the LDM layout


def from_checkpoint(
    path: Path,
    configs: Path,
    part: DenoiserPart,
    texts: Sequence[TextPart],
    dtype: Callable[[torch.dtype], torch.dtype],
    tokenizer: Callable[[TextPart], Any],
) -> Parts:
    """All components of one checkpoint; `configs` is a folder with unet.json, vae.json and one file for each text encoder."""
    with Weights([path]) as weights:
        prefix = "model.diffusion_model."
        shape = read_json(configs / "unet.json")
        kept = dtype(weights.dtype(prefix))
        net = denoiser(part, shape, renamed(weights, under(prefix, unet_names(shape))), kept, path.name)
        encoders: list[nn.Module] = []
        for text in texts:
            source = open_clip_source(weights, text.prefix) if text.open_clip else text_source(weights, text.prefix)
            config = read_json(configs / f"{text.name}.json")
            make = MAKERS[text.kind]
            encoders.append(make(config, source, kept, projection=text.projection, file=path.name))
        decoder = ldm_vae(weights, read_json(configs / "vae.json"), "first_stage_model.")
    return Parts(denoiser=net, vae=decoder, encoders=tuple(encoders), tokenizers=tuple(map(tokenizer, texts)))


def under(prefix: str, name: Callable[[str], str]) -> Callable[[str], str]:
    return lambda key: prefix + name(key)


def unet_names(config: Config) -> Callable[[str], str]:
    kinds: Sequence[str] = config["up_block_types"]
    return ldm.unet_name(config["layers_per_block"], lambda i: "CrossAttn" in kinds[i])


def ldm_vae(weights: Weights, config: Config, prefix: str) -> nn.Module:
    return vae(config, renamed(weights, under(prefix, ldm.vae_name(len(config["block_out_channels"])))), weights.title)


def open_clip_source(weights: Weights, prefix: str) -> Source:
    """open_clip's names: q, k, v fused, the projection transposed."""

    def source(key: str) -> Tensor | None:
        name, third = ldm.open_clip_name(key)
        if prefix + name not in weights:
            return None
        tensor = weights[prefix + name]
        if name == "text_projection":
            return tensor.T.contiguous()
        return tensor if third is None else tensor.chunk(3)[third]

    return source


# ------------------------------------------------------------------ a VAE of its own


def with_vae(parts: Parts, path: Path) -> Parts:
    """The same model with another VAE: a folder, or a file in diffusers' or LDM's layout. Raises ModelError."""
    own: Any = parts.vae
    other: Any = vae_from_folder(path) if path.is_dir() else vae_from_file(path, own.config)
    if other.config.latent_channels != own.config.latent_channels:
        channels, wanted = other.config.latent_channels, own.config.latent_channels
        raise ModelError(
            "{name} has {channels} latent channels, this model works in {wanted}: choose a VAE of its family.",
            name=path.name,
            channels=channels,
            wanted=wanted,
        )
    return replace(parts, vae=other)


def vae_from_file(path: Path, own: Config, prefix: str | None = None) -> nn.Module:
    """`own` is the configuration of the VAE that it replaces: a file has no scale, and SD1.5's and SDXL's are alike."""
    with Weights([path]) as weights:
        if prefix is None:
            usual = ("first_stage_model.", "vae.")
            prefix = next((p for p in usual if weights.shape(p + "decoder.conv_in.weight")), "")
        if weights.shape(prefix + "decoder.up_blocks.0.resnets.0.conv1.weight"):
            config = vae_config(weights, own, prefix + "encoder.down_blocks.{}.resnets.{}.conv1.weight", prefix)
            return vae(config, renamed(weights, under(prefix, str), under(prefix, ldm.old_vae_name)), path.name)
        return ldm_vae(
            weights, vae_config(weights, own, prefix + "encoder.down.{}.block.{}.conv1.weight", prefix), prefix
        )


def vae_config(weights: Weights, own: Config, block: str, prefix: str) -> dict[str, Any]:
    """What the shapes of a VAE's weights tell, the rest from another VAE's configuration. `block`: a name with two places."""
    widths: list[int] = []
    while shape := weights.shape(block.format(len(widths), 0)):
        widths.append(shape[0])
    layers = next(count for count in range(100) if not weights.shape(block.format(0, count)))
    return {
        **own,
        "block_out_channels": widths,
        "layers_per_block": layers,
        "down_block_types": ["DownEncoderBlock2D"] * len(widths),
        "up_block_types": ["UpDecoderBlock2D"] * len(widths),
        "latent_channels": (weights.shape(prefix + "decoder.conv_in.weight") or (0, 0))[1],
        "use_quant_conv": bool(weights.shape(prefix + "quant_conv.weight")),
        "use_post_quant_conv": bool(weights.shape(prefix + "post_quant_conv.weight")),
    }
