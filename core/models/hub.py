"""Models from huggingface.co: an id "owner/name" becomes a folder below models/diffusers. Safetensors and JSON only, no code."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from core.errors import MissingPart, Refused

ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
PATTERNS = ("*.safetensors", "*.safetensors.index.json", "*.json", "*.txt")
IGNORED = ("*.fp16.safetensors", "*.non_ema.safetensors", "safety_checker/*", "*onnx*", "*openvino*", "*flax*")

Progress = Callable[[str, float], None]


def is_id(name: str) -> bool:
    return bool(ID.fullmatch(name)) and ".." not in name and not name.endswith((".safetensors", ".gguf"))


def folder(root: Path, name: str) -> Path:
    """Where a hub model is kept."""
    return root / "diffusers" / name.replace("/", "--")


def id_of(folder_name: str) -> str:
    """The hub id of a folder below models/diffusers, if its name is one."""
    name = folder_name.replace("--", "/", 1)
    return name if is_id(name) else folder_name


def fetch(name: str, to: Path, *, downloads: bool, progress: Progress, parts: Sequence[str] = ()) -> Path:
    """The folder of a hub model: fetched once, kept below models/diffusers. `parts`: these files only.

    Raises Refused where downloads are off, MissingPart where the hub cannot be reached.
    """
    if not downloads:
        raise Refused("The model {name} is not here, and downloads are switched off.", name=name)
    from httpx2 import HTTPError  # what huggingface_hub lets through when a connection breaks
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError

    progress(f"Downloading {name}", 0.0)
    try:
        snapshot_download(
            name,
            local_dir=to,
            allow_patterns=list(parts or [f"*/{pattern}" for pattern in PATTERNS] + ["model_index.json"]),
            ignore_patterns=list(IGNORED),
            tqdm_class=reporting(name, progress),
        )
    except RepositoryNotFoundError as error:
        raise MissingPart("There is no model {name} on huggingface.co that may be read.", name=name) from error
    except (HTTPError, HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        files = ", ".join(parts or ("model_index.json and the folders it names",))
        raise MissingPart(
            "{name} could not be downloaded: put its files ({files}) into {folder}.",
            name=name,
            files=files,
            folder=str(to),
        ) from error
    return to


def reporting(name: str, progress: Progress) -> type:
    """A tqdm that tells `progress` instead of the terminal."""
    from tqdm.auto import tqdm

    class Told(tqdm):  # pyright: ignore[reportMissingTypeArgument, reportUntypedBaseClass]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            kwargs["disable"] = False
            super().__init__(*args, **kwargs)

        def display(self, *args: Any, **kwargs: Any) -> None:
            if self.total and getattr(self, "unit", "") == "B":
                progress(f"Downloading {name}", min(self.n / self.total, 1.0))

    return Told
