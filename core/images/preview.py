"""Previews of a half-done latent: by the VAE itself where it is quick enough, else by a matrix fitted to it.

C latent channels, h x w latent size, f pixels per latent cell. A cell's mean colour is nearly linear in its C numbers.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from core.families.base import LoadedModel

FIT_PICTURES = 6
FIT_SIDE = 128  # pixels
FIT_SEED = 7
RIDGE = 1e-3  # of the mean square of a channel: a channel that does nothing gets no say
DECODE_SECONDS = 0.06  # a decode that costs less is worth its exactness
DECODE_CELLS = 64 * 64  # of a latent: no preview may be what runs out of memory
DECODES_HEARD = 3  # so many slow ones in a row end it
PROBE_CELLS = 8  # side of the piece whose decode tells what the whole would cost


@dataclass(frozen=True, kw_only=True, eq=False)
class PreviewMatrix:
    """RGB in 0..1 = [z, 1] @ weights, z in sampler units."""

    weights: Tensor  # [C+1, 3] float32 on the CPU


def fit(model: LoadedModel) -> PreviewMatrix:
    """Least squares over encoded pictures with the statistics of natural ones. Deterministic."""
    form = model.latent_format
    normal = torch.zeros(form.channels + 1, form.channels + 1)
    target = torch.zeros(form.channels + 1, 3)
    for picture in pictures(FIT_PICTURES, FIT_SIDE, FIT_SEED):
        z, rgb_cells = cells(model, picture)
        normal += z.T @ z
        target += z.T @ rgb_cells
    normal += RIDGE * normal.diagonal()[:-1].mean() * torch.eye(form.channels + 1)
    return PreviewMatrix(weights=torch.tensor(np.linalg.solve(normal.numpy(), target.numpy())))


def cells(model: LoadedModel, picture: Image.Image) -> tuple[Tensor, Tensor]:
    """A picture cell by cell: [z, 1] [h*w, C+1] in sampler units, and the mean colour [h*w, 3] in 0..1."""
    form = model.latent_format
    z = form.to_sampler(model.encode_image(picture)).float().cpu()[0].flatten(1).T
    pixels = torch.tensor(np.array(picture, np.float32) / 255).permute(2, 0, 1)
    colours = torch.nn.functional.avg_pool2d(pixels, form.downscale).flatten(1).T
    return torch.cat([z, torch.ones(len(z), 1)], dim=1), colours


def rgb(matrix: PreviewMatrix, denoised: Tensor) -> Image.Image:
    """denoised [1, C, h, w] in sampler units -> a picture of w x h pixels."""
    z = denoised[0].detach().float().cpu()  # [C, h, w]
    colours = torch.einsum("chw,ck->hwk", z, matrix.weights[:-1]) + matrix.weights[-1]
    return _picture(colours)


def jpeg_data(picture: Image.Image, longest: int = 256, quality: int = 75) -> bytes:
    """A JPEG of at most `longest` pixels a side; small pictures stay small, the browser enlarges them."""
    small = picture.convert("RGB")
    small.thumbnail((longest, longest), Image.Resampling.BILINEAR)
    buffer = BytesIO()
    small.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


class Previewer:
    """Shows a model's half-done latents in the best way that costs next to nothing; measures which that is."""

    def __init__(self, model: LoadedModel) -> None:
        self._model = model
        self._matrix: PreviewMatrix | None = None
        self._seconds: dict[tuple[int, int], list[float]] = {}  # what decodes cost, by latent size

    def __call__(self, denoised: Tensor) -> Image.Image:
        """denoised [1, C, h, w] in sampler units -> RGB, either of the full size or of one pixel a cell."""
        if not self._worth_decoding(denoised):
            self._matrix = self._matrix or fit(self._model)
            return rgb(self._matrix, denoised)
        began = time.perf_counter()
        picture = self._decode(denoised)
        self._seconds[_size(denoised)].append(time.perf_counter() - began)
        return picture

    def _worth_decoding(self, denoised: Tensor) -> bool:
        """Quick, and no strain: where parts take turns on the GPU a decode would push the denoiser out of its place."""
        if self._model.residency.level != "resident" or denoised[0, 0].numel() > DECODE_CELLS:
            return False
        size = _size(denoised)
        if size not in self._seconds:
            self._seconds[size] = [self._probe(denoised)]
        # The quickest of the last few: a hiccup of a busy machine decides nothing, a lasting one does.
        return min(self._seconds[size][-DECODES_HEARD:]) < DECODE_SECONDS

    def _probe(self, denoised: Tensor) -> float:
        """Seconds that a decode of this size would cost: of a corner of it, times the area."""
        corner = denoised[:, :, :PROBE_CELLS, :PROBE_CELLS]
        seconds: list[float] = []
        while len(seconds) < 2 or (len(seconds) < 4 and sum(seconds) < DECODE_SECONDS):  # the first one warms up
            began = time.perf_counter()
            self._decode(corner)
            seconds.append(time.perf_counter() - began)
        return min(seconds) * denoised[0, 0].numel() / corner[0, 0].numel()

    def _decode(self, denoised: Tensor) -> Image.Image:
        pixels = self._model.decode(self._model.latent_format.to_vae(denoised))
        return _picture(pixels[0].permute(1, 2, 0))


def _size(denoised: Tensor) -> tuple[int, int]:
    return denoised.shape[-2], denoised.shape[-1]


def pictures(count: int, side: int, seed: int) -> Iterator[Image.Image]:
    """Pink noise in correlated colours, gradients and patches, in turn: what photographs and drawings are made of."""
    random = np.random.default_rng(seed)
    makers = (_pink, _gradient, _patches)
    for k in range(count):
        values = makers[k % len(makers)](random, side)
        yield Image.fromarray((values.clip(0, 1) * 255).astype(np.uint8), "RGB")


def _pink(random: np.random.Generator, side: int) -> np.ndarray:
    """Amplitude falls as one over frequency (Field 1987); bright and dark vary more than hue. [side, side, 3]"""
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None])
    frequency[0, 0] = np.inf  # the mean colour is drawn apart
    spectrum = np.fft.rfft2(random.standard_normal((3, side, side)), axes=(1, 2)) / frequency
    fields = np.fft.irfft2(spectrum, s=(side, side), axes=(1, 2))
    fields /= fields.std(axis=(1, 2), keepdims=True)
    light, warm, green = fields[:, :, :, None]
    colour = 0.2 * light + 0.1 * warm * np.array([1, 0, -1]) + 0.1 * green * np.array([-0.5, 1, -0.5])
    return colour + random.uniform(0.25, 0.75, 3)


def _gradient(random: np.random.Generator, side: int) -> np.ndarray:
    """Four corner colours, blended."""
    corners = random.uniform(0, 1, (2, 2, 3))
    t = np.linspace(0, 1, side)
    rows = corners[0][None] * (1 - t)[:, None, None] + corners[1][None] * t[:, None, None]  # [side, 2, 3]
    return rows[:, :1] * (1 - t)[None, :, None] + rows[:, 1:] * t[None, :, None]


def _patches(random: np.random.Generator, side: int) -> np.ndarray:
    """Flat rectangles over each other, as leaves fall."""
    values = np.broadcast_to(random.uniform(0, 1, 3), (side, side, 3)).copy()
    for _ in range(24):
        top, left = random.integers(0, side * 3 // 4, 2)
        height, width = random.integers(side // 8, side // 2, 2)
        values[top : top + height, left : left + width] = random.uniform(0, 1, 3)
    return values


def _picture(colours: Tensor) -> Image.Image:
    """[h, w, 3] in 0..1 -> RGB."""
    return Image.fromarray((colours.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy(), "RGB")
