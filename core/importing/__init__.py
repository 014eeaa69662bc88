"""Pictures, workflows and recipes of others become recipes of ours: what they say is carried over, what cannot be is said."""

from core.importing.draft import Imported
from core.importing.reading import read
from core.importing.shelf import Shelf

__all__ = ["Imported", "Shelf", "read"]
