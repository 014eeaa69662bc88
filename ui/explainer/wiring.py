"""Which event of the explainer reaches which handler."""

import gradio as gr

from ui.components.explainer_panels import Cards
from ui.explainer.handlers import Explaining
from ui.wires import LATEST, NOW, WATCHING


def wire(cards: Cards, explaining: Explaining, kept: gr.BrowserState) -> None:
    """The cards, all but what leads to another tab."""
    job = gr.State("")
    cards.look(explaining.look, None, cards, **LATEST)
    cards.cross(explaining.look_crossed, None, cards, **LATEST)
    cards.halt(explaining.stop, kept, None, **NOW)
    filed = cards.ask(explaining.ask, kept, [cards, job], trigger_mode="multiple", **NOW)
    filed.failure(explaining.broke, None, cards, **NOW)
    filed.success(explaining.watch, [kept, job], cards, trigger_mode="always_last", **WATCHING)
