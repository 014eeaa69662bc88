"""The models in memory: those of the last run, side by side where they fit."""

import json
import queue
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

import torch

from core.events import Loading
from core.families import load, profile_of
from core.families.base import LoadedModel, Profile
from core.models.hashes import Hashes
from core.models.library import Library
from core.models.memory import share
from core.models.residency import Residency, Sentence
from core.recipe import Recipe
from core.together import check_together, models_of

Wanted = tuple[str, str | None, str | None, str]
"""Names of a model and of the VAE that it is read with; None: its own. The variant that it was said to be, if it was. Its memory level."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Held:
    """A loaded model. Its identity is fixed when it is read, so that keys do not change when a hash becomes known."""

    model: LoadedModel
    weights: str


class Models:
    """Owner of the models in memory. What a run does not need is let go before anything else is read."""

    def __init__(self, library: Library, hashes: Hashes, device: torch.device, downloads: bool) -> None:
        self._library, self._hashes, self._device, self._downloads = library, hashes, device, downloads
        self.level = "auto"  # of models that are read from now on
        self._held: dict[Wanted, Held] = {}
        self._turns: Sentence | None = None  # that, and why, they do not stay on the device together

    def hold(self, recipe: Recipe) -> Generator[Loading, None, Mapping[str, Held]]:
        """The models of a recipe by name, its own first. Raises UnknownName, ModelError, or RecipeError where they do not go together."""
        wanted = self._wanted(recipe)
        if not self._held.keys() >= set(wanted.values()):
            check_together(recipe, self._profiles(wanted))
            self._held = {key: held for key, held in self._held.items() if key in wanted.values()}
            for held in self._held.values():
                held.model.memory.release()  # what is free is measured when a model is read
            try:
                for key in wanted.values():
                    if key not in self._held:
                        self._held[key] = yield from self._read(key)
            finally:
                self._turns = share([held.model.memory for held in self._held.values()], self._device)
        found = {name: self._held[key] for name, key in wanted.items()}
        check_together(recipe, {name: profile(held.model) for name, held in found.items()})
        return found

    def holds(self, recipe: Recipe) -> bool:
        """Whether nothing has to be read."""
        return self._held.keys() >= set(self._wanted(recipe).values())

    def residency(self, model: LoadedModel) -> Residency:
        """Which components of a model stay on the device, and why."""
        told = model.residency
        return told if self._turns is None else replace(told, sentences=(*told.sentences, self._turns))

    def _wanted(self, recipe: Recipe) -> dict[str, Wanted]:
        told = self._library.variants.of
        return {
            name: (name, recipe.vae if name == recipe.model else None, told(name), self.level)
            for name in models_of(recipe)
        }

    def _profiles(self, wanted: Mapping[str, Wanted]) -> dict[str, Profile]:
        """Of the models that are here; one that has yet to be fetched is not known."""
        entries = {name: self._library.model(name) for name in wanted}
        return {name: profile_of(entry) for name, entry in entries.items() if entry.kind != "hub"}

    def _read(self, wanted: Wanted) -> Generator[Loading, None, Held]:
        name, vae, _, level = wanted
        entry = self._library.model(name)
        decoder = None if vae is None else self._library.vae(vae)
        if entry.path.exists():
            self._hashes.start(entry.path)  # beside the reading: a small file is known before the first step
        loading = partial(
            load, entry, decoder, device=self._device, hashes=self._hashes, downloads=self._downloads, memory=level
        )
        model = yield from _told(loading)
        return Held(model=model, weights=model.content_id)


def profile(model: LoadedModel) -> Profile:
    """What a loaded model is."""
    return Profile(
        family=model.family, defaults=model.defaults, latent_format=model.latent_format, prediction=model.prediction
    )


def surroundings(model: LoadedModel) -> dict[str, str]:
    """What decides the bits beside recipe, weights, versions and how the weights are kept."""
    device = str(model.device)
    if model.device.type == "cpu":
        device = f"cpu, {torch.get_num_threads()} threads"  # they decide how sums are split
    elif model.device.type == "cuda":
        device = torch.cuda.get_device_name(model.device)
    dtype = str(model.dtype).removeprefix("torch.")
    return {"device": device, "dtype": dtype, "attention": "sdpa"}


def hashes_of(models: Mapping[str, LoadedModel], own: str) -> dict[str, str]:
    """model_hash and vae_hash of the recipe's own model, and all models' hashes by name where there are several."""
    hashes = dict(models[own].hashes())
    every = {name: model.hashes().get("model_hash", "") for name, model in models.items()}
    return hashes | ({"model_hashes": json.dumps(every, ensure_ascii=False)} if len(every) > 1 else {})


def _told(loading: Callable[..., LoadedModel]) -> Generator[Loading, None, LoadedModel]:
    """Runs `loading(progress=…)` beside this generator, which tells how far it is."""
    reports = queue.SimpleQueue[Loading | None]()

    def report(what: str, share: float) -> None:
        reports.put(Loading(what=what, share=share))

    with ThreadPoolExecutor(max_workers=1) as beside:
        future = beside.submit(partial(loading, progress=report))
        future.add_done_callback(lambda _: reports.put(None))
        while (told := reports.get()) is not None:
            yield told
        return future.result()
