"""The split tab's side that thinks: what its form means, what it says, and which event reaches what."""

from ui.split.handlers import Splitting, experiments, first_values
from ui.split.wiring import shown_by, wire

__all__ = ["Splitting", "experiments", "first_values", "shown_by", "wire"]
