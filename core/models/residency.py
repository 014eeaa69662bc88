"""On which level of memory a model lives, and why: a choice that can be said in a sentence.

    resident    all components on the device
    swap        text encoder, denoiser and VAE take turns there
    stream      and blocks of text encoder and denoiser come one after the other, where not all of them can stay
    fp8         and the denoiser's weights are kept in 8 bits: half the bytes, and the only level that changes a picture

In the order of what they cost: time first, quality last. The first that fits is taken, and the next one when memory runs out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import torch
from torch import nn

from core.errors import ModelError, OutOfMemory, UnknownName
from core.models.float8 import block_size_in_8, byte_size_in_8
from core.models.streaming import streamed_bytes
from core.models.weights import byte_size

GB = 1e9
LEVELS = ("resident", "swap", "stream", "fp8")
CHOICES = ("auto", *LEVELS)


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

    level: str  # one of LEVELS
    sentences: tuple[Sentence, ...] = ()
    whole: bool = True  # in fp8: the denoiser is on the device in one piece

    def __str__(self) -> str:
        return " ".join(map(str, self.sentences))

    def streams(self, component: str) -> bool:
        """Whether a component comes block by block."""
        if component == "denoiser" and self.level == "fp8":
            return not self.whole
        return component != "vae" and self.level in {"stream", "fp8"}

    @property
    def storage(self) -> str:
        """What of a level changes bits; "" for nothing."""
        return storage_of(self.level)


def storage_of(level: str) -> str:
    """How a level keeps the denoiser's weights, where that changes bits."""
    return "fp8" if level == "fp8" else ""


def ladder(device: torch.device) -> tuple[str, ...]:
    """The levels that a device comes to by itself. On a CPU everything is at home already; MPS has no float8."""
    return {"cpu": LEVELS[:1], "mps": LEVELS[:3]}.get(device.type, LEVELS)


class Needs:
    """The bytes that a model takes on the device. working: of a forward pass, besides the weights."""

    def __init__(self, parts: Mapping[str, nn.Module], working: int) -> None:
        self._parts, self.working = parts, working

    @property
    def weights(self) -> int:
        """Of all components, without what a forward pass takes."""
        return byte_size(self._parts)

    def at(self, residency: Residency) -> int:
        """At a level: of all components, or of the largest."""
        sizes = [self.of(name, residency) for name in self._parts]
        return (sum(sizes) if residency.level == "resident" else max(sizes, default=0)) + self.working

    def of(self, component: str, residency: Residency) -> int:
        """Of one component's weights, while it is there."""
        part, in_8 = self._parts[component], component == "denoiser" and residency.level == "fp8"
        if residency.streams(component):
            return streamed_bytes(part, block_size_in_8 if in_8 else byte_size)
        return byte_size_in_8(part) if in_8 else byte_size(part)


# ------------------------------------------------------------------ sentences

IN_MEMORY = "The whole model stays in memory ({weights:.2f} GB): it runs on the CPU."
ON_DEVICE = "The whole model stays on the device ({needed:.1f} GB)."
FITS = "The whole model stays on the GPU: it needs {needed:.1f} GB, {free:.1f} GB are free."
# Why not the level above: that would need so much.
CHOSEN: Mapping[str, str] = MappingProxyType({
    "swap": "Text encoder, denoiser and VAE take turns on the GPU: together they need {needed:.1f} GB, {free:.1f} GB are free.",
    "stream": "Text encoder and denoiser come to the GPU block by block, which takes longer: "
              "in one piece the larger needs {needed:.1f} GB, {free:.1f} GB are free.",
    "fp8": "The denoiser is kept in 8 bits, which changes pictures a little: "
           "even block by block it needs {needed:.1f} GB, {free:.1f} GB are free.",
})  # fmt: skip
FORCED: Mapping[str, str] = MappingProxyType({
    "resident": "The whole model stays on the device, as the memory setting says.",
    "swap": "Text encoder, denoiser and VAE take turns on the device, as the memory setting says.",
    "stream": "Text encoder and denoiser come to the device block by block, as the memory setting says.",
    "fp8": "The denoiser is kept in 8 bits, as the memory setting says: pictures change a little.",
})  # fmt: skip
RAN_OUT: Mapping[str, str] = MappingProxyType({
    "swap": "Memory ran out, so text encoder, denoiser and VAE take turns on the GPU from now on.",
    "stream": "Memory ran out, so text encoder and denoiser come to the GPU block by block from now on.",
    "fp8": "Memory ran out, so the denoiser is kept in 8 bits from now on: pictures change a little.",
})  # fmt: skip
NONE_STAYS = "Memory ran out, so no block of text encoder and denoiser stays on the GPU from now on."


# ------------------------------------------------------------------ the choice


def check_room(name: str, needs: Needs, spare: int | None) -> None:
    """Refuses a model that does not fit into the machine's own memory, where all of it has its home. Raises OutOfMemory."""
    if spare is not None and needs.weights > spare:
        raise OutOfMemory(
            "{name} needs {needed:.1f} GB of memory, {free:.1f} GB are free: close other programs or choose a smaller model.",
            name=name,
            needed=needs.weights / GB,
            free=spare / GB,
        )


def check_level(level: str, device: torch.device) -> None:
    """Refuses a memory setting. Raises UnknownName, ModelError."""
    if level not in CHOICES:
        raise UnknownName("memory level", level, CHOICES)
    if level == "fp8" and device.type == "mps":
        raise ModelError("This device cannot hold weights in 8 bits: choose memory level resident, swap or stream.")


def choose(needs: Needs, device: torch.device, free: int | None, wanted: str = "auto") -> Residency:
    """The first level that fits into what is free (None: not known), or the one that is wanted. Raises as `check_level`."""
    check_level(wanted, device)
    if wanted != "auto":
        return _with_room(wanted, needs, free, Sentence(FORCED[wanted]))
    if ladder(device) == LEVELS[:1]:
        return Residency("resident", (Sentence(IN_MEMORY, {"weights": needs.weights / GB}),))
    needed = needs.at(Residency("resident"))
    if free is None:
        return Residency("resident", (Sentence(ON_DEVICE, {"needed": needed / GB}),))
    chosen = Residency("resident", (Sentence(FITS, {"needed": needed / GB, "free": free / GB}),))
    for level in ladder(device)[1:]:
        if needed <= free:
            break
        chosen = _with_room(level, needs, free, Sentence(CHOSEN[level], {"needed": needed / GB, "free": free / GB}))
        needed = needs.at(chosen)
    return chosen


def _with_room(level: str, needs: Needs, free: int | None, said: Sentence) -> Residency:
    """A level; in fp8 the denoiser is in one piece where that fits."""
    whole = Residency(level, (said,))
    return (
        whole if level != "fp8" or free is None or needs.at(whole) <= free else Residency(level, (said,), whole=False)
    )


def below(residency: Residency, device: torch.device, lowest: str) -> Residency | None:
    """The next level after memory ran out, no lower than `lowest`; None where that is the last."""
    if residency.level == "fp8":
        return None if not residency.whole or lowest != "fp8" else Residency("fp8", residency.sentences, whole=False)
    lower = [
        level for level in ladder(device) if LEVELS.index(residency.level) < LEVELS.index(level) <= LEVELS.index(lowest)
    ]
    return Residency(lower[0], (Sentence(RAN_OUT[lower[0]]),), whole=lower[0] != "fp8") if lower else None
