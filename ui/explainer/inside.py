"""Looking inside: what happens between the prompt and the picture, under the cards. Layout, and which event reaches which handler."""

from dataclasses import dataclass

import gradio as gr

from ui.components.inside_panels import RunInside, Sigmas, Tokens, VaeInside
from ui.context import Context
from ui.explainer.looking import Looking
from ui.wires import LATEST, NOW, WATCHING


@dataclass(frozen=True, kw_only=True)
class Inside:
    """The panels, from above to below."""

    run: RunInside
    sigmas: Sigmas
    tokens: Tokens
    vae: VaeInside


def build(context: Context) -> Inside:
    """The panels, where the tab's column is now. Each asks for its first numbers when it comes into sight."""
    return Inside(
        run=RunInside(elem_id="inside-run"),
        sigmas=Sigmas(elem_id="inside-sigmas"),
        tokens=Tokens(elem_id="inside-tokens"),
        vae=VaeInside(elem_id="inside-vae"),
    )


def wire(inside: Inside, context: Context, kept: gr.BrowserState) -> None:
    """Numbers come at once; what needs the model goes through the queue and can be stopped."""
    looking = Looking(context)
    inside.sigmas.ask(looking.sigmas, kept, inside.sigmas, **LATEST)
    inside.tokens.ask(looking.tokens, kept, inside.tokens, **LATEST)
    inside.vae.chosen(looking.chosen, None, inside.vae, **NOW)
    inside.vae.latest(looking.latest, kept, inside.vae, **NOW)
    for panel in (inside.run, inside.vae):
        panel.ask(looking.begin, kept, panel, **NOW)
        panel.look(looking.look, kept, panel, **WATCHING)
        panel.halt(looking.stop, kept, None, **NOW)
