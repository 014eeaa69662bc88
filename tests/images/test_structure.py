"""The distance between pictures and the test for stripes, on pictures of known make."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from core.images.preview import pictures
from core.images.structure import STRIPED, distance, pyramid, spread, striped, stripes

SIDE = 128


def disc(x: int = 64, y: int = 64, radius: int = 30, side: int = SIDE) -> Image.Image:
    picture = Image.new("RGB", (side, side), "white")
    ImageDraw.Draw(picture).ellipse((x - radius, y - radius, x + radius, y + radius), fill="red")
    return picture


def noisy(picture: Image.Image, levels: float) -> Image.Image:
    random = np.random.default_rng(1)
    values = np.asarray(picture, np.float64) + random.normal(0, levels, (picture.height, picture.width, 3))
    return Image.fromarray(values.clip(0, 255).astype(np.uint8), "RGB")


def waves(period: float, angle: float = 0.0, side: int = SIDE) -> Image.Image:
    y, x = np.mgrid[:side, :side]
    along = x * np.cos(angle) + y * np.sin(angle)
    grey = (127 + 100 * np.sin(2 * np.pi * along / period)).astype(np.uint8)
    return Image.fromarray(grey, "L").convert("RGB")


def apart(a: Image.Image, b: Image.Image) -> float:
    return distance(pyramid(a), pyramid(b))


def test_equal_pictures_are_not_apart() -> None:
    for picture in (disc(), Image.new("RGB", (40, 96), "blue"), *pictures(3, 64, 5)):
        assert apart(picture, picture.copy()) == pytest.approx(0, abs=1e-12)


def test_the_order_is_the_eyes() -> None:
    """Grain, a nudge, a push and another place: each further than the one before; and the way back is as far."""
    there = disc()
    ways = [noisy(there, 3), disc(66), disc(76), disc(96, 96)]
    distances = [apart(there, other) for other in ways]
    assert distances == sorted(distances) and distances[0] < 0.1 and distances[1] < distances[3] / 3
    assert all(0 < way < 1 for way in distances)
    assert distances == pytest.approx([apart(other, there) for other in ways])


def test_what_has_nothing_in_common_is_far() -> None:
    one, *_, other = pictures(4, SIDE, 9)  # two drawings of pink noise
    assert apart(one, other) > 0.6
    assert apart(Image.new("L", (64, 64), 0), Image.new("L", (64, 64), 255)) > 0.95


def test_pictures_of_any_shape() -> None:
    for size in ((1024, 256), (17, 400), (8, 8)):
        assert apart(Image.new("RGB", size, "red"), Image.new("RGB", size, "white")) > 0.3


def test_spread_is_the_mean_over_pairs() -> None:
    three = [pyramid(picture) for picture in (disc(), disc(76), disc(96, 96))]
    pairs = [distance(three[a], three[b]) for a, b in ((0, 1), (0, 2), (1, 2))]
    assert spread(three) == pytest.approx(sum(pairs) / 3)
    assert spread(three[:1]) is None and spread([]) is None


@pytest.mark.parametrize("side", [16, 64, 128])
def test_stripes_are_seen_wherever_they_run(side: int) -> None:
    for period in (side / 6.2, side / 8 + 1):
        for angle in (0.0, 0.5, np.pi / 2, 2.2):
            assert stripes(waves(period, angle, side)) > 2 * STRIPED, (period, angle)


def test_stripes_over_a_picture_and_under_noise_are_seen() -> None:
    for under in (disc(), *pictures(2, SIDE, 3)):
        assert not striped(under)
        assert striped(Image.blend(under, waves(14, 0.7), 0.5))
    assert striped(noisy(waves(11), 60))


def test_what_is_no_stripe() -> None:
    """Pink noise, gradients, patches; white noise; a disc; one colour; half and half; a blurred picture."""
    halves = Image.new("RGB", (SIDE, SIDE), "white")
    halves.paste("black", (0, 0, SIDE // 2, SIDE))
    others = [noisy(Image.new("RGB", (SIDE, SIDE), "gray"), 60), disc(), Image.new("RGB", (SIDE, SIDE), "red"), halves]
    blurred = disc().filter(ImageFilter.GaussianBlur(12))
    for side in (16, SIDE):
        for k, picture in enumerate([*pictures(45, SIDE, 11), *others, blurred]):
            small = picture.resize((side, side), Image.Resampling.BOX)
            assert stripes(small) < 0.9 * STRIPED, (side, k)
