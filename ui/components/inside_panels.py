"""The widgets that look inside: each draws its own plot, and says beside it in words what it shows."""

from typing import ClassVar

from ui.components.panels import Panel


class Sigmas(Panel):
    """All schedules as curves, where the sampler asks the model on them, and how often every sampler does."""

    NAME: ClassVar[str] = "inside_sigmas"
    TEMPLATE: ClassVar[str] = '<section class="sw-inside"></section>'


class Tokens(Panel):
    """What the text encoders get of a prompt."""

    NAME: ClassVar[str] = "inside_tokens"
    TEMPLATE: ClassVar[str] = '<section class="sw-inside"></section>'


class RunInside(Panel):
    """A run: noisy latent and estimate step by step, guidance as arrows; its text layer by layer; an image of a batch alone."""

    NAME: ClassVar[str] = "inside_run"
    TEMPLATE: ClassVar[str] = '<section class="sw-inside"></section>'


class VaeInside(Panel):
    """A picture through the VAE and back."""

    NAME: ClassVar[str] = "inside_vae"
    TEMPLATE: ClassVar[str] = '<section class="sw-inside"></section>'
