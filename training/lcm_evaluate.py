"""What the LCM LoRA is worth: the same captions and seeds in few steps with it, and in few and twenty without, and their times."""

import json
import statistics
import tempfile
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from core import Pipeline
from core.recipe import parse
from training import evaluate, lcm
from training import judge as judging
from training.scenes import SIDE

COUNT, FIRST_SEED = 100, 1000
WHOLE = "20 steps, guidance 5"
WITH = {"loras": [{"name": lcm.NAME}], "sampler": "lcm", "cfg": 1.0}
USES: Mapping[str, Mapping[str, Any]] = {
    WHOLE: {"steps": 20, "cfg": lcm.GUIDANCE},
    "4 steps, guidance 5": {"steps": 4, "cfg": lcm.GUIDANCE},
    "4 steps, guidance 5, other spacing": {"steps": 4, "cfg": lcm.GUIDANCE, "scheduler": "sgm_uniform"},
    "4 steps, no guidance": {"steps": 4, "cfg": 1.0, "scheduler": "sgm_uniform"},
    "4 steps, sampler lcm, without the LoRA": {"steps": 4, "cfg": 1.0, "sampler": "lcm", "scheduler": "sgm_uniform"},
    "LCM, 4 steps": WITH | {"steps": 4, "scheduler": "sgm_uniform"},
    "LCM, 4 steps, normal spacing": WITH | {"steps": 4},
    "LCM, 4 steps, distilled table": WITH | {"steps": 4, "scheduler": "sgm_uniform", "prediction": "lcm"},
    "LCM, 2 steps": WITH | {"steps": 2, "scheduler": "sgm_uniform"},
    "LCM, 8 steps": WITH | {"steps": 8, "scheduler": "sgm_uniform"},
}
SHOWN = (
    WHOLE,
    "4 steps, guidance 5, other spacing",
    "4 steps, sampler lcm, without the LoRA",
    "LCM, 4 steps",
)  # rows of the sheet


def drawn(app: Pipeline, model: str, captions: list[str]) -> tuple[dict[str, Tensor], dict[str, list[float]]]:
    """Pictures uint8 [N, 3, 128, 128] and seconds of each; the uses take turns, so that a busy minute hits all of them."""
    pictures: dict[str, list[np.ndarray]] = {use: [] for use in USES}
    seconds: dict[str, list[float]] = {use: [] for use in USES}
    base = {"stepwise": 1, "model": model, "width": SIDE, "height": SIDE}
    for k, words in enumerate(captions):
        for use, fields in USES.items():
            recipe, start = parse(base | {"prompt": words, "seed": FIRST_SEED + k} | dict(fields)), time.perf_counter()
            pictures[use].append(np.asarray(app.generate(recipe).images[0].convert("RGB")))
            seconds[use].append(time.perf_counter() - start)
    return {use: judging.as_batch(made) for use, made in pictures.items()}, seconds


def off(made: Tensor, whole: Tensor) -> float:
    """Mean over pictures of the RMS difference, pixels 0..1."""
    return ((made.float() - whole.float()) / 255).square().mean((1, 2, 3)).sqrt().mean().item()


def run(folder: Path, sheet: Path, report: Path, count: int = COUNT) -> dict[str, object]:
    """All figures into `report` (JSON), twelve captions into `sheet`; `folder` is the demo model's."""
    torch.set_num_threads(1)  # two wait for each other on a busy machine
    judge = judging.run()
    scenes, captions = (both[:count] for both in evaluate.held_out_captions())
    with (
        tempfile.TemporaryDirectory(prefix="stepwise-") as data,
        closing(Pipeline(models=folder.parent, data=data)) as app,
    ):
        drawn(app, folder.name, ["a cat"])  # the model is loaded
        pictures, seconds = drawn(app, folder.name, captions)
    whole = pictures[WHOLE]
    figures = {
        use: {
            **{name: evaluate.adherence(judge, made, scenes, captions)[name] for name in ("right", "asked")},
            "off_from_20_steps": round(off(made, whole), 4),
            "seconds": round(statistics.median(seconds[use]), 3),
        }
        for use, made in pictures.items()
    }
    evaluate.sheet(torch.cat([pictures[use][:12] for use in SHOWN]), 12, sheet)
    report.write_text(json.dumps(figures, indent=2) + "\n")
    return figures


if __name__ == "__main__":
    here = Path(__file__).parent
    run(here.parent / "models" / "demo", here / "sheets" / "lcm.webp", here / "lcm_figures.json")
