"""How the pictures of the variety tab stand: rows of the same seeds with the number between them, the plot, the endless run."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence

from core.images.gallery import Item
from core.images.structure import STRIPED
from core.jobs import JobView
from core.recipe import Recipe
from core.variety import Blind, best, blind_of
from ui import views
from ui.context import Context
from ui.served import Served
from ui.texts import Texts
from ui.variety import numbers
from ui.variety.measuring import Measuring
from ui.variety.models import model_choices

KINDS = ("rows", "pin", "grid", "endless")
FOLLOWED = ("rows", "grid")  # where adherence stands beside the distance
SHOWN = 48  # pictures of an endless run, the latest ones; starred ones are always shown
LATEST = 12  # of them that are measured: pairs grow with the square


class Varied:
    """Tells the page of the latest job of each kind. Keeps what was measured, and what is finished as it was told."""

    def __init__(self, context: Context, served: Served) -> None:
        self._context, self._served = context, served
        self._measuring = Measuring(context.pipe.library.root)
        self._told: OrderedDict[tuple[str, int, int, str], views.Value] = OrderedDict()

    def measure(self, owner: str) -> bool:
        """A moment's worth of looking whether pictures follow their prompt; whether there was anything to look at."""
        latest = self._latest(owner)
        items = [item for name in FOLLOWED if name in latest for item in latest[name].made.values()]
        busy = any(not view.finished for view in latest.values())
        return self._measuring.read_on([item for item in items if item.path.exists()], busy=busy)

    def shown(self, owner: str, words: Texts) -> views.Value:
        """Everything, and which of it was filed last."""
        latest = self._latest(owner)
        last = max(latest.values(), key=lambda view: view.filed, default=None)
        lacking = last is None and not model_choices(self._context)
        return {
            "problem": words("variety.no_model") if lacking else "",
            "now": "" if last is None else last.work.name,
            "shows": {name: self._once(latest[name], words) for name in KINDS if name in latest},
        }

    def _latest(self, owner: str) -> Mapping[str, JobView]:
        return {view.work.name: view for view in self._context.jobs.mine(owner) if view.work.name in KINDS}

    def _once(self, view: JobView, words: Texts) -> views.Value:
        """A job, put together anew only when it has changed, or more is known of its pictures."""
        key = (view.id, view.version, self._measuring.known, words.language)
        if key not in self._told:
            self._told[key] = self._job(view, words)
            while len(self._told) > 16:
                self._told.popitem(last=False)
        return self._told[key]

    def _job(self, view: JobView, words: Texts) -> views.Value:
        told: views.Value = {"id": view.id, "state": view.state}
        match view.work.name:
            case "endless":
                return told | self._endless(view, words)
            case "grid":
                return told | self._grid(view, words)
            case _:
                return told | {"parts": self._parts(view, words)}

    # --- rows ----------------------------------------------------------------------------------------------------------

    def _parts(self, view: JobView, words: Texts) -> list[views.Value]:
        """Rows from above to below; after a plain one and its blind one the number that they make."""
        recipes, parts = view.work.rows, list[views.Value]()
        if view.work.name == "pin":
            cells = [self._cell(view, image, words, recipe.prompt) for image, recipe in enumerate(recipes)]
            return [{"kind": "row", "title": words("variety.row.pin", seed=view.recipe.seed), "cells": cells}]
        several = len({recipe.sampler for recipe in recipes}) > 1
        for row, recipe in enumerate(recipes):
            images = _images_of(view, row)
            title = row_title(recipe, words)
            title = words("variety.row.sampler", row=title, sampler=recipe.sampler) if several else title
            cells = [self._cell(view, image, words) for image in images]
            parts.append({"kind": "row", "title": title, "cells": cells})
            if row + 1 < len(recipes) and not recipe.segments:
                parts.append(self._number(view, row, words))
        return parts

    def _number(self, view: JobView, row: int, words: Texts) -> views.Value:
        """How far the seeds lie apart, plain and with the blind start of the row below; of those that both have."""
        pairs = [
            (view.made.get(a), view.made.get(b))
            for a, b in zip(_images_of(view, row), _images_of(view, row + 1), strict=True)
        ]
        both = [(plain, blind) for plain, blind in pairs if plain is not None and blind is not None]
        plain, blind = ([pair[k] for pair in both if all(item.path.exists() for item in pair)] for k in (0, 1))
        return {"kind": "number"} | numbers.between(self._measuring, plain, blind, words, single=len(pairs) < 2)

    def _cell(self, view: JobView, image: int, words: Texts, caption: str = "") -> views.Value:
        """One picture in whatever state, and how it stood after its blind steps."""
        item, frame = view.made.get(image), view.handed.get(image)
        if item is not None and item.path.exists():  # somebody may have deleted it in the gallery
            thumb = self._served.url(self._context.gallery.thumbnail(item))
            told = views.picture(item, self._served) | {"thumb": thumb, "recipe": ""}
        else:
            preview = view.previews[image] if image < len(view.previews) and not view.finished else b""
            recipe = view.resolved or view.recipe
            told: views.Value = {
                "id": "", "kind": "preview" if preview else "wait", "src": "", "thumb": views.jpeg(preview), "name": "", "seed": "",
                "width": recipe.width or 1, "height": recipe.height or 1, "prompt": "", "recipe": "",
            }  # fmt: skip
        still = {"still": "", "after": "", "stripes": ""}
        if frame is not None:
            still = {
                "still": views.jpeg(frame.jpeg), "after": words("variety.after", step=frame.step),
                "stripes": words("variety.stripes") if frame.stripes > STRIPED else "",
            }  # fmt: skip
        seed = told["seed"] or str(_seed(view, image))
        return told | still | {
            "image": image, "seed": seed, "starred": image in view.starred, "named": bool(caption),
            "caption": caption or words("variety.seed.of", seed=seed),
        }  # fmt: skip

    # --- the plot ------------------------------------------------------------------------------------------------------

    def _grid(self, view: JobView, words: Texts) -> views.Value:
        """The number of every cell, by blind steps and shift."""
        recipes = view.work.rows
        shifts = list(dict.fromkeys(recipe.shift for recipe in recipes))
        made = [self._there(view, _images_of(view, row)) for row in range(len(recipes))]
        stands = [self._measuring.stand(items) for items in made]
        most = max((stand.apart for stand in stands if stand), default=0.0) or 1.0
        winner, scale = best(stands, stands[0]), numbers.Scale(plain=stands[0], shift=shifts[0] or 0.0, most=most)
        rows: list[views.Value] = []
        for first in range(0, len(recipes), len(shifts)):
            title, cells = row_title(recipes[first], words), list[views.Value]()
            for row in range(first, first + len(shifts)):
                where = words("variety.grid.cell", row=title, shift=f"{recipes[row].shift:g}")
                told = numbers.cell(stands[row], scale, words, where=where, best=row == winner)
                cells.append(told | {"cells": [self._cell(view, image, words) for image in _images_of(view, row)]})
            rows.append({"title": title, "cells": cells})
        hint = numbers.hint(self._measuring, [item for items in made for item in items], words)
        return {"shifts": [f"{shift:g}" for shift in shifts], "rows": rows, "hint": hint}

    # --- the endless run -----------------------------------------------------------------------------------------------

    def _endless(self, view: JobView, words: Texts) -> views.Value:
        """Newest first; what is in the making before them."""
        newest = sorted(view.made, reverse=True)
        listed = [image for k, image in enumerate(newest) if k < SHOWN or image in view.starred]
        making = [view.image] if view.state == "running" and view.image not in view.made else []
        text = words("variety.endless.count", count=len(newest), starred=len(view.starred & view.made.keys()))
        if (number := self._measuring.apart([view.made[image] for image in newest[:LATEST]])) is not None:
            text = words("variety.endless.number", text=text, number=f"{number:.2f}")
        return {
            "text": text, "rest": len(view.made.keys() - view.starred), "hidden": len(newest) - len(listed),
            "ended": "" if view.error is None else words.error(view.error),
            "cells": [self._cell(view, image, words) for image in (*making, *listed)],
        }  # fmt: skip

    def _there(self, view: JobView, images: Sequence[int]) -> list[Item]:
        """Those of a job's pictures that are made, and not deleted in the gallery since."""
        return [item for image in images if (item := view.made.get(image)) is not None and item.path.exists()]


def row_title(recipe: Recipe, words: Texts) -> str:
    """Plain, or so many blind steps and under what."""
    blind = blind_of(recipe) or Blind()
    if not blind.steps:
        return words("variety.row.plain")
    return words(f"variety.row.{blind.conditioning}", steps=blind.steps)


def _images_of(view: JobView, row: int) -> Sequence[int]:
    """The numbers of a row's pictures: they are made seed by seed."""
    if not view.work.others:
        return range(view.work.images)
    return range(row, view.work.images, len(view.work.rows))


def _seed(view: JobView, image: int) -> int:
    """Of a picture that is not there yet; of an endless run nobody has drawn it here."""
    return 0 if view.work.endless else (view.recipe.seed + image // len(view.work.rows)) % 2**64
