"""The promise of the whole program: a run that was cut and went on has the bits of the run that was not."""

import functools
import itertools
from pathlib import Path

import pytest
import torch
from torch import Tensor

from core.errors import UserError
from core.sampling import SAMPLERS, Past, SamplerState, StepInfo, sample
from tests.sampling.toy_run import MORE_KINDS, SEED, Kind, same_state, start, toy_model

KINDS = MORE_KINDS


def run(kind: Kind, sampler: str, noise: str, **more: object) -> SamplerState:
    given = {"x": None, "seed": SEED, **more}
    return sample(
        toy_model(kind, sampler), sigmas=kind.sigmas(sampler), sampler=sampler, noise=noise,
        model_sampling=kind.model_sampling, **given,
    )  # fmt: skip


@functools.cache
def whole(kind: str, sampler: str, noise: str) -> tuple[SamplerState, ...]:
    """The state before each step of an uncut run, and the last."""
    states: list[SamplerState] = []
    toy = KINDS[kind]
    x = start(toy, toy.sigmas(sampler))

    def keep(info: StepInfo) -> None:
        states.append(info.state)

    run(toy, sampler, noise, x=x, on_step=keep)
    return (SamplerState(x), *states)


@pytest.mark.parametrize("noise", ["keyed", "comfyui"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_cut_is_invisible(sampler: str, kind: str, noise: str) -> None:
    """From each stored state a fresh call makes the next one, bit for bit, so by induction any cut is invisible."""
    toy, states = KINDS[kind], whole(kind, sampler, noise)
    for i, (before, after) in enumerate(itertools.pairwise(states)):
        stored = SamplerState.from_bytes(before.to_bytes())
        assert same_state(run(toy, sampler, noise, state=stored, stop=i + 1), after), f"step {i}"


@pytest.mark.parametrize("noise", ["keyed", "comfyui"])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_run_in_three_pieces_is_the_whole_run(sampler: str, noise: str) -> None:
    toy, states = KINDS["zflow"], whole("zflow", sampler, noise)
    state = run(toy, sampler, noise, x=states[0].x, stop=2)
    state = run(toy, sampler, noise, state=run(toy, sampler, noise, state=state, stop=6))
    assert state.step == len(states) - 1 and torch.equal(state.x, states[-1].x)


def test_the_tree_of_a_noise_that_is_asked_twice_or_backwards_is_the_same_tree() -> None:
    states = whole("eps", "dpmpp_sde", "comfyui")
    for i in reversed(range(len(states) - 1)):
        again = run(KINDS["eps"], "dpmpp_sde", "comfyui", state=states[i], stop=i + 1)
        assert torch.equal(again.x, states[i + 1].x)


def test_a_change_at_a_border_acts_from_its_first_step() -> None:
    """Another cfg from step 4 on changes the state after step 4, also where a corrector looks back."""
    toy = KINDS["eps"]
    for sampler in SAMPLERS:
        if SAMPLERS[sampler].needs_negative:
            continue
        half = whole("eps", sampler, "keyed")[4]
        other = sample(
            toy_model(toy, sampler, scale=4.0), None, toy.sigmas(sampler), sampler,
            model_sampling=toy.model_sampling, seed=SEED, state=half, stop=5,
        )  # fmt: skip
        assert not torch.equal(other.x, whole("eps", sampler, "keyed")[5].x), sampler


def test_x_can_be_replaced_on_the_way() -> None:
    half = whole("eps", "euler", "keyed")[4]
    changed: Tensor = half.x + 1
    assert not torch.equal(
        run(KINDS["eps"], "euler", "keyed", state=half, x=changed).x, whole("eps", "euler", "keyed")[-1].x
    )


def test_a_stored_state_is_exact_and_holds_each_tensor_once(tmp_path: Path) -> None:
    shared = torch.randn(1, 4, 8, 8)
    state = SamplerState(
        x=torch.randn(1, 4, 8, 8), step=3, sampler="uni_pc", history=(Past(0.1 + 0.2, shared, shared * 2), Past(1 / 3, shared)),
        draws=5, denoised=shared,
    )  # fmt: skip
    back = SamplerState.from_bytes(state.to_bytes())
    assert same_state(back, state) and back.denoised is not None and torch.equal(back.denoised, shared)
    assert back.denoised is back.history[0].value is back.history[1].value
    assert len(state.tensors()) == 3 and state.nbytes == 3 * 1024
    assert len(state.to_bytes()) < state.nbytes + 1000
    state.save(tmp_path / "state")
    assert same_state(SamplerState.load(tmp_path / "state"), state)
    assert same_state(state.to("cpu"), state)


def test_a_part_of_a_larger_tensor_is_stored_without_the_rest() -> None:
    both = torch.randn(2, 4, 8, 8)
    state = SamplerState(both[:1], denoised=both[1:].transpose(2, 3))
    back = SamplerState.from_bytes(state.to_bytes())
    assert torch.equal(back.x, both[:1]) and back.denoised is not None and torch.equal(back.denoised, both[1:].mT)


@pytest.mark.parametrize("damage", [b"", b"12345678", b"\xff" * 64, None, "cut", "foreign"])
def test_a_damaged_state_is_refused(damage: bytes | str | None) -> None:
    good = whole("eps", "lms", "keyed")[3].to_bytes()
    data = {None: good[:100], "cut": good[:-8], "foreign": good.replace(b"stepwise.", b"somebody.")}.get(damage, damage)
    with pytest.raises(UserError, match="not a stored sampler state"):
        SamplerState.from_bytes(data)  # type: ignore[arg-type]
