"""Time inside a network's forward passes, apart from everything around them."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass
class Stopwatch:
    """Seconds spent inside, and how often."""

    seconds: float = 0.0
    calls: int = 0


@contextmanager
def timed(owner: Any, name: str = "forward") -> Iterator[Stopwatch]:
    """Times every call of `owner.name` within the block. Exact on a CPU, where a call returns when it is done."""
    watch, original = Stopwatch(), getattr(owner, name)

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        began = time.perf_counter()
        try:
            return original(*args, **kwargs)
        finally:
            watch.seconds += time.perf_counter() - began
            watch.calls += 1

    setattr(owner, name, wrapper)
    try:
        yield watch
    finally:
        setattr(owner, name, original)


@dataclass(frozen=True)
class Timing:
    """One run: everything, and the part inside the network."""

    total: float
    forwards: float
    calls: int

    def around_a_step(self, steps: int) -> float:
        """Milliseconds a step outside the network."""
        return (self.total - self.forwards) / steps * 1000


def measure(run: Callable[[], object], network: Any) -> Timing:
    with timed(network) as watch:
        began = time.perf_counter()
        run()
        total = time.perf_counter() - began
    return Timing(total, watch.seconds, watch.calls)
