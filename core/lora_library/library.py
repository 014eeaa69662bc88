"""The library of LoRAs: quick with thousands. Headers are read once, beside the work, and kept in SQLite; files are never written."""

import difflib
import json
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from core.database import Database
from core.errors import StorageError, UnknownName
from core.lora_library.item import COLUMNS, FILES, PLACES, SHOWN, LoraItem, Stamp, item_of, row_of
from core.lora_library.thumbnails import Thumbnails
from core.models.library import LORA_FOLDERS, walk
from core.models.lora.metadata import clean, split_words

PAGE = 50  # items
BATCH = 100  # files that a scan reads before it writes
FRESH = 5.0  # seconds after a scan in which looking again does not scan again
PATIENCE = 0.3  # seconds that a page waits for a scan: most libraries are small
SEARCH_WORDS = 8
NOTE_LETTERS = 4000
SUFFIXES = {".safetensors", ".pt", ".ckpt", ".bin", ".pth"}


@dataclass(frozen=True, kw_only=True)
class LoraPage:
    """A page of the library."""

    items: tuple[LoraItem, ...]
    total: int  # on all pages
    page: int  # from 0
    pages: int
    scanning: bool  # more may be found: look again


class LoraLibrary:
    """All LoRAs below a models folder. Threads share one."""

    def __init__(self, models: Path, path: Path) -> None:
        """models: the models folder. path: the database; thumbnails are kept beside it."""
        self._models, self._path = Path(models), Path(path)
        self._thumbnails = Thumbnails(self._path.with_name("lora-thumbnails"))
        self._lock = threading.Lock()
        self._kept: Database | None = None
        self._scan: threading.Thread | None = None
        self._scanned = float("-inf")  # when the last scan ended, on the clock of time.monotonic
        self._failure: StorageError | None = None
        self._closed = False

    def page(self, search: str = "", family: str | None = None, page: int = 0) -> LoraPage:
        """Fifty items in the order of their names. All words of `search` stand in name, title, base model or trigger words.

        family: only those of it, and those that do not tell. Begins to look for new files. Raises StorageError.
        """
        self.look().join(PATIENCE)
        scanning = self.scanning
        tests, values = _conditions(search, family)
        joined = f"FROM files LEFT JOIN notes USING (name) WHERE {' AND '.join(tests)}"
        total = int(self._database().read(f"SELECT count(*) {joined}", *values)[0][0])
        pages = max(1, -(-total // PAGE))
        page = min(max(0, page), pages - 1)
        query = f"SELECT {SHOWN}, trigger_words, notes {joined} ORDER BY sort, name LIMIT {PAGE} OFFSET ?"
        rows = self._database().read(query, *values, page * PAGE)
        items = tuple(item_of(row, self._root) for row in rows)
        return LoraPage(items=items, total=total, page=page, pages=pages, scanning=scanning)

    def every(self) -> Iterator[LoraItem]:
        """All items, when a scan has ended."""
        self.wait()
        page = self.page()
        for number in range(page.pages):
            yield from self.page(page=number).items

    def get(self, name: str) -> LoraItem:
        """A LoRA that can be used, as its file is now. Raises UnknownName, or what is wrong with it."""
        item = self.find(name)
        if item.problem is not None:
            raise item.problem
        return item

    def find(self, name: str) -> LoraItem:
        """The LoRA of that name, usable or not. Raises UnknownName."""
        item = self._found(name)
        if item is None or not self._is_current(item):
            self._scanned = float("-inf")
            self.wait()
            item = self._found(name)
        if item is None:
            names = [str(known) for (known,) in self._database().read("SELECT name FROM files ORDER BY sort")]
            near = difflib.get_close_matches(name[:200], names, n=5) or names[:10]
            raise UnknownName("LoRA", name, near)
        return item

    def annotate(self, name: str, trigger_words: Sequence[str] | None, notes: str) -> LoraItem:
        """Keeps one's own trigger words (None: the file's) and notes beside the library. Raises UnknownName, StorageError."""
        item = self.find(name)
        words = None if trigger_words is None else split_words(",".join(trigger_words))
        words = None if words == item.file_words else words
        notes = notes[:NOTE_LETTERS].replace("\0", "").encode("utf-8", "replace").decode()
        with self._database().write() as connection:
            connection.execute("DELETE FROM notes WHERE name = ?", (name,))
            if words is not None or notes:
                search = "\n".join(words or ()).casefold()
                row = (name, None if words is None else json.dumps(words), notes, search)
                connection.execute("INSERT INTO notes VALUES (?, ?, ?, ?)", row)
        return self.find(name)

    def thumbnail(self, item: LoraItem) -> Path | None:
        """A small WebP of the picture made here, else of that beside the file (name.png, name.preview.png, …); None where there is none."""
        return self._thumbnails.of(item.name, item.path, self._root)

    def depict(self, name: str, picture: Path) -> None:
        """Makes a picture the thumbnail of a LoRA, kept beside the library. Raises UnknownName, ImageError, StorageError."""
        self._thumbnails.keep(self.find(name).name, picture)

    # ------------------------------------------------------------------ looking for files

    @property
    def scanning(self) -> bool:
        return self._scan is not None and self._scan.is_alive()

    def look(self) -> threading.Thread:
        """Begins to scan, unless that is under way or has just been done."""
        with self._lock:
            if self._failure is not None:
                failure, self._failure = self._failure, None
                raise failure
            fresh = time.monotonic() - self._scanned < FRESH
            if self._scan is None or not (self._scan.is_alive() or fresh):
                self._scan = threading.Thread(target=self._run, name="loras", daemon=True)
                self._scan.start()
            return self._scan

    def wait(self) -> None:
        """Until everything that is there is known. Raises StorageError."""
        self.look().join()
        if self._failure is not None:
            self.look()

    def close(self) -> None:
        self._closed = True
        if self._scan is not None:
            self._scan.join()
        if self._kept is not None:
            self._kept.close()

    def _run(self) -> None:
        try:
            self._compare()
        except StorageError as error:
            self._failure = error  # told to the next who looks
        self._scanned = time.monotonic()

    def _compare(self) -> None:
        """Makes the table true to the files."""
        there = self._files()
        query = "SELECT name, path, size, mtime FROM files"
        known = {
            name: Stamp(path=path, size=size, mtime=mtime) for name, path, size, mtime in self._database().read(query)
        }
        with self._database().write() as connection:
            connection.executemany(
                "DELETE FROM files WHERE name = ?", [(name,) for name in known.keys() - there.keys()]
            )
        new = iter([name for name, stamp in there.items() if known.get(name) != stamp])
        while (batch := tuple(islice(new, BATCH))) and not self._closed:
            rows = [row_of(name, there[name], self._root / there[name].path) for name in batch]
            with self._database().write() as connection:
                connection.executemany(f"INSERT OR REPLACE INTO files ({COLUMNS}) VALUES ({PLACES})", rows)

    def _files(self) -> dict[str, Stamp]:
        """Every file by its name; of two with one name the first."""
        found: dict[str, Stamp] = {}
        for folder in LORA_FOLDERS:
            for path, status in walk(self._root / folder, self._root):
                if path.suffix.lower() in SUFFIXES:
                    name = path.relative_to(self._root / folder).as_posix().removesuffix(path.suffix)
                    below = path.relative_to(self._root).as_posix()
                    if name == clean(name):  # what cannot be stored or shown in one line cannot be asked for either
                        found.setdefault(name, Stamp(path=below, size=status.st_size, mtime=status.st_mtime_ns))
        return found

    def _found(self, name: str) -> LoraItem | None:
        query = f"SELECT {SHOWN}, trigger_words, notes FROM files LEFT JOIN notes USING (name) WHERE name = ?"
        rows = self._database().read(query, clean(name))
        return item_of(rows[0], self._root) if rows else None

    def _is_current(self, item: LoraItem) -> bool:
        try:
            status = item.path.stat()
        except OSError:
            return False
        query = "SELECT count(*) FROM files WHERE name = ? AND size = ? AND mtime = ?"
        return self._database().read(query, item.name, status.st_size, status.st_mtime_ns) == [(1,)]

    @property
    def _root(self) -> Path:
        return self._models.resolve()

    def _database(self) -> Database:
        with self._lock:
            if self._kept is None:
                self._kept = Database(self._path, (FILES,))
            return self._kept


def _conditions(search: str, family: str | None) -> tuple[list[str], list[object]]:
    """SQL and its values."""
    words = clean(search).casefold().split()[:SEARCH_WORDS]
    tests = ["1", *["instr(files.words || char(10) || coalesce(notes.words, ''), ?) > 0"] * len(words)]
    return (tests, [*words]) if family is None else ([*tests, "(family = ? OR family IS NULL)"], [*words, family])
