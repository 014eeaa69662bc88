"""Inputs: one form for all, one name for the same picture, and no path from a name."""

import hashlib
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from core.errors import ImageError, MissingPart
from core.images.inputs import InputStore


def as_bytes(picture: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def test_the_name_is_the_hash_and_the_same_picture_is_one_file(tmp_path: Path) -> None:
    store = InputStore(tmp_path / "inputs")
    noise = Image.effect_noise((32, 16), 90).convert("RGB")
    (tmp_path / "a.png").write_bytes(as_bytes(noise, compress_level=9))
    names = {store.add(noise), store.add(as_bytes(noise)), store.add(tmp_path / "a.png")}
    (name,) = names
    (file,) = (tmp_path / "inputs").iterdir()
    assert file.name == f"{name}.png" and hashlib.sha256(file.read_bytes()).hexdigest() == name
    opened = store.open(name)
    assert opened.mode == "RGB" and opened.tobytes() == noise.tobytes()


def test_a_sideways_photograph_stands_upright(tmp_path: Path) -> None:
    store = InputStore(tmp_path)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 90 degrees clockwise to see it right
    photo = Image.new("RGB", (64, 32), "blue")
    photo.paste("red", (0, 0, 32, 32))  # left half; upright it is the top
    upright = store.open(store.add(as_bytes(photo, "JPEG", exif=exif, quality=95)))
    assert upright.size == (32, 64)
    red, _, blue = upright.getpixel((16, 8))  # type: ignore[misc]
    assert red > 200 and blue < 60


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_lies_on_white(tmp_path: Path, mode: str) -> None:
    store = InputStore(tmp_path)
    clear = Image.new("RGBA", (8, 8), (0, 0, 0, 0)).convert(mode)
    options = {"transparency": 0} if mode == "P" else {}
    assert store.open(store.add(as_bytes(clear, **options))).getpixel((4, 4)) == (255, 255, 255)


def test_sixteen_bits_are_scaled_not_clipped(tmp_path: Path) -> None:
    store = InputStore(tmp_path)
    grey = Image.new("I;16", (8, 8), 0x8000)
    assert store.open(store.add(as_bytes(grey))).getpixel((4, 4)) == (128, 128, 128)


def test_nothing_of_the_originals_metadata_is_kept(tmp_path: Path) -> None:
    store = InputStore(tmp_path)
    exif = Image.Exif()
    exif[0x010F] = "somebody's camera"
    name = store.add(as_bytes(Image.new("RGB", (8, 8)), "JPEG", exif=exif))
    assert b"camera" not in (tmp_path / f"{name}.png").read_bytes()


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "A" * 64, "0" * 63, "0" * 64 + "\n", "0" * 64])
def test_a_name_that_is_none_ends_in_a_sentence(tmp_path: Path, name: str) -> None:
    with pytest.raises(MissingPart, match=r"Choose a picture again|choose one again"):
        InputStore(tmp_path).open(name)


def test_bad_pictures_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    store = InputStore(tmp_path)
    whole = as_bytes(Image.effect_noise((64, 64), 90))
    for data in (b"", whole[: len(whole) // 2], b"BM" + b"\0" * 60, as_bytes(Image.new("1", (5000, 5000)))):
        with pytest.raises(ImageError):
            store.add(data)
    with pytest.raises(ImageError):
        store.add(Image.new("RGB", (0, 0)))
    assert not list(tmp_path.iterdir())
