"""What a measure of adherence is: it is asked about a picture and its prompt, and says points or why it says none."""

from dataclasses import dataclass
from typing import Literal, Protocol

from PIL import Image
from torch import Tensor

Silence = Literal["none", "words", "size"]
"""Why nothing is measured: nothing here can see such a model's pictures; the prompt names nothing it knows; another size."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a picture was asked to show, and of which model."""

    prompt: str
    model: str
    width: int
    height: int


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What a measure says of one picture."""

    points: float  # of adherence, 0 to 100
    features: Tensor | None = None  # float32 [D] of length 1, where they say how far pictures lie apart


class Measure(Protocol):
    """A way to measure adherence. Weights are read at the first picture."""

    @property
    def name(self) -> Literal["judge", "clip"]: ...

    @property
    def title(self) -> str:
        """The folder that it was read from."""
        ...

    def silence(self, asked: Asked) -> Silence | None:
        """Why it says nothing about such a picture; None where it does."""
        ...

    def read(self, picture: Image.Image, asked: Asked) -> Reading:
        """Raises ModelError for weights that cannot be used."""
        ...

    def release(self) -> None:
        """Gives the weights' memory back; the next reading takes it again."""
        ...
