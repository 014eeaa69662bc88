"""What lies in the models folder: ComfyUI's layout, and diffusers folders. Names are looked up here, never joined to a path."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from core.errors import MissingPart, ModelError, UnknownName
from core.models import hub
from core.models.checkpoint import Found, identify
from core.models.companions import Candidate, Inside, Need, PartFile, companions
from core.models.folder import identify_folder, named_variant
from core.models.header import PICKLES, read_header
from core.models.lora.family import family_of, is_lora
from core.models.lora.names import sort_out
from core.models.tensors import main_dtype
from core.models.variants import CHOICES, Variants

# ComfyUI's folders, with A1111's names for the same: what is in them, whatever the header says it is.
FOLDERS = {
    "checkpoints": "checkpoint", "Stable-diffusion": "checkpoint",
    "diffusion_models": "denoiser", "unet": "denoiser",
    "text_encoders": "text_encoder", "clip": "text_encoder", "text_encoder": "text_encoder",
    "vae": "vae", "VAE": "vae",
    "embeddings": "embedding",
}  # fmt: skip
LORA_FOLDERS = ("loras", "Lora", "LyCORIS")  # people have thousands: core.lora_library looks after them
OTHERS = {"vae_approx", "controlnet", "upscale_models", "clip_vision", "style_models", "configs", "tokenizers"}
MODEL_KINDS = ("folder", "checkpoint", "denoiser")  # what a recipe may name as its model, if nothing is wrong with it
FILES = {".safetensors", ".gguf", *PICKLES}
EXACT = {"F32", "F16", "BF16"}  # weights as they were trained, or nearly


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One model, or part of one, and why it cannot be used, if so."""

    id: str  # the name in recipes: "demo", "sub/file.safetensors", "owner/name"
    path: Path
    root: Path  # the models folder
    kind: str  # folder, checkpoint, denoiser, text_encoder, vae, embedding, hub, unknown; lora where it does not belong
    family: str | None = None
    size_bytes: int = 0
    missing: tuple[str, ...] = ()
    problem: ModelError | None = None
    prediction: str | None = None
    details: Mapping[str, str] = field(default_factory=dict[str, str])
    inside: Mapping[str, Inside] = field(default_factory=dict[str, Inside])  # components that the file holds
    needs: Mapping[str, int] = field(default_factory=dict[str, int])  # those that it needs, and their widths
    parts: Mapping[str, PartFile] = field(default_factory=dict[str, PartFile])  # where they are: of a denoiser, or of all


class Library:
    """The models folder, LoRAs apart. A scan reads headers only, and each file once until its size or time changes."""

    def __init__(self, root: Path, variants: Variants | None = None) -> None:
        self.root, self.variants = Path(root), variants or Variants()
        self._known: dict[tuple[Path, int, int], Entry] = {}

    def scan(self) -> tuple[Entry, ...]:
        """Everything found, by kind and name."""
        root = self.root.resolve()
        entries = [self._told(entry) for entry in (*self._folders(root), *_completed(list(self._files(root))))]
        return tuple(
            sorted(
                entries, key=lambda entry: (entry.kind not in MODEL_KINDS, entry.kind, entry.id.lower())
            )
        )

    def model(self, name: str) -> Entry:
        """A usable model: a folder, a checkpoint, or a hub id. Raises UnknownName, or what is wrong with it."""
        entries = self.scan()
        found = [entry for entry in entries if entry.id == name]
        usable = [entry for entry in found if entry.kind in MODEL_KINDS]
        for entry in usable or found:
            if entry.missing and hub.is_id(name):
                break  # a download that was interrupted goes on
            if entry.problem is not None:
                raise entry.problem
            if entry.kind not in MODEL_KINDS:
                raise misplaced(entry)
            return entry
        if hub.is_id(name):
            return Entry(id=name, path=hub.folder(self.root, name), root=self.root, kind="hub")
        raise UnknownName("model", name, [entry.id for entry in entries if entry.kind in MODEL_KINDS])

    def vae(self, name: str) -> Entry:
        """A usable VAE. Raises UnknownName, or what is wrong with it."""
        entries = self.scan()
        found = sorted((entry for entry in entries if entry.id == name), key=lambda entry: entry.kind != "vae")
        for entry in found[:1]:
            if entry.problem is not None:
                raise entry.problem
            if entry.kind != "vae":
                raise misplaced(entry)
            return entry
        raise UnknownName("VAE", name, [entry.id for entry in entries if entry.kind == "vae"])

    def embeddings(self) -> dict[str, Path]:
        """The usable textual inversions by name; of one name in several formats the safe one."""
        return {entry.id: entry.path for entry in self.scan() if entry.kind == "embedding" and entry.problem is None}

    def _told(self, entry: Entry) -> Entry:
        """As the variant that a person says it is, where only a name tells."""
        told = self.variants.of(entry.id) if entry.family in CHOICES and entry.kind in MODEL_KINDS else None
        return entry if told is None else replace(entry, details={**entry.details, "variant": told})

    def _folders(self, root: Path) -> Iterator[Entry]:
        """Diffusers folders directly below models/, and below models/diffusers."""
        taken: set[str] = set()
        for parent in (root, root / "diffusers"):
            for path in sorted(parent.iterdir()) if parent.is_dir() else []:
                inside = path.resolve().is_relative_to(root)
                if not inside or not (path / "model_index.json").is_file():
                    continue
                name = hub.id_of(path.name) if parent != root else path.name
                name = name if name not in taken else f"diffusers/{name}"
                taken.add(name)
                yield Entry(id=name, path=path, root=self.root, **vars(identify_folder(path)))

    def _files(self, root: Path) -> Iterator[Entry]:
        known, self._known = self._known, {}
        for folder, kind in FOLDERS.items():
            for path, status in walk(root / folder, root):
                key = (path, status.st_size, status.st_mtime_ns)
                self._known[key] = known.get(key) or self._entry(path, root / folder, kind, status.st_size)
                yield self._known[key]

    def _entry(self, path: Path, folder: Path, kind: str, size: int) -> Entry:
        alone = not (path.name == "diffusion_pytorch_model.safetensors" and (path.parent / "config.json").is_file())
        home = path if alone else path.parent  # a VAE's diffusers folder
        name = home.relative_to(folder).as_posix()
        if kind == "embedding":
            name = name.removesuffix(home.suffix)
        entry = Entry(id=name, path=home, root=self.root, kind=kind, size_bytes=size)
        try:
            found = _found(path)
        except ModelError as error:
            return replace(entry, problem=error)
        return self._described(entry, found)

    def _described(self, entry: Entry, found: Found) -> Entry:
        entry = replace(entry, family=found.family, prediction=found.prediction, problem=found.error)
        variant = found.variant or (named_variant(entry.path.stem, "turbo") if found.family == "z_image" else None)
        details = {"dtype": found.dtype} | ({} if variant is None else {"variant": variant})
        entry = replace(entry, details=details, inside=found.inside, needs=found.needs)
        known = found.kind if found.kind != "unknown" else entry.kind
        if known == entry.kind:
            return entry
        if {known, entry.kind} <= {"checkpoint", "denoiser"}:  # people keep whole checkpoints in either folder
            return replace(entry, kind=known)
        entry = replace(entry, kind=known)
        return replace(entry, problem=entry.problem or misplaced(entry))


def _completed(entries: list[Entry]) -> Iterator[Entry]:
    """Denoisers with their companions, or with the problem that one is missing."""
    others = [_candidate(entry) for entry in entries if entry.kind in {"text_encoder", "vae"} and entry.problem is None]
    for entry in entries:
        if not entry.needs or entry.problem is not None or entry.family is None:
            yield entry
            continue
        parts, missing = companions(entry.family, _candidate(entry), entry.needs, others)
        paths = {part.path for part in parts.values()} - {entry.path}
        size = entry.size_bytes + sum(path.stat().st_size for path in paths)
        entry = replace(entry, parts=parts, size_bytes=size, missing=tuple(f"{n.folder}/{n.file}" for n in missing))
        yield entry if not missing else replace(entry, problem=_missing(entry, missing))


def _candidate(entry: Entry) -> Candidate:
    return Candidate(path=entry.path, inside=entry.inside, quantised=entry.details.get("dtype") not in EXACT)


def _missing(entry: Entry, missing: Sequence[Need]) -> MissingPart:
    first = missing[0]
    return MissingPart(
        "{name} needs {file}, which is not there: put it into {folder}.",
        name=entry.id,
        file=first.file,
        folder=str(entry.root / first.folder),
    )


def misplaced(entry: Entry) -> ModelError:
    """Why this entry cannot be used as what was asked for: what it is, and where such files belong."""
    name, models = entry.id, entry.root
    match entry.kind:
        case "lora":
            return ModelError("{name} is a LoRA, which belongs into {folder}.", name=name, folder=str(models / "loras"))
        case "vae":
            return ModelError("{name} is a VAE, which belongs into {folder}.", name=name, folder=str(models / "vae"))
        case "embedding":
            folder = str(models / "embeddings")
            return ModelError("{name} is an embedding, which belongs into {folder}.", name=name, folder=folder)
        case "text_encoder":
            folder = str(models / "text_encoders")
            return ModelError("{name} is a text encoder alone, which belongs into {folder}.", name=name, folder=folder)
        case "denoiser":
            folder = str(models / "diffusion_models")
            return ModelError("{name} is a denoiser alone, which belongs into {folder}.", name=name, folder=folder)
        case _:
            folder = str(models / "checkpoints")
            return ModelError("{name} is a whole model, which belongs into {folder}.", name=name, folder=folder)


def _found(path: Path) -> Found:
    header = read_header(path)
    named = sort_out(header.tensors)
    if is_lora(named):
        return Found(kind="lora", family=family_of(header, named), dtype=main_dtype(header.tensors.values()))
    return identify(header)


def walk(folder: Path, root: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """The weight files below a folder. A link that leads out of the models folder is left out, and so is what vanishes."""
    if not folder.resolve().is_relative_to(root):
        return
    for parent, folders, files in os.walk(folder, followlinks=False):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = Path(parent, name)
            if path.suffix.lower() not in FILES or name.startswith("."):
                continue
            if path.is_symlink() and not path.resolve().is_relative_to(root):
                continue
            with suppress(FileNotFoundError):
                yield path, path.stat()
