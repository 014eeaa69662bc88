"""Where a model's components are: all on the device, or one after the other. What was chosen can be said in a sentence."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import torch
from torch import nn

from core.errors import OutOfMemory, UnknownName
from core.models.weights import byte_size

GB = 1e9
TITLES = {"text_encoder": "text encoder", "denoiser": "denoiser", "vae": "VAE"}


@dataclass(frozen=True)
class Sentence:
    """English with {names} for `values`, so that the UI can translate it."""

    template: str
    values: Mapping[str, object] = field(default_factory=dict[str, object])

    def __str__(self) -> str:
        return self.template.format(**self.values)


@dataclass(frozen=True)
class Residency:
    """What was chosen, and why."""

    level: str  # resident or swap
    sentences: tuple[Sentence, ...]

    def __str__(self) -> str:
        return " ".join(map(str, self.sentences))


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
    """What the device has left; None where it cannot be asked."""
    if device.type != "cuda":
        return None
    free: int = torch.cuda.mem_get_info(device)[0]
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether memory ran out. The CPU's allocator has no error class of its own (torch 2.13): there only its text tells."""
    return isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator: can't allocate memory" in str(error)


def choose(sizes: Mapping[str, int], device: torch.device, working: int) -> Residency:
    """`sizes`: bytes of each component; `working`: bytes that a forward pass needs besides."""
    needed, free = sum(sizes.values()) + working, free_bytes(device)
    if device.type == "cpu":
        weights = sum(sizes.values()) / GB
        return _resident("The whole model stays in memory ({weights:.2f} GB): it runs on the CPU.", weights=weights)
    if free is None:
        return _resident("The whole model stays on the device ({needed:.1f} GB).", needed=needed / GB)
    values = {"needed": needed / GB, "free": free / GB}
    if needed <= free:
        return _resident(
            "The whole model stays on the GPU: it needs {needed:.1f} GB, {free:.1f} GB are free.", **values
        )
    turns = "Text encoder, denoiser and VAE take turns on the GPU: together they need {needed:.1f} GB, {free:.1f} GB are free."
    return Residency("swap", (Sentence(turns, values),))


def _resident(template: str, **values: object) -> Residency:
    return Residency("resident", (Sentence(template, values),))


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
        self._parts = dict(parts)
        self.device, self.residency = device, residency
        self.needed = byte_size(self._parts) + working  # bytes, with what a forward pass takes besides the weights
        self._there: set[str] = set()
        self._neighbours: tuple[Memory, ...] = ()
        self._alone = False  # the neighbours leave the device when a component of this model comes

    def share(self, neighbours: Sequence["Memory"], alone: bool) -> None:
        """The other models of a run, on the same device. alone: they do not fit there together."""
        self._neighbours, self._alone = tuple(neighbours), alone

    @contextmanager
    def use(self, name: str) -> Generator[None]:
        """The component is on the device inside the block; where turns are taken it steps aside afterwards."""
        self.bring(name)
        try:
            yield
        finally:
            if self.residency.level == "swap":
                self._park(name)

    def bring(self, name: str) -> None:
        """Puts a component on the device, others aside first where turns are taken. Costs nothing when it is there."""
        if name in self._there:
            return
        if self._alone:
            self._clear()
        if self.residency.level == "swap":
            self.release()
        try:
            self._move(name, self.device)
        except torch.OutOfMemoryError as error:
            self._park(name)  # half of it may have moved
            if self.take_turns():
                self.bring(name)
                return
            size = byte_size(self._parts[name]) / GB
            raise OutOfMemory(
                "The {part} needs {size:.1f} GB on the GPU, which are not free: close what else uses the GPU.",
                part=TITLES[name],
                size=size,
            ) from error
        self._there.add(name)

    def take_turns(self, keep: str | None = None) -> bool:
        """One level down after memory ran out: all but `keep` leave the device. False where that is done already."""
        if self._neighbours and not self._alone:
            self._alone = True
            self._clear()
            return True
        if self.residency.level == "swap" or self.device.type == "cpu":
            return False
        said = Sentence("Memory ran out, so text encoder, denoiser and VAE take turns on the GPU from now on.")
        self.residency = Residency("swap", (said,))
        for name in self._there - {keep}:
            self._park(name)
        return True

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

    def _park(self, name: str) -> None:
        self._there.discard(name)
        self._move(name, torch.device("cpu"))
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _move(self, name: str, device: torch.device) -> None:
        # Weights that are moved in inference mode could not be patched outside of it.
        with torch.inference_mode(False):
            self._parts[name].to(device)
