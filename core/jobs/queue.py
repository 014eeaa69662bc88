"""The queue: recipes and sweeps of them wait here, one worker does them, browsers only watch.

A job is the server's: it goes on when its watcher has left, and comes back when the program was killed.
Pictures are in the gallery before anybody sees them. An endless job lets all others run between its rounds, a strip whatever
somebody waits for between its pictures.
"""

import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from core.errors import ImageError, Refused, Stopped, StorageError, UserError
from core.images.gallery import Gallery, Item
from core.jobs.course import Course
from core.jobs.limits import Limits
from core.jobs.shelf import Shelf, Shelves
from core.jobs.store import JobStore, Record, Slot, State
from core.jobs.turns import in_turn
from core.jobs.view import JobView, view_of
from core.jobs.work import Work
from core.jobs.worker import Outlook, Picture, Progress, Report, Sight, Words, Worker
from core.pipeline import Wish
from core.recipe import Recipe
from core.sweep import Axis

SHOW_SECONDS = 0.1  # plain steps are not shown more often
CLOSE_SECONDS = 60.0  # for the forward pass in hand
FILM = 480  # frames that a job keeps, the latest ones: some 2 MB

log = logging.getLogger(__name__)


class Jobs:
    """Owner of the queue, its file and its one thread."""

    def __init__(
        self, worker: Worker, gallery: Gallery, path: Path, limits: Limits | None = None, shelf: Shelf | None = None
    ) -> None:
        self._worker, self._gallery, self._limits = worker, gallery, limits or Limits()
        self._shelves = Shelves(gallery, shelf)
        self._store = JobStore(path)
        self._changed = threading.Condition()  # guards all that follows
        self._views: dict[str, JobView] = {}  # in the order of filing
        self._slots: dict[str, dict[int, Slot]] = {}  # of unfinished jobs, by image
        self._turn = 0  # jobs begun so far
        self._turns: dict[str, float] = {}  # of owners with unfinished jobs: the last turn that they had
        self._shown = 0.0
        self._closing = False
        with self._changed:
            self._remember()
        self._thread = threading.Thread(target=self._work, name="stepwise-jobs", daemon=True)
        self._thread.start()

    def submit(self, recipe: Recipe, owner: str, axes: Sequence[Axis] = ()) -> str:
        """File a recipe, or with axes a sweep of it, and return the job's id.

        Raises Refused when too much is asked for or waits, StorageError; for a sweep what is wrong with any of its recipes.
        """
        return self.file(Work(recipe=recipe, axes=tuple(axes)), owner)

    def file(self, work: Work, owner: str) -> str:
        """File whatever is to be made, and return the job's id. Raises as `submit`; an endless job that would end at once too."""
        cost = self._worker.cost(work.recipes) if len(work.recipes) > 1 or work.axes else None
        self._limits.admit(work, cost)
        if (ended := self._limits.end(work, 0, self._gallery.folder)) is not None:
            raise ended
        with self._changed:
            self._refuse_when_closing()
            waiting = [view for view in self._views.values() if not view.finished]
            mine = sum(view.owner == owner for view in waiting)
            if mine >= self._limits.per_owner:
                raise Refused("You have {count} jobs waiting already: let one finish, or cancel one.", count=mine)
            if len(waiting) >= self._limits.total:
                raise Refused("The queue is full with {count} jobs: try again in a while.", count=len(waiting))
            record = Record(id=secrets.token_urlsafe(12), filed=time.time(), owner=owner, work=work, cost=cost)
            self._store.add(record)
            self._views[record.id] = view_of(record, {})
            self._slots[record.id] = {}
            # Who comes new stands before whoever had the last turn, and behind all who have waited for longer.
            self._turns.setdefault(owner, self._turn - 0.5)
            self._line_up()
            return record.id

    def get(self, id: str) -> JobView:
        """How a job stands. Raises Refused for one that nobody knows."""
        with self._changed:
            return self._view(id)

    def mine(self, owner: str) -> list[JobView]:
        """All remembered jobs of an owner, in the order of filing."""
        with self._changed:
            return [view for view in self._views.values() if view.owner == owner]

    def watch(self, id: str, since: int, timeout: float) -> JobView:
        """Wait until there is another version than `since`, at most `timeout` seconds. Raises Refused."""
        with self._changed:
            self._changed.wait_for(lambda: self._view(id).version != since, timeout)
            return self._view(id)

    def cancel(self, id: str, owner: str, how: Literal["now", "after"] = "now") -> None:
        """Ask one's own job to stop: it does within a step ("now"), or with the image in the making ("after")."""
        with self._changed:
            self._refuse_when_closing()
            view = self._of(id, owner)
            if view.state == "queued":
                self._finish(id, "stopped")
            elif view.state == "running" and view.stopping != "now":
                self._show(id, stopping=how)
                self._save(lambda: self._store.set_wish(id, how))

    def star(self, id: str, owner: str, image: int, starred: bool) -> None:
        """Keep one's own picture from being swept away, or no longer. Raises Refused."""
        with self._changed:
            view = self._of(id, owner)
            if image in view.made:
                self._show(id, starred=view.starred | {image} if starred else view.starred - {image})
                self._fate(id, image, "starred" if starred else "")

    def sweep_away(self, id: str, owner: str) -> int:
        """Delete the pictures of one's own job that bear no star, and say how many that were. Raises Refused, StorageError."""
        with self._changed:
            view = self._of(id, owner)
            rest = {image: item for image, item in view.made.items() if image not in view.starred}
            kept = {image: item for image, item in view.made.items() if image in view.starred}
            self._show(id, made=kept, swept=view.swept | rest.keys())
            for image in rest:
                self._fate(id, image, "swept")
        for item in rest.values():
            with suppress(ImageError):  # deleted in the gallery before
                self._gallery.delete(item.id, owner)
        return len(rest)

    def close(self) -> None:
        """Stop within a step and keep the queue for the next start."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(CLOSE_SECONDS)
        if not self._thread.is_alive():
            self._store.close()

    def _remember(self) -> None:
        """What the file tells. A job that was running begins again, unless it had been told to stop."""
        for record in self._store.all():
            slots = sorted(record.slots.items())
            keeper = self._shelves.of(record.work)
            made = {image: item for image, slot in slots if (item := keeper.find(slot.item))}
            state = record.state
            if state == "running":
                state = "queued" if record.wish is None else "stopped"
                self._save(partial(self._store.set_state, record.id, state))
            self._views[record.id] = view_of(replace(record, state=state), made)
            if state == "queued":
                self._slots[record.id] = dict(record.slots)
                self._turns[record.owner] = 0.0
        self._line_up()

    def _work(self) -> None:
        while (view := self._next()) is not None:
            self._do(view)

    def _next(self) -> JobView | None:
        """The job whose turn it is, now running; None when the house closes."""
        with self._changed:
            self._changed.wait_for(lambda: self._closing or bool(self._queue()))
            if self._closing:
                return None
            first = self._queue()[0]
            self._turn += 1
            self._turns[first.owner] = self._turn
            self._save(lambda: self._store.set_state(first.id, "running"))
            view = self._show(first.id, state="running", position=0)
            self._line_up()
            return view

    def _do(self, view: JobView) -> None:
        """One job from its beginning to whatever end it comes to. Nothing that it raises ends the thread."""
        state: State = "done"
        error: UserError | None = None
        course = Course(view)
        try:
            for number, recipe in enumerate(view.work.rounds()):
                course.begin(number, self._views[view.id].ran)
                if self._is_made(course) or self._is_shelved(course):  # the job begins again, or somebody was faster
                    course.whole |= course.images
                    continue
                error = self._limits.end(view.work, course.first, self._gallery.folder)
                if error is not None:
                    break
                if self._gives_way(course):
                    return
                course.busy = True
                for report in self._reports(view, recipe):
                    self._take(course, report)
                if self._wish(view.id) is not None:
                    break
            if error is None and (view.work.endless or len(course.whole) < view.images):
                state = "stopped"
        except Stopped:
            state = "stopped"
        except UserError as caught:
            state, error = "failed", _bare(caught)
        except Exception:  # a bug in one job must not stop the queue; its traceback is logged
            log.exception("job %s failed", view.id)
            state = "failed"
            error = UserError("Something broke inside Stepwise, and this picture was not made: the log says what.")
        with self._changed:
            if state == "stopped" and self._closing and self._views[view.id].stopping is None:
                return  # still "running" in the file: it begins again with the next start
            self._finish(view.id, state, error, course.seconds)

    def _is_made(self, course: Course) -> bool:
        """Whether the pictures of the recipe in hand are there, or were; of an endless job even those that somebody deleted."""
        view = self._views[course.view.id]
        there = self._slots[view.id].keys() if view.work.endless else view.made.keys() | view.swept
        return course.images <= there

    def _is_shelved(self, course: Course) -> bool:
        """Whether everybody's picture in hand was made meanwhile for somebody else."""
        if not course.view.work.shared:
            return False
        item = self._shelves.of(course.view.work).find(self._shelves.id_of(course.view.work, course.first))
        if item is not None:
            with self._changed:
                view = self._views[course.view.id]
                self._show(view.id, made={**view.made, course.first: item})
        return item is not None

    def _gives_way(self, course: Course) -> bool:
        """An endless job begins a round, a strip a picture, only where nobody waits; otherwise they stand in the queue again."""
        work = course.view.work
        if not work.patience:
            return False
        with self._changed:
            view = self._views[course.view.id]
            if work.endless:
                view = self._show(view.id, images=max(course.images) + 1, previews=())
            waits = any(work.endless or other.work.patience < work.patience for other in self._queue())
            if self._closing or not waits or not course.busy:
                return False
            self._save(partial(self._store.set_state, view.id, "queued"))
            self._show(view.id, state="queued", phase="", what="", previews=(), seconds=course.seconds)
            self._line_up()
            return True

    def _reports(self, view: JobView, recipe: Recipe) -> Iterator[Report]:
        """Of a recipe's pictures, of its prompt in more words, or of a look inside."""
        if view.work.look:
            return self._worker.look(recipe, view.work.look, lambda: self._wish(view.id))
        if view.work.wording:
            return self._worker.enrich(recipe, view.work.wording, lambda: self._wish(view.id))
        return self._worker.run(recipe, lambda: self._wish(view.id))

    def _wish(self, id: str) -> Wish:
        return "now" if self._closing else self._views[id].stopping

    def _take(self, course: Course, report: Report) -> None:
        id = course.view.id
        match report:
            case Progress():
                self._take_progress(course, report)
            case Sight(seen=seen):
                course.whole |= course.images if seen.whole else set()
                with self._changed:
                    self._show(id, phase="looking", seen=seen)
            case Words():
                course.whole |= course.images if report.whole else set()
                with self._changed:
                    self._show(id, phase="writing", text=report.text, tokens=report.tokens, notes=report.notes)
            case Outlook(recipe=resolved, notes=notes):
                with self._changed:
                    told = self._views[id].notes
                    self._show(id, resolved=resolved, notes=(*told, *(note for note in notes if note not in told)))
            case Picture(partial=True) if self._closing and self._views[id].stopping is None:
                return  # it is made whole after the next start
            case Picture(partial=True) if course.view.work.shared:
                return  # nobody else asked to stop
            case Picture():
                image, item = course.first + report.image, self._keep(course, report)
                course.whole |= set() if report.partial else {image}
                with self._changed:
                    old = self._views[id]
                    self._show(id, made={**old.made, image: item}, calls=old.calls + report.stats.model_calls)

    def _take_progress(self, course: Course, new: Progress) -> None:
        with self._changed:
            old = self._views[course.view.id]
            image, ran = course.first + new.image, course.ran + new.ran
            moved = (new.phase, image, new.what) != (old.phase, old.image, old.what)
            if not moved and new.preview is None and not new.frames and time.monotonic() - self._shown < SHOW_SECONDS:
                return
            self._shown = time.monotonic()
            previews = [*old.previews, *[b""] * (old.images - len(old.previews))]
            if new.preview is not None:
                previews[image] = new.preview
            frames = [replace(frame, image=course.first + frame.image) for frame in new.frames]
            handed = {frame.image: frame for frame in frames if frame.border and frame.image not in old.handed}
            self._show(
                old.id, phase=new.phase, what=new.what, share=new.share, image=image,
                step=old.step if new.phase == "decoding" else new.step, steps=new.steps or old.steps, sigma=new.sigma,
                ran=max(old.ran, ran), seconds_left=course.seconds_left(new, ran), previews=tuple(previews),
                film=(*old.film, *frames)[-FILM:], handed={**old.handed, **handed},
            )  # fmt: skip

    def _keep(self, course: Course, report: Picture) -> Item:
        """Into the gallery, once: a job begun again finds the pictures of its first attempt there."""
        view, image = course.view, course.first + report.image
        slots = self._slots[view.id]
        keeper = self._shelves.of(view.work)
        kept = keeper.find(slots[image].item) if image in slots else None
        if kept is not None:
            return kept
        id = slots[image].item if image in slots else self._shelves.id_of(view.work, image)
        handed = self._views[view.id].handed.get(image)
        slots[image] = Slot(item=id, ran=report.ran, calls=report.stats.model_calls, handed=handed)
        self._store.set_slot(view.id, image, slots[image])
        told = self._shelves.told(view.work, course.series, report.stats)
        return keeper.add(report.picture, report.recipe, {**report.made_with, **told}, view.owner, id)

    def _refuse_when_closing(self) -> None:
        if self._closing:
            raise Refused("Stepwise is closing: start it again first.")

    def _view(self, id: str) -> JobView:
        if id not in self._views:
            raise Refused("There is no such job: it finished long ago, or was never filed here.")
        return self._views[id]

    def _of(self, id: str, owner: str) -> JobView:
        """One's own job. Raises Refused."""
        view = self._view(id)
        if view.owner != owner:
            raise Refused("This job belongs to somebody else: only its owner can change it.")
        return view

    def _fate(self, id: str, image: int, fate: str) -> None:
        if id in self._slots and image in self._slots[id]:
            self._slots[id][image] = replace(self._slots[id][image], fate=fate)
        self._save(partial(self._store.set_fate, id, image, fate))

    def _show(self, id: str, **changes: Any) -> JobView:
        """Replace a view by a newer one and wake the watchers. The lock is held."""
        view = self._views[id]
        self._views[id] = view = replace(view, version=view.version + 1, **changes)
        self._changed.notify_all()
        return view

    def _finish(self, id: str, state: State, error: UserError | None = None, seconds: float | None = None) -> None:
        self._save(lambda: self._store.set_state(id, state, error))
        self._slots.pop(id, None)
        ended = {"position": 0, "phase": "", "what": "", "seconds_left": 0.0, "seconds": seconds, "previews": ()}
        self._show(id, state=state, error=error, **ended)
        owner = self._views[id].owner
        if all(view.finished for view in self._views.values() if view.owner == owner):
            self._turns.pop(owner, None)
        done = [view.id for view in self._views.values() if view.finished]
        for old in done[: -self._limits.filmed]:
            if self._views[old].film or self._views[old].seen:
                self._show(old, film=(), seen=None)
        if forgotten := done[: -self._limits.remembered]:
            for old in forgotten:
                del self._views[old]
            self._save(lambda: self._store.remove(forgotten))
        self._line_up()

    def _save(self, write: Callable[[], None]) -> None:
        """A full disk must not stop what is running: at worst a job is done twice."""
        try:
            write()
        except StorageError as refusal:
            log.error("the queue could not be saved: %s", refusal)

    def _line_up(self) -> None:
        """Tell everybody who waits their position."""
        for position, view in enumerate(self._queue(), start=1):
            if view.position != position:
                self._show(view.id, position=position)

    def _queue(self) -> Sequence[JobView]:
        return in_turn(self._views.values(), self._turns)


def _bare(error: UserError) -> UserError:
    """Without the frames it came through: they hold the run's tensors, and a job's error is kept for long."""
    error.__traceback__ = error.__cause__ = error.__context__ = None
    return error
