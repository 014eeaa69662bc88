"""The models tab: what was found, what it is, and why something cannot be used. Layout only."""

from dataclasses import dataclass

import gradio as gr

from ui.components.panels import ModelTable
from ui.texts import label


@dataclass(frozen=True, kw_only=True)
class Models:
    table: ModelTable
    rescan: gr.Button


def build() -> Models:
    with gr.Column(elem_id="models-page"):
        rescan = gr.Button(label("models.rescan"), elem_id="rescan", size="sm")
        table = ModelTable(elem_id="models")
    return Models(table=table, rescan=rescan)
