"""The looks inside that need the model, by name: each is asked of a recipe, and answers in numbers and small pictures."""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from core.events import Event
from core.inside.codec import Losses, losses
from core.inside.layers import Layers, layers
from core.inside.pair import Pair, pair
from core.inside.trace import Trace, trace
from core.pipeline import Pipeline, Wish
from core.recipe import Recipe

Seen = Trace | Losses | Layers | Pair
"""What is seen so far; no tensors, so that it may cross from one process to another."""
Look = Callable[[Pipeline, Recipe, Callable[[], Wish]], Iterator[Event | Seen]]

LOOKS: Mapping[str, Look] = MappingProxyType({"trace": trace, "vae": losses, "layers": layers, "pair": pair})
