"""SHA-256 of model files, computed beside the work and kept on (path, size, mtime). Users' files are never written."""

import hashlib
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from core.database import Database
from core.errors import StorageError

BLOCK = 2**22  # bytes
SOON = 2**26  # bytes: so few are hashed in less time than a step takes
SCHEMA = ("CREATE TABLE hashes (path TEXT PRIMARY KEY, size INTEGER, mtime INTEGER, sha256 TEXT)",)


class Hashes:
    """One background thread and a small SQLite file. A cache that cannot be kept is no reason to stop: it is computed again."""

    def __init__(self, path: Path) -> None:
        self._path = Path(path)
        self._lock, self._opening = threading.Lock(), threading.Lock()
        self._pending: dict[tuple[str, int, int], Future[str]] = {}
        self._worker: ThreadPoolExecutor | None = None
        self._database: Database | None = None

    def start(self, path: Path) -> None:
        """Begins to hash a file, or the weights of a folder, unless it is known or under way."""
        for file in weights_of(path):
            self._future(file)

    def known(self, path: Path) -> str | None:
        """The hash, if it is there already. That of a small model is waited for: its steps are the same after a restart, however busy."""
        files = weights_of(path)
        futures = [self._future(file) for file in files]
        soon = sum(file.stat().st_size for file in files) <= SOON
        return self.wait(path) if soon or all(future.done() for future in futures) else None

    def remembered(self, path: Path) -> str | None:
        """The hash of one file, if an earlier run or download left it: nothing is read or begun for it."""
        status = path.stat()
        return self._found(str(path.resolve()), status.st_size, status.st_mtime_ns)

    def wait(self, path: Path) -> str:
        """The hash, lower-case hex; of a folder: of its weight files' names and hashes, in order."""
        files = weights_of(path)
        hashes = [self._future(file).result() for file in files]
        return hashes[0] if path.is_file() else combined(path, files, hashes)

    def _future(self, file: Path) -> Future[str]:
        status = file.stat()
        key = (str(file.resolve()), status.st_size, status.st_mtime_ns)
        with self._lock:
            if key not in self._pending:
                if self._worker is None:
                    self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="hashes")
                self._pending[key] = self._worker.submit(self._hash, *key)
            return self._pending[key]

    def _hash(self, path: str, size: int, mtime: int) -> str:
        if (found := self._found(path, size, mtime)) is not None:
            return found
        sha256 = file_hash(Path(path))
        with suppress(StorageError), self._kept().write() as connection:
            connection.execute("INSERT OR REPLACE INTO hashes VALUES (?, ?, ?, ?)", (path, size, mtime, sha256))
        return sha256

    def _found(self, path: str, size: int, mtime: int) -> str | None:
        with suppress(StorageError):
            query = "SELECT sha256 FROM hashes WHERE path = ? AND size = ? AND mtime = ?"
            for (found,) in self._kept().read(query, path, size, mtime):
                return str(found)
        return None

    def _kept(self) -> Database:
        """Opened when it is first needed, by whichever thread that is."""
        with self._opening:
            if self._database is None:
                self._database = Database(self._path, SCHEMA)
            return self._database

    def close(self) -> None:
        with self._lock:
            if self._worker is not None:
                self._worker.shutdown(wait=True, cancel_futures=True)
            if self._database is not None:
                self._database.close()


def weights_of(path: Path) -> tuple[Path, ...]:
    """The file itself, or the weight files of a diffusers folder."""
    return (path,) if path.is_file() else tuple(sorted(path.rglob("*.safetensors")))


def stamp(path: Path) -> str:
    """What identifies files until their content is hashed: paths, sizes and times."""
    found = [(str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns) for file in weights_of(path)]
    return hashlib.sha256(repr(found).encode()).hexdigest()


def file_hash(path: Path) -> str:
    """Of all bytes of a file."""
    hasher = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            hasher.update(block)
    return hasher.hexdigest()


def combined(folder: Path, files: Sequence[Path], hashes: Sequence[str]) -> str:
    """One hash for a folder."""
    hasher = hashlib.sha256()
    for file, sha256 in zip(files, hashes, strict=True):
        hasher.update(f"{file.relative_to(folder).as_posix()} {sha256}\n".encode())
    return hasher.hexdigest()
