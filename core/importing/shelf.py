"""What is here: foreign names and hashes of models, VAEs and LoRAs to our own names."""

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path

from core.lora_library import LoraItem, LoraLibrary
from core.models.hashes import Hashes
from core.models.library import MODEL_KINDS, Entry, Library

SUFFIXES = (".safetensors", ".ckpt", ".gguf", ".sft", ".pth", ".bin", ".pt")
DIGITS = 8  # of a hash, at least, to be believed

Known = Sequence[tuple[str, Path]]
"""Names in recipes, and the files."""


class Shelf:
    """Looked at once. Nothing is hashed for it: only hashes that earlier runs left are compared."""

    def __init__(self, library: Library, loras: LoraLibrary, hashes: Hashes) -> None:
        self._library, self._lora_library, self._hashes = library, loras, hashes

    def model(self, name: str, digest: str = "") -> str | None:
        """Our name of a model, by its hash or else by its name; None: it is not here."""
        return self._match(name, digest, _of_kind(self._entries, MODEL_KINDS))

    def vae(self, name: str, digest: str = "") -> str | None:
        return self._match(name, digest, _of_kind(self._entries, ("vae",)))

    def lora(self, name: str, digest: str = "") -> str | None:
        """A LoRA by hash, by name, or by the title in its own metadata, which A1111 takes for its name."""
        known = [(item.name, item.path) for item in self._loras]
        return self._match(name, digest, known) or _named(name, ((item.title, item.name) for item in self._loras))

    def has_embedding(self, name: str) -> bool:
        return name in {entry.id for entry in self._entries if entry.kind == "embedding"}

    def parts(self, model: str) -> frozenset[str]:
        """The file names of the text encoders and the VAE that come with a model here."""
        return frozenset(
            part.path.name for entry in self._entries if entry.id == model for part in entry.parts.values()
        )

    def disagrees(self, model: str, digest: str) -> bool:
        """Whether the model here is known to have another hash than the one named."""
        paths = [entry.path for entry in self._entries if entry.id == model and entry.path.is_file()]
        known = [self._hashes.remembered(path) for path in paths]
        return len(digest) >= DIGITS and any(sha256 and not sha256.startswith(digest.lower()) for sha256 in known)

    def _match(self, name: str, digest: str, known: Known) -> str | None:
        return self._hashed(digest, known) or _named(name, ((ours, ours) for ours, _ in known))

    def _hashed(self, digest: str, known: Known) -> str | None:
        if len(digest) < DIGITS:
            return None
        found = ((ours, self._hashes.remembered(path)) for ours, path in known if path.is_file())
        return next((ours for ours, sha256 in found if sha256 and sha256.startswith(digest.lower())), None)

    @cached_property
    def _entries(self) -> tuple[Entry, ...]:
        return self._library.scan()

    @cached_property
    def _loras(self) -> tuple[LoraItem, ...]:
        return tuple(self._lora_library.every())


def _of_kind(entries: Iterable[Entry], kinds: Sequence[str]) -> Known:
    """Those that something is wrong with too: a run of them says what."""
    return [(entry.id, entry.path) for entry in entries if entry.kind in kinds]


def _named(name: str, known: Iterable[tuple[str, str]]) -> str | None:
    """The second of the pair whose first is this name, the more exactly the better."""
    pairs = [(theirs, ours) for theirs, ours in known if theirs]
    for form in FORMS:
        wanted = form(name)
        for theirs, ours in pairs:
            if wanted and form(theirs) == wanted:
                return ours
    return None


def _path(name: str) -> str:
    return name.replace("\\", "/").strip("/")


def _bare(name: str) -> str:
    """Without suffix and case. "sd_xl_base_1.0" keeps its point: 0 is no suffix of a weight file."""
    path = _path(name).casefold()
    return next((path.removesuffix(suffix) for suffix in SUFFIXES if path.endswith(suffix)), path)


def _flat(name: str) -> str:
    return _bare(name).replace("/", "_")  # A1111's name of a file in a folder


def _stem(name: str) -> str:
    return _bare(name).rpartition("/")[2]


FORMS: tuple[Callable[[str], str], ...] = (_path, _bare, _flat, _stem)
