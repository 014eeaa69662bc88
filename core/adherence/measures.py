"""Which measure speaks for a picture, and what the readings of several pictures come to."""

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import torch

from core.adherence import clip, judge
from core.adherence.measure import Asked, Measure, Reading, Silence

ORDER: tuple[Silence, ...] = ("none", "size", "words")  # the last one is nearest to speaking


class Measures:
    """The measures of one models folder: CLIP where it lies there, else our judge for the demo models.

    Looked for once: what is put there later speaks after the next start.
    """

    def __init__(self, models: Path) -> None:
        self._models = models
        self._found: tuple[Measure, ...] | None = None

    def of(self, asked: Asked) -> Measure | Silence:
        """The measure that speaks, or why none does. Raises ModelError where the judge's folder is damaged."""
        silences: list[Silence] = []
        for measure in self._measures():
            silence = measure.silence(asked)
            if silence is None:
                return measure
            silences.append(silence)
        return max(silences, key=ORDER.index) if silences else "none"

    def release(self) -> None:
        """The weights' memory, until the next reading."""
        for measure in self._found or ():
            measure.release()

    def _measures(self) -> tuple[Measure, ...]:
        if self._found is None:
            folder = clip.find(self._models)
            own = self._models / judge.FOLDER
            found: list[Measure] = [] if folder is None else [clip.Clip(folder)]
            self._found = (*found, judge.Judge(own)) if own.is_dir() else tuple(found)
        return self._found


def followed(readings: Sequence[Reading]) -> float | None:
    """Mean points of adherence; None for no picture."""
    return sum(reading.points for reading in readings) / len(readings) if readings else None


def spread(readings: Sequence[Reading]) -> float | None:
    """The mean of 1 - cosine over all pairs of pictures; None for fewer than two, or where the measure has no features."""
    features = [reading.features for reading in readings if reading.features is not None]
    apart = [1 - float(torch.dot(a, b)) for a, b in combinations(features, 2)]
    return sum(apart) / len(apart) if len(features) == len(readings) and apart else None
