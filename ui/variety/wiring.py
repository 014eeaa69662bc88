"""Which event of the variety tab reaches which handler."""

from typing import Any

import gradio as gr

from ui import wires
from ui.making import Making
from ui.tabs.variety import Variety
from ui.variety.handlers import Varying
from ui.wires import LATEST, NOW

SETTLING = ("cfg", "sampler", "conditioning", "blind", "pin", "batch", "carried")


def wire(desk: Variety, varying: Varying, making: Making, kept: gr.BrowserState, shown: list[Any]) -> None:
    """All of the tab but restoring and what leads to another tab."""
    form, bar, panel = desk.form, desk.bar, desk.pictures
    bar.stop(making.stop, kept, None, **NOW)
    bar.after(making.stop_after, kept, None, **NOW)
    for event, handler in (
        (bar.generate, varying.rows),
        (desk.ask.grid, varying.grid),
        (desk.ask.endless, varying.endless),
    ):
        job = gr.State("")
        filed = event(handler, [kept, *form.inputs], [bar, job], **NOW)
        wires.watched(filed, bar, job, making, kept, shown)
    panel.star(varying.star, kept, panel, **NOW)
    panel.sweep(varying.sweep, kept, [panel, bar], **NOW)
    wires.opens(form, bar, kept, panel.reuse, varying.item, kept)
    wires.opens(form, bar, kept, panel.pin, varying.pin, [kept, *form.inputs])
    settled_by(wires.opens(form, bar, kept, desk.presets.opened, varying.preset, None), desk, varying)
    gr.on(
        [form.controls[name].input for name in SETTLING], varying.settle, form.inputs, [*form.inputs, desk.ask],
        **LATEST,
    )  # fmt: skip
    chosen = gr.State(str(varying.first()["model"]))
    changed = form.controls["model"].input(varying.other_model, [chosen, *form.inputs], [*form.inputs, chosen], **LATEST)
    wires.kept_by(changed.then(varying.asked, form.inputs, desk.ask, **NOW), form, kept)


def settled_by(event: Any, desk: Variety, varying: Varying) -> Any:
    """After that event the controls without effect are closed, and what can be asked for is told."""
    return event.then(varying.settle, desk.form.inputs, [*desk.form.inputs, desk.ask], **NOW)
