"""The prompt in more words, beside the prompt: of text2image, and of the variety tab."""

from typing import ClassVar

from ui.components.panels import Panel


class Enrich(Panel):
    """Asks for more words, shows them as they come, lets them be edited, and puts them into the prompt above it, or back."""

    NAME: ClassVar[str] = "enrich"
    TEMPLATE: ClassVar[str] = '<section class="sw-enrich"></section>'


class VarietyEnrich(Enrich):
    TEMPLATE: ClassVar[str] = '<section class="sw-enrich" data-prefix="variety-"></section>'
