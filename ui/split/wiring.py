"""Which event of the split tab reaches which handler.

All that changes a segment goes through the timeline: the inspector patches its value in the browser, and the timeline tells
what came of it, whoever changed it.
"""

import json
from typing import Any

import gradio as gr

from ui import wires
from ui.split.fields import INSPECTED
from ui.split.handlers import Splitting
from ui.tabs.split import Split
from ui.wires import LATEST, LOCAL, NOW

RUN = (
    "prompt", "negative", "size", "steps", "cfg", "guidance", "shift", "seed", "sampler", "scheduler", "noise", "loras",
    "carried",
)  # fmt: skip


def wire(bench: Split, splitting: Splitting, kept: gr.BrowserState, first_model: str) -> None:
    """The tab's own events; making, keeping and restoring are every tab's."""
    form, timeline, model = bench.form, bench.timeline, gr.State(first_model)
    for name in INSPECTED:
        patch = f"(value, field) => stepwise.segments.patched(value, {json.dumps(name)}, field)"
        control = bench.inspector[name]
        control.input(None, [timeline, control], timeline, js=patch, **LOCAL)
    seen = [*form.inputs, *bench.inspector.values()]
    gr.on([form.controls[name].input for name in RUN], splitting.look, form.inputs, seen, **LATEST)
    for told, handler in (
        (timeline.edited, splitting.look),
        (timeline.input, splitting.show),
        (timeline.picked, splitting.show),
    ):
        told(handler, form.inputs, seen, **LATEST)
    for told in (timeline.edited, timeline.picked):
        told(None, [kept, *form.inputs], kept, js=wires.keep(form), **LATEST)
    changed = form.controls["model"].input(splitting.other_model, [model, *form.inputs], [*form.inputs, model], **LATEST)
    wires.kept_by(changed.then(splitting.look, form.inputs, seen, **NOW), form, kept)
    bench.steps.asked(splitting.table, form.inputs, bench.steps, **LATEST)
    for event, handler, inputs in (
        (bench.steps.applied, splitting.from_table, [bench.steps, *form.inputs]),
        (bench.presets.opened, splitting.preset, None),
        (bench.stage.opened, splitting.upload, None),
        (bench.stage.reuse, splitting.item, kept),
    ):
        shown_by(wires.opens(form, bench.bar, kept, event, handler, inputs), bench, splitting)


def shown_by(event: Any, bench: Split, splitting: Splitting) -> Any:
    """After that event the timeline and the inspector show what the form was filled with."""
    return event.then(splitting.show, bench.form.inputs, [*bench.form.inputs, *bench.inspector.values()], **NOW)
