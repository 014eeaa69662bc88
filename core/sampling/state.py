"""What is left of a run after a step: everything that the next step needs, as one value that can be stored."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from core.errors import UserError

FORMAT = "stepwise.sampler_state.1"


@dataclass(frozen=True, slots=True, eq=False)
class Past:
    """What a multistep sampler remembers of one step."""

    sigma: float
    value: Tensor
    """Evaluated there: denoised, its derivative, or the negative's denoised, as the sampler needs. Shape of x."""
    x: Tensor | None = None
    """The state that the step started from, where a corrector goes back to it."""


@dataclass(frozen=True, slots=True, eq=False)
class SamplerState:
    """The state before step `step` of a table. Tensors in it are never written to."""

    x: Tensor
    """[B, ...], float32, in sampler units."""
    step: int = 0
    sampler: str = ""
    """Whose history this is."""
    history: tuple[Past, ...] = ()
    """Newest first."""
    draws: int = 0
    """How many noises of the ComfyUI stream were used: the stream's position."""
    denoised: Tensor | None = None
    """The first evaluation of the step that led here, for previews. No step reads it."""
    model: str = ""
    """Whose outputs the history holds, where the caller of the sampler changes models; the samplers leave it alone."""

    def after(self, x: Tensor, denoised: Tensor, history: tuple[Past, ...] = (), draws: int = 0) -> "SamplerState":
        """The state one step on."""
        return SamplerState(x, self.step + 1, self.sampler, history, self.draws + draws, denoised, self.model)

    def forget(self) -> "SamplerState":
        """Without history: the next step is a first step. The noise stream goes on."""
        return replace(self, history=())

    def to(self, device: torch.device | str) -> "SamplerState":
        """On another device."""
        moved = {id(t): t.to(device) for t in self.tensors()}
        return self._with(moved)

    def tensors(self) -> tuple[Tensor, ...]:
        """Every distinct tensor in it; x is the first."""
        candidates = [self.x, self.denoised, *(t for past in self.history for t in (past.value, past.x))]
        return tuple({id(t): t for t in candidates if t is not None}.values())

    @property
    def nbytes(self) -> int:
        return sum(t.nbytes for t in self.tensors())

    def _with(self, new: dict[int, Tensor]) -> "SamplerState":
        def swap(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else new[id(tensor)]

        history = tuple(Past(past.sigma, new[id(past.value)], swap(past.x)) for past in self.history)
        return replace(self, x=new[id(self.x)], history=history, denoised=swap(self.denoised))

    def to_bytes(self) -> bytes:
        """A safetensors file: each distinct tensor once, the rest as JSON in its metadata. Exact."""
        names = {id(t): str(k) for k, t in enumerate(self.tensors())}

        def name(tensor: Tensor | None) -> str | None:
            return None if tensor is None else names[id(tensor)]

        rest = {
            "x": name(self.x),
            "step": self.step,
            "sampler": self.sampler,
            "history": [[past.sigma, name(past.value), name(past.x)] for past in self.history],
            "draws": self.draws,
            "denoised": name(self.denoised),
            "model": self.model,
        }
        # a clone, because views of one storage cannot be saved side by side
        tensors = {names[id(t)]: t.detach().cpu().clone(memory_format=torch.contiguous_format) for t in self.tensors()}
        return save(tensors, metadata={FORMAT: json.dumps(rest)})

    @staticmethod
    def from_bytes(data: bytes) -> "SamplerState":
        try:
            header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
            rest = json.loads(header["__metadata__"][FORMAT])
            tensors: dict[str | None, Tensor | None] = {**load(data), None: None}
            return SamplerState(
                x=_present(tensors[rest["x"]]),
                step=rest["step"],
                sampler=rest["sampler"],
                history=tuple(Past(s, _present(tensors[v]), tensors[x]) for s, v, x in rest["history"]),
                draws=rest["draws"],
                denoised=tensors[rest["denoised"]],
                model=rest["model"],
            )
        except (SafetensorError, ValueError, KeyError, TypeError) as error:
            raise UserError("This is not a stored sampler state, or it is damaged: make it anew.") from error

    def save(self, path: Path | str) -> None:
        Path(path).write_bytes(self.to_bytes())

    @staticmethod
    def load(path: Path | str) -> "SamplerState":
        return SamplerState.from_bytes(Path(path).read_bytes())


def _present(tensor: Tensor | None) -> Tensor:
    if tensor is None:
        raise ValueError("a tensor is missing")
    return tensor
