"""Patches: changes to weights that undo themselves.

    W' = round(apply_n(… apply_1(float32(W)) …))

Always in one pass from a clean copy, in float32, with one rounding to the weights' own dtype. So what comes out depends on the patches
alone, never on what was on the weights before, and taking them off gives the clean weights back bit for bit.

Weights that are kept in 8 bits are never written to: what stands in for such a layer is told its changes, and computes them itself.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

Place = tuple[str, str]
"""A component and the name of one of its parameters."""


class Delta(Protocol):
    """What one file changes in one parameter."""

    def apply(self, weight: Tensor, strength: float) -> Tensor:
        """weight: float32, not to be written to; returns the changed one, float32 and of the same shape and device."""
        ...


Change = tuple[Delta, float]
"""A delta and its strength."""


class StandIn(Protocol):
    """What computes a layer whose weight is not to be written to."""

    def carry(self, changes: Sequence[Change]) -> None:
        """Exactly these changes from now on, in order."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Patch:
    """One LoRA at one strength."""

    content: str  # hash of the file
    strength: float
    deltas: Mapping[str, Mapping[str, Sequence[Delta]]]  # by component and parameter

    def touches(self, components: Mapping[str, object]) -> bool:
        return any(self.deltas.get(name) for name in components)


Key = tuple[tuple[str, float], ...]
"""Names an ordered set of patches: content and strength of each."""


def key_of(patches: Sequence[Patch], components: Mapping[str, object]) -> Key:
    """The patches that change anything in these components."""
    return tuple((patch.content, patch.strength) for patch in patches if patch.touches(components))


class Patched:
    """The weights of some components, and the patches that are on them. Owns the clean copies of what they touch, on the CPU.

    device: where patches are computed, wherever the weights are: a product on a GPU is rounded in another way than on a CPU.
    """

    def __init__(self, components: Mapping[str, nn.Module], device: torch.device | None = None) -> None:
        self.components, self._device = components, device
        self.stand_ins: Mapping[Place, StandIn] = {}  # of weights that are not written to; to be set while no patch is on
        self.key: Key = ()
        self._clean: dict[Place, Tensor] = {}

    @property
    def nbytes(self) -> int:
        """Of the clean copies."""
        return sum(tensor.nbytes for tensor in self._clean.values())

    def set(self, patches: Sequence[Patch]) -> None:
        """Exactly these patches. Does nothing when they are on already; whatever goes wrong, the weights are clean afterwards."""
        wanted = key_of(patches, self.components)
        if wanted == self.key:
            return
        # Weights changed in inference mode could not be used outside of it.
        with torch.inference_mode(False), torch.no_grad():
            try:
                self._change(self._places(patches), patches)
            except BaseException:  # a stop by the keyboard counts too
                self._change((), ())
                self.key = ()
                raise
        self.key = wanted

    def _places(self, patches: Sequence[Patch]) -> tuple[Place, ...]:
        def every() -> Iterator[Place]:
            for patch in patches:
                for component in self.components:
                    for name in patch.deltas.get(component, {}):
                        yield component, name

        return tuple(dict.fromkeys(every()))

    def _change(self, places: Sequence[Place], patches: Sequence[Patch]) -> None:
        """Patches these places from clean, and makes all others clean."""
        for place, layer in self.stand_ins.items():
            layer.carry(self._changes(place, patches))
        for place in places:
            if place in self.stand_ins:
                continue
            weight = self._weight(place)
            if place not in self._clean:
                self._clean[place] = weight.detach().to("cpu", copy=True)
            weight.copy_(self._patched(place, self._device or weight.device, patches))
        for place in self._clean.keys() - set(places):
            self._weight(place).copy_(self._clean[place])
            del self._clean[place]

    def _patched(self, place: Place, device: torch.device, patches: Sequence[Patch]) -> Tensor:
        value = self._clean[place].to(device, torch.float32)
        for delta, strength in self._changes(place, patches):
            value = delta.apply(value, strength)
        return value

    def _changes(self, place: Place, patches: Sequence[Patch]) -> list[Change]:
        component, name = place
        return [(delta, patch.strength) for patch in patches for delta in patch.deltas.get(component, {}).get(name, ())]

    def _weight(self, place: Place) -> Tensor:
        component, name = place
        return self.components[component].get_parameter(name)
