"""Samplers against ComfyUI's numbers, exact solutions and exact distributions."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from core.errors import UnknownName, UserError
from core.sampling import SAMPLERS, CallableDenoiser, Run, SamplerState, StepInfo, make_sigmas, noise_source, sample
from core.sampling.model_sampling import EpsDiscrete, Flow
from tests.sampling.toy_run import KINDS, SEED, comfy_segment, start, toy_model, toy_refs

CUT = 4
TOLERANCE = 1e-5  # of the largest value; measured: 2e-6 at most


def reference(kind: str, sampler: str, what: str) -> Tensor | None:
    return toy_refs().get(f"{kind}__{KINDS[kind].schedule}__{KINDS[kind].steps}__{sampler}__{what}")


def assert_near(got: Tensor, expected: Tensor) -> None:
    assert float((got - expected).abs().max()) <= TOLERANCE * float(expected.abs().max())


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_name_has_a_reference(sampler: str) -> None:
    assert reference("eps", sampler, "whole") is not None and reference("zflow", sampler, "whole") is not None


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_run_is_comfyuis(kind: str, sampler: str) -> None:
    toy = KINDS[kind]
    got = comfy_segment(toy, sampler, toy.sigmas(sampler), torch.zeros(toy.shape), SEED, add_noise=True)
    expected = reference(kind, sampler, "whole")
    assert expected is not None
    assert_near(got, expected)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_restart_in_the_middle_is_comfyuis(sampler: str) -> None:
    """Two KSamplers (Advanced): the second one with its own table, no history, and the noise of its own seed."""
    toy = KINDS["eps"]
    sigmas = toy.sigmas(sampler)
    half = comfy_segment(toy, sampler, sigmas[: CUT + 1], torch.zeros(toy.shape), SEED, add_noise=True)
    for what, seed in (("half4", None), ("split4_seed0", 0), ("split4_same", SEED)):
        got = half if seed is None else comfy_segment(toy, sampler, sigmas[CUT:], half, seed, add_noise=False)
        expected = reference("eps", sampler, what)
        assert expected is not None
        assert_near(got, expected)


def test_a_run_of_one_step_of_uni_pc_only_changes_the_scale() -> None:
    toy = KINDS["eps"]
    sigmas = torch.tensor([5.0, 0.0])
    x = torch.randn(toy.shape)
    state = sample(toy_model(toy, "uni_pc"), x, sigmas, "uni_pc", model_sampling=toy.model_sampling)
    torch.testing.assert_close(state.x, x * math.sqrt((1 + 1e-6) / 26))


MEAN, VARIANCE = 0.5, 0.4


def gaussian(x: Tensor, sigma: Tensor) -> Tensor:
    """The exact denoised where every pixel of the data is N(MEAN, VARIANCE)."""
    s2 = (sigma * sigma).to(x.dtype).view(-1, 1, 1, 1)
    return (VARIANCE * x + s2 * MEAN) / (VARIANCE + s2)


def gaussian_flow(x: Tensor, sigma: Tensor) -> Tensor:
    s = sigma.to(x.dtype).view(-1, 1, 1, 1)
    a = 1 - s
    return MEAN + a * VARIANCE * (x - a * MEAN) / (a * a * VARIANCE + s * s)


def consistent(flow: bool) -> Callable[[Tensor, Tensor], Tensor]:
    """What an LCM learns: the end of the path that x lies on, not the mean of the ends."""

    def model(x: Tensor, sigma: Tensor) -> Tensor:
        s = sigma.to(x.dtype).view(-1, 1, 1, 1)
        a = 1 - s if flow else 1.0
        return MEAN + (x - a * MEAN) * (VARIANCE / (a * a * VARIANCE + s * s)).sqrt()

    return model


def pair(model: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
    return lambda x, sigma: (model(x, sigma), model(x, sigma))


ORDERS = {
    "euler": 1, "ddim": 1, "euler_cfg_pp": 1,
    "heun": 2, "dpm_2": 2, "dpmpp_2m": 2, "dpmpp_2m_cfg_pp": 2, "res_multistep": 2, "res_multistep_cfg_pp": 2, "lms": 2,
    "deis": 2, "ipndm_v": 2, "uni_pc": 2, "uni_pc_bh2": 2,
}  # fmt: skip


@pytest.mark.parametrize("sampler", ORDERS)
def test_the_error_falls_with_the_order(sampler: str) -> None:
    """The probability flow of a Gaussian is known: x - MEAN shrinks as the standard deviation does. Float64 throughout.

    Methods of order 3 and 4 start with an Euler step, and uni_pc ends with one: that holds their global order at 2.
    """
    high, low, x = 8.0, 0.3, torch.tensor([[[[9.0, -4.0]]]], dtype=torch.float64)
    exact = MEAN + (x - MEAN) * math.sqrt((VARIANCE + low**2) / (VARIANCE + high**2))

    def error(steps: int) -> float:
        sigmas = tuple(high * (low / high) ** (i / steps) for i in range(steps + 1))
        run = Run(sigmas, EpsDiscrete(), noise_source("keyed", 0, x.shape, sigmas))
        state, model = SamplerState(x), CallableDenoiser(pair(gaussian))
        for _ in range(steps):
            state = SAMPLERS[sampler].step(model, state, run)
        return float((state.x - exact).abs().max())

    # CallableDenoiser rounds sigma to float32, so errors below 1e-7 mean nothing
    order = math.log2(error(20) / error(40))
    assert order > ORDERS[sampler] - 0.3
    assert error(40) > 1e-7


@pytest.mark.parametrize("sampler", [name for name, record in SAMPLERS.items() if record.uses_noise])
@pytest.mark.parametrize("flow", [False, True])
def test_noise_keeps_the_distribution(sampler: str, flow: bool) -> None:
    """With an exact denoiser, noisy runs end in the data's own mean and variance, but for the steps' coarseness."""
    ms = Flow(1.0) if flow else EpsDiscrete()
    if flow and (sampler == "ddpm" or sampler.startswith("res_")):
        pytest.skip("treats a flow's sigma as that of a variance-exploding path: noise of another law, as in ComfyUI")
    model = consistent(flow) if sampler == "lcm" else gaussian_flow if flow else gaussian
    sigmas = make_sigmas("simple" if flow else "karras", 40, ms)
    noise = torch.randn((1, 1, 100, 100), generator=torch.Generator().manual_seed(1))
    x = ms.noise_scaling(float(sigmas[0]), noise, torch.full_like(noise, MEAN), max_denoise=False)
    got = sample(pair(model), x, sigmas, sampler, model_sampling=ms, seed=7).x
    assert float(got.mean()) == pytest.approx(MEAN, abs=0.03)
    assert float(got.std()) == pytest.approx(math.sqrt(VARIANCE), rel=0.12)


def test_the_states_tensors_are_never_written_to() -> None:
    """States are shared between runs, so a step may only make new tensors."""
    toy = KINDS["eps"]
    for sampler in SAMPLERS:
        kept: list[tuple[Tensor, Tensor]] = []

        def keep(info: StepInfo, kept: list[tuple[Tensor, Tensor]] = kept) -> None:
            kept.extend((tensor, tensor.clone()) for tensor in info.state.tensors())

        sigmas = toy.sigmas(sampler)
        x = start(toy, sigmas)
        kept.append((x, x.clone()))
        sample(toy_model(toy, sampler), x, sigmas, sampler, model_sampling=toy.model_sampling, on_step=keep)
        assert all(torch.equal(tensor, copy) for tensor, copy in kept), sampler


def test_model_calls_are_what_the_record_says() -> None:
    toy = KINDS["eps"]
    for name, record in SAMPLERS.items():
        calls = 0
        model = toy_model(toy, name)

        def counted(x: Tensor, sigma: Tensor, model: Callable[..., Tensor] = model) -> Tensor:
            nonlocal calls
            calls += 1
            return model(x, sigma)

        sigmas = toy.sigmas(name)
        sample(counted, start(toy, sigmas), sigmas, name, model_sampling=toy.model_sampling, start=2, stop=3)
        assert calls == record.model_calls, name


def test_on_step_tells_each_step() -> None:
    toy, seen = KINDS["eps"], list[StepInfo]()
    sigmas = toy.sigmas("heun")
    end = sample(
        toy_model(toy, "heun"),
        start(toy, sigmas),
        sigmas,
        "heun",
        model_sampling=toy.model_sampling,
        on_step=seen.append,
    )
    assert [info.i for info in seen] == list(range(8)) and [info.sigma for info in seen] == sigmas.tolist()[:-1]
    assert seen[-1].x is end.x and seen[-1].state is end and end.step == 8
    assert all(info.denoised.shape == toy.shape for info in seen)


def test_another_sampler_starts_without_history() -> None:
    toy = KINDS["eps"]
    sigmas = toy.sigmas("dpmpp_2m")

    def run(sampler: str, state: SamplerState) -> SamplerState:
        return sample(toy_model(toy, sampler), None, sigmas, sampler, model_sampling=toy.model_sampling, state=state)

    half = sample(toy_model(toy, "lms"), start(toy, sigmas), sigmas, "lms", model_sampling=toy.model_sampling, stop=4)
    assert len(half.history) == 4
    assert torch.equal(run("dpmpp_2m", half).x, run("dpmpp_2m", half.forget()).x)
    assert not torch.equal(run("lms", half).x, run("lms", half.forget()).x)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sampler": "eular"}, "Unknown sampler 'eular'.*dpmpp_2m"),
        ({"noise": "perlin"}, "Unknown noise 'perlin': choose one of keyed, comfyui"),
        ({"x": None}, "give x, or the state"),
        ({"start": 9}, "Steps 9 to 8"),
        ({"start": -1}, "Steps -1 to 8"),
        ({"start": 5, "stop": 4}, "Steps 5 to 4"),
        ({"stop": 9}, "Steps 0 to 9"),
        ({"sigmas": torch.tensor([])}, "table of 0 steps"),
        ({"seed": -1}, "0 to 2\\^64-1, not -1"),
        ({"seed": 2**64}, "0 to 2\\^64-1"),
        ({"seed": [1, 2]}, "2 seeds do not fit a batch of 1"),
        ({"sampler": "dpmpp_2m", "sigmas": torch.tensor([3.0, 3.0, 1.0, 1.0, 0.0])}, "cannot step from sigma"),
    ],
)
def test_what_cannot_be_run_is_refused_in_a_sentence(options: dict[str, object], message: str) -> None:
    toy = KINDS["eps"]
    given = {"x": torch.ones(toy.shape), "sigmas": toy.sigmas("euler"), "sampler": "euler", **options}
    with pytest.raises(UserError, match=message):
        sample(toy_model(toy, "euler"), model_sampling=toy.model_sampling, **given)  # type: ignore[arg-type]


def test_a_state_goes_on_at_its_own_step_only() -> None:
    toy = KINDS["eps"]
    state = SamplerState(torch.ones(toy.shape), step=3)
    with pytest.raises(UserError, match="before step 3, not 2"):
        sample(
            toy_model(toy, "euler"),
            None,
            toy.sigmas("euler"),
            "euler",
            model_sampling=toy.model_sampling,
            state=state,
            start=2,
        )


def test_names_are_looked_up_exactly() -> None:
    with pytest.raises(UnknownName):
        sample(lambda x, s: x, torch.ones(1, 1, 2, 2), [1.0, 0.0], "Euler", model_sampling=EpsDiscrete())
