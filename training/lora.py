"""A LoRA for the demo model, `pixel-art`: the same scenes in coarse squares, with the trigger word in their captions.

The VAE never saw such pictures: what its encoder makes of them comes back smooth. So the latents of each are searched
for by gradient until the decoder draws squares. Then the LoRA is trained on them: a low-rank change of the UNet's
attention, feed-forward and convolution weights and of the text encoder's attention, everything else frozen.
"""

import json
import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.utils import parametrize
from transformers import CLIPTextModel, CLIPTokenizer

from training.engine import WORK, note, save, spread
from training.groupnorm import speed_up
from training.scenes import SIDE, Scene, Studio, draw_caption, draw_scene
from training.text import encode
from training.unet import UNCONDITIONAL, loss_of
from training.vae import SCALING, to_tensor

FOLDER = WORK / "lora"
NAME, TRIGGER = "pixel-art", "pixelart"
BATCH = 16  # pictures
CELLS, SHADES = 16, 5  # squares of a picture's side, one for each latent; colours of a picture
RANK = 8  # alpha is the same
LEAST = 1.0  # weight of a time step: edges of squares are drawn at low noise, where the UNet's own weights are near 0
UNET_PARTS = ("to_q", "to_k", "to_v", "to_out.0", "proj_in", "proj_out", "ff.net.0.proj", "ff.net.2", "conv1", "conv2")
TEXT_PARTS = ("q_proj", "k_proj", "v_proj", "out_proj")


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How long the stage takes: about ten minutes on two busy cores."""

    scenes: int = 512
    tries: int = 16  # steps of the search for a picture's latents
    workers: int = 2
    steps: int = 1000
    batch: int = 16
    rate: float = 2e-3


class LowRank(nn.Module):
    """weight + up @ down, given as bfloat16; up starts at zero."""

    def __init__(self, weight: Tensor, rank: int) -> None:
        super().__init__()
        self.down = nn.Parameter(torch.randn(rank, *weight.shape[1:]) / weight[0].numel() ** 0.5)
        self.up = nn.Parameter(torch.zeros(weight.shape[0], rank))

    def forward(self, weight: Tensor) -> Tensor:
        change = self.up @ self.down.flatten(1)
        return (weight + change.view_as(weight)).bfloat16()


def pixelate(picture: np.ndarray) -> np.ndarray:
    """A render [SIDE, SIDE, 3] in CELLS x CELLS squares of few colours."""
    small = Image.fromarray(picture).resize((CELLS, CELLS), Image.Resampling.BOX)
    plain = small.quantize(SHADES, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).convert("RGB")
    return np.asarray(plain.resize((SIDE, SIDE), Image.Resampling.NEAREST))


def draw_large(rng: random.Random) -> Scene:
    """A scene whose object is not small: of six squares nothing can be recognised."""
    while (scene := draw_scene(rng)).size == "small":
        pass
    return scene


def triggered(rng: random.Random, words: str) -> str:
    """The caption with the trigger word before it, or in one of four with `pixel art` behind it."""
    return f"{words}, pixel art" if rng.random() < 0.25 else f"{TRIGGER}, {words}"


def low_rank(model: nn.Module, parts: tuple[str, ...], rank: int = RANK) -> dict[str, LowRank]:
    """Freezes the model, gives the modules that are named so a trained change, and the rest bfloat16 weights."""
    model.requires_grad_(False)
    named = {name: module for name, module in model.named_modules() if name.endswith(parts)}
    changes: dict[str, LowRank] = {}
    for p in set(model.parameters()) - {module.weight for module in named.values()}:
        p.data = p.data.bfloat16()
    for name, module in named.items():
        changes[name] = LowRank(module.weight, rank)
        parametrize.register_parametrization(module, "weight", changes[name], unsafe=True)  # the type changes
    return changes


def encode_share(rank: int, workers: int, folder: Path, count: int, tries: int) -> None:
    """Scenes rank, rank + workers, ... -> latents that the decoder draws in squares, float32 [share, 4, 16, 16]."""
    vae = AutoencoderKL.from_pretrained(folder / "vae", torch_dtype=torch.float32).requires_grad_(False)
    vae = speed_up(vae.to(torch.bfloat16).to(memory_format=torch.channels_last))
    studio, parts = Studio(), []
    numbers = range(rank, count, workers)
    for start in range(0, len(numbers), BATCH):
        pictures = [pixelate(studio.render(scene_at(number))) for number in numbers[start : start + BATCH]]
        parts.append(sought(vae, to_tensor(pictures), tries) * SCALING)
    save(FOLDER / f"{rank}.pt", torch.cat(parts))


def sought(vae: nn.Module, real: Tensor, tries: int) -> Tensor:
    """Latents whose decoded pictures are nearest to `real`, [N, 4, 16, 16], from the encoder's on by gradient."""
    found = vae.encoder(real.bfloat16()).chunk(2, 1)[0].float().requires_grad_()
    optimizer = torch.optim.Adam([found], betas=(0.8, 0.95))
    for step in range(tries):
        optimizer.param_groups[0]["lr"] = 0.16 / SCALING * (1 - step / tries)
        loss = (vae.decoder(found.bfloat16()).float() - real).square().sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    note(FOLDER / "log.txt", f"{len(real)} pictures, squared error {loss.item() / real.numel():.4f}")
    return found.detach()


def scene_at(number: int) -> Scene:
    """Scene of the LoRA's training set."""
    return draw_large(random.Random(f"{NAME} {number}"))


def gather(folder: Path, effort: Effort) -> tuple[Tensor, list[Scene]]:
    """Latents [scenes, 4, 16, 16] of pictures in squares, and their scenes."""
    shares = [FOLDER / f"{rank}.pt" for rank in range(effort.workers)]
    if not all(share.exists() for share in shares):
        spread(encode_share, effort.workers, folder, effort.scenes, effort.tries)
    numbers = [n for rank in range(effort.workers) for n in range(rank, effort.scenes, effort.workers)]
    return torch.cat([torch.load(share, weights_only=True) for share in shares]), [scene_at(n) for n in numbers]


def train(folder: Path, effort: Effort) -> dict[str, LowRank]:
    """The changes by the names that kohya's files have for their modules."""
    latents, scenes = gather(folder, effort)
    torch.manual_seed(0)
    rng = random.Random("lora")
    tokens = CLIPTokenizer.from_pretrained(folder / "tokenizer")
    text = CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=torch.float32).eval()
    unet = UNet2DConditionModel.from_pretrained(folder / "unet", torch_dtype=torch.float32)
    unet.set_attn_processor(AttnProcessor())  # the fused attention's backward is slow on a CPU
    changes = dict(named_as_kohya(low_rank(unet, UNET_PARTS), low_rank(text, TEXT_PARTS)))
    unet = speed_up(unet).to(memory_format=torch.channels_last)
    weights = [p for change in changes.values() for p in change.parameters()]
    optimizer = torch.optim.AdamW(weights, lr=0.0, betas=(0.9, 0.98), weight_decay=1e-2)
    seen = 0.0
    for step in range(effort.steps):
        chosen = rng.choices(range(len(scenes)), k=effort.batch)
        words = [triggered(rng, draw_caption(rng, scenes[n])) for n in chosen]
        words = ["" if rng.random() < UNCONDITIONAL else caption for caption in words]
        loss = loss_of((unet, text), latents[chosen], encode(tokens, words), draw_times(effort.batch), LEAST)
        optimizer.zero_grad()
        loss.backward()
        optimizer.param_groups[0]["lr"] = effort.rate * min(1, (step + 1) / 30, 1.5 - 1.5 * step / effort.steps)
        optimizer.step()
        seen = 0.95 * seen + 0.05 * loss.item() if seen else loss.item()
        if step % 50 == 0 or step == effort.steps - 1:
            note(FOLDER / "log.txt", f"step {step}: loss {seen:.4f}")
    return changes


def draw_times(count: int) -> Tensor:
    """Time steps 0..999, one of each of `count` equal parts."""
    return ((torch.arange(count) + torch.rand(count)) / count * 1000).long()


def named_as_kohya(unet: dict[str, LowRank], text: dict[str, LowRank]) -> Iterator[tuple[str, LowRank]]:
    for name, change in unet.items():
        yield f"lora_unet_{name.replace('.', '_')}", change
    for name, change in text.items():
        yield f"lora_te_text_model_{name.removeprefix('text_model.').replace('.', '_')}", change


def write(changes: dict[str, LowRank], about: dict[str, str], target: Path) -> None:
    """kohya's layout, float16, with the metadata that kohya's trainer writes and what else `about` says."""
    tensors: dict[str, Tensor] = {}
    for name, change in changes.items():
        sides = (1,) * (change.down.ndim - 2)  # a convolution's up is a convolution, too
        tensors[f"{name}.lora_down.weight"] = change.down.detach().half().contiguous()
        tensors[f"{name}.lora_up.weight"] = change.up.detach().half().view(*change.up.shape, *sides).contiguous()
        tensors[f"{name}.alpha"] = torch.tensor(float(len(change.down))).half()
    metadata = {
        "ss_base_model_version": "sd_v1",
        "ss_sd_model_name": "Stepwise demo",
        "ss_network_module": "networks.lora",
        "ss_network_dim": str(max(len(change.down) for change in changes.values())),
        "ss_network_alpha": str(max(float(len(change.down)) for change in changes.values())),
        "modelspec.architecture": "stable-diffusion-v1/lora",
        "modelspec.license": "Apache-2.0",
    } | about
    partial = target.with_suffix(".partial")
    save_file(tensors, partial, metadata)
    partial.replace(target)


def run(folder: Path, target: Path, effort: Effort | None = None) -> Path:
    """From the exported demo model in `folder` to a LoRA file. Resumed by the latents and by its result."""
    effort, made = effort or Effort(), FOLDER / f"{NAME}.safetensors"
    if not made.exists():
        torch.set_num_threads(1)
        about = {
            "ss_output_name": NAME,
            "ss_tag_frequency": json.dumps({f"1_{TRIGGER}": {TRIGGER: effort.scenes}}),
            "modelspec.title": "Pixel art",
            "modelspec.trigger_phrase": TRIGGER,
        }
        write(train(folder, effort), about, made)
    return put(made, target)


def put(made: Path, target: Path) -> Path:
    """A copy that is whole or not there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".partial")
    shutil.copy(made, partial)
    return partial.replace(target)
