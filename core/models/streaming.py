"""A module whose blocks come to the device one after the other. Their home is the CPU, and what is on the device is a copy.

So nothing has to be carried back, a patch on the weights at home acts from the next time on, and letting go restores every bit. Where
copies run beside the computation (CUDA) the next block comes while this one runs: never more than two are there.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from core.models.weights import byte_size

BLOCK_BYTES = 2**29  # a block with more is taken apart: half of SDXL's UNet is in two of its blocks
LOOSE = -1  # the place of what is in no block
CRUMBS = 1000  # what has less than a 1000th of a module's bytes is not worth a journey and stays


def blocks_of(module: nn.Module, most: int = BLOCK_BYTES) -> list[nn.Module]:
    """What a module runs one after the other: the entries of its lists, taken apart where they have more than `most` bytes."""
    least = byte_size(module) / CRUMBS
    found: list[nn.Module] = []

    def walk(part: nn.Module, listed: bool) -> None:
        for child in part.children():
            inside = listed or isinstance(part, nn.ModuleList)
            divisible = any(True for _ in child.children())
            if inside and _runs(child) and (byte_size(child) <= most or not divisible):
                found.extend([child] if byte_size(child) > least and child not in found else [])
            else:
                walk(child, inside)

    for root in roots_of(module):
        walk(root, listed=False)
    return found


def roots_of(module: nn.Module) -> list[nn.Module]:
    """Several modules in a list are one component, and no blocks of it."""
    return list(module.children()) if isinstance(module, nn.ModuleList) else [module]


def _runs(module: nn.Module) -> bool:
    """Lists and tables are never called, so no hook of theirs would be."""
    return not isinstance(module, nn.ModuleList | nn.ModuleDict)


def streamed_bytes(module: nn.Module, size: Callable[[nn.Module], int] = byte_size) -> int:
    """The most that is on the device at once: what stays, and the two largest blocks. `size`: of a block."""
    blocks = blocks_of(module)
    return byte_size(module) - sum(map(byte_size, blocks)) + sum(sorted(map(size, blocks))[-2:])


def without(blocks: Sequence[nn.Module], spare: int) -> list[nn.Module]:
    """The blocks that have to come and go where `spare` bytes of others may stay: evenly, so that copies always have company."""
    sizes = [byte_size(block) for block in blocks]
    share, due, left = min(1.0, spare / max(1, sum(sizes))), 0.0, list[nn.Module]()
    for block, size in zip(blocks, sizes, strict=True):
        due += share * size
        if due < size:
            left.append(block)
        else:
            due -= size
    return left


def tensors_of(module: nn.Module) -> Iterator[Tensor]:
    yield from module.parameters()
    yield from module.buffers()


def owners_of(module: nn.Module, blocks: Sequence[nn.Module]) -> dict[int, set[int]]:
    """For each tensor, by its id, the places of the blocks that it is in; LOOSE where it is outside of them too."""
    owners = defaultdict[int, set[int]](set)
    for place, block in enumerate(blocks):
        for tensor in tensors_of(block):
            owners[id(tensor)].add(place)
    inside = {id(part) for block in blocks for part in block.modules()}
    for part in module.modules():
        if id(part) not in inside:
            for tensor in (*part.parameters(recurse=False), *part.buffers(recurse=False)):
                owners[id(tensor)].add(LOOSE)
    return owners


class Lane(Protocol):
    """How copies reach the device. The tokens that it hands out say when a copy has arrived, and when a block has run."""

    @property
    def ahead(self) -> bool:
        """Whether the next block comes while one runs."""
        ...

    def copy(self, homes: Sequence[Tensor]) -> tuple[list[Tensor], Any]: ...

    def await_copy(self, token: Any) -> None:
        """What is computed from here on sees the copies."""
        ...

    def ran(self) -> Any:
        """A token for all that has been asked to be computed until now."""
        ...

    def await_run(self, token: Any) -> None:
        """Returns when that is done: what it read may go."""
        ...


@dataclass(frozen=True)
class Straight:
    """Copies at once, everything in order."""

    device: torch.device
    ahead: bool = False

    def copy(self, homes: Sequence[Tensor]) -> tuple[list[Tensor], Any]:
        return [home.to(self.device, copy=True) for home in homes], None

    def await_copy(self, token: Any) -> None: ...

    def ran(self) -> Any: ...

    def await_run(self, token: Any) -> None: ...


class Beside:
    """Copies on a CUDA stream of their own, out of pinned memory that is taken for the copy alone."""

    ahead = True

    def __init__(self, device: torch.device) -> None:
        self._device, self._stream = device, torch.cuda.Stream(device)

    def copy(self, homes: Sequence[Tensor]) -> tuple[list[Tensor], Any]:
        copies, waiting = list[Tensor](), 0
        with torch.cuda.stream(self._stream):
            for home in homes:
                copies.append(home.pin_memory().to(self._device, non_blocking=True))
                waiting += home.nbytes
                if waiting > BLOCK_BYTES:  # what is copied is given back, so that no more than a block is ever pinned
                    self._stream.synchronize()
                    waiting = 0
        return copies, self._stream.record_event()

    def await_copy(self, token: Any) -> None:
        torch.cuda.current_stream(self._device).wait_event(token)

    def ran(self) -> Any:
        return torch.cuda.current_stream(self._device).record_event()

    def await_run(self, token: Any) -> None:
        token.synchronize()


def lane_to(device: torch.device) -> Lane:
    return Beside(device) if device.type == "cuda" else Straight(device)


@dataclass(eq=False)
class Group:
    """Tensors that come and go together."""

    tensors: list[Tensor]
    homes: list[Tensor] = field(default_factory=list[Tensor])  # empty while they are at home
    arrival: Any = None

    def bring(self, lane: Lane) -> None:
        # What is made in inference mode could not be patched outside of it.
        with torch.inference_mode(False):
            homes = [tensor.data for tensor in self.tensors]
            copies, self.arrival = lane.copy(homes)  # may run out of memory: nothing has changed then
            for tensor, there in zip(self.tensors, copies, strict=True):
                tensor.data = there
        self.homes = homes

    def release(self) -> None:
        with torch.inference_mode(False):
            for tensor, home in zip(self.tensors, self.homes, strict=False):
                tensor.data = home
        self.homes, self.arrival = [], None

    @property
    def nbytes(self) -> int:
        """Bytes on the device now."""
        return sum(home.nbytes for home in self.homes)


class Streamed:
    """One module, block by block. Between `bring` and `release` it can be run; its weights may be changed at home only."""

    def __init__(self, module: nn.Module, lane: Lane, most: int = BLOCK_BYTES) -> None:
        self._module, self._lane = module, lane
        self._modules = blocks_of(module, most)
        self.keeps = False  # whether blocks stay that need not
        self._loose = Group([])
        self._groups: list[Group] = []  # of the blocks that do not stay
        self._hooks: list[Any] = []
        self._next: dict[int, int] = {}  # which block came after which, the last time
        self._last: tuple[int, Any] | None = None  # the block that ran last, and when it is done

    @property
    def nbytes(self) -> int:
        """Bytes on the device now."""
        return self._loose.nbytes + sum(group.nbytes for group in self._groups)

    def bring(self, spare: int = 0) -> None:
        """What stays goes to the device, and blocks follow when they are called. Runs out of memory as any copy does.

        spare: bytes of blocks that may stay as well.
        """
        blocks = without(self._modules, spare)
        self.keeps = len(blocks) < len(self._modules)
        owners = owners_of(self._module, blocks)
        self._loose, self._groups = Group([]), [Group([]) for _ in blocks]
        for tensor in dict.fromkeys(tensors_of(self._module)):
            places = owners[id(tensor)]
            place = min(places) if len(places) == 1 else LOOSE  # what two of them need must not go with one
            (self._loose if place == LOOSE else self._groups[place]).tensors.append(tensor)
        self._loose.bring(self._lane)
        self._lane.await_copy(self._loose.arrival)
        for place, block in enumerate(blocks):
            self._hooks.append(block.register_forward_pre_hook(partial(self._before, place)))
            self._hooks.append(block.register_forward_hook(partial(self._after, place)))

    def release(self) -> None:
        """Everything home, no hook left."""
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()
        self._lane.await_run(self._lane.ran())
        for group in (self._loose, *self._groups):
            group.release()
        self._next.clear()
        self._last = None

    def _before(self, place: int, *_: object) -> None:
        """A block is called: it is there, or comes now."""
        group = self._groups[place]
        if not group.homes and group.tensors:
            self._lane.await_run(self._lane.ran())
            for other in self._groups:
                other.release()
            group.bring(self._lane)
        self._lane.await_copy(group.arrival)
        if self._last is not None:
            self._next[self._last[0]] = place

    def _after(self, place: int, *_: object) -> None:
        """It has been asked to run: the one before it is done with, and the next one comes meanwhile."""
        before, self._last = self._last, (place, self._lane.ran())
        if not self._lane.ahead:
            self._groups[place].release()
            return
        if before is not None and before[0] != place:
            self._lane.await_run(before[1])
            self._groups[before[0]].release()
        follower = self._groups[self._next.get(place, place)]
        if not follower.homes:
            follower.bring(self._lane)
