"""The judge on renders and on the demo models' own pictures: right captions score high, others low; what it is not asked; bad files."""

import json
import random
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter

from core.adherence import Asked, Measures, Reading, followed, spread
from core.adherence.judge import FOLDER, Judge
from core.errors import ModelError
from core.models.library import Library
from training import judge as training
from training.evaluate import held_out_captions
from training.scenes import SIDE, Studio
from training.text import ANSWERS

SHEETS = Path(__file__).parents[2] / "training" / "sheets"
THINGS = ("cat", "apple", "star", "robot")


@pytest.fixture(scope="module")
def judge(models: Path) -> Judge:
    return Judge(models / FOLDER)


def asked(prompt: str, model: str = "demo", side: int = SIDE) -> Asked:
    return Asked(prompt=prompt, model=model, width=side, height=side)


def tiles(sheet: str) -> list[Image.Image]:
    """The demo model's pictures of the first held-out captions."""
    with Image.open(SHEETS / sheet) as whole:
        across, down = whole.width // SIDE, whole.height // SIDE
        corners = [(k % across * SIDE, k // across * SIDE) for k in range(across * down)]
        return [whole.convert("RGB").crop((x, y, x + SIDE, y + SIDE)) for x, y in corners]


def points(judge: Judge, pictures: list[Image.Image], captions: list[str]) -> float:
    """Mean adherence."""
    found = followed([judge.read(one, asked(words)) for one, words in zip(pictures, captions, strict=True)])
    assert found is not None
    return found


def test_right_captions_score_high_and_others_low(judge: Judge) -> None:
    """77 pictures that the demo model drew of captions which no training has seen."""
    pictures = tiles("held_out.webp")
    captions = held_out_captions()[1][: len(pictures)]
    others = random.Random(0).sample(captions, len(captions))
    assert points(judge, pictures, captions) > 93
    assert points(judge, pictures, others) < 25


def test_renders_are_read_right(judge: Judge) -> None:
    studio = Studio(things=THINGS)
    scenes = [scene for scene in training.held_out_scenes(600) if scene.thing in THINGS]
    right = total = 0
    for scene in scenes:
        seen = judge.answers(Image.fromarray(studio.render(scene)))
        meant = {name: getattr(scene, name) for name in ANSWERS if training.visible(scene, name)}
        right, total = right + sum(seen[name] == said for name, said in meant.items()), total + len(meant)
    assert len(scenes) > 25 and right / total > 0.97


def test_it_is_the_network_of_the_training(judge: Judge, models: Path) -> None:
    """The same weights in the training's own network give the same answers."""
    from safetensors.torch import load_file

    theirs = training.Judge().float()
    theirs.load_state_dict(load_file(models / FOLDER / "model.safetensors"))
    pictures = tiles("held_out.webp")[:20]
    batch = training.as_batch([np.asarray(picture) for picture in pictures])
    assert [judge.answers(picture) for picture in pictures] == theirs.answer(batch)


def test_blur_costs_adherence(judge: Judge) -> None:
    pictures = tiles("held_out.webp")[:33]
    captions = held_out_captions()[1][:33]
    blurred = [picture.filter(ImageFilter.GaussianBlur(12)) for picture in pictures]
    assert points(judge, pictures, captions) - points(judge, blurred, captions) > 15


def test_48_pictures_take_well_under_a_second(judge: Judge) -> None:
    pictures, words = tiles("held_out.webp")[:48], asked("a red rabbit on a white background")
    judge.read(pictures[0], words)
    began = time.process_time()
    for picture in pictures:
        judge.read(picture, words)
    assert time.process_time() - began < 0.8  # of CPU; 0.1 on an idle machine


@pytest.mark.parametrize(
    ("question", "why"),
    [
        (asked("a red rabbit"), None),
        (asked("a red rabbit", "demo-turbo"), None),
        (asked("a red rabbit", "z_image_turbo_bf16.safetensors"), "none"),
        (asked("a red rabbit", side=256), "size"),
        (asked("a street at night"), "words"),
    ],
)
def test_it_speaks_of_its_own_world_only(models: Path, question: Asked, why: str | None) -> None:
    found = Measures(models).of(question)
    assert found == why if why else isinstance(found, Judge)


def test_without_it_nobody_speaks(tmp_path: Path) -> None:
    assert Measures(tmp_path).of(asked("a red rabbit")) == "none"


def test_it_is_no_model_of_the_library(models: Path) -> None:
    assert not [entry for entry in Library(models).scan() if FOLDER in entry.path.parts[len(models.parts) :]]


@pytest.mark.parametrize("damage", ["config", "no config", "answers", "cut", "no weights"])
def test_bad_files_are_told_in_a_sentence(models: Path, tmp_path: Path, damage: str) -> None:
    shutil.copytree(models / FOLDER, tmp_path / FOLDER)
    config, weights = tmp_path / FOLDER / "config.json", tmp_path / FOLDER / "model.safetensors"
    match damage:
        case "config":
            config.write_text('{"answers": 3}')
        case "no config":
            config.unlink()
        case "answers":
            told = json.loads(config.read_text())
            told["answers"]["thing"].pop()
            config.write_text(json.dumps(told))
        case "cut":
            weights.write_bytes(weights.read_bytes()[:-1000])
        case _:
            weights.unlink()
    with pytest.raises(ModelError):
        found = Measures(tmp_path).of(asked("a red rabbit"))
        assert isinstance(found, Judge)
        found.read(Image.new("RGB", (SIDE, SIDE)), asked("a red rabbit"))


def test_readings_come_to_a_mean_and_a_spread() -> None:
    one, other = (Reading(points=p, features=torch.tensor(f)) for p, f in ((100, [1.0, 0.0]), (50, [0.6, 0.8])))
    assert followed([one, other]) == 75 and followed([]) is None
    assert spread([one, other]) == pytest.approx(0.4)
    assert spread([one]) is None and spread([one, Reading(points=1)]) is None
