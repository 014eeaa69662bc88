"""The variety tab's widgets: what is pinned, what can be asked for beside Generate, and the pictures."""

from typing import Any, ClassVar

from ui.components.fields import MAX_SEGMENTS, Field, clipped
from ui.components.panels import Panel, RunBar


class PinnedStart(Field):
    """The blind start that is pinned, as JSON text; "" for none."""

    NAME: ClassVar[str] = "pin"
    TEMPLATE: ClassVar[str] = '<div class="sw-pin"></div>'

    def clean(self, value: Any) -> str:
        return clipped(value, MAX_SEGMENTS)


class VarietyAsk(Panel):
    """The plot and the endless run, each with what it will take."""

    NAME: ClassVar[str] = "variety_ask"
    TEMPLATE: ClassVar[str] = '<div class="sw-variety-ask"></div>'


class VarietyPictures(Panel):
    """Rows of the same seeds with the number between them, the plot, the endless run; and the picture that is looked at."""

    NAME: ClassVar[str] = "variety"
    TEMPLATE: ClassVar[str] = '<section class="sw-variety"></section>'


class VarietyRunBar(RunBar):
    TEMPLATE: ClassVar[str] = '<div class="sw-runbar" data-prefix="variety-"></div>'
