"""A picture's settings open in any tab that makes pictures, from wherever it is seen."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import gradio as gr

from ui import wires
from ui.components.panels import Panel, RunBar
from ui.form import Form
from ui.opening import Opening
from ui.wires import LOCAL, NOW


def as_it_is(opened: Any) -> Any:
    """Nothing follows."""
    return opened


@dataclass(frozen=True, kw_only=True)
class Desk:
    """A tab to open settings in. settled: what follows when its form is filled; look: a script for when the tab is there."""

    name: str  # its tab's id; widgets ask for it as in_<name>
    form: Form
    bar: RunBar
    pictures: Panel
    opening: Opening
    settled: Callable[[Any], Any] = as_it_is
    look: str = ""


def wire(desks: Sequence[Desk], others: Sequence[Panel], kept: gr.BrowserState, tabs: gr.Tabs) -> None:
    """Every desk's pictures open at every other desk, those of other panels at all; the tab comes to the front."""
    for desk in desks:
        for panel in (*others, *(one.pictures for one in desks if one is not desk)):
            asked = getattr(panel, f"in_{desk.name}")
            opened = desk.settled(wires.opens(desk.form, desk.bar, kept, asked, desk.opening.item, kept))
            shown = opened.then(partial(gr.update, selected=desk.name), None, tabs, **NOW)
            if desk.look:
                shown.then(None, None, None, js=desk.look, **LOCAL)
