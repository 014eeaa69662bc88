"""The components of models on the device: who is there, who comes, who steps aside."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from types import MappingProxyType

import torch
from torch import nn

from core.errors import OutOfMemory, UnknownName
from core.models.residency import GB, NONE_STAYS, Needs, Residency, Sentence, below
from core.models.streaming import Streamed, lane_to
from core.models.weights import byte_size

TITLES: Mapping[str, str] = MappingProxyType({"text_encoder": "text encoder", "denoiser": "denoiser", "vae": "VAE"})
# The last level that helps a component: below it nothing changes for it.
LOWEST: Mapping[str, str] = MappingProxyType({"text_encoder": "stream", "denoiser": "fp8", "vae": "swap"})


class NoRoom(RuntimeError):
    """A component that does not fit on the device. It is at home."""


class BitsChanged(Exception):
    """Memory ran out, and the weights are rounded from now on: what was computed since the last whole step does not count."""


def pick_device(name: str = "auto") -> torch.device:
    """The device for a name: auto is a GPU where there is one."""
    if name != "auto":
        try:
            return torch.device(name)
        except RuntimeError as error:
            raise UnknownName("device", name, ("auto", "cpu", "cuda", "cuda:1", "mps")) from error
    if torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def pick_dtype(device: torch.device, stored: torch.dtype, half: torch.dtype = torch.float16) -> torch.dtype:
    """Of the denoiser and the text encoders: float32 on a CPU, where half is slow; else what the file has, if that is half.

    half: the family's; one that overflows in float16 says bfloat16, and runs in float32 on a device that has none.
    """
    if device.type == "cpu":
        return torch.float32
    if half == torch.bfloat16:
        return half if has_bfloat16(device) else torch.float32
    return stored if stored in {torch.float16, torch.bfloat16} else half


def has_bfloat16(device: torch.device) -> bool:
    """Whether the device computes in bfloat16 by itself."""
    if device.type == "cuda":
        with torch.cuda.device(device):
            return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type != "mps" or torch.backends.mps.is_macos_or_newer(14, 0)


def free_bytes(device: torch.device) -> int | None:
    """What the device has left for this process, a cap of torch's own included; None where it cannot be asked."""
    if device.type != "cuda":
        return None
    free, total = torch.cuda.mem_get_info(device)
    used = torch.cuda.memory_allocated(device)
    allowed = int(torch.cuda.get_per_process_memory_fraction(device) * total)
    return max(0, min(free + torch.cuda.memory_reserved(device), allowed) - used)


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether memory ran out. The allocators of CPU and MPS have no error class of their own (torch 2.13): there only the text tells."""
    said = ("DefaultCPUAllocator: can't allocate memory", "MPS backend out of memory")
    return isinstance(error, torch.OutOfMemoryError | NoRoom) or any(words in str(error) for words in said)


def share(memories: Sequence["Memory"], device: torch.device) -> Sentence | None:
    """Lets the models of a run stay on the device side by side, or take turns where they do not fit: then that is said."""
    needed, free = sum(memory.needed for memory in memories), free_bytes(device)
    crowded = len(memories) > 1 and free is not None and needed > free
    for memory in memories:
        memory.share([other for other in memories if other is not memory], alone=crowded)
    if not crowded or free is None:
        return None
    template = (
        "The models of this run take turns on the GPU: together they need {needed:.1f} GB, {free:.1f} GB are free."
    )
    return Sentence(template, {"needed": needed / GB, "free": free / GB})


class Memory:
    """The components of one model, and which of them are on the device now. Their home is the CPU."""

    def __init__(
        self, parts: Mapping[str, nn.Module], device: torch.device, residency: Residency, working: int = 0
    ) -> None:
        self._parts, self._needs = dict(parts), Needs(parts, working)
        self.device, self.residency = device, residency
        self._there: set[str] = set()
        self._streamed: dict[str, Streamed] = {}
        self._fills = True  # where blocks are streamed, as many as fit stay
        self._neighbours: tuple[Memory, ...] = ()
        self._alone = False  # the neighbours leave the device when a component of this model comes

    @property
    def needed(self) -> int:
        """Bytes that the model takes on the device, with what a forward pass needs besides the weights."""
        return self._needs.at(self.residency)

    @property
    def nbytes(self) -> int:
        """Bytes of weights on the device now."""
        streamed = {name: self._streamed[name].nbytes for name in self._there & self._streamed.keys()}
        return sum(streamed.values()) + sum(byte_size(self._parts[name]) for name in self._there - streamed.keys())

    def share(self, neighbours: Sequence["Memory"], alone: bool) -> None:
        """The other models of a run, on the same device. alone: they do not fit there together."""
        self._neighbours, self._alone = tuple(neighbours), alone

    @contextmanager
    def use(self, name: str) -> Generator[None]:
        """The component is on the device inside the block, and steps aside afterwards unless all are resident."""
        self.bring(name)
        try:
            yield
        finally:
            if self.residency.level != "resident":
                self._park(name)

    def bring(self, name: str) -> None:
        """Puts a component on the device, others aside first where turns are taken. Costs nothing when it is there. Raises NoRoom."""
        if name in self._there:
            return
        if self._alone:
            self._clear()
        if self.residency.level != "resident":
            self.release()
        try:
            if self.residency.streams(name):
                self._stream_of(name).bring(self._spare(name))
            else:
                self._move(name, self.device)
        except RuntimeError as error:
            self._park(name)  # half of it may have moved
            if not is_out_of_memory(error):
                raise
            raise NoRoom(name) from error
        self._there.add(name)

    def settle(self, name: str) -> None:
        """Makes a component's weights fit to be changed: on the device, or at home where what is on the device are copies."""
        if not self.residency.streams(name):
            self.bring(name)
        elif name in self._there:
            self._park(name)

    def lower(self, name: str) -> bool:
        """One level down after memory ran out for a component, which may stay. False where no level is left that helps it."""
        if self._neighbours and not self._alone:
            self._alone = True
            self._clear()
            return True
        lower = below(self.residency, self.device, LOWEST[name])
        if self._fills and self.residency.streams(name) and self._stream_of(name).keeps:
            lower = replace(self.residency, sentences=(Sentence(NONE_STAYS),))
        if lower is None:
            return False
        self._fills = False
        for there in tuple(self._there):
            if there != name or lower.streams(there) or lower.storage != self.residency.storage:
                self._park(there)
        self.residency = lower
        return True

    def too_large(self, name: str) -> OutOfMemory:
        """That a component does not even come to the device."""
        return OutOfMemory(
            "The {part} needs {size:.1f} GB on the GPU, which are not free: close what else uses the GPU.",
            part=TITLES[name],
            size=self._needs.of(name, self.residency) / GB,
        )

    def say(self, sentence: Sentence) -> None:
        """Adds to what the residency tells, once."""
        if sentence not in self.residency.sentences:
            self.residency = replace(self.residency, sentences=(*self.residency.sentences, sentence))

    def release(self) -> None:
        """Everything off the device."""
        for name in tuple(self._there):
            self._park(name)

    def _clear(self) -> None:
        for neighbour in self._neighbours:
            neighbour.release()

    def _spare(self, name: str) -> int:
        """Bytes for blocks that may stay: nothing once memory has run out, or where what is free cannot be asked."""
        free = free_bytes(self.device) if self._fills else None
        return 0 if free is None else max(0, free - self._needs.working - self._needs.of(name, self.residency))

    def _stream_of(self, name: str) -> Streamed:
        if name not in self._streamed:
            self._streamed[name] = Streamed(self._parts[name], lane_to(self.device))
        return self._streamed[name]

    def _park(self, name: str) -> None:
        self._there.discard(name)
        if self.residency.streams(name):
            self._stream_of(name).release()
        else:
            self._move(name, torch.device("cpu"))
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _move(self, name: str, device: torch.device) -> None:
        # Weights that are moved in inference mode could not be patched outside of it.
        with torch.inference_mode(False):
            self._parts[name].to(device)
