"""The LoRA that ships with the demo model: whole, small, known by its trigger word, and plain to see in a picture."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import UNet2DConditionModel
from transformers import CLIPTextModel

from core import Pipeline
from core.errors import ModelError
from core.models.lora.file import LoraFile, read
from core.recipe import Recipe, parse
from training import lora
from training.scenes import SIDE

ROOT = Path(__file__).parents[1]
PRESET = ROOT / "presets" / "split-4-lora-from-step-6.json"


@pytest.fixture(scope="module")
def shipped() -> LoraFile:
    return read(ROOT / "models" / "loras" / f"{lora.NAME}.safetensors")


def recipe(**fields: object) -> Recipe:
    base = {"stepwise": 1, "model": "demo", "seed": 7, "steps": 20, "cfg": 5.0, "width": SIDE, "height": SIDE}
    return parse(base | {"prompt": f"{lora.TRIGGER}, a big red rabbit on a blue background"} | fields)


def cells(picture: np.ndarray) -> np.ndarray:
    """The squares of a picture: [16, 16, pixels, 3]."""
    side = SIDE // lora.CELLS
    return picture.reshape(lora.CELLS, side, lora.CELLS, side, 3).swapaxes(1, 2).reshape(lora.CELLS, lora.CELLS, -1, 3)


def test_it_says_what_it_is(shipped: LoraFile) -> None:
    assert (shipped.family, shipped.rank, shipped.title) == ("sd15", lora.RANK, "Pixel art")
    assert shipped.trigger_words == (lora.TRIGGER,) and shipped.tags[0][0] == lora.TRIGGER
    assert shipped.has_text and shipped.path.stat().st_size < 2**20


def test_all_of_it_fits_the_demo(shipped: LoraFile) -> None:
    folder = ROOT / "models" / "demo"
    unet = UNet2DConditionModel.from_pretrained(folder / "unet")
    text = CLIPTextModel.from_pretrained(folder / "text_encoder")
    match = shipped.match({"unet": unet, "text_encoder": text})
    assert match.applied == match.total > 100 and not match.unmatched
    assert set(match.deltas) == {"unet", "text_encoder"}


def test_a_model_of_sd15s_size_refuses_it_in_words(shipped: LoraFile) -> None:
    with torch.device("meta"):
        unet = UNet2DConditionModel(cross_attention_dim=768)
    with pytest.raises(ModelError, match="their sizes differ"):
        shipped.match({"unet": unet})


def test_it_turns_pictures_into_squares(tmp_path: Path) -> None:
    """Within the squares of the grid a picture with the LoRA is flatter than between them; one without is not."""
    app = Pipeline(models=ROOT / "models", data=tmp_path)
    loras = [{"name": lora.NAME, "model": 1.0, "text": 1.0}]
    made = [np.asarray(app.generate(recipe(loras=used)).images[0].convert("RGB"), float) for used in ([], loras)]
    without, squared = (cells(picture).std(2).mean() / picture.std((0, 1)).mean() for picture in made)
    assert squared < 0.8 * without


def test_the_preset_that_switches_it_on_runs(tmp_path: Path) -> None:
    app = Pipeline(models=ROOT / "models", data=tmp_path)
    switched = parse(json.loads(PRESET.read_text()))
    plain = parse(switched.model_dump() | {"segments": []})
    pictures = [np.asarray(app.generate(one).images[0], float) for one in (switched, plain)]
    assert np.abs(pictures[0] - pictures[1]).mean() > 4


def test_pictures_in_squares_are_flat_and_of_few_colours() -> None:
    made = lora.pixelate(np.random.default_rng(0).integers(0, 255, (SIDE, SIDE, 3), np.uint8))
    assert made.shape == (SIDE, SIDE, 3) and not np.ptp(cells(made), 2).any()
    assert len(np.unique(made.reshape(-1, 3), axis=0)) <= lora.SHADES
