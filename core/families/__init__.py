"""The families, and how one of their models comes into memory."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from core.errors import ModelError
from core.families import flux, z_image
from core.families.base import LoadedModel, Profile, Progress
from core.families.model import Model, Record, latent_format, turns_of
from core.families.sd15 import SD15, SD15Model
from core.families.sdxl import SDXL, SDXLModel
from core.models import hub, loader, tokenizers
from core.models.folder import identify_folder
from core.models.hashes import Hashes
from core.models.host import spare_bytes
from core.models.library import Entry
from core.models.loader import Parts, TextPart
from core.models.memory import free_bytes, pick_dtype
from core.models.parts import from_parts
from core.models.residency import Needs, check_room, choose

FAMILIES: Mapping[str, Record] = MappingProxyType(
    {family.name: family for family in (SD15, SDXL, flux.DEV, z_image.TURBO)}
)
VARIANTS: Mapping[tuple[str, str], Record] = MappingProxyType(
    {("z_image", "base"): z_image.BASE, ("flux", "schnell"): flux.SCHNELL}
)
MODELS: Mapping[str, type[Model]] = MappingProxyType(
    {"sd15": SD15Model, "sdxl": SDXLModel, "flux": flux.FluxModel, "z_image": z_image.ZImageModel}
)


GROWN = 20  # times that a file grows in memory at most: GGUF's fewest bits a number, 1.6, become float32's 32


def silent(what: str, share: float) -> None:
    """No progress."""


def prepare() -> None:
    """Imports the model libraries, which takes seconds: while a page is being opened, not when somebody waits for a picture."""
    import diffusers
    import transformers

    # diffusers and transformers import a part only when it is asked for.
    for library, name in (
        (diffusers, "AutoencoderKL"),
        (diffusers, "UNet2DConditionModel"),
        (transformers, "CLIPTextModel"),
    ):
        getattr(library, name)


def record_of(entry: Entry) -> Record:
    """What is known of a model's family, and variant, from the library alone. Raises ModelError."""
    if entry.problem is not None:
        raise entry.problem
    if entry.family is None or entry.family not in FAMILIES:
        raise ModelError("{name} is of a family that is not known here.", name=entry.id)
    return VARIANTS.get((entry.family, entry.details.get("variant", "")), FAMILIES[entry.family])


def load(
    entry: Entry,
    vae: Entry | None = None,
    *,
    device: torch.device,
    dtype: torch.dtype | None = None,
    hashes: Hashes | None = None,
    downloads: bool = True,
    progress: Progress = silent,
    configs: Path | None = None,
    memory: str = "auto",
) -> LoadedModel:
    """A model of the library in memory, ready to run. `vae`: another one than its own.

    dtype: of denoiser and text encoders, None for the device's usual one. downloads: what only the hub has may be fetched.
    configs: for a single file of unusual sizes, a folder like core/families/configs/sd15. memory: a level of `residency`;
    it is chosen before anything but headers is read. Raises ModelError, UnknownName, OutOfMemory.
    """
    if entry.kind == "hub":
        entry = fetched(entry, downloads, progress)
    family = record_of(entry)
    progress(f"Reading {entry.id}", 0.0)

    def kept(stored: torch.dtype) -> torch.dtype:
        return pick_dtype(device, stored, family.half) if dtype is None else family.allowed(dtype)

    reading = partial(read, entry, vae, family, kept, configs or configs_of(family))
    words = partial(tokenizer_of, entry, downloads=downloads, progress=progress)
    spare = spare_bytes() if memory == "auto" else None
    most = GROWN * (entry.size_bytes + (vae.size_bytes if vae else 0))
    if device.type == "cpu" and (spare is None or most <= spare):
        parts = reading(words)  # there is no choice, and it fits in any case: a small model need not wait for its headers
        residency = choose(Needs(turns_of(parts), family.working_bytes), device, free_bytes(device), memory)
    else:
        needs = weighed(reading, family)
        residency = choose(needs, device, free_bytes(device), memory)
        check_room(entry.id, needs, spare)
        parts = reading(words)
    decoder = vae.path if vae else entry.parts["vae"].path if entry.parts else None
    files = entry.path, None if decoder == entry.path else decoder
    model = MODELS[family.name](family, parts, device, entry.prediction or family.prediction, hashes, files, residency)
    progress(f"Reading {entry.id}", 1.0)
    return model


def profile_of(entry: Entry) -> Profile:
    """What a model of the library is, from its configuration alone: nothing is loaded. Raises ModelError."""
    if entry.kind == "hub":
        raise ModelError("{name} must be fetched before its settings are known.", name=entry.id)
    family = record_of(entry)
    folder = entry.kind == "folder"
    vae = loader.read_json(entry.path / "vae" / "config.json" if folder else configs_of(family) / "vae.json")
    denoiser = loader.read_json(entry.path / family.denoiser.name / "config.json") if folder else None
    return Profile(
        family=family,
        defaults=family.defaults if denoiser is None else family.own_defaults(denoiser, vae),
        latent_format=latent_format(vae),
        prediction=entry.prediction or family.prediction,
    )


def configs_of(family: Record) -> Path:
    """The configurations that a single file of a family lacks."""
    return Path(__file__).parent / "configs" / family.name


def read(
    entry: Entry,
    vae: Entry | None,
    family: Record,
    kept: Callable[[torch.dtype], torch.dtype],
    configs: Path,
    words: Callable[[TextPart], Any],
) -> Parts:
    """The components of a folder or of a single file, on the CPU. kept: from the dtype stored; words: finds tokenizers."""
    if entry.kind == "folder":
        parts = loader.from_folder(entry.path, family.denoiser, family.texts, kept, words)
    elif entry.parts:
        parts = from_parts(entry.parts, configs, family.denoiser, family.texts, kept, words)
    else:
        parts = loader.from_checkpoint(entry.path, configs, family.denoiser, family.texts, kept, words)
    return parts if vae is None else loader.with_vae(parts, vae.path)


def weighed(reading: Callable[[Callable[[TextPart], Any]], Parts], family: Record) -> Needs:
    """What a model will take, from the headers of its files: the very modules that loading makes, without numbers."""
    with torch.device("meta"):
        return Needs(turns_of(reading(lambda text: None)), family.working_bytes)


def vae_of(entry: Entry, other: Entry | None = None) -> nn.Module:
    """A model's VAE alone, on the CPU, or another one in its place. Raises ModelError."""
    if entry.kind == "hub":
        raise ModelError("{name} must be fetched before its settings are known.", name=entry.id)
    family = record_of(entry)
    usual = loader.read_json(configs_of(family) / "vae.json")
    if other is not None:
        own = entry.path / "vae" / "config.json"
        config = loader.read_json(own) if entry.kind == "folder" else usual
        return loader.vae_from_folder(other.path) if other.path.is_dir() else loader.vae_from_file(other.path, config)
    if entry.kind == "folder":
        return loader.vae_from_folder(entry.path / "vae")
    if entry.parts:
        return loader.vae_from_file(entry.parts["vae"].path, usual, entry.parts["vae"].prefix)
    return loader.vae_from_file(entry.path, usual, "first_stage_model.")


def tokenizer_of(entry: Entry, text: TextPart, *, downloads: bool, progress: Progress = silent) -> Any:
    """The tokenizer of one of a model's text encoders: its folder's own, else the one that all share. No weights are read.

    Raises MissingPart, DamagedFile.
    """
    own = entry.path / text.tokenizer
    if entry.kind == "folder" and tokenizers.KINDS[text.kind].is_in(own):
        return tokenizers.read(text.kind, own)
    folder = tokenizers.folder_of(text.kind, entry.root, downloads=downloads, progress=progress)
    return tokenizers.read(text.kind, folder, text.pad)


def fetched(entry: Entry, downloads: bool, progress: Progress) -> Entry:
    """A hub entry as the folder that it became; one that is complete already is not asked for again."""
    folder = hub.fetch(entry.id, entry.path, downloads=downloads, progress=progress)
    return Entry(id=entry.id, path=folder, root=entry.root, **vars(identify_folder(folder)))
