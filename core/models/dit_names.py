"""Names of weights in the files of Z-Image and Flux.1 as ComfyUI has them, from diffusers' names.

Names only: which rows of which tensor go where. Tests hold them against diffusers' own converters.
"""

import re
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from core.models.weights import Source, Weights

Place = tuple[str, slice | None]
"""A tensor's name in the file, and which of its rows; None: all."""


def z_image_place(key: str, dim: int) -> Place:
    """`dim`: the transformer's width; q, k and v stand below each other in one tensor."""
    key = key.replace("all_final_layer.2-1.", "final_layer.").replace("all_x_embedder.2-1.", "x_embedder.")
    key = key.replace(".attention.norm_q.", ".attention.q_norm.").replace(".attention.norm_k.", ".attention.k_norm.")
    key = key.replace(".attention.to_out.0.", ".attention.out.")
    fused = re.fullmatch(r"(.*\.attention)\.to_([qkv])\.weight", key)
    return (f"{fused[1]}.qkv.weight", rows("qkv".index(fused[2]), dim)) if fused else (key, None)


FLUX_OUTER = {
    "time_text_embed.timestep_embedder.linear_1.": "time_in.in_layer.",
    "time_text_embed.timestep_embedder.linear_2.": "time_in.out_layer.",
    "time_text_embed.text_embedder.linear_1.": "vector_in.in_layer.",
    "time_text_embed.text_embedder.linear_2.": "vector_in.out_layer.",
    "time_text_embed.guidance_embedder.linear_1.": "guidance_in.in_layer.",
    "time_text_embed.guidance_embedder.linear_2.": "guidance_in.out_layer.",
    "context_embedder.": "txt_in.",
    "x_embedder.": "img_in.",
    "norm_out.linear.": "final_layer.adaLN_modulation.1.",
    "proj_out.": "final_layer.linear.",
}
FLUX_DOUBLE = {
    "norm1.linear.": "img_mod.lin.",
    "norm1_context.linear.": "txt_mod.lin.",
    "attn.norm_q.weight": "img_attn.norm.query_norm.scale",
    "attn.norm_k.weight": "img_attn.norm.key_norm.scale",
    "attn.norm_added_q.weight": "txt_attn.norm.query_norm.scale",
    "attn.norm_added_k.weight": "txt_attn.norm.key_norm.scale",
    "attn.to_out.0.": "img_attn.proj.",
    "attn.to_add_out.": "txt_attn.proj.",
    "ff.net.0.proj.": "img_mlp.0.",
    "ff.net.2.": "img_mlp.2.",
    "ff_context.net.0.proj.": "txt_mlp.0.",
    "ff_context.net.2.": "txt_mlp.2.",
}
FLUX_SINGLE = {
    "norm.linear.": "modulation.lin.",
    "attn.norm_q.weight": "norm.query_norm.scale",
    "attn.norm_k.weight": "norm.key_norm.scale",
    "proj_out.": "linear2.",
}


def flux_place(key: str, dim: int) -> Place:
    """In a double block q, k and v of image and of text stand below each other; in a single block the MLP's rows follow."""
    block = re.fullmatch(r"(single_)?transformer_blocks\.(\d+)\.(.*)", key)
    if not block:
        return renamed(key, FLUX_OUTER), None
    at, inner = f"{'single' if block[1] else 'double'}_blocks.{block[2]}.", block[3]
    fused = re.fullmatch(r"attn\.(to|add)_([qkv])(?:_proj)?\.(weight|bias)", inner)
    if fused and not block[1]:
        return f"{at}{'img' if fused[1] == 'to' else 'txt'}_attn.qkv.{fused[3]}", rows("qkv".index(fused[2]), dim)
    if fused:
        return f"{at}linear1.{fused[3]}", rows("qkv".index(fused[2]), dim)
    if inner.startswith("proj_mlp."):
        return at + inner.replace("proj_mlp.", "linear1."), slice(3 * dim, None)
    return at + renamed(inner, FLUX_SINGLE if block[1] else FLUX_DOUBLE), None


def renamed(key: str, table: Mapping[str, str]) -> str:
    """The name with its beginning replaced."""
    return next((theirs + key.removeprefix(ours) for ours, theirs in table.items() if key.startswith(ours)), key)


def rows(n: int, dim: int) -> slice:
    """The n-th block of `dim` rows."""
    return slice(n * dim, (n + 1) * dim)


def modules(ours: Iterable[str], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[str, tuple[slice, ...]]]:
    """Of a denoiser's modules, by its parameters' shapes: what its makers call each, and which rows of theirs it is. Empty for a UNet."""
    if "cap_embedder.1.weight" in shapes:
        place, dim = z_image_place, shapes["cap_embedder.1.weight"][0]
    elif "context_embedder.weight" in shapes:
        place, dim = flux_place, shapes["context_embedder.weight"][0]
    else:
        return {}
    found: dict[str, tuple[str, tuple[slice, ...]]] = {}
    for module in ours:
        name, part = place(f"{module}.weight", dim)
        swapped = (rows(1, dim), rows(0, dim)) if module == "norm_out.linear" else ()
        found[module] = name.rpartition(".")[0], swapped if part is None else (part,)
    return found


def z_image_source(weights: Weights, prefix: str, dim: int) -> Source:
    """ComfyUI's names below a prefix, or diffusers' own."""

    def source(key: str) -> Tensor | None:
        if prefix + key in weights:
            return weights[prefix + key]
        name, part = z_image_place(key, dim)
        return cut(weights, prefix + name, part)

    return source


def flux_source(weights: Weights, prefix: str, dim: int) -> Source:
    """Black Forest Labs' names below a prefix."""

    def source(key: str) -> Tensor | None:
        name, part = flux_place(key, dim)
        tensor = cut(weights, prefix + name, part)
        if tensor is None or not key.startswith("norm_out."):
            return tensor
        return torch.cat(tensor.chunk(2)[::-1])  # shift above scale there, scale above shift in diffusers

    return source


def cut(weights: Weights, name: str, part: slice | None) -> Tensor | None:
    if name not in weights:
        return None
    return weights.read(name, part)
