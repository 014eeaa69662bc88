"""Noise: where a run starts, and what its random samplers add on the way.

Two sources. `keyed`: each draw is a function of (the image's seed, step of the whole run, substep) and of nothing else,
so an image alone, in a batch, or cut in two gets the same noise. `comfyui`: ComfyUI's streams, whose position travels
in the state. All noise is float32 and made on the CPU, so that every device gets the same. torch's CPU generator reads
only the low 32 bits of its seed, so a seed and that seed + 2^32 start alike, as in ComfyUI.
"""

import hashlib
import math
import struct
from collections.abc import Callable, Sequence
from typing import Protocol, cast

import torch
from torch import Generator, Tensor

from core.errors import UnknownName, UserError

Seeds = int | Sequence[int]
Times = tuple[float, ...]
SEEDS = 1 << 64
STEP_NOISE = b"stepwise step"


def starting_noise(seed: Seeds, shape: Sequence[int]) -> Tensor:
    """ComfyUI's starting noise: one CPU generator with the seed. With one seed an image, shape[0] is their number."""
    if isinstance(seed, int):
        return _randn(Generator().manual_seed(check_seed(seed)), shape)
    if len(seed) != shape[0]:
        raise UserError(
            "{seeds} seeds do not fit a batch of {images} images: give one seed for each.",
            seeds=len(seed),
            images=shape[0],
        )
    return torch.cat([starting_noise(one, (1, *shape[1:])) for one in seed])


class NoiseSource(Protocol):
    """Standard normal noise of x's shape on the CPU. Equal arguments give equal bits, in any order of asking."""

    def normal(self, run_step: int, drawn: int) -> Tensor:
        """The noise of a step; `drawn` is the number of draws before it."""
        ...

    def brownian(self, run_step: int, times: Times) -> list[Tensor]:
        """W(t) - W(times[0]) for each later t, over sqrt|t - times[0]|: one Brownian path along falling sigmas."""
        ...


class KeyedNoise:
    """A fresh generator for each draw. Increments that overlap are sums of draws on disjoint intervals.

    One seed for a batch counts up: image k has seed + k.
    """

    def __init__(self, seed: Seeds, shape: Sequence[int]) -> None:
        one_each = [(check_seed(seed) + k) % SEEDS for k in range(shape[0])] if isinstance(seed, int) else seed
        self._seeds = [check_seed(one) for one in one_each]
        self._image = (1, *shape[1:])

    def _draw(self, run_step: int, substep: int) -> Tensor:
        generators = [Generator().manual_seed(step_seed(seed, run_step, substep)) for seed in self._seeds]
        draws = [_randn(generator, self._image) for generator in generators]
        return draws[0] if len(draws) == 1 else torch.cat(draws)

    def normal(self, run_step: int, drawn: int) -> Tensor:
        return self._draw(run_step, 0)

    def brownian(self, run_step: int, times: Times) -> list[Tensor]:
        walk = increment = self._draw(run_step, 0)
        increments = [increment]
        for k in range(1, len(times) - 1):
            before, now = abs(times[k] - times[0]), abs(times[k + 1] - times[k])
            walk = walk * math.sqrt(before) + self._draw(run_step, k) * math.sqrt(now)
            walk = walk / math.sqrt(before + now)
            increments.append(walk)
        return increments


class ComfyNoise:
    """One generator with seed+1 for ancestral noise, one Brownian tree over the table's ends for SDE noise.

    One seed: the batch is drawn as a whole, as ComfyUI does. A seed an image: each image as if it were alone.
    """

    def __init__(self, seed: Seeds, shape: Sequence[int], ends: tuple[float, float]) -> None:
        alone = not isinstance(seed, int)
        self._seeds = [check_seed(one) for one in (seed if alone else [seed])]
        self._shape = (1, *shape[1:]) if alone else tuple(shape)
        self._ends = ends
        self._trees: list[Callable[[float, float], Tensor]] = []
        self._rewind()

    def _rewind(self) -> None:
        self._generators = [Generator().manual_seed((seed + 1) % SEEDS) for seed in self._seeds]
        self._drawn = 0

    def _next(self) -> Tensor:
        self._drawn += 1
        return torch.cat([_randn(generator, self._shape) for generator in self._generators])

    def normal(self, run_step: int, drawn: int) -> Tensor:
        if drawn < self._drawn:
            self._rewind()
        while self._drawn < drawn:
            self._next()
        return self._next()

    def brownian(self, run_step: int, times: Times) -> list[Tensor]:
        if not self._trees:
            self._trees = [brownian_tree(seed, self._shape, self._ends) for seed in self._seeds]
        s = times[0]
        return [torch.cat([tree(s, t) for tree in self._trees]) / math.sqrt(abs(t - s)) for t in times[1:]]


def noise_source(kind: str, seed: Seeds, shape: Sequence[int], sigmas: Sequence[float]) -> NoiseSource:
    """The noise of a run with x of that shape over that table. One seed for the batch, or one for each image."""
    if not isinstance(seed, int) and len(seed) != shape[0]:
        raise UserError(
            "{seeds} seeds do not fit a batch of {images} images: give one seed for each.",
            seeds=len(seed),
            images=shape[0],
        )
    if kind == "keyed":
        return KeyedNoise(seed, shape)
    if kind == "comfyui":
        return ComfyNoise(seed, shape, table_ends(sigmas))
    raise UnknownName("noise", kind, ("keyed", "comfyui"))


def table_ends(sigmas: Sequence[float]) -> tuple[float, float]:
    """The interval of ComfyUI's Brownian tree: the smallest sigma above 0, and the largest."""
    return min((s for s in sigmas if s > 0), default=0.0), max(sigmas)


def brownian_tree(seed: int, shape: Sequence[int], ends: tuple[float, float]) -> Callable[[float, float], Tensor]:
    """W(t) - W(s) of one Brownian path; the same path whatever is asked first (torchsde, Li et al. 2020)."""
    # wanted by SDE samplers with ComfyUI's noise alone
    from torchsde import BrownianTree  # pyright: ignore[reportMissingTypeStubs]

    low, high = (torch.tensor(end) for end in ends)
    tree = BrownianTree(low, torch.zeros(tuple(shape)), high, entropy=seed)

    def increment(s: float, t: float) -> Tensor:
        w = cast(Tensor, tree(torch.tensor(min(s, t)), torch.tensor(max(s, t))))
        return w if s < t else -w

    return increment


def check_seed(seed: int) -> int:
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < SEEDS:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UserError("A seed is a whole number from 0 to 2^64-1, not {seed!r}: choose another.", seed=seed)
    return seed


def step_seed(seed: int, run_step: int, substep: int) -> int:
    """64 bits that name a draw, in a domain apart from the starting noise (whose generator takes the seed itself)."""
    digest = hashlib.blake2b(struct.pack("<QQQ", seed, run_step, substep), digest_size=8, person=STEP_NOISE)
    return int.from_bytes(digest.digest(), "little")


def _randn(generator: Generator, shape: Sequence[int]) -> Tensor:
    return torch.randn(tuple(shape), generator=generator, dtype=torch.float32)
