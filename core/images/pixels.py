"""Between tensors, pictures and bytes."""

from io import BytesIO
from typing import Any

import torch
from PIL import Image, ImageOps
from torch import Tensor


def to_images(pixels: Tensor) -> list[Image.Image]:
    """[B, 3, H, W] in 0..1 -> RGB pictures, rounded to the nearest of 256 levels."""
    levels = (pixels.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().contiguous().numpy()
    return [Image.fromarray(level) for level in levels]


def fit_to(picture: Image.Image, width: int, height: int) -> Image.Image:
    """Scaled to fill width x height, what sticks out cut off evenly; a picture of that size stays as it is."""
    if picture.size == (width, height):
        return picture.convert("RGB")
    return ImageOps.fit(picture.convert("RGB"), (width, height), Image.Resampling.LANCZOS)


def encoded(picture: Image.Image, form: str, **options: Any) -> bytes:
    """The bytes of a file of that format."""
    buffer = BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()
