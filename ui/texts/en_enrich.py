"""English: the prompt in more words."""

# ruff: noqa: E501  (one pair a line)

from collections.abc import Mapping
from types import MappingProxyType

WORDS: Mapping[str, str] = MappingProxyType(
    {
        "enrich.ask": "Enrich the prompt",
        "enrich.undo": "Put the old prompt back",
        "enrich.box": "The prompt in more words",
        "enrich.text": "In more words",
        "enrich.use": "Use it",
        "enrich.again": "Another wording",
        "enrich.stop": "Stop writing",
        "enrich.discard": "Discard",
        "enrich.reading": "Reading the prompt",
        "enrich.writing": "Writing: {tokens} tokens",
        "enrich.done": "{tokens} tokens written. Edit them as you like.",
        "enrich.stopped": "Stopped. What is there can be used.",
        "enrich.broken": "Something broke inside Stepwise, and nothing was written: the log says what.",
        "enrich.off.absent": "This model is not here yet, so nobody can write.",
        "enrich.off.encoder": "This model's text encoders only read. Z-Image's writes too, and so does a server named with --enrich-url.",
        "enrich.off.untaught": "This model's text encoder was never taught to write. A full Z-Image's was; or name a server with --enrich-url.",
        "enrich.off.untied": "This model's text encoder writes with a layer that is not loaded. A server can, named with --enrich-url.",
    }
)
