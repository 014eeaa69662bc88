"""Files of pictures, with care: what comes in is hostile, what goes out is whole or not there."""

import errno
import os
import secrets
import struct
from collections.abc import Generator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

from core.errors import ImageError, StorageError

FILE_BYTES = 64 * 2**20
PIXELS = 16 * 2**20  # 4096 x 4096, the largest picture that a recipe may ask for
FORMATS = ("PNG", "WEBP", "JPEG")
DAMAGE = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error)  # all that PIL's readers raise
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@contextmanager
def opened(source: Path | bytes) -> Generator[Image.Image, None, None]:
    """An untrusted picture, its header read and checked, its pixels not yet decoded.

    What PIL finds wrong later, while the block decodes, is told in the same sentences.
    """
    with _stream(source) as stream:
        try:
            with Image.open(stream, formats=FORMATS) as picture:
                check_size(picture)
                yield picture
        except UnidentifiedImageError as error:
            raise ImageError("This file is no PNG, WebP or JPEG picture: save it as one of these first.") from error
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise _too_many_pixels("too many") from error
        except DAMAGE as error:
            raise ImageError("This picture is damaged: part of the file is missing or wrong.") from error


def contents(source: Path | bytes) -> bytes:
    """All bytes of an untrusted file. Raises ImageError."""
    with _stream(source) as stream:
        return stream.read()


def check_size(picture: Image.Image) -> None:
    """Refuse a picture without pixels or with too many. Raises ImageError."""
    width, height = picture.size
    if not 0 < width * height <= PIXELS:
        raise _too_many_pixels(f"{width} x {height}")


@contextmanager
def _stream(source: Path | bytes) -> Generator[BinaryIO, None, None]:
    """An untrusted file that is not too large."""
    with _opened(source) as stream:
        if stream.seek(0, os.SEEK_END) > FILE_BYTES:
            raise ImageError("This file is larger than {most} MB: take a smaller one.", most=FILE_BYTES // 2**20)
        stream.seek(0)
        yield stream


def _opened(source: Path | bytes) -> BinaryIO:
    if isinstance(source, bytes):
        return BytesIO(source)
    try:
        if not source.is_file():  # a pipe would wait for ever
            raise FileNotFoundError(errno.ENOENT, "no file", str(source))
        return source.open("rb")
    except OSError as error:
        raise ImageError(
            "The picture {name} cannot be read: it is gone, or no file that you may open.", name=source.name
        ) from error


def _too_many_pixels(size: str) -> ImageError:
    return ImageError(
        "This picture has {size} pixels: between 1 and {most} million can be used. Scale it first.",
        size=size,
        most=PIXELS // 2**20,
    )


def write(path: Path, data: bytes) -> None:
    """`data` under this name, whole or not at all: a temporary file beside it, flushed to the disk, then renamed."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with draft.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
            _flush_folder(path.parent)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise refusal(error, path) from error


def refusal(error: OSError, path: Path) -> StorageError:
    """Why the disk did not take a file, in a sentence."""
    if error.errno in FULL:
        return StorageError("The disk is full: {name} was not saved. Free some space and try again.", name=path.name)
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return StorageError(
            "{folder} cannot be written to: {name} was not saved. Allow writing there.",
            folder=path.parent,
            name=path.name,
        )
    return StorageError("{name} was not saved: the disk says {reason}.", name=path.name, reason=error.strerror or error)


def _flush_folder(folder: Path) -> None:
    # Without this a power loss may undo the rename. Windows has no such call and needs none.
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
