"""A gr.HTML whose template never changes and whose script lies beside it.

Gradio evaluates templates as code, so no value ever meets one: a widget's script draws with text nodes.
What the browser sends is checked in `clean`, and what goes to the browser passes through it too, so that
no value can smuggle a file reference to Gradio.
"""

from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import gradio as gr

HERE = Path(__file__).parent


@cache
def script(name: str) -> str:
    return (HERE / f"{name}.js").read_text(encoding="utf-8")


class Widget(gr.HTML):
    """`NAME` is the script's file name; keyword arguments become the script's `props`."""

    NAME: ClassVar[str]
    TEMPLATE: ClassVar[str] = '<div class="sw-field"></div>'

    def __init__(self, value: Any = None, *, elem_id: str, **props: Any) -> None:
        super().__init__(
            value=value,
            html_template=self.TEMPLATE,
            js_on_load=script(self.NAME),
            apply_default_css=False,
            elem_id=elem_id,
            elem_classes=["sw"],
            **props,
        )

    def get_config(self) -> dict[str, Any]:
        """Without listeners: Gradio takes a keyword of ours that stands in quotes in the script for an event, finds the whole
        page behind it, and would copy that whenever the page is asked for (6 s of CPU)."""
        return {name: value for name, value in super().get_config().items() if not callable(value)}

    def clean(self, value: Any) -> Any:
        """The value with nothing unexpected in it. Bounds are the recipe's business, shapes are ours."""
        raise NotImplementedError

    def preprocess(self, payload: Any) -> Any:
        return self.clean(payload)

    def postprocess(self, value: Any) -> Any:
        return self.clean(value)

    def changed(self, **changes: Any) -> dict[str, Any]:
        """An update. It names every property, changed or not: of a widget whose drawer was never opened, Gradio
        forgets all that an update leaves out."""
        return gr.update(**{**self.props, **changes})

    def api_info(self) -> dict[str, Any]:
        return {"type": {}, "description": "a value of the page"}
