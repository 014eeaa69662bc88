"""Names of weights in the LDM layout (CompVis and Stability checkpoints), from diffusers' and transformers' names.

Names only: which tensor goes where. A test holds this table against diffusers' own converter.
"""

import re
from collections.abc import Callable

RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
ENDS = {
    "conv_in": "input_blocks.0.0",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
VAE_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}
OLD_ATTENTION = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}  # diffusers before 0.17
OPEN_CLIP = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "self_attn.out_proj": "attn.out_proj",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}


def unet_name(layers_per_block: int, attention: Callable[[int], bool]) -> Callable[[str], str]:
    """From diffusers' name in a UNet2DConditionModel to LDM's. `attention(i)`: whether up block i has attention."""
    down, up = layers_per_block + 1, layers_per_block + 1

    def block(key: str) -> str:
        kind, i, part, j, rest = key.split(".", 4)
        at = int(i) * (down if kind == "down_blocks" else up) + int(j)
        if part == "downsamplers":
            return f"input_blocks.{(int(i) + 1) * down}.0.op.{rest.removeprefix('conv.')}"
        if part == "upsamplers":
            return f"output_blocks.{int(i) * up + layers_per_block}.{2 if attention(int(i)) else 1}.{rest}"
        where = f"input_blocks.{at + 1}" if kind == "down_blocks" else f"output_blocks.{at}"
        return f"{where}.0.{_inner(rest, RESNET)}" if part == "resnets" else f"{where}.1.{rest}"

    def name(key: str) -> str:
        if key.startswith(("down_blocks.", "up_blocks.")):
            return block(key)
        if key.startswith("mid_block."):
            _, part, j, rest = key.split(".", 3)
            return (
                f"middle_block.1.{rest}"
                if part == "attentions"
                else f"middle_block.{2 * int(j)}.{_inner(rest, RESNET)}"
            )
        return _inner(key, ENDS)

    return name


def vae_name(levels: int) -> Callable[[str], str]:
    """From diffusers' name in an AutoencoderKL to LDM's. `levels`: how many resolutions it has."""

    def name(key: str) -> str:
        key = key.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")
        key = re.sub(r"down_blocks\.(\d+)\.resnets\.(\d+)", r"down.\1.block.\2", key)
        key = re.sub(r"down_blocks\.(\d+)\.downsamplers\.0", r"down.\1.downsample", key)
        key = re.sub(r"up_blocks\.(\d+)\.resnets\.(\d+)", lambda m: f"up.{levels - 1 - int(m[1])}.block.{m[2]}", key)
        key = re.sub(r"up_blocks\.(\d+)\.upsamplers\.0", lambda m: f"up.{levels - 1 - int(m[1])}.upsample", key)
        key = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", key)
        head, mid, tail = key.partition("mid_block.attentions.0.")
        return f"{head}mid.attn_1.{_inner(tail, VAE_ATTENTION)}" if mid else key

    return name


def old_vae_name(key: str) -> str:
    """Diffusers' own names before 0.17, as in the first SD1.5 folders."""
    head, mid, tail = key.partition("mid_block.attentions.0.")
    return head + mid + _inner(tail, OLD_ATTENTION) if mid else key


def clip_name(key: str) -> str:
    """A CLIP text encoder's name without the `text_model.` that some versions of transformers put before it."""
    return key.removeprefix("text_model.")


def open_clip_name(key: str) -> tuple[str, int | None]:
    """From transformers' name to open_clip's, and which third of a fused q, k, v it is (None: the whole tensor)."""
    key = clip_name(key)
    whole = {
        "embeddings.token_embedding.weight": "token_embedding.weight",
        "embeddings.position_embedding.weight": "positional_embedding",
        "text_projection.weight": "text_projection",
    }
    if key in whole:
        return whole[key], None
    key = key.replace("final_layer_norm.", "ln_final.").replace("encoder.layers.", "transformer.resblocks.")
    fused = re.fullmatch(r"(.*)\.self_attn\.([qkv])_proj\.(weight|bias)", key)
    if fused:
        return f"{fused[1]}.attn.in_proj_{fused[3]}", "qkv".index(fused[2])
    block = re.fullmatch(r"(transformer\.resblocks\.\d+)\.(.*)", key)
    return (f"{block[1]}.{_inner(block[2], OPEN_CLIP)}" if block else key), None


def _inner(key: str, table: dict[str, str]) -> str:
    """Renames the module that a name begins with."""
    for ours, theirs in table.items():
        if key.startswith(ours + "."):
            return theirs + key.removeprefix(ours)
    return key
