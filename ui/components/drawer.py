"""A drawer of a form: closed until somebody opens it, and found again by its name."""

import gradio as gr

from ui.texts import label


def drawer(name: str, drawers: dict[str, gr.Accordion]) -> gr.Accordion:
    """A closed drawer, entered under its name; to be used as a context."""
    drawers[name] = gr.Accordion(
        label(f"drawer.{name}"), open=False, elem_id=f"drawer-{name}", elem_classes=["sw-drawer"]
    )
    return drawers[name]
