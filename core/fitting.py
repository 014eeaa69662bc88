"""LoRA files fitted to the models of a run: looked up, checked against the family, matched to the weights, named by their content."""

import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from core.families.base import LoadedModel
from core.families.outline import outline
from core.loras import LoraSet
from core.models import lora
from core.models.hashes import Hashes, stamp
from core.models.library import Entry
from core.models.patch import Patch
from core.note import Note
from core.plan import Plan

OUTLINES = 4  # models whose modules are known by name
BYTES = 2**30  # of files whose tensors stay in memory for the next run, beside those of the last one


@dataclass(frozen=True, kw_only=True, eq=False)
class Fit:
    """One file in one model. Its identity is fixed when it is read, as a model's is."""

    path: Path
    nbytes: int  # of the file
    content: str
    match: lora.Match


@dataclass(frozen=True, kw_only=True, eq=False)
class Fitted:
    """The LoRAs of a plan, for each model that they act on."""

    fits: Mapping[tuple[str, str], Fit]  # by the names of model and LoRA
    hashes: Hashes

    def patches(self, model: str, loras: LoraSet) -> tuple[Patch, ...]:
        """These LoRAs as the patches of a model, in order."""
        fits = ((self.fits[model, name], strength) for name, strength in loras)
        return tuple(Patch(content=fit.content, strength=strength, deltas=fit.match.deltas) for fit, strength in fits)

    def notes(self) -> Iterator[Note]:
        """What of a file has no place in a model."""
        for (model, name), fit in self.fits.items():
            if fit.match.unmatched:
                yield Note(
                    template="LoRA {name}: {applied} of {total} parts fit {model}, the rest is left out (the first is {first}).",
                    values={"name": name, "applied": fit.match.applied, "total": fit.match.total, "model": model,
                            "first": fit.match.unmatched[0]},
                )  # fmt: skip

    def made_with(self) -> dict[str, str]:
        """The content of each file by its LoRA's name, waited for if it is still being hashed; nothing without LoRAs."""
        every = {name: self.hashes.wait(fit.path) for (_, name), fit in self.fits.items()}
        return {"lora_hashes": json.dumps(every, ensure_ascii=False)} if every else {}


class Fitting:
    """Reads LoRA files, and keeps what it has read lately for the models in memory."""

    def __init__(self, find: Callable[[str], Path], hashes: Hashes) -> None:
        self._find, self._hashes = find, hashes
        self._kept: OrderedDict[tuple[LoadedModel, str], Fit] = OrderedDict()  # by model and stamp of the file

    def check(self, names: Iterable[str], families: Iterable[str]) -> None:
        """Refuses from the headers alone. Raises UnknownName, or ModelError: no LoRA, or another family's."""
        for file in (lora.read(self._find(name)) for name in names):
            for family in families:
                file.check(family)

    def fit(self, plan: Plan, models: Mapping[str, LoadedModel]) -> Fitted:
        """All LoRAs of a plan. Raises UnknownName, or ModelError: another family's, one that fits nothing, a damaged file."""
        for key in [key for key in self._kept if key[0] not in models.values()]:
            del self._kept[key]  # it would keep a model in memory that was let go
        fits = {(model, name): self._fit(models[model], self._find(name)) for model, name in _needed(plan)}
        while sum(fit.nbytes for fit in self._kept.values()) > BYTES and len(self._kept) > len(fits):
            self._kept.popitem(last=False)
        return Fitted(fits=fits, hashes=self._hashes)

    def _fit(self, model: LoadedModel, path: Path) -> Fit:
        key = (model, stamp(path))
        if key not in self._kept:
            self._hashes.start(path)
            file = lora.read(path)
            file.check(model.family.name)
            match = file.match(model.components)
            content = self._hashes.known(path) or stamp(path)
            self._kept[key] = Fit(path=path, nbytes=path.stat().st_size, content=content, match=match)
        self._kept.move_to_end(key)
        return self._kept[key]


class Coverages:
    """How much of a LoRA fits a model, before either is read: from headers and configurations. Threads share one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._places: OrderedDict[str, lora.Places] = OrderedDict()  # by the stamp of the model's files

    def of(self, model: Entry, path: Path) -> lora.Coverage:
        """Raises ModelError: another family's, one that fits nothing, a damaged file, a model that is not here yet."""
        file = lora.read(path)
        if model.family is not None:
            file.check(model.family)
        return file.coverage(self._places_of(model))

    def _places_of(self, model: Entry) -> lora.Places:
        with self._lock:
            key = stamp(model.path)
            if key not in self._places:
                self._places[key] = lora.Places(outline(model))
            self._places.move_to_end(key)
            if len(self._places) > OUTLINES:
                self._places.popitem(last=False)
            return self._places[key]


def _needed(plan: Plan) -> Iterator[tuple[str, str]]:
    """Every model with every LoRA that acts on its denoiser or its text encoders, once."""
    seen: set[tuple[str, str]] = set()
    for step in plan.steps:
        for name, _ in (*step.loras, *step.positive.loras):
            if (step.model, name) not in seen:
                seen.add((step.model, name))
                yield step.model, name
