"""What a file of weights says of its tensors, whatever its format: names, shapes and where they lie, never numbers."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class TensorInfo:
    """One tensor of a file, without its data."""

    dtype: str  # safetensors' word (F16, BF16, F32 ...) or ggml's for blocks (Q8_0, Q4_K ...)
    shape: tuple[int, ...]
    start: int = 0  # of its data in the file, bytes
    size: int = 0  # of its data, bytes


@dataclass(frozen=True, kw_only=True)
class Header:
    """All that a file of weights says about itself."""

    tensors: Mapping[str, TensorInfo]
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])

    def shape(self, name: str) -> tuple[int, ...]:
        """Of a tensor; () when there is none of that name."""
        info = self.tensors.get(name)
        return info.shape if info else ()

    def has(self, *prefixes: str) -> bool:
        return any(name.startswith(prefixes) for name in self.tensors)


def main_dtype(tensors: Iterable[TensorInfo]) -> str:
    """The dtype that holds most numbers."""
    counts: dict[str, int] = {}
    for info in tensors:
        counts[info.dtype] = counts.get(info.dtype, 0) + math.prod(info.shape)
    return max(counts, key=lambda dtype: counts[dtype]) if counts else ""
