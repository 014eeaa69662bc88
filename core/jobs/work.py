"""What a job is to make: the pictures of one recipe, or of every recipe of a sweep."""

from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

from core.recipe import Recipe
from core.sweep import Axis, Variant, variants


@dataclass(frozen=True, kw_only=True)
class Work:
    """A recipe and the axes over which it is varied; without axes it is made as it is."""

    recipe: Recipe
    axes: tuple[Axis, ...] = ()

    @cached_property
    def variants(self) -> tuple[Variant, ...]:
        """The recipes in the order of making. Raises RecipeError about the first that is wrong."""
        if not self.axes:
            return (Variant(place=(), values={}, recipe=self.recipe),)
        data = self.recipe.model_dump(mode="json", exclude_none=True)
        return tuple(variants(data, self.axes))

    @property
    def recipes(self) -> tuple[Recipe, ...]:
        return tuple(variant.recipe for variant in self.variants)

    @cached_property
    def firsts(self) -> tuple[int, ...]:
        """The number of each recipe's first picture, counted over the whole job; and last, how many there are."""
        return tuple(accumulate((recipe.batch for recipe in self.recipes), initial=0))

    @property
    def images(self) -> int:
        """How many pictures it makes."""
        return self.firsts[-1]
