"""All that a run needs before its first step: models in memory, the plan, its prompts encoded, the latent it starts from."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from core.denoise import BeforeCall, Denoiser, Origin
from core.families.base import Conditioning, LoadedModel
from core.fitting import Fitted
from core.holding import hashes_of
from core.inversion import Inversions
from core.plan import Plan, Prompt


@dataclass(frozen=True, kw_only=True, eq=False)
class Ready:
    """A run that can begin."""

    models: Mapping[str, LoadedModel]  # by name
    weights: Mapping[str, str]  # identity of each model's weights
    plan: Plan
    encoded: Mapping[Prompt, Conditioning]
    latent: Callable[[], Tensor]  # makes the latent of the start, [1, C, h, w] in VAE units
    origin: Origin | None
    loras: Fitted
    words: Inversions

    @property
    def model(self) -> LoadedModel:
        """The recipe's own."""
        return self.models[self.plan.recipe.model]

    def denoiser(self, images: Sequence[int], latent: Tensor, before_call: BeforeCall = lambda: None) -> Denoiser:
        """For these images of the batch, each from this latent."""
        return Denoiser(
            models=self.models, weights=self.weights, plan=self.plan, encoded=self.encoded, noise=self.plan.recipe.noise,
            images=images, latent=latent.repeat(len(images), 1, 1, 1), origin=self.origin, before_call=before_call,
            patches=self.loras.patches,
        )  # fmt: skip

    def made_with(self) -> dict[str, str]:
        """The content of all files that it uses, and the memory level."""
        hashes = hashes_of(self.models, self.plan.recipe.model)
        return {"memory": self.model.residency.level} | hashes | self.loras.made_with() | self.words.made_with()
