"""The gallery tab: what was made, newest first, and the runs whose steps are kept on the disk. Layout only."""

from dataclasses import dataclass

import gradio as gr

from ui.components.panels import KeptRunsPanel, Wall
from ui.texts import label


@dataclass(frozen=True, kw_only=True)
class GalleryTab:
    wall: Wall
    drawer: gr.Accordion
    kept: KeptRunsPanel


def build() -> GalleryTab:
    wall = Wall(elem_id="gallery")
    with gr.Accordion(label("drawer.kept"), open=False, elem_id="drawer-kept", elem_classes=["sw-drawer"]) as drawer:
        kept = KeptRunsPanel(elem_id="kept")
    return GalleryTab(wall=wall, drawer=drawer, kept=kept)
