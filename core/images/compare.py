"""Two pictures side by side: where they differ, and by how much. Pure functions of pixels, no model of seeing."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageChops

from core.errors import ImageError


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How far two pictures lie apart, in shares of full scale (255 levels): 0 is equal, 1 is black against white."""

    rms: float  # root of the mean square over pixels and channels
    most: float  # the largest difference of any channel of any pixel
    changed: float  # share of the pixels that are not equal


def difference(a: Image.Image, b: Image.Image) -> Difference:
    """Raises ImageError for two sizes."""
    apart = np.asarray(_apart(a, b), np.float64) / 255
    return Difference(
        rms=float(np.sqrt(np.mean(apart**2))), most=float(apart.max()), changed=float(np.mean(apart.max(axis=2) > 0))
    )


def difference_map(a: Image.Image, b: Image.Image, gain: float = 1.0) -> Image.Image:
    """Bright where the pictures differ, black where they are equal: each channel's distance, `gain` times. Raises ImageError."""
    return _apart(a, b).point([min(255, round(level * gain)) for level in range(256)] * 3)


def _apart(a: Image.Image, b: Image.Image) -> Image.Image:
    if a.size != b.size:
        raise ImageError("These pictures have two sizes: only pictures of one size can be compared.")
    return ImageChops.difference(a.convert("RGB"), b.convert("RGB"))
