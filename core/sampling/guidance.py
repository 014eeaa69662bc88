"""Classifier-free guidance (Ho and Salimans 2022), on denoised values."""

import math

from torch import Tensor


def cfg_is_off(scale: float) -> bool:
    """At 1 the negative cancels out, so it need not be evaluated (ComfyUI's comparison)."""
    return math.isclose(scale, 1.0)


def cfg(positive: Tensor, negative: Tensor, scale: float) -> Tensor:
    """negative + scale * (positive - negative); 1 is off."""
    return negative + (positive - negative) * scale
