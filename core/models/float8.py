"""Weights kept in 8 bits, and changes to them that are computed beside.

    W ~ q · 2^e     q: float8 (e4m3, 448 at most), one e for each row, so that max|row| <= 448 · 2^e
    y = W x + up (down x)

A power of two scales without rounding, so the numbers are the same in every dtype that they are computed in; and each row uses the whole
range of float8: unscaled, most weights of a large layer (about 0.02) would lie where it has two bits left or one.
No patch changes a q. Low-rank ones run beside the layer; any other is applied to its numbers whenever it runs, and not kept.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from core.models.lora.deltas import Additive, Product
from core.models.patch import Change
from core.models.streaming import blocks_of
from core.models.weights import byte_size

LARGEST = 448.0  # of float8_e4m3fn
SMALLEST = -24  # the least power of two that float16 has


def quantised(weight: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """(q, scale) of a weight [out, …]; scale [out, 1, …] in the dtype that it is computed in."""
    rows = weight.float().flatten(1)
    largest = rows.abs().amax(dim=1)
    scale = torch.ldexp(torch.ones_like(largest), torch.frexp(largest / LARGEST).exponent.clamp(min=SMALLEST))
    scale = torch.where(
        largest.isfinite(), scale, largest
    )  # float8 makes 448 of infinity, and a damaged file would go unseen
    q = (rows / scale[:, None]).to(torch.float8_e4m3fn).reshape(weight.shape)
    return q, scale.to(dtype).reshape(-1, *[1] * (weight.dim() - 1))


def layers_of(module: nn.Module) -> dict[str, nn.Linear | nn.Conv2d]:
    """What is kept in 8 bits, by name: the matrices in a network's blocks. What embeds and what ends it is small, and precise."""
    inside = {id(part) for block in blocks_of(module) for part in block.modules()}
    return {
        name: part
        for name, part in module.named_modules()
        if id(part) in inside and type(part) in {nn.Linear, nn.Conv2d}
    }  # pyright: ignore[reportReturnType]


def block_size_in_8(block: nn.Module) -> int:
    """Bytes of a block's parameters and buffers, its matrices in 8 bits."""
    kinds = (part for part in block.modules() if type(part) in {nn.Linear, nn.Conv2d})
    weights = [part.get_parameter("weight") for part in kinds]
    return byte_size(block) - sum((w.element_size() - 1) * w.numel() - w.element_size() * len(w) for w in weights)


def byte_size_in_8(module: nn.Module) -> int:
    """The same of a whole network."""
    return byte_size(module) - sum(byte_size(block) - block_size_in_8(block) for block in blocks_of(module))


def keep(module: nn.Module, dtype: torch.dtype) -> dict[str, "Layer8"]:
    """Keeps a network's matrices in 8 bits from now on. By parameter, what stands in for each."""
    return {f"{name}.weight": Layer8(layer, dtype) for name, layer in layers_of(module).items()}


class Layer8:
    """A layer whose weight is in 8 bits. Weight, scale and what runs beside are tensors of the layer, and move with it."""

    def __init__(self, layer: nn.Linear | nn.Conv2d, dtype: torch.dtype) -> None:
        self._layer, self._dtype = layer, dtype
        self._changes: Sequence[Change] = ()
        self._beside = False
        layer.weight.data, scale = quantised(layer.weight.data, dtype)
        layer.register_buffer("scale", scale, persistent=False)
        layer.forward = self.forward

    def carry(self, changes: Sequence[Change]) -> None:
        """Exactly these changes, in order."""
        self._changes, self._beside = (), False
        for name in ("up", "down"):
            self._layer.register_buffer(name, None, persistent=False)
        if changes and isinstance(self._layer, nn.Linear) and all(_is_low_rank(delta) for delta, _ in changes):
            up, down = (
                torch.cat(parts, dim)
                for parts, dim in zip(zip(*map(_factors, changes), strict=True), (1, 0), strict=True)
            )
            device = self._layer.weight.device
            self._layer.register_buffer("up", up.to(device, self._dtype), persistent=False)
            self._layer.register_buffer("down", down.to(device, self._dtype), persistent=False)
            self._beside = True
        else:
            self._changes = changes

    def forward(self, input: Tensor) -> Tensor:
        x, layer = input, self._layer
        if isinstance(layer, nn.Conv2d):
            return layer._conv_forward(x, self.weight(), layer.bias)  # pyright: ignore[reportPrivateUsage]
        y = functional.linear(x, self.weight(), layer.bias)
        if not self._beside:
            return y
        return y + functional.linear(functional.linear(x, layer.get_buffer("down")), layer.get_buffer("up"))

    def weight(self) -> Tensor:
        """The numbers that are kept, with the changes that do not run beside."""
        value = self._layer.weight.to(self._dtype) * self._layer.get_buffer("scale")
        for delta, strength in self._changes:
            value = delta.apply(value.float(), strength)
        return value.to(self._dtype)


def _is_low_rank(delta: object) -> bool:
    return isinstance(delta, Additive) and isinstance(delta.of, Product) and delta.of.core is None


def _factors(change: Change) -> tuple[Tensor, Tensor]:
    """up [out, r], its strength and scale in it, and down [r, in]; float32."""
    delta, strength = change
    assert isinstance(delta, Additive) and isinstance(delta.of, Product)
    return delta.of.a.float().flatten(1) * (strength * delta.scale), delta.of.b.float().flatten(1)
