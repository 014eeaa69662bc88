"""A LoRA file: what its header says, and how it fits a model."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

import torch
from torch import Tensor, nn

from core.errors import DamagedFile, ModelError
from core.models.checkpoint import FAMILY_TITLES, identify
from core.models.header import read_header
from core.models.lora.assemble import Misfit, assemble
from core.models.lora.deltas import Delta
from core.models.lora.family import family_of, is_lora
from core.models.lora.metadata import About, PeftScales, about, clean, json_object, peft_scales
from core.models.lora.names import Named, method_of, sort_out
from core.models.lora.places import TEXTS, Place, Places, component_of, outline_of
from core.models.tensors import Header
from core.models.weights import Weights

BYTES = 12 * 2**30  # of a whole file; a full difference of SDXL in half precision has 7
RANK = 4096  # beyond the width of any layer of these models
READABLE = {"F16", "BF16", "F32", "F64", "F8_E4M3", "F8_E5M2", "I64", "I32"}

Deltas = Mapping[str, Mapping[str, tuple[Delta, ...]]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Coverage:
    """How much of a LoRA has a place in a model. Counted in modules, as people know it: "192 of 192"."""

    applied: int
    total: int
    unmatched: tuple[str, ...]  # the file's own names


@dataclass(frozen=True, kw_only=True, eq=False)
class Match(Coverage):
    """What a LoRA changes in a model."""

    deltas: Deltas  # component -> parameter, as in named_parameters() -> in the order to apply


@dataclass(frozen=True, kw_only=True, eq=False)
class LoraFile:
    """A LoRA, from its header alone: no tensor has been read."""

    path: Path
    header: Header
    named: Named
    family: str | None  # sd15, sd2, sdxl, sd3, flux, z_image; None where the file does not tell
    about: About = field(default_factory=About)
    peft: Mapping[str, PeftScales] = field(default_factory=dict[str, PeftScales])  # by component, "" for the denoiser

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def trigger_words(self) -> tuple[str, ...]:
        return self.about.trigger_words

    @property
    def tags(self) -> tuple[tuple[str, int], ...]:
        return self.about.tags

    @property
    def base_model(self) -> str:
        return self.about.base_model

    @property
    def title(self) -> str:
        return self.about.title

    @property
    def embeddings(self) -> tuple[str, ...]:
        """Names of the textual inversions that are bundled with it."""
        return tuple(self.named.embeddings)

    @cached_property
    def rank(self) -> int | None:
        """The one that most modules have; None for a file without low-rank parts."""
        ranks = Counter(rank for roles in self.named.modules.values() if (rank := _rank(self.header, roles)))
        return ranks.most_common(1)[0][0] if ranks else None

    @cached_property
    def has_text(self) -> bool:
        """Whether it acts on text encoders."""
        return any(component_of(module)[0] in TEXTS for module in self.named.modules)

    def check(self, family: str) -> None:
        """Raises ModelError for a LoRA that is known to be of another family."""
        if self.family not in {None, family}:
            raise ModelError(
                "{name} is a LoRA for {its}, not for {family}: choose one made for {family}.",
                name=self.name,
                its=FAMILY_TITLES[self.family or ""],
                family=FAMILY_TITLES.get(family, family),
            )

    def match(self, components: Mapping[str, nn.Module]) -> Match:
        """Finds the module of each part among `components` (unet, text_encoder, text_encoder_2) and reads its tensors.

        Raises ModelError where nothing fits, DamagedFile for numbers that are not finite.
        """
        with Weights([self.path]) as weights:
            return self._match(Places(outline_of(components)), partial(self._tensor, weights))

    def coverage(self, places: Places) -> Coverage:
        """The counts of such a match from the header alone: no number of the file is read. Raises ModelError where nothing fits."""
        match = self._match(places, self._shape)
        return Coverage(applied=match.applied, total=match.total, unmatched=match.unmatched)

    def _match(self, places: Places, read: Callable[[str], Tensor]) -> Match:
        deltas: dict[str, dict[str, tuple[Delta, ...]]] = {}
        unmatched: list[str] = [*self.named.strange]
        misshapen = 0
        for module, roles in self.named.modules.items():
            there = places.find(module)
            changes = self._changes(there, module, roles, places, read) if there else None
            if changes is None:
                misshapen += bool(there)
                unmatched.append(module)
                continue
            for place, parameter, delta in changes:
                of = deltas.setdefault(place.component, {})
                name = place.parameter(parameter)
                of[name] = (*of.get(name, ()), delta)
        total = len(self.named.modules) + len(self.named.strange)
        if total == len(unmatched):
            raise self._nothing(misshapen, unmatched)
        return Match(deltas=deltas, applied=total - len(unmatched), total=total, unmatched=tuple(map(clean, unmatched)))

    def embedding(self, name: str) -> Mapping[str, Tensor]:
        """The tensors of a bundled textual inversion, by the part names that A1111 gives them. Raises KeyError, DamagedFile."""
        with Weights([self.path]) as weights:
            return {part: self._tensor(weights, tensor) for part, tensor in self.named.embeddings[name].items()}

    def _changes(
        self, there: Sequence[Place], module: str, roles: Mapping[str, str], places: Places, read: Callable[[str], Tensor]
    ) -> list[tuple[Place, str, Delta]] | None:
        """The deltas of one module of the file by place and parameter; None where they do not fit."""
        if any(self.header.tensors[tensor].dtype not in READABLE for tensor in roles.values()):
            return None
        tensors = {role: read(tensor) for role, tensor in roles.items()}
        shapes = {name: places.shape(there, name) for name in ("weight", "bias")}
        component, rest = component_of(module)
        scales = self.peft.get(component or "", PeftScales(config={}))
        try:
            known = {name: shape for name, shape in shapes.items() if shape is not None}
            changes = assemble(tensors, known, lambda rank: scales.scale(rest, rank)).items()
            return [(p, name, delta.part(p.rows) if p.rows else delta) for p in there for name, delta in changes]
        except (Misfit, ValueError):
            return None

    def _shape(self, name: str) -> Tensor:
        """A tensor of the header's shape and without numbers, but for a single one: an alpha is asked for its value."""
        shape = self.header.shape(name)
        return torch.zeros(shape, device="meta" if math.prod(shape) != 1 else "cpu")

    def _tensor(self, weights: Weights, name: str) -> Tensor:
        """A copy, checked: the file may go away, and not a number would spoil every weight that it touches."""
        if name not in weights:
            raise DamagedFile("{name} changed while it was read: try again.", name=self.name)
        tensor = weights[name].clone()
        if not bool(tensor.float().isfinite().all()):
            raise DamagedFile(
                "{name} holds numbers that are not finite, in {tensor}: it was damaged in training, use another version.",
                name=self.name,
                tensor=clean(name),
            )
        return tensor

    def _nothing(self, misshapen: int, unmatched: list[str]) -> ModelError:
        if method := next(filter(None, map(method_of, self.named.strange)), None):
            return ModelError(
                "{name} is trained by {method}, which cannot be applied here: choose a LoRA, LoHa or LoKr.",
                name=self.name,
                method=method,
            )
        if misshapen:
            return ModelError(
                "{name} fits no module of this model, their sizes differ: it was made for another one.", name=self.name
            )
        return ModelError(
            "{name} matches nothing in this model, its first module is {module}: it was made for another one.",
            name=self.name,
            module=clean(unmatched[0]) if unmatched else "-",
        )


def read(path: Path) -> LoraFile:
    """What a LoRA file is, from its header alone. Raises DamagedFile, or ModelError for what is no LoRA."""
    header = read_header(path)
    named = sort_out(header.tensors)
    if not is_lora(named):
        raise not_a_lora(path.name, identify(header).kind)
    _check_sizes(path, header, named)
    return LoraFile(
        path=path,
        header=header,
        named=named,
        family=family_of(header, named),
        about=about(header.metadata),
        peft=_peft(path, header),
    )


def not_a_lora(name: str, kind: str) -> ModelError:
    """What a file is that was given as a LoRA, and where such files belong."""
    match kind:
        case "checkpoint":
            return ModelError("{name} is a whole model and no LoRA: put it into checkpoints.", name=name)
        case "denoiser":
            return ModelError("{name} is a denoiser and no LoRA: put it into diffusion_models.", name=name)
        case "vae":
            return ModelError("{name} is a VAE and no LoRA: put it into vae.", name=name)
        case "text_encoder":
            return ModelError("{name} is a text encoder and no LoRA: put it into text_encoders.", name=name)
        case "embedding":
            return ModelError("{name} is an embedding and no LoRA: put it into embeddings.", name=name)
        case _:
            return ModelError("{name} is no LoRA of a known kind: nothing in it has a LoRA's names.", name=name)


def _check_sizes(path: Path, header: Header, named: Named) -> None:
    """What a file may claim: more would only fill the memory."""
    if path.stat().st_size > BYTES:
        raise ModelError(
            "{name} has {size} GiB, more than a LoRA of these models can have: is it a whole model?",
            name=path.name,
            size=path.stat().st_size // 2**30,
        )
    rank = max((_rank(header, roles) or 0 for roles in named.modules.values()), default=0)
    if rank > RANK:
        raise ModelError(
            "{name} has rank {rank}, more than {most}: it is damaged or no LoRA.", name=path.name, rank=rank, most=RANK
        )


def _rank(header: Header, roles: Mapping[str, str]) -> int | None:
    for role in ("down", "hada_w1_b", "lokr_w2_b", "lokr_w1_b"):
        if role in roles and header.shape(roles[role]):
            return header.shape(roles[role])[0]
    return None


def _peft(path: Path, header: Header) -> dict[str, PeftScales]:
    """Scales from diffusers' metadata, or from the configuration that peft puts beside its file."""
    if "lora_adapter_metadata" in header.metadata:
        scales = {name: peft_scales(header.metadata, name) for name in TEXTS}
        unet = peft_scales(header.metadata, "unet")
        return {**scales, "": unet if unet.config else peft_scales(header.metadata, "transformer")}
    beside = path.with_name("adapter_config.json")
    if path.name != "adapter_model.safetensors" or not beside.is_file() or beside.stat().st_size > 2**22:
        return {}
    config = json_object(beside.read_text("utf-8", errors="replace"))
    return {name: PeftScales(config=config) for name in ("", *TEXTS)}
