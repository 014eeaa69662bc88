"""Tensors from files into a module, one at a time, so that memory holds the model once and a tensor more.

Within `with torch.device("meta")` only headers are read, and the tensors have shapes and dtypes but no numbers: so the same code that
loads a model says beforehand what it will take.

Files are read, not mapped: a mapped file's pages count as memory beside the model that is made of them.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from io import BufferedReader
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self

import torch
from torch import Tensor, nn

from core.errors import DamagedFile, ModelError
from core.models import gguf
from core.models.header import read_header
from core.models.tensors import TensorInfo, main_dtype

FLOAT8 = {torch.float8_e4m3fn, torch.float8_e5m2}
SCALES = (".scale_weight", ".weight_scale")  # ComfyUI's two spellings
DTYPES: Mapping[str, torch.dtype] = MappingProxyType(
    {
        "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
        "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2, "F8_E8M0": torch.float8_e8m0fnu,
        "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
    }
)  # fmt: skip


class Weights:
    """The tensors of one or more safetensors or GGUF files, open within a `with`."""

    def __init__(self, files: Sequence[Path], made: torch.dtype = torch.float32) -> None:
        """made: the dtype of numbers that are made of fp8 or of blocks; its rounding is the only one."""
        self.files, self.made = tuple(files), made
        self._of: dict[str, tuple[BufferedReader, TensorInfo]] = {}
        self._layers = ""  # ComfyUI's table of quantised modules, where a file has it
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        for path in self.files:
            header = read_header(path)  # refuses what is damaged in a sentence
            self._layers += header.metadata.get("_quantization_metadata", "")
            file = self._stack.enter_context(path.open("rb"))
            self._of.update((name, (file, info)) for name, info in header.tensors.items())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._of.clear()
        self._stack.close()

    def __contains__(self, name: str) -> bool:
        return name in self._of

    def __getitem__(self, name: str) -> Tensor:
        """A tensor; one of fp8 or in blocks as the numbers that it stands for."""
        return self.read(name)

    def read(self, name: str, rows: slice | None = None) -> Tensor:
        """A tensor, or some of its rows: no others are read."""
        _, info = self._of[name]
        first, last, _ = (rows or slice(None)).indices(info.shape[0] if info.shape else 1)
        count = max(0, last - first)
        shape = (count, *info.shape[1:]) if info.shape else ()
        raw = self._bytes(name, first, count)
        if info.dtype not in DTYPES:
            return gguf.dequantised(raw.view(count, -1), info.dtype, info.shape[-1], self.made, self.title).view(shape)
        tensor = raw.view(DTYPES[info.dtype]).view(shape)
        return self._dequantised(name, tensor, slice(first, last)) if tensor.dtype in FLOAT8 else tensor

    def _bytes(self, name: str, first: int, count: int) -> Tensor:
        """Of so many rows from the first on, in memory of their own."""
        file, info = self._of[name]
        row = info.size // (info.shape[0] or 1) if info.shape else info.size
        raw = torch.empty(row * count, dtype=torch.uint8)
        if raw.is_meta:
            return raw
        try:
            file.seek(info.start + first * row)
            found = file.readinto(raw.numpy().data) if len(raw) else 0
        except OSError as error:
            raise ModelError("{name} cannot be read: {reason}.", name=self.title, reason=error.strerror) from error
        if found != len(raw):
            raise DamagedFile("{name} changed while it was read: try again.", name=self.title)
        return raw

    def _dequantised(self, name: str, tensor: Tensor, rows: slice) -> Tensor:
        """Plain fp8 are numbers; scaled ones are to be multiplied, by one scale, one for each row, or one for each block."""
        module = name.removesuffix(".weight")
        scale = next((module + end for end in SCALES if module + end in self), None)
        if scale is not None:
            return _scaled(tensor, _spread(self[scale].float(), self.shape(name), rows), self.made)
        if name.endswith(".weight") and self._is_scaled(module):
            raise DamagedFile(
                "{name} is not complete: the scale of {key} is missing, so it cannot be read.", name=self.title, key=name
            )
        return tensor.to(self.made)

    def _is_scaled(self, module: str) -> bool:
        """Whether the file says that the numbers of this module are to be multiplied, in one of ComfyUI's three ways."""
        return "scaled_fp8" in self or f"{module}.comfy_quant" in self or f'"{module}"' in self._layers

    def names(self) -> tuple[str, ...]:
        """Of all tensors."""
        return tuple(self._of)

    def shape(self, name: str) -> tuple[int, ...]:
        """Of a tensor; () when there is none of that name."""
        return self._of[name][1].shape if name in self._of else ()

    def dtype(self, prefix: str = "") -> torch.dtype:
        """That of most weights below a prefix."""
        word = main_dtype(info for name, (_, info) in self._of.items() if name.startswith(prefix))
        return {"F16": torch.float16, "BF16": torch.bfloat16}.get(word, torch.float32)

    @property
    def title(self) -> str:
        """How messages call it."""
        return self.files[0].name if len(self.files) == 1 else self.files[0].parent.name


def _scaled(tensor: Tensor, scale: Tensor, dtype: torch.dtype) -> Tensor:
    """Multiplied in float32, some rows at a time: the whole in float32 would be the largest thing in memory."""
    if tensor.ndim < 2:
        return (tensor.float() * scale).to(dtype)
    out = torch.empty(tensor.shape, dtype=dtype)
    if tensor.is_meta:
        return out
    step = max(1, gguf.CHUNK // max(1, tensor[0].numel()))
    for row in range(0, len(tensor), step):
        part = slice(row, row + step)
        out[part] = tensor[part].float().mul_(scale[part] if scale.ndim else scale)
    return out


def _spread(scale: Tensor, shape: tuple[int, ...], rows: slice) -> Tensor:
    """A scale as something that multiplies rows of a weight of this shape: [] or [1], [rows], [rows, 1] or [rows / n, columns / m]."""
    if scale.numel() == 1:
        return scale.reshape(())
    if scale.ndim == 1:
        return scale.reshape(-1, *[1] * (len(shape) - 1))[rows]
    for axis in range(len(shape)):
        scale = scale.repeat_interleave(-(-shape[axis] // scale.shape[axis]), dim=axis)
    return scale[tuple(slice(size) for size in shape)][rows]


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
        # A copy of what is part of a larger tensor: that would stay in memory too, and at another alignment a CPU's kernels
        # round differently, so equal weights in another file would not give equal bits (seen: 4e-7).
        part_of = tensor.untyped_storage().nbytes() != tensor.nbytes
        state[key] = tensor.to(dtype if tensor.is_floating_point() else tensor.dtype, copy=part_of)
        del tensor  # before the next one is read
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
