"""The split tab: the timeline across everything, then the chosen segment and the run beside the picture. Layout only."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr

from core.images.sheets import has_mp4
from core.sampling import SAMPLERS, SCHEDULES
from ui.components.drawer import drawer
from ui.components.fields import (
    Carried,
    Choice,
    Digits,
    Field,
    Loras,
    Number,
    Seed,
    Size,
    Slide,
    Steps,
    SweepForm,
    Text,
    Timeline,
)
from ui.components.panels import Heading, Nodes, Presets, RunBar, SplitRunBar, SplitStage, Stage, Sweep
from ui.components.widget import Widget
from ui.form import Form
from ui.split.fields import INSPECTED, SPLIT


@dataclass(frozen=True, kw_only=True)
class Split:
    """The tab's parts."""

    form: Form
    inspector: Mapping[str, Field]
    stage: Stage
    bar: RunBar
    steps: Steps
    presets: Presets
    sweep_form: SweepForm
    sweep: Sweep

    @property
    def timeline(self) -> Widget:
        return self.form.controls["segments"]


def build(first: dict[str, Any], presets: Iterable[str]) -> Split:
    """The tab with its first values."""
    controls: dict[str, Widget] = {}
    drawers: dict[str, gr.Accordion] = {}
    inspector: dict[str, Field] = {}
    controls["segments"] = Timeline(first["segments"], elem_id="timeline", label_key="timeline", view=None)
    Nodes(elem_id="nodes")
    steps = Steps("", elem_id="steps-table")
    asked = SweepForm(elem_id="sweep-form", samplers=list(SAMPLERS), schedulers=list(SCHEDULES))
    with gr.Row(elem_classes="sw-desk", equal_height=False):
        with gr.Column(elem_classes="sw-desk-want", min_width=320):
            with gr.Column(elem_classes="sw-desk-form"):
                with drawer("split-presets", drawers):
                    opened = Presets(elem_id="split-presets", names=list(presets))
                with gr.Column(elem_classes="sw-block"):
                    Heading(elem_id="segment-heading")
                    inspector |= _segment()
                    with drawer("split-noise", drawers):
                        inspector |= _noise()
                    with drawer("split-reading", drawers):
                        inspector |= _reading()
                with gr.Column(elem_classes="sw-block"):
                    Heading(elem_id="run-heading", text_key="split.run")
                    controls |= _run(first)
                    with drawer("split-sampling", drawers):
                        controls |= _sampling(first)
                    controls["carried"] = Carried("{}", elem_id="split-carried")
            bar = SplitRunBar(elem_id="split-run")
        with gr.Column(elem_classes="sw-desk-get", min_width=320):
            stage = SplitStage(elem_id="split-stage")
            swept = Sweep(elem_id="sweep", mp4=has_mp4())
    form = Form(place="split", table=SPLIT, controls=controls, drawers=drawers)
    return Split(
        form=form, inspector={name: inspector[name] for name in INSPECTED}, stage=stage, bar=bar, steps=steps, presets=opened,
        sweep_form=asked, sweep=swept,
    )  # fmt: skip


def _segment() -> dict[str, Field]:
    """What is changed most often."""
    controls: dict[str, Field] = {
        "prompt": Text("", elem_id="segment-prompt", label_key="prompt", lines=2, ghost=""),
    }
    with gr.Row(elem_classes="sw-thirds"):
        for name in ("start", "end"):
            controls[name] = Number(elem_id=f"segment-{name}", label_key=f"inspect.{name}", step=1, ghost="")
        controls["cfg"] = Number(elem_id="segment-cfg", label_key="cfg", step=0.5, ghost="")
    with gr.Row(elem_classes="sw-halves"):
        controls["sampler"] = _choice("sampler", "sampler")
        controls["border"] = _choice("border", "inspect.border", "continue")
    return controls


def _noise() -> dict[str, Field]:
    controls: dict[str, Field] = {}
    with gr.Row(elem_classes="sw-halves"):
        controls["add_noise"] = _choice("add_noise", "inspect.add_noise")
        controls["leftover_noise"] = _choice("leftover_noise", "inspect.leftover_noise")
    controls["noise_seed"] = Digits("", elem_id="segment-noise_seed", label_key="inspect.noise_seed", ghost="")
    with gr.Row(elem_classes="sw-thirds"):
        controls["steps"] = Number(elem_id="segment-steps", label_key="steps", step=1, ghost="")
        controls["scheduler"] = _choice("scheduler", "scheduler")
        controls["shift"] = Number(elem_id="segment-shift", label_key="inspect.shift", step=0.1, ghost="")
    return controls


def _reading() -> dict[str, Field]:
    controls: dict[str, Field] = {
        "loras": Loras(elem_id="segment-loras", label_key="loras", leaves=True),
        "model": _choice("model", "model"),
        "negative": Text("", elem_id="segment-negative", label_key="negative", lines=2, ghost=""),
        "conditioning": _choice("conditioning", "inspect.conditioning", "prompt"),
    }
    with gr.Row(elem_classes="sw-thirds"):
        controls["clip_skip"] = Number(elem_id="segment-clip_skip", label_key="clip_skip", step=1, ghost="")
        controls["guidance"] = Number(elem_id="segment-guidance", label_key="guidance", step=0.5, ghost="")
        controls["weighting"] = _choice("weighting", "weighting")
    return controls


def _choice(name: str, label_key: str, value: str = "") -> Choice:
    return Choice(value, elem_id=f"segment-{name}", label_key=label_key, choices=[(value, "=")])


def _run(first: dict[str, Any]) -> dict[str, Widget]:
    model, size = str(first["model"]), first["size"]
    controls: dict[str, Widget] = {
        "model": Choice(model, elem_id="split-model", label_key="model", choices=[(model, f"={model}")]),
        "prompt": Text(
            first["prompt"], elem_id="split-prompt", label_key="prompt", hint_key="split.prompt.hint", lines=2,
            placeholder_key="prompt.placeholder",
        ),
    }  # fmt: skip
    with gr.Row(elem_classes="sw-numbers"):
        controls["steps"] = Slide(first["steps"], elem_id="split-steps", label_key="steps", low=1, high=60, step=1)
        controls["cfg"] = Slide(first["cfg"], elem_id="split-cfg", label_key="cfg", low=1, high=15, step=0.5)
    controls["seed"] = Seed(first["seed"], elem_id="split-seed", label_key="seed")
    controls["size"] = Size(
        size, elem_id="split-size", label_key="size", multiple=8, native=size["width"] * size["height"]
    )
    return controls


def _sampling(first: dict[str, Any]) -> dict[str, Widget]:
    named = {"sampler": SAMPLERS, "scheduler": SCHEDULES}
    controls: dict[str, Widget] = {
        "negative": Text(
            first["negative"], elem_id="split-negative", label_key="negative", lines=2, placeholder_key="negative.placeholder"
        ),
        "loras": Loras(elem_id="split-loras", label_key="loras", leaves=False),
    }  # fmt: skip
    for name, table in named.items():
        listed = [(choice, f"={choice}") for choice in table]
        controls[name] = Choice(first[name], elem_id=f"split-{name}", label_key=name, choices=listed)
    with gr.Row(elem_classes="sw-halves"):
        controls["guidance"] = Number(elem_id="split-guidance", label_key="guidance", step=0.5, ghost="")
        controls["shift"] = Number(elem_id="split-shift", label_key="shift", step=0.1, ghost="")
    noises = [("keyed", "noise.keyed"), ("comfyui", "noise.comfyui")]
    controls["noise"] = Choice("keyed", elem_id="split-noise", label_key="noise", hint_key="noise.hint", choices=noises)
    return controls
