"""Small pictures of LoRAs, from the files that other programs put beside them, or made here. The former are as hostile as an upload."""

import hashlib
from io import BytesIO
from pathlib import Path

from core.errors import ImageError
from core.images.files import opened, write

SIDE = 256  # pixels
MOST = 6000  # thumbnails of pictures beside files: some 60 MB
# name.preview.png is A1111's and Forge's, name.png ComfyUI's and Civitai's helpers'.
SUFFIXES = (".preview.png", ".png", ".preview.webp", ".webp", ".preview.jpg", ".jpg", ".preview.jpeg", ".jpeg")


class Thumbnails:
    """A folder of WebPs of at most 256 pixels a side: one for each picture beside a file as it is, and those made here, below own/.

    The former are made again when they are asked for, so the oldest go when there are too many.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._bad = set[str]()  # keys of pictures that cannot be read
        self._count: int | None = None  # of the former, once they were counted

    def of(self, name: str, file: Path, root: Path) -> Path | None:
        """The thumbnail of a LoRA whose weight file is below `root`, made if it is not there. Raises StorageError."""
        beside = self.own(name) or picture_beside(file, root)
        if beside is None or beside.is_relative_to(self._folder):
            return beside
        status = beside.stat()
        key = _key(repr((str(beside), status.st_size, status.st_mtime_ns)))
        path = self._folder / f"{key}.webp"
        if key in self._bad:
            return None
        if not path.exists():
            try:
                write(path, _small(beside))
            except ImageError:
                self._bad.add(key)
                return None
            self._purge()
        return path

    def own(self, name: str) -> Path | None:
        """The one that was made here."""
        folder = self._folder / "own" / _key(name)
        return next(folder.glob("*.webp"), None)

    def keep(self, name: str, picture: Path) -> None:
        """Makes a picture the thumbnail of a LoRA, in place of any other. Raises ImageError, StorageError."""
        small, old = _small(picture), self.own(name)
        new = self._folder / "own" / _key(name) / f"{hashlib.sha256(small).hexdigest()[:32]}.webp"
        write(new, small)
        if old is not None and old != new:
            old.unlink(missing_ok=True)

    def _purge(self) -> None:
        """After one more was made: the oldest go, a tenth of them at a time."""
        self._count = len(list(self._folder.glob("*.webp"))) if self._count is None else self._count + 1
        if self._count > MOST:
            files = sorted(self._folder.glob("*.webp"), key=lambda path: path.stat().st_mtime)
            for path in files[: -MOST * 9 // 10]:
                path.unlink(missing_ok=True)
            self._count = None


def _key(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


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
