"""The larger widgets: stage, run bar, header, presets, gallery wall, model table.

They are told by the server and tell it events; no value of theirs is ever read back.
"""

from typing import Any, ClassVar

from ui.components.widget import Widget


class Panel(Widget):
    def clean(self, value: Any) -> Any:
        return value

    def preprocess(self, payload: Any) -> None:
        """Whatever the browser claims that we told it is of no interest."""
        return


class Stage(Panel):
    """The picture in the making, the stills of the run, what can be done with the picture, the latest pictures."""

    NAME: ClassVar[str] = "stage"
    TEMPLATE: ClassVar[str] = '<section class="sw-stage"></section>'


class RunBar(Panel):
    """Generate, its state, its stops, its error."""

    NAME: ClassVar[str] = "runbar"
    TEMPLATE: ClassVar[str] = '<div class="sw-runbar"></div>'


class SplitStage(Stage):
    """The split tab's: its parts have names of their own."""

    TEMPLATE: ClassVar[str] = '<section class="sw-stage" data-prefix="split-"></section>'


class SplitRunBar(RunBar):
    TEMPLATE: ClassVar[str] = '<div class="sw-runbar" data-prefix="split-"></div>'


class Nodes(Panel):
    """The timeline's segments as a table of ComfyUI's KSampler (Advanced) nodes. It speaks with the timeline alone."""

    NAME: ClassVar[str] = "nodes"
    TEMPLATE: ClassVar[str] = '<div class="sw-nodes"></div>'


class Heading(Panel):
    """Which segment the inspector shows. It hears that from the timeline."""

    NAME: ClassVar[str] = "heading"
    TEMPLATE: ClassVar[str] = '<div class="sw-heading"></div>'


class Header(Panel):
    NAME: ClassVar[str] = "header"
    TEMPLATE: ClassVar[str] = '<header class="sw-header"></header>'


class Presets(Panel):
    NAME: ClassVar[str] = "presets"
    TEMPLATE: ClassVar[str] = '<div class="sw-presets"></div>'


class Wall(Panel):
    """The gallery: a page of thumbnails and the chosen picture."""

    NAME: ClassVar[str] = "wall"
    TEMPLATE: ClassVar[str] = '<section class="sw-wall"></section>'

    def __init__(self, value: Any = None, *, elem_id: str, chosen: Any = None, **props: Any) -> None:
        super().__init__(value, elem_id=elem_id, chosen=chosen, **props)


class Offers(Panel):
    """Models that can be got, with their files, and how far the download is. Its value always has the same places."""

    NAME: ClassVar[str] = "offers"
    TEMPLATE: ClassVar[str] = '<section class="sw-offers"></section>'


class ModelTable(Panel):
    """What is in the models folder, what belongs together, and what is in memory."""

    NAME: ClassVar[str] = "model_table"
    TEMPLATE: ClassVar[str] = '<section class="sw-models"></section>'


class Sweep(Panel):
    """The pictures of a sweep: scrubbed, compared, saved. It puts itself under the stage's picture."""

    NAME: ClassVar[str] = "sweep"
    TEMPLATE: ClassVar[str] = '<section class="sw-sweep" hidden></section>'

    def __init__(
        self, value: Any = None, *, elem_id: str, mp4: bool, compared: Any = None, saved: Any = None, **props: Any
    ) -> None:
        super().__init__(value, elem_id=elem_id, mp4=mp4, compared=compared, saved=saved, **props)


class KeptRunsPanel(Panel):
    """Runs that are kept on the disk."""

    NAME: ClassVar[str] = "kept_runs"
    TEMPLATE: ClassVar[str] = '<section class="sw-kept"></section>'
