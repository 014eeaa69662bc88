"""What a job is to make: the pictures of one recipe, of every recipe of a sweep, of several beside each other, or of ever new seeds."""

import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

from core.errors import RecipeError
from core.plan import alone
from core.recipe import Recipe
from core.sweep import MOST, Axis, Variant, variants


@dataclass(frozen=True, kw_only=True)
class Work:
    """A recipe as it is; or varied over axes; or beside others, seed by seed; or endlessly, with other seeds each round."""

    recipe: Recipe
    axes: tuple[Axis, ...] = ()
    others: tuple[Recipe, ...] = ()  # with the same batch; a job has axes, or others, or neither
    endless: bool = False
    name: str = ""  # what it is for, in a word of whoever files it
    look: str = ""  # not pictures but a look inside of this kind (core.inside.looks); "": pictures
    wording: int = 0  # not pictures but the prompt in more words, in the wording of this number; 0: pictures
    shared: bool = False  # fixed recipes of the house's own, batch 1: their pictures are everybody's, and nobody's gallery has them

    @property
    def patience(self) -> int:
        """Whose turn is last: 0 what somebody waits for, 1 what is shown to everybody, 2 what never ends."""
        return 2 if self.endless else int(self.shared)

    @property
    def rows(self) -> tuple[Recipe, ...]:
        return (self.recipe, *self.others)

    @cached_property
    def variants(self) -> tuple[Variant, ...]:
        """The recipes in the order of making, of an endless job one round. Raises RecipeError about the first that is wrong."""
        if self.others:
            return tuple(self._beside())
        if not self.axes:
            return (Variant(place=(), values={}, recipe=self.recipe),)
        data = self.recipe.model_dump(mode="json", exclude_none=True)
        return tuple(variants(data, self.axes))

    def _beside(self) -> Iterator[Variant]:
        """Every seed through all rows before the next: a column is whole before another begins. Place: row, seed."""
        count = len(self.rows) * self.recipe.batch
        if count > MOST:
            raise RecipeError("A sweep of {count} pictures is too large: at most {most}.", count=count, most=MOST)
        for image, (row, recipe) in itertools.product(range(self.recipe.batch), enumerate(self.rows)):
            yield Variant(place=(row, image), values={}, recipe=alone(recipe, image))

    @property
    def recipes(self) -> tuple[Recipe, ...]:
        return tuple(variant.recipe for variant in self.variants)

    def rounds(self) -> Iterator[Recipe]:
        """All recipes to run, in their order; of an endless job as many as are asked for."""
        if self.endless:
            return (self.recipe.model_copy(update={"seed": drawn(self.recipe.seed, n)}) for n in itertools.count())
        return iter(self.recipes)

    @cached_property
    def firsts(self) -> tuple[int, ...]:
        """The number of each recipe's first picture, counted over the whole job; and last, how many there are."""
        return tuple(accumulate((recipe.batch for recipe in self.recipes), initial=0))

    def images_of(self, number: int) -> range:
        """The numbers of the pictures of the number-th recipe."""
        if self.endless:
            return range(number * self.recipe.batch, (number + 1) * self.recipe.batch)
        return range(self.firsts[number], self.firsts[number + 1])

    @property
    def images(self) -> int:
        """How many pictures it makes; an endless job in a round."""
        return self.firsts[-1]


def drawn(seed: int, number: int) -> int:
    """The seed of an endless job's round: 32 bits, as good as random, and the same again after a restart."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{number}".encode()).digest()[:4]) if number else seed
