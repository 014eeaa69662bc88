"""What demo-turbo can do, drawn by the app's own pipeline: adherence, diversity against its teacher, sheets."""

import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from core import Pipeline
from core.recipe import parse
from training import judge as judging
from training.evaluate import CLOSED, OPEN, SEEDS, adherence, held_out_captions, sheet, spread_of
from training.scenes import COLOURS, OBJECTS, PLACES, SIZES, Studio

TEACHERS: Mapping[str, float] = {"steps": 20, "cfg": 4.0}  # of models/demo, whose guided answers it learnt


class Model:
    """An exported folder at its family's defaults, or with other settings."""

    def __init__(self, folder: Path, settings: Mapping[str, float] | None = None) -> None:
        self._data = tempfile.TemporaryDirectory(prefix="stepwise-")
        self.pipeline = Pipeline(models=folder.parent, device="cpu", data=self._data.name, trajectory_bytes=0)
        self.recipe = {"stepwise": 1, "model": folder.name, **(settings or {})}

    def draw(self, captions: Sequence[str], seed: int = 0) -> Tensor:
        """One picture per caption, its seed counting up from `seed`: uint8 [N, 3, 128, 128]."""
        made = (
            self.pipeline.generate(parse(self.recipe | {"prompt": words, "seed": seed + n})).images[0]
            for n, words in enumerate(captions)
        )
        return judging.as_batch([np.asarray(picture.convert("RGB")) for picture in made])

    def seconds_per_picture(self, tries: int = 3) -> float:
        """The fastest of several single pictures, all included."""
        times = []
        for seed in range(tries):
            start = time.perf_counter()
            self.draw([CLOSED], seed)
            times.append(time.perf_counter() - start)
        return min(times)


def diversity(model: Model, judge: judging.Judge) -> tuple[dict[str, dict[str, float]], Tensor]:
    """Of 16 seeds of an open and of a closed caption, and the pictures."""
    drawn = {words: model.draw([words] * SEEDS, seed=1) for words in (OPEN, CLOSED)}
    return {words: spread_of(pictures, judge) for words, pictures in drawn.items()}, torch.cat(list(drawn.values()))


def draw_sheets(model: Model, folder: Path) -> None:
    sheet(
        model.draw([f"a {colour} car on a gray background" for colour in COLOURS] * 2, 200),
        11,
        folder / "turbo_colours.webp",
    )
    words = [
        f"a {size} cat {place} on a yellow background"
        for size in SIZES
        for place in ("in the center", "on the left", "on the right", "at the top", "at the bottom")
    ]
    sheet(model.draw(words, 300), len(PLACES), folder / "turbo_places.webp")


def run(folder: Path, teacher: Path, sheets: Path, report: Path) -> dict[str, object]:
    """All figures into `report` (JSON), all sheets into `sheets`; teacher: an exported folder, too."""
    torch.set_num_threads(1)  # two wait for each other on a busy machine
    model, judge, studio = Model(folder), judging.run(), Studio()
    scenes, captions = held_out_captions()
    made = model.draw(captions, seed=1000)
    sheet(made[:77], 11, sheets / "turbo_held_out.webp")
    varied, pictures = diversity(model, judge)
    sheet(pictures, 8, sheets / "turbo_seeds.webp")
    taught, pictures = diversity(Model(teacher, TEACHERS), judge)
    sheet(pictures, 8, sheets / "turbo_teacher_seeds.webp")
    big = model.draw([f"a big {thing}" for thing in OBJECTS], seed=100)
    sheet(big, 11, sheets / "turbo_objects.webp")
    draw_sheets(model, sheets)
    figures: dict[str, object] = {
        "settings": "the app's defaults: 9 steps, res_multistep, simple, shift 3, cfg 1",
        "captions": adherence(judge, made, scenes, captions),
        "real_renders": judging.score(judge, judging.as_batch([studio.render(scene) for scene in scenes]), scenes),
        "diversity": varied,
        "diversity_of_the_teacher": {"settings": dict(TEACHERS), **taught},
        "big_objects_missed": [
            thing for thing, row in zip(OBJECTS, judge.answer(big), strict=True) if row["thing"] != thing
        ],
        "seconds_per_picture_one_thread": round(model.seconds_per_picture(), 3),
    }
    report.write_text(json.dumps(figures, indent=2) + "\n")
    return figures
