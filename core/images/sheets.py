"""The pictures of a sweep seen together: a contact sheet, an animation, a film. Pictures are named by their places in the grid."""

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image, ImageDraw, ImageFont

from core.errors import ImageError, MissingPart, RecipeError
from core.images import files
from core.images.pixels import encoded

Place = tuple[int, ...]
Pictures = Mapping[Place, Image.Image]
Captions = Mapping[Place, str]

SECONDS = 0.25  # of a frame
SMALLEST, LARGEST = 11, 28  # pixels, of a caption's letters
SHARE = 18  # letters are the picture's width over this
FFMPEG_SECONDS = 600


def captioned(picture: Image.Image, text: str) -> Image.Image:
    """The picture with a line of text under it, cut off where it is too long."""
    size = round(min(max(picture.width / SHARE, SMALLEST), LARGEST))
    font = ImageFont.load_default(size)
    bar = round(size * 1.7)
    frame = Image.new("RGB", (picture.width, picture.height + bar), "white")
    frame.paste(picture, (0, 0))
    draw = ImageDraw.Draw(frame)
    room = picture.width - size
    while text and draw.textlength(text, font) > room:
        text = text[:-2].rstrip(" .…") + "…" if len(text) > 2 else ""
    draw.text((picture.width / 2, picture.height + bar / 2), text, "black", font, anchor="mm")
    return frame


def grid(pictures: Pictures, captions: Captions | None = None, gap: int = 4) -> Image.Image:
    """A contact sheet: the first axis runs right, the second down, further ones below each other."""
    cells = {place: _named(picture, place, captions) for place, picture in pictures.items()}
    width, height = (max(cell.size[side] for cell in cells.values()) for side in (0, 1))
    columns = sorted({place[0] for place in cells})
    rows = sorted({place[1:] for place in cells})
    sheet = Image.new("RGB", (len(columns) * (width + gap) - gap, len(rows) * (height + gap) - gap), "white")
    for place, cell in cells.items():
        corner = columns.index(place[0]) * (width + gap), rows.index(place[1:]) * (height + gap)
        sheet.paste(cell, corner)
    return sheet


def animate(pictures: Pictures, path: Path, captions: Captions | None = None, seconds: float = SECONDS) -> None:
    """An endless WebP or GIF, or an MP4, through the pictures in the order of their places, written whole or not at all.

    Raises RecipeError for another name, MissingPart where an MP4 is asked for and `ffmpeg` is not there.
    """
    frames = [_named(pictures[place], place, captions) for place in sorted(pictures)]
    match path.suffix.lower():
        case ".webp" | ".gif" as suffix:
            first, *rest = frames
            data = encoded(
                first, suffix[1:], save_all=True, append_images=rest, duration=round(seconds * 1000), loop=0, quality=90
            )
        case ".mp4":
            data = _mp4(frames, seconds)
        case _:
            raise RecipeError("{name} is no animation: let its name end in .webp, .gif or .mp4.", name=path.name)
    files.write(path, data)


def has_mp4() -> bool:
    """Whether MP4 can be written: by an `ffmpeg` on the PATH."""
    return shutil.which("ffmpeg") is not None


def _named(picture: Image.Image, place: Place, captions: Captions | None) -> Image.Image:
    return picture if captions is None else captioned(picture, captions.get(place, ""))


def _mp4(frames: Sequence[Image.Image], seconds: float) -> bytes:
    """H.264 in yuv420p, which everything plays; sides are made even, as it needs."""
    program = shutil.which("ffmpeg")
    if program is None:
        raise MissingPart("MP4 needs ffmpeg, which was not found: install it, or save a WebP.")
    width, height = (side + side % 2 for side in frames[0].size)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "film.mp4"
        command = [
            program, "-v", "error", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", f"{1 / seconds:.4f}",
            "-i", "pipe:0", "-c:v", "libx264", "-crf", "16", "-pix_fmt", "yuv420p", "-r", "30", "-movflags", "+faststart", str(path),
        ]  # fmt: skip
        raw = b"".join(_filled(frame, width, height).tobytes() for frame in frames)
        done = subprocess.run(command, input=raw, capture_output=True, timeout=FFMPEG_SECONDS, check=False)
        if done.returncode or not path.exists():
            raise ImageError("ffmpeg could not make the MP4: save a WebP instead.")
        return path.read_bytes()


def _filled(frame: Image.Image, width: int, height: int) -> Image.Image:
    """The frame on white of that size."""
    if frame.size == (width, height):
        return frame
    sheet = Image.new("RGB", (width, height), "white")
    sheet.paste(frame, (0, 0))
    return sheet
