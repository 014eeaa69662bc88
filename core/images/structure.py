"""How far pictures lie apart in what stands where, and whether a half-done one is striped. Numbers of pixels alone: no download.

The distance is 1 - SSIM (Wang, Bovik, Sheikh, Simoncelli 2004), the mean over a pyramid of luminance: fine sizes see detail, coarse
ones forgive a small shift. Colour is not looked at.
"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

LONGEST = 32  # pixels of the finest size: texture, which differs between any two photographs, is below it
SIZES = 4  # each half the one before
WINDOW = 7  # pixels, of SSIM
C1, C2 = 0.01**2, 0.03**2  # SSIM's constants for values in 0..1
FEWEST_WAVES = 5  # over the picture: what repeats less often is a motif, no stripe
STRIPES_SIDE = 64  # pixels, the longer one
STRIPED = 0.3  # of all variance in one wave; of 1800 pictures with natural statistics none had more than 0.26

Level = NDArray[np.float64]  # [h, w] luminance in 0..1
Pyramid = tuple[Level, ...]


def pyramid(picture: Image.Image) -> Pyramid:
    """The luminance of a picture at a few sizes, the finest first. Of one shape for pictures of one size."""
    return tuple(_luminance(picture, LONGEST / 2**k) for k in range(SIZES))


def _luminance(picture: Image.Image, longest: float) -> Level:
    w, h = (max(1, round(side * longest / max(picture.size))) for side in picture.size)
    return np.asarray(picture.convert("L").resize((w, h), Image.Resampling.BOX), np.float64) / 255


def distance(a: Pyramid, b: Pyramid) -> float:
    """0: equal; 1: nothing in common. Both of one shape."""
    return float(np.mean([1 - max(0.0, _ssim(x, y)) for x, y in zip(a, b, strict=True)]))


def spread(pictures: Sequence[Pyramid]) -> float | None:
    """The mean distance over all pairs; None for fewer than two."""
    apart = [distance(a, b) for a, b in combinations(pictures, 2)]
    return float(np.mean(apart)) if apart else None


def _ssim(x: Level, y: Level) -> float:
    mx, my = _mean(x), _mean(y)
    vx, vy, vxy = _mean(x * x) - mx * mx, _mean(y * y) - my * my, _mean(x * y) - mx * my
    return float(np.mean((2 * mx * my + C1) * (2 * vxy + C2) / ((mx * mx + my * my + C1) * (vx + vy + C2))))


def _mean(level: Level) -> Level:
    """Over every window that lies within."""
    sides = [min(WINDOW, side) for side in level.shape]
    return np.lib.stride_tricks.sliding_window_view(level, sides).mean(axis=(2, 3))


def stripes(picture: Image.Image) -> float:
    """The share, 0 to 1, of a picture's variance that lies in one wave which repeats at least five times across it.

    Above STRIPED the eye sees stripes. A Hann window keeps the picture's edges from counting as waves.
    """
    grey = _luminance(picture, STRIPES_SIDE)
    h, w = grey.shape
    window = np.outer(np.hanning(h + 2)[1:-1], np.hanning(w + 2)[1:-1])
    centred = (grey - (grey * window).sum() / window.sum()) * window
    power = np.abs(np.fft.fft2(centred)) ** 2
    total = float(power.sum())
    if total < 1e-9 * h * w:
        return 0.0  # one flat colour
    waves = np.hypot(np.fft.fftfreq(h)[:, None], np.fft.fftfreq(w)[None]) * max(h, w)  # a picture
    peak = np.unravel_index(np.argmax(np.where(waves >= FEWEST_WAVES, power, 0)), power.shape)
    near = np.ix_(*(np.arange(at - 1, at + 2) % side for at, side in zip(peak, power.shape, strict=True)))
    return min(1.0, 2 * float(power[near].sum()) / total)  # twice: a real wave has a mirror image


def striped(picture: Image.Image) -> bool:
    return stripes(picture) > STRIPED
