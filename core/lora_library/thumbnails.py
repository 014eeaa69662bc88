"""Small pictures of LoRAs, from the files that other programs put beside them. Such a picture is as hostile as an upload."""

import hashlib
from io import BytesIO
from pathlib import Path

from core.errors import ImageError
from core.images.files import opened, write

SIDE = 256  # pixels
# name.preview.png is A1111's and Forge's, name.png ComfyUI's and Civitai's helpers'.
SUFFIXES = (".preview.png", ".png", ".preview.webp", ".webp", ".preview.jpg", ".jpg", ".preview.jpeg", ".jpeg")


class Thumbnails:
    """A folder of WebPs of at most 256 pixels a side, one for each picture as it is."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._bad = set[str]()  # keys of pictures that cannot be read

    def of(self, file: Path, root: Path) -> Path | None:
        """The thumbnail for a weight file below `root`, made if it is not there. Raises StorageError."""
        beside = picture_beside(file, root)
        if beside is None:
            return None
        status = beside.stat()
        key = hashlib.sha256(repr((str(beside), status.st_size, status.st_mtime_ns)).encode()).hexdigest()[:32]
        path = self._folder / f"{key}.webp"
        if key in self._bad:
            return None
        if not path.exists():
            try:
                write(path, _small(beside))
            except ImageError:
                self._bad.add(key)
                return None
        return path


def picture_beside(file: Path, root: Path) -> Path | None:
    """The picture with a weight file's name; a link that leads out of `root` is none."""
    for suffix in SUFFIXES:
        path = file.with_name(file.name.removesuffix(file.suffix) + suffix)
        if path.is_file() and path.resolve().is_relative_to(root):
            return path
    return None


def _small(path: Path) -> bytes:
    buffer = BytesIO()
    with opened(path) as picture:
        small = picture.convert("RGB")
    small.thumbnail((SIDE, SIDE))
    small.save(buffer, "WEBP", quality=80)
    return buffer.getvalue()
