"""Blocks that come to the device one after the other: the same bits, no more there at once than was said, everything home again."""

import weakref
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from core.families import FAMILIES, configs_of
from core.models.loader import made, read_json
from core.models.streaming import Straight, Streamed, blocks_of, streamed_bytes, tensors_of, without
from core.models.weights import build, byte_size

CPU = torch.device("cpu")


class Counting:
    """A lane that knows how many bytes of its copies are alive, and the most there ever were."""

    def __init__(self, ahead: bool, room: float = float("inf")) -> None:
        self.ahead, self._straight = ahead, Straight(CPU)
        self.room, self.alive, self.peak = room, 0, 0

    def copy(self, homes: Sequence[Tensor]) -> tuple[list[Tensor], Any]:
        if self.alive + sum(home.nbytes for home in homes) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        copies, token = self._straight.copy(homes)
        for one in copies:
            self.alive += one.nbytes
            weakref.finalize(one.untyped_storage(), self._gone, one.nbytes)
        self.peak = max(self.peak, self.alive)
        return copies, token

    def _gone(self, nbytes: int) -> None:
        self.alive -= nbytes

    def await_copy(self, token: Any) -> None: ...
    def ran(self) -> Any: ...
    def await_run(self, token: Any) -> None: ...


class Net(nn.Module):
    """Four blocks run in another order than they stand in, one of them larger, and what is no block: 6 x 6 matrices of 144 bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.before = nn.Linear(6, 6, bias=False)
        self.blocks = nn.ModuleList([nn.Linear(6, 6, bias=False) for _ in range(3)])
        self.middle = nn.Module()
        self.middle.parts = nn.ModuleList([nn.Sequential(nn.Linear(6, 6, bias=False), nn.Linear(6, 6, bias=False))])
        self.register_buffer("shift", torch.randn(6))

    def forward(self, x: Tensor) -> Tensor:
        x = self.before(x) + self.shift
        for block in (self.blocks[2], self.blocks[0], self.middle.parts[0], self.blocks[1]):
            x = block(x).tanh()
        return x


@pytest.fixture
def net() -> Iterator[Net]:
    torch.manual_seed(0)
    made = Net().requires_grad_(False)
    with torch.inference_mode():
        yield made


def test_blocks_are_what_lists_hold(net: Net) -> None:
    assert blocks_of(net) == [*net.blocks, net.middle.parts[0]]
    assert blocks_of(net, most=200) == [*net.blocks, *net.middle.parts[0]]  # the larger one taken apart
    assert blocks_of(nn.ModuleList([net, nn.Linear(2, 2)])) == blocks_of(net)  # several modules are no blocks
    assert streamed_bytes(net) == 144 + 24 + 288 + 144


@pytest.mark.parametrize("ahead", [False, True])
def test_the_same_bits_and_no_more_there_than_was_said(net: Net, ahead: bool) -> None:
    """Copies that run ahead hold two blocks, else it is one; the third pass knows the order of the second."""
    x = torch.randn(2, 6)
    wanted, homes = net(x), [tensor.data_ptr() for tensor in tensors_of(net)]
    lane = Counting(ahead)
    streamed = Streamed(net, lane)
    assert streamed.nbytes == 0
    streamed.bring()
    assert streamed.nbytes == lane.alive == 144 + 24
    for _ in range(3):
        assert torch.equal(net(x), wanted)
    assert lane.peak == (streamed_bytes(net) if ahead else 144 + 24 + 288)
    assert streamed.nbytes == lane.alive
    streamed.release()
    assert streamed.nbytes == lane.alive == 0
    assert [tensor.data_ptr() for tensor in tensors_of(net)] == homes
    assert not any(block._forward_hooks or block._forward_pre_hooks for block in blocks_of(net))


@pytest.mark.parametrize("ahead", [False, True])
def test_an_error_in_the_middle_leaves_everything_at_home(net: Net, ahead: bool) -> None:
    x = torch.randn(2, 6)
    wanted, lane = net(x), Counting(ahead, room=144 + 24 + 150)  # the larger block has no room
    streamed = Streamed(net, lane)
    streamed.bring()
    with pytest.raises(torch.OutOfMemoryError):
        net(x)
    streamed.release()
    assert lane.alive == 0 and torch.equal(net(x), wanted)


def test_no_room_even_for_what_stays(net: Net) -> None:
    wanted = [tensor.clone() for tensor in tensors_of(net)]
    streamed = Streamed(net, Counting(False, room=100))
    with pytest.raises(torch.OutOfMemoryError):
        streamed.bring()
    streamed.release()
    assert all(torch.equal(a, b) for a, b in zip(tensors_of(net), wanted, strict=True))


@pytest.mark.parametrize("spare", [0, 300])
@pytest.mark.parametrize("owner", ["another block", "no block"])
def test_what_others_need_too_stays(net: Net, owner: str, spare: int) -> None:
    other: Any = net.blocks[1] if owner == "another block" else net.before
    other.weight = net.blocks[0].weight
    x, lane = torch.randn(2, 6), Counting(True)
    wanted, streamed = net(x), Streamed(net, lane)
    streamed.bring(spare)
    assert len({tensor.data_ptr() for tensor in streamed._loose.tensors}) == len(streamed._loose.tensors)
    assert any(tensor is other.weight for tensor in streamed._loose.tensors)
    assert torch.equal(net(x), wanted) and torch.equal(net(x), wanted)
    streamed.release()
    assert lane.alive == 0 and other.weight is net.blocks[0].weight and torch.equal(net(x), wanted)


@pytest.mark.parametrize(
    ("family", "gigabytes", "most"),
    [("sd15", 1.72, 0.86), ("sdxl", 5.13, 0.4), ("flux", 23.8, 0.7), ("z_image", 12.31, 0.76)],
)
def test_real_architectures(family: str, gigabytes: float, most: float) -> None:
    """In bfloat16 and without any memory: what is on the device at most, two blocks and what stays, and that blocks are almost all."""
    import diffusers

    record, configs = FAMILIES[family], configs_of(FAMILIES[family])
    config = next(
        read_json(configs / f"{name}.json") for name in ("unet", "transformer") if (configs / f"{name}.json").exists()
    )
    denoiser = build(lambda: made(getattr(diffusers, record.denoiser.kind), config)).bfloat16()
    blocks = blocks_of(denoiser)
    assert byte_size(denoiser) / 1e9 == pytest.approx(gigabytes, abs=0.01)
    assert streamed_bytes(denoiser) / 1e9 < most
    assert sum(map(byte_size, blocks)) > 0.985 * byte_size(denoiser) and max(map(byte_size, blocks)) <= 2**29
    parameters = [id(tensor) for block in blocks for tensor in block.parameters()]
    assert len(parameters) == len(set(parameters))


def test_blocks_that_stay_where_there_is_room() -> None:
    """Evenly, never more than was allowed, and all of them if all fit."""
    blocks = [nn.Linear(6, 6, bias=False) for _ in range(8)]
    places = {spare: [blocks.index(b) for b in without(blocks, spare * 144)] for spare in (0, 2, 4, 7, 8, 9)}  # type: ignore[arg-type]
    assert places == {0: list(range(8)), 2: [0, 1, 2, 4, 5, 6], 4: [0, 2, 4, 6], 7: [0], 8: [], 9: []}


@pytest.mark.parametrize("spare", [0, 300, 10_000])
def test_the_same_bits_with_blocks_that_stay(net: Net, spare: int) -> None:
    x, lane = torch.randn(2, 6), Counting(True)
    wanted, streamed = net(x), Streamed(net, lane)
    for _ in range(2):
        streamed.bring(spare)
        assert all(torch.equal(net(x), wanted) for _ in range(3))
        assert streamed.keeps == (spare > 0) and lane.peak <= streamed_bytes(net) + spare
        streamed.release()
    assert lane.alive == 0 and torch.equal(net(x), wanted)


def test_weights_changed_at_home_are_what_runs_next(net: Net) -> None:
    x, streamed = torch.randn(2, 6), Streamed(net, Straight(CPU))
    streamed.bring()
    before = net(x)
    streamed.release()
    with torch.inference_mode(False):
        net.blocks[0].weight.mul_(2)
    wanted = net(x)
    streamed.bring()
    assert torch.equal(net(x), wanted) and not torch.equal(wanted, before)
    assert byte_size(net) == 6 * 144 + 24
