"""Whether a file is a LoRA, and of which family: from names and shapes, and from metadata only where these are silent."""

import re
from collections.abc import Iterator

from core.models.lora.names import Named, is_strangers
from core.models.tensors import Header

# Names that one family alone has, the more telling first.
MARKS = (
    ("flux2", re.compile(r"(double|single)_stream_modulation|to_qkv_mlp_proj")),
    ("flux", re.compile(r"(double|single)_blocks[._]\d|single_transformer_blocks[._]\d")),
    ("qwen_image", re.compile(r"transformer_blocks[._]\d+[._](img|txt)_(mlp|mod)[._]")),
    ("wan", re.compile(r"(?m:^|[._])blocks[._]\d+[._](self|cross)_attn[._]")),
    ("sd3", re.compile(r"joint_blocks[._]\d|(^|[._])transformer_blocks[._]\d+[._]attn[._]add_[qkv]_proj")),
    ("z_image", re.compile(r"(?m:^|[._])(layers|noise_refiner|context_refiner)[._]\d+[._](attention[._]|feed_forward|adaLN)")),
    ("flux", re.compile(r"layer[._]\d[._](SelfAttention|DenseReluDense)[._]")),  # T5
    ("sdxl", re.compile(r"(?m:^|[._])(lora_te2|text_encoder_2|clip_g)[._]")),
    # Only SDXL's UNet has transformers of depth 2 and more; only SD1.5's and SD2's attend in the first block.
    ("sdxl", re.compile(r"(attentions|(input|output)_blocks|middle_block)([._]\d+)*[._]transformer_blocks[._][1-9]")),
    ("sd15", re.compile(r"down_blocks[._]0[._]attentions|up_blocks[._]3[._]attentions")),
    ("sd15", re.compile(r"(input_blocks[._][12]|output_blocks[._](9|10|11))[._]1[._]")),
)  # fmt: skip
WIDTHS = {768: "sd15", 1024: "sd2", 2048: "sdxl"}  # of the text that cross attention reads
INPUTS = {"down", "hada_w1_b", "diff"}  # roles whose last side is a module's input
CROSS_INPUT = re.compile(r"attn2[._](processor[._])?to_[kv]$")
JOINT_INPUT, FLUX = re.compile(r"attn[._]add_[qkv]_proj$"), 3072  # SD3's blocks have Flux's names, and are narrower
# What trainers write into `ss_base_model_version` and `modelspec.architecture`.
WRITTEN = (
    ("sdxl", re.compile(r"sdxl|stable-diffusion-xl", re.I)),
    ("sd3", re.compile(r"^sd3|stable-diffusion-3", re.I)),
    ("sd2", re.compile(r"^sd_?v?2|stable-diffusion-v2", re.I)),
    ("sd15", re.compile(r"^sd_?v?1|stable-diffusion-v1", re.I)),
    ("flux2", re.compile(r"^flux.?2", re.I)),
    ("flux", re.compile(r"^flux", re.I)),
    ("qwen_image", re.compile(r"^qwen", re.I)),
    ("wan", re.compile(r"^wan", re.I)),
    ("z_image", re.compile(r"z.?image", re.I)),
)


def is_lora(named: Named) -> bool:
    """Some models have single tensors with a LoRA's names (`.alpha`): a LoRA has more of these than of others."""
    marked = sum(len(roles) for found in (named.modules, named.embeddings) for roles in found.values())
    unread = sum(is_strangers(name) for name in named.strange)
    return 2 * (marked + unread) > marked + len(named.strange)


def family_of(header: Header, named: Named) -> str | None:
    """A key of FAMILY_TITLES, or None where the file does not tell."""
    modules = "\n".join(named.modules)  # one search for each mark: a library has thousands of files
    marked = next((family for family, mark in MARKS if mark.search(modules)), None)
    if marked == "sd3" and FLUX in _inputs(header, named, JOINT_INPUT):
        return "flux"
    if marked not in {None, "sd15"}:
        return marked
    crossing = (WIDTHS[width] for width in _inputs(header, named, CROSS_INPUT) if width in WIDTHS)
    return next(crossing, None) or _written(header) or marked


def _inputs(header: Header, named: Named, modules: re.Pattern[str]) -> Iterator[int]:
    """How wide the inputs of these modules are."""
    for module, roles in named.modules.items():
        if modules.search(module):
            shapes = (header.shape(roles[role]) for role in INPUTS & roles.keys())
            yield from (shape[1] for shape in shapes if len(shape) >= 2)


def _written(header: Header) -> str | None:
    for key in ("ss_base_model_version", "modelspec.architecture"):
        text = header.metadata.get(key, "")[:200]
        for family, pattern in WRITTEN:
            if pattern.search(text):
                return family
    return None
