"""Whether pictures show what their prompt asks for, in points of 100, as a model of seeing that is here already sees it."""

from core.adherence.measure import Asked, Measure, Reading, Silence
from core.adherence.measures import Measures, followed, spread

__all__ = ["Asked", "Measure", "Measures", "Reading", "Silence", "followed", "spread"]
