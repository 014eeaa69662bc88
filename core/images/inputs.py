"""Pictures and latents that recipes start from, kept by the hash of their content so that a recipe finds its own again."""

import hashlib
import re
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageOps
from torch import Tensor

from core.errors import ImageError, MissingPart
from core.images import latent
from core.images.files import check_size, contents, opened, write


class InputStore:
    """A folder of `<sha256>.png` and `<sha256>.latent`, the hash being of the file's own bytes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, source: Path | bytes | Image.Image) -> str:
        """Check, bring to plain RGB, keep; the same picture twice is one file. Returns its name in recipes.

        A .latent file of ComfyUI is known by its content. Raises ImageError, StorageError.
        """
        if not isinstance(source, Image.Image) and latent.is_latent(data := contents(source)):
            return self._keep(latent.write(latent.read(data)), ".latent")
        if isinstance(source, Image.Image):
            check_size(source)
            plain = _plain(source)
        else:
            with opened(source) as picture:
                plain = _plain(picture)
        buffer = BytesIO()
        plain.save(buffer, "PNG", compress_level=4)
        return self._keep(buffer.getvalue(), ".png")

    def _keep(self, data: bytes, suffix: str) -> str:
        digest = hashlib.sha256(data).hexdigest()
        if not self._path(digest, suffix).exists():
            write(self._path(digest, suffix), data)
        return digest

    def latent(self, digest: str) -> Tensor | None:
        """The latent [1, C, h, w] in VAE units of that name, or None if that is no latent. Raises ImageError."""
        path = self._path(digest, ".latent")
        return latent.read(contents(path)) if path.is_file() else None

    def open(self, digest: str) -> Image.Image:
        """The RGB picture of that name. Raises MissingPart, or ImageError for a latent."""
        path = self._path(digest)
        if self._path(digest, ".latent").is_file():
            raise ImageError("This is a latent, not a picture: it is seen once a run has started from it.")
        if not path.is_file():
            raise MissingPart(
                "The starting picture {digest} is not here: choose one again, or put it there as {path}.",
                digest=f"{digest[:12]}…",
                path=path,
            )
        with opened(path) as picture:
            return _plain(picture)

    def _path(self, digest: str, suffix: str = ".png") -> Path:
        if not re.fullmatch(r"[0-9a-f]{64}", digest):
            raise MissingPart(
                "{digest} names no starting picture: a name is 64 hexadecimal digits. Choose a picture again.",
                digest=repr(digest[:80]),
            )
        return self.folder / f"{digest}{suffix}"


def _plain(picture: Image.Image) -> Image.Image:
    """RGB, upright as the camera's EXIF says, transparency on white, nothing of the original's metadata."""
    upright = ImageOps.exif_transpose(picture)
    if upright.has_transparency_data:
        layer = upright.convert("RGBA")
        upright = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    elif upright.mode.startswith("I"):  # 16 bits a pixel: PIL's own conversion clips instead of scaling
        upright = upright.convert("I").point(lambda value: value / 256).convert("L")
    plain = Image.new("RGB", upright.size)
    plain.paste(upright.convert("RGB"))
    return plain
