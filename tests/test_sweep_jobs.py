"""A sweep is one job: counted before, shown as it comes, stopped, begun again, and the pictures that single runs would give."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from core import Pipeline
from core.errors import RecipeError, Refused
from core.images import png
from core.images.gallery import Gallery
from core.jobs import Jobs, JobView, Limits, PipelineWorker
from core.recipe import Recipe, parse
from core.sweep import axis
from core.tree import Cost
from tests.test_jobs import LONG, House, TinyWorker, a_recipe, stepping

CFGS = axis("cfg=1:5")
SWITCH = {
    "stepwise": 1, "prompt": "a red apple", "seed": 3, "steps": 20,
    "segments": [{"end": 10}, {"end": 20, "prompt": "a red rabbit"}],
}  # fmt: skip


def test_a_sweep_is_one_job_with_a_picture_at_every_place(tmp_path: Path) -> None:
    with House(tmp_path) as house:
        id = house.jobs.submit(a_recipe(), "me", [CFGS])
        seen = [house.jobs.get(id)]
        while not seen[-1].finished:
            seen.append(house.jobs.watch(id, seen[-1].version, LONG))
        view = seen[-1]
        assert (view.state, view.images, len(view.made), view.ran) == ("done", 5, 5, 0)
        variants = view.work.variants
        assert [variants[k].recipe.cfg for k in range(5)] == [1, 5, 3, 2, 4], "the coarse picture comes first"
        assert [item.recipe.cfg for item in view.items] == [1, 5, 3, 2, 4]
        assert view.recipe == a_recipe() and view.cost == Cost(steps=20, alone=20)
        counts = [len(look.made) for look in seen]
        assert counts == sorted(counts) and {1, 3} < set(counts), "pictures are seen as they are done"
        assert {look.image for look in seen} == set(range(5))


def test_a_batch_in_a_sweep_is_counted_over_the_whole_job(tmp_path: Path) -> None:
    with House(tmp_path) as house:
        view = house.wait(house.jobs.submit(a_recipe(batch=2, seed=4), "me", [axis("cfg=1|2|3")]))
        assert view.images == 6 and [*view.made] == [0, 1, 2, 3, 4, 5]
        assert [(item.recipe.cfg, item.seed) for item in view.items] == [(1, 4), (1, 5), (3, 4), (3, 5), (2, 4), (2, 5)]


def test_a_wrong_sweep_is_refused_and_not_filed(tmp_path: Path) -> None:
    with House(tmp_path) as house:
        with pytest.raises(RecipeError, match="no field cgf"):
            house.jobs.submit(a_recipe(), "me", [axis("cgf=1:3")])
        with pytest.raises(RecipeError, match="too large"):
            house.jobs.submit(a_recipe(), "me", [axis("cfg=1:33"), axis("seed=1:33")])
        assert house.jobs.mine("me") == []


@pytest.mark.parametrize(
    ("recipe", "axes", "word"),
    [
        (a_recipe(batch=4), [axis("cfg=1:17")], "64 pictures"),
        (a_recipe(steps=80), [axis("cfg=1:20")], "takes 1600 steps"),
        (a_recipe(), [axis("steps=99:101")], "at most 100 steps"),
    ],
)
def test_a_guarded_house_refuses_large_sweeps(tmp_path: Path, recipe: Recipe, axes: Sequence[Any], word: str) -> None:
    with House(tmp_path, limits=Limits.guarded()) as house:
        with pytest.raises(Refused, match=word):
            house.jobs.submit(recipe, "me", axes)
        assert house.wait(house.jobs.submit(a_recipe(batch=4), "me", [axis("cfg=1:16")])).state == "done"


def test_stop_after_this_picture_and_stop_now_keep_what_is_there(tmp_path: Path) -> None:
    with House(tmp_path, TinyWorker(step_seconds=0.02)) as house:
        id = house.jobs.submit(a_recipe(steps=6), "me", [CFGS])
        house.wait(id, lambda view: view.image == 1 and stepping(view))
        house.jobs.cancel(id, "me", "after")
        view = house.wait(id)
        assert view.state == "stopped" and [*view.made] == [0, 1]
        id = house.jobs.submit(a_recipe(steps=1000), "me", [CFGS])
        house.wait(id, stepping)
        house.jobs.cancel(id, "me", "now")
        view = house.wait(id)
        assert view.state == "stopped" and [*view.made] == [0], "the half-done picture is kept"


def test_a_sweep_that_was_closed_goes_on_and_makes_no_picture_twice(tmp_path: Path) -> None:
    with House(tmp_path, TinyWorker(step_seconds=0.02)) as house:
        id = house.jobs.submit(a_recipe(steps=8, seed=-1), "me", [CFGS, axis("seed=-1|-1")])
        first = house.wait(id, lambda view: len(view.made) == 2 and stepping(view))
        house.jobs.close()
    with House(tmp_path) as again:
        view = again.wait(id)
        assert view.state == "done" and view.images == 10 and view.cost == first.cost
        assert view.items[:2] == first.items and len(again.worker.ran) == 8
        assert view.work == first.work, "drawn seeds are the same after a restart"
        assert len({item.seed for item in view.items}) == 2


def test_the_gallery_shows_a_sweep_as_one(tmp_path: Path) -> None:
    with House(tmp_path) as house:
        before = house.wait(house.jobs.submit(a_recipe("before"), "me"))
        view = house.wait(house.jobs.submit(a_recipe("a sweep"), "me", [CFGS]))
        after = house.wait(house.jobs.submit(a_recipe("after"), "me"))
        tiles = [after.items[0], view.items[0], before.items[0]]
        assert list(house.gallery.list("me")) == tiles and house.gallery.count("me") == 3
        assert list(house.gallery.list("me", limit=1, before=after.items[0].id)) == [view.items[0]]
        assert list(house.gallery.series(view.items[0])) == list(view.items)
        assert list(house.gallery.series(before.items[0])) == [before.items[0]]
        assert house.gallery.count("me", "sweep") == 5, "a search finds each picture"
        house.gallery.delete(view.items[0].id, "me")
        assert view.items[1] in house.gallery.list("me"), "the next one stands for those that are left"
    (tmp_path / "out" / ".index.sqlite").unlink()
    rebuilt = Gallery(tmp_path / "out")
    assert rebuilt.count() == 3, "the files themselves say what belongs together"
    rebuilt.close()


class Studio(House):
    """The real pipeline in the queue."""

    patience = 600.0  # a model is loaded first, on a machine that may be busy

    def __init__(self, folder: Path, pipe: Pipeline) -> None:
        self.gallery = Gallery(folder / "out")
        self.jobs = Jobs(PipelineWorker(pipe), self.gallery, folder / "jobs.sqlite")


@contextmanager
def studio(models: Path, folder: Path, **options: Any) -> Iterator[Studio]:
    pipe = Pipeline(models=models, device="cpu", data=folder / "data", **options)
    try:
        with Studio(folder, pipe) as house:
            yield house
    finally:
        pipe.close()


def equal_to_single_runs(models: Path, folder: Path, view: JobView, numbers: Sequence[int]) -> bool:
    """The pictures of a sweep, bit for bit, made alone with nothing kept."""
    bare = Pipeline(models=models, device="cpu", data=folder / "data", trajectory_bytes=0)
    return all(
        bare.generate(view.work.recipes[number]).images[0].tobytes() == Image.open(view.made[number].path).tobytes()
        for number in numbers
    )


@pytest.mark.parametrize(("sampler", "cfg"), [("dpmpp_2m", 1.0), ("euler", 5.0)])
def test_a_border_over_all_steps_costs_230_of_420_steps(models: Path, tmp_path: Path, sampler: str, cfg: float) -> None:
    with studio(models, tmp_path) as house:
        recipe = parse({**SWITCH, "sampler": sampler, "cfg": cfg})
        view = house.wait(house.jobs.submit(recipe, "me", [axis("segments.0.end=0:20")]))
        assert view.state == "done" and view.cost == Cost(steps=230, alone=420)
        assert view.ran == view.calls == 230
        assert equal_to_single_runs(models, tmp_path, view, (0, 1, 3, 20))
        again = house.wait(house.jobs.submit(recipe, "me", [axis("segments.0.end=0:20")]))
        assert again.cost == view.cost and again.ran == again.calls == 0, "all of it is kept already"
        assert [png.read(item.path).size for item in again.items] == [png.read(item.path).size for item in view.items]


def test_two_axes_share_what_they_have_in_common(models: Path, tmp_path: Path) -> None:
    with studio(models, tmp_path) as house:
        data = {**SWITCH, "steps": 6, "cfg": 1.0, "segments": [{"end": 3}, {"end": 6, "prompt": "a red rabbit"}]}
        axes = [axis("segments.0.end=0:6:2"), axis("segments.1.cfg=1|3")]
        view = house.wait(house.jobs.submit(parse(data), "me", axes))
        assert view.cost == Cost(steps=30, alone=48) and view.ran == view.calls == 30
        assert equal_to_single_runs(models, tmp_path, view, range(8))


def test_without_a_store_a_sweep_costs_what_single_runs_cost_and_says_so(models: Path, tmp_path: Path) -> None:
    with studio(models, tmp_path, trajectory_bytes=0) as house:
        data = {**SWITCH, "steps": 4, "segments": [{"end": 2}, {"end": 4, "prompt": "a red rabbit"}]}
        view = house.wait(house.jobs.submit(parse(data), "me", [axis("segments.0.end=0:4")]))
        assert view.cost == Cost(steps=14, alone=20) and view.ran == view.calls == 20


@pytest.mark.parametrize(("sampler", "cfg"), [("dpmpp_2m", 1.0), ("euler", 5.0)])
def test_after_a_restart_the_steps_come_from_the_disk(models: Path, tmp_path: Path, sampler: str, cfg: float) -> None:
    """Also a sweep that is finer than the one before: what both share is not run again."""
    data = {**SWITCH, "steps": 8, "sampler": sampler, "cfg": cfg, "segments": [{"end": 4}, {"prompt": "a red rabbit"}]}
    with studio(models, tmp_path, kept_bytes=2**28) as house:
        first = house.wait(house.jobs.submit(parse(data), "me", [axis("segments.0.end=0:8:4")]))
        assert first.cost == Cost(steps=20, alone=24) and first.ran == 20
    with studio(models, tmp_path, kept_bytes=2**28) as again:
        same = again.wait(again.jobs.submit(parse(data), "me", [axis("segments.0.end=0:8:4")]))
        assert same.cost == first.cost and same.ran == same.calls == 0
        finer = again.wait(again.jobs.submit(parse(data), "me", [axis("segments.0.end=0:8")]))
        assert finer.cost == Cost(steps=44, alone=72) and finer.ran == finer.calls == 24
        assert equal_to_single_runs(models, tmp_path, finer, range(9))
