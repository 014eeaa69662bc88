"""Muon: momentum, orthogonalised, as the step of every large matrix (Jordan 2024; step size as in Liu et al. 2025).

Rare directions, such as one object's name in the keys and values of the cross-attention, get as long a step as frequent
ones; with Adam alone the shapes came several times later.
"""

from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor

SMALLEST = 64  # rows and columns: below this a weight is left to Adam
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
ROUNDS = 5
LENGTH = 0.2  # root mean square of a step's entries, in learning rates: about Adam's


def is_matrix(weight: Tensor) -> bool:
    """Whether a weight [rows, ...] is large enough on both sides."""
    return weight.ndim >= 2 and min(weight.shape[0], weight[0].numel()) >= SMALLEST


def orthogonalised(x: Tensor) -> Tensor:
    """[count, m, n] -> about the nearest matrices with all singular values 1, bfloat16 inside."""
    tall = x.shape[1] > x.shape[2]
    x = (x.mT if tall else x).bfloat16()
    x = x / (x.float().norm(dim=(1, 2), keepdim=True) + 1e-7).bfloat16()
    a, b, c = NEWTON_SCHULZ
    for _ in range(ROUNDS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.mT if tall else x).float()


class Muon:
    """Holds the momentum of float32 weights whose gradients lie in `slopes`; both are views, changed in place."""

    def __init__(self, weights: Sequence[Tensor], slopes: Sequence[Tensor], momentum: float = 0.95) -> None:
        self._groups: dict[tuple[int, int], list[tuple[Tensor, Tensor]]] = defaultdict(list)
        for weight, slope in zip(weights, slopes, strict=True):
            self._groups[weight.shape[0], weight[0].numel()].append((weight, slope))
        self.momentum = momentum
        self.memory = {size: torch.zeros(len(pairs), *size) for size, pairs in self._groups.items()}

    def step(self, rate: float, decay: float) -> None:
        for size, pairs in self._groups.items():
            slopes = torch.stack([slope.reshape(size) for _, slope in pairs])
            memory = self.memory[size].lerp_(slopes, 1 - self.momentum)
            moves = orthogonalised(slopes.lerp(memory, self.momentum)) * (LENGTH * max(size) ** 0.5)
            for (weight, _), move in zip(pairs, moves, strict=True):
                weight.mul_(1 - rate * decay).sub_(move.view(weight.shape), alpha=rate)
