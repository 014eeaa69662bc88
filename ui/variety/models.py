"""Which models a blind start is for."""

from core.families import FAMILIES
from core.families.flow import FlowFamily
from ui import form
from ui.context import Context

FIRST = "demo-turbo"


def model_choices(context: Context) -> list[tuple[str, str]]:
    """Models that a blind start is for: those of a flow, Z-Image first."""
    usable = {
        entry.id: entry.family or ""
        for entry in context.pipe.library.scan()
        if isinstance(FAMILIES.get(entry.family or ""), FlowFamily)
    }
    listed = [choice for choice in form.model_choices(context) if choice[0] in usable]
    return sorted(listed, key=lambda choice: (choice[0] != FIRST, usable[choice[0]] != "z_image"))
