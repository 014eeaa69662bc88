"""One file from the hub to the disk. What broke off goes on where it was; a file stands under its name only when it is whole.

huggingface_hub itself begins anew every time since 2.0: it throws away what has come. Its addresses, tokens, and errors are used here.
"""

import hashlib
import os
import re
import shutil
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from core.errors import DamagedFile, MissingPart, Refused, StorageError
from core.models.catalogue import Remote

TRIES = 4  # in a row that bring nothing
PATIENCE = 20.0  # seconds of silence
GB = 1e9
CLOSED = {401, 403}  # status: log in; agree first
SHA256 = re.compile(r"[0-9a-f]{64}")

Moved = Callable[[int], None]
"""Told how many bytes of the file are here. What it raises ends the transfer, and what came is kept."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A file as the hub has it now."""

    url: str
    etag: str  # SHA-256 of a large file's content
    size: int


def parts_folder(root: Path) -> Path:
    """Where unfinished files are: on the same disk as the models, so that a rename is enough."""
    return root / ".downloads"


def came(remote: Remote, root: Path) -> int:
    """Bytes of an unfinished transfer that are here."""
    return max((path.stat().st_size for path in parts_folder(root).glob(f"{_stem(remote)}.*.part")), default=0)


def fetch(remote: Remote, root: Path, moved: Moved, checking: Callable[[], None] = lambda: None) -> None:
    """Brings a file into its folder. Raises MissingPart, Refused, DamagedFile, StorageError."""
    with _refusals(remote, root):
        source = locate(remote)
        part = _part(remote, root, source)
        needed, free = source.size - _size(part), shutil.disk_usage(part.parent).free
        if needed > free:
            raise StorageError(
                "{file} needs {needed:.1f} GB more, and {free:.1f} GB are free: make room and go on.",
                file=remote.name, needed=needed / GB, free=free / GB,
            )  # fmt: skip
        _transfer(source, part, moved)
        checking()
        _check(source, part, remote)
        home = remote.home(root)
        home.parent.mkdir(parents=True, exist_ok=True)
        os.replace(part, home)
        with suppress(OSError):  # others are in the making
            part.parent.rmdir()


def locate(remote: Remote) -> Source:
    """Asks the hub: what it has now, and whether it may be had."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    found = get_hf_file_metadata(hf_hub_url(remote.repository, remote.path), timeout=PATIENCE)
    if found.size is None or found.etag is None:
        raise MissingPart("There is no {file} in {name} on huggingface.co.", file=remote.path, name=remote.repository)
    url = hf_hub_url(remote.repository, remote.path, revision=found.commit_hash)
    return Source(url=url, etag=found.etag, size=found.size)


def _transfer(source: Source, part: Path, moved: Moved) -> None:
    import httpx2

    failures = 0
    while (have := _size(part)) < source.size:
        try:
            for here in _stream(source, part, have):
                moved(here)
        except httpx2.TransportError:  # broken off or silent: once more from there
            failures = 0 if _size(part) > have else failures + 1
            if failures == TRIES:
                raise
            time.sleep(failures)


def _stream(source: Source, part: Path, have: int) -> Iterator[int]:
    """Adds to the file, from byte `have` on, and tells how large it is; anew where the server knows no ranges."""
    from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

    headers = build_hf_headers() | {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with get_session().stream("GET", source.url, headers=headers, timeout=PATIENCE) as response:
        hf_raise_for_status(response)
        with part.open("ab" if response.status_code == 206 else "wb") as file:
            for chunk in response.iter_bytes():  # as they come: of a slow network each is told
                file.write(chunk)
                yield file.tell()


def _check(source: Source, part: Path, remote: Remote) -> None:
    whole = _size(part) == source.size
    if whole and SHA256.fullmatch(source.etag):
        with part.open("rb") as file:
            whole = hashlib.file_digest(file, "sha256").hexdigest() == source.etag
    if not whole:
        part.unlink()
        raise DamagedFile("{file} did not arrive as it was sent: download it again.", file=remote.name)


def _part(remote: Remote, root: Path, source: Source) -> Path:
    """The unfinished file. Of another version of it nothing is kept."""
    folder, stem = parts_folder(root), _stem(remote)
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{stem}.{hashlib.sha256(source.etag.encode()).hexdigest()[:16]}.part"
    for other in folder.glob(f"{stem}.*.part"):
        if other != part:
            other.unlink()
    return part


def _stem(remote: Remote) -> str:
    return f"{remote.folder}--{remote.name}".replace("/", "-")


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


@contextmanager
def _refusals(remote: Remote, root: Path) -> Generator[None]:
    """What the hub, the network or the disk refuses, as a sentence."""
    import httpx2
    from huggingface_hub import errors

    folder = str(root / remote.folder)
    try:
        yield
    except (httpx2.HTTPError, errors.OfflineModeIsEnabled) as error:
        if isinstance(error, errors.HfHubHTTPError) and error.response.status_code in CLOSED:
            raise Refused(
                "{name} is given to those who agree to its licence: log in at {page}, agree, and start this program with "
                "your access token in HF_TOKEN.",
                name=remote.name, page=remote.page,
            ) from error  # fmt: skip
        if isinstance(error, errors.RepositoryNotFoundError | errors.RemoteEntryNotFoundError):
            raise MissingPart(
                "There is no {file} in {name} on huggingface.co.", file=remote.path, name=remote.repository
            ) from error
        raise MissingPart(
            "huggingface.co cannot be reached from here: connect to the network, or put {file} from {page} into {folder}.",
            file=remote.name, page=remote.page, folder=folder,
        ) from error  # fmt: skip
    except OSError as error:
        raise StorageError(
            "{path} could not be written: is the disk full or read-only? Free some space and try again.", path=folder
        ) from error
