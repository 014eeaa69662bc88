"""Looking inside: what happens between the prompt and the picture, under the cards."""

from dataclasses import dataclass

import gradio as gr

from ui.context import Context


@dataclass(frozen=True, kw_only=True)
class Inside:
    """The panels, from above to below."""


def build(context: Context) -> Inside:
    """The panels, where the tab's column is now."""
    return Inside()


def wire(inside: Inside, context: Context, kept: gr.BrowserState) -> None:
    """Which event reaches which handler."""
