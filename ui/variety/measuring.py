"""What is measured of pictures, each once: how far they lie apart, at once; whether they follow their prompt, as time allows."""

import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from core.adherence import Asked, Measure, Measures, Reading, Silence, followed
from core.adherence import spread as spread_seen
from core.errors import ImageError, ModelError, UserError
from core.images.files import opened
from core.images.gallery import Item
from core.images.structure import Pyramid, pyramid, spread
from core.variety import Stand

MEASURED = 512  # pictures whose pyramid is kept: 11 KB each
READ = 8192  # pictures whose reading is kept: a number, and 3 KB where CLIP reads
MOMENT = 0.2  # seconds that are read on before the page is told


class Measuring:
    """Several threads may ask; one at a time looks."""

    def __init__(self, models: Path) -> None:
        self._measures, self._lock = Measures(models), threading.Lock()
        self._pyramids: OrderedDict[str, Pyramid] = OrderedDict()
        self._apart: OrderedDict[tuple[str, ...], float | None] = OrderedDict()
        self._readings: OrderedDict[str, Reading | None] = OrderedDict()  # None: a picture that cannot be opened
        self._voices: OrderedDict[Asked, Measure | Silence | UserError] = OrderedDict()
        self.known = 0  # readings so far: whoever told of them tells anew when it has grown

    def voice(self, item: Item) -> Measure | Silence | UserError:
        """What speaks about whether such a picture follows its prompt, or why nothing does."""
        asked = _asked(item)
        if asked not in self._voices:
            try:
                self._voices[asked] = self._measures.of(asked)
            except ModelError as error:
                self._voices[asked] = error
            _shorten(self._voices, MEASURED)
        return self._voices[asked]

    def read_on(self, items: Iterable[Item], *, busy: bool) -> bool:
        """Read a moment's worth of these pictures; whether any lacked a reading. busy: more of them will come."""
        with self._lock:
            until = time.monotonic() + MOMENT
            lacking = [item for item in items if self._lacks(item)]
            for item in lacking:
                self._read(item)
                if time.monotonic() > until:
                    break
            if not lacking and not busy:
                self._measures.release()
        return bool(lacking)

    def stand(self, items: Sequence[Item]) -> Stand | None:
        """How these pictures stand; None for fewer than two. What is not all read yet is not known."""
        apart = self.apart(items)
        if apart is None:
            return None
        return Stand(apart=apart, followed=None if self.waits(items) else followed(self._seen(items)))

    def seen_apart(self, items: Sequence[Item]) -> float | None:
        """How far they lie apart as the measure of adherence sees them, where it says so."""
        return None if self.waits(items) else spread_seen(self._seen(items))

    def waits(self, items: Iterable[Item]) -> bool:
        """Whether some of them will still be read."""
        return any(self._lacks(item) for item in items)

    def apart(self, items: Iterable[Item]) -> float | None:
        """The mean structural distance between these pictures; None for fewer than two."""
        there = [item for item in items if item.path.exists()]
        key = tuple(item.id for item in there)
        if key not in self._apart:
            self._apart[key] = spread([self._pyramid(item) for item in there])
            _shorten(self._apart, MEASURED)
        return self._apart[key]

    def _pyramid(self, item: Item) -> Pyramid:
        if item.id not in self._pyramids:
            with opened(item.path) as picture:
                self._pyramids[item.id] = pyramid(picture)
        self._pyramids.move_to_end(item.id)
        _shorten(self._pyramids, MEASURED)
        return self._pyramids[item.id]

    def _seen(self, items: Iterable[Item]) -> list[Reading]:
        return [reading for item in items if (reading := self._readings.get(item.id)) is not None]

    def _lacks(self, item: Item) -> bool:
        return item.id not in self._readings and not isinstance(self.voice(item), str | UserError)

    def _read(self, item: Item) -> None:
        voice = self.voice(item)
        if isinstance(voice, str | UserError):  # it fell silent at the picture before
            return
        try:
            with opened(item.path) as picture:
                self._readings[item.id] = voice.read(picture.convert("RGB"), _asked(item))
        except ImageError:
            self._readings[item.id] = None
        except ModelError as error:
            self._voices[_asked(item)] = error
        _shorten(self._readings, READ)
        self.known += 1


def _asked(item: Item) -> Asked:
    return Asked(prompt=item.recipe.prompt, model=item.recipe.model, width=item.width, height=item.height)


def _shorten(kept: OrderedDict[Any, Any], most: int) -> None:
    while len(kept) > most:
        kept.popitem(last=False)
