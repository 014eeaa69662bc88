"""What a diffusers folder is, from its small JSON files and the names of its weight files."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from core.errors import MissingPart, ModelError
from core.models.header import read_header
from core.models.loader import read_json, weight_files

FAMILIES = {
    "StableDiffusionPipeline": "sd15",
    "StableDiffusionImg2ImgPipeline": "sd15",
    "StableDiffusionXLPipeline": "sdxl",
    "StableDiffusionXLImg2ImgPipeline": "sdxl",
    "FluxPipeline": "flux",
    "ZImagePipeline": "z_image",
}
PARTS = {
    "sd15": ("unet", "vae", "text_encoder"),
    "sdxl": ("unet", "vae", "text_encoder", "text_encoder_2"),
    "z_image": ("transformer", "vae", "text_encoder"),
    "flux": ("transformer", "vae", "text_encoder", "text_encoder_2"),
}


@dataclass(frozen=True, kw_only=True)
class FoundFolder:
    """The fields of a library entry that a folder tells."""

    kind: str = "folder"
    family: str | None = None
    size_bytes: int = 0
    missing: tuple[str, ...] = ()
    problem: ModelError | None = None
    prediction: str | None = None
    details: Mapping[str, str] = field(default_factory=dict[str, str])


def identify_folder(folder: Path) -> FoundFolder:
    """Never raises: what is wrong is the entry's problem."""
    try:
        kind = str(read_json(folder / "model_index.json").get("_class_name"))
        family = FAMILIES.get(kind)
        if family is None:
            raise ModelError(
                "{name} is for {pipeline}, a kind of model that is not known here.",
                name=folder.name,
                pipeline=kind[:80],
            )
    except ModelError as error:
        return FoundFolder(problem=error)
    missing, problem = _missing(folder, PARTS[family])
    variant = VARIANTS[family](folder) if family in VARIANTS else None
    return FoundFolder(
        family=family,
        size_bytes=sum(path.stat().st_size for path in folder.glob("*/*.safetensors")),
        missing=missing,
        problem=problem,
        prediction=prediction(folder),
        details={} if variant is None else {"variant": variant},
    )


def _missing(folder: Path, parts: tuple[str, ...]) -> tuple[tuple[str, ...], ModelError | None]:
    missing: list[str] = []
    problem: ModelError | None = None
    for part in parts:
        try:
            read_json(folder / part / "config.json")
            for file in weight_files(folder / part):
                read_header(file)
        except MissingPart as error:
            missing.append(f"{part}/{error.values['name']}")
            problem = problem or error
        except ModelError as error:
            problem = problem or error
    return tuple(missing), problem


def prediction(folder: Path) -> str | None:
    """From the scheduler's configuration; None where it does not say."""
    try:
        config: dict[str, Any] = read_json(folder / "scheduler" / "scheduler_config.json")
    except ModelError:
        return None
    if config.get("prediction_type") == "v_prediction":
        return "v_zsnr" if config.get("rescale_betas_zero_snr") is True else "v"
    return "eps" if config.get("prediction_type") == "epsilon" else None


def z_image_variant(folder: Path) -> str:
    """turbo or base: by the folder's name, else by the shift that its scheduler was given."""
    try:
        shift = read_json(folder / "scheduler" / "scheduler_config.json").get("shift")
    except ModelError:
        shift = None
    return named_variant(folder.name, "base" if isinstance(shift, int | float) and shift > 4.5 else "turbo")


def named_variant(name: str, otherwise: str) -> str:
    """Turbo and base have the same weights by name and shape: only what people call them tells."""
    if re.fullmatch(r"z[-_ ]?image([-_ ](bf16|fp16|fp8.*|q\d.*))?", name.lower()):
        return "base"  # as its makers name it
    found = re.search(r"turbo|base", name.lower())
    return found[0] if found else otherwise


def flux_variant(folder: Path) -> str:
    """dev is told its guidance, schnell is not."""
    try:
        told = read_json(folder / "transformer" / "config.json").get("guidance_embeds")
    except ModelError:
        told = True
    return "dev" if told else "schnell"


VARIANTS: Mapping[str, Callable[[Path], str]] = MappingProxyType({"z_image": z_image_variant, "flux": flux_variant})
