"""Noise: what it depends on, and that it is noise."""

import math

import pytest
import torch

from core.sampling import SAMPLERS, SamplerState, noise_source, sample, starting_noise
from core.sampling.noise import step_seed, table_ends
from tests.sampling.toy_run import KINDS, SEED, start, toy_model

TOP = 2**64 - 1
SHAPE = (1, 4, 64, 64)
NOISY = [name for name, sampler in SAMPLERS.items() if sampler.uses_noise]


def run(sampler: str, batch: int, seed: int | list[int], **more: object) -> SamplerState:
    toy = KINDS["zflow"]
    sigmas = toy.sigmas(sampler)
    first = seed if isinstance(seed, list) else [(seed + k) % 2**64 for k in range(batch)]
    given = {"x": start(toy, sigmas, first, batch), "noise": "keyed", **more}
    return sample(
        toy_model(toy, sampler), sigmas=sigmas, sampler=sampler, model_sampling=toy.model_sampling, seed=seed, **given
    )


@pytest.mark.parametrize("noise", ["keyed", "comfyui"])
@pytest.mark.parametrize("sampler", NOISY)
def test_an_image_alone_is_the_image_in_a_batch(sampler: str, noise: str) -> None:
    seeds = [SEED, 5, TOP]
    batch = run(sampler, 3, seeds, noise=noise).x
    for k, seed in enumerate(seeds):
        assert torch.equal(run(sampler, 1, [seed], noise=noise).x, batch[k : k + 1])


def test_one_seed_for_a_batch_counts_up_and_wraps() -> None:
    batch = run("euler_ancestral", 2, TOP).x
    assert torch.equal(batch[1:], run("euler_ancestral", 1, 0).x)


def test_comfyuis_batch_with_one_seed_is_drawn_as_a_whole() -> None:
    noise = noise_source("comfyui", 7, (2, 4, 8, 8), (1.0, 0.5, 0.0))
    expected = torch.Generator().manual_seed(8)
    draws = [torch.randn((2, 4, 8, 8), generator=expected) for _ in range(3)]
    for drawn in (0, 1, 0, 2, 2, 1):  # in any order
        assert torch.equal(noise.normal(0, drawn), draws[drawn])


@pytest.mark.parametrize("kind", ["keyed", "comfyui"])
@pytest.mark.parametrize("seed", [0, 1, 2**32, 2**63, TOP])
def test_every_seed_can_be_used(kind: str, seed: int) -> None:
    noise = noise_source(kind, [seed], SHAPE, (14.0, 7.0, 0.03, 0.0))
    (increment,) = noise.brownian(0, (14.0, 7.0))
    for drawn in (starting_noise(seed, SHAPE), noise.normal(0, 0), increment):
        assert drawn.dtype == torch.float32 and float(drawn.std()) == pytest.approx(1, abs=0.03)


def test_the_starting_noise_is_comfyuis() -> None:
    expected = torch.randn(SHAPE, generator=torch.Generator().manual_seed(42))
    assert torch.equal(starting_noise(42, SHAPE), expected)
    assert torch.equal(starting_noise([41, 42], (2, *SHAPE[1:]))[1:], expected)


def test_keyed_noise_depends_on_seed_step_and_substep_and_on_nothing_else() -> None:
    def first(seed: int, step: int, drawn: int = 0, levels: tuple[float, ...] = (1.0, 0.0)) -> torch.Tensor:
        return noise_source("keyed", seed, SHAPE, levels).normal(step, drawn)

    base = first(3, 4)
    assert torch.equal(base, first(3, 4, drawn=9, levels=(5.0, 2.0, 0.0)))
    others = [first(4, 4), first(3, 5), starting_noise(3, SHAPE), starting_noise(step_seed(3, 4, 1), SHAPE)]
    for other in others:
        assert abs(float(torch.corrcoef(torch.stack([base.flatten(), other.flatten()]))[0, 1])) < 0.04


def test_the_names_of_draws_do_not_move() -> None:
    """Pictures are reopened years later: these numbers are part of the format."""
    assert step_seed(0, 0, 0) == 1756978147510310524
    assert step_seed(TOP, 19, 1) == 12721678040355810321
    assert len({step_seed(seed, step, sub) for seed in range(20) for step in range(20) for sub in range(3)}) == 1200


def test_keyed_increments_add_up() -> None:
    """W over [s, n] is W over [s, mid] plus an independent W over [mid, n], each by the root of its length."""
    noise = noise_source("keyed", 11, (1, 4, 128, 128), ())
    s, mid, n = 5.0, 3.0, 1.5
    to_mid, to_n = noise.brownian(2, (s, mid, n))
    (alone,) = noise.brownian(2, (s, n))
    assert torch.equal(alone, to_mid)  # the first draw of a step, whatever its length
    rest = to_n * math.sqrt(s - n) - to_mid * math.sqrt(s - mid)
    assert float(rest.var()) == pytest.approx(mid - n, rel=0.03)
    assert float((rest * to_mid).mean()) == pytest.approx(0, abs=0.02)
    assert float(to_n.var()) == pytest.approx(1, rel=0.03)
    assert float((to_n * to_mid).mean()) == pytest.approx(math.sqrt((s - mid) / (s - n)), abs=0.02)


def test_comfyuis_increments_add_up_too() -> None:
    noise = noise_source("comfyui", 11, (1, 4, 64, 64), (8.0, 1.0, 0.0))
    to_mid, to_n = noise.brownian(0, (5.0, 3.0, 1.5))
    (mid_to_n,) = noise.brownian(0, (3.0, 1.5))
    total = to_mid * math.sqrt(2.0) + mid_to_n * math.sqrt(1.5)
    torch.testing.assert_close(
        to_n * math.sqrt(3.5), total, rtol=0, atol=2e-2
    )  # the tree's own resolution is 1e-6 in time


def test_a_restarted_segment_goes_on_counting_run_steps() -> None:
    """The second table starts at its own step 0; with the offset its noise is that of the run's steps, not a repetition."""
    toy = KINDS["eps"]
    sigmas = toy.sigmas("euler_ancestral")
    model, ms = toy_model(toy, "euler_ancestral"), toy.model_sampling
    whole = sample(model, start(toy, sigmas), sigmas, "euler_ancestral", model_sampling=ms, seed=SEED)
    half = sample(model, start(toy, sigmas), sigmas, "euler_ancestral", model_sampling=ms, seed=SEED, stop=4)
    rest = {
        offset: sample(model, half.x, sigmas[4:], "euler_ancestral", model_sampling=ms, seed=SEED, step_offset=offset).x
        for offset in (0, 4)
    }
    assert torch.equal(rest[4], whole.x) and not torch.equal(rest[0], whole.x)


def test_the_tree_stands_over_the_positive_levels() -> None:
    assert table_ends((14.0, 3.0, 0.5, 0.0)) == (0.5, 14.0)
    assert table_ends((3.0, 0.5)) == (0.5, 3.0)
