"""The film of a job: stills evenly over the steps and at every border, each of which a run can go on from."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from core.images.gallery import Gallery
from core.jobs import Frame, Jobs, JobView, Limits, PipelineWorker
from core.jobs.film import BORDERS, FEWEST, FRAMES, Cut
from core.pipeline import Pipeline
from core.recipe import parse

APPLE = {"stepwise": 1, "prompt": "a red apple", "seed": 7, "steps": 20, "width": 64, "height": 64}


@pytest.mark.parametrize("steps", [1, 2, 5, 11, 12, 13, 20, 21, 999])
@pytest.mark.parametrize("most", [FEWEST, FRAMES])
def test_stills_are_few_and_even_and_the_last_step_is_one(steps: int, most: int) -> None:
    wanted = [step for step in range(1, steps + 1) if Cut(most).wants(step, steps)]
    gaps = [b - a for a, b in zip([0, *wanted], wanted, strict=False)]
    assert wanted[-1] == steps and len(wanted) == min(most, steps) and max(gaps) - min(gaps) <= 1


def test_borders_are_always_among_them_and_dear_stills_are_few() -> None:
    assert Cut.of(1, [7, 13], None).wants(7, 20)
    assert [Cut.of(1, [], seconds).most for seconds in (None, 1.0, 0.0001)] == [FEWEST, FEWEST, FRAMES]
    assert Cut.of(64, [], 0.0001).most < FEWEST, "a large batch gets fewer of each image"
    every = Cut.of(1, range(1, 256), None)
    assert sum(every.wants(step, 1000) for step in range(1, 1001)) <= BORDERS + FEWEST


@pytest.fixture
def house(models: Path, tmp_path: Path) -> Iterator[tuple[Jobs, Pipeline]]:
    pipe = Pipeline(models=models, device="cpu", data=tmp_path / "data")
    gallery = Gallery(tmp_path / "out")
    jobs = Jobs(PipelineWorker(pipe), gallery, tmp_path / "jobs.sqlite", Limits(filmed=2))
    yield jobs, pipe
    jobs.close()
    gallery.close()


def done(jobs: Jobs, **fields: Any) -> JobView:
    view = jobs.get(jobs.submit(parse({**APPLE, **fields}), "me"))
    while not view.finished:
        view = jobs.watch(view.id, view.version, 30.0)
    assert view.state == "done", view.error
    return view


def steps(film: tuple[Frame, ...], image: int) -> list[int]:
    return [frame.step for frame in film if frame.image == image]


def test_a_finished_job_has_its_film_and_goes_on_from_each_still(house: tuple[Jobs, Pipeline]) -> None:
    jobs, pipe = house
    split = {"segments": [{"end": 7}, {"prompt": "a red rabbit"}]}
    view = done(jobs, batch=2, **split)
    for image in (0, 1):
        assert steps(view.film, image)[-1] == 20 and 7 in steps(view.film, image)
    assert all(frame.jpeg[:2] == b"\xff\xd8" for frame in view.film)
    whole = pipe.generate(parse({**APPLE, **split, "seed": 8}))
    for frame in view.film:
        if frame.image == 1 and frame.step < 20:
            init = {"trajectory": frame.key, "start": frame.start}
            again = pipe.generate(parse({**APPLE, **split, "init": init}))
            assert again.stats.model_calls == 0 and torch.equal(again.latents, whole.latents), frame.step


def test_steps_that_need_not_run_are_in_the_film_too(house: tuple[Jobs, Pipeline]) -> None:
    jobs, _ = house
    whole = {frame.step: frame.key for frame in done(jobs).film}
    edited = {frame.step: frame.key for frame in done(jobs, segments=[{"end": 15}, {"prompt": "a blue car"}]).film}
    early = [step for step in edited if step < 15]
    assert len(early) >= FEWEST // 2 and 15 in edited and 20 in edited
    assert all(edited[step] == whole[step] for step in early if step in whole) and edited[20] != whole[20]
    again = done(jobs)  # all of it from the store
    assert again.items and len(again.film) >= FEWEST and again.film[-1].key == whole[20]


def test_only_the_latest_jobs_keep_their_film(house: tuple[Jobs, Pipeline]) -> None:
    jobs, _ = house
    views = [done(jobs, steps=2, seed=seed) for seed in range(4)]
    assert [bool(jobs.get(view.id).film) for view in views] == [False, False, True, True]
