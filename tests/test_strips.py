"""Strips: fixed recipes in the queue, their pictures kept by all that decides them and shown to everybody."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import ImageChops

from core import Pipeline, Recipe
from core.images.files import opened
from core.images.gallery import Gallery, Item
from core.jobs import Jobs, JobView, PipelineWorker, Work
from core.strips import Strips

LONG = 120.0
FIRST = Recipe(stepwise=1, prompt="a red rabbit", seed=7, steps=3, cfg=5.0)
ROWS = (FIRST, FIRST.model_copy(update={"cfg": 2.0}), FIRST.model_copy(update={"prompt": "a red rabbit, pixelart"}))
STRIP = Work(recipe=ROWS[0], others=ROWS[1:], name="cfg", shared=True)


class House:
    """A pipeline, its queue and its strips over folders of their own."""

    def __init__(self, folder: Path, models: Path) -> None:
        self.pipe = Pipeline(models, device="cpu", data=folder / "data")
        self.strips = Strips(folder / "data" / "strips", self.pipe)
        self.gallery = Gallery(folder / "out")
        self.jobs = Jobs(PipelineWorker(self.pipe), self.gallery, folder / "jobs.sqlite", shelf=self.strips)

    def made(self, owner: str = "me") -> JobView:
        id = self.jobs.file(STRIP, owner)
        view = self.jobs.get(id)
        while not view.finished:
            view = self.jobs.watch(id, view.version, LONG)
        assert view.state == "done", view.error
        return view

    def close(self) -> None:
        self.jobs.close()
        self.pipe.close()
        self.gallery.close()


@pytest.fixture
def house(tmp_path: Path, models: Path) -> Iterator[House]:
    found = House(tmp_path, models)
    yield found
    found.close()


def same(one: Item, other: Item) -> bool:
    with opened(one.path) as a, opened(other.path) as b:
        return ImageChops.difference(a.convert("RGB"), b.convert("RGB")).getbbox() is None


def test_the_second_visitor_costs_no_model_call(house: House) -> None:
    cold = house.made("one")
    assert cold.calls == 9 and [*cold.made] == [0, 1, 2], "three steps each; one pass for both halves of CFG"
    keys = house.strips.keys(ROWS)
    assert [item.id for item in cold.items] == keys and len(set(keys)) == 3
    warm = house.made("two")
    assert (warm.calls, warm.ran) == (0, 0) and warm.items == cold.items
    assert house.gallery.count() == 0, "they are nobody's"
    found = house.strips.find(keys[0])
    assert found is not None and found.recipe.cfg == 5.0 and float(found.made_with["seconds"]) > 0
    assert found.made_with["model_calls"] == "3"


def test_another_model_of_that_name_makes_other_pictures(house: House, tmp_path: Path, models: Path) -> None:
    before = house.made().items
    swapped = tmp_path / "swapped"
    shutil.copytree(models / "demo", swapped / "demo")
    _bend(swapped / "demo" / "unet" / "diffusion_pytorch_model.safetensors")
    other = House(tmp_path / "other", swapped)
    shutil.copytree(house.strips.folder, other.strips.folder)  # even where the old cache is still there
    after = other.made().items
    assert not {item.id for item in before} & {item.id for item in after}
    assert not any(same(a, b) for a, b in zip(before, after, strict=True))
    other.close()


def _bend(file: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(file)
    name = "conv_out.weight"
    tensors[name] = tensors[name] * 0.9
    save_file(tensors, file, metadata={"format": "pt"})


def test_what_is_damaged_or_deleted_is_made_again(house: House) -> None:
    first = house.made().items
    first[0].path.write_bytes(b"no picture")
    first[1].path.unlink()
    again = house.made()
    assert again.calls == 0, "their steps are still known"
    assert [item.id for item in again.items] == [item.id for item in first]
    assert house.strips.find(first[0].id) is not None and house.strips.find(first[1].id) is not None


def test_keys_follow_what_a_recipe_names(house: House) -> None:
    plain, tagged, named, defaulted = house.strips.keys(
        [
            FIRST,
            FIRST.model_copy(update={"prompt": "a red rabbit <lora:pixel-art:1>"}),
            FIRST.model_copy(update={"prompt": "a red rabbit, moonlit"}),
            FIRST.model_copy(update={"sampler": "euler", "scheduler": "normal"}),
        ]
    )
    assert len({plain, tagged, named}) == 3
    assert defaulted == plain, "what a recipe leaves to the model is the same as saying it"


def test_old_pictures_make_room(house: House, tmp_path: Path) -> None:
    items = house.made().items
    few = Strips(house.strips.folder, house.pipe, most=2)
    with opened(items[0].path) as picture:
        few.add(picture.convert("RGB"), FIRST, {}, "", "0" * 64)
    assert len(list(house.strips.folder.glob("*.png"))) == 2
    assert few.find("0" * 64) is not None


@pytest.mark.parametrize("id", ["", "../../etc/passwd", "0" * 63, "G" * 64, "0" * 64 + "/"])
def test_only_keys_are_looked_up(house: House, id: str) -> None:
    assert house.strips.find(id) is None


def test_a_stopped_strip_keeps_no_half_picture(house: House) -> None:
    long = FIRST.model_copy(update={"steps": 500})
    id = house.jobs.file(Work(recipe=long, others=(FIRST,), shared=True), "me")
    view = house.jobs.watch(id, -1, LONG)
    while not (view.phase == "sampling" and view.step):
        view = house.jobs.watch(id, view.version, LONG)
    house.jobs.cancel(id, "me")
    while not view.finished:
        view = house.jobs.watch(id, view.version, LONG)
    assert view.state == "stopped" and not view.made
    assert house.strips.find(house.strips.keys([long])[0]) is None


def test_what_somebody_waits_for_goes_before_the_rest_of_a_strip(house: House) -> None:
    """One's own picture and a stranger's; the strip then goes on where it was, and makes nothing twice."""
    rows = tuple(row.model_copy(update={"steps": 20}) for row in ROWS)
    strip = house.jobs.file(Work(recipe=rows[0], others=rows[1:], name="cfg", shared=True), "me")
    view = house.jobs.watch(strip, -1, LONG)
    while not view.phase:
        view = house.jobs.watch(strip, view.version, LONG)
    waited = [house.jobs.submit(FIRST.model_copy(update={"seed": seed}), owner) for seed, owner in ((1, "me"), (2, "you"))]
    for id in waited:
        one = house.jobs.get(id)
        while not one.finished:
            one = house.jobs.watch(id, one.version, LONG)
    assert len(house.jobs.get(strip).made) < len(ROWS)
    view = house.jobs.get(strip)
    while not view.finished:
        view = house.jobs.watch(strip, view.version, LONG)
    assert view.calls == 60 and view.seconds is not None
    assert view.seconds >= sum(float(item.made_with["seconds"]) for item in view.items), "all its turns count"
