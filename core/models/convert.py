"""A pickle (.ckpt, .pt, .pth, .bin) into a safetensors file: only when asked for, and only what torch itself calls safe.

Nothing else in the app opens a pickle.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, cast

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from core.errors import DamagedFile, ModelError, StorageError
from core.models.header import PICKLES

SAFE = (nn.ParameterDict,)  # the first textual inversions: https://github.com/rinongal/textual_inversion


def convert(path: Path, target: Path | None = None) -> Path:
    """Writes the tensors of a pickle beside it as .safetensors, or to `target`, and returns where.

    Names are the pickle's own, joined by dots; those of a checkpoint are its `state_dict`'s. Raises ModelError for what
    is no pickle, DamagedFile for what is more than tensors or cannot be read, StorageError.
    """
    target = target or path.with_suffix(".safetensors")
    if path.suffix.lower() not in PICKLES:
        raise ModelError("{name} is no pickle file: there is nothing to convert.", name=path.name)
    if target.exists():
        raise ModelError("{name} is there already: move it away first.", name=target.name)
    tensors = dict(_tensors(_opened(path)))
    if not tensors:
        raise DamagedFile("{name} holds no tensors: there is nothing to convert.", name=path.name)
    partial = target.with_name(f".{target.name}.partial")
    try:
        save_file(tensors, partial, metadata={"format": "pt"})
        partial.replace(target)
    except OSError as error:
        raise StorageError(
            "{folder} cannot be written to: {name} was not saved. Allow writing there.",
            folder=target.parent, name=target.name,
        ) from error  # fmt: skip
    finally:
        partial.unlink(missing_ok=True)
    return target


def _opened(path: Path) -> Any:
    try:
        with torch.serialization.safe_globals(list(SAFE)):
            return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ModelError("{name} cannot be read: {reason}.", name=path.name, reason=error.strerror) from error
    except UnpicklingError as error:
        raise DamagedFile(
            "{name} holds more than tensors, so it is not opened: look for a .safetensors file of it.", name=path.name
        ) from error
    except (RuntimeError, EOFError, ValueError) as error:  # what torch raises for a broken archive
        raise DamagedFile("{name} is damaged: download it again.", name=path.name) from error


def _tensors(content: Any, name: str = "") -> Iterator[tuple[str, Tensor]]:
    """Every tensor in dicts and lists, with memory of its own: safetensors keeps none twice."""
    if isinstance(content, Tensor):
        yield name or "weight", content.detach().clone().contiguous()
    elif isinstance(content, nn.Module):
        yield from _tensors(content.state_dict(), name)
    elif isinstance(content, Mapping):
        content = cast(Mapping[Any, Any], content)
        if not name and isinstance(content.get("state_dict"), Mapping):
            content = content["state_dict"]
        for key, part in content.items():
            yield from _tensors(part, f"{name}.{key}" if name else str(key))
    elif isinstance(content, list | tuple):
        for number, part in enumerate(cast(list[Any], content)):
            yield from _tensors(part, f"{name}.{number}" if name else str(number))
