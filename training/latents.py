"""The UNet's training set: scenes rendered and encoded once, kept as float16. Captions are drawn anew at every use."""

import random
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from torch import Tensor

from training.engine import WORK, save, spread
from training.groupnorm import speed_up
from training.scenes import Scene, Studio, draw_scene
from training.vae import SCALING, to_tensor

FOLDER = WORK / "latents"
BATCH = 16


def scene_at(index: int) -> Scene:
    """Scene number `index` of the training set: the cache needs no list of them."""
    return draw_scene(random.Random(f"latents {index}"))


def encode_share(rank: int, workers: int, folder: Path, count: int) -> None:
    """Scenes rank, rank + workers, ... -> latents * SCALING, float16 [share, 4, 16, 16]."""
    if (FOLDER / f"{rank}.pt").exists():
        return
    vae = speed_up(AutoencoderKL.from_pretrained(folder).to(torch.bfloat16).to(memory_format=torch.channels_last))
    studio = Studio()
    parts: list[Tensor] = []
    numbers = range(rank, count, workers)
    for start in range(0, len(numbers), BATCH):
        pictures = to_tensor([studio.render(scene_at(index)) for index in numbers[start : start + BATCH]])
        with torch.no_grad():
            parts.append((vae.encoder(pictures.bfloat16()).chunk(2, 1)[0].float() * SCALING).half())
    save(FOLDER / f"{rank}.pt", torch.cat(parts).contiguous())


def run(vae: Path, count: int, workers: int) -> None:
    spread(encode_share, workers, vae, count)


def load(workers: int) -> tuple[Tensor, list[Scene]]:
    """Latents [count, 4, 16, 16] and their scenes, in the same order."""
    shares = [torch.load(FOLDER / f"{rank}.pt", weights_only=True) for rank in range(workers)]
    count = sum(len(share) for share in shares)
    numbers = [index for rank in range(workers) for index in range(rank, count, workers)]
    return torch.cat(shares), [scene_at(index) for index in numbers]
