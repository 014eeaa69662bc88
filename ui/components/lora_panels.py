"""The LoRA tab's panels: its wall, and its own stage and run bar."""

from typing import Any, ClassVar

from ui.components.panels import Panel, RunBar, Stage


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


class LoraStage(Stage):
    TEMPLATE: ClassVar[str] = '<section class="sw-stage" data-prefix="lora-"></section>'


class LoraRunBar(RunBar):
    TEMPLATE: ClassVar[str] = '<div class="sw-runbar" data-prefix="lora-"></div>'
