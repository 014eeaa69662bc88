"""Which runs are kept, which states they need, and what is known of each state: a SQLite file."""

import json
import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.database import Database
from core.errors import RecipeError, StorageError
from core.recipe import Recipe, parse

SCHEMA = (
    """
    CREATE TABLE runs (
        id TEXT PRIMARY KEY,
        recipe_key TEXT NOT NULL,
        recipe TEXT NOT NULL,
        created REAL NOT NULL,
        used REAL NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX runs_by_recipe ON runs (recipe_key);
    CREATE INDEX runs_by_use ON runs (used);
    CREATE TABLE steps (
        run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
        number INTEGER NOT NULL,
        key TEXT NOT NULL,
        start INTEGER NOT NULL,
        sigma REAL NOT NULL,
        PRIMARY KEY (run, number)
    ) WITHOUT ROWID;
    CREATE INDEX steps_by_key ON steps (key);
    CREATE TABLE states (
        key TEXT PRIMARY KEY,
        bytes INTEGER NOT NULL,
        crc INTEGER NOT NULL,
        stands TEXT NOT NULL
    ) WITHOUT ROWID
    """,
)
RUNS = "SELECT id, recipe, created, used FROM runs"
ASKED_AT_ONCE = 500  # keys in a query


@dataclass(frozen=True, kw_only=True)
class RunStep:
    """One step of a run. `{"trajectory": key, "start": start}` as a recipe's init goes on after it."""

    key: str
    start: int
    sigma: float  # the level that the step began at
    nbytes: int = 0  # of its state on the disk; 0: it is not there


@dataclass(frozen=True, kw_only=True)
class NewRun:
    """A run before its first step."""

    recipe: Recipe  # resolved
    steps: Sequence[RunStep]
    origin: RunStep | None = None  # the kept step of another run that it goes on from

    @property
    def id(self) -> str:
        """The key of its last step, which names all before it: the same run twice is one."""
        return self.steps[-1].key


@dataclass(frozen=True, kw_only=True)
class KeptRun:
    """A run on the disk, whole or as far as it came."""

    id: str
    recipe: Recipe  # resolved, of this image alone
    created: float  # seconds since 1970
    used: float
    steps: tuple[RunStep, ...]

    @property
    def nbytes(self) -> int:
        """Of its states, those that other runs need as well counted in."""
        return sum(step.nbytes for step in self.steps)


@dataclass(frozen=True, kw_only=True)
class Stored:
    """What is known of a state's file, and of the level that it stands at (see KeptStep)."""

    nbytes: int
    crc: int
    stands: Mapping[str, float | str]


class Index:
    """The tables. Every method raises StorageError when the disk refuses."""

    def __init__(self, path: Path) -> None:
        try:
            self._database = Database(path, SCHEMA)
        except StorageError as error:
            if not _is_damage(error.__cause__):
                raise
            path.replace(path.with_suffix(".damaged"))  # kept steps can be made anew: no reason not to start
            self._database = Database(path, SCHEMA)

    def close(self) -> None:
        self._database.close()

    @property
    def nbytes(self) -> int:
        """Of all states."""
        return int(self._database.read("SELECT COALESCE(SUM(bytes), 0) FROM states")[0][0])

    def list_run(self, run: NewRun) -> None:
        """List a run, or say that it was used again."""
        now = time.time()
        steps = list(enumerate(run.steps, start=1)) + ([] if run.origin is None else [(0, run.origin)])
        with self._database.write() as connection:
            connection.execute(
                "INSERT INTO runs (id, recipe_key, recipe, created, used) VALUES (?,?,?,?,?) "
                "ON CONFLICT (id) DO UPDATE SET recipe_key = excluded.recipe_key, recipe = excluded.recipe, used = excluded.used",
                (run.id, run.recipe.key, run.recipe.model_dump_json(exclude_none=True), now, now),
            )
            connection.executemany(
                "INSERT OR IGNORE INTO steps (run, number, key, start, sigma) VALUES (?,?,?,?,?)",
                [(run.id, number, step.key, step.start, step.sigma) for number, step in steps],
            )

    def add(self, states: Mapping[str, Stored]) -> None:
        """Say that these files are there; those of runs that were dropped meanwhile are needed by nobody and left out."""
        rows = [(key, state.nbytes, state.crc, json.dumps(state.stands), key) for key, state in states.items()]
        with self._database.write() as connection:
            connection.executemany(
                "INSERT OR IGNORE INTO states (key, bytes, crc, stands) "
                "SELECT ?, ?, ?, ? WHERE EXISTS (SELECT 1 FROM steps WHERE key = ?)",
                rows,
            )

    def known(self, keys: Sequence[str]) -> set[str]:
        """Those of these keys whose states are there."""
        found: set[str] = set()
        for at in range(0, len(keys), ASKED_AT_ONCE):
            some = keys[at : at + ASKED_AT_ONCE]
            marks = ",".join("?" * len(some))
            found.update(key for (key,) in self._database.read(f"SELECT key FROM states WHERE key IN ({marks})", *some))
        return found

    def stored(self, key: str) -> Stored | None:
        for nbytes, crc, stands in self._database.read("SELECT bytes, crc, stands FROM states WHERE key = ?", key):
            return Stored(nbytes=nbytes, crc=crc, stands=json.loads(stands))
        return None

    def forget(self, key: str) -> None:
        """A state whose file is missing or damaged."""
        with self._database.write() as connection:
            connection.execute("DELETE FROM states WHERE key = ?", (key,))

    def oldest(self) -> str | None:
        """The run that was used longest ago, unless it is the only one."""
        first = self._database.read("SELECT id FROM runs ORDER BY used, id LIMIT 2")
        return first[0][0] if len(first) == 2 else None

    def drop(self, id: str) -> dict[str, int]:
        """Forget a run. Returns the states that no other run needs, and their bytes: they are forgotten too."""
        unneeded = (
            "DELETE FROM states WHERE key = ? AND NOT EXISTS (SELECT 1 FROM steps WHERE key = ?) RETURNING key, bytes"
        )
        with self._database.write() as connection:
            keys = [key for (key,) in connection.execute("SELECT DISTINCT key FROM steps WHERE run = ?", (id,))]
            connection.execute("DELETE FROM runs WHERE id = ?", (id,))
            return dict(row for key in keys for row in connection.execute(unneeded, (key, key)).fetchall())

    def latest(self, limit: int, before: str | None) -> list[KeptRun]:
        """Newest first; `before` is the id of the last one seen."""
        order = "ORDER BY created DESC, id DESC LIMIT ?"
        if before is None:
            return self._read(f"{RUNS} {order}", limit)
        return self._read(
            f"{RUNS} WHERE (created, id) < (SELECT created, id FROM runs WHERE id = ?) {order}", before, limit
        )

    def run(self, id: str) -> KeptRun | None:
        return next(iter(self._read(f"{RUNS} WHERE id = ?", id)), None)

    def of(self, recipe: Recipe) -> KeptRun | None:
        """The run of this recipe that was used last."""
        return next(iter(self._read(f"{RUNS} WHERE recipe_key = ? ORDER BY used DESC LIMIT 1", recipe.key)), None)

    def _read(self, query: str, *values: object) -> list[KeptRun]:
        runs: list[KeptRun] = []
        for id, recipe, created, used in self._database.read(query, *values):
            try:
                parsed = parse(json.loads(recipe))
            except RecipeError:  # of another version
                continue
            runs.append(KeptRun(id=id, recipe=parsed, created=created, used=used, steps=tuple(self._steps(id))))
        return runs

    def _steps(self, run: str) -> Iterable[RunStep]:
        query = """
            SELECT steps.key, start, sigma, COALESCE(bytes, 0) FROM steps LEFT JOIN states ON states.key = steps.key
            WHERE run = ? AND number > 0 ORDER BY number
        """
        for key, start, sigma, nbytes in self._database.read(query, run):
            yield RunStep(key=key, start=start, sigma=sigma, nbytes=nbytes)


def _is_damage(cause: BaseException | None) -> bool:
    return isinstance(cause, sqlite3.DatabaseError) and not isinstance(cause, sqlite3.OperationalError)
