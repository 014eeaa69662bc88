"""Pixels to latents and back through an AutoencoderKL. Latents here are in the VAE's own units."""

from collections.abc import Generator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

TILE = (64, 512)  # pixels, smallest and largest side of a tile


def downscale(vae: Any) -> int:
    """Pixels per latent cell, each way."""
    return 2 ** (len(vae.config.block_out_channels) - 1)


def encode(vae: Any, image: Image.Image) -> Tensor:
    """RGB image -> the mode of the posterior [1, C, h, w], float32; what does not fill a latent cell is cut off."""
    cell = downscale(vae)
    width, height = image.width // cell * cell, image.height // cell * cell
    pixels = torch.as_tensor(np.array(image.convert("RGB"))[:height, :width])  # [H, W, 3] uint8
    x = pixels.to(vae.device, torch.float32).permute(2, 0, 1)[None] / 127.5 - 1
    return vae.encode(x.to(vae.dtype)).latent_dist.mode().float()


def decode(vae: Any, latent: Tensor, tiled: bool = False) -> Tensor:
    """[B, C, h, w] -> pixels [B, 3, H, W], float32 in 0..1, on the CPU."""
    with tiling(vae, latent.shape[-2:]) if tiled else nullcontext():
        y: Tensor = vae.decode(latent.to(vae.device, vae.dtype), return_dict=False)[0]
    return ((y.float() + 1) / 2).clamp(0, 1).cpu()


@contextmanager
def tiling(vae: Any, size: torch.Size) -> Generator[None]:
    """Overlapping tiles of at most half the picture's side, blended: less memory, slightly other pixels."""
    cell = downscale(vae)
    side = min(max(max(size) * cell // 2, TILE[0]), TILE[1])
    before = vae.tile_sample_min_size, vae.tile_latent_min_size
    vae.tile_sample_min_size, vae.tile_latent_min_size = side, side // cell
    vae.enable_tiling()
    try:
        yield
    finally:
        vae.disable_tiling()
        vae.tile_sample_min_size, vae.tile_latent_min_size = before
