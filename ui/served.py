"""Addresses of pictures. Only files that the core gave for an id that it looked up come in here."""

from pathlib import Path
from urllib.parse import quote

from gradio.processing_utils import save_file_to_cache
from gradio.utils import get_upload_folder

from core.errors import ImageError


class Served:
    """Copies into Gradio's cache, the one folder that it serves, under names that nobody can guess."""

    def __init__(self) -> None:
        self._copies: dict[Path, Path] = {}

    def url(self, path: Path) -> str:
        """An address relative to the page, so that it holds behind a proxy too."""
        copy = self._copies.get(path)
        if copy is None or not copy.exists():
            copy = self._copies[path] = Path(save_file_to_cache(path, get_upload_folder()))
        return f"gradio_api/file={quote(str(copy))}"


def uploaded(path: object) -> Path:
    """A path that the browser names as its upload. Raises ImageError for any other place."""
    folder = Path(get_upload_folder()).resolve()
    file = Path(path).resolve() if isinstance(path, str) and "\x00" not in path else folder
    if not file.is_relative_to(folder) or not file.is_file():
        raise ImageError("The picture did not arrive: send it again.")
    return file
