"""Patches on weights: what is put on comes off bit for bit, whatever goes wrong."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from core.models.patch import Delta, Patch, Patched


@dataclass(frozen=True)
class Plus:
    """W + s · value."""

    value: float

    def apply(self, weight: Tensor, strength: float) -> Tensor:
        return weight + strength * self.value


@dataclass(frozen=True)
class Breaks:
    error: type[BaseException]

    def apply(self, weight: Tensor, strength: float) -> Tensor:
        raise self.error


def net(dtype: torch.dtype = torch.float32) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 7), nn.Linear(7, 3)).to(dtype).requires_grad_(False)


def patch(content: str, strength: float = 1.0, **deltas: Delta | Sequence[Delta]) -> Patch:
    named = {name.replace("_", "."): tuple(d) if isinstance(d, Sequence) else (d,) for name, d in deltas.items()}
    return Patch(content=content, strength=strength, deltas={"denoiser": named})


def checksum(module: nn.Module) -> str:
    data = b"".join(tensor.view(torch.uint8).numpy().tobytes() for tensor in module.state_dict().values())
    return hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_on_and_off_leaves_not_one_bit(dtype: torch.dtype) -> None:
    module = net(dtype)
    clean, weights = checksum(module), Patched({"denoiser": module})
    expected = (module[0].weight.float() + 0.5 * 0.37 + 0.5 * 0.11).to(dtype)  # type: ignore[union-attr,operator]
    weights.set([patch("a", 0.5, **{"0_weight": [Plus(0.37), Plus(0.11)], "1_bias": Plus(1.0)})])
    assert torch.equal(module[0].weight, expected) and checksum(module) != clean  # type: ignore[arg-type,index]
    weights.set([])
    assert checksum(module) == clean and weights.nbytes == 0


def test_from_one_set_to_another_is_as_if_the_first_had_never_been() -> None:
    through, straight = net(torch.bfloat16), net(torch.bfloat16)
    first, second = (
        patch("a", **{"0_weight": Plus(0.7), "0_bias": Plus(1)}),
        patch("b", -0.3, **{"0_weight": Plus(0.9)}),
    )
    weights = Patched({"denoiser": through})
    weights.set([first])
    weights.set([second])
    Patched({"denoiser": straight}).set([second])
    assert checksum(through) == checksum(straight)
    assert weights.nbytes == through[0].weight.nbytes  # type: ignore[union-attr,index,operator]


def test_an_equal_set_does_nothing_and_one_that_touches_nothing_is_no_set() -> None:
    weights = Patched({"denoiser": net()})
    weights.set([patch("a", 0.5, **{"0_weight": Plus(1)})])
    weights.set([patch("a", 0.5, **{"0_weight": Breaks(AssertionError)})])
    elsewhere = Patch(content="t", strength=1.0, deltas={"text_encoder": {"0.weight": (Breaks(AssertionError),)}})
    weights.set([elsewhere, patch("a", 0.5, **{"0_weight": Breaks(AssertionError)})])
    assert weights.key == (("a", 0.5),)


def test_twice_is_the_sum_and_order_is_kept() -> None:
    module = net()
    before = module[0].weight.clone()  # type: ignore[union-attr,operator]
    weights = Patched({"denoiser": module})
    one = patch("a", 0.25, **{"0_weight": Plus(1)})
    weights.set([one, one])
    assert torch.allclose(module[0].weight, before + 0.5)  # type: ignore[arg-type,index]
    weights.set([one, patch("b", **{"0_weight": Plus(1)})])
    assert weights.key == (("a", 0.25), ("b", 1.0))


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("before", [(), (patch("x", **{"0_bias": Plus(2)}),)])
def test_an_error_in_the_middle_leaves_clean_weights(before: tuple[Patch, ...], error: type[BaseException]) -> None:
    module = net()
    clean, weights = checksum(module), Patched({"denoiser": module})
    weights.set(before)
    with pytest.raises(error):
        weights.set([patch("a", **{"0_weight": Plus(1), "1_weight": Breaks(error), "1_bias": Plus(1)})])
    assert checksum(module) == clean and weights.key == ()
    weights.set(before)
    weights.set([])
    assert checksum(module) == clean


def test_patched_in_inference_mode_and_used_outside() -> None:
    module = net()
    weights = Patched({"denoiser": module})
    with torch.inference_mode():
        weights.set([patch("a", **{"0_weight": Plus(1)})])
    weights.set([patch("b", **{"0_weight": Plus(2)})])
    assert not any(tensor.is_inference() for tensor in module.state_dict().values())
