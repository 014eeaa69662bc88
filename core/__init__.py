"""Stepwise without its window: recipes in, pictures out. `from core import Pipeline, Recipe`."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from core.pipeline import Pipeline, Result
    from core.recipe import Lora, Recipe, Segment

__all__ = ["Lora", "Pipeline", "Recipe", "Result", "Segment"]

HOMES = {
    "Pipeline": "core.pipeline",
    "Result": "core.pipeline",
    "Lora": "core.recipe",
    "Recipe": "core.recipe",
    "Segment": "core.recipe",
}


def __getattr__(name: str) -> Any:
    # Looked up when asked for, so that `core.sampling` or `core.recipe` alone does not load the whole house.
    if name not in HOMES:
        raise AttributeError(f"module 'core' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(HOMES[name]), name)
