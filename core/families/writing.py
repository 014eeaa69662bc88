"""Which models can write: a text encoder that is a whole language model can answer, and needs no further weights for it."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Literal, Protocol, runtime_checkable

from core.errors import ModelError, UserError
from core.families import configs_of, record_of
from core.models.library import Entry
from core.models.loader import read_json
from core.prompt.answer import Draft, Drawing

QWEN3_WORDS = 151_936  # entries of Qwen3's own vocabulary, on which nobody trains an encoder from nothing

Why = Literal["", "absent", "encoder", "untaught", "untied"]
"""Why a model does not write: it is not here; its encoders only read; never taught to; its last layer is in no memory."""

WHY: Mapping[str, str] = MappingProxyType({
    "absent": "{name} is not here yet, so it cannot write: download it, or choose another model.",
    "encoder": "The text encoders of {name} read and cannot write: choose a Z-Image model, or name a server with --enrich-url.",
    "untaught": "The text encoder of {name} was taught to read and never to write: choose another one, or name a server with --enrich-url.",
    "untied": "The text encoder of {name} writes with a layer that is not loaded: choose another one, or name a server with --enrich-url.",
})  # fmt: skip


@runtime_checkable
class Writes(Protocol):
    """A model in memory that can."""

    def write(self, instruction: str, text: str, drawing: Drawing) -> Iterator[Draft]:
        """The text after each token. Nothing is left on the device that would not be there otherwise. Raises OutOfMemory."""
        ...


def why_not(entry: Entry) -> Why:
    """Why a model of the library cannot write; "" where it can. Reads a configuration, no weights."""
    if entry.kind == "hub":
        return "absent"
    try:
        family = record_of(entry)
        text = next((text for text in family.texts if text.kind == "qwen3"), None)
        if text is None:
            return "encoder"
        folder = (
            entry.path / text.name / "config.json"
            if entry.kind == "folder"
            else configs_of(family) / f"{text.name}.json"
        )
        config = read_json(folder)
    except UserError:
        return "absent"
    if not _taught(config):
        return "untaught"
    return "" if config.get("tie_word_embeddings") is True else "untied"


def check_writes(entry: Entry) -> None:
    """Raises ModelError, with the reason, for a model that cannot."""
    if why := why_not(entry):
        template = WHY[why]
        raise ModelError(template, name=entry.id)


def _taught(config: Mapping[str, Any]) -> bool:
    """Whether it is a language model: it says so itself, or, where somebody saved it as an encoder, its vocabulary does."""
    return "Qwen3ForCausalLM" in (config.get("architectures") or ()) or config.get("vocab_size") == QWEN3_WORDS
