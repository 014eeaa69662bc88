"""What a sampler really asks: the toy's count is the pipeline's count, and the places are the papers'."""

import math

import pytest
import torch

from core import Pipeline
from core.inside.curves import calls, curves, evaluations
from core.recipe import parse
from core.sampling import SAMPLERS, SCHEDULES, make_sigmas
from core.sampling.model_sampling import EpsDiscrete, Flow, FluxFlow, VDiscrete
from tests.tiny_models import sd15

EPS, STEPS = EpsDiscrete(), 5


@pytest.fixture(scope="module")
def pipe(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    root = tmp_path_factory.mktemp("inside")
    sd15(root / "models" / "tiny")
    return Pipeline(models=root / "models", data=root / "data", trajectory_bytes=0)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_toy_counts_what_the_pipeline_counts(pipe: Pipeline, sampler: str) -> None:
    """One forward pass over both halves of guidance is one call."""
    recipe = parse({
        "stepwise": 1, "model": "tiny", "steps": STEPS, "sampler": sampler, "scheduler": "karras", "cfg": 3.0, "width": 32,
        "height": 32, "seed": 1, "prompt": "a",
    })  # fmt: skip
    measured = next(one for one in calls(STEPS, "karras", EPS) if one.sampler == sampler)
    assert measured.calls == pipe.generate(recipe).stats.model_calls


def test_heun_looks_ahead_and_not_at_the_end() -> None:
    sigmas = make_sigmas("karras", STEPS, EPS, "heun")
    asked = evaluations("heun", sigmas, EPS)
    levels = sigmas.tolist()
    wanted = [level for i in range(STEPS - 1) for level in (levels[i], levels[i + 1])] + [levels[STEPS - 1]]
    assert [one.sigma for one in asked] == pytest.approx(wanted)
    assert [one.step for one in asked] == [0, 0, 1, 1, 2, 2, 3, 3, 4]


def test_dpm_2_asks_halfway_in_the_logarithm() -> None:
    sigmas = make_sigmas("karras", STEPS, EPS, "dpm_2").tolist()
    asked = evaluations("dpm_2", torch.tensor(sigmas), EPS)
    assert asked[1].sigma == pytest.approx(math.sqrt(sigmas[0] * sigmas[1]), rel=1e-5)
    found = next(one for one in calls(STEPS, "karras", EPS) if one.sampler == "dpm_2")
    assert (found.calls, found.between) == (2 * STEPS - 1, STEPS - 1)


def test_a_flow_s_sde_starts_below_one() -> None:
    """Where lambda is infinite nobody can stand."""
    sigmas = make_sigmas("simple", STEPS, Flow(3.0), "dpmpp_2m_sde")
    first = evaluations("dpmpp_2m_sde", sigmas, Flow(3.0))[0]
    assert float(sigmas[0]) == 1.0 and 0.99 < first.sigma < 1.0


@pytest.mark.parametrize("sampling", [EPS, VDiscrete(zsnr=True), Flow(6.0), FluxFlow(1.15)], ids=repr)
def test_every_sampler_can_be_counted(sampling: EpsDiscrete) -> None:
    for one in calls(8, "simple", sampling):
        assert one.error is None and one.calls >= one.steps == 8, one
        assert one.calls <= one.steps * SAMPLERS[one.sampler].model_calls


def test_what_cannot_be_made_says_why() -> None:
    found = {one.name: one for one in curves(1, EPS)}
    assert set(found) == set(SCHEDULES)
    assert found["kl_optimal"].error is not None and not found["kl_optimal"].sigmas
    assert len(found["karras"].sigmas) == 2 and found["karras"].sigmas[-1] == 0
