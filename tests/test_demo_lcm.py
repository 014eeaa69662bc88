"""The LCM LoRA that ships with the demo model: whole, small, and worth its four steps without guidance."""

import json
from pathlib import Path

import numpy as np
import pytest
from diffusers import UNet2DConditionModel

from core import Pipeline
from core.models.lora.file import LoraFile, read
from core.recipe import Recipe, parse
from training import lcm
from training.scenes import SIDE

ROOT = Path(__file__).parents[1]
PRESET = ROOT / "presets" / "lora-3-lcm.json"
CAPTIONS = (
    "a big red rabbit on a blue background",
    "a small green frog on the left on a pink background",
    "a yellow star on a black background",
    "a big orange car on a gray background",
)
LCM = {"loras": [{"name": lcm.NAME}], "sampler": "lcm", "cfg": 1.0, "steps": 4}


@pytest.fixture(scope="module")
def shipped() -> LoraFile:
    return read(ROOT / "models" / "loras" / f"{lcm.NAME}.safetensors")


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return Pipeline(models=ROOT / "models", data=tmp_path_factory.mktemp("data"))


def drawn(app: Pipeline, **fields: object) -> np.ndarray:
    """One picture of each caption, each with a seed of its own: float [N, 128, 128, 3]."""
    base = {"stepwise": 1, "model": "demo", "width": SIDE, "height": SIDE, "steps": 20, "cfg": 5.0} | fields
    recipes: list[Recipe] = [parse(base | {"prompt": words, "seed": 40 + k}) for k, words in enumerate(CAPTIONS)]
    return np.stack([np.asarray(app.generate(recipe).images[0].convert("RGB"), float) for recipe in recipes])


def off(made: np.ndarray, whole: np.ndarray) -> float:
    """Mean RMS difference of the pictures, 0..255."""
    return float(np.sqrt(((made - whole) ** 2).mean((1, 2, 3))).mean())


def test_it_says_what_it_is(shipped: LoraFile) -> None:
    assert (shipped.family, shipped.rank, shipped.title) == ("sd15", lcm.RANK, "LCM: four steps")
    assert not shipped.has_text and not shipped.trigger_words
    assert shipped.path.stat().st_size < 1.5 * 2**20


def test_all_of_it_fits_the_demo(shipped: LoraFile) -> None:
    match = shipped.match({"unet": UNet2DConditionModel.from_pretrained(ROOT / "models" / "demo" / "unet")})
    assert match.applied == match.total > 100 and not match.unmatched


def test_four_steps_with_it_are_nearer_to_twenty_than_four_without(app: Pipeline) -> None:
    """With the schedule that a recipe has by itself, with the one of the preset, and with the distilled table."""
    whole = drawn(app)
    without = off(drawn(app, steps=4), whole)
    unguided = off(drawn(app, steps=4, cfg=1.0, sampler="lcm", scheduler="sgm_uniform"), whole)
    for more in ({}, {"scheduler": "sgm_uniform"}, {"scheduler": "sgm_uniform", "prediction": "lcm"}):
        found = off(drawn(app, **LCM, **more), whole)
        assert found < 0.95 * without and found < 0.95 * unguided, (more, found, without, unguided)


def test_the_preset_is_what_was_measured(app: Pipeline) -> None:
    recipe = parse(json.loads(PRESET.read_text(encoding="utf-8")))
    assert (recipe.sampler, recipe.cfg, recipe.steps) == (LCM["sampler"], LCM["cfg"], LCM["steps"])
    assert [lora.name for lora in recipe.loras] == [lcm.NAME] and recipe.scheduler == "sgm_uniform"
    assert len(app.generate(recipe).images) == 1
