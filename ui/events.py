"""What the browser sends with an event of our widgets, read with care."""

from collections.abc import Mapping

import gradio as gr


def text(event: gr.EventData, name: str, most: int = 2000) -> str:
    """A text by name, or ""; of a longer one the first characters."""
    data = event._data if isinstance(event._data, Mapping) else {}
    value = data.get(name)
    return value[:most] if isinstance(value, str) else ""
