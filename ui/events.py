"""What the browser sends with an event of our widgets, read with care."""

from collections.abc import Mapping

import gradio as gr


def text(event: gr.EventData, name: str) -> str:
    """A text by name, or ""."""
    data = event._data if isinstance(event._data, Mapping) else {}
    value = data.get(name)
    return value[:2000] if isinstance(value, str) else ""
