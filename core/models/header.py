"""The header of a file of weights: names, shapes and metadata, never data.

safetensors: https://huggingface.co/docs/safetensors (8 bytes little-endian length, a JSON object, then the data). GGUF: `core.models.gguf`.
"""

import json
import math
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

from core.errors import DamagedFile, ModelError
from core.models import gguf
from core.models.tensors import Header, TensorInfo

HEADER_LIMIT = 32 * 2**20  # bytes; real ones are below 3 MiB, the format's own limit is 100 MB
DIMENSIONS = 16  # torch's practical end; the product of a million sizes would take for ever

BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32,
    "I64": 64, "U64": 64, "F64": 64, "C64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip

PICKLES = {".ckpt", ".pt", ".pth", ".bin", ".pkl"}


def read_header(path: Path) -> Header:
    """The header of a safetensors or GGUF file, checked against the file's size. Raises DamagedFile, ModelError."""
    name = path.name
    if path.suffix.lower() == ".gguf":
        return gguf.read_header(path)
    if path.suffix.lower() in PICKLES:
        raise DamagedFile(
            "{name} is a pickle file, which can run code when it is opened: use a .safetensors file, or make one of it with "
            "python app.py convert.",
            name=name,
        )
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            start = file.read(8)
            length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
            if length > HEADER_LIMIT:
                raise DamagedFile(
                    "{name} is no safetensors file: it claims a header of {length} bytes.", name=name, length=length
                )
            if not 2 <= length <= size - 8:
                raise DamagedFile("{name} is truncated or no safetensors file: download it again.", name=name)
            raw = file.read(length)
    except OSError as error:
        raise ModelError("{name} cannot be read: {reason}.", name=name, reason=error.strerror) from error
    try:
        return _checked(json.loads(raw), 8 + length, size)
    except EOFError as error:
        raise DamagedFile("{name} is truncated, its end is missing: download it again.", name=name) from error
    except (ValueError, RecursionError) as error:
        raise DamagedFile("{name} has a broken safetensors header: download it again.", name=name) from error


def _checked(header: Any, data: int, size: int) -> Header:
    """data: where the tensors' data begins; size: of the file. Raises ValueError for a broken header, EOFError for data beyond the end."""
    if not isinstance(header, dict):
        raise ValueError("not an object")
    header = cast(dict[str, Any], header)
    metadata = header.pop("__metadata__", None) or {}
    if not isinstance(metadata, dict):
        raise ValueError("metadata is no object")
    tensors = {name: _tensor(entry, data, size) for name, entry in header.items()}
    return Header(tensors=tensors, metadata={str(k): str(v) for k, v in cast(dict[Any, Any], metadata).items()})


def _tensor(entry: Any, data: int, size: int) -> TensorInfo:
    try:
        dtype, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
    except (TypeError, KeyError) as error:
        raise ValueError("not a tensor") from error
    if not isinstance(dtype, str) or dtype not in BITS or not isinstance(shape, list):
        raise ValueError("not a tensor")
    shape = cast(list[Any], shape)
    if len(shape) > DIMENSIONS or not _are_sizes([*shape, begin, end]):
        raise ValueError("not a tensor")
    if (end - begin) * 8 != math.prod(shape) * BITS[dtype]:
        raise ValueError("its size is not that of its shape")
    if data + end > size:
        raise EOFError
    return TensorInfo(dtype, tuple(shape), start=data + begin, size=end - begin)


def _are_sizes(numbers: Iterable[object]) -> bool:
    return all(type(number) is int and 0 <= number < 2**48 for number in numbers)
