"""The browser's side of Stepwise: `build` makes the page, the options say how it is served."""

from ui.context import Context
from ui.layout import build
from ui.web import launch_options, queue_options

__all__ = ["Context", "build", "launch_options", "queue_options"]
