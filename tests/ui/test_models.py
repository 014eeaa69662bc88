"""What families are told in place of cfg, as the form shows it; what the models tab says, and to whom."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from core import Pipeline
from core.models.catalogue import OFFERS
from core.recipe import parse
from tests import tiny_models
from ui import form, texts
from ui.bindings import CONTROLS, pack
from ui.models import Storeroom

EN = texts.of("en")


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Flux dev and Z-Image as tiny folders."""
    root = tmp_path_factory.mktemp("models")
    tiny_models.flux(root / "flux")
    tiny_models.z_image(root / "tiny-turbo")
    pipe = Pipeline(models=root, device="cpu", data=tmp_path_factory.mktemp("data"))
    return SimpleNamespace(pipe=pipe, guarded=False, language="en")


def event(**data: str) -> Any:
    return SimpleNamespace(_data=data)


def request() -> Any:
    return SimpleNamespace(headers={}, cookies={}, username=None)


def test_a_shift_that_follows_the_size(context: Any) -> None:
    """Flux dev: mu is linear in the patches, 0.5 at 256 and 1.15 at 4096; e^1.15 = 3.158."""
    flux = form.model_of(context, "flux")
    assert form.ghost(flux.own({"size": {"width": 1024, "height": 1024}})["shift"]) == "3.158"
    assert form.ghost(flux.own({"size": {"width": 256, "height": 256}})["shift"]) == "1.649"
    assert flux.own({})["guidance"] == 3.5 and flux.lacks == ("clip_skip", "prediction")
    assert form.model_of(context, "tiny-turbo").lacks == ("guidance", "clip_skip", "prediction")


def test_what_is_the_model_s_own_is_left_to_it(context: Any) -> None:
    """A resolved recipe opened again: nothing pinned that follows the size; what was set stays."""
    own = context.pipe.resolve(parse({"stepwise": 1, "model": "flux", "width": 64, "height": 64}))
    shown = form.complete(context, own)
    assert shown["shift"] is None and shown["guidance"] is None and own.shift and own.guidance == 3.5
    assert context.pipe.resolve(pack([shown[name] for name in CONTROLS])) == own
    told = own.model_copy(update={"shift": 2.0, "guidance": 5.0})
    shown = form.complete(context, told)
    assert (shown["shift"], shown["guidance"]) == (2.0, 5.0)


def test_what_a_model_lacks_is_emptied(context: Any) -> None:
    """Guidance set on Flux, then Z-Image chosen: the run is not refused."""
    before, now = form.model_of(context, "flux"), form.model_of(context, "tiny-turbo")
    values = form.complete(context, parse({"stepwise": 1, "model": "flux", "guidance": 5.0, "shift": 2.0}))
    changed = form.without(form.other_model(values, before, now), now)
    assert (changed["guidance"], changed["shift"], changed["steps"], changed["cfg"]) == (None, 2.0, 9, 1.0)
    assert context.pipe.resolve(pack([changed[name] for name in CONTROLS])).shift == 2.0
    assert form.reasons(changed, now)["guidance"] == "guidance.reason"


def test_a_model_that_is_not_here_closes_nothing(context: Any) -> None:
    assert form.model_of(context, "gone").lacks == ()


def test_a_guarded_server_gets_and_changes_nothing(context: Any, tmp_path: Path) -> None:
    """No downloads, no word about files, no folder's place."""
    pipe = Pipeline(models=context.pipe.library.root, device="cpu", data=tmp_path, downloads=False)
    room = Storeroom(SimpleNamespace(pipe=pipe, guarded=True, language="en"))
    shown = room.get(event(id="sd15"), request())
    assert "not downloaded on a shared server" in shown["progress"]["error"]
    assert shown["closed"] == EN("models.guarded") and shown["progress"]["state"] == ""
    (table,) = room.tell(event(name="tiny-turbo", variant="base"), request())
    rows = {row["name"]: row for row in table["models"]}
    assert rows["tiny-turbo"]["variant"] == "turbo" and table["folder"] == "models/" and not table["writable"]
    assert not pipe.downloads.running


def test_a_variant_is_told(context: Any) -> None:
    room = Storeroom(context)
    (table,) = room.tell(event(name="tiny-turbo", variant="base"), request())
    rows = {row["name"]: row for row in table["models"]}
    assert rows["tiny-turbo"]["family"] == "Z-Image" and rows["tiny-turbo"]["variants"] == ["turbo", "base"]
    assert context.pipe.resolve(parse({"stepwise": 1, "model": "tiny-turbo"})).steps == 30
    (table,) = room.tell(event(name="flux", variant="base"), request())
    assert "variant" in table["error"]
    room.tell(event(name="tiny-turbo", variant="turbo"), request())


def test_a_model_in_memory_follows_its_variant(context: Any) -> None:
    """Loaded as Turbo, then said to be the base: the next run takes the base's shift."""
    recipe = parse({"stepwise": 1, "model": "tiny-turbo", "width": 32, "height": 32, "steps": 1})
    assert context.pipe.generate(recipe).recipe.shift == 3.0
    context.pipe.library.variants.tell("tiny-turbo", "z_image", "base")
    assert context.pipe.generate(recipe).recipe.shift == 6.0
    context.pipe.library.variants.tell("tiny-turbo", "z_image", "turbo")


def test_every_offer_is_shown_alike(context: Any) -> None:
    """Two watchers of one page tell its value by turns: the same places always."""
    room = Storeroom(context)
    idle = next(room.watch(request()))
    assert [offer["id"] for offer in idle["offers"]] == list(OFFERS)
    failed = room.get(event(id="nothing"), request())
    assert idle.keys() == failed.keys() and idle["progress"].keys() == failed["progress"].keys()


def test_a_memory_level_is_said_and_obeyed(context: Any) -> None:
    """The next picture is made on it, and the line says so; another name is refused; on a shared server nothing is changed."""
    room = Storeroom(context)
    assert room.look(request())["level"] == "auto" and room.look(request())["levels"][0] == "auto"
    said = room.force(event(level="stream"), request())
    assert said["level"] == "stream" and not said["error"]
    run = parse({"stepwise": 1, "model": "tiny-turbo", "prompt": "a", "width": 32, "height": 32, "steps": 1})
    context.pipe.generate(run)
    told = room.look(request())["memory"]
    assert "stream" in told and "block by block, as the memory setting says" in told
    refused = room.force(event(level="low"), request())
    assert "auto, resident, swap, stream, fp8" in refused["error"] and refused["level"] == "stream"
    guarded: Any = SimpleNamespace(pipe=context.pipe, guarded=True, language="en")
    assert not Storeroom(guarded).force(event(level="fp8"), request())["writable"] and context.pipe.memory == "stream"
    room.force(event(level="auto"), request())
    context.pipe.generate(run)
    assert context.pipe.residency.level == "resident"
