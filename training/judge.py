"""The judge: a small CNN that tells object, colour, background, place and size of a 128 px picture.

It is trained on fresh renders only, never on the model's pictures, and tested on renders of the held-out triples.
Colour is always one of the named ones: a scene in natural colours teaches it nothing about colour.
"""

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from core.adherence.judge import Network, halved
from training.engine import WORK, note, save
from training.scenes import SIDE, Scene, Studio, draw_scene, held_out_triples, place_scene
from training.text import ANSWERS

FILE = WORK / "judge.pt"
POOL, STEPS, BATCH, RATE = 48_000, 10_000, 64, 2e-3
WIDTHS = (24, 48, 96, 128)  # channels, each at half the size of the one before
UNKNOWN = -100  # cross_entropy's ignored class


class Judge(Network):
    """The network that the app reads pictures with, for all that the scenes hold."""

    def __init__(self, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__(ANSWERS, widths, SIDE)

    @torch.no_grad()
    def answer(self, pictures: Tensor) -> list[dict[str, str]]:
        """What each picture shows, in the words of `ANSWERS`."""
        self.eval()
        best = {name: logits.argmax(1).tolist() for name, logits in self(halved(pictures)).items()}
        return [{name: ANSWERS[name][picks[row]] for name, picks in best.items()} for row in range(len(pictures))]


def as_batch(pictures: Sequence[np.ndarray]) -> Tensor:
    """uint8 [128, 128, 3] each -> uint8 [N, 3, 128, 128]."""
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous()


def classes(scene: Scene) -> list[int]:
    said = {name: getattr(scene, name) for name in ANSWERS}
    return [ANSWERS[name].index(word) if word is not None else UNKNOWN for name, word in said.items()]


def roughen(pictures: Tensor) -> Tensor:
    """Softness and noise as generated pictures have them, so that the judge reads shapes and not pixels."""
    soft = F.avg_pool2d(pictures, 3, stride=1, padding=1, count_include_pad=False)
    share = torch.rand(len(pictures), 1, 1, 1).mul(1.4).sub(0.7).clamp(min=0)
    return pictures.lerp(soft, share) + torch.randn_like(pictures) * torch.rand(len(pictures), 1, 1, 1) * 10


def miscoloured(pictures: Tensor, answers: Tensor) -> tuple[Tensor, Tensor]:
    """Half of the pictures get their channels permuted, so that no shape is known by its colours; these teach no colour."""
    changed = torch.rand(len(pictures)) < 0.5
    orders = torch.rand(len(pictures), 3).argsort(1)
    pictures = torch.where(changed.view(-1, 1, 1, 1), pictures[torch.arange(len(pictures))[:, None], orders], pictures)
    colours = torch.tensor([name in ("colour", "background") for name in ANSWERS])
    return pictures, answers.masked_fill(changed[:, None] & colours, UNKNOWN)


def train(studio: Studio, pool: int = POOL, steps: int = STEPS, start: Judge | None = None) -> Judge:
    """From `start` if given; the same pool of renders in every call."""
    torch.manual_seed(0)
    rng = random.Random("judge")
    scenes = [draw_scene(rng) for _ in range(pool)]
    parts = [halved(as_batch([studio.render(s) for s in scenes[at : at + 500]])).byte() for at in range(0, pool, 500)]
    pictures = torch.cat(parts)
    answers = torch.tensor([classes(scene) for scene in scenes])
    judge = (start or Judge()).train()
    optimizer = torch.optim.AdamW(judge.parameters(), lr=RATE, weight_decay=1e-2)
    for step in range(steps):
        chosen = torch.randint(0, pool, (BATCH,))
        shown, right = miscoloured(pictures[chosen].float(), answers[chosen])
        logits = judge(roughen(shown))
        loss = torch.stack([F.cross_entropy(out, right[:, k]) for k, out in enumerate(logits.values())]).sum()
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1, (step + 1) / 50, (steps - step) / (steps / 2))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return judge.eval()


def held_out_scenes(count: int) -> list[Scene]:
    """Scenes of triples that no training has seen, always the same; each triple once before any comes twice."""
    rng = random.Random("held out")
    triples = held_out_triples()
    rng.shuffle(triples)
    return [place_scene(rng, *triples[index % len(triples)]) for index in range(count)]


def visible(scene: Scene, attribute: str) -> bool:
    """Natural colours have no name, and a big thing has no room to stand anywhere but in the middle."""
    return scene.size != "big" if attribute == "place" else getattr(scene, attribute) is not None


def score(judge: Judge, pictures: Tensor, scenes: Sequence[Scene]) -> dict[str, float]:
    """Share of right answers per attribute, over the scenes where it can be seen."""
    said = judge.answer(pictures)
    shares = {}
    for name in ANSWERS:
        rows = [
            (row[name], getattr(scene, name)) for row, scene in zip(said, scenes, strict=True) if visible(scene, name)
        ]
        shares[name] = round(sum(heard == meant for heard, meant in rows) / len(rows), 4)
    return shares


def run(file: Path = FILE) -> Judge:
    """Train and test on 1000 held-out renders, or load; the test and its shuffled control go to the log."""
    judge = Judge().eval()
    if file.exists():
        judge.load_state_dict(torch.load(file, weights_only=True))
        return judge
    studio = Studio()
    judge = train(studio)
    scenes = held_out_scenes(1000)
    pictures = as_batch([studio.render(scene) for scene in scenes])
    shuffled = random.Random(0).sample(scenes, len(scenes))
    for label, meant in (("held-out renders", scenes), ("the same, shuffled", shuffled)):
        shares = ", ".join(f"{name} {share:.3f}" for name, share in score(judge, pictures, meant).items())
        note(file.with_suffix(".txt"), f"{label}: {shares}")
    save(file, judge.state_dict())
    return judge
