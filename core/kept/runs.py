"""The files of kept runs, and the thread that writes them.

`states/ab/abcd….safetensors` is the state after the step of that key, `index.sqlite` says which runs need it. A run is dropped
as a whole, the one that was used longest ago first, with the states that no other run needs. Whatever is missing or damaged is
not known, and nothing worse.
"""

import logging
import secrets
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from core.errors import MissingPart, StorageError, UserError
from core.kept.index import Index, KeptRun, NewRun, Stored
from core.recipe import Recipe
from core.sampling import SamplerState
from core.trajectory import KeptStep

WAITING_BYTES = 256 * 2**20  # a disk slower than the steps loses some of them, and never holds a run up
LEFT_BEHIND = 300.0  # seconds after which a file that no run knows was left by a process that was killed
SUFFIX = ".safetensors"

T = TypeVar("T")
log = logging.getLogger(__name__)


class KeptRuns:
    """Owner of a folder of kept runs: a tier below `TrajectoryStore`. `limit`: bytes that states may take."""

    def __init__(self, folder: Path, limit: int) -> None:
        self.limit = limit
        self._folder, self._index = folder / "states", Index(folder / "index.sqlite")
        self._changed = threading.Condition()  # guards what waits
        self._runs: list[NewRun] = []
        self._steps: dict[str, KeptStep] = {}
        self._waiting = 0  # bytes
        self._taken = 0  # bytes on the disk, as far as this process knows
        self._refused = ""  # what the disk said last
        self._busy = self._closing = False
        self._thread = threading.Thread(target=self._work, name="stepwise-kept", daemon=True)
        self._thread.start()

    # What a run does: nothing of it raises.

    def begin(self, run: NewRun) -> None:
        """List a run. Its steps are kept from now on."""
        with self._changed:
            self._runs.append(run)
            self._changed.notify_all()

    def put(self, key: str, step: KeptStep) -> None:
        """Keep a step of a run that has begun. Written beside the caller."""
        with self._changed:
            if key not in self._steps and self._waiting + step.state.nbytes <= WAITING_BYTES:
                self._steps[key] = step
                self._waiting += step.state.nbytes
                self._changed.notify_all()

    def known(self, keys: Sequence[str]) -> Iterable[str]:
        """Those of these keys that are here."""
        with self._changed:
            waiting = [key for key in keys if key in self._steps]
        return {*waiting, *_or(set[str](), lambda: self._index.known(keys))}

    def get(self, key: str) -> KeptStep | None:
        """The step of this key, unless it is not here or damaged."""
        with self._changed:
            if (step := self._steps.get(key)) is not None:
                return step
        stored = _or(None, lambda: self._index.stored(key))
        return None if stored is None else self._read(key, stored)

    # What a person does. Every method raises StorageError when the disk refuses.

    @property
    def nbytes(self) -> int:
        """Bytes that states take."""
        return self._index.nbytes

    def runs(self, limit: int = 50, before: str | None = None) -> Sequence[KeptRun]:
        """Newest first; `before` is the id of the last one seen."""
        return self._index.latest(limit, before)

    def run(self, id: str) -> KeptRun:
        """Raises MissingPart for one that is not kept, or no longer."""
        run = self._index.run(id)
        if run is None:
            raise MissingPart("The kept run {id} is gone: run its recipe again.", id=f"{id[:12]}…")
        return run

    def of(self, recipe: Recipe) -> KeptRun | None:
        """The kept run behind a picture, by the recipe that the picture carries."""
        return self._index.of(recipe)

    def delete(self, id: str) -> None:
        """Drop a run and the states that no other needs. Raises MissingPart."""
        self._drop(self.run(id).id)

    def flush(self) -> None:
        """Wait until all that was put is on the disk."""
        with self._changed:
            self._changed.wait_for(lambda: not (self._runs or self._steps or self._busy) or not self._thread.is_alive())

    def close(self) -> None:
        """Write what waits, then end."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()
        self._index.close()

    # The thread.

    def _work(self) -> None:
        self._quietly(self._clear)
        while True:
            with self._changed:
                self._busy = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._closing or bool(self._runs or self._steps))
                if not (self._runs or self._steps):
                    return
                self._busy = True
                runs, self._runs = self._runs, []
                steps = dict(self._steps)
            self._quietly(lambda runs=runs, steps=steps: self._save(runs, steps))
            with self._changed:
                for key, step in steps.items():
                    del self._steps[key]
                    self._waiting -= step.state.nbytes

    def _quietly(self, act: Callable[[], None]) -> None:
        refused = ""
        try:
            act()
        except (StorageError, OSError) as refusal:  # a full disk must not stop what is running
            refused = str(refusal)
        if refused and refused != self._refused:
            log.error("steps are not kept: %s", refused)
        self._refused = refused

    def _clear(self) -> None:
        """Remove the files that no run knows."""
        for folder in self._folder.glob("??"):
            old = [file for file in folder.iterdir() if file.stat().st_mtime < time.time() - LEFT_BEHIND]
            known = self._index.known([file.stem for file in old if file.suffix == SUFFIX])
            for file in old:
                if file.suffix != SUFFIX or file.stem not in known:
                    file.unlink(missing_ok=True)

    def _save(self, runs: Sequence[NewRun], steps: Mapping[str, KeptStep]) -> None:
        for run in runs:
            self._index.list_run(run)
            self._taken = self._index.nbytes
        written: dict[str, Stored] = {}
        try:
            self._write_all(steps, written)
        finally:  # of a disk that got full on the way, what came before
            self._index.add(written)
            for key in written.keys() - self._index.known(list(written)):  # its run was deleted meanwhile
                self._path(key).unlink(missing_ok=True)

    def _write_all(self, steps: Mapping[str, KeptStep], written: dict[str, Stored]) -> None:
        """Files for the steps that have none, as long as there is room; tells in `written` what it did."""
        known = self._index.known(list(steps))
        for key, step in steps.items():
            if key in known:
                continue
            data = step.state.to_bytes()
            if not self._make_room(len(data)):
                return
            self._write(key, data)
            self._taken += len(data)
            stands = {"sigma": step.sigma, "form": step.form, "scale": step.scale, "shift": step.shift}
            written[key] = Stored(nbytes=len(data), crc=zlib.crc32(data), stands=stands)

    def _make_room(self, wanted: int) -> bool:
        """Drops runs until so many bytes fit, but never the latest. Whether they do."""
        while self._taken + wanted > self.limit and (oldest := self._index.oldest()) is not None:
            self._taken -= self._drop(oldest)
        return self._taken + wanted <= self.limit

    def _drop(self, id: str) -> int:
        """Removes a run, and the files that no other needs. Returns their bytes."""
        dropped = self._index.drop(id)
        for key in dropped:
            self._path(key).unlink(missing_ok=True)
        return sum(dropped.values())

    def _write(self, key: str, data: bytes) -> None:
        # Not flushed to the disk: after a power loss the file may be damaged, and then it is not known.
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}.tmp")
        try:
            draft.write_bytes(data)
            draft.replace(path)
        except OSError:
            draft.unlink(missing_ok=True)
            raise

    def _read(self, key: str, stored: Stored) -> KeptStep | None:
        try:
            data = self._path(key).read_bytes()
            if zlib.crc32(data) == stored.crc:
                stands: dict[str, Any] = dict(stored.stands)
                return KeptStep(state=SamplerState.from_bytes(data), **stands)
            reason: object = "its bytes have changed"
        except (OSError, UserError, TypeError) as error:
            reason = error
        log.warning("the kept step %s is damaged: %s", key, reason)
        _or(None, lambda: self._index.forget(key))
        return None

    def _path(self, key: str) -> Path:
        return self._folder / key[:2] / f"{key}{SUFFIX}"


def _or(default: T, ask: Callable[[], T]) -> T:
    """What the index says; a disk that refuses knows nothing."""
    try:
        return ask()
    except StorageError as refusal:
        log.error("kept steps could not be read: %s", refusal)
        return default
