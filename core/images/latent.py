"""ComfyUI's .latent files: safetensors with `latent_tensor` [1, C, h, w] in VAE units, whatever noise is left in it.

A latent with noise left has its level's own scaling undone: x for eps and v, x / (1 - sigma) for flow.
"""

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from core.errors import ImageError, RecipeError
from core.families.base import LatentFormat

VERSIONED = "latent_format_version_0"
UNVERSIONED_SCALE = 1 / 0.18215  # files without that mark are in sampler units of SD1.5
MOST_CHANNELS = 128
MOST_SIDE = 512  # cells: 4096 pixels
HEADER_BYTES = 2**20  # ComfyUI writes its workflow there


def is_latent(data: bytes) -> bool:
    """Whether these bytes begin as a safetensors file does; no picture begins so."""
    return 2 <= int.from_bytes(data[:8], "little") <= HEADER_BYTES and data[8:9] == b"{"


def write(latent: Tensor) -> bytes:
    """A file of latents [B, C, h, w] in VAE units."""
    tensors = {"latent_tensor": latent.detach().float().cpu().contiguous().clone(), VERSIONED: torch.zeros(0)}
    return save(tensors)


def read(data: bytes) -> Tensor:
    """An untrusted file -> [1, C, h, w] float32 in VAE units. Raises ImageError."""
    try:
        tensors = load(data)
    except (SafetensorError, ValueError, KeyError, TypeError, RuntimeError, OverflowError) as error:
        raise ImageError("This latent is damaged: part of the file is missing or wrong.") from error
    latent = tensors.get("latent_tensor")
    if latent is None:
        raise ImageError("This file is no latent of ComfyUI: it has no latent_tensor. Save the latent again.")
    if not latent.is_floating_point():
        raise ImageError("This latent is damaged: part of the file is missing or wrong.")
    sizes = tuple(latent.shape)
    if (
        len(sizes) != 4
        or sizes[0] != 1
        or not 0 < sizes[1] <= MOST_CHANNELS
        or not 0 < min(sizes[2:]) <= max(sizes[2:]) <= MOST_SIDE
    ):
        raise ImageError(
            "This latent has the shape {shape}: one of 1 x channels x height x width can be used, up to 4096 pixels a side.",
            shape=" x ".join(map(str, sizes)),
        )  # fmt: skip
    latent = latent.to(torch.float32) * (1.0 if VERSIONED in tensors else UNVERSIONED_SCALE)
    if not bool(torch.isfinite(latent).all()):
        raise ImageError("This latent holds values that are no numbers: make it anew.")
    return latent


def fits(latent: Tensor, form: LatentFormat, width: int, height: int) -> Tensor:
    """The latent, if a run of this size can start from it. Raises RecipeError."""
    _, channels, h, w = latent.shape
    if channels != form.channels:
        raise RecipeError(
            "The starting latent has {channels} channels and this model takes {wanted}: choose a model of its family.",
            channels=channels, wanted=form.channels,
        )  # fmt: skip
    if (w * form.downscale, h * form.downscale) != (width, height):
        raise RecipeError(
            "The starting latent is of a picture of {width} x {height} pixels: give the recipe that size.",
            width=w * form.downscale, height=h * form.downscale,
        )  # fmt: skip
    return latent
