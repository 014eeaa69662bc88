"""Which LoRAs act at a step: those that a recipe or a segment lists, then those that its prompt asks for by tags."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from core.errors import RecipeError
from core.prompt.tags import Tag, every_tag
from core.recipe import Recipe, Segment, at_step

LoraSet = tuple[tuple[str, float], ...]
"""LoRAs by name with their strengths, in order; what has strength 0 is left out."""


@dataclass(frozen=True, kw_only=True)
class ActiveLoras:
    """The LoRAs of one step."""

    model: LoraSet  # on the denoiser
    text: LoraSet  # on the text encoders


def active(recipe: Recipe, own: Segment, step: int, written: Sequence[Tag]) -> ActiveLoras:
    """Those of the segment, else of the recipe, at a step of the run; then those `written` in the prompt."""
    listed = recipe.loras if own.loras is None else own.loras
    model = [(lora.name, at_step(lora.model, step)) for lora in listed] + [(tag.name, tag.model) for tag in written]
    text = [(lora.name, at_step(lora.text, step)) for lora in listed] + [(tag.name, tag.text) for tag in written]
    return ActiveLoras(model=_acting(model), text=_acting(text))


def _acting(loras: Sequence[tuple[str, float]]) -> LoraSet:
    return tuple((name, strength) for name, strength in loras if strength)


def names_of(recipe: Recipe) -> tuple[str, ...]:
    """Every LoRA that a recipe names, whatever its strength. Raises RecipeError as `tags_of`."""
    listed = [lora.name for part in (recipe, *recipe.segments) for lora in part.loras or ()]
    return tuple(dict.fromkeys([*listed, *(tag.name for tag in tags_of(recipe))]))


def tags_of(recipe: Recipe) -> tuple[Tag, ...]:
    """Every different tag in the prompts of a recipe. Raises RecipeError for one that cannot be read or is in a negative."""
    for text, weighting in _texts(recipe, "negative"):
        for tag in every_tag(text, weighting):
            raise RecipeError(
                "{tag} stands in the negative prompt: write it into the prompt, a LoRA acts on both.",
                tag=tag.source[:80],
            )
    found = [tag for text, weighting in _texts(recipe, "prompt") for tag in every_tag(text, weighting)]
    return tuple(dict.fromkeys(found))


def _texts(recipe: Recipe, field: str) -> Iterator[tuple[str, str]]:
    """Every prompt, or negative, that a step may read, with its weighting."""
    for own in recipe.segments or (Segment(),):
        text = getattr(own, field)
        yield getattr(recipe, field) if text is None else text, own.weighting or recipe.weighting
