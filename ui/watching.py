"""A browser looks at its jobs. The jobs go on whether somebody looks or not."""

import time
from collections.abc import Iterator, Set

from core.jobs import Jobs, JobView

PACE = 0.25  # seconds between two looks, at most four a second
BREATH = 5.0  # seconds after which an unchanged job is told again, so that a watcher who left is noticed


class Watching:
    """Looks at the jobs of one person."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    def follow(self, owner: str, filed: str = "") -> Iterator[JobView]:
        """All jobs of an owner that are unfinished now, and those that come meanwhile, one after the other, each to its end.

        `filed`: the job that was just filed. It is shown in any case, as are all that are unfinished when this is called: they may
        be done before the first look.
        """
        owed = {filed} | {view.id for view in self._pictured(owner) if not view.finished}
        return self._follow(owner, owed)

    def _follow(self, owner: str, owed: Set[str]) -> Iterator[JobView]:
        told: set[str] = set()
        while (view := self._unfinished(owner)) is not None:
            told.add(view.id)
            yield from self._one(view)
        for view in self._pictured(owner):
            if view.id in owed - told:
                yield view

    def _pictured(self, owner: str) -> list[JobView]:
        """The jobs that make pictures: who asked for words looks at them alone."""
        return [view for view in self._jobs.mine(owner) if not view.work.wording]

    def _unfinished(self, owner: str) -> JobView | None:
        """The job to look at: the one that runs, else the first in the queue."""
        mine = [view for view in self._pictured(owner) if not view.finished]
        return min(mine, key=lambda view: (view.state != "running", view.position), default=None)

    def _is_behind(self, view: JobView) -> bool:
        """An endless job lets others run between its rounds: then they are looked at."""
        first = self._unfinished(view.owner) if view.state == "queued" else None
        return first is not None and first.id != view.id

    def _one(self, view: JobView) -> Iterator[JobView]:
        since, told, previews = -1, 0.0, 0
        while True:
            view = self._jobs.watch(view.id, since, BREATH)
            if not view.finished and time.monotonic() < told + PACE and not _urgent(view, previews):
                view = self._newer(view, told + PACE, previews)
            since, told, previews = view.version, time.monotonic(), _count(view)
            yield view
            if view.finished or self._is_behind(view):
                return

    def _newer(self, view: JobView, until: float, previews: int) -> JobView:
        """The newest view at that time, or earlier what cannot wait: the end, and the first preview of an image."""
        while not view.finished and not _urgent(view, previews) and (wait := until - time.monotonic()) > 0:
            view = self._jobs.watch(view.id, view.version, wait)
        return view


def _count(view: JobView) -> int:
    return sum(bool(preview) for preview in view.previews) + len(view.items)


def _urgent(view: JobView, previews: int) -> bool:
    return _count(view) > previews
