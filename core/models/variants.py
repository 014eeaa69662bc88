"""What a person says a model is, where its file cannot tell: Z-Image's Turbo and base have the same weights by name and shape.

Kept beside the library, never in the file.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from core.errors import StorageError, UnknownName

CHOICES: Mapping[str, tuple[str, ...]] = MappingProxyType({"z_image": ("turbo", "base")})
"""Family -> variants that only a name tells apart."""


class Variants:
    """Model name -> variant, in a JSON file. Nothing is kept without one."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._told: dict[str, str] | None = None

    def of(self, name: str) -> str | None:
        """The variant that this model was said to be. Raises StorageError."""
        return self._known().get(name)

    def tell(self, name: str, family: str | None, variant: str) -> None:
        """From now on this model is that variant. Raises UnknownName, StorageError."""
        choices = CHOICES.get(family or "", ())
        if variant not in choices:
            raise UnknownName("variant", variant, choices)
        told = self._known() | {name: variant}
        if self._path is not None:
            _write(self._path, told)
        self._told = told

    def _known(self) -> dict[str, str]:
        if self._told is None:
            self._told = {} if self._path is None or not self._path.is_file() else _read(self._path)
        return self._told


def _read(path: Path) -> dict[str, str]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise StorageError("{path} is damaged: move it away, a new one is made.", path=path) from error
    return {str(name): str(variant) for name, variant in found.items()} if isinstance(found, dict) else {}


def _write(path: Path, told: Mapping[str, str]) -> None:
    beside = path.with_suffix(".tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(json.dumps(told, ensure_ascii=False, indent=1), encoding="utf-8")
        os.replace(beside, path)
    except OSError as error:
        raise StorageError(
            "{path} could not be written: is the disk full or read-only? Free some space and try again.", path=path
        ) from error
