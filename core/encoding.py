"""Every prompt of a plan, encoded once, each by its own model's text encoders."""

from collections.abc import Callable, Generator, Mapping

from core.denoise import PatchesOf
from core.events import Encoding
from core.families.base import Conditioning, LoadedModel, TextRequest
from core.models.embedding import Embedding
from core.plan import Plan, Prompt


def encode(
    plan: Plan,
    models: Mapping[str, LoadedModel],
    patches: PatchesOf,
    embeddings: Callable[[Prompt], tuple[Embedding, ...]],
) -> Generator[Encoding, None, dict[Prompt, Conditioning]]:
    """Prompts that share a model and its patches go one after the other, so that each set is put on once."""
    assert plan.recipe.width and plan.recipe.height  # resolved
    needed = [step.positive for step in plan.steps] + [step.negative for step in plan.steps if step.needs_negative]
    sets = {(prompt.model, prompt.loras): place for place, prompt in reversed(list(enumerate(needed)))}
    prompts = sorted(dict.fromkeys(needed), key=lambda prompt: sets[prompt.model, prompt.loras])
    encoded: dict[Prompt, Conditioning] = {}
    for done, prompt in enumerate(prompts):
        yield Encoding(done=done, total=len(prompts))
        request = TextRequest(
            text=prompt.text, weighting=prompt.weighting, choices=prompt.choices, clip_skip=prompt.clip_skip,
            width=plan.recipe.width, height=plan.recipe.height, guidance=prompt.guidance,
            patches=tuple(patches(prompt.model, prompt.loras)),
            embeddings=embeddings(prompt),
        )  # fmt: skip
        conditioning = models[prompt.model].encode_text(request)
        encoded[prompt] = conditioning.zeroed() if prompt.zero else conditioning
    return encoded
