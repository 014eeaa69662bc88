"""The downloads of this server: one at a time, beside the work, whoever looks. What came is kept, also over a restart."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from core.errors import Refused, Stopped, UnknownName, UserError
from core.models.catalogue import OFFERS, Offer, Remote
from core.models.transfer import came, fetch


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far the latest download is. Bytes are those of all its files, of which some were here before."""

    offer: str
    state: Literal["running", "checking", "done", "stopped", "failed"] = "running"
    file: str = ""
    done: int = 0
    total: int = 0
    speed: float = 0.0  # bytes a second
    error: UserError | None = None

    @property
    def finished(self) -> bool:
        return self.state in ("done", "stopped", "failed")


@dataclass(frozen=True, kw_only=True)
class Held:
    """What of an offer is here."""

    files: tuple[int, ...]  # bytes of each
    missing: int  # bytes

    @property
    def began(self) -> bool:
        return any(self.files)


class Downloads:
    """Threads share one."""

    def __init__(self, root: Path, allowed: bool) -> None:
        """root: the models folder. allowed: False where others can reach this server."""
        self._root, self.allowed = Path(root), allowed
        self._news = threading.Condition()
        self._progress: Progress | None = None
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()

    @property
    def progress(self) -> Progress | None:
        """Of the latest download; None where there was none."""
        return self._progress

    @property
    def running(self) -> bool:
        return self._progress is not None and not self._progress.finished

    def held(self, offer: Offer) -> Held:
        """What of it is here, whole or in part."""
        files = tuple(file.size_bytes if file.here(self._root) else came(file, self._root) for file in offer.files)
        return Held(files=files, missing=sum(file.size_bytes for file in offer.files) - sum(files))

    def start(self, id: str) -> None:
        """Begins, or goes on with what broke off. Raises UnknownName, Refused."""
        if id not in OFFERS:
            raise UnknownName("download", id, OFFERS)
        if not self.allowed:
            raise Refused("Models are not downloaded on a shared server: ask the person who runs it.")
        with self._news:
            if self.running:
                raise Refused("A download is running: wait for it, or stop it first.")
            self._progress = Progress(offer=id)
            self._stop.clear()
            self._thread = threading.Thread(target=self._run, args=(OFFERS[id],), name="download", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Ends the download that runs; what came is kept."""
        self._stop.set()

    def close(self) -> None:
        """Stops, and gives it a moment to end. What is on the disk then can be gone on from in any case."""
        self.stop()
        if self._thread is not None:
            self._thread.join(2.0)

    def wait(self, seconds: float) -> bool:
        """Until no download runs, or so long; whether none does."""
        with self._news:
            return self._news.wait_for(lambda: not self.running, seconds)

    def _run(self, offer: Offer) -> None:
        held = self.held(offer)
        missing = [file for file in offer.files if not file.here(self._root)]
        before = sum(file.size_bytes for file in offer.files if file not in missing)
        self._tell(total=sum(held.files) + held.missing, done=sum(held.files))
        try:
            self._fetch(missing, before)
        except Stopped:
            self._tell(state="stopped", speed=0.0)
        except UserError as error:
            self._tell(state="failed", speed=0.0, error=error)
        else:
            self._tell(state="done", speed=0.0, done=self._progress.total if self._progress else 0)

    def _fetch(self, files: Sequence[Remote], before: int) -> None:
        """before: bytes of the files that are whole."""
        for file in files:
            began, first = time.monotonic(), came(file, self._root)
            self._tell(state="running", file=file.name, done=before + first)

            def moved(here: int, began: float = began, first: int = first, before: int = before) -> None:
                if self._stop.is_set():
                    raise Stopped
                self._tell(done=before + here, speed=max(here - first, 0) / max(time.monotonic() - began, 0.1))

            fetch(file, self._root, moved, lambda: self._tell(state="checking"))
            before += file.size_bytes

    def _tell(self, **changes: object) -> None:
        with self._news:
            assert self._progress is not None
            self._progress = replace(self._progress, **changes)  # pyright: ignore[reportArgumentType]
            self._news.notify_all()
