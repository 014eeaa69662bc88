"""What a LoRA does to one weight W, of shape [out, in] or [out, in, k, k].

    additive      W + s · scale · M         M the file's matrix, scale = alpha / rank
    decomposed    W + s · (m · V / |V| - W)     V = W + scale · M      (DoRA, https://arxiv.org/abs/2402.09353)

where s is the strength. M is up · down (LoRA), with a core between them (LoCon's mid, a Tucker decomposition), an elementwise product of
two such (LoHa, https://arxiv.org/abs/2108.06098), a Kronecker product (LoKr), or simply there (full).
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

import torch
from torch import Tensor

Rows = tuple[slice, ...]
"""Rows of a matrix, block after block."""


class Delta(ABC):
    """A change to one parameter."""

    @abstractmethod
    def part(self, rows: Rows) -> "Delta":
        """What it does to some rows of the parameter. Raises ValueError where that depends on the others."""

    @abstractmethod
    def apply(self, weight: Tensor, strength: float) -> Tensor:
        """The changed weight: a new float32 tensor of `weight`'s shape, on its device. weight: float32, left as it is."""


@dataclass(frozen=True, eq=False)
class Product:
    """A · B, both flattened to matrices; with a core [r, r, k, k] between them: sum over m, n of core[m, n] A[·, m] B[n, ·]."""

    a: Tensor  # [out, r], or [out, r, 1, 1]
    b: Tensor  # [r, in], [r, in, k, k] or [r, in·k·k]
    core: Tensor | None = None

    @property
    def rank(self) -> int:
        return self.b.shape[0]

    @property
    def shape(self) -> tuple[int, int]:
        """Of the matrix, all but the first side flattened."""
        columns = self.b[0].numel() * (1 if self.core is None else self.core[0, 0].numel())
        return self.a.shape[0], columns

    def matrix(self, device: torch.device) -> Tensor:
        a, b = _flat(self.a, device), _flat(self.b, device)
        if self.core is None:
            return a @ b
        return torch.einsum("mn...,om,ni->oi...", self.core.to(device, torch.float32), a, b).flatten(1)

    def part(self, rows: Rows) -> "Product":
        return replace(self, a=_cut(self.a, rows))


@dataclass(frozen=True, eq=False)
class Whole:
    """A matrix that the file holds as it is."""

    tensor: Tensor

    @property
    def shape(self) -> tuple[int, int]:
        return self.tensor.shape[0], self.tensor[0].numel()

    def matrix(self, device: torch.device) -> Tensor:
        return self.tensor.to(device, torch.float32).reshape(self.tensor.shape[0], -1)

    def part(self, rows: Rows) -> "Whole":
        return Whole(_cut(self.tensor, rows))


@dataclass(frozen=True, eq=False)
class Hadamard:
    """Elementwise product of two."""

    left: Product
    right: Product

    @property
    def shape(self) -> tuple[int, int]:
        return self.left.shape if self.left.shape == self.right.shape else (0, 0)

    def matrix(self, device: torch.device) -> Tensor:
        return self.left.matrix(device) * self.right.matrix(device)

    def part(self, rows: Rows) -> "Hadamard":
        return Hadamard(self.left.part(rows), self.right.part(rows))


@dataclass(frozen=True, eq=False)
class Kronecker:
    """Kronecker product: every entry of the left times the whole right."""

    left: Product | Whole
    right: Product | Whole

    @property
    def shape(self) -> tuple[int, int]:
        (a, c), (b, d) = self.left.shape, self.right.shape
        return a * b, c * d

    def matrix(self, device: torch.device) -> Tensor:
        return torch.kron(self.left.matrix(device), self.right.matrix(device).contiguous())

    def part(self, rows: Rows) -> "Cut":
        return Cut(self, rows)


@dataclass(frozen=True, eq=False)
class Cut:
    """Some rows of a matrix that is only there as a whole."""

    of: Kronecker
    rows: Rows

    @property
    def shape(self) -> tuple[int, int]:
        rows, columns = self.of.shape
        return sum(len(range(*block.indices(rows))) for block in self.rows), columns

    def matrix(self, device: torch.device) -> Tensor:
        return _cut(self.of.matrix(device), self.rows)

    def part(self, rows: Rows) -> "Cut":
        raise ValueError("cut already")


Matrix = Product | Whole | Hadamard | Kronecker | Cut


@dataclass(frozen=True, eq=False)
class Additive(Delta):
    """W + s · scale · M."""

    of: Matrix
    scale: float = 1.0

    def apply(self, weight: Tensor, strength: float) -> Tensor:
        return weight + (strength * self.scale) * self.of.matrix(weight.device).reshape(weight.shape)

    def part(self, rows: Rows) -> "Additive":
        return replace(self, of=self.of.part(rows))


@dataclass(frozen=True, eq=False)
class Decomposed(Delta):
    """DoRA: the changed weight's direction at a trained magnitude m; the strength goes from W to that, as in ComfyUI.

    magnitude is [out, …] (a norm for each row, as peft and LyCORIS now write it) or [1, in, …] (for each column, LyCORIS before 3).
    """

    of: Additive
    magnitude: Tensor

    def apply(self, weight: Tensor, strength: float) -> Tensor:
        direction = self.of.apply(weight, 1.0)
        magnitude = self.magnitude.to(weight.device, torch.float32)
        by_row = is_by_row(magnitude, weight)
        others = [side for side in range(weight.dim()) if side != (0 if by_row else 1)]
        norm = torch.linalg.vector_norm(direction, dim=others, keepdim=True) + torch.finfo(torch.float32).eps
        return weight + strength * (magnitude.reshape(norm.shape) / norm * direction - weight)

    def part(self, rows: Rows) -> "Decomposed":
        if self.magnitude.shape[0] == 1:
            raise ValueError("the norm of a column is that of all its rows")
        return Decomposed(self.of.part(rows), _cut(self.magnitude, rows))


def is_by_row(magnitude: Tensor, weight: Tensor) -> bool:
    """Whether a DoRA's magnitudes belong to the rows of a weight, not to its columns."""
    return magnitude.shape[0] == weight.shape[0] == magnitude.numel()


def _flat(tensor: Tensor, device: torch.device) -> Tensor:
    return tensor.to(device, torch.float32).flatten(1)


def _cut(tensor: Tensor, rows: Rows) -> Tensor:
    return torch.cat([tensor[block] for block in rows])
