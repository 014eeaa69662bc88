"""From a step on: the same run with other settings, or other noise over what stood there. Recipes in, recipes out.

`start` is a step of the whole run, as `init.start` counts them: so many were done before it.
"""

from core.errors import RecipeError
from core.recipe import InitImage, InitTrajectory, Recipe, Segment

AGAIN = {"add_noise": True, "border": "restart"}


def go_on(recipe: Recipe, key: str, start: int) -> Recipe:
    """The recipe from a kept step on: nothing before it is run again, and what comes after may be changed."""
    return recipe.model_copy(update={"init": InitTrajectory(trajectory=key, start=start)})


def with_fresh_noise(recipe: Recipe, start: int, steps: int) -> tuple[Recipe, int]:
    """The recipe with other noise from a step on, and the number of the segment whose `noise_seed` draws it.

    What the model makes of the picture before that step is taken as finished, and noise is laid over it anew: image to image
    within one run, so samples drawn from there keep what stood, the more the later. `steps`: of the run, whose segments are
    resolved. Raises RecipeError where there is nothing before or after.
    """
    if isinstance(recipe.init, InitImage):
        raise RecipeError("This run began with a picture: give it another seed instead.")
    segments = recipe.segments or (Segment(start=0, end=steps),)
    place = segments[0].start or 0
    if start <= place:
        raise RecipeError("Nothing stands there yet: choose a later step.")
    parts: list[Segment] = []
    for number, segment in enumerate(segments):
        first, last = segment.start or 0, steps if segment.end is None else segment.end
        if place < start < place + last - first:
            cut = first + start - place
            parts.append(segment.model_copy(update={"end": cut, "leftover_noise": False}))
            again = segment.model_copy(update={"start": cut, **AGAIN})
            return recipe.model_copy(update={"segments": (*parts, again, *segments[number + 1 :])}), len(parts)
        if place == start and number:
            parts[-1] = parts[-1].model_copy(update={"leftover_noise": False})
            again = segment.model_copy(update=AGAIN)
            return recipe.model_copy(update={"segments": (*parts, again, *segments[number + 1 :])}), len(parts)
        parts.append(segment)
        place += last - first
    raise RecipeError("No step is left after that one: choose an earlier step.")
