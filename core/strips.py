"""Pictures of the house's own fixed recipes, kept under all that decides them: the second visitor sees them at once.

A picture's key is a hash of its resolved recipe, of what is in the files that it names, and of what else decides the bits. So with
another model, or another version of a library, the key is another one, and the old picture is never shown for the new.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache, cached_property
from importlib.metadata import version
from io import BytesIO
from pathlib import Path

from PIL import Image

from core.errors import ImageError, MetadataError
from core.families import profile_of
from core.families.base import Profile
from core.images import png
from core.images.files import opened, write
from core.images.gallery import THUMB_SIDE, Item
from core.loras import names_of
from core.models.hashes import stamp
from core.pipeline import Pipeline
from core.plan import resolve
from core.recipe import Recipe
from core.together import models_of

MOST = 2000  # pictures; of the demo models 20 KB each
KEY = re.compile(r"[0-9a-f]{64}")


class Seen:
    """What is found out of models and files while some keys are made: the folder is not looked through for each of them."""

    def __init__(self, pipe: Pipeline) -> None:
        def content(path: Path) -> str:
            return pipe.hashes.known(path) or stamp(path)

        def profile(name: str) -> Profile:
            return profile_of(self._models(name))

        def lora(name: str) -> Path:
            return pipe.loras.get(name).path

        self._pipe = pipe
        self._models, self._vae, self._lora = cache(pipe.library.model), cache(pipe.library.vae), cache(lora)
        self.profile, self.content = cache(profile), cache(content)

    @cached_property
    def _embeddings(self) -> list[tuple[str, Path]]:
        return sorted(self._pipe.library.embeddings().items())

    def files(self, recipe: Recipe) -> Iterator[Path]:
        """What the recipe names: models, VAE, LoRAs, embeddings."""
        yield from (self._models(name).path for name in models_of(recipe))
        if recipe.vae is not None:
            yield self._vae(recipe.vae).path
        yield from (self._lora(name) for name in names_of(recipe))
        parts = (recipe, *recipe.segments)
        written = " ".join(text for part in parts for text in (part.prompt, part.negative) if text)
        yield from (path for name, path in self._embeddings if name in written)


class Strips:
    """A folder of `<key>.png`, each whole or not there. Several threads may use it."""

    def __init__(self, folder: Path, pipe: Pipeline, most: int = MOST) -> None:
        self.folder, self._pipe, self._most = folder.resolve(), pipe, most
        self._versions = [version(name) for name in ("torch", "diffusers", "transformers")]

    def keys(self, recipes: Iterable[Recipe], seen: Seen | None = None) -> list[str]:
        """Names the pictures that these recipes give here. Loads no model. Raises UserError for one that names what is not here.

        seen: for several calls that belong together, what the ones before found out.
        """
        known = Seen(self._pipe) if seen is None else seen
        return [self._key(recipe, known) for recipe in recipes]

    def _key(self, recipe: Recipe, seen: Seen) -> str:
        own = seen.profile(recipe.model)
        resolved = resolve(recipe, own.family, own.defaults, own.prediction)
        used = [seen.content(path) for path in seen.files(resolved)]
        where = [*self._versions, str(self._pipe.device), self._pipe.memory]
        told = json.dumps([resolved.model_dump(mode="json", exclude_none=True), used, where], sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()

    def find(self, id: str) -> Item | None:
        """The picture of that key, or None."""
        path = self._path(id)
        if path is None or not path.is_file():
            return None
        with suppress(ImageError, MetadataError, OSError):
            found = png.read(path)
            if found.recipe is not None:
                return _item(id, path, found.recipe, found.made_with, found.size)
        return None  # damaged: it is made again

    def add(self, picture: Image.Image, recipe: Recipe, made_with: Mapping[str, str], owner: str, id: str) -> Item:
        """Keeps a picture under its key, for everybody; the oldest ones make room. Raises StorageError."""
        path = self._path(id)
        assert path is not None
        png.save(picture, path, recipe, made_with)
        self._make_room()
        return _item(id, path, recipe, made_with, picture.size)

    def thumbnail(self, item: Item) -> Path:
        """At most 256 pixels a side: the picture itself where it is that small. Raises StorageError, ImageError."""
        if max(item.width, item.height) <= THUMB_SIDE:
            return item.path
        path = item.path.with_suffix(".webp")
        if not path.exists():
            with opened(item.path) as picture:
                small = picture.convert("RGB")
            small.thumbnail((THUMB_SIDE, THUMB_SIDE))
            buffer = BytesIO()
            small.save(buffer, "WEBP", quality=80)
            write(path, buffer.getvalue())
        return path

    def _make_room(self) -> None:
        def written(path: Path) -> float:
            with suppress(FileNotFoundError):
                return path.stat().st_mtime
            return 0.0

        kept = list(self.folder.glob("[!.]*.png"))
        for path in sorted(kept, key=written)[: max(0, len(kept) - self._most)]:
            path.unlink(missing_ok=True)
            path.with_suffix(".webp").unlink(missing_ok=True)

    def _path(self, id: str) -> Path | None:
        return self.folder / f"{id}.png" if KEY.fullmatch(id) else None


def _item(id: str, path: Path, recipe: Recipe, made_with: Mapping[str, str], size: Sequence[int]) -> Item:
    return Item(
        id=id, path=path, created=path.stat().st_mtime, owner="", prompt=recipe.prompt, model=recipe.model, seed=recipe.seed,
        width=size[0], height=size[1], recipe=recipe, made_with=dict(made_with),
    )  # fmt: skip
