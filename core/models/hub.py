"""Models from huggingface.co: an id "owner/name" becomes a folder below models/diffusers. Safetensors and JSON only, no code."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

from core.errors import MissingPart, Refused
from core.models import transfer
from core.models.catalogue import Remote

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
    """The folder of a hub model: fetched once, kept below models/diffusers. `parts`: these files only. What broke off goes on.

    Raises Refused where downloads are off, MissingPart where the hub cannot be reached.
    """
    if not downloads:
        raise Refused("The model {name} is not here, and downloads are switched off.", name=name)
    progress(f"Downloading {name}", 0.0)
    files = wanted(name, to, parts)
    done, total = 0, max(sum(file.size_bytes for file in files), 1)
    for file in files:

        def moved(here: int, done: int = done) -> None:
            progress(f"Downloading {name}", min((done + here) / total, 1.0))

        if not file.home(to).is_file():
            transfer.fetch(file, to, moved)
        done += file.size_bytes
    return to


def wanted(name: str, to: Path, parts: Sequence[str]) -> list[Remote]:
    """The files of a repository that are fetched: weights, configurations and tokenizers, or just `parts`. Raises MissingPart."""
    from httpx2 import HTTPError  # what huggingface_hub lets through
    from huggingface_hub import HfApi
    from huggingface_hub.errors import OfflineModeIsEnabled, RepositoryNotFoundError
    from huggingface_hub.utils import filter_repo_objects

    try:
        sizes = {
            file.rfilename: file.size or 0 for file in HfApi().model_info(name, files_metadata=True).siblings or ()
        }
    except RepositoryNotFoundError as error:
        raise MissingPart("There is no model {name} on huggingface.co that may be read.", name=name) from error
    except (HTTPError, OfflineModeIsEnabled) as error:
        raise MissingPart(
            "{name} could not be downloaded: put its files ({files}) into {folder}.",
            name=name,
            files=", ".join(parts or ("model_index.json and the folders it names",)),
            folder=str(to),
        ) from error
    allowed = list(parts or [f"*/{pattern}" for pattern in PATTERNS] + ["model_index.json"])
    paths = [
        path
        for path in filter_repo_objects(sizes, allow_patterns=allowed, ignore_patterns=list(IGNORED))
        if _is_below(path)
    ]
    return [
        Remote(repository=name, path=path, folder=path.rpartition("/")[0], size_bytes=sizes[path]) for path in paths
    ]


def _is_below(path: str) -> bool:
    """Whether a name from the network stays in its folder."""
    return not PurePosixPath(path).is_absolute() and ".." not in PurePosixPath(path).parts and "\\" not in path
