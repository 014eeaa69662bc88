"""Previews: the fitted matrix finds a linear truth, and the better way is chosen by measuring."""

import time
from io import BytesIO
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from core.families.base import LatentFormat
from core.images import preview
from core.models.memory import Residency

MIX = torch.tensor([[1.0, 0.5, 0.2], [0.1, -0.8, 0.6], [-0.4, 0.3, 0.9], [0.2, 0.2, -0.7]])  # [C, 3]


class LinearModel:
    """The real thing but for its weights: encodes to a linear mix of each cell's mean colour, with scale and shift."""

    def __init__(self, decode_seconds: float = 0.0, level: Literal["resident", "swap"] = "resident") -> None:
        self.residency = Residency(level, ())
        self.latent_format = LatentFormat(channels=4, scale=0.5, shift=0.25)
        self.decode_seconds = decode_seconds
        self.decoded: list[tuple[int, ...]] = []
        self.encoded = 0

    def encode_image(self, image: Image.Image) -> Tensor:
        self.encoded += 1
        pixels = torch.from_numpy(np.array(image, np.float32) / 255).permute(2, 0, 1)[None]
        return torch.einsum("ck,bkhw->bchw", MIX, avg_pool2d(pixels, 8)) + 0.3

    def decode(self, latent: Tensor, tiled: bool = False) -> Tensor:
        self.decoded.append(tuple(latent.shape))
        time.sleep(self.decode_seconds * latent[0, 0].numel() / 64)
        colours = torch.einsum("kc,bchw->bkhw", torch.linalg.pinv(MIX), latent - 0.3)
        return interpolate(colours, scale_factor=8).clamp(0, 1)


def a_latent(model: LinearModel, side: int) -> tuple[Tensor, Image.Image]:
    picture = next(preview.pictures(1, side, seed=99))
    return model.latent_format.to_sampler(model.encode_image(picture)), picture


def test_the_matrix_finds_the_colours() -> None:
    model = LinearModel()
    denoised, picture = a_latent(model, 128)
    shown = preview.rgb(preview.fit(model), denoised)
    assert shown.size == (16, 16)
    small = np.array(picture.resize((16, 16), Image.Resampling.BOX), float)
    assert np.abs(np.array(shown, float) - small).max() < 4  # of 255: the ridge and two roundings


def test_the_fit_is_the_same_each_time() -> None:
    assert torch.equal(preview.fit(LinearModel()).weights, preview.fit(LinearModel()).weights)


def test_a_quick_vae_shows_its_own_picture() -> None:
    model = LinearModel()
    denoised, picture = a_latent(model, 128)
    shown = preview.Previewer(model)(denoised)
    assert shown.size == picture.size and model.decoded[-1] == (1, 4, 16, 16)


def test_a_slow_vae_is_never_asked_for_the_whole() -> None:
    model = LinearModel(decode_seconds=0.02)  # for 8 x 8 cells; 32 x 32 would take 0.32 s
    denoised, _ = a_latent(model, 256)
    model.encoded = 0
    previewer = preview.Previewer(model)
    assert previewer(denoised).size == (32, 32)
    fitted = model.encoded
    assert previewer(denoised).size == (32, 32)
    assert model.encoded == fitted == preview.FIT_PICTURES, "fitted once"
    assert {shape[-1] for shape in model.decoded} == {8}


def test_no_decode_where_parts_take_turns_or_pictures_are_large() -> None:
    """There a decode would push the denoiser off the GPU, or run out of memory itself."""
    for model, side in ((LinearModel(level="swap"), 64), (LinearModel(), 1024)):
        assert preview.Previewer(model)(torch.zeros(1, 4, side // 8, side // 8)).size == (side // 8, side // 8)
        assert not model.decoded


def test_a_vae_that_becomes_slow_is_left_alone() -> None:
    model = LinearModel()
    previewer, denoised = preview.Previewer(model), torch.zeros(1, 4, 16, 16)
    assert previewer(denoised).size == (128, 128)
    model.decode_seconds = 0.05  # 0.2 s each
    sizes = [previewer(denoised).size for _ in range(6)]
    assert sizes[0] == (128, 128) and sizes[-1] == (16, 16)


def test_jpegs_are_small_and_never_enlarged() -> None:
    wide = preview.jpeg_data(next(preview.pictures(1, 512, seed=1)).resize((512, 256)))
    assert Image.open(BytesIO(wide)).size == (256, 128) and len(wide) < 20_000
    assert Image.open(BytesIO(preview.jpeg_data(Image.new("RGB", (16, 16))))).size == (16, 16)
