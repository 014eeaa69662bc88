"""What a denoiser alone needs besides: text encoders and a VAE, looked for among the files that are there.

They are known by their own weights, and fit by their width: text by the numbers of a token, a VAE by its latent channels.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from core.models.tensors import Header


@dataclass(frozen=True, kw_only=True)
class Inside:
    """A component inside a file: what stands before its tensors' names, and how wide it is."""

    prefix: str
    width: int


@dataclass(frozen=True, kw_only=True)
class PartFile:
    """Where a component is read from."""

    path: Path
    prefix: str = ""


@dataclass(frozen=True, kw_only=True)
class Need:
    """A component that a family's denoiser cannot do without."""

    role: str  # qwen3, clip, t5 or vae
    tensors: tuple[str, ...]  # of the denoiser, in ComfyUI's words or diffusers': its second size tells the width
    divided: int = 1  # by this: a transformer's patch has four latent cells
    file: str  # as it is called where people get it
    folder: str  # below models/


@dataclass(frozen=True, kw_only=True)
class Mark:
    """How a component is known: a tensor that no other kind has, and the one that is as wide as it is."""

    tensor: str
    wide: str  # its second size is the width


MARKS: Mapping[str, Mark] = MappingProxyType(
    {
        "qwen3": Mark(tensor="layers.0.self_attn.q_norm.weight", wide="embed_tokens.weight"),
        "t5": Mark(tensor="encoder.block.0.layer.0.SelfAttention.q.weight", wide="shared.weight"),
        "clip": Mark(
            tensor="text_model.encoder.layers.0.self_attn.q_proj.weight",
            wide="text_model.embeddings.token_embedding.weight",
        ),
        "vae": Mark(tensor="decoder.conv_in.weight", wide="decoder.conv_in.weight"),
    }
)

NEEDS: Mapping[str, Mapping[str, Need]] = MappingProxyType(
    {
        "z_image": {
            "text_encoder": Need(
                role="qwen3", tensors=("cap_embedder.1.weight",), file="qwen_3_4b.safetensors", folder="text_encoders"
            ),
            "vae": Need(tensors=("x_embedder.weight", "all_x_embedder.2-1.weight"), role="vae", file="ae.safetensors", folder="vae", divided=4),
        },
        "flux": {
            "text_encoder": Need(
                role="clip",
                tensors=("vector_in.in_layer.weight",),
                file="clip_l.safetensors",
                folder="text_encoders",
            ),
            "text_encoder_2": Need(
                role="t5", tensors=("txt_in.weight",), file="t5xxl_fp16.safetensors", folder="text_encoders"
            ),
            "vae": Need(tensors=("img_in.weight",), role="vae", file="ae.safetensors", folder="vae", divided=4),
        },
    }
)


def parts_inside(header: Header) -> dict[str, Inside]:
    """The text encoders and the VAE that a file holds, by role; the first of each."""
    found: dict[str, Inside] = {}
    for name in header.tensors:
        for role, mark in MARKS.items():
            if role not in found and name.endswith(mark.tensor):
                prefix = name.removesuffix(mark.tensor)
                shape = header.shape(prefix + mark.wide)
                if (not prefix or prefix.endswith(".")) and len(shape) > 1:
                    found[role] = Inside(prefix=prefix, width=shape[1])
    return found


def needs_of(family: str, header: Header, prefix: str) -> dict[str, int]:
    """What the denoiser below a prefix needs: the width of each role."""
    needs: dict[str, int] = {}
    for need in NEEDS[family].values():
        shapes = (header.shape(prefix + tensor) for tensor in need.tensors)
        shape = next(filter(None, shapes), ())
        needs[need.role] = shape[1] // need.divided if len(shape) == 2 else 0
    return needs


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A file that may be a companion."""

    path: Path
    inside: Mapping[str, Inside]
    quantised: bool


def companions(
    family: str, own: Candidate, needs: Mapping[str, int], others: Iterable[Candidate]
) -> tuple[dict[str, PartFile], tuple[Need, ...]]:
    """The files of all components, and what is missing. A component of the file itself comes first, then exact weights."""
    everyone = [own, *sorted(others, key=lambda one: (one.quantised, str(one.path).lower()))]
    parts = {"denoiser": PartFile(path=own.path, prefix=own.inside["denoiser"].prefix)}
    missing: list[Need] = []
    for part, need in NEEDS[family].items():
        fitting = (
            PartFile(path=one.path, prefix=one.inside[need.role].prefix)
            for one in everyone
            if need.role in one.inside and one.inside[need.role].width == needs[need.role]
        )
        found = next(fitting, None)
        if found is None:
            missing.append(need)
        else:
            parts[part] = found
    return parts, tuple(missing)
