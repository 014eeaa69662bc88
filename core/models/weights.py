"""Tensors from safetensors files into a module, one at a time, so that memory holds the model once and a tensor more."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from core.errors import DamagedFile, ModelError
from core.models.header import TensorInfo, main_dtype, read_header


FLOAT8 = {torch.float8_e4m3fn, torch.float8_e5m2}
SCALES = (".scale_weight", ".weight_scale")  # ComfyUI's two spellings


class Weights:
    """The tensors of one or more safetensors files, memory-mapped while it is open (`with`)."""

    def __init__(self, files: Sequence[Path]) -> None:
        self.files = tuple(files)
        self._of: dict[str, Any] = {}
        self._infos: dict[str, TensorInfo] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        for path in self.files:
            self._infos.update(read_header(path).tensors)  # refuses what is damaged in a sentence, before any mapping
            try:
                handle = self._stack.enter_context(cast(Any, safe_open)(path, framework="pt"))
            except (SafetensorError, OSError) as error:
                self._stack.close()
                raise DamagedFile("{name} cannot be read as safetensors: download it again.", name=path.name) from error
            self._of.update(dict.fromkeys(handle.keys(), handle))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._of.clear()
        self._stack.close()

    def __contains__(self, name: str) -> bool:
        return name in self._of

    def __getitem__(self, name: str) -> Tensor:
        """A tensor; one of fp8 as the float32 numbers that it stands for."""
        tensor: Tensor = self._of[name].get_tensor(name)
        return self._dequantised(name, tensor) if tensor.dtype in FLOAT8 else tensor

    def _dequantised(self, name: str, tensor: Tensor) -> Tensor:
        """Plain fp8 are numbers; scaled ones are to be multiplied, by one scale, one for each row, or one for each block."""
        module = name.removesuffix(".weight")
        scale = next((module + end for end in SCALES if module + end in self), None)
        if scale is not None:
            return tensor.float() * _spread(self._of[scale].get_tensor(scale).float(), tensor)
        if "scaled_fp8" in self and name.endswith(".weight"):
            raise DamagedFile(
                "{name} is not complete: the scale of {key} is missing, so it cannot be read.", name=self.title, key=name
            )
        return tensor.float()

    def names(self) -> tuple[str, ...]:
        """Of all tensors."""
        return tuple(self._of)

    def shape(self, name: str) -> tuple[int, ...]:
        """Of a tensor; () when there is none of that name."""
        return self._infos[name].shape if name in self._infos else ()

    def dtype(self, prefix: str = "") -> torch.dtype:
        """That of most weights below a prefix."""
        word = main_dtype(info for name, info in self._infos.items() if name.startswith(prefix))
        return {"F16": torch.float16, "BF16": torch.bfloat16}.get(word, torch.float32)

    @property
    def title(self) -> str:
        """How messages call it."""
        return self.files[0].name if len(self.files) == 1 else self.files[0].parent.name


def _spread(scale: Tensor, weight: Tensor) -> Tensor:
    """A scale as something that multiplies the weight: [] or [1], [rows], [rows, 1] or [rows / n, columns / m]."""
    if scale.numel() == 1:
        return scale.reshape(())
    if scale.ndim == 1:
        return scale.reshape(-1, *[1] * (weight.ndim - 1))
    for axis in range(weight.ndim):
        scale = scale.repeat_interleave(-(-weight.shape[axis] // scale.shape[axis]), dim=axis)
    return scale[tuple(slice(size) for size in weight.shape)]


Source = Callable[[str], Tensor | None]
"""From a module's own name of a tensor to that tensor, or None where the file has none."""


def renamed(weights: Weights, *names: Callable[[str], str]) -> Source:
    """A source that tries each way of naming in turn."""

    def source(key: str) -> Tensor | None:
        candidates = (name(key) for name in names)
        return next((weights[candidate] for candidate in candidates if candidate in weights), None)

    return source


def build(make: Callable[[], nn.Module]) -> nn.Module:
    """A module without memory: its weights follow by `fill`."""
    with torch.device("meta"):
        return make()


def fill(module: nn.Module, source: Source, dtype: torch.dtype, *, part: str, file: str) -> nn.Module:
    """Puts all weights into a module that was made by `build`, in `dtype`, on the CPU, ready for inference."""
    state: dict[str, Tensor] = {}
    missing: list[str] = []
    for key, wanted in module.state_dict().items():
        tensor = source(key)
        if tensor is None:
            missing.append(key)
            continue
        if wanted.is_floating_point() and not tensor.is_floating_point():
            raise ModelError(
                "The weights of {file} are kept in a way that is not known here ({dtype}): use a bf16 or fp8 file.",
                file=file,
                dtype=str(tensor.dtype).removeprefix("torch."),
            )
        if tensor.shape != wanted.shape:
            if tensor.numel() != wanted.numel():
                raise _misshapen(part, file, key, tensor, wanted)
            tensor = tensor.reshape(wanted.shape)  # a 1x1 convolution that became a linear layer, or back
        # A copy even in the same dtype: a mapped tensor lies where the file has it, and a CPU's kernels round differently
        # at another alignment, so equal weights in another file would not give equal bits (seen: 4e-7).
        state[key] = tensor.to(dtype if tensor.is_floating_point() else tensor.dtype, copy=True)
    if missing:
        raise ModelError(
            "{file} is not complete: {count} weights of its {part} are missing, the first is {key}.",
            file=file,
            count=len(missing),
            part=part,
            key=missing[0],
        )
    module.load_state_dict(state, assign=True)
    return module.requires_grad_(False).eval()


def _misshapen(part: str, file: str, key: str, tensor: Tensor, wanted: Tensor) -> ModelError:
    return ModelError(
        "The {part} in {file} has another shape than this family's: {key} is {shape}, expected {wanted}.",
        part=part,
        file=file,
        key=key,
        shape=list(tensor.shape),
        wanted=list(wanted.shape),
    )


def byte_size(modules: Mapping[str, nn.Module] | nn.Module) -> int:
    """Bytes of all parameters and buffers."""
    every = modules.values() if isinstance(modules, Mapping) else [modules]
    tensors = (tensor for module in every for tensor in [*module.parameters(), *module.buffers()])
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
