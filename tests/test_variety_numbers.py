"""Distance and adherence beside each other: the five-point rule, also on pictures that were really blurred; what the page is told."""

import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image, ImageFilter

from core.adherence.clip import FOLDER as CLIP
from core.images.gallery import Gallery, Item
from core.jobs import JobView, Work
from core.models.library import Library
from core.recipe import Recipe, parse
from core.variety import COST, Blind, Stand, best, grid, rows, started, verdict
from tests import tiny_models
from ui import texts
from ui.served import Served
from ui.variety import numbers
from ui.variety.measuring import Measuring
from ui.variety.view import Varied

SHEETS = Path(__file__).parents[1] / "training" / "sheets"
PROMPT = "a small red rabbit on the left on a blue background"  # of the lower half of seeds.webp
EN = texts.of("en")
SIDE, SEEDS = 128, 4


def stand(apart: float, followed: float | None = None) -> Stand:
    return Stand(apart=apart, followed=followed)


@pytest.mark.parametrize(
    ("plain", "blind", "found"),
    [
        (stand(0.20), stand(0.30), "gain"),  # nobody knows what it costs
        (stand(0.20), stand(0.205), "none"),
        (stand(0.20, 90), stand(0.30, 90), "gain"),
        (stand(0.20, 90), stand(0.30, 85), "gain"),  # five points are not more than five
        (stand(0.20, 90), stand(0.30, 84.9), "cost"),
        (stand(0.20, 90), stand(0.10, 20), "none"),
        (stand(0.20, 100 * 0.7), stand(0.30, 100 * 0.65), "gain"),  # not by the last bit of a float
        (stand(0.20, 50), stand(0.30, 90), "gain"),
        (stand(0.20, None), stand(0.30, 10), "gain"),
    ],
)
def test_a_gain_is_not_paid_with_more_than_five_points(plain: Stand, blind: Stand, found: str) -> None:
    assert verdict(plain, blind) == found


def test_the_best_cell_follows_the_prompt() -> None:
    plain = stand(0.2, 90)
    assert best([plain, stand(0.3, 88), stand(0.6, 60), None], plain) == 1
    assert best([plain, stand(0.6, 60)], plain) == 0
    assert best([stand(0.2), stand(0.6)], stand(0.2)) == 1, "nobody knows"
    assert best([None, stand(0.6, 10)], None) == 1, "the plain run is not there yet"
    assert best([None, None], None) is None


# --- on pictures -------------------------------------------------------------------------------------------------------


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    house = Gallery(tmp_path / "out")
    yield house
    house.close()


def a_recipe(prompt: str = PROMPT, model: str = "demo-turbo", **fields: Any) -> Recipe:
    data = {"stepwise": 1, "model": model, "prompt": prompt, "seed": 1, "batch": SEEDS, **fields}
    return parse({"width": SIDE, "height": SIDE, **data})


def drawn() -> list[Image.Image]:
    """Four pictures that the demo model made of PROMPT."""
    with Image.open(SHEETS / "seeds.webp") as sheet:
        return [sheet.convert("RGB").crop((k * SIDE, 2 * SIDE, (k + 1) * SIDE, 3 * SIDE)) for k in range(SEEDS)]


def blurred() -> list[Image.Image]:
    """The same four, each blurred more than the one before: they differ, and none is a rabbit."""
    return [picture.filter(ImageFilter.GaussianBlur(6 + 12 * k)) for k, picture in enumerate(drawn())]


def kept(gallery: Gallery, pictures: Sequence[Image.Image], recipe: Recipe) -> list[Item]:
    return [gallery.add(picture, recipe, {}, "me") for picture in pictures]


def measured(models: Path, *sets: list[Item]) -> Measuring:
    measuring = Measuring(models)
    while measuring.read_on([item for items in sets for item in items], busy=False):
        pass
    return measuring


def test_blur_raises_the_distance_and_is_shown_as_none(models: Path, gallery: Gallery) -> None:
    plain, blind = kept(gallery, drawn(), a_recipe()), kept(gallery, blurred(), a_recipe())
    measuring = measured(models, plain, blind)
    above, below = measuring.stand(plain), measuring.stand(blind)
    assert above is not None and below is not None and above.followed is not None and below.followed is not None
    assert below.apart > 1.5 * above.apart, "by the distance alone it would be a gain"
    assert above.followed > 90 and below.followed < 70
    told = numbers.between(measuring, plain, blind, EN, single=False)
    assert told["verdict"] == "cost" and told["detail"].endswith("points: no gain")
    assert [line["bars"] != [] for line in told["lines"]] == [True, True]
    assert "(rabbit, red, blue, left, small)" in told["hint"]
    same = numbers.between(measuring, plain, plain, EN, single=False)
    assert same["verdict"] == "none" and same["detail"].endswith("no gain")


def test_until_all_is_read_nothing_is_claimed(models: Path, gallery: Gallery) -> None:
    plain, blind = kept(gallery, drawn(), a_recipe()), kept(gallery, blurred(), a_recipe())
    told = numbers.between(Measuring(models), plain, blind, EN, single=False)
    assert told["lines"][1]["text"] == EN("variety.followed.wait")
    assert told["verdict"] == "gain", "of the distance alone, until more is known"


@pytest.mark.parametrize(
    ("recipe", "why"),
    [
        (a_recipe(model="real.safetensors"), "variety.silence.none"),
        (a_recipe(prompt="a street at night"), "variety.silence.words"),
    ],
)
def test_where_nobody_measures_the_reason_stands_there(
    models: Path, gallery: Gallery, recipe: Recipe, why: str
) -> None:
    plain, blind = kept(gallery, drawn(), recipe), kept(gallery, blurred(), recipe)
    told = numbers.between(measured(models, plain, blind), plain, blind, EN, single=False)
    assert EN(why) in told["hint"] and len(told["lines"]) == 1


def test_clip_speaks_where_it_is_and_says_how_far_it_sees_them_apart(tmp_path: Path, gallery: Gallery) -> None:
    tiny_models.clip_model(tmp_path / "models" / CLIP / "tiny-clip")
    recipe = a_recipe(model="real.safetensors")
    plain, blind = kept(gallery, drawn(), recipe), kept(gallery, blurred(), recipe)
    told = numbers.between(measured(tmp_path / "models", plain, blind), plain, blind, EN, single=False)
    assert "tiny-clip" in told["hint"]
    assert [line["text"].split(" ")[0] for line in told["lines"]] == ["Seeds", "Prompt", "In"]


def test_a_damaged_clip_is_told_and_ends_the_looking(tmp_path: Path, gallery: Gallery) -> None:
    folder = tmp_path / "models" / CLIP / "tiny-clip"
    tiny_models.clip_model(folder)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-500])
    plain = kept(gallery, drawn(), a_recipe(model="real.safetensors"))
    measuring = measured(tmp_path / "models", plain)
    assert "model.safetensors is truncated" in numbers.hint(measuring, plain, EN)


def test_a_picture_that_is_gone_or_broken_does_not_stop_it(models: Path, gallery: Gallery) -> None:
    plain = kept(gallery, drawn(), a_recipe())
    plain[0].path.write_bytes(b"no picture")
    measuring = measured(models, plain)
    assert not measuring.waits(plain)


def test_48_pictures_are_measured_in_well_under_a_second(models: Path, gallery: Gallery) -> None:
    items = [item for _ in range(12) for item in kept(gallery, drawn(), a_recipe())]
    measuring = measured(models, items[:1])
    began, cpu, rounds = time.monotonic(), time.process_time(), 0
    while measuring.read_on(items, busy=False):
        rounds += 1
    assert time.process_time() - cpu < 0.9, "of CPU; 0.2 on an idle machine"
    assert rounds <= 2 + (time.monotonic() - began) / 0.2, "the page is told between"


# --- what the page is told ---------------------------------------------------------------------------------------------


def a_context(models: Path, views: list[JobView], gallery: Gallery) -> Any:
    jobs = SimpleNamespace(mine=lambda _: views)  # pyright: ignore[reportUnknownLambdaType]
    return SimpleNamespace(jobs=jobs, pipe=SimpleNamespace(library=Library(models)), gallery=gallery)


def a_job(gallery: Gallery, recipes: Sequence[Recipe], pictures: Sequence[Sequence[Image.Image]], name: str) -> JobView:
    """A finished job of these rows, its pictures made seed by seed."""
    work = Work(recipe=recipes[0], others=tuple(recipes[1:]), name=name)
    order = [(row, seed) for seed in range(SEEDS) for row in range(len(recipes))]
    made = {image: gallery.add(pictures[row][seed], recipes[row], {}, "me") for image, (row, seed) in enumerate(order)}
    return JobView(id="job", owner="me", work=work, filed=1.0, state="done", images=len(made), made=made)


def test_the_number_between_the_rows(models: Path, gallery: Gallery) -> None:
    recipe = started(a_recipe(), Blind())
    view = a_job(gallery, rows(recipe), [drawn(), blurred()], "rows")
    varied = Varied(a_context(models, [view], gallery), Served())
    number = varied.shown("me", EN)["shows"]["rows"]["parts"][1]
    assert number["lines"][1]["text"] == EN("variety.followed.wait")
    while varied.measure("me"):
        pass
    number = varied.shown("me", EN)["shows"]["rows"]["parts"][1]
    assert number["verdict"] == "cost" and number["lines"][1]["text"].startswith("Prompt followed: 100 of 100 plain")


def test_the_plot_shows_both_and_its_best_cell_keeps_the_rule(models: Path, gallery: Gallery) -> None:
    """Everything plain but one cell that is blurred, and one whose seeds are other pictures that follow as well."""
    recipes = grid(a_recipe(), Blind())
    with Image.open(SHEETS / "seeds.webp") as sheet:
        other = [sheet.convert("RGB").crop((k * SIDE, 3 * SIDE, (k + 1) * SIDE, 4 * SIDE)) for k in range(SEEDS)]
    moved = [other[0].rotate(4 * k, fillcolor=other[0].getpixel((0, 0))) for k in range(SEEDS)]
    pictures = [drawn()] * len(recipes)
    pictures[7], pictures[5] = blurred(), moved
    view = a_job(gallery, recipes, pictures, "grid")
    varied = Varied(a_context(models, [view], gallery), Served())
    while varied.measure("me"):
        pass
    told = varied.shown("me", EN)["shows"]["grid"]
    cells = [cell for row in told["rows"] for cell in row["cells"]]
    assert [cell["best"] for cell in cells].index(True) == 5
    assert cells[7]["share"] == 1 and cells[7]["costs"].endswith("points below the plain run at shift 3: no gain")
    assert cells[7]["told"].startswith("2 blind, zeros, shift 5: seeds differ by 0.")
    assert cells[5]["told"].endswith("of 100, the most of all") and not cells[5]["costs"]
    assert cells[0]["followed"] == "100" and cells[0]["level"] == 1
    assert f"more than {COST:g} points" in told["hint"]


def test_a_plot_in_the_making_says_what_it_can(models: Path, gallery: Gallery) -> None:
    recipes = grid(a_recipe(), Blind())
    view = a_job(gallery, recipes, [drawn()] * len(recipes), "grid")
    few = {image: item for image, item in view.made.items() if image < 3}
    varied = Varied(a_context(models, [replace(view, state="stopped", made=few)], gallery), Served())
    cells = [cell for row in varied.shown("me", EN)["shows"]["grid"]["rows"] for cell in row["cells"]]
    assert {cell["text"] for cell in cells} == {""} and cells[0]["told"].endswith("not made yet")
    assert not any(cell["best"] for cell in cells)


def test_a_copy_of_the_models_folder_without_a_judge(models: Path, tmp_path: Path, gallery: Gallery) -> None:
    shutil.copytree(models / "demo" / "scheduler", tmp_path / "models" / "demo" / "scheduler")
    plain = kept(gallery, drawn(), a_recipe())
    assert EN("variety.silence.none") in numbers.hint(measured(tmp_path / "models", plain), plain, EN)
