"""The queue: recipes and sweeps of them wait here, one worker does them, browsers only watch.

A job is the server's: it goes on when its watcher has left, and comes back when the program was killed.
Pictures are in the gallery before anybody sees them.
"""

import hashlib
import logging
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from core.errors import Refused, Stopped, StorageError, UserError
from core.images.gallery import Gallery, Item, new_id
from core.jobs.film import Frame
from core.jobs.store import JobStore, Record, Slot, State
from core.jobs.work import Work
from core.jobs.worker import Outlook, Phase, Picture, Progress, Worker
from core.pipeline import Wish
from core.plan import Note
from core.recipe import InitImage, Recipe
from core.sweep import Axis
from core.tree import Cost

FINISHED: frozenset[State] = frozenset({"done", "stopped", "failed"})
SHOW_SECONDS = 0.1  # plain steps are not shown more often
CLOSE_SECONDS = 60.0  # for the forward pass in hand
FILM = 480  # frames that a job keeps, the latest ones: some 2 MB

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much may wait, how much is remembered, and how large a job may be; None is what a recipe allows."""

    per_owner: int = 50  # jobs not yet finished
    total: int = 500
    remembered: int = 200  # finished jobs
    filmed: int = 32  # of these, so many keep their film
    pixels: int | None = None  # of one picture
    steps: int | None = None
    batch: int | None = None
    pictures: int | None = None  # of one job
    work: int | None = None  # steps of one sweep, what its pictures share counted once

    @classmethod
    def guarded(cls) -> "Limits":
        """For a house that strangers can enter."""
        return cls(per_owner=3, total=50, pixels=1024 * 1024, steps=100, batch=4, pictures=64, work=1500)

    def check(self, recipe: Recipe) -> None:
        """Raises Refused for a job that is too large here. What a recipe leaves to the family is never too large."""
        steps = max(float(recipe.steps or 0), *(float(part.steps or 0) for part in recipe.segments), 0.0)
        if isinstance(recipe.init, InitImage):
            steps /= recipe.init.denoise  # the schedule that is made for it, though only its end is run
        if self.pixels is not None and (recipe.width or 0) * (recipe.height or 0) > self.pixels:
            raise Refused("A picture may have at most {most} pixels here: make it smaller.", most=self.pixels)
        if self.steps is not None and steps > self.steps:
            raise Refused("A picture may have at most {most} steps here: take fewer.", most=self.steps)
        if self.batch is not None and recipe.batch > self.batch:
            raise Refused("At most {most} pictures at a time are made here: take fewer.", most=self.batch)

    def admit(self, work: Work, cost: Cost | None) -> None:
        """Raises Refused for a job of which a recipe, or all of them together, are too much here."""
        for recipe in work.recipes:
            self.check(recipe)
        if self.pictures is not None and work.images > self.pictures:
            raise Refused("A sweep may have at most {most} pictures here: take fewer values.", most=self.pictures)
        if self.work is not None and cost is not None and cost.steps > self.work:
            raise Refused(
                "This sweep takes {count} steps, and at most {most} are run at a time here: take fewer values or steps.",
                count=cost.steps, most=self.work,
            )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class JobView:
    """A job as a watcher sees it. Never changes: a newer view has another `version`."""

    id: str
    owner: str
    work: Work  # as filed
    cost: Cost | None = None  # of a sweep, as it was counted when it was filed
    resolved: Recipe | None = None  # the recipe in the making, once it is planned
    filed: float  # seconds since 1970
    version: int = 0
    state: State = "queued"
    position: int = 0  # in the queue: 1 is next; 0 once it runs
    phase: Phase = ""
    what: str = ""  # the thing being loaded
    share: float = 0.0  # of loading or encoding, 0 to 1
    image: int = 0  # counted over the whole job
    images: int = 1
    step: int = 0  # of this image
    steps: int = 0
    sigma: float = 0.0
    ran: int = 0  # steps really run, of all images
    calls: int = 0  # forward passes of the finished pictures
    seconds_left: float = 0.0  # of the whole job; 0 when unknown
    seconds: float | None = None  # that it ran, once it has ended here
    previews: tuple[bytes, ...] = ()  # JPEG, one an image, empty until there is one
    film: tuple[Frame, ...] = ()  # stills of the steps, also after the end
    made: Mapping[int, Item] = field(default_factory=dict[int, Item])  # image -> finished picture, in the gallery
    notes: tuple[Note, ...] = ()
    stopping: Wish = None  # what was asked of it
    error: UserError | None = None

    @property
    def recipe(self) -> Recipe:
        """As filed; what the axes of a sweep vary."""
        return self.work.recipe

    @property
    def items(self) -> tuple[Item, ...]:
        """The finished pictures, in the order of making."""
        return tuple(self.made.values())

    @property
    def finished(self) -> bool:
        return self.state in FINISHED


class Jobs:
    """Owner of the queue, its file and its one thread."""

    def __init__(self, worker: Worker, gallery: Gallery, path: Path, limits: Limits | None = None) -> None:
        self._worker, self._gallery, self._limits = worker, gallery, limits or Limits()
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
        work = Work(recipe=recipe, axes=tuple(axes))
        cost = self._worker.cost(work.recipes) if axes else None
        self._limits.admit(work, cost)
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
            self._views[record.id] = _view_of(record, {})
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
            view = self._view(id)
            if view.owner != owner:
                raise Refused("This job belongs to somebody else: only its owner can stop it.")
            if view.state == "queued":
                self._finish(id, "stopped")
            elif view.state == "running" and view.stopping != "now":
                self._show(id, stopping=how)
                self._save(lambda: self._store.set_wish(id, how))

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
            made = {image: item for image, slot in slots if (item := self._gallery.find(slot.item))}
            state = record.state
            if state == "running":
                state = "queued" if record.wish is None else "stopped"
                self._save(partial(self._store.set_state, record.id, state))
            self._views[record.id] = _view_of(replace(record, state=state), made)
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
        course, began = _Course(view), time.monotonic()
        try:
            for number, recipe in enumerate(view.work.recipes):
                course.begin(number, self._views[view.id].ran)
                if course.images <= self._views[view.id].made.keys():  # the job begins again
                    course.whole |= course.images
                    continue
                for report in self._worker.run(recipe, lambda: self._wish(view.id)):
                    self._take(course, report)
                if self._wish(view.id) is not None:
                    break
            if len(course.whole) < view.images:
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
            self._finish(view.id, state, error, time.monotonic() - began)

    def _wish(self, id: str) -> Wish:
        return "now" if self._closing else self._views[id].stopping

    def _take(self, course: "_Course", report: Progress | Outlook | Picture) -> None:
        id = course.view.id
        match report:
            case Progress():
                self._take_progress(course, report)
            case Outlook(recipe=resolved, notes=notes):
                with self._changed:
                    told = self._views[id].notes
                    self._show(id, resolved=resolved, notes=(*told, *(note for note in notes if note not in told)))
            case Picture(partial=True) if self._closing and self._views[id].stopping is None:
                return  # it is made whole after the next start
            case Picture():
                image, item = course.first + report.image, self._keep(course, report)
                course.whole |= set() if report.partial else {image}
                with self._changed:
                    old = self._views[id]
                    self._show(id, made={**old.made, image: item}, calls=old.calls + report.stats.model_calls)

    def _take_progress(self, course: "_Course", new: Progress) -> None:
        with self._changed:
            old = self._views[course.view.id]
            image, ran = course.first + new.image, course.ran + new.ran
            moved = (new.phase, image, new.what) != (old.phase, old.image, old.what)
            if not moved and new.preview is None and not new.frames and time.monotonic() - self._shown < SHOW_SECONDS:
                return
            self._shown = time.monotonic()
            previews = list(old.previews) or [b""] * old.images
            if new.preview is not None:
                previews[image] = new.preview
            frames = (replace(frame, image=course.first + frame.image) for frame in new.frames)
            self._show(
                old.id, phase=new.phase, what=new.what, share=new.share, image=image,
                step=old.step if new.phase == "decoding" else new.step, steps=new.steps or old.steps, sigma=new.sigma,
                ran=max(old.ran, ran), seconds_left=course.seconds_left(new, ran), previews=tuple(previews),
                film=(*old.film, *frames)[-FILM:],
            )  # fmt: skip

    def _keep(self, course: "_Course", report: Picture) -> Item:
        """Into the gallery, once: a job begun again finds the pictures of its first attempt there."""
        view, image = course.view, course.first + report.image
        slots = self._slots[view.id]
        kept = self._gallery.find(slots[image].item) if image in slots else None
        if kept is not None:
            return kept
        id = slots[image].item if image in slots else new_id()
        slots[image] = Slot(item=id, ran=report.ran, calls=report.stats.model_calls)
        self._store.set_slot(view.id, image, slots[image])
        made_with = dict(report.made_with) | ({"series": course.series} if view.work.axes else {})
        return self._gallery.add(report.picture, report.recipe, made_with, view.owner, id)

    def _refuse_when_closing(self) -> None:
        if self._closing:
            raise Refused("Stepwise is closing: start it again first.")

    def _view(self, id: str) -> JobView:
        if id not in self._views:
            raise Refused("There is no such job: it finished long ago, or was never filed here.")
        return self._views[id]

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
            if self._views[old].film:
                self._show(old, film=())
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
        """What waits, in the order in which it will run: owners in turn, each owner's jobs as filed."""
        lines: dict[str, list[JobView]] = {}
        for view in self._views.values():
            if view.state == "queued":
                lines.setdefault(view.owner, []).append(view)
        return _in_turn(lines, self._turns)


@dataclass
class _Course:
    """The job in hand: which of its recipes runs, and how fast it goes."""

    view: JobView  # as it was when its turn came
    first: int = 0  # image of the job that is the recipe's first
    images: frozenset[int] = frozenset()  # of this recipe
    whole: set[int] = field(default_factory=set[int])  # images made to their end
    ran: int = 0  # steps run before this recipe
    began: tuple[float, int] | None = None  # when the first step was done, and how many were run then

    @property
    def series(self) -> str:
        """Names the pictures of a sweep as one. Not the job's id: who knows that may watch it."""
        return hashlib.sha256(self.view.id.encode()).hexdigest()[:16]

    def begin(self, number: int, ran: int) -> None:
        firsts = self.view.work.firsts
        self.first, self.images, self.ran = firsts[number], frozenset(range(firsts[number], firsts[number + 1])), ran

    def seconds_left(self, new: Progress, ran: int) -> float:
        """Of the whole job: of a sweep by the steps that are left, at the pace so far."""
        if self.view.cost is None or not ran:
            return new.seconds_left
        now = time.monotonic()
        self.began = self.began or (now, ran)
        since, first = self.began
        return (self.view.cost.steps - ran) * (now - since) / (ran - first) if ran > first else 0.0


def _in_turn(lines: Mapping[str, list[JobView]], turns: Mapping[str, float]) -> list[JobView]:
    """Round robin: whose last turn is longest ago is next."""
    order = sorted(lines, key=lambda owner: turns[owner])  # stable: among equals as filed
    rounds = max((len(line) for line in lines.values()), default=0)
    return [lines[owner][n] for n in range(rounds) for owner in order if n < len(lines[owner])]


def _bare(error: UserError) -> UserError:
    """Without the frames it came through: they hold the run's tensors, and a job's error is kept for long."""
    error.__traceback__ = error.__cause__ = error.__context__ = None
    return error


def _view_of(record: Record, made: Mapping[int, Item]) -> JobView:
    return JobView(
        id=record.id, owner=record.owner, work=record.work, cost=record.cost, filed=record.filed, state=record.state,
        made=made, images=record.work.images, ran=sum(slot.ran for slot in record.slots.values()),
        calls=sum(slot.calls for slot in record.slots.values()), stopping=record.wish, error=record.error,
    )  # fmt: skip
