"""The film of a job: small stills of each image, evenly over its steps, from each of which a run can go on."""

from collections.abc import Iterable
from dataclasses import dataclass

SIDE = 128  # pixels, the longer one
FRAMES = 12  # of an image, where stills cost nothing
FEWEST = 6  # where each is a decode
SECONDS = 0.12  # that the stills of an image may take
OF_A_JOB = 96  # a large batch gets fewer of each image
BORDERS = 24  # beside the even ones, in an image


@dataclass(frozen=True, kw_only=True)
class Frame:
    """What an image looked like after a step, and where to go on from there."""

    image: int
    step: int  # steps done
    start: int  # `init.start` of a recipe that goes on from here
    key: str  # its `init.trajectory`
    jpeg: bytes
    border: bool = False  # another segment begins after this step
    stripes: float = 0.0  # of a border: the share of the picture's variance that lies in one wave


@dataclass(frozen=True)
class Cut:
    """Which steps get a still: evenly spread ones, every border between segments, and the last."""

    most: int = FEWEST
    borders: frozenset[int] = frozenset()

    @classmethod
    def of(cls, images: int, borders: Iterable[int], seconds: float | None) -> "Cut":
        """For a job of so many images, where a still costs so many seconds (None: nobody knows yet)."""
        affordable = FEWEST if seconds is None else max(FEWEST, int(SECONDS / max(seconds, 1e-6)))
        share = max(2, OF_A_JOB // images)
        return cls(min(FRAMES, affordable, share), frozenset(sorted(borders)[:BORDERS]))

    def wants(self, step: int, steps: int) -> bool:
        """Whether the state after `step` of `steps` steps gets a still."""
        even = step * self.most // steps != (step - 1) * self.most // steps
        return even or step == steps or step in self.borders
