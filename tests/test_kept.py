"""Runs on the disk: they come back exact, stay within their bytes, and nothing that happens to a file is an exception."""

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from core.errors import MissingPart, RecipeError
from core.events import Planned, StepDone
from core.kept import KeptRuns, NewRun, RunStep
from core.pipeline import Pipeline, Result
from core.recipe import parse
from core.sampling import Past, SamplerState
from core.trajectory import KeptStep, TrajectoryStore, digest

ROOT = Path(__file__).parents[1]
LONG = 120.0  # seconds: what takes so long has failed


def step(seed: int = 0, size: int = 8) -> KeptStep:
    """A state with history, one tensor of it in two places."""
    x, value = torch.randn(2, 1, 4, size, size, generator=torch.Generator().manual_seed(seed))
    history = (Past(3.5, value), Past(0.1, -value, x))
    state = SamplerState(x, 7, "dpmpp_2m", history, 3, value, "model")
    return KeptStep(state=state, sigma=0.1 + seed, form="4 channels", scale=5.49, shift=0.0)


def same(a: KeptStep | None, b: KeptStep) -> bool:
    assert a is not None
    left, right = a.state, b.state
    plain = (left.step, left.sampler, left.draws, left.model) == (right.step, right.sampler, right.draws, right.model)
    levels = [past.sigma for past in left.history] == [past.sigma for past in right.history]
    tensors = all(torch.equal(s, t) for s, t in zip(left.tensors(), right.tensors(), strict=True))
    stands = (a.sigma, a.form, a.scale, a.shift) == (b.sigma, b.form, b.scale, b.shift)
    return plain and levels and tensors and stands and len(left.tensors()) == len(right.tensors())


def a_run(*names: str, prompt: str = "") -> NewRun:
    steps = [RunStep(key=digest(name), start=k, sigma=1 / k) for k, name in enumerate(names, start=1)]
    return NewRun(recipe=parse({"stepwise": 1, "prompt": prompt or names[-1]}), steps=steps)


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[..., KeptRuns]]:
    """Opens the folder again and again, as restarts do."""
    stores: list[KeptRuns] = []

    def open_again(limit: int = 2**30) -> KeptRuns:
        if stores:
            stores.pop().close()
        stores.append(KeptRuns(tmp_path / "kept", limit))
        return stores[-1]

    yield open_again
    if stores:
        stores.pop().close()


def files(folder: Path) -> set[str]:
    return {file.stem for file in folder.glob("kept/states/*/*.safetensors")}


def test_states_come_back_bit_for_bit_after_a_restart(opened: Callable[..., KeptRuns]) -> None:
    kept = opened()
    run = a_run("a", "b", "c")
    kept.begin(run)
    for k, one in enumerate(run.steps):
        kept.put(one.key, step(k))
        assert same(kept.get(one.key), step(k)), "known before it is written"
    kept = opened()
    assert kept.known([*(one.key for one in run.steps), digest("other")]) == {one.key for one in run.steps}
    assert all(same(kept.get(one.key), step(k)) for k, one in enumerate(run.steps))
    assert kept.get(digest("other")) is None


def test_a_run_is_listed_with_all_that_is_needed_to_go_on(opened: Callable[..., KeptRuns], tmp_path: Path) -> None:
    kept = opened()
    for names in (("a", "b"), ("a", "c", "d"), ("e",)):
        run = a_run(*names)
        kept.begin(run)
        kept.put(run.steps[0].key, step())
    kept.flush()
    listed = kept.runs()
    assert [run.recipe.prompt for run in listed] == ["e", "d", "b"]
    assert [run.recipe.prompt for run in kept.runs(limit=1, before=listed[0].id)] == ["d"]
    run = kept.run(listed[1].id)
    assert [(one.start, one.sigma, one.nbytes > 0) for one in run.steps] == [
        (1, 1.0, True),
        (2, 0.5, False),
        (3, 1 / 3, False),
    ]
    assert run.nbytes == run.steps[0].nbytes and kept.nbytes == 2 * run.nbytes, "a shared state is on the disk once"
    assert kept.of(run.recipe) == run and kept.of(parse({"stepwise": 1, "prompt": "never run"})) is None
    assert kept.nbytes == sum(file.stat().st_size for file in tmp_path.glob("kept/states/*/*"))
    with pytest.raises(MissingPart):
        kept.run("nonsense")


def test_deleting_a_run_keeps_what_another_needs(opened: Callable[..., KeptRuns], tmp_path: Path) -> None:
    kept = opened()
    one, two = a_run("a", "b"), a_run("a", "c")
    goes_on = NewRun(recipe=parse({"stepwise": 1}), steps=a_run("d").steps, origin=one.steps[1])
    for run in (one, two, goes_on):
        kept.begin(run)
        for k, place in enumerate(run.steps):
            kept.put(place.key, step(k))
    kept.flush()
    kept.delete(one.id)
    assert files(tmp_path) == {digest(name) for name in "abcd"}, "b is where another run went on from"
    kept.delete(goes_on.id)
    assert files(tmp_path) == {digest("a"), digest("c")}
    kept.delete(two.id)
    assert files(tmp_path) == set() and kept.nbytes == 0 and kept.runs() == []
    with pytest.raises(MissingPart):
        kept.delete(two.id)


def test_the_run_used_longest_ago_goes_first(opened: Callable[..., KeptRuns], tmp_path: Path) -> None:
    size = len(step().state.to_bytes())
    kept = opened(limit=4 * size + 10)
    for names in (("a1", "a2"), ("b1", "b2"), ("a1", "a2"), ("c1", "c2")):  # a is used again before c comes
        run = a_run(*names)
        kept.begin(run)
        for place in run.steps:
            kept.put(place.key, step())
        kept.flush()
        assert kept.nbytes <= kept.limit
    assert [run.recipe.prompt for run in kept.runs()] == ["c2", "a2"]
    assert files(tmp_path) == {digest(name) for name in ("a1", "a2", "c1", "c2")}


def test_a_run_larger_than_the_disk_may_hold_keeps_its_beginning(opened: Callable[..., KeptRuns]) -> None:
    size = len(step().state.to_bytes())
    kept = opened(limit=3 * size)
    run = a_run(*(f"s{k}" for k in range(6)))
    kept.begin(run)
    for place in run.steps:
        kept.put(place.key, step())
        kept.flush()
    assert [one.nbytes > 0 for one in kept.run(run.id).steps] == [True] * 3 + [False] * 3


def test_a_disk_that_is_full_stops_nothing_and_keeps_what_came_before(
    opened: Callable[..., KeptRuns], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    kept = opened()
    run = a_run(*(f"s{k}" for k in range(5)))
    write, full = Path.write_bytes, {digest("s2"), digest("s3")}

    def refusing(path: Path, data: bytes) -> int:
        if path.name[:64] in full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", refusing)
    kept.begin(run)
    for place in run.steps:
        kept.put(place.key, step())
        kept.flush()
    assert [one.nbytes > 0 for one in kept.run(run.id).steps] == [True, True, False, False, True]
    assert caplog.text.count("No space left") == 1, "said once"
    assert not [*tmp_path.glob("kept/states/*/*.tmp")]


def test_a_run_deleted_while_it_runs_leaves_nothing(opened: Callable[..., KeptRuns], tmp_path: Path) -> None:
    kept = opened()
    run = a_run("a", "b")
    kept.begin(run)
    kept.put(digest("a"), step())
    kept.flush()
    kept.delete(run.id)
    kept.put(digest("b"), step())
    kept.flush()
    assert files(tmp_path) == set() and kept.nbytes == 0


@pytest.mark.parametrize("damage", ["truncated", "a bit", "gone", "empty", "another file"])
def test_damage_is_not_known_and_never_an_exception(
    opened: Callable[..., KeptRuns], tmp_path: Path, damage: str
) -> None:
    kept = opened()
    run = a_run("a", "b")
    kept.begin(run)
    for k, one in enumerate(run.steps):
        kept.put(one.key, step(k))
    kept = opened()
    (file,) = tmp_path.glob(f"kept/states/*/{digest('b')}.safetensors")
    data = bytearray(file.read_bytes())
    match damage:
        case "truncated":
            file.write_bytes(data[:-5])
        case "a bit":
            data[-9] ^= 1
            file.write_bytes(data)
        case "gone":
            file.unlink()
        case "empty":
            file.write_bytes(b"")
        case _:
            file.write_bytes(b"\x80\x04\x95" + bytes(data))
    store = TrajectoryStore(2**20, kept)
    done, found = store.longest([one.key for one in run.steps])
    assert done == 1 and same(found, step(0)), "the longest prefix that can be read"
    assert kept.get(digest("b")) is None and kept.known([digest("b")]) == set()
    kept.put(digest("b"), step(1))
    assert same(opened().get(digest("b")), step(1)), "made anew"


def test_a_damaged_index_is_put_aside(opened: Callable[..., KeptRuns], tmp_path: Path) -> None:
    kept = opened()
    kept.begin(a_run("a"))
    kept.put(digest("a"), step())
    kept.close()
    (tmp_path / "kept/index.sqlite").write_bytes(b"no database at all" * 500)
    kept = KeptRuns(tmp_path / "kept", 2**20)
    assert kept.runs() == [] and kept.get(digest("a")) is None
    assert (tmp_path / "kept/index.damaged").exists()
    kept.close()


def test_files_that_a_killed_process_left_are_cleared(opened: Callable[..., KeptRuns], tmp_path: Path) -> None:
    kept = opened()
    kept.begin(a_run("a"))
    kept.put(digest("a"), step())
    kept.close()
    folder = tmp_path / "kept/states/ab"
    folder.mkdir(exist_ok=True)
    for name in (f"{digest('a')}.safetensors.0f.tmp", f"{digest('lost')}.safetensors", "new.tmp"):
        (folder / name).write_bytes(b"x")
        if name != "new.tmp":  # which may be another process's, in the making
            os.utime(folder / name, (time.time() - 3600,) * 2)
    kept = KeptRuns(tmp_path / "kept", 2**20)
    kept.begin(a_run("b"))
    kept.flush()
    assert [file.name for file in folder.iterdir() if file.stem != digest("a")] == ["new.tmp"]
    assert same(kept.get(digest("a")), step())
    kept.close()


# On the demo model ------------------------------------------------------------------------------------------------

APPLE = {"stepwise": 1, "prompt": "a red apple", "seed": 7, "steps": 8, "width": 64, "height": 64}


@pytest.fixture
def pipes(models: Path, tmp_path: Path) -> Iterator[Callable[[], Pipeline]]:
    """The next start of the program, over the same folder of data."""
    opened: list[Pipeline] = []

    def start(kept_bytes: int = 2**30) -> Pipeline:
        for old in opened:
            old.close()
        opened[:] = [Pipeline(models=models, device="cpu", data=tmp_path / "data", kept_bytes=kept_bytes)]
        return opened[0]

    yield start
    for old in opened:
        old.close()


@pytest.fixture(scope="module")
def bare(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return Pipeline(models=models, device="cpu", trajectory_bytes=0, data=tmp_path_factory.mktemp("bare"))


def made(pipe: Pipeline, **fields: Any) -> Result:
    return pipe.generate(parse({**APPLE, **fields}))


def keys(pipe: Pipeline, **fields: Any) -> list[str]:
    return [event.key for event in pipe.run(parse({**APPLE, **fields})) if isinstance(event, StepDone)]


@pytest.mark.parametrize("sampler", ["euler", "dpmpp_2m", "uni_pc", "dpmpp_3m_sde", "res_multistep_ancestral"])
def test_after_a_restart_an_edit_runs_only_from_where_it_changes(
    pipes: Callable[..., Pipeline], bare: Pipeline, sampler: str
) -> None:
    edit = {"sampler": sampler, "noise": "comfyui", "segments": [{"end": 6}, {"cfg": 3.0}]}
    made(pipes(), sampler=sampler, noise="comfyui")
    again, fresh = made(pipes(), **edit), made(bare, **edit)
    assert torch.equal(again.latents, fresh.latents) and again.stats.reused_steps == 6
    assert made(pipes(), **edit).stats.model_calls == 0


def test_a_run_is_found_by_the_recipe_of_its_picture(pipes: Callable[..., Pipeline]) -> None:
    pipe = pipes()
    made(pipe, batch=2)
    pipe = pipes()
    assert pipe.kept is not None
    second = made(pipe, batch=2, seed=7).recipe.model_copy(update={"seed": 8, "batch": 1})
    run = pipe.kept.of(second)
    assert run is not None and run.recipe == second and len(run.steps) == 8 and all(one.nbytes for one in run.steps)
    for one in run.steps[:-1]:
        on = made(pipe, seed=8, init={"trajectory": one.key, "start": one.start})
        assert on.stats.model_calls == 0
    pipe.kept.delete(run.id)
    assert pipe.kept.of(second) is None


def test_going_on_from_the_disk_with_something_else(pipes: Callable[..., Pipeline], bare: Pipeline) -> None:
    made(pipes())
    pipe = pipes()
    assert pipe.kept is not None
    (run,) = pipe.kept.runs()
    at = run.steps[4]
    init = {"trajectory": at.key, "start": at.start}
    for change in (
        {"prompt": "a blue car"},
        {"cfg": 2.0},
        {"sampler": "dpmpp_2m"},
        {"sampler": "euler_ancestral", "seed": 3},
    ):
        on = made(pipe, init=init, **change)
        noise = {"seed": change.get("seed", 7)}
        ref = made(bare, segments=[{"end": 5}, {key: value for key, value in change.items() if key != "seed"}])
        if "seed" not in change:
            assert torch.equal(on.latents, ref.latents), change
        else:
            assert not torch.equal(on.latents, ref.latents) and torch.equal(
                on.latents, made(pipe, init=init, **change).latents
            )
        assert noise


def test_more_samples_with_fresh_noise(pipes: Callable[..., Pipeline], bare: Pipeline) -> None:
    """A restart with noise on top of a kept step is that restart in the uncut run, whoever made the step."""
    (key,) = keys(pipes())[4:5]
    pipe = pipes()
    pictures: list[torch.Tensor] = []
    for seed in (1, 2):
        fresh = {"border": "restart", "add_noise": True, "noise_seed": seed}
        whole = made(bare, segments=[{"end": 5}, fresh])
        for segments in ([{"end": 5}, fresh], [{"start": 5, **fresh}]):
            on = made(pipe, init={"trajectory": key, "start": 5}, segments=segments)
            assert torch.equal(on.latents, whole.latents), segments
            assert on.stats.model_calls == 3 or on.stats.reused_steps == 3
            reopened = pipe.generate(on.recipe)
            assert torch.equal(reopened.latents, on.latents), "what a picture carries makes it again"
        pictures.append(on.latents)
    assert not torch.equal(*pictures)
    batch = made(
        pipe, init={"trajectory": key, "start": 5}, batch=2, segments=[{"start": 5, "add_noise": True, "noise_seed": 1}]
    )
    assert torch.equal(batch.latents[:1], pictures[0]) and torch.equal(batch.latents[1:], pictures[1])


def test_a_first_segment_that_starts_there_just_goes_on(pipes: Callable[..., Pipeline], bare: Pipeline) -> None:
    key = keys(pipes())[4]
    on = made(pipes(), init={"trajectory": key, "start": 5}, segments=[{"start": 5, "prompt": "a blue car"}])
    assert torch.equal(on.latents, made(bare, segments=[{"end": 5}, {"prompt": "a blue car"}]).latents)
    assert torch.equal(on.latents, pipes().generate(on.recipe).latents)


def test_a_restart_leaves_the_level_where_the_step_stands(pipes: Callable[..., Pipeline], bare: Pipeline) -> None:
    """Going on with a table of its own, the restart still knows what noise is in the kept latent; else it is said."""
    key = keys(pipes())[3]
    pipe = pipes()
    fields = {"init": {"trajectory": key, "start": 4}, "steps": 5, "scheduler": "karras"}
    planned = next(e for e in pipe.run(parse({**APPLE, **fields})) if isinstance(e, Planned))
    assert any("stands at sigma" in str(note) for note in planned.notes)
    whole = made(bare, segments=[{"end": 4}, {"border": "restart", "start": 4, "steps": 5, "scheduler": "karras"}])
    on = made(pipe, **fields, segments=[{"start": 4, "border": "restart"}])
    assert torch.equal(on.latents, whole.latents)


def test_what_a_run_cannot_go_on_from_is_a_sentence(pipes: Callable[..., Pipeline]) -> None:
    key = keys(pipes())[3]
    pipe = pipes()
    for error, fields in (
        (MissingPart, {"init": {"trajectory": "ab" * 32, "start": 4}}),
        (RecipeError, {"init": {"trajectory": key, "start": 4}, "width": 128}),
        (RecipeError, {"init": {"trajectory": key, "start": 4}, "batch": 2, "batching": "fast"}),
        (RecipeError, {"init": {"trajectory": key, "start": 8}}),
    ):
        with pytest.raises(error) as caught:
            made(pipe, **fields)
        assert str(caught.value).endswith(".") and "\n" not in str(caught.value)


KILLED = """
import sys
from pathlib import Path
from core.events import StepDone
from core.pipeline import Pipeline
from core.recipe import parse
import json
pipe = Pipeline(models=sys.argv[1], device="cpu", data=sys.argv[2], kept_bytes=2**30)
for event in pipe.run(parse(json.loads(sys.argv[3]))):
    if isinstance(event, StepDone):
        print(event.step, flush=True)
"""


@pytest.mark.skipif(os.name != "posix", reason="kill -9 is POSIX")
@pytest.mark.parametrize("sampler", ["dpmpp_2m", "euler_ancestral"])
def test_a_run_killed_in_the_middle_goes_on_to_the_same_picture(
    pipes: Callable[..., Pipeline], bare: Pipeline, models: Path, tmp_path: Path, sampler: str
) -> None:
    recipe = parse({**APPLE, "steps": 60, "sampler": sampler, "cfg": 1.0})
    command = [
        sys.executable,
        "-c",
        KILLED,
        str(models),
        str(tmp_path / "data"),
        recipe.model_dump_json(exclude_none=True),
    ]
    threads = {"OMP_NUM_THREADS": str(torch.get_num_threads())}  # they are part of a step's key
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=os.environ | threads)
    assert child.stdout is not None
    for line in child.stdout:
        if int(line) == 20:
            child.send_signal(signal.SIGKILL)
            break
    assert child.wait(LONG) == -signal.SIGKILL
    again = pipes().generate(recipe)
    assert 10 <= again.stats.reused_steps < 60, "killed in the middle of the run"
    assert again.stats.model_calls == 60 - again.stats.reused_steps
    whole = bare.generate(recipe)
    assert whole.stats.model_calls == 60 and torch.equal(again.latents, whole.latents)
    assert again.images[0].tobytes() == whole.images[0].tobytes()
