"""The queue: real threads, a real database, a small real worker; killed with -9 it comes back."""

import gc
import logging
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from PIL import Image

from core.errors import RecipeError, Refused, StorageError
from core.images import png
from core.images.gallery import Gallery
from core.images.preview import jpeg_data
from core.jobs import Jobs, JobView, Limits, Outlook, Picture, PipelineWorker, Progress
from core.pipeline import Pipeline
from core.recipe import Recipe, parse
from core.tree import Cost

ROOT = Path(__file__).parents[1]
LONG = 30.0  # seconds: a test that waits so long has failed


@dataclass
class TinyWorker:
    """A model of one convolution: real tensors, real steps, pictures that depend on the seed alone."""

    step_seconds: float = 0.0
    stops_early: bool = True  # keeps the half-done picture, as the pipeline does
    ran: list[str] = field(default_factory=list)
    at_once: int = 0
    last: weakref.ref[torch.Tensor] | None = None

    def run(self, recipe: Recipe, stop: Callable[[], str | None]) -> Iterator[Progress | Outlook | Picture]:
        self.ran.append(recipe.prompt)
        self.at_once += 1
        assert self.at_once == 1, "one worker, one job"
        try:
            yield Progress(phase="loading", what="tiny", share=0.5)
            yield Outlook(recipe=recipe.model_copy(update={"sampler": "euler"}), notes=())
            for image in range(recipe.batch):
                yield from self._image(recipe, image, stop)
                if stop() is not None:
                    return
        finally:
            self.at_once -= 1

    def cost(self, recipes: Sequence[Recipe]) -> Cost:
        steps = sum(recipe.batch * (recipe.steps or 4) for recipe in recipes)
        return Cost(steps=steps, alone=steps)

    def _image(
        self, recipe: Recipe, image: int, stop: Callable[[], str | None]
    ) -> Iterator[Progress | Outlook | Picture]:
        if recipe.prompt == "a bug":
            raise ZeroDivisionError("the worker's own")
        seed, steps = (recipe.seed + image) % 2**64, recipe.steps or 4
        x = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(seed % 2**63))
        self.last = weakref.ref(x)
        if recipe.prompt == "a mistake":
            raise RecipeError("{field} cannot be {value}.", field="cfg", value=3)
        blur = torch.full((3, 1, 3, 3), 1 / 9)
        partial = False
        for step in range(steps):
            if stop() == "now":
                partial = True
                break
            x = torch.nn.functional.conv2d(x, blur, padding=1, groups=3)
            time.sleep(self.step_seconds)
            yield Progress(
                phase="sampling", image=image, step=step + 1, steps=steps, sigma=1 / (step + 1),
                preview=jpeg_data(as_picture(x)),
            )  # fmt: skip
        alone = recipe.model_copy(update={"seed": seed, "batch": 1})
        yield Picture(image=image, picture=as_picture(x), recipe=alone, made_with={}, partial=partial)


def as_picture(x: torch.Tensor) -> Image.Image:
    pixels = (x[0].permute(1, 2, 0) * 127 + 128).clamp(0, 255).to(torch.uint8)
    return Image.fromarray(pixels.numpy(), "RGB")


def a_recipe(prompt: str = "a red rabbit", **fields: object) -> Recipe:
    return parse({"stepwise": 1, "prompt": prompt, "seed": 2**64 - 1, "steps": 4, **fields})


class House:
    """A queue with its gallery in a folder; opened again, it is the next start of the program."""

    patience = LONG

    def __init__(self, folder: Path, worker: TinyWorker | None = None, limits: Limits | None = None) -> None:
        self.worker = worker or TinyWorker()
        self.gallery = Gallery(folder / "out")
        self.jobs = Jobs(self.worker, self.gallery, folder / "jobs.sqlite", limits)

    def __enter__(self) -> "House":
        return self

    def __exit__(self, *reason: object) -> None:
        self.jobs.close()
        self.gallery.close()

    def wait(self, id: str, until: Callable[[JobView], bool] = lambda view: view.finished) -> JobView:
        deadline, view = time.monotonic() + self.patience, self.jobs.get(id)
        while not until(view):
            assert time.monotonic() < deadline, view
            view = self.jobs.watch(id, view.version, 1.0)
        return view


def stepping(view: JobView) -> bool:
    return view.phase == "sampling" and view.step > 0


def test_a_job_is_done_and_its_pictures_are_in_the_gallery(tmp_path: Path) -> None:
    with House(tmp_path) as house:
        id = house.jobs.submit(a_recipe(batch=3), "me")
        view = house.wait(id)
        assert (view.state, view.error, view.position, view.images) == ("done", None, 0, 3)
        assert [item.seed for item in view.items] == [2**64 - 1, 0, 1]
        assert [item.id for item in reversed(house.gallery.list(owner="me"))] == [item.id for item in view.items]
        assert all(png.read(item.path).recipe == item.recipe for item in view.items)
        assert view.recipe == a_recipe(batch=3) and view.resolved is not None and view.resolved.sampler == "euler"
        assert house.jobs.mine("me") == [view] and house.jobs.mine("you") == []


def test_watchers_see_every_stage_and_no_picture_before_it_is_saved(tmp_path: Path) -> None:
    with House(tmp_path, TinyWorker(step_seconds=0.01)) as house:
        id = house.jobs.submit(a_recipe(batch=2), "me")
        seen = [house.jobs.get(id)]
        while not seen[-1].finished:
            seen.append(house.jobs.watch(id, seen[-1].version, LONG))
            assert all(item.path.exists() for item in seen[-1].items)
        assert [view.version for view in seen] == sorted({view.version for view in seen})
        phases = [view.phase for view in seen]
        assert "sampling" in phases and phases[-1] == ""
        shown = [view for view in seen if any(view.previews)]
        assert shown and all(view.previews[0][:2] == b"\xff\xd8" and len(view.previews) == 2 for view in shown)
        assert seen[-1].previews == (), "a finished job keeps no previews in memory"


def test_watch_waits_and_gives_up(tmp_path: Path) -> None:
    with House(tmp_path) as house:
        view = house.wait(house.jobs.submit(a_recipe(), "me"))
        began = time.monotonic()
        assert house.jobs.watch(view.id, view.version, 0.2) == view
        assert 0.2 <= time.monotonic() - began < 5
        began = time.monotonic()
        assert house.jobs.watch(view.id, view.version + 7, LONG) == view, "a version of another start is no version"
        assert time.monotonic() - began < 5
        with pytest.raises(Refused, match="no such job"):
            house.jobs.watch("nonsense", 0, 0.1)


def test_owners_take_turns_and_see_their_position(tmp_path: Path) -> None:
    with House(tmp_path, TinyWorker(step_seconds=0.1)) as house:
        first = house.jobs.submit(a_recipe("a1"), "a")
        house.wait(first, lambda view: view.state == "running")
        ids = [house.jobs.submit(a_recipe(f"{owner}{n}", steps=1), owner) for owner, n in
               [("a", 2), ("a", 3), ("a", 4), ("b", 1), ("b", 2), ("c", 1)]]  # fmt: skip
        assert [house.jobs.get(id).position for id in ids] == [3, 5, 6, 1, 4, 2]
        for id in ids:
            house.wait(id)
        assert house.worker.ran == ["a1", "b1", "c1", "a2", "b2", "a3", "a4"]


def test_newcomers_do_not_push_back_who_has_waited(tmp_path: Path) -> None:
    with House(tmp_path, TinyWorker(step_seconds=0.1)) as house:
        for name in ("a1", "a2", "b1", "b2"):
            last = house.jobs.submit(a_recipe(name, steps=2), name[0])
        first_of_b = house.jobs.mine("b")[0].id
        house.wait(first_of_b, lambda view: view.state == "running")  # a has had its turn before
        for name in ("c1", "d1"):
            house.jobs.submit(a_recipe(name, steps=1), name[0])
        house.wait(last)
        assert house.worker.ran == ["a1", "b1", "a2", "c1", "d1", "b2"]


def test_a_failed_job_keeps_no_tensors(tmp_path: Path) -> None:
    with House(tmp_path) as house:
        view = house.wait(house.jobs.submit(a_recipe("a mistake", steps=2), "me"))
        assert view.state == "failed" and house.worker.last is not None
        gc.collect()
        assert house.worker.last() is None


def test_too_many_jobs_are_refused(tmp_path: Path) -> None:
    with House(tmp_path, TinyWorker(step_seconds=0.5), Limits(per_owner=2, total=3)) as house:
        running = house.jobs.submit(a_recipe(), "a")
        house.jobs.submit(a_recipe(), "a")
        with pytest.raises(Refused, match="You have 2 jobs"):
            house.jobs.submit(a_recipe(), "a")
        house.jobs.submit(a_recipe(), "b")
        with pytest.raises(Refused, match="queue is full"):
            house.jobs.submit(a_recipe(), "c")
        house.jobs.cancel(running, "a")
    with House(tmp_path) as again:
        assert len(again.jobs.mine("a")) == 2, "what was refused is not filed"


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"width": 1024, "height": 1032}, "pixels"),
        ({"steps": 101}, "steps"),
        ({"segments": [{"end": 2}, {"border": "restart", "steps": 101}]}, "steps"),
        ({"steps": 50, "init": {"image": "0" * 64, "denoise": 0.4}}, "steps"),
        ({"steps": 50, "init": {"image": "0" * 64, "denoise": 5e-324}}, "steps"),
        ({"batch": 5}, "At most 4"),
    ],
)
def test_a_guarded_house_refuses_large_jobs(fields: dict[str, object], word: str) -> None:
    limits = Limits.guarded()
    with pytest.raises(Refused, match=word):
        limits.check(a_recipe(**fields))
    Limits().check(a_recipe(**fields))
    limits.check(a_recipe(width=1024, height=1024, steps=100, batch=4))
    limits.check(parse({"stepwise": 1}))


def test_stop_now_answers_at_once_and_keeps_the_half_done_picture(tmp_path: Path) -> None:
    with House(tmp_path, TinyWorker(step_seconds=0.05)) as house:
        id = house.jobs.submit(a_recipe(steps=1000, batch=2), "me")
        house.wait(id, stepping)
        began = time.monotonic()
        with pytest.raises(Refused, match="somebody else"):
            house.jobs.cancel(id, "you")
        house.jobs.cancel(id, "me", "now")
        assert time.monotonic() - began < 0.5
        view = house.wait(id)
        assert view.state == "stopped" and time.monotonic() - began < 5
        assert len(view.items) == 1 and view.items[0].path.exists()


def test_stop_after_finishes_the_image_in_the_making(tmp_path: Path) -> None:
    with House(tmp_path, TinyWorker(step_seconds=0.02)) as house:
        id = house.jobs.submit(a_recipe(steps=10, batch=5), "me")
        house.wait(id, stepping)
        house.jobs.cancel(id, "me", "after")
        assert house.jobs.get(id).stopping == "after"
        view = house.wait(id)
        assert view.state == "stopped" and len(view.items) == 1
        last = house.jobs.submit(a_recipe(steps=10), "me")
        house.wait(last, stepping)
        house.jobs.cancel(last, "me", "after")
        assert house.wait(last).state == "done", "asked in the last image, nothing was left out"


def test_a_waiting_job_is_cancelled_without_running(tmp_path: Path) -> None:
    with House(tmp_path, TinyWorker(step_seconds=0.1)) as house:
        first = house.jobs.submit(a_recipe("first"), "me")
        second, third = (house.jobs.submit(a_recipe(name), "me") for name in ("second", "third"))
        house.jobs.cancel(second, "me")
        assert house.jobs.get(second).state == "stopped"
        assert house.wait(third).state == house.wait(first).state == "done"
        assert house.worker.ran == ["first", "third"]
        house.jobs.cancel(first, "me")
        assert house.jobs.get(first).state == "done", "too late is no error"
        assert (house.jobs.get(first).seconds or 0) > 0


def test_errors_end_a_job_and_not_the_queue(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with House(tmp_path) as house, caplog.at_level(logging.ERROR):
        mistake, bug, good = (house.jobs.submit(a_recipe(name), "me") for name in ("a mistake", "a bug", "good"))
        assert house.wait(good).state == "done"
        error = house.jobs.get(mistake).error
        assert error is not None and str(error) == "cfg cannot be 3." and error.values == {"field": "cfg", "value": 3}
        assert house.jobs.get(mistake).state == house.jobs.get(bug).state == "failed"
        assert "log" in str(house.jobs.get(bug).error) and "own" not in str(house.jobs.get(bug).error)
    assert "ZeroDivisionError: the worker's own" in caplog.text and "cannot be 3" not in caplog.text
    with House(tmp_path) as again:
        error = again.jobs.get(mistake).error
        assert error is not None and error.template == "{field} cannot be {value}." and str(error) == "cfg cannot be 3."


def test_a_picture_that_cannot_be_saved_is_told(tmp_path: Path) -> None:
    with House(tmp_path) as house:
        day = house.gallery.add(Image.new("RGB", (8, 8)), a_recipe(), {}, "me").path.parent
        for file in [*day.iterdir()]:
            file.unlink()
        day.rmdir()
        day.write_bytes(b"a file where the folder should be")
        view = house.wait(house.jobs.submit(a_recipe(), "me"))
        assert view.state == "failed" and isinstance(view.error, StorageError)
        day.unlink()
        assert house.wait(house.jobs.submit(a_recipe(), "me")).state == "done"


def test_a_job_goes_on_when_nobody_watches(tmp_path: Path) -> None:
    with House(tmp_path, TinyWorker(step_seconds=0.02)) as house:
        id = house.jobs.submit(a_recipe(), "me")
        watcher = threading.Thread(target=house.jobs.watch, args=(id, -1, 0.01))
        watcher.start()
        watcher.join()
        deadline = time.monotonic() + LONG
        while house.gallery.count("me") == 0:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_old_jobs_are_forgotten_and_their_pictures_stay(tmp_path: Path) -> None:
    with House(tmp_path, limits=Limits(remembered=3)) as house:
        ids = [house.jobs.submit(a_recipe(), "me") for _ in range(6)]
        for id in reversed(ids):
            if id in [view.id for view in house.jobs.mine("me")]:
                house.wait(id)
        assert [view.id for view in house.jobs.mine("me")] == ids[3:] and house.gallery.count() == 6
    with House(tmp_path) as again:
        assert [view.id for view in again.jobs.mine("me")] == ids[3:]


def test_close_stops_within_a_step_and_the_queue_goes_on_at_the_next_start(tmp_path: Path) -> None:
    with House(tmp_path, TinyWorker(step_seconds=0.05)) as house:
        running = house.jobs.submit(a_recipe(steps=40, batch=1), "me")
        waiting = house.jobs.submit(a_recipe("waiting"), "me")
        house.wait(running, stepping)
        began = time.monotonic()
        house.jobs.close()
        assert time.monotonic() - began < 5
        assert house.gallery.count() == 0, "the half-done picture is not kept: it is made whole later"
    with House(tmp_path) as again:
        assert [again.wait(id).state for id in (running, waiting)] == ["done", "done"]
        assert again.worker.ran == ["a red rabbit", "waiting"] and again.gallery.count() == 2


def test_a_second_program_on_the_same_queue_is_refused(tmp_path: Path) -> None:
    house = House(tmp_path)
    with pytest.raises(StorageError, match="another Stepwise"):
        House(tmp_path)
    house.jobs.close()
    with pytest.raises(Refused, match="closing"):
        house.jobs.submit(a_recipe(), "me")
    with House(tmp_path) as again:
        assert again.jobs.mine("me") == []


KILLED = """
import sys
from pathlib import Path
from tests.test_jobs import House, TinyWorker, a_recipe
house = House(Path(sys.argv[1]), TinyWorker(step_seconds=0.03))
job = house.jobs.submit(a_recipe("killed", batch=3, steps=8), "me")
house.jobs.submit(a_recipe("waiting"), "you")
told = house.jobs.submit(a_recipe("told to stop, too late"), "me")
house.jobs.cancel(told, "me")
house.wait(job, lambda view: len(view.items) == 1 and view.image == 1 and view.step > 1)
sys.stdout.write(job + chr(10))
sys.stdout.flush()
house.wait(job, lambda view: len(view.items) == 3)
"""


@pytest.mark.skipif(os.name != "posix", reason="kill -9 is POSIX")
def test_killed_with_9_the_queue_comes_back_and_nothing_is_made_twice(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert child.stdout is not None
    job = child.stdout.readline().strip()
    child.send_signal(signal.SIGKILL)
    assert child.wait(LONG) == -signal.SIGKILL
    pictures = [*(tmp_path / "out").glob("*/*.png")]
    assert len(pictures) == 1 and png.read(pictures[0]).recipe is not None
    before = pictures[0].stat().st_mtime_ns
    with House(tmp_path) as house:
        assert house.gallery.sync() == (0, 0)
        kept = house.jobs.get(job).items
        view = house.wait(job)
        assert view.state == "done" and [item.seed for item in view.items] == [2**64 - 1, 0, 1]
        assert view.items[: len(kept)] == kept and pictures[0].stat().st_mtime_ns == before
        (other,) = house.jobs.mine("you")
        assert house.wait(other.id).state == "done" and house.gallery.count() == 4
        assert sorted(house.worker.ran) == ["killed", "waiting"]
        assert [view.state for view in house.jobs.mine("me")] == ["done", "stopped"]
    assert not [*tmp_path.glob("out/*/.*.tmp")]


def test_the_real_pipeline_does_the_work(models: Path, tmp_path: Path) -> None:
    """Progress, previews and both ends of a job with the demo model; a picture's own recipe gives its pixels again."""
    pipe = Pipeline(models=models, device="cpu", trajectory_bytes=0, data=tmp_path / "data")
    gallery = Gallery(tmp_path / "out")
    jobs = Jobs(PipelineWorker(pipe), gallery, tmp_path / "jobs.sqlite")
    try:
        seen: dict[str, list[JobView]] = {"whole": [], "stopped": []}
        for name, steps in (("whole", 3), ("stopped", 1000)):
            view = jobs.get(jobs.submit(a_recipe(seed=5, steps=steps, batch=2, width=64, height=64), "me"))
            while not view.finished:
                view = jobs.watch(view.id, view.version, LONG)
                seen[name].append(view)
                if name == "stopped" and view.step > 1:
                    jobs.cancel(view.id, "me")
        whole, stopped = seen["whole"][-1], seen["stopped"][-1]
        assert (whole.state, whole.error, [item.seed for item in whole.items]) == ("done", None, [5, 6])
        assert {"sampling", "decoding"} <= {view.phase for view in seen["whole"]}
        assert any(all(view.previews) for view in seen["whole"] if view.previews), "both images were seen to grow"
        assert stopped.state == "stopped" and "stopped_at_step" in stopped.items[0].made_with
        again = pipe.generate(png.read(whole.items[1].path).recipe or a_recipe())
        assert again.images[0].tobytes() == Image.open(whole.items[1].path).tobytes()
    finally:
        jobs.close()
