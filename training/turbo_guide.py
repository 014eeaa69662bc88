"""demo-turbo's second teacher: the demo model with guidance, its answer told as the velocity of a flow.

Both models draw in the same latents, so a point of the flow, x = (1 - s) * clean + s * noise, is after division by 1 - s
a point of the demo's own way, at sigma = s / (1 - s).
"""

from pathlib import Path

import torch
from torch import Tensor

from core.sampling.model_sampling import per_image
from training.lcm import NOISY, Teacher

GUIDANCE = 4.0  # that demo-turbo learns: at it the demo model's pictures hold most of what their captions say
NOISIEST = 0.93  # of the flow's sigmas: the demo model knows none above 14.6 / 15.6


class Guide:
    """The demo model at `folder`, read once."""

    def __init__(self, folder: Path, guidance: float = GUIDANCE) -> None:
        self._demo = Teacher(folder, guidance)

    @torch.no_grad()
    def velocity(self, x: Tensor, sigmas: Tensor, captions: list[str]) -> Tensor:
        """clean - noise, float32, as the demo sees it in x [N, 4, 16, 16] at the flow's sigmas [N], none above NOISIEST."""
        noisy, levels = x / (1 - per_image(sigmas, x)), sigmas / (1 - sigmas)
        noise = self._demo.guided(NOISY.input(noisy, levels), levels, self._demo.read(captions))
        return NOISY.denoised(noisy, levels, noise) - noise

    def lesson(self, x: Tensor, sigmas: Tensor, captions: list[str], shown: Tensor) -> Tensor:
        """What the student shall give: the demo's answer, and what the data show [N, 4, 16, 16] where it knows no level."""
        known = sigmas <= NOISIEST
        said = [words for words, wanted in zip(captions, known.tolist(), strict=True) if wanted]
        wanted = shown.clone()
        wanted[known] = self.velocity(x[known], sigmas[known], said)
        return wanted
