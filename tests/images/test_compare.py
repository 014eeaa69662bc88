"""How far two pictures lie apart, against numbers worked out by hand."""

import math

import pytest
from PIL import Image

from core.errors import ImageError
from core.images.compare import difference, difference_map


def test_equal_pictures_do_not_differ() -> None:
    a = Image.new("RGB", (8, 4), (1, 200, 30))
    found = difference(a, a.copy())
    assert (found.rms, found.most, found.changed) == (0, 0, 0)
    assert difference_map(a, a, gain=100).getextrema() == ((0, 0), (0, 0), (0, 0))


def test_one_pixel_of_eight_is_half_as_bright_in_one_channel() -> None:
    a = Image.new("RGB", (4, 2), (0, 0, 0))
    b = a.copy()
    b.putpixel((3, 1), (0, 51, 0))  # a fifth of full scale
    found = difference(a, b)
    assert found.most == pytest.approx(0.2) and found.changed == 1 / 8
    assert found.rms == pytest.approx(math.sqrt(0.2**2 / (8 * 3)))
    assert difference(b, a) == found
    assert difference_map(a, b, gain=2).getpixel((3, 1)) == (0, 102, 0)
    assert difference_map(a, b, gain=100).getpixel((3, 1)) == (0, 255, 0)


def test_black_and_white_are_as_far_as_can_be() -> None:
    found = difference(Image.new("RGB", (2, 2), "black"), Image.new("L", (2, 2), 255))
    assert (found.rms, found.most, found.changed) == (1, 1, 1)


def test_two_sizes_are_refused() -> None:
    with pytest.raises(ImageError, match="one size"):
        difference(Image.new("RGB", (2, 2)), Image.new("RGB", (2, 3)))
