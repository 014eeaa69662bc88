"""The LoRA tab's own parts: its wall, the rows of those in use, its stage and run bar, and what is under the picture."""

from typing import Any, ClassVar

from ui.components.fields import MAX_TEXT, Field
from ui.components.panels import Panel, RunBar, Stage


class LoraRows(Field):
    """The LoRAs in use, as JSON text of the recipe's own list. facts: what is known of each by its name; None changes nothing."""

    NAME: ClassVar[str] = "lora_rows"

    def __init__(self, value: str = "", *, facts: Any = None, **props: Any) -> None:
        super().__init__(value, facts=facts, **props)

    def clean(self, value: Any) -> str:
        return value[: MAX_TEXT + 1] if isinstance(value, str) else ""


class LoraWall(Panel):
    """A page of LoRAs with their thumbnails, and the one that is looked at."""

    NAME: ClassVar[str] = "lora_wall"
    TEMPLATE: ClassVar[str] = '<section class="sw-wall sw-lora-wall"></section>'

    def __init__(self, value: Any = None, *, elem_id: str, chosen: Any = None, used: Any = (), **props: Any) -> None:
        super().__init__(value, elem_id=elem_id, chosen=chosen, used=list(used), **props)


class LoraSweeps(Panel):
    """Sweeps of the LoRAs in use, by one click each."""

    NAME: ClassVar[str] = "lora_sweeps"
    TEMPLATE: ClassVar[str] = '<div class="sw-lora-sweeps"></div>'


class LoraPair(Panel):
    """The picture without the LoRAs in use, with them, and the difference. It puts itself under the stage's picture."""

    NAME: ClassVar[str] = "lora_pair"
    TEMPLATE: ClassVar[str] = '<section class="sw-lora-pair"></section>'

    def __init__(self, value: Any = None, *, elem_id: str, compared: Any = None, **props: Any) -> None:
        super().__init__(value, elem_id=elem_id, compared=compared, **props)


class LoraStage(Stage):
    TEMPLATE: ClassVar[str] = '<section class="sw-stage" data-prefix="lora-"></section>'


class LoraRunBar(RunBar):
    TEMPLATE: ClassVar[str] = '<div class="sw-runbar" data-prefix="lora-"></div>'
