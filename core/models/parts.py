"""A transformer family's model from files as ComfyUI keeps them: its denoiser, its text encoders and its VAE, together or apart.

What shapes tell is taken from them, so that a file of fewer layers or other widths loads as well; the rest is in `configs`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from core.errors import ModelError
from core.models import dit_names
from core.models.companions import PartFile
from core.models.loader import DenoiserPart, Parts, TextPart, denoiser, read_json, text_source, vae_from_file
from core.models.text_encoders import MAKERS, Config
from core.models.weights import Source, Weights

Tell = Callable[[Weights, str, Config], dict[str, Any]]
"""From weights, what stands before their names, and a family's usual configuration to the one of these weights."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How a denoiser stands in a file."""

    config: Tell
    source: Callable[[Weights, str, Config], Source]


def from_parts(
    files: Mapping[str, PartFile],
    configs: Path,
    part: DenoiserPart,
    texts: Sequence[TextPart],
    dtype: Callable[[torch.dtype], torch.dtype],
    tokenizer: Callable[[TextPart], Any],
) -> Parts:
    """All components. `configs` is a folder with one JSON file for each. Raises ModelError."""
    net, kept = read_denoiser(files["denoiser"], configs, part, dtype)
    return Parts(
        denoiser=net,
        vae=vae_from_file(files["vae"].path, read_json(configs / "vae.json"), files["vae"].prefix),
        encoders=tuple(_text(files[text.name], text, configs, kept) for text in texts),
        tokenizers=tuple(map(tokenizer, texts)),
    )


def read_denoiser(
    home: PartFile, configs: Path, part: DenoiserPart, dtype: Callable[[torch.dtype], torch.dtype]
) -> tuple[nn.Module, torch.dtype]:
    """It, and the dtype that it is kept in. Raises ModelError."""
    layout = LAYOUTS[part.kind]
    with Weights([home.path]) as weights:
        kept = weights.made = dtype(weights.dtype(home.prefix))
        config = _told(layout.config, weights, home.prefix, configs / f"{part.name}.json", part.title)
        return denoiser(part, config, layout.source(weights, home.prefix, config), kept, weights.title), kept


def _text(home: PartFile, text: TextPart, configs: Path, dtype: torch.dtype) -> nn.Module:
    with Weights([home.path], dtype) as weights:
        config = _told(TEXTS[text.kind], weights, home.prefix, configs / f"{text.name}.json", "text encoder")
        source = text_source(weights, home.prefix)
        return MAKERS[text.kind](config, source, dtype, projection=text.projection, file=weights.title)


def _told(tell: Tell, weights: Weights, prefix: str, usual: Path, part: str) -> dict[str, Any]:
    """A component's configuration. Raises ModelError where the tensors that tell it are not there."""
    try:
        return tell(weights, prefix, read_json(usual))
    except (IndexError, ValueError, ZeroDivisionError) as error:
        raise ModelError(
            "{file} is not complete: weights that tell the size of its {part} are missing.", file=weights.title, part=part
        ) from error


def count(weights: Weights, name: str) -> int:
    """How many tensors of a numbered name there are, from 0 on; `name` has one place for the number."""
    return next(n for n in range(10_000) if not weights.shape(name.format(n)))


def z_image_config(weights: Weights, prefix: str, usual: Config) -> dict[str, Any]:
    dim = weights.shape(f"{prefix}cap_embedder.1.weight")[0]
    norms = (weights.shape(f"{prefix}layers.0.attention.{norm}.weight") for norm in ("q_norm", "norm_q"))
    head = next(filter(None, norms), ())
    heads = dim // head[0] if head else usual["n_heads"]
    return {
        **usual,
        "dim": dim,
        "n_heads": heads,
        "n_kv_heads": heads,
        "cap_feat_dim": weights.shape(f"{prefix}cap_embedder.1.weight")[1],
        "n_layers": count(weights, prefix + "layers.{}.attention_norm1.weight"),
        "n_refiner_layers": count(weights, prefix + "noise_refiner.{}.attention_norm1.weight"),
    }


def qwen3_config(weights: Weights, prefix: str, usual: Config) -> dict[str, Any]:
    layer = prefix + "layers.0."
    head = weights.shape(layer + "self_attn.q_norm.weight")[0]
    words, width = weights.shape(prefix + "embed_tokens.weight")
    return {
        **usual,
        "vocab_size": words,
        "hidden_size": width,
        "head_dim": head,
        "intermediate_size": weights.shape(layer + "mlp.gate_proj.weight")[0],
        "num_hidden_layers": count(weights, prefix + "layers.{}.input_layernorm.weight"),
        "num_attention_heads": weights.shape(layer + "self_attn.q_proj.weight")[0] // head,
        "num_key_value_heads": weights.shape(layer + "self_attn.k_proj.weight")[0] // head,
    }


def flux_config(weights: Weights, prefix: str, usual: Config) -> dict[str, Any]:
    dim, channels = weights.shape(prefix + "img_in.weight")
    head = weights.shape(prefix + "double_blocks.0.img_attn.norm.query_norm.scale")[0]
    return {
        **usual,
        "in_channels": channels,
        "num_layers": count(weights, prefix + "double_blocks.{}.img_attn.qkv.weight"),
        "num_single_layers": count(weights, prefix + "single_blocks.{}.linear1.weight"),
        "attention_head_dim": head,
        "num_attention_heads": dim // head,
        "joint_attention_dim": weights.shape(prefix + "txt_in.weight")[1],
        "pooled_projection_dim": weights.shape(prefix + "vector_in.in_layer.weight")[1],
        "guidance_embeds": bool(weights.shape(prefix + "guidance_in.in_layer.weight")),
    }


def t5_config(weights: Weights, prefix: str, usual: Config) -> dict[str, Any]:
    layer = prefix + "encoder.block.0.layer."
    words, width = weights.shape(prefix + "shared.weight")
    return {
        **usual,
        "vocab_size": words,
        "d_model": width,
        "d_ff": weights.shape(layer + "1.DenseReluDense.wo.weight")[1],
        "num_layers": count(weights, prefix + "encoder.block.{}.layer.0.SelfAttention.q.weight"),
        "num_heads": weights.shape(layer + "0.SelfAttention.relative_attention_bias.weight")[1],
        "d_kv": weights.shape(layer + "0.SelfAttention.q.weight")[0]
        // weights.shape(layer + "0.SelfAttention.relative_attention_bias.weight")[1],
    }


def clip_config(weights: Weights, prefix: str, usual: Config) -> dict[str, Any]:
    layers = prefix + "text_model.encoder.layers.{}."
    words, width = weights.shape(prefix + "text_model.embeddings.token_embedding.weight")
    return {
        **usual,
        "vocab_size": words,
        "hidden_size": width,
        "intermediate_size": weights.shape(layers.format(0) + "mlp.fc1.weight")[0],
        "num_hidden_layers": count(weights, layers + "layer_norm1.weight"),
    }


LAYOUTS: Mapping[str, Layout] = MappingProxyType(
    {
        "ZImageTransformer2DModel": Layout(
            config=z_image_config,
            source=lambda weights, prefix, config: dit_names.z_image_source(weights, prefix, config["dim"]),
        ),
        "FluxTransformer2DModel": Layout(
            config=flux_config,
            source=lambda weights, prefix, config: dit_names.flux_source(
                weights, prefix, config["num_attention_heads"] * config["attention_head_dim"]
            ),
        ),
    }
)
TEXTS: Mapping[str, Tell] = MappingProxyType(
    {"qwen3": qwen3_config, "t5": t5_config, "clip": clip_config}
)
