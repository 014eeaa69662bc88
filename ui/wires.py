"""How events are wired, the same in every tab: which queue, what the browser keeps, what fills a form."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr

from ui.components.panels import RunBar, Stage, Sweep
from ui.form import Form
from ui.making import Making

NOW: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
LATEST: dict[str, Any] = {"trigger_mode": "always_last", **NOW}  # what comes while the server answers is not lost
WATCHING: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "concurrency_limit": None}
LOCAL: dict[str, Any] = NOW  # runs in the browser alone


def keep(form: Form) -> str:
    """A script: the browser's state and the form's values -> the state with them in it."""
    return f"(state, ...values) => stepwise.keep({json.dumps(form.place)}, {json.dumps(form.names)}, state, values)"


def drawer(name: str, *, open: bool) -> str:
    """A script: the browser's state -> the state with that drawer open or closed."""
    return f"(state) => stepwise.drawer(state, {json.dumps(name)}, {json.dumps(open)})"


def kept_by(event: Any, form: Form, kept: gr.BrowserState) -> Any:
    """After that event the browser keeps what the form shows."""
    return event.then(None, [kept, *form.inputs], kept, js=keep(form), **LOCAL)


def keeping(form: Form, kept: gr.BrowserState) -> None:
    """Settings and open drawers go into the browser as they change, without the server."""
    changes = [control.input for control in form.controls.values()]
    gr.on(changes, None, [kept, *form.inputs], kept, js=keep(form), trigger_mode="always_last", **LOCAL)
    for name, part in form.drawers.items():
        part.expand(None, kept, kept, js=drawer(name, open=True), **LOCAL)
        part.collapse(None, kept, kept, js=drawer(name, open=False), **LOCAL)


def making(
    form: Form, bar: RunBar, work: Making, kept: gr.BrowserState, shown: Sequence[Stage | RunBar | Sweep]
) -> None:
    """Generate, watch and stop. What is in the making is seen at every desk, for there is one queue."""
    job = gr.State("")
    filed = bar.generate(work.submitting(form.table), [kept, *form.inputs], [bar, job], **NOW)
    watched(filed, bar, job, work, kept, shown)
    bar.stop(work.stop, kept, None, **NOW)
    bar.after(work.stop_after, kept, None, **NOW)


def watched(
    filed: Any, bar: RunBar, job: gr.State, work: Making, kept: gr.BrowserState, shown: Sequence[Stage | RunBar | Sweep]
) -> None:
    """After a job was filed it is looked at until it is done."""
    filed.failure(work.broke, None, bar, **NOW)
    filed.success(work.watch, [kept, job], shown, trigger_mode="always_last", **WATCHING)


def opens(
    form: Form, bar: RunBar, kept: gr.BrowserState, event: Callable[..., Any], handler: Callable[..., Any], inputs: Any
) -> Any:
    """An event that fills the form; what it filled in is kept."""
    return kept_by(event(handler, inputs, [*form.inputs, bar], **NOW), form, kept)
