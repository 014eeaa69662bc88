"""The gallery: pictures in folders by day, and an index of them that can always be rebuilt from the pictures.

A picture is written first and its row second, so whatever kills the program leaves a whole picture that `sync` finds.
Names hold no text of users: `2026-11-21/0007-1234-<id>.png`, the number of the day, the seed, the id.
Pictures that name the same `series` in `made_with` were made by one sweep: lists show the first of them for all.
"""

import json
import re
import secrets
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from core.database import Database
from core.errors import ImageError, MetadataError, Refused, StorageError
from core.images import png
from core.images.files import opened, write
from core.recipe import Recipe, parse

INDEX = ".index.sqlite"
THUMBS = ".thumbs"
THUMB_SIDE = 256  # pixels
DRAFT_SECONDS = 3600.0  # a temporary file older than this belongs to nobody who lives
SEARCH_WORDS = 8
PAGE = 500  # rows that one call gives at most
NAME = re.compile(r"(?:\d{4,})-\d{1,20}-([0-9a-f]{19})\.png")

SCHEMA = (
    """
    CREATE TABLE items (
        id TEXT PRIMARY KEY,
        path TEXT NOT NULL UNIQUE,
        created REAL NOT NULL,
        owner TEXT NOT NULL,
        prompt TEXT NOT NULL,
        model TEXT NOT NULL,
        seed TEXT NOT NULL,
        width INTEGER NOT NULL,
        height INTEGER NOT NULL,
        recipe TEXT NOT NULL,
        made_with TEXT NOT NULL,
        words TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX items_of_owner ON items (owner, id)
    """,
    """
    ALTER TABLE items ADD COLUMN series TEXT NOT NULL DEFAULT '';
    CREATE INDEX items_of_series ON items (series, owner, id)
    """,
)
FIRST_OF_SERIES = """(series = '' OR id = (
    SELECT min(id) FROM items AS other WHERE other.series = items.series AND other.owner = items.owner))"""
COLUMNS = "id, path, created, owner, prompt, model, seed, width, height, recipe, made_with"


@dataclass(frozen=True, kw_only=True)
class Item:
    """A picture in the gallery. Ids grow with time."""

    id: str
    path: Path
    created: float  # seconds since 1970
    owner: str  # "" where nobody knows any more (the index was rebuilt)
    prompt: str
    model: str
    seed: int
    width: int
    height: int
    recipe: Recipe
    made_with: Mapping[str, str]

    @property
    def series(self) -> str:
        """Names the sweep that it belongs to; "" for none."""
        return self.made_with.get("series", "")


def new_id() -> str:
    """Milliseconds since 1970 and 32 random bits: sorts by time, safe in names and addresses."""
    return f"{time.time_ns() // 10**6:011x}{secrets.randbits(32):08x}"


class Gallery:
    """A folder of pictures. Threads share one, and several processes may open the same folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self._index = Database(self.folder / INDEX, SCHEMA)
        if self._index.fresh:
            self.sync()

    def close(self) -> None:
        self._index.close()

    def add(
        self, picture: Image.Image, recipe: Recipe, made_with: Mapping[str, str], owner: str, id: str | None = None
    ) -> Item:
        """Keep a picture: file, then row, then thumbnail. A picture of that id that is there already stays as it is."""
        id = id or new_id()
        day = self.folder / datetime.fromtimestamp(_time_of(id)).strftime("%Y-%m-%d")
        path = next(day.glob(f"*-{id}.png"), None) or day / f"{self._next_number(day):04d}-{recipe.seed}-{id}.png"
        if not path.exists():
            png.save(picture, path, recipe, made_with)
        item = self._item(id, path, owner, recipe, made_with, picture.size)
        self._insert([item])
        self._try_thumbnail(item)
        return item

    def find(self, id: str) -> Item | None:
        """The picture of that id, or None."""
        rows = self._index.read(f"SELECT {COLUMNS} FROM items WHERE id = ?", id)
        return self._of_row(rows[0]) if rows else None

    def get(self, id: str, owner: str | None = None) -> Item:
        """The picture of that id; with `owner`, only if it is theirs. Raises ImageError."""
        item = self.find(id)
        if item is None or owner not in (None, item.owner):
            raise ImageError("This picture is not in the gallery: it may have been deleted.")
        return item

    def list(
        self, owner: str | None = None, limit: int = 50, before: str | None = None, search: str = ""
    ) -> Sequence[Item]:
        """Newest first. `before`: the id of the last one seen; all words of `search` stand in a prompt or the model.

        Of a series only the first picture, unless somebody searches: a search finds each picture.
        """
        tests, values = _conditions(owner, search)
        if before is not None:
            tests.append("id < ?")
            values.append(before)
        query = f"SELECT {COLUMNS} FROM items WHERE {' AND '.join(tests)} ORDER BY id DESC LIMIT ?"
        items = [self._of_row(row) for row in self._index.read(query, *values, min(limit, PAGE))]
        if gone := [item.id for item in items if not item.path.exists()]:
            self._drop(gone)
            return self.list(owner, limit, before, search)
        return items

    def count(self, owner: str | None = None, search: str = "") -> int:
        """How many pictures `list` would give, page after page."""
        tests, values = _conditions(owner, search)
        return int(self._index.read(f"SELECT count(*) FROM items WHERE {' AND '.join(tests)}", *values)[0][0])

    def series(self, item: Item) -> Sequence[Item]:
        """All pictures of its series and owner, in the order of making; a picture of no series alone."""
        if not item.series:
            return [item]
        query = f"SELECT {COLUMNS} FROM items WHERE series = ? AND owner = ? ORDER BY id"
        return [self._of_row(row) for row in self._index.read(query, item.series, item.owner)]

    def delete(self, id: str, owner: str | None) -> None:
        """Delete one's own picture for good; None is the person at the machine, who owns all of them."""
        item = self.get(id)
        if owner not in (None, item.owner):
            raise Refused("This picture belongs to somebody else: only its owner can delete it.")
        try:
            item.path.unlink(missing_ok=True)
            self._thumb_path(id).unlink(missing_ok=True)
        except OSError as error:
            raise StorageError("{name} could not be deleted: the folder is read-only.", name=item.path.name) from error
        with self._index.write() as index:
            index.execute("DELETE FROM items WHERE id = ?", (id,))

    def thumbnail(self, item: Item) -> Path:
        """A WebP of at most 256 pixels a side, made if it is not there. Raises StorageError."""
        path = self._thumb_path(item.id)
        if not path.exists():
            buffer = BytesIO()
            _small(item).save(buffer, "WEBP", quality=80)
            write(path, buffer.getvalue())
        return path

    def sync(self) -> tuple[int, int]:
        """Make the index true to the files: (pictures found, rows dropped). Also sweeps dead temporary files."""
        self._sweep()
        known = {str(path): str(id) for id, path in self._index.read("SELECT id, path FROM items")}
        files = {path.relative_to(self.folder).as_posix(): path for path in self.folder.glob("????-??-??/[!.]*.png")}
        gone = [id for path, id in known.items() if path not in files]
        found = [item for name in sorted(files.keys() - known.keys()) if (item := self._read(files[name]))]
        self._insert(found)
        self._drop(gone)
        return len(found), len(gone)

    def _drop(self, gone: Sequence[str]) -> None:
        """Rows whose files are no more."""
        with self._index.write() as index:
            index.executemany("DELETE FROM items WHERE id = ?", [(id,) for id in gone])
        for id in gone:
            self._thumb_path(id).unlink(missing_ok=True)

    def _read(self, path: Path) -> Item | None:
        """A picture without row; None if it is none of ours."""
        name = NAME.fullmatch(path.name)
        try:
            found = png.read(path)
        except (ImageError, MetadataError):
            return None
        if name is None or found.recipe is None:
            return None
        return self._item(name[1], path, "", found.recipe, found.made_with, found.size)

    def _item(
        self, id: str, path: Path, owner: str, recipe: Recipe, made_with: Mapping[str, str], size: tuple[int, int]
    ) -> Item:
        return Item(
            id=id, path=path, created=_time_of(id), owner=owner, prompt=recipe.prompt, model=recipe.model,
            seed=recipe.seed, width=size[0], height=size[1], recipe=recipe, made_with=dict(made_with),
        )  # fmt: skip

    def _insert(self, items: Sequence[Item]) -> None:
        """Rows for files. Where `sync` of another process was faster, the owner is still written."""
        with self._index.write() as index:
            index.executemany(
                f"INSERT INTO items ({COLUMNS}, words, series) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)"
                " ON CONFLICT DO UPDATE SET owner = excluded.owner WHERE items.owner = ''",
                [self._row(item) for item in items],
            )

    def _row(self, item: Item) -> tuple[object, ...]:
        prompts = [item.prompt, item.model, *(part.prompt or "" for part in item.recipe.segments)]
        return (
            item.id, item.path.relative_to(self.folder).as_posix(), item.created, item.owner, item.prompt, item.model,
            str(item.seed),  # text: SQLite's integers end at 2^63
            item.width, item.height, item.recipe.model_dump_json(exclude_none=True), json.dumps(dict(item.made_with)),
            "\n".join(prompts).casefold(), item.series,
        )  # fmt: skip

    def _of_row(self, row: tuple[Any, ...]) -> Item:
        id, path, created, owner, prompt, model, seed, width, height, recipe, made_with = row
        return Item(
            id=id, path=self.folder / path, created=created, owner=owner, prompt=prompt, model=model, seed=int(seed),
            width=width, height=height, recipe=parse(json.loads(recipe)), made_with=json.loads(made_with),
        )  # fmt: skip

    def _next_number(self, day: Path) -> int:
        """One more than the day's last. Two at once may get the same: the id in the name still tells them apart."""
        first = len(day.name) + 2  # SQL counts from 1; after "2026-11-21/"
        query = "SELECT max(CAST(substr(path, ?) AS INTEGER)) FROM items WHERE path > ? AND path < ?"
        return int(self._index.read(query, first, f"{day.name}/", f"{day.name}0")[0][0] or 0) + 1  # "0" follows "/"

    def _try_thumbnail(self, item: Item) -> None:
        try:
            self.thumbnail(item)
        except StorageError:
            return  # the picture itself is safe; the next look at it tries again

    def _thumb_path(self, id: str) -> Path:
        return self.folder / THUMBS / f"{id}.webp"

    def _sweep(self) -> None:
        """Temporary files and thumbnails that a killed process left behind."""
        oldest = time.time() - DRAFT_SECONDS
        for draft in [*self.folder.glob("????-??-??/.*.tmp"), *self.folder.glob(f"{THUMBS}/.*.tmp")]:
            with suppress(FileNotFoundError):  # its writer may just have finished
                if draft.stat().st_mtime < oldest:
                    draft.unlink()


def _small(item: Item) -> Image.Image:
    try:
        with opened(item.path) as picture:
            small = picture.convert("RGB")
    except ImageError:
        small = Image.new("RGB", (item.width, item.height), "gray")  # one damaged file must not close the gallery
    small.thumbnail((THUMB_SIDE, THUMB_SIDE))
    return small


def _conditions(owner: str | None, search: str) -> tuple[list[str], list[object]]:
    """SQL and its values for an owner (None: all) and a search."""
    words = search.casefold().split()[:SEARCH_WORDS]
    tests = ["1", *["instr(words, ?) > 0"] * len(words)]
    if not words:
        tests.append(FIRST_OF_SERIES)
    return (tests, [*words]) if owner is None else ([*tests, "owner = ?"], [*words, owner])


def _time_of(id: str) -> float:
    return int(id[:11], 16) / 1000
