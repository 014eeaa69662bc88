"""Jobs on disk: enough of each to begin it again after the program was killed."""

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from core.database import Database
from core.errors import RecipeError, UserError
from core.jobs.film import Frame
from core.jobs.work import Work
from core.pipeline import Wish
from core.recipe import parse
from core.sweep import Axis
from core.tree import Cost

State = Literal["queued", "running", "done", "stopped", "failed"]

SCHEMA = (
    """
    CREATE TABLE jobs (
        id TEXT PRIMARY KEY,
        filed REAL NOT NULL,
        owner TEXT NOT NULL,
        recipe TEXT NOT NULL,
        state TEXT NOT NULL,
        wish TEXT,
        error TEXT
    ) WITHOUT ROWID;
    CREATE TABLE slots (
        job TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
        image INTEGER NOT NULL,
        item TEXT NOT NULL,
        PRIMARY KEY (job, image)
    ) WITHOUT ROWID
    """,
    """
    ALTER TABLE jobs ADD COLUMN axes TEXT;
    ALTER TABLE jobs ADD COLUMN cost TEXT;
    ALTER TABLE slots ADD COLUMN ran INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE slots ADD COLUMN calls INTEGER NOT NULL DEFAULT 0
    """,
    """
    ALTER TABLE jobs ADD COLUMN beside TEXT;
    ALTER TABLE slots ADD COLUMN handed TEXT;
    ALTER TABLE slots ADD COLUMN still BLOB;
    ALTER TABLE slots ADD COLUMN fate TEXT NOT NULL DEFAULT ''
    """,
)
COLUMNS = "id, filed, owner, recipe, axes, beside, cost, state, wish, error"
SLOTS = "job, image, item, ran, calls, handed, still, fate"

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Slot:
    """The place of one picture of a job: which id it has in the gallery, and what it took to make."""

    item: str
    ran: int = 0  # steps
    calls: int = 0  # forward passes
    handed: Frame | None = None  # how it stood at its first border
    fate: str = ""  # starred, swept or neither


@dataclass(frozen=True, kw_only=True)
class Record:
    """A job as it lies on disk."""

    id: str
    filed: float  # seconds since 1970
    owner: str
    work: Work
    cost: Cost | None = None  # as it was counted when it was filed
    state: State = "queued"
    wish: Wish = None
    error: UserError | None = None
    slots: Mapping[int, Slot] = field(default_factory=dict[int, Slot])  # by image


class JobStore:
    """The table of jobs. Its file belongs to one process, or two would do the same work."""

    def __init__(self, path: Path) -> None:
        self._database = Database(path, SCHEMA, exclusive=True)

    def close(self) -> None:
        self._database.close()

    def all(self) -> list[Record]:
        """Every job, in the order of filing."""
        slots: dict[str, dict[int, Slot]] = {}
        for job, image, item, ran, calls, handed, still, fate in self._database.read(f"SELECT {SLOTS} FROM slots"):
            frame = _frame_of(image, handed, still)
            slots.setdefault(job, {})[image] = Slot(item=item, ran=ran, calls=calls, handed=frame, fate=fate)
        records: list[Record] = []
        for id, filed, owner, recipe, axes, beside, cost, state, wish, error in self._database.read(
            f"SELECT {COLUMNS} FROM jobs ORDER BY filed, id"
        ):
            try:
                work = Work(recipe=parse(json.loads(recipe)), axes=_axes_of(axes), **_beside_of(beside))
                _ = work.variants
            except RecipeError as refusal:
                log.warning("the job %s of an older Stepwise is left out: %s", id, refusal)
                continue
            records.append(
                Record(
                    id=id,
                    filed=filed,
                    owner=owner,
                    work=work,
                    cost=None if cost is None else Cost(**json.loads(cost)),
                    state=state,
                    wish=wish,
                    error=_error_of(error),
                    slots=slots.get(id, {}),
                )
            )
        return records

    def add(self, job: Record) -> None:
        axes = [{"path": axis.path, "values": axis.values} for axis in job.work.axes]
        others = [recipe.model_dump(mode="json", exclude_none=True) for recipe in job.work.others]
        beside = {
            "others": others, "endless": job.work.endless, "name": job.work.name, "wording": job.work.wording, "shared": job.work.shared,
            "look": job.work.look,
        }  # fmt: skip
        with self._database.write() as connection:
            connection.execute(
                "INSERT INTO jobs (id, filed, owner, recipe, axes, beside, cost, state) VALUES (?,?,?,?,?,?,?,?)",
                (
                    job.id, job.filed, job.owner, job.work.recipe.model_dump_json(exclude_none=True), json.dumps(axes),
                    json.dumps(beside), None if job.cost is None else json.dumps(asdict(job.cost)), job.state,
                ),
            )  # fmt: skip

    def set_state(self, id: str, state: State, error: UserError | None = None) -> None:
        with self._database.write() as connection:
            connection.execute("UPDATE jobs SET state = ?, error = ? WHERE id = ?", (state, _text_of(error), id))

    def set_wish(self, id: str, wish: Wish) -> None:
        with self._database.write() as connection:
            connection.execute("UPDATE jobs SET wish = ? WHERE id = ?", (wish, id))

    def set_slot(self, id: str, image: int, slot: Slot) -> None:
        """Said before the picture is written, so that a job begun again knows the pictures that it has made."""
        with self._database.write() as connection:
            connection.execute(
                f"INSERT OR REPLACE INTO slots ({SLOTS}) VALUES (?,?,?,?,?,?,?,?)",
                (id, image, slot.item, slot.ran, slot.calls, *_handed(slot.handed), slot.fate),
            )

    def set_fate(self, id: str, image: int, fate: str) -> None:
        with self._database.write() as connection:
            connection.execute("UPDATE slots SET fate = ? WHERE job = ? AND image = ?", (fate, id, image))

    def remove(self, ids: list[str]) -> None:
        with self._database.write() as connection:
            connection.executemany("DELETE FROM jobs WHERE id = ?", [(id,) for id in ids])


def _handed(frame: Frame | None) -> tuple[str | None, bytes | None]:
    if frame is None:
        return None, None
    told = {"step": frame.step, "start": frame.start, "key": frame.key, "stripes": frame.stripes}
    return json.dumps(told), frame.jpeg


def _frame_of(image: int, handed: str | None, still: bytes | None) -> Frame | None:
    return None if handed is None else Frame(image=image, jpeg=still or b"", border=True, **json.loads(handed))


def _beside_of(text: str | None) -> dict[str, Any]:
    stored: dict[str, Any] = json.loads(text or "{}")
    return {**stored, "others": tuple(parse(recipe) for recipe in stored.get("others", ()))}


def _axes_of(text: str | None) -> tuple[Axis, ...]:
    stored: list[dict[str, Any]] = json.loads(text or "[]")
    return tuple(Axis(path=tuple(axis["path"]), values=tuple(axis["values"])) for axis in stored)


def _text_of(error: UserError | None) -> str | None:
    """Template and values, so that it can still be translated."""
    if error is None:
        return None
    plain = {name: v if isinstance(v, int | float | str | None) else str(v) for name, v in error.values.items()}
    return json.dumps({"template": error.template, "values": plain})


def _error_of(text: str | None) -> UserError | None:
    if text is None:
        return None
    stored: dict[str, Any] = json.loads(text)
    return UserError(stored["template"], **stored["values"])
