"""Keys of steps: equal keys must mean equal bits, and tables that begin alike must share their beginnings."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.sampling import SAMPLERS, SamplerState, StepInfo, sample
from tests.sampling.toy_run import KINDS, SEED, same_state, start, toy_model

NOISES = ("keyed", "comfyui")
Table = tuple[float, ...]
Chain = list[tuple[tuple[object, ...], SamplerState]]


def float32(value: float) -> float:
    return float(torch.tensor(value))


def first_state(kind: str) -> SamplerState:
    return SamplerState(start(KINDS[kind], torch.tensor([9.0 if kind == "eps" else 1.0])))


def run(kind: str, sampler: str, noise: str, table: Table, offset: int = 0, **more: object) -> list[SamplerState]:
    """The states before the first step that is run and after each."""
    toy = KINDS[kind]
    given = {"state": first_state(kind), **more}
    states = [given["state"]]

    def keep(info: StepInfo) -> None:
        states.append(info.state)

    sample(
        toy_model(toy, sampler), None, table, sampler, model_sampling=toy.model_sampling, seed=SEED, noise=noise,
        step_offset=offset, on_step=keep, **given,
    )  # fmt: skip
    return states


def chain(kind: str, sampler: str, noise: str, table: Table, offset: int = 0) -> Chain:
    """The keys of the steps, each with all before it, and the states that they led to."""
    record, key, links = SAMPLERS[sampler], tuple[object, ...](), Chain()
    for i, state in enumerate(run(kind, sampler, noise, table, offset)[1:]):
        key = (*key, record.table_key(table, i, noise, offset + i))
        links.append((key, state))
    return links


def assert_sound(a: Chain, b: Chain) -> None:
    for (key_a, state_a), (key_b, state_b) in zip(a, b, strict=False):
        if key_a == key_b:
            assert same_state(state_a, state_b)


def tables(kind: str) -> list[Table]:
    """Tables that begin alike and differ in a later level, in their length, in their last level, or in their first."""
    top = 14.0 if kind == "eps" else 1.0
    levels = [float32(top * r) for r in (1.0, 0.7, 0.5, 0.31, 0.2, 0.12, 0.05)]
    base: Table = (*levels, 0.0)
    return [
        base,
        (*levels[:4], float32(top * 0.22), *levels[5:], 0.0),
        (*levels[:5], 0.0),
        (*levels[:5], *levels[6:], 0.0),
        tuple(levels),
        (*levels[:4], 0.0),
        (float32(top * 0.9), *levels[1:], 0.0),
        (*levels[:2], 0.0),
        (*levels[:6], float32(top * 0.04), 0.0),
    ]


CASES = [(name, noise) for name, record in SAMPLERS.items() for noise in NOISES[: 1 + record.uses_noise]]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("sampler", "noise"), CASES)
def test_equal_keys_are_equal_bits(sampler: str, noise: str, kind: str) -> None:
    chains = [chain(kind, sampler, noise, table) for table in tables(kind)]
    for a in chains:
        for b in chains:
            assert_sound(a, b)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("sampler", "noise"), CASES)
def test_one_key_and_the_state_before_decide_a_step(sampler: str, noise: str, kind: str) -> None:
    """Also where the keys before differ: each key names all of the table that its own step reads."""
    base, *others = tables(kind)
    record, states, shared = SAMPLERS[sampler], run(kind, sampler, noise, base), 0
    for other in others:
        for i in range(min(len(base), len(other)) - 1):
            if record.table_key(base, i, noise) != record.table_key(other, i, noise):
                continue
            shared += 1
            (_, after) = run(kind, sampler, noise, other, state=states[i], stop=i + 1)
            assert same_state(after, states[i + 1]), f"step {i} of {other}"
    assert shared >= 5


LEVELS = st.lists(
    st.sampled_from([0.95, 0.8, 0.6, 0.45, 0.3, 0.2, 0.1, 0.06, 0.03]), min_size=1, max_size=6, unique=True
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sampler=st.sampled_from(sorted(SAMPLERS)), kind=st.sampled_from(sorted(KINDS)), noise=st.sampled_from(NOISES),
    head=LEVELS, tails=st.tuples(LEVELS, LEVELS), ends=st.tuples(st.booleans(), st.booleans()), offset=st.sampled_from([0, 3]),
)  # fmt: skip
def test_equal_keys_are_equal_bits_for_any_two_tables(
    sampler: str, kind: str, noise: str, head: list[float], tails: tuple[list[float], list[float]],
    ends: tuple[bool, bool], offset: int,
) -> None:  # fmt: skip
    top = 14.0 if kind == "eps" else 1.0
    both: list[Table] = []
    for tail, zero in zip(tails, ends, strict=True):
        first = sorted(head, reverse=True)
        rest = [level for level in sorted(tail, reverse=True) if level < first[-1]]
        both.append((*(float32(top * level) for level in [1.0, *first, *rest]), *([0.0] if zero else [])))
    assert_sound(*(chain(kind, sampler, noise, table, offset) for table in both))


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_beginnings_are_shared(sampler: str, noise: str) -> None:
    """Two tables with the same ends that part after level 4 share steps 0 to 3, but for the look-ahead of heunpp2."""
    base, other, *_ = tables("eps")
    shared = 3 - (sampler == "heunpp2")
    a, b = ([SAMPLERS[sampler].table_key(table, i, noise) for i in range(len(table) - 1)] for table in (base, other))
    assert a[:shared] == b[:shared] and a[3] != b[3] and a[4] != b[4]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_only_a_tree_reads_the_tables_ends(sampler: str) -> None:
    """ComfyUI's Brownian noise depends on the table's ends; nothing else far ahead is read, but by the last steps."""
    base = tables("eps")[0]
    other = tables("eps")[-1]
    assert base[:6] == other[:6] and base[6] != other[6]
    tree = SAMPLERS[sampler].randomness == "brownian"
    record = SAMPLERS[sampler]
    assert record.table_key(base, 1, "keyed") == record.table_key(other, 1, "keyed")
    assert (record.table_key(base, 1, "comfyui") == record.table_key(other, 1, "comfyui")) is not tree


def test_the_runs_step_is_in_the_key_where_noise_is_keyed_by_it() -> None:
    base = tables("eps")[0]
    for name, record in SAMPLERS.items():
        moved = record.table_key(base, 1, "keyed", run_step=5) != record.table_key(base, 1, "keyed")
        assert moved is record.uses_noise, name
        assert record.table_key(base, 1, "comfyui", run_step=5) == record.table_key(base, 1, "comfyui")
