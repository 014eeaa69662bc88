"""The job in hand: which of its recipes runs, and how fast it goes."""

import hashlib
import time
from dataclasses import dataclass, field

from core.jobs.view import JobView
from core.jobs.worker import Progress


@dataclass
class Course:
    """The job in hand: which of its recipes runs, and how fast it goes."""

    view: JobView  # as it was when its turn came
    first: int = 0  # image of the job that is the recipe's first
    images: frozenset[int] = frozenset()  # of this recipe
    whole: set[int] = field(default_factory=set[int])  # images made to their end
    ran: int = 0  # steps run before this recipe
    busy: bool = False  # a recipe was run in this turn
    since: float = field(default_factory=time.monotonic)  # when its turn came
    began: tuple[float, int] | None = None  # when the first step was done, and how many were run then

    @property
    def series(self) -> str:
        """Names the pictures of a sweep as one. Not the job's id: who knows that may watch it."""
        return hashlib.sha256(self.view.id.encode()).hexdigest()[:16]

    @property
    def seconds(self) -> float:
        """That the job has run, over all its turns."""
        return (self.view.seconds or 0.0) + time.monotonic() - self.since

    def begin(self, number: int, ran: int) -> None:
        images = self.view.work.images_of(number)
        self.first, self.images, self.ran = images.start, frozenset(images), ran

    def seconds_left(self, new: Progress, ran: int) -> float:
        """Of the whole job: of a sweep by the steps that are left, at the pace so far; nobody knows of an endless one."""
        if self.view.work.endless:
            return 0.0
        if self.view.cost is None or not ran:
            return new.seconds_left
        now = time.monotonic()
        self.began = self.began or (now, ran)
        since, first = self.began
        return (self.view.cost.steps - ran) * (now - since) / (ran - first) if ran > first else 0.0
