"""GGUF files: Z-Image and Flux.1 as city96's converter keeps them (the original names), T5 and Qwen3 as llama.cpp does.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. The header is read here, as it may come from anybody: each count is held
against what is there. Weights in blocks become numbers by ggml's own package.
"""

import math
import re
import struct
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO

import torch
from torch import Tensor

from core.errors import DamagedFile, ModelError
from core.models.tensors import Header, TensorInfo

VERSIONS = {2, 3}
LIMIT = 32 * 2**20  # bytes of a header; one with a language model's vocabulary has below 10 MiB
TEXT = 2**16  # bytes of a name, or of a value that is kept
NUMBERS = {
    0: "B",
    1: "b",
    2: "H",
    3: "h",
    4: "I",
    5: "i",
    6: "f",
    7: "B",
    10: "Q",
    11: "q",
    12: "d",
}  # by type of value
STRING, ARRAY = 8, 9
KEPT = {"general.architecture", "general.name"}
CHUNK = 2**20  # numbers that are made of blocks, or multiplied by a scale, at a time

# llama.cpp's names of a text encoder's weights, as (pattern, the encoder's own name).
QWEN3 = {
    r"token_embd\.": "embed_tokens.", r"output_norm\.": "norm.",
    r"blk\.(\d+)\.attn_(q|k|v)\.": r"layers.\1.self_attn.\2_proj.", r"blk\.(\d+)\.attn_output\.": r"layers.\1.self_attn.o_proj.",
    r"blk\.(\d+)\.attn_(q|k)_norm\.": r"layers.\1.self_attn.\2_norm.", r"blk\.(\d+)\.attn_norm\.": r"layers.\1.input_layernorm.",
    r"blk\.(\d+)\.ffn_(gate|up|down)\.": r"layers.\1.mlp.\2_proj.", r"blk\.(\d+)\.ffn_norm\.": r"layers.\1.post_attention_layernorm.",
}  # fmt: skip
T5_BLOCK = r"encoder.block.\1.layer."
T5 = {
    r"token_embd\.": "shared.", r"enc\.output_norm\.": "encoder.final_layer_norm.",
    r"enc\.blk\.(\d+)\.attn_(q|k|v|o)\.": T5_BLOCK + r"0.SelfAttention.\2.",
    r"enc\.blk\.(\d+)\.attn_rel_b\.": T5_BLOCK + "0.SelfAttention.relative_attention_bias.",
    r"enc\.blk\.(\d+)\.attn_norm\.": T5_BLOCK + "0.layer_norm.", r"enc\.blk\.(\d+)\.ffn_norm\.": T5_BLOCK + "1.layer_norm.",
    r"enc\.blk\.(\d+)\.ffn_gate\.": T5_BLOCK + "1.DenseReluDense.wi_0.", r"enc\.blk\.(\d+)\.ffn_up\.": T5_BLOCK + "1.DenseReluDense.wi_1.",
    r"enc\.blk\.(\d+)\.ffn_down\.": T5_BLOCK + "1.DenseReluDense.wo.",
}  # fmt: skip
NAMES: Mapping[str, Mapping[str, str]] = MappingProxyType({"qwen3": QWEN3, "t5": T5, "t5encoder": T5})
"""By architecture; the denoisers' files have the names of their makers."""


def read_header(path: Path) -> Header:
    """The header of a GGUF file, checked against the file's size. Raises DamagedFile, ModelError."""
    try:
        with path.open("rb") as file:
            return _Reader(file, path.stat().st_size, path.name).header()
    except OSError as error:
        raise ModelError("{name} cannot be read: {reason}.", name=path.name, reason=error.strerror) from error
    except EOFError as error:
        raise DamagedFile("{name} is truncated, its end is missing: download it again.", name=path.name) from error
    except ValueError as error:
        raise DamagedFile("{name} has a broken GGUF header: download it again.", name=path.name) from error


class _Reader:
    """Reads a header front to back. Raises ValueError for what cannot be, EOFError where the file ends before."""

    def __init__(self, file: BinaryIO, size: int, name: str) -> None:
        self._file, self._size, self._name = file, size, name

    def header(self) -> Header:
        if self._bytes(4) != b"GGUF":
            raise ValueError("another format")
        version = self._number("I")
        if version not in VERSIONS:
            raise ModelError(
                "{name} is a GGUF file of version {version}, which is not known here: get one of version 3.",
                name=self._name,
                version=version,
            )
        tensors, values = self._number("Q"), self._number("Q")
        metadata = [self._value() for _ in range(self._countable(values))]
        alignment = next((value for key, value in metadata if key == "general.alignment"), 32)
        infos = dict(self._tensor() for _ in range(self._countable(tensors)))
        if len(infos) != tensors or type(alignment) is not int or not 1 <= alignment <= 2**20:
            raise ValueError("names that stand twice, or no alignment")
        data = -(-self._file.tell() // alignment) * alignment
        kept = {key: str(value) for key, value in metadata if key in KEPT}
        return Header(tensors=self._placed(infos, data, kept.get("general.architecture", "")), metadata=kept)

    def _placed(self, infos: Mapping[str, TensorInfo], data: int, architecture: str) -> dict[str, TensorInfo]:
        """With places in the file, under names that the families know."""
        placed: dict[str, TensorInfo] = {}
        for name, info in infos.items():
            if data + info.start + info.size > self._size:
                raise EOFError
            own = renamed(name, NAMES.get(architecture, {}))
            placed[own] = TensorInfo(info.dtype, info.shape, data + info.start, info.size)
        return placed

    def _tensor(self) -> tuple[str, TensorInfo]:
        """Its start counts from where the data begins."""
        name, count = self._text(), self._number("I")
        if not 0 < count <= 4:
            raise ValueError("too many sizes")
        shape = tuple(reversed([self._number("Q") for _ in range(count)]))
        kind, start = self._number("I"), self._number("Q")
        word, block, size = blocks(kind)
        if not word:
            raise ModelError(
                "{name} holds weights of a kind that is not known here ({kind}): get a bf16, fp8 or Q8_0 file.",
                name=self._name,
                kind=kind,
            )
        if min(shape) < 1 or math.prod(shape) >= 2**48 or start >= 2**48 or shape[-1] % block:
            raise ValueError("sizes that cannot be")
        return name, TensorInfo(word, shape, start, math.prod(shape) // block * size)

    def _value(self) -> tuple[str, object]:
        """A key and its value; None for what nobody here asks for."""
        key, kind = self._text(), self._number("I")
        if kind == STRING:
            return key, self._text() if key in KEPT else self._skip(self._number("Q"))
        if kind == ARRAY:
            return key, self._skip_array(self._number("I"), self._number("Q"))
        if kind not in NUMBERS:
            raise ValueError("no type of value")
        return key, self._number(NUMBERS[kind])

    def _skip_array(self, kind: int, count: int) -> None:
        if kind != STRING:
            if kind not in NUMBERS:
                raise ValueError("no type of value")
            return self._skip(count * struct.calcsize(NUMBERS[kind]))
        for _ in range(self._countable(count)):
            self._skip(self._number("Q"))
        return None

    def _skip(self, count: int) -> None:
        end = self._file.tell() + count
        if end > min(self._size, LIMIT):
            raise EOFError if end > self._size else ValueError("a header of this length")
        self._file.seek(end)

    def _countable(self, count: int) -> int:
        """Eight bytes at least for each: a number that the rest of the file can hold."""
        if count > min(self._size, LIMIT) // 8:
            raise EOFError if count > self._size // 8 else ValueError("too many")
        return count

    def _text(self) -> str:
        length = self._number("Q")
        if length > TEXT:
            raise ValueError("a name of this length")
        return self._bytes(length).decode()

    def _number(self, word: str) -> Any:
        return struct.unpack("<" + word, self._bytes(struct.calcsize(word)))[0]

    def _bytes(self, count: int) -> bytes:
        found = self._file.read(count)
        if len(found) < count:
            raise EOFError
        return found


def renamed(name: str, names: Mapping[str, str]) -> str:
    for pattern, own in names.items():
        if match := re.match(pattern, name):
            return match.expand(own) + name[match.end() :]
    return name


def blocks(kind: int) -> tuple[str, int, int]:
    """Of ggml's number of a type: its name, how many numbers a block has, and how many bytes. ("", 1, 0) for none that is known."""
    from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

    known = {one.value: one for one in GGMLQuantizationType}
    return (known[kind].name, *GGML_QUANT_SIZES[known[kind]]) if kind in known else ("", 1, 0)


def dequantised(raw: Tensor, kind: str, columns: int, dtype: torch.dtype, name: str) -> Tensor:
    """Blocks [rows, bytes] as the numbers [rows, columns] that they stand for, some rows at a time. Raises ModelError."""
    from gguf.constants import GGMLQuantizationType
    from gguf.quants import dequantize

    out = torch.empty(raw.shape[0], columns, dtype=dtype)
    if raw.is_meta:
        return out
    step = max(1, CHUNK // columns)
    try:
        for row in range(0, raw.shape[0], step):
            numbers = dequantize(raw[row : row + step].numpy(), GGMLQuantizationType[kind])
            out[row : row + step] = torch.from_numpy(numbers)
    except (KeyError, NotImplementedError) as error:
        raise ModelError(
            "{name} holds weights of a kind that is not known here ({kind}): get a bf16, fp8 or Q8_0 file.",
            name=name,
            kind=kind,
        ) from error
    return out
