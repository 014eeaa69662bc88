"""What the exported model can do: adherence, per object, diversity, speed, and the sheets to look at."""

import json
import random
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline
from PIL import Image
from torch import Tensor

from core import Pipeline
from core.recipe import parse
from training import judge as judging
from training.scenes import COLOURS, OBJECTS, PLACES, SIDE, SIZES, Scene, Studio, caption, draw_scene, with_article
from training.vae import psnr, to_tensor

STEPS, GUIDANCE, BATCH = 20, 5.0, 20
CAPTIONS, PER_OBJECT, SEEDS = 200, 4, 16
OPEN, CLOSED = "a rabbit", "a small red rabbit on the left on a blue background"


class Model:
    """The exported folder as the stock pipeline loads it, in float32."""

    def __init__(self, folder: Path) -> None:
        self.pipeline = StableDiffusionPipeline.from_pretrained(folder, torch_dtype=torch.float32)
        self.pipeline.set_progress_bar_config(disable=True)

    def draw(self, captions: Sequence[str], seed: int = 0) -> Tensor:
        """One picture per caption, its seed counting up from `seed`: uint8 [N, 3, 128, 128]."""
        made = []
        for start in range(0, len(captions), BATCH):
            words = list(captions[start : start + BATCH])
            noise = [torch.Generator().manual_seed(seed + start + k) for k in range(len(words))]
            pictures = self.pipeline(
                words,
                num_inference_steps=STEPS,
                guidance_scale=GUIDANCE,
                generator=noise,
                height=SIDE,
                width=SIDE,
                output_type="np",
            ).images
            made.append(torch.from_numpy(pictures * 255).round().to(torch.uint8).permute(0, 3, 1, 2))
        return torch.cat(made)

    def seconds_per_picture(self, tries: int = 3) -> float:
        """The fastest of several single pictures, all included."""
        times = []
        for seed in range(tries):
            start = time.perf_counter()
            self.draw([CLOSED], seed)
            times.append(time.perf_counter() - start)
        return min(times)


def held_out_captions(count: int = CAPTIONS) -> tuple[list[Scene], list[str]]:
    """Fixed captions of triples that training never saw, all naming colour and background, some size and place."""
    rng = random.Random("captions")
    scenes = judging.held_out_scenes(count)
    extras = (frozenset(), frozenset({"size"}), frozenset({"place", "size"}))  # a place shows only if the size is known
    names = [frozenset({"colour", "background"}) | rng.choices(extras, (4, 3, 3))[0] for _ in scenes]
    return scenes, [caption(rng, scene, said) for scene, said in zip(scenes, names, strict=True)]


def adherence(judge: judging.Judge, pictures: Tensor, scenes: list[Scene], captions: list[str]) -> dict[str, object]:
    """Shares of right answers; place and size only over the captions that name them; and a shuffled control."""
    heard = judge.answer(pictures)
    kinds: dict[str, list[bool]] = {name: [] for name in ("thing", "colour", "background", "place", "size")}
    for row, scene, words in zip(heard, scenes, captions, strict=True):
        for name, hits in kinds.items():
            if judging.visible(scene, name) and (name in ("thing", "colour", "background") or names_it(words, name)):
                hits.append(row[name] == getattr(scene, name))
    shuffled = judging.score(judge, pictures, random.Random(0).sample(scenes, len(scenes)))
    misses = [
        f"{words}: seen as {row['colour']} {row['thing']} on {row['background']}"
        for row, scene, words in zip(heard, scenes, captions, strict=True)
        if (row["thing"], row["colour"], row["background"]) != (scene.thing, scene.colour, scene.background)
    ]
    shares = {name: round(sum(hits) / len(hits), 4) for name, hits in kinds.items()}
    by_size = {
        size: [row["thing"] == scene.thing for row, scene in zip(heard, scenes, strict=True) if scene.size == size]
        for size in SIZES
    }
    return {
        "right": shares,
        "thing_by_size": {size: f"{sum(hits)} of {len(hits)}" for size, hits in by_size.items()},
        "asked": {name: len(hits) for name, hits in kinds.items()},
        "shuffled": shuffled,
        "misses": misses,
    }


def names_it(words: str, attribute: str) -> bool:
    marks = {
        "place": ("on the left", "on the right", "at the top", "at the bottom", "in the center", "in the middle"),
        "size": ("small", "tiny", "medium", "big", "large"),
    }
    return any(mark in words for mark in marks[attribute])


def per_object(model: Model, judge: judging.Judge, count: int = PER_OBJECT) -> dict[str, float]:
    """Share of `count` pictures of "a <object>" in which the judge finds it, the poorest first."""
    names = [thing for thing in OBJECTS for _ in range(count)]
    heard = judge.answer(model.draw([with_article(thing) for thing in names], seed=5000))
    hits = dict.fromkeys(OBJECTS, 0)
    for thing, row in zip(names, heard, strict=True):
        hits[thing] += row["thing"] == thing
    return {thing: hits[thing] / count for thing in sorted(OBJECTS, key=lambda thing: hits[thing])}


@torch.no_grad()
def spread_of(pictures: Tensor, judge: judging.Judge) -> dict[str, float]:
    """Mean over pairs: RMS difference of pixels (0..1) and distance of the judge's features."""
    pixels = torch.pdist(pictures.float().flatten(1) / 255).mean().item() / (3 * SIDE * SIDE) ** 0.5
    return {"pixel_rms": round(pixels, 4), "features": round(torch.pdist(judge.features(judging.halved(pictures))).mean().item(), 3)}


def sheet(pictures: Tensor, columns: int, file: Path) -> None:
    """Pictures side by side as WebP."""
    file.parent.mkdir(parents=True, exist_ok=True)
    rows = -(-len(pictures) // columns)
    whole = Image.new("RGB", (columns * SIDE, rows * SIDE), "white")
    for index, picture in enumerate(pictures):
        whole.paste(
            Image.fromarray(picture.permute(1, 2, 0).numpy()), (index % columns * SIDE, index // columns * SIDE)
        )
    whole.save(file, quality=88)


def round_trip(folder: Path, studio: Studio, judge: judging.Judge, count: int = 64) -> dict[str, object]:
    """The VAE alone on held-out renders: PSNR, and what the judge still reads."""
    vae = AutoencoderKL.from_pretrained(folder / "vae", torch_dtype=torch.float32)
    scenes = judging.held_out_scenes(count)
    real = to_tensor([studio.render(scene) for scene in scenes])
    with torch.no_grad():
        made = vae.decode(vae.encode(real).latent_dist.mode()).sample.clamp(-1, 1)
    return {"psnr_db": round(psnr(vae, real), 2), "judge": judging.score(judge, ((made + 1) * 127.5).round(), scenes)}


def draw_sheets(model: Model, folder: Path) -> None:
    """The sheets that need no numbers: colours, places and sizes, the training data."""
    sheet(
        model.draw([f"{with_article(colour)} car on a gray background" for colour in COLOURS] * 2, seed=200),
        11,
        folder / "colours.webp",
    )
    words = [
        f"a {size} cat {place} on a yellow background"
        for size in SIZES
        for place in ("in the center", "on the left", "on the right", "at the top", "at the bottom")
    ]
    sheet(model.draw(words, seed=300), len(PLACES), folder / "places.webp")
    studio, rng = Studio(), random.Random(0)
    sheet(judging.as_batch([studio.render(draw_scene(rng)) for _ in range(55)]), 11, folder / "data.webp")


def lora_sheet(folder: Path, name: str, trigger: str, file: Path) -> None:
    """Rows of captions, columns of uses: without, half strength, whole, from step 6 on. Drawn by the app's own pipeline."""
    captions = (
        "a big red rabbit on a blue background",
        "a red apple on a white background",
        "a green frog on a pink background",
        "a big orange car on a gray background",
        "a yellow star on a black background",
        "a big brown guitar on a yellow background",
    )
    half, whole = ([{"name": name, "model": strength, "text": strength}] for strength in (0.5, 1.0))
    uses = ({}, {"loras": half}, {"loras": whole}, {"segments": [{"end": 6}, {"loras": whole}]})
    base = {
        "stepwise": 1,
        "model": folder.name,
        "steps": STEPS,
        "cfg": GUIDANCE,
        "width": SIDE,
        "height": SIDE,
        "seed": 7,
    }
    with (
        tempfile.TemporaryDirectory(prefix="stepwise-") as data,
        closing(Pipeline(models=folder.parent, data=data)) as app,
    ):
        made = [
            np.asarray(app.generate(parse(base | use | {"prompt": f"{trigger}, {words}"})).images[0].convert("RGB"))
            for words in captions
            for use in uses
        ]
    sheet(judging.as_batch(made), len(uses), file)


def run(folder: Path, sheets: Path, report: Path, quick: bool = False) -> dict[str, object]:
    """All figures into `report` (JSON), all sheets into `sheets`; `quick` leaves out the per-object table."""
    torch.set_num_threads(1)  # two wait for each other on a busy machine
    model, judge, studio = Model(folder), judging.run(), Studio()
    scenes, captions = held_out_captions()
    real = judging.as_batch([studio.render(scene) for scene in scenes])
    made = model.draw(captions, seed=1000)
    sheet(made[:77], 11, sheets / "held_out.webp")
    rabbits, fixed = model.draw([OPEN] * SEEDS, seed=1), model.draw([CLOSED] * SEEDS, seed=1)
    sheet(torch.cat([rabbits, fixed]), 8, sheets / "seeds.webp")
    figures: dict[str, object] = {
        "settings": {"steps": STEPS, "guidance": GUIDANCE, "sampler": "euler, normal spacing"},
        "captions": adherence(judge, made, scenes, captions),
        "real_renders": judging.score(judge, real, scenes),
        "vae": round_trip(folder, studio, judge),
        "diversity": {OPEN: spread_of(rabbits, judge), CLOSED: spread_of(fixed, judge)},
        "seconds_per_picture_one_thread": round(model.seconds_per_picture(), 3),
    }
    if not quick:
        big = model.draw([f"a big {thing}" for thing in OBJECTS], seed=100)
        sheet(big, 11, sheets / "objects.webp")
        figures["big_objects_missed"] = [
            thing for thing, row in zip(OBJECTS, judge.answer(big), strict=True) if row["thing"] != thing
        ]
        figures["per_object"] = per_object(model, judge)
        draw_sheets(model, sheets)
    report.write_text(json.dumps(figures, indent=2) + "\n")
    return figures
