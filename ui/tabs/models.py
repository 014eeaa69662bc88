"""The models tab: what was found, what it is, why something cannot be used, and what can be got. Layout only."""

from dataclasses import dataclass

import gradio as gr

from ui.components.panels import ModelTable, Offers
from ui.texts import label


@dataclass(frozen=True, kw_only=True)
class Models:
    table: ModelTable
    offers: Offers
    rescan: gr.Button


def build() -> Models:
    with gr.Column(elem_id="models-page"):
        rescan = gr.Button(label("models.rescan"), elem_id="rescan", size="sm")
        table = ModelTable(elem_id="models")
        offers = Offers(elem_id="offers")
    return Models(table=table, offers=offers, rescan=rescan)
