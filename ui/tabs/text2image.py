"""The text2image tab: what I want on the left, what I get on the right. Layout only."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from core.sampling import SAMPLERS, SCHEDULES
from ui.bindings import CONTROLS, TEXT2IMAGE
from ui.components.drawer import drawer
from ui.components.enrich_panels import Enrich
from ui.components.fields import Carried, Choice, Flag, InputPicture, Number, Seed, Size, Slide, Text
from ui.components.panels import Presets, RunBar, Stage
from ui.components.widget import Widget
from ui.form import Form


@dataclass(frozen=True, kw_only=True)
class Text2Image:
    form: Form
    stage: Stage
    bar: RunBar
    presets: Presets
    enrich: Enrich


def build(first: dict[str, Any], presets: Iterable[str]) -> Text2Image:
    """The tab with its first values."""
    controls: dict[str, Widget] = {}
    drawers: dict[str, gr.Accordion] = {}
    with gr.Row(elem_id="studio", elem_classes="sw-desk", equal_height=False):
        with gr.Column(elem_classes="sw-desk-want", min_width=320):
            with gr.Column(elem_classes="sw-desk-form"):
                controls |= _what(first)
                enrich = Enrich(elem_id="enrich")
                with drawer("negative", drawers):
                    controls["negative"] = Text(
                        "", elem_id="negative", label_key="negative", lines=2, placeholder_key="negative.placeholder"
                    )
                controls |= _how(first)
                controls["carried"] = Carried("{}", elem_id="carried")
                with drawer("presets", drawers):
                    opened = Presets(elem_id="presets", names=list(presets))
                with drawer("sampling", drawers):
                    controls |= _sampling(first) | _told()
                with drawer("more", drawers):
                    controls |= _more(first)
                with drawer("init", drawers):
                    controls |= _init()
            bar = RunBar(elem_id="run")
        with gr.Column(elem_classes="sw-desk-get", min_width=320):
            stage = Stage(elem_id="stage")
    form = Form(place="form", table=TEXT2IMAGE, controls={name: controls[name] for name in CONTROLS}, drawers=drawers)
    return Text2Image(form=form, stage=stage, bar=bar, presets=opened, enrich=enrich)


def _what(first: dict[str, Any]) -> dict[str, Widget]:
    model = str(first["model"])
    return {
        "model": Choice(model, elem_id="model", label_key="model", choices=[(model, f"={model}")]),
        "prompt": Text(
            "", elem_id="prompt", label_key="prompt", lines=3, placeholder_key="prompt.placeholder", enrich="wait"
        ),
    }


def _how(first: dict[str, Any]) -> dict[str, Widget]:
    native = first["size"]["width"] * first["size"]["height"]
    controls: dict[str, Widget] = {
        "size": Size(first["size"], elem_id="size", label_key="size", multiple=8, native=native)
    }
    with gr.Row(elem_classes="sw-numbers"):
        controls["steps"] = Slide(first["steps"], elem_id="steps", label_key="steps", low=1, high=60, step=1)
        controls["cfg"] = Slide(first["cfg"], elem_id="cfg", label_key="cfg", low=1, high=15, step=0.5)
    controls["seed"] = Seed("-1", elem_id="seed", label_key="seed")
    return controls


def _told() -> dict[str, Widget]:
    """What some families are told in place of cfg, or beside it; empty is the model's own, which stands there as a ghost."""
    with gr.Row(elem_classes="sw-numbers"):
        guidance = Number(elem_id="guidance", label_key="guidance", hint_key="guidance.hint", step=0.5, ghost="")
        shift = Number(elem_id="shift", label_key="shift", hint_key="shift.hint", step=0.1, ghost="")
    return {"guidance": guidance, "shift": shift}


def _sampling(first: dict[str, Any]) -> dict[str, Widget]:
    plain = [(name, f"={name}") for name in SAMPLERS]
    schedules = [(name, f"={name}") for name in SCHEDULES]
    predictions = [("", "prediction.auto"), *((name, f"={name}") for name in ("eps", "v", "v_zsnr", "lcm"))]
    return {
        "sampler": Choice(first["sampler"], elem_id="sampler", label_key="sampler", choices=plain),
        "scheduler": Choice(first["scheduler"], elem_id="scheduler", label_key="scheduler", choices=schedules),
        "noise": Choice(
            "keyed",
            elem_id="noise",
            label_key="noise",
            hint_key="noise.hint",
            choices=_named("noise", "keyed", "comfyui"),
        ),
        "prediction": Choice(
            "", elem_id="prediction", label_key="prediction", hint_key="prediction.hint", choices=predictions
        ),
    }


def _more(first: dict[str, Any]) -> dict[str, Widget]:
    return {
        "vae": Choice("", elem_id="vae", label_key="vae", choices=[("", "vae.auto")]),
        "vae_tiling": Flag(False, elem_id="vae_tiling", label_key="vae_tiling"),
        "clip_skip": Slide(
            first["clip_skip"],
            elem_id="clip_skip",
            label_key="clip_skip",
            hint_key="clip_skip.hint",
            low=1,
            high=12,
            step=1,
        ),
        "weighting": Choice(
            "comfyui",
            elem_id="weighting",
            label_key="weighting",
            hint_key="weighting.hint",
            choices=_named("weighting", "comfyui", "a1111"),
        ),
        "batch": Slide(1, elem_id="batch", label_key="batch", hint_key="batch.hint", low=1, high=16, step=1),
        "batching": Choice(
            "exact", elem_id="batching", label_key="batching", choices=_named("batching", "exact", "fast")
        ),
    }


def _init() -> dict[str, Widget]:
    return {
        "init": InputPicture(elem_id="init", label_key="init", hint_key="init.hint"),
        "denoise": Slide(
            0.6, elem_id="denoise", label_key="denoise", hint_key="denoise.hint", low=0.05, high=1, step=0.05
        ),
    }


def _named(key: str, *names: str) -> list[tuple[str, str]]:
    return [(name, f"{key}.{name}") for name in names]
