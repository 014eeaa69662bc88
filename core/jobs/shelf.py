"""Where finished pictures go: somebody's gallery, or the shelf of pictures that are everybody's."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from PIL.Image import Image

from core.events import Stats
from core.images.gallery import Gallery, Item, new_id
from core.jobs.work import Work
from core.recipe import Recipe


class Keeper(Protocol):
    """What the queue needs of a gallery."""

    def find(self, id: str) -> Item | None: ...

    def add(self, picture: Image, recipe: Recipe, made_with: Mapping[str, str], owner: str, id: str) -> Item: ...


class Shelf(Keeper, Protocol):
    """One that knows a picture by its recipe."""

    def keys(self, recipes: Iterable[Recipe]) -> Sequence[str]:
        """The ids of their pictures. Raises UserError."""
        ...


@dataclass(frozen=True)
class Shelves:
    """Both of them. Without a shelf no shared work may be filed."""

    gallery: Gallery
    shelf: Shelf | None = None

    def of(self, work: Work) -> Keeper:
        return self._shelf if work.shared else self.gallery

    def id_of(self, work: Work, image: int) -> str:
        """The name that a picture gets: a new one, or on the shelf its recipe's."""
        return self._shelf.keys([work.recipes[image]])[0] if work.shared else new_id()

    def told(self, work: Work, series: str, stats: Stats) -> dict[str, str]:
        """What is written beside a picture: the tile that it belongs to, or what it took."""
        if work.shared:
            return {
                "seconds": f"{stats.seconds:.3f}", "model_calls": str(stats.model_calls), "reused_steps": str(stats.reused_steps)
            }  # fmt: skip
        return {"series": series} if work.axes or work.others or work.endless else {}

    @property
    def _shelf(self) -> Shelf:
        assert self.shelf is not None, "shared work needs a shelf"
        return self.shelf
