"""The explainer tab's side that thinks: its cards, their numbers and their strips."""

from ui.explainer.handlers import Explaining
from ui.explainer.wiring import wire

__all__ = ["Explaining", "wire"]
