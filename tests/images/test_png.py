"""A picture and its recipe: the round trip is exact, and what others send is met with a sentence."""

import json
import resource
import signal
import subprocess
import sys
import zlib
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from core.errors import ImageError, MetadataError
from core.images import files, png
from core.recipe import Recipe, parse

ROOT = Path(__file__).parents[2]
MADE_WITH = {"model_hash": "ab" * 32, "torch": "2.13.0", "device": "cpu"}


def a_recipe(**fields: object) -> Recipe:
    return parse({"stepwise": 1, "prompt": "a red rabbit", "seed": 2**64 - 1, "steps": 4, **fields})


def a_png(**texts: str) -> bytes:
    info = PngInfo()
    for name, text in texts.items():
        info.add_text(name, text)
    buffer = BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()


def test_the_recipe_comes_back_and_the_pixels_too(tmp_path: Path) -> None:
    picture = Image.effect_noise((40, 24), 90).convert("RGB")
    recipe = a_recipe(
        segments=[{"end": 2}, {"end": 4, "prompt": '赤い兎: "quoted", \n', "cfg": {"2": 3.5}, "noise_seed": 2**64 - 2}],
        loras=[{"name": "sub/pixel-art", "model": {"1": 0.5}}],
        init={"image": "0" * 64, "denoise": 0.6},
    )
    png.save(picture, tmp_path / "a.png", recipe, MADE_WITH)
    found = png.read(tmp_path / "a.png")
    assert found.recipe == recipe and found.made_with == MADE_WITH and found.size == (40, 24)
    assert found.infotext is not None and found.infotext.startswith("a red rabbit")
    assert png.read((tmp_path / "a.png").read_bytes()) == found
    assert Image.open(tmp_path / "a.png").tobytes() == picture.tobytes()
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


@settings(max_examples=25, deadline=None)
@given(prompt=st.text(max_size=300).filter(lambda text: "\0" not in text))
def test_any_prompt_survives(tmp_path_factory: pytest.TempPathFactory, prompt: str) -> None:
    path = tmp_path_factory.mktemp("png") / "a.png"
    recipe = a_recipe(prompt=prompt, negative=prompt[::-1])
    png.save(Image.new("RGB", (8, 8)), path, recipe, MADE_WITH)
    assert png.read(path).recipe == recipe


def test_the_longest_prompts_can_be_read_again(tmp_path: Path) -> None:
    recipe = a_recipe(prompt="兎" * 20_000, negative="犬" * 20_000, segments=[{"end": 1}, {"prompt": "猫" * 20_000}])
    png.save(Image.new("RGB", (8, 8)), tmp_path / "a.png", recipe, MADE_WITH)
    assert png.read(tmp_path / "a.png").recipe == recipe


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (a_png(), "carries no recipe"),
        (a_png(stepwise="{"), "damaged"),
        (a_png(stepwise="null"), "damaged"),
        (a_png(stepwise="[]"), "damaged"),
        (a_png(stepwise='{"recipe": 3}'), "damaged"),
        (a_png(stepwise='{"recipe": {"stepwise": 1}, "made_with": 3}'), "damaged"),
        (a_png(stepwise="[" * 60_000), "damaged"),
        (a_png(stepwise='{"recipe":' * 20_000), "damaged"),
        (a_png(stepwise='{"recipe": {"stepwise": 1, "seed": %s}}' % ("9" * 5000)), "damaged"),
        (a_png(stepwise='{"recipe": {"stepwise": 1, "cfg": NaN}}'), "damaged"),
        (a_png(stepwise='{"recipe": {"stepwise": 2}}'), "cannot be used"),
        (a_png(stepwise='{"recipe": {"stepwise": 1, "steps": 0}}'), "steps must be at least 1"),
        (a_png(stepwise='{"recipe": {"stepwise": 1, "__class__": "x"}}'), "no field"),
        (a_png(stepwise=" " * 2**20), "longer than"),
        (a_png(parameters="x" * 2**20), "longer than"),
    ],
)
def test_broken_metadata_is_told(data: bytes, word: str) -> None:
    with pytest.raises(MetadataError, match=word):
        png.read(data)


def test_made_with_keeps_only_text() -> None:
    envelope = {"recipe": {"stepwise": 1}, "made_with": {"device": "cpu", "x": {"path": "/etc/passwd"}, "n": 3}}
    assert png.read(a_png(stepwise=json.dumps(envelope))).made_with == {"device": "cpu"}
    assert png.read(a_png(stepwise='{"recipe": {"stepwise": 1}}')).made_with == {}


def test_the_infotext_of_others_is_returned() -> None:
    text = "a cat\nSteps: 20, Sampler: Euler a, Seed: 1"
    assert png.read(a_png(parameters=text)).infotext == text
    for kind in ("JPEG", "WEBP"):
        exif = Image.Exif()
        exif.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + text.encode("utf-16-be")
        buffer = BytesIO()
        Image.new("RGB", (8, 8)).save(buffer, kind, exif=exif)
        found = png.read(buffer.getvalue())
        assert found.infotext == text and found.recipe is None


def a_bomb(side: int) -> bytes:
    """A white page of one bit a pixel: all zeros, next to nothing when compressed."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")

    header = side.to_bytes(4, "big") * 2 + b"\x01\0\0\0\0"
    rows = zlib.compress(bytes((side // 8 + 1) * side), 6)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_a_bomb_is_refused_before_it_is_decoded() -> None:
    Image.open(BytesIO(a_bomb(64))).load()  # it is a PNG like any other
    bomb = a_bomb(20_000)
    assert len(bomb) < 100_000
    with pytest.raises(ImageError, match="pixels"):
        png.read(bomb)
    with pytest.raises(ImageError, match="5000 x 5000 pixels"):
        png.read(a_bomb(5000))  # below PIL's own bound, above ours


def test_a_compressed_text_bomb_is_refused() -> None:
    data = a_png(stepwise="x")
    body = b"zTXtstepwise\0\0" + zlib.compress(b" " * 50 * 2**20, 9)
    chunk = len(body[4:]).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")
    header = 8 + 25  # signature and IHDR
    with pytest.raises((ImageError, MetadataError)):
        png.read(data[:header] + chunk + data[header:])


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n\x1a\n", b"GIF89a" + b"\0" * 40, b"%PDF-1.7", a_png()[:20]])
def test_what_is_no_picture_is_told(data: bytes) -> None:
    with pytest.raises(ImageError):
        png.read(data)


@settings(max_examples=150, deadline=None)
@given(cut=st.integers(0, 600), at=st.integers(0, 599), value=st.integers(0, 255))
def test_damaged_files_end_in_a_sentence(cut: int, at: int, value: int) -> None:
    data = bytearray(
        a_png(stepwise=json.dumps({"recipe": {"stepwise": 1}}), parameters="a\nSteps: 1, Seed: 1, Size: 8x8")
    )
    data[at % len(data)] = value
    try:
        png.read(bytes(data[:cut] if cut % 2 else data))
    except (ImageError, MetadataError) as error:
        assert str(error).endswith(".")


def test_files_that_are_no_files(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent.png"):
        with pytest.raises(ImageError, match="cannot be read"):
            png.read(path)
    with (tmp_path / "huge.png").open("wb") as file:
        file.truncate(files.FILE_BYTES + 1)
    with pytest.raises(ImageError, match="64 MB"):
        png.read(tmp_path / "huge.png")


FULL_DISK = """
import signal, resource, sys
from pathlib import Path
from PIL import Image
from core.errors import StorageError
from core.images import png
from core.recipe import parse
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    png.save(Image.effect_noise((300, 300), 90), Path(sys.argv[1]), parse({"stepwise": 1}), {})
except StorageError as error:
    sys.stdout.write(str(error))
"""


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE") or not hasattr(signal, "SIGXFSZ"), reason="POSIX only")
def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path / "a.png")], capture_output=True, text=True, cwd=ROOT
    )
    assert done.stdout == "The disk is full: a.png was not saved. Free some space and try again.", done.stderr
    assert not list(tmp_path.iterdir())
