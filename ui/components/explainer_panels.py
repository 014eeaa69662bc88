"""The explainer's widgets."""

from typing import Any, ClassVar

from ui.components.panels import Panel


class Cards(Panel):
    """A card for each setting: its words, and a strip of pictures that one control moves."""

    NAME: ClassVar[str] = "explainer"
    TEMPLATE: ClassVar[str] = '<section class="sw-explainer"></section>'

    def __init__(
        self, value: Any = None, *, elem_id: str, ids: list[str], shown: Any = None, crossed: Any = None, asked: Any = None,
        **props: Any,
    ) -> None:  # fmt: skip
        super().__init__(value, elem_id=elem_id, ids=ids, shown=shown, crossed=crossed, asked=asked, **props)
