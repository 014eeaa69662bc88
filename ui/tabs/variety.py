"""The variety tab: how a run starts on the left, the same seeds plain and with a blind start on the right. Layout only."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from core.sampling import SAMPLERS, SCHEDULES
from core.variety import MOST
from ui.components.drawer import drawer
from ui.components.enrich_panels import Enrich, VarietyEnrich
from ui.components.fields import Carried, Choice, Seed, Size, Slide, Text
from ui.components.panels import Presets
from ui.components.variety_panels import PinnedStart, VarietyAsk, VarietyPictures, VarietyRunBar
from ui.components.widget import Widget
from ui.form import Form
from ui.variety.fields import VARIETY


@dataclass(frozen=True, kw_only=True)
class Variety:
    """The tab's parts."""

    form: Form
    ask: VarietyAsk
    bar: VarietyRunBar
    pictures: VarietyPictures
    presets: Presets
    enrich: Enrich

    @property
    def stage(self) -> VarietyPictures:
        """Where other tabs have a stage."""
        return self.pictures


def build(first: dict[str, Any], presets: Iterable[str]) -> Variety:
    """The tab with its first values."""
    drawers: dict[str, gr.Accordion] = {}
    with gr.Row(elem_classes="sw-desk", equal_height=False):
        with gr.Column(elem_classes="sw-desk-want", min_width=320):
            with gr.Column(elem_classes="sw-desk-form"):
                controls = _what(first)
                enrich = VarietyEnrich(elem_id="variety-enrich")
                controls |= _start(first)
                controls["carried"] = Carried("{}", elem_id="variety-carried")
                with drawer("variety-presets", drawers):
                    opened = Presets(elem_id="variety-presets", names=list(presets))
                with drawer("variety-start", drawers):
                    controls |= _border(first)
                with drawer("variety-sampling", drawers):
                    controls |= _sampling(first)
                ask = VarietyAsk(elem_id="variety-ask")
            bar = VarietyRunBar(elem_id="variety-run")
        with gr.Column(elem_classes="sw-desk-get", min_width=320):
            pictures = VarietyPictures(elem_id="variety-pictures")
    form = Form(place="variety", table=VARIETY, controls=controls, drawers=drawers)
    return Variety(form=form, ask=ask, bar=bar, pictures=pictures, presets=opened, enrich=enrich)


def _what(first: dict[str, Any]) -> dict[str, Widget]:
    model = str(first["model"])
    return {
        "model": Choice(model, elem_id="variety-model", label_key="model", choices=[(model, f"={model}")]),
        "pin": PinnedStart("", elem_id="variety-pin", label_key="variety.pin"),
        "prompt": Text(
            first["prompt"], elem_id="variety-prompt", label_key="prompt", lines=3, placeholder_key="prompt.placeholder",
            enrich="wait",
        ),
    }  # fmt: skip


def _start(first: dict[str, Any]) -> dict[str, Widget]:
    controls: dict[str, Widget] = {}
    with gr.Row(elem_classes="sw-numbers"):
        controls["blind"] = Slide(
            first["blind"], elem_id="variety-blind", label_key="variety.blind", low=0, high=MOST, step=1
        )
        controls["shift"] = Slide(first["shift"], elem_id="variety-shift", label_key="shift", low=3, high=7, step=0.5)
    controls["batch"] = Slide(
        first["batch"], elem_id="variety-batch", label_key="variety.seeds", low=1, high=8, step=1
    )
    controls["seed"] = Seed(first["seed"], elem_id="variety-seed", label_key="variety.seed")
    return controls


def _border(first: dict[str, Any]) -> dict[str, Widget]:
    kinds = [(kind, f"variety.conditioning.{kind}") for kind in ("zero", "empty", "prompt")]
    borders = [(kind, f"variety.border.{kind}") for kind in ("restart", "continue")]
    return {
        "conditioning": Choice(
            first["conditioning"], elem_id="variety-conditioning", label_key="variety.conditioning", choices=kinds
        ),
        "second": Text(first["second"], elem_id="variety-second", label_key="variety.second", lines=2),
        "border": Choice(
            first["border"], elem_id="variety-border", label_key="variety.border", hint_key="variety.border.hint", choices=borders
        ),
    }  # fmt: skip


def _sampling(first: dict[str, Any]) -> dict[str, Widget]:
    samplers, size = [(name, f"={name}") for name in SAMPLERS], first["size"]
    controls: dict[str, Widget] = {
        "sampler": Choice(first["sampler"], elem_id="variety-sampler", label_key="sampler", choices=samplers),
        "beside": Choice(
            "", elem_id="variety-beside", label_key="variety.beside", choices=[("", "variety.beside.none"), *samplers]
        ),
        "scheduler": Choice(
            first["scheduler"], elem_id="variety-scheduler", label_key="scheduler", choices=[(name, f"={name}") for name in SCHEDULES]
        ),
    }  # fmt: skip
    with gr.Row(elem_classes="sw-numbers"):
        controls["steps"] = Slide(first["steps"], elem_id="variety-steps", label_key="steps", low=4, high=30, step=1)
        controls["cfg"] = Slide(first["cfg"], elem_id="variety-cfg", label_key="cfg", low=1, high=10, step=0.5)
    controls["negative"] = Text(
        first["negative"],
        elem_id="variety-negative",
        label_key="negative",
        lines=2,
        placeholder_key="negative.placeholder",
    )
    controls["size"] = Size(
        size, elem_id="variety-size", label_key="size", multiple=16, native=size["width"] * size["height"]
    )
    return controls
