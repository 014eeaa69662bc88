"""Which models may stand in one run: those that work in the same latents and mean the same by sigma."""

from collections.abc import Mapping

from core.errors import RecipeError
from core.families.base import Profile
from core.recipe import Recipe


def models_of(recipe: Recipe) -> tuple[str, ...]:
    """The names of its models, the recipe's own first."""
    return tuple(dict.fromkeys([recipe.model, *(part.model for part in recipe.segments if part.model is not None)]))


def check_together(recipe: Recipe, profiles: Mapping[str, Profile]) -> None:
    """Refuses models that cannot share a run. What is not in `profiles` is not known yet. Raises RecipeError."""
    if recipe.model not in profiles:
        return
    own = profiles[recipe.model]
    for name, other in profiles.items():
        if other.latent_format != own.latent_format:
            raise RecipeError(
                "{other} ({its_family}) works in other latents than {model} ({family}): all models of a run must share theirs.",
                other=name, its_family=other.family.title, model=recipe.model, family=own.family.title,
            )  # fmt: skip
        if not same_sigmas(own, other, recipe.prediction):
            raise RecipeError(
                "{other} predicts {its} and {model} {ours}, so they cannot share a run: choose another model, or set prediction.",
                other=name, its=other.prediction, model=recipe.model, ours=own.prediction,
            )  # fmt: skip


def fit_together(one: Profile, other: Profile) -> bool:
    """Whether a run may go from one model to the other."""
    return one.latent_format == other.latent_format and same_sigmas(one, other, None)


def same_sigmas(one: Profile, other: Profile, prediction: str | None) -> bool:
    """Whether sigma means the same to both. `prediction`: the recipe's, which then holds for both."""
    first, second = (
        profile.family.model_sampling(prediction or profile.prediction, None, profile.defaults.width, profile.defaults.height)
        for profile in (one, other)
    )  # fmt: skip
    return first == second
