"""Endless jobs: new seeds until stopped, others go first, a limit or a full disk ends them, and a restart does not."""

import os
import shutil
from pathlib import Path

import pytest

from core.errors import Refused, StorageError
from core.jobs import Limits, Work
from core.pipeline import Pipeline
from core.variety import Blind, started
from tests.test_jobs import House, TinyWorker, a_recipe, stepping

MIB = 2**20


def endless(batch: int = 1, prompt: str = "a red rabbit") -> Work:
    return Work(recipe=a_recipe(prompt, batch=batch, seed=5, steps=2), endless=True, name="endless")


def made(count: int):  # type: ignore[no-untyped-def]
    return lambda view: len(view.made) >= count or view.finished


def test_it_draws_seeds_until_it_is_stopped(tmp_path: Path) -> None:
    with House(tmp_path) as house:
        id = house.jobs.file(endless(batch=2), "me")
        view = house.wait(id, made(6))
        assert view.state == "running" and view.seconds_left == 0
        house.jobs.cancel(id, "me", "after")
        view = house.wait(id)
        assert view.state == "stopped" and view.error is None and view.images >= 6
        seeds = [item.seed for item in view.items]
        assert seeds[:2] == [5, 6], "the first round is the recipe's own seed"
        assert len(set(seeds)) == len(seeds) and all(seed < 2**32 + 2 for seed in seeds)
        assert len({item.series for item in view.items}) == 1, "one tile in the gallery"


def test_stop_now_is_now(tmp_path: Path) -> None:
    with House(tmp_path, TinyWorker(step_seconds=0.05)) as house:
        id = house.jobs.file(endless(), "me")
        house.wait(id, stepping)
        house.jobs.cancel(id, "me", "now")
        assert house.wait(id).state == "stopped"


def test_others_go_first(tmp_path: Path) -> None:
    """One's own later job and a stranger's: both run before the next round, and then it goes on."""
    with House(tmp_path, TinyWorker(step_seconds=0.02)) as house:
        id = house.jobs.file(endless(), "me")
        house.wait(id, stepping)
        others = [house.jobs.submit(a_recipe(name, steps=1), name[0]) for name in ("me too", "you")]
        for other in others:
            house.wait(other)
        before = len(house.jobs.get(id).made)
        assert not house.jobs.get(id).finished
        assert {"me too", "you"} <= set(house.worker.ran[:3]), "no further round before them"
        house.wait(id, made(before + 2))
        house.jobs.cancel(id, "me", "after")


def test_two_of_them_take_turns(tmp_path: Path) -> None:
    with House(tmp_path) as house:
        ids = [house.jobs.file(endless(prompt=owner), owner) for owner in ("a", "b")]
        for id in ids:
            house.wait(id, made(3))
        for owner, id in zip("ab", ids, strict=True):
            house.jobs.cancel(id, owner, "after")
            house.wait(id)
        first = house.worker.ran[:6]
        assert abs(first.count("a") - first.count("b")) <= 2, first


def test_a_waiting_one_is_stopped_at_once(tmp_path: Path) -> None:
    with House(tmp_path, TinyWorker(step_seconds=0.2)) as house:
        house.jobs.submit(a_recipe("long", steps=4), "you")
        id = house.jobs.file(endless(), "me")
        house.jobs.cancel(id, "me", "now")
        assert house.jobs.get(id).state == "stopped"


def test_a_restart_goes_on_where_it_was(tmp_path: Path) -> None:
    with House(tmp_path) as house:
        id = house.jobs.file(endless(), "me")
        before = house.wait(id, made(3))
        house.jobs.star(id, "me", 1, True)
    with House(tmp_path) as house:
        view = house.wait(id, made(len(before.made) + 2))
        assert not view.finished and view.work == endless()
        assert view.starred == {1}
        seeds = [item.seed for item in view.items]
        assert seeds[: len(before.made)] == [item.seed for item in before.items] and len(set(seeds)) == len(seeds)
        house.jobs.cancel(id, "me", "after")
        house.wait(id)
    with House(tmp_path) as house:
        assert house.jobs.get(id).state == "stopped", "stopped stays stopped"


def test_a_limit_of_pictures_ends_it(tmp_path: Path) -> None:
    with House(tmp_path, limits=Limits(pictures=5)) as house:
        view = house.wait(house.jobs.file(endless(batch=2), "me"))
        assert (view.state, len(view.made)) == ("done", 4)
        assert str(view.error) == "The endless run has ended: it may make 5 pictures here."
    assert Limits.guarded().pictures is not None, "strangers always have one"


def test_a_disk_that_fills_up_ends_it(tmp_path: Path) -> None:
    """A real disk with a real limit, and a real file that takes the room."""
    limit = shutil.disk_usage(tmp_path).free - 200 * MIB
    with House(tmp_path, TinyWorker(step_seconds=0.02), Limits(free_bytes=limit)) as house:
        id = house.jobs.file(endless(), "me")
        house.wait(id, made(1))
        with (tmp_path / "ballast").open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, 400 * MIB)
        view = house.wait(id)
        (tmp_path / "ballast").unlink()
        assert view.state == "done" and len(view.made) >= 1
        assert isinstance(view.error, StorageError) and "of the disk is free" in str(view.error)
    with House(tmp_path, limits=Limits(free_bytes=limit)) as house:
        assert "of the disk is free" in str(house.jobs.get(id).error), "it is still told after a restart"


def test_without_room_it_does_not_begin(tmp_path: Path) -> None:
    with House(tmp_path, limits=Limits(free_bytes=2**62)) as house:
        with pytest.raises(StorageError, match="of the disk is free"):
            house.jobs.file(endless(), "me")
        assert house.jobs.mine("me") == []
        house.wait(house.jobs.submit(a_recipe(), "me"))  # what ends by itself is not kept from the last of the disk


def test_all_but_the_starred_are_swept_away(tmp_path: Path) -> None:
    with House(tmp_path, limits=Limits(pictures=4)) as house:
        id = house.jobs.file(endless(), "me")
        view = house.wait(id)
        for other in (lambda: house.jobs.sweep_away(id, "you"), lambda: house.jobs.star(id, "you", 0, True)):
            with pytest.raises(Refused, match="somebody else"):
                other()
        for image in (0, 2, 3):
            house.jobs.star(id, "me", image, True)
        house.jobs.star(id, "me", 3, False)
        assert house.jobs.sweep_away(id, "me") == 2
        assert house.jobs.sweep_away(id, "me") == 0
        kept = house.jobs.get(id)
        assert set(kept.made) == {0, 2} == kept.starred and kept.swept == {1, 3}
        assert all(item.path.exists() == (image in kept.made) for image, item in view.made.items())
    with House(tmp_path) as house:
        again = house.jobs.get(id)
        assert set(again.made) == {0, 2} == again.starred and again.swept == {1, 3}


def test_swept_pictures_are_not_made_again(tmp_path: Path) -> None:
    with House(tmp_path) as house:
        id = house.jobs.file(endless(), "me")
        house.wait(id, made(3))
        assert house.jobs.sweep_away(id, "me") >= 3
    with House(tmp_path) as house:
        view = house.wait(id, made(2))
        assert min(view.made) >= 3 and {0, 1, 2} <= view.swept
        house.jobs.cancel(id, "me", "after")


def test_rows_come_back_with_what_was_handed_over(models: Path, tmp_path: Path) -> None:
    """The real pipeline: how each picture stood after its blind steps is kept with the job, and the plain run has no such moment."""
    from core.jobs import PipelineWorker

    recipe = a_recipe("a red apple", batch=2, seed=1, steps=3, model="demo", width=64, height=64)
    work = Work(recipe=recipe, others=(started(recipe, Blind(steps=1)),), name="rows")
    pipe = Pipeline(models=models, device="cpu", data=tmp_path / "data")
    with House(tmp_path, PipelineWorker(pipe)) as house:  # type: ignore[arg-type]
        house.patience = 240.0  # the model libraries are imported first, and the machine may be busy
        view = house.wait(house.jobs.file(work, "me"))
        assert (view.state, view.images, len(view.made)) == ("done", 4, 4)
        assert view.cost is not None and view.cost.alone == 12
        assert set(view.handed) == {1, 3}, "the blind ones"
        frame = view.handed[1]
        assert (frame.step, frame.start, frame.border) == (1, 1, True) and frame.jpeg[:2] == b"\xff\xd8"
        assert pipe.trajectories.get(frame.key) is not None and 0 <= frame.stripes <= 1
    with House(tmp_path) as house:
        again = house.jobs.get(view.id)
        assert again.handed == view.handed and again.work == work
