"""Kept steps: the state after each step, under the step's key.

A key is the hash of the key before it and of all that can change the step's bits. So equal keys mean equal bits, any edit re-runs
only from the first step that changed, and recipes that begin alike share what they have in common.
"""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from torch import Tensor

from core.sampling import SamplerState


def digest(*parts: object) -> str:
    """64 hexadecimal digits naming these values. Floats go in by their shortest exact form, tensors by their bytes."""
    hasher = hashlib.sha256()
    for part in parts:
        data = (
            _tensor_bytes(part)
            if isinstance(part, Tensor)
            else part
            if isinstance(part, bytes)
            else repr(part).encode()
        )
        hasher.update(len(data).to_bytes(8, "little"))
        hasher.update(data)
    return hasher.hexdigest()


def _tensor_bytes(tensor: Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().numpy().tobytes()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KeptStep:
    """The state after a step, and what a run with other settings must know to go on from it."""

    state: SamplerState
    sigma: float  # the level of noise that it stands at
    form: str  # names the latent format: only a model with the same one can go on from it
    scale: float  # x * scale + shift is the latent in VAE units, the level's own scaling undone
    shift: float

    def latent(self) -> Tensor:
        """[G, C, h, w] in VAE units, with the noise that is left in it: what ComfyUI hands from node to node."""
        return self.state.x * self.scale + self.shift


class Tier(Protocol):
    """A slower and larger store below the one in memory. Nothing of it raises: what cannot be read is not known."""

    def put(self, key: str, step: KeptStep) -> None: ...

    def get(self, key: str) -> KeptStep | None: ...

    def known(self, keys: Sequence[str]) -> Iterable[str]:
        """Those of these keys that are here."""
        ...


class TrajectoryStore:
    """States by key, the least recently used dropped first when they take more than `limit` bytes. 0 keeps none.

    With a tier below, whatever is put goes there as well, and what is not here is looked for there.
    """

    def __init__(self, limit: int, below: Tier | None = None) -> None:
        self._limit, self._below = limit, below
        self._lock = threading.Lock()
        self._bytes = 0
        self._steps: OrderedDict[str, KeptStep] = OrderedDict()

    def __len__(self) -> int:
        return len(self._steps)

    @property
    def nbytes(self) -> int:
        """Bytes held in memory, never more than the limit."""
        return self._bytes

    def put(self, key: str, step: KeptStep) -> None:
        """Keep a step. Tensors in a state are never written to, so nothing is copied on the CPU."""
        if self._below is None and (step.state.nbytes > self._limit or key in self._steps):
            return
        step = replace(step, state=step.state.to("cpu"))
        self._hold(key, step)
        if self._below is not None:
            self._below.put(key, step)

    def get(self, key: str) -> KeptStep | None:
        """What is kept under this key, its tensors on the CPU."""
        with self._lock:
            if (step := self._steps.get(key)) is not None:
                self._steps.move_to_end(key)
                return step
        step = None if self._below is None else self._below.get(key)
        if step is not None:
            self._hold(key, step)
        return step

    def longest(self, keys: Sequence[str]) -> tuple[int, KeptStep | None]:
        """How many of these steps, from the first one on, need not run again, and what the last of them left."""
        known = {key for key in keys if key in self._steps}
        if self._below is not None:
            known.update(self._below.known([key for key in keys if key not in known]))
        for done in range(len(keys), 0, -1):
            if keys[done - 1] in known and (step := self.get(keys[done - 1])) is not None:
                return done, step
        return 0, None

    def _hold(self, key: str, step: KeptStep) -> None:
        size = step.state.nbytes
        with self._lock:
            if size > self._limit or key in self._steps:
                return
            self._steps[key] = step
            self._bytes += size
            while self._bytes > self._limit:
                _, dropped = self._steps.popitem(last=False)
                self._bytes -= dropped.state.nbytes
