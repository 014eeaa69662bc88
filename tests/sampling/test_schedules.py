"""Schedules against the levels that ComfyUI makes, for every kind of model."""

import math

import pytest
import torch

from core.errors import UnknownName, UserError
from core.sampling import SAMPLERS, SCHEDULES, make_sigmas
from core.sampling.model_sampling import EpsDiscrete, Flow, FluxFlow, LCMDistilled, VDiscrete
from tests.sampling.toy_run import schedule_refs

KINDS = {
    "sd15": EpsDiscrete(),
    "sd15_lcm": LCMDistilled(),
    "vpred_zsnr": VDiscrete(zsnr=True),
    "zimage_s3": Flow(3.0),
    "zimage_s6": Flow(6.0),
    "zimage_s7": Flow(7.0),
    "sd3_s3_m1000": Flow(3.0, multiplier=1000.0),
    "flow_s1": Flow(1.0),
    "flux_115": FluxFlow(1.15),
    "flux_schnell0": Flow(1.0),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", SCHEDULES)
def test_every_level_is_comfyuis(kind: str, name: str) -> None:
    keys = [key for key in schedule_refs() if key.startswith(f"{kind}|{name}|")]
    assert len(keys) == 3
    for key in keys:
        expected = schedule_refs()[key]
        assert not isinstance(expected, str), "ComfyUI raised here: say what ours does"
        got = make_sigmas(name, int(key.split("|")[2]), KINDS[kind])
        assert got.dtype == torch.float32 and got.shape == (len(expected),)
        torch.testing.assert_close(got, torch.tensor(expected), rtol=1e-5, atol=0)


def test_the_lengths_that_are_not_steps_plus_one() -> None:
    assert len(make_sigmas("ddim_uniform", 6, EpsDiscrete())) == 8
    assert len(make_sigmas("ddim_uniform", 9, LCMDistilled())) == 11
    assert len(make_sigmas("beta", 80, LCMDistilled())) < 81  # repeated levels fall out
    assert len(make_sigmas("normal", 6, EpsDiscrete())) == 7


@pytest.mark.parametrize("name", [name for name in SCHEDULES if name != "kl_optimal"])
@pytest.mark.parametrize("kind", KINDS)
def test_one_step_starts_at_the_noisy_end(kind: str, name: str) -> None:
    sigmas = make_sigmas(name, 1, KINDS[kind])
    assert float(sigmas[-1]) == 0.0
    if name == "ddim_uniform":  # its stride is the whole table, but it starts from the second entry
        assert float(sigmas[0]) == float(KINDS[kind].sigmas[1])
    else:
        assert math.isclose(float(sigmas[0]), KINDS[kind].sigma_max, rel_tol=1e-5)


def test_some_samplers_want_a_step_more_and_drop_its_level() -> None:
    drops = {name for name, sampler in SAMPLERS.items() if sampler.discard_penultimate}
    assert drops == {"dpm_2", "dpm_2_ancestral", "uni_pc", "uni_pc_bh2"}
    plain = make_sigmas("karras", 9, EpsDiscrete())
    dropped = make_sigmas("karras", 8, EpsDiscrete(), sampler="uni_pc")
    assert dropped.tolist() == [*plain.tolist()[:-2], 0.0]
    assert torch.equal(
        make_sigmas("karras", 8, EpsDiscrete(), sampler="euler"), make_sigmas("karras", 8, EpsDiscrete())
    )


def test_what_comfyui_cannot_make_is_refused() -> None:
    with pytest.raises(UserError, match="kl_optimal cannot make 1 steps"):
        make_sigmas("kl_optimal", 1, EpsDiscrete())


def test_unknown_names_list_the_known_ones() -> None:
    with pytest.raises(UnknownName, match=r"Unknown scheduler 'linear'.*sgm_uniform"):
        make_sigmas("linear", 8, EpsDiscrete())
    with pytest.raises(UnknownName, match=r"Unknown sampler 'eular'.*euler_ancestral"):
        make_sigmas("normal", 8, EpsDiscrete(), sampler="eular")


@pytest.mark.parametrize("steps", [0, -1, True, 2.0, None])
def test_steps_that_are_no_number_of_steps(steps: object) -> None:
    with pytest.raises(UserError, match="whole number of at least 1"):
        make_sigmas("normal", steps, EpsDiscrete())  # type: ignore[arg-type]
