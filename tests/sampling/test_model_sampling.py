"""What sigma means to each kind of model: its table, its timesteps, its scalings."""

import math

import pytest
import torch

from core.sampling import ModelSampling, cfg, cfg_is_off
from core.sampling.model_sampling import EpsDiscrete, Flow, FluxFlow, LCMDistilled, VDiscrete

KINDS: list[ModelSampling] = [
    EpsDiscrete(),
    VDiscrete(),
    VDiscrete(zsnr=True),
    LCMDistilled(),
    Flow(3.0),
    Flow(3.0, multiplier=1000.0),
    FluxFlow(1.15),
]
names = pytest.mark.parametrize("ms", KINDS, ids=repr)


@names
def test_the_table_ascends_and_agrees_with_both_directions(ms: ModelSampling) -> None:
    assert ms.sigmas.dtype == torch.float32 and bool((ms.sigmas.diff() > 0).all())
    assert (ms.sigma_min, ms.sigma_max) == (float(ms.sigmas[0]), float(ms.sigmas[-1]))
    some = ms.sigmas[:: len(ms.sigmas) // 40]
    if isinstance(ms, EpsDiscrete):
        torch.testing.assert_close(ms.sigma(ms.timestep(some)), some, rtol=1e-6, atol=0)
    one_by_one = [ms.timestep(float(s)) for s in some]
    torch.testing.assert_close(ms.timestep(some).double(), torch.tensor(one_by_one).double(), rtol=1e-6, atol=1e-9)


def test_tables_end_where_the_papers_do() -> None:
    eps, zsnr, flow, flux = EpsDiscrete(), VDiscrete(zsnr=True), Flow(3.0), FluxFlow(1.15)
    assert (eps.sigma_min, eps.sigma_max) == pytest.approx((0.029167158, 14.614641), rel=1e-7)
    assert zsnr.sigma_max == pytest.approx(4518.76, rel=1e-6)
    assert (len(flow.sigmas), flow.sigma_max, len(flux.sigmas), flux.sigma_max) == (1000, 1.0, 10000, 1.0)
    assert torch.equal(LCMDistilled().sigmas, eps.sigmas[19::20])


def test_an_integer_timestep_is_told_for_a_fractional_one() -> None:
    eps = EpsDiscrete()
    assert eps.timestep(eps.sigma(799.2)) == 799 and eps.timestep(eps.sigma(799.6)) == 800
    assert eps.timestep(0.0) == 0 and eps.timestep(1e6) == 999
    assert LCMDistilled().timestep(LCMDistilled().sigma_max) == 999


def test_the_net_of_a_flow_is_told_sigma_times_multiplier() -> None:
    assert Flow(3.0, multiplier=1000.0).timestep(0.5) == 500.0
    assert Flow(3.0).timestep(0.5) == 0.5
    assert Flow(3.0).sigma(0.5) == pytest.approx(0.75)


@pytest.mark.parametrize("ms", [EpsDiscrete(), VDiscrete(), Flow(3.0), FluxFlow()], ids=repr)
def test_a_perfect_net_gives_the_clean_latent_back(ms: ModelSampling) -> None:
    clean, noise = torch.randn(2, 3, 4, 4), torch.randn(2, 3, 4, 4)
    sigma = torch.tensor([0.3, 0.8])
    x = ms.noise_scaling(sigma, noise, clean)
    s = sigma.view(-1, 1, 1, 1)
    output = noise - clean if ms.is_flow else noise
    if isinstance(ms, VDiscrete):  # v = alpha*noise - sigma*clean, for alpha and sigma of equal variance
        alpha = 1 / (1 + s * s).sqrt()
        output = alpha * noise - s * alpha * clean
    torch.testing.assert_close(ms.denoised(x, sigma, output), clean, rtol=1e-4, atol=1e-5)
    # clean latent and noise have variance 1 each, and so has an eps net's input; a flow net sees x itself
    assert torch.equal(ms.input(x, sigma), x) if ms.is_flow else 0.8 < float(ms.input(x, sigma).std()) < 1.2


def test_a_distilled_model_leaves_a_clean_latent_alone() -> None:
    """The consistency boundary: near sigma 0 the output counts for nothing, far away it counts as eps does."""
    ms, x, output = LCMDistilled(), torch.randn(1, 4, 4, 4), torch.randn(1, 4, 4, 4)
    far = ms.denoised(x, ms.sigma_max, output)
    torch.testing.assert_close(far, x - output * ms.sigma_max, rtol=1e-4, atol=1e-4)
    t = 10 * 19  # the smallest timestep
    expected = t / math.hypot(t, 0.5) * (x - output * ms.sigma_min) + 0.25 / (t * t + 0.25) * x
    torch.testing.assert_close(ms.denoised(x, ms.sigma_min, output), expected)


def test_pure_noise_is_scaled_as_if_a_clean_latent_were_in_it() -> None:
    ms, noise, latent = EpsDiscrete(), torch.ones(1, 1, 2, 2), torch.zeros(1, 1, 2, 2)
    top = ms.sigma_max
    for sigma in (top, top * (1 - 1e-6), torch.tensor(top)):
        assert float(ms.noise_scaling(sigma, noise, latent).max()) == pytest.approx(math.hypot(1, top), rel=1e-5)
    assert float(ms.noise_scaling(top * 0.99, noise, latent).max()) == pytest.approx(top * 0.99)
    assert float(ms.noise_scaling(top, noise, latent, max_denoise=False).max()) == pytest.approx(top)


def test_a_flow_run_that_stops_early_comes_back_to_the_bit_or_two() -> None:
    ms, x = Flow(3.0), torch.randn(1, 16, 8, 8)
    out = ms.inverse_noise_scaling(0.913146, x)
    back = ms.noise_scaling(0.913146, torch.zeros_like(x), out)
    torch.testing.assert_close(back, x, rtol=3e-7, atol=0)
    assert torch.equal(EpsDiscrete().inverse_noise_scaling(5.0, x), x)


def test_percent_to_sigma() -> None:
    assert [EpsDiscrete().percent_to_sigma(p) for p in (0, 1)] == [999999999.9, 0.0]
    assert EpsDiscrete().percent_to_sigma(0.5) == pytest.approx(float(EpsDiscrete().sigma(499.5)))
    for ms in (Flow(3.0), Flow(3.0, multiplier=1000.0)):
        assert [ms.percent_to_sigma(p) for p in (0, 0.5, 1)] == pytest.approx([1.0, 0.75, 0.0])


def test_equal_fields_are_equal_kinds() -> None:
    assert Flow(3.0) == Flow(3.0, 1.0) != Flow(3.1) and repr(Flow(3.0)) == "Flow(shift=3.0, multiplier=1.0)"
    assert VDiscrete() != EpsDiscrete() and len({VDiscrete(), VDiscrete(zsnr=True), EpsDiscrete()}) == 3


def test_guidance() -> None:
    positive, negative = torch.tensor([3.0]), torch.tensor([1.0])
    assert [float(cfg(positive, negative, scale)) for scale in (0.0, 1.0, 2.0)] == [1.0, 3.0, 5.0]
    assert [cfg_is_off(scale) for scale in (1.0, 1.0 + 1e-12, 1.01, 0.0)] == [True, True, False, False]
