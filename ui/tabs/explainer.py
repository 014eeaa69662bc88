"""The explainer tab: one column of cards, and under them a look inside. Layout only."""

from dataclasses import dataclass

import gradio as gr

from ui.components.explainer_panels import Cards
from ui.context import Context
from ui.explainer import inside
from ui.explainer.cards import CARDS
from ui.explainer.inside import Inside


@dataclass(frozen=True, kw_only=True)
class Explainer:
    """The tab's parts."""

    cards: Cards
    inside: Inside


def build(context: Context) -> Explainer:
    """The tab, its strips not yet looked up."""
    with gr.Column(elem_id="explainer-page"):
        cards = Cards(elem_id="explainer-cards", ids=list(CARDS))
        panels = inside.build(context)
    return Explainer(cards=cards, inside=panels)
