"""The loop over a plan, on the toy network: ComfyUI's numbers from a recipe, whole, half and split by a restart."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor

from core.denoise import Denoiser
from core.families.base import Conditioning, Defaults, LatentFormat
from core.plan import Plan, Prompt, compile_plan, resolve, sigma_after
from core.recipe import parse
from core.sampling import SAMPLERS
from core.sampling.model_sampling import ModelSampling
from tests.sampling.toy_run import KINDS, SEED, Kind, net, toy_refs

TOLERANCE = 1e-4  # of the largest value
DEFAULTS = Defaults(width=64, height=64, steps=8, sampler="euler", scheduler="normal", cfg=2.0)


@dataclass(frozen=True)
class ToyFamily:
    kind: Kind
    name: str = "toy"
    title: str = "Toy"
    multiple: int = 8
    has_weights: bool = False

    def model_sampling(self, prediction: str, shift: float | None, width: int, height: int) -> ModelSampling:
        return self.kind.model_sampling


@dataclass
class ToyModel:
    """Only what the loop asks of a model; counts its calls."""

    kind: Kind
    calls: list[int] = field(default_factory=list)
    storage: str = ""

    @property
    def latent_format(self) -> LatentFormat:
        return LatentFormat(channels=self.kind.shape[1], scale=self.kind.scale, shift=self.kind.shift)

    def patch(self, patches: object) -> None:
        pass

    def patch_key(self, patches: object) -> tuple[()]:
        return ()

    def forward(self, x: Tensor, timestep: Tensor, cond: Conditioning) -> Tensor:
        self.calls.append(len(x))
        return torch.cat(
            [net(x[i : i + 1], timestep[i], self.kind.w, float(cond.context[i].mean())) for i in range(len(x))]
        )


def conditioning(number: float, tokens: int = 3) -> Conditioning:
    return Conditioning(context=torch.full((1, tokens, 2), number))


def denoiser(kind: Kind, plan: Plan, encoded: Mapping[Prompt, Conditioning]) -> Denoiser:
    return Denoiser(
        models={"demo": ToyModel(kind)},  # type: ignore[dict-item]
        weights={"demo": "toy"}, plan=plan, encoded=encoded, noise=plan.recipe.noise, images=[0], latent=torch.zeros(kind.shape),
    )  # fmt: skip


def prepared(kind: Kind, **fields: Any) -> Denoiser:
    recipe = parse(
        {"stepwise": 1, "seed": SEED, "prompt": "p", "negative": "n", "noise": "comfyui", "cfg": 2.0, **fields}
    )
    recipe = recipe.model_copy(update={"steps": kind.steps, "scheduler": kind.schedule})
    plan = compile_plan(resolve(recipe, ToyFamily(kind), DEFAULTS, "eps"), ToyFamily(kind))
    prompts = {prompt for step in plan.steps for prompt in (step.positive, step.negative)}
    return denoiser(kind, plan, {prompt: conditioning(0.3 if prompt.text == "p" else -0.2) for prompt in prompts})


def latent(toy: Denoiser, kind: Kind) -> Tensor:
    """The end of the run in the units that ComfyUI hands between nodes."""
    *_, (step, state) = toy.run()
    clean = kind.model_sampling.inverse_noise_scaling(sigma_after(step), state.x)
    return clean / kind.scale + kind.shift


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize(
    ("what", "segments"),
    [
        ("whole", []),
        ("half4", [{"end": 4, "leftover_noise": True}]),
        ("split4_seed0", [{"end": 4}, {"border": "restart", "noise_seed": 0}]),
        ("split4_same", [{"end": 4}, {"border": "restart"}]),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_a_recipe_gives_comfyuis_numbers(kind: str, sampler: str, what: str, segments: list[dict[str, Any]]) -> None:
    toy = KINDS[kind]
    expected = toy_refs().get(f"{kind}__{toy.schedule}__{toy.steps}__{sampler}__{what}")
    if expected is None:
        assert kind == "zflow" and what != "whole"  # these were not recorded
        return
    got = latent(prepared(toy, sampler=sampler, segments=segments), toy)
    assert float((got - expected).abs().max()) <= TOLERANCE * float(expected.abs().max())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_kept_states_may_stand_in_for_every_beginning(sampler: str, kind: str) -> None:
    toy = KINDS[kind]
    for noise in ("keyed", "comfyui"):
        fields = {
            "sampler": sampler,
            "noise": noise,
            "segments": [{"end": 2}, {"end": 5, "cfg": 1.5}, {"border": "restart"}],
        }
        states = [state for _, state in prepared(toy, **fields).run()]
        for done in range(1, len(states)):
            again = [state for _, state in prepared(toy, **fields).run(states[done - 1], done)]
            assert torch.equal(again[-1].x, states[-1].x), (noise, done)


def test_halves_share_a_pass_only_where_their_lengths_agree() -> None:
    toy = KINDS["eps"]
    together = prepared(toy)
    list(together.run())
    assert together.model.calls == [2] * 8  # type: ignore[attr-defined]
    plan = together.plan
    encoded = {prompt: conditioning(0.3 if prompt.text == "p" else -0.2, len(prompt.text) + (prompt.text == "p"))
               for step in plan.steps for prompt in (step.positive, step.negative)}  # fmt: skip
    apart = denoiser(toy, plan, encoded)
    assert torch.allclose(latent(apart, toy), latent(together, toy), rtol=1e-5, atol=1e-4)
    assert apart.model.calls == [1] * 16  # type: ignore[attr-defined]


def test_keys_name_what_can_change_the_bits_and_nothing_else() -> None:
    toy = KINDS["eps"]
    plain = prepared(toy).keys("cpu")
    assert len(set(plain)) == 8
    assert prepared(toy, segments=[{"end": 3}, {}]).keys("cpu") == plain
    assert prepared(toy, segments=[{"end": 3}, {"cfg": 3.0}]).keys("cpu")[:3] == plain[:3]
    for change in (
        {"cfg": 3.0},
        {"seed": 1},
        {"sampler": "heun"},
        {"prompt": "n"},
        {"negative": "p"},
    ):
        assert not set(prepared(toy, **change).keys("cpu")) & set(plain), change
    assert not set(prepared(toy).keys("cuda")) & set(plain)
    ancestral = prepared(toy, sampler="euler_ancestral").keys("cpu")
    assert prepared(toy, noise="keyed").keys("cpu") == plain  # euler draws nothing on the way
    assert not set(prepared(toy, sampler="euler_ancestral", noise="keyed").keys("cpu")) & set(ancestral)
    restarted = prepared(toy, segments=[{"end": 3}, {"border": "restart"}]).keys("cpu")
    assert restarted[:3] == plain[:3] and not set(restarted[3:]) & set(plain)
    assert prepared(toy, cfg=1.0).keys("cpu") == prepared(toy, cfg=1.0, negative="other").keys("cpu")
