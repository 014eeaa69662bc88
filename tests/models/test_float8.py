"""Weights in 8 bits: how near they are, what a layer computes, and changes that run beside it."""

import pytest
import torch
from torch import Tensor, nn

from core.models.float8 import Layer8, byte_size_in_8, keep, quantised
from core.models.lora.deltas import Additive, Decomposed, Hadamard, Kronecker, Product, Whole
from core.models.patch import Change, Patch, Patched
from core.models.weights import byte_size

HALF_STEP = 2**-4  # e4m3 has three bits after the first: a number is at most a 16th of itself away


def random(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("shape", [(7, 50), (5, 4, 3, 3)])
def test_every_weight_is_within_half_a_step(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    """Rows of any size: of 0.02, where float8 alone would leave 6 % of the range, down to 1e-5. The smallest of a row lose more."""
    weight = random(*shape) * torch.logspace(-5, 2, shape[0]).reshape(-1, *[1] * (len(shape) - 1))
    q, scale = quantised(weight.to(dtype), dtype)
    value, wanted = q.to(dtype) * scale, weight.to(dtype).float()
    assert q.dtype == torch.float8_e4m3fn and value.dtype == dtype and value.isfinite().all()
    largest = wanted.flatten(1).abs().amax(1).reshape(scale.shape)
    assert ((value.float() - wanted).abs() <= HALF_STEP * wanted.abs() + largest * 2**-17 + 2**-26).all()
    assert (torch.frexp(scale.float()).mantissa == 0.5).all()  # powers of two: no product is rounded
    assert torch.equal(value.float(), q.float() * scale.float())


def test_rows_of_zeros_and_of_nonsense() -> None:
    weight = torch.stack(
        [torch.zeros(4), torch.full((4,), float("inf")), torch.full((4,), float("nan")), torch.ones(4)]
    )
    q, scale = quantised(weight, torch.float32)
    value = q.float() * scale
    assert torch.equal(value[0], weight[0]) and torch.equal(value[3], weight[3])
    assert not value[1:3].isfinite().any()  # a run is told that it overflowed, and not that nothing is there


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(6, 8)
        self.blocks = nn.ModuleList(
            [nn.ModuleDict({"to_q": nn.Linear(8, 8), "norm": nn.LayerNorm(8)}) for _ in range(2)]
        )
        self.convs = nn.ModuleList([nn.Conv2d(2, 2, 3, padding=1)])


def test_matrices_in_blocks_and_nothing_else() -> None:
    net = Net().requires_grad_(False)
    before, said = byte_size(net), byte_size_in_8(net)
    layers = keep(net, torch.float32)
    assert sorted(layers) == ["blocks.0.to_q.weight", "blocks.1.to_q.weight", "convs.0.weight"]
    assert byte_size(net) == said < before and net.embed.weight.dtype == torch.float32
    assert set(net.state_dict()) == set(Net().state_dict())


def low_rank(out: int, inside: int, seed: int) -> Additive:
    return Additive(Product(random(out, 3, seed=seed), random(3, inside, seed=seed + 1)), scale=0.5)


CHANGES: dict[str, list[Change]] = {
    "one": [(low_rank(8, 6, 2), 0.7)],
    "two": [(low_rank(8, 6, 2), 0.7), (low_rank(8, 6, 4), -1.5)],
    "full": [(Additive(Whole(random(8, 6, seed=5))), 0.5)],
    "dora": [(Decomposed(low_rank(8, 6, 2), random(8, 1, seed=6).abs()), 0.8)],
    "dora after low rank": [(low_rank(8, 6, 2), 1.0), (Decomposed(low_rank(8, 6, 4), random(8, 1, seed=6).abs()), 0.8)],
    "loha": [(Additive(Hadamard(Product(random(8, 2), random(2, 6)), Product(random(8, 2), random(2, 6)))), 1.0)],
    "lokr": [(Additive(Kronecker(Whole(random(2, 2)), Whole(random(4, 3)))), 1.0)],
}


@pytest.mark.parametrize("kind", CHANGES)
def test_a_changed_layer_is_the_merged_one(kind: str) -> None:
    """Against the change applied by hand to the numbers that are kept, 1e-5; and clean again bit for bit."""
    layer, x = nn.Linear(6, 8).requires_grad_(False), random(5, 6, seed=9)
    kept = Layer8(layer, torch.float32)
    clean, bits = layer(x), layer.weight.clone().view(torch.uint8)
    merged = layer.weight.float() * layer.scale
    assert torch.allclose(clean, nn.functional.linear(x, merged, layer.bias), atol=1e-6)
    for delta, strength in CHANGES[kind]:
        merged = delta.apply(merged, strength)
    kept.carry(CHANGES[kind])
    assert torch.allclose(layer(x), nn.functional.linear(x, merged, layer.bias), atol=1e-5)
    assert not torch.allclose(layer(x), clean, atol=1e-2)
    kept.carry(())
    assert torch.equal(layer(x), clean) and torch.equal(layer.weight.view(torch.uint8), bits)


def test_low_rank_changes_run_beside_and_leave_nothing() -> None:
    layer = nn.Linear(6, 8).requires_grad_(False)
    kept, before = Layer8(layer, torch.float32), byte_size(layer)
    kept.carry(CHANGES["two"])
    assert byte_size(layer) == before + 4 * (8 * 6 + 6 * 6) and torch.equal(
        kept.weight(), layer.weight.float() * layer.scale
    )
    kept.carry(())
    assert byte_size(layer) == before


def test_convolutions() -> None:
    layer, x = nn.Conv2d(3, 4, 3, stride=2, padding=1).requires_grad_(False), random(2, 3, 6, 6)
    kept = Layer8(layer, torch.float32)
    clean = layer(x)
    delta = Additive(Product(random(4, 2, 1, 1), random(2, 3, 3, 3)))
    merged = delta.apply(layer.weight.float() * layer.scale, 0.5)
    kept.carry([(delta, 0.5)])
    assert torch.allclose(layer(x), nn.functional.conv2d(x, merged, layer.bias, stride=2, padding=1), atol=1e-5)
    kept.carry(())
    assert torch.equal(layer(x), clean)


def test_a_set_of_patches_goes_to_stand_ins_and_to_weights() -> None:
    """Biases are written to as ever; an error in the middle leaves neither changed."""

    class Breaks:
        def apply(self, weight: Tensor, strength: float) -> Tensor:
            raise KeyboardInterrupt

    net = nn.ModuleDict({"a": nn.Linear(6, 8)}).requires_grad_(False)
    layers = {("denoiser", "a.weight"): Layer8(net["a"], torch.float32)}  # type: ignore[arg-type]
    weights, x = Patched({"denoiser": net}), random(2, 6)
    weights.stand_ins = layers
    clean, bias = net["a"](x), net["a"].bias.clone()
    changes = {"a.weight": (low_rank(8, 6, 2),), "a.bias": (Additive(Whole(random(8))),)}
    weights.set([Patch(content="f", strength=1.0, deltas={"denoiser": changes})])
    assert not torch.equal(net["a"].bias, bias) and not torch.allclose(net["a"](x), clean)
    with pytest.raises(KeyboardInterrupt):
        broken = {**changes, "a.bias": (Breaks(),)}
        weights.set([Patch(content="g", strength=1.0, deltas={"denoiser": broken})])
    assert weights.key == () and torch.equal(net["a"](x), clean)
