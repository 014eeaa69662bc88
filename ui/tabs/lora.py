"""The LoRA tab: the library as a wall, the ones in use with their strengths, a run of their own beside. Layout only."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from core.sampling import SAMPLERS
from ui.components.drawer import drawer
from ui.components.fields import Carried, Choice, Seed, Size, Slide, Text
from ui.components.lora_panels import LoraPair, LoraRows, LoraRunBar, LoraStage, LoraSweeps, LoraWall
from ui.components.panels import Presets
from ui.components.widget import Widget
from ui.form import Form
from ui.split.fields import SPLIT

SHOWN = ("model", "prompt", "negative", "size", "steps", "cfg", "seed", "sampler", "loras")
LORA = tuple(binding for binding in SPLIT if binding.control in SHOWN)


@dataclass(frozen=True, kw_only=True)
class LoraTab:
    """The tab's parts."""

    form: Form
    wall: LoraWall
    sweeps: LoraSweeps
    stage: LoraStage
    pair: LoraPair
    bar: LoraRunBar
    presets: Presets


def build(first: dict[str, Any], presets: Iterable[str]) -> LoraTab:
    """The tab with its first values."""
    drawers: dict[str, gr.Accordion] = {}
    wall = LoraWall(elem_id="lora-wall")
    with gr.Row(elem_classes="sw-desk", equal_height=False):
        with gr.Column(elem_classes="sw-desk-want", min_width=320):
            with gr.Column(elem_classes="sw-desk-form"):
                controls = _controls(first)
                with drawer("lora-presets", drawers):
                    opened = Presets(elem_id="lora-presets", names=list(presets))
                sweeps = LoraSweeps(elem_id="lora-sweeps")
            bar = LoraRunBar(elem_id="lora-run")
        with gr.Column(elem_classes="sw-desk-get", min_width=320):
            stage = LoraStage(elem_id="lora-stage")
            pair = LoraPair(elem_id="lora-compared")
    form = Form(place="lora", table=LORA, controls=controls, drawers=drawers)
    return LoraTab(form=form, wall=wall, sweeps=sweeps, stage=stage, pair=pair, bar=bar, presets=opened)


def _controls(first: dict[str, Any]) -> dict[str, Widget]:
    model, size = str(first["model"]), first["size"]
    controls: dict[str, Widget] = {
        "loras": LoraRows(elem_id="lora-loras", label_key="lora.chosen"),
        "model": Choice(model, elem_id="lora-model", label_key="model", choices=[(model, f"={model}")]),
        "prompt": Text(first["prompt"], elem_id="lora-prompt", label_key="prompt", lines=2, placeholder_key="prompt.placeholder"),
        "negative": Text(first["negative"], elem_id="lora-negative", label_key="negative", lines=1),
    }  # fmt: skip
    with gr.Row(elem_classes="sw-numbers"):
        controls["steps"] = Slide(first["steps"], elem_id="lora-steps", label_key="steps", low=1, high=60, step=1)
        controls["cfg"] = Slide(first["cfg"], elem_id="lora-cfg", label_key="cfg", low=1, high=15, step=0.5)
    controls["seed"] = Seed(first["seed"], elem_id="lora-seed", label_key="seed")
    listed = [(name, f"={name}") for name in SAMPLERS]
    controls["sampler"] = Choice(first["sampler"], elem_id="lora-sampler", label_key="sampler", choices=listed)
    controls["size"] = Size(
        size, elem_id="lora-size", label_key="size", multiple=8, native=size["width"] * size["height"]
    )
    controls["carried"] = Carried("{}", elem_id="lora-carried")
    return controls
