"""How much may be asked for, and when an endless job ends by itself."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from core.errors import Refused, StorageError, UserError
from core.jobs.work import Work
from core.recipe import InitImage, Recipe
from core.tree import Cost


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
    free_bytes: int = 2 * 2**30  # of the disk, that an endless job leaves free

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

    def end(self, work: Work, images: int, folder: Path) -> UserError | None:
        """Why an endless job makes no further round, where it has made so many pictures into this folder."""
        if not work.endless:
            return None
        if self.pictures is not None and images + work.recipe.batch > self.pictures:
            return Refused("The endless run has ended: it may make {most} pictures here.", most=self.pictures)
        if free_bytes(folder) < self.free_bytes:
            return StorageError(
                "The endless run has ended: less than {least} GB of the disk is free. Delete what you do not need, then start it again.",
                least=f"{gigabytes(self.free_bytes):g}",
            )  # fmt: skip
        return None


def free_bytes(folder: Path) -> int:
    """Of the disk that this folder is on."""
    return shutil.disk_usage(folder).free


def gigabytes(count: int) -> float:
    return round(count / 2**30, 1)
