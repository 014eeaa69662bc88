"""The text encoders' tokenizers: from the model's folder, else from models/tokenizers, else fetched once from the hub."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from core.errors import DamagedFile, MissingPart, Refused
from core.models import hub
from core.models.hub import Progress


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """The tokenizer of one kind of text encoder: its files, and who has them."""

    title: str
    folder: str  # below models/tokenizers
    repository: str
    files: tuple[str, ...]

    def is_in(self, folder: Path) -> bool:
        return (folder / "tokenizer.json").is_file() or all((folder / name).is_file() for name in self.files)


KINDS: Mapping[str, Vocabulary] = MappingProxyType(
    {
        "clip": Vocabulary(
            title="CLIP", folder="clip", repository="openai/clip-vit-large-patch14", files=("vocab.json", "merges.txt")
        ),
        "qwen3": Vocabulary(
            title="Qwen3", folder="qwen3", repository="Qwen/Qwen3-4B", files=("tokenizer.json",)
        ),
        "t5": Vocabulary(title="T5", folder="t5", repository="google-t5/t5-base", files=("tokenizer.json",)),
    }
)  # fmt: skip


def read(kind: str, folder: Path, pad: str | None = None) -> Any:
    """A tokenizer from its folder. `pad`: CLIP's padding token, None for what its own files say (else the end token)."""
    from transformers import CLIPTokenizer, PreTrainedTokenizerFast

    said: dict[str, Any] = {} if pad is None else {"pad_token": pad}
    try:
        if kind == "clip":
            return CLIPTokenizer.from_pretrained(str(folder), local_files_only=True, **said)
        return PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    except Exception as error:  # noqa: BLE001 - the tokenizers library raises bare Exceptions for files it cannot read
        raise DamagedFile("The tokenizer in {folder} cannot be read.", folder=str(folder)) from error


def folder_of(kind: str, root: Path, *, downloads: bool, progress: Progress) -> Path:
    """The folder with the vocabulary, which a single file lacks. Raises MissingPart."""
    wanted = KINDS[kind]
    folder = root / "tokenizers" / wanted.folder
    if wanted.is_in(folder):
        return folder
    cached = _in_hub_cache(wanted)
    if cached is not None:
        return cached
    try:
        return hub.fetch(wanted.repository, folder, downloads=downloads, progress=progress, parts=wanted.files)
    except (MissingPart, Refused) as error:
        raise MissingPart(
            "A single-file model needs {kind}'s tokenizer: put {files} (from {repository}) into {folder}.",
            kind=wanted.title,
            files=" and ".join(wanted.files),
            repository=wanted.repository,
            folder=str(folder),
        ) from error


def _in_hub_cache(wanted: Vocabulary) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    found = [try_to_load_from_cache(wanted.repository, name) for name in wanted.files]
    return Path(found[0]).parent if all(isinstance(path, str) for path in found) else None  # pyright: ignore[reportArgumentType]
