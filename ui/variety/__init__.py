"""The variety tab's side that thinks: its form, what it files, how its pictures stand, and which event reaches what."""

from ui.variety.handlers import Varying, first_values
from ui.variety.view import Varied
from ui.variety.wiring import settled_by, wire

__all__ = ["Varied", "Varying", "first_values", "settled_by", "wire"]
