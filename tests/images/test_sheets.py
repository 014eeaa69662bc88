"""Contact sheets and animations: every picture at its place, with its caption."""

import shutil
from pathlib import Path

import pytest
from PIL import Image, ImageChops

from core.errors import MissingPart, RecipeError
from core.images.sheets import animate, captioned, grid, has_mp4

SIZE = (48, 32)


def pictures() -> dict[tuple[int, ...], Image.Image]:
    return {(x, y): Image.new("RGB", SIZE, (40 * x, 90 * y, 0)) for x in range(4) for y in range(2)}


def test_a_grid_has_every_picture_at_its_place() -> None:
    sheet = grid(pictures(), gap=2)
    assert sheet.size == (4 * 50 - 2, 2 * 34 - 2)
    assert sheet.getpixel((2 * 50 + 1, 34 + 1)) == (80, 90, 0)
    sparse = {place: picture for place, picture in pictures().items() if place[0] in (0, 3)}
    assert grid(sparse, gap=0).size == (2 * 48, 2 * 32), "a sweep that was stopped has no empty columns"


def test_a_caption_is_written_and_never_wider_than_the_picture() -> None:
    plain = Image.new("RGB", SIZE, "navy")
    named = captioned(plain, "end 7")
    assert named.width == plain.width and named.height > plain.height
    assert named.crop((0, 0, *SIZE)).tobytes() == plain.tobytes(), "the picture itself is not touched"
    bar = named.crop((0, SIZE[1], *named.size)).convert("L")
    left, _, right, _ = ImageChops.invert(bar).getbbox() or (0, 0, 0, 0)
    assert 0 < left < right < SIZE[0]
    assert captioned(plain, "a very long caption " * 9).size == named.size
    assert captioned(plain, "").size == named.size, "frames of a film have one size"


@pytest.mark.parametrize("name", ["film.webp", "film.gif"])
def test_an_animation_has_a_frame_for_each_picture_in_order(tmp_path: Path, name: str) -> None:
    captions = {place: str(place) for place in pictures()}
    animate(pictures(), tmp_path / name, captions, seconds=0.5)
    with Image.open(tmp_path / name) as film:
        assert getattr(film, "n_frames", 1) == 8 and film.width == SIZE[0] and film.height > SIZE[1]
        film.seek(2)  # (1, 0)
        red, green, _ = film.convert("RGB").getpixel((10, 10))  # type: ignore[misc]
        assert abs(red - 40) < 12 and green < 12


def test_other_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"\.mp4"):
        animate(pictures(), tmp_path / "film.exe")
    assert not [*tmp_path.iterdir()]


def test_mp4_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert not has_mp4()
    with pytest.raises(MissingPart, match="ffmpeg"):
        animate(pictures(), tmp_path / "film.mp4")


@pytest.mark.skipif(not has_mp4(), reason="no ffmpeg on the PATH")
def test_mp4_is_a_film(tmp_path: Path) -> None:
    animate(pictures(), tmp_path / "film.mp4")
    assert (tmp_path / "film.mp4").read_bytes()[4:8] == b"ftyp"
