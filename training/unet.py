"""The UNet: predicts the noise in cached latents from captions drawn anew; the text encoder stays as it was pre-trained.

The loss is the mean squared error of the noise times (min(snr, 5) + 1) / snr, which is v-prediction's weight up to
snr 5: with min-SNR weights the caption, which matters at high noise, would hardly count.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from training import latents
from training import tokenizer as bpe
from training.engine import WORK, Clock, Masters, Schedule, load_state, note, save, spread
from training.groupnorm import speed_up
from training.scenes import Scene, draw_caption
from training.text import FOLDER as TEXT_FOLDER
from training.text import WIDTH, encode

FOLDER = WORK / "unet"
BETAS = (0.00085, 0.012)  # SD1.5's scaled-linear schedule
UNCONDITIONAL = 0.1  # share of empty captions
HEAVIEST = 60.0  # bound on the loss weight
PROBED = 32  # latents


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What the training may cost, and how it runs."""

    seconds: float
    rate: float = 2.5e-3
    batch: int = 48  # per worker
    workers: int = 2
    early: float = 0.25  # share of the budget spent on the first lesson


def build() -> UNet2DConditionModel:
    """SD1.5's shape, narrow: 4.8 M weights. Residual branches and the output start near zero."""
    unet = UNet2DConditionModel(
        sample_size=16,
        block_out_channels=(64, 96, 112),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=WIDTH,
        attention_head_dim=4,  # diffusers reads this as the number of heads
        norm_num_groups=8,
    )
    with torch.no_grad():
        for name, p in unet.named_parameters():
            if name.endswith(("conv2.weight", "to_out.0.weight", "ff.net.2.weight", "proj_out.weight")):
                nn.init.normal_(p, std=1e-3)
        nn.init.zeros_(unet.conv_out.weight)
        nn.init.zeros_(unet.conv_out.bias)
    return unet


def signal_shares() -> Tensor:
    """alpha-bar of the 1000 training steps, float32."""
    betas = torch.linspace(BETAS[0] ** 0.5, BETAS[1] ** 0.5, 1000) ** 2
    return torch.cumprod(1 - betas, 0)


def loss_weights(shares: Tensor) -> Tensor:
    snr = shares / (1 - shares)
    return ((snr.clamp(max=5) + 1) / snr).clamp(max=HEAVIEST)


def noised(clean: Tensor, noise: Tensor, share: Tensor) -> Tensor:
    share = share.view(-1, 1, 1, 1)
    return share.sqrt() * clean + (1 - share).sqrt() * noise


def draw_steps(count: int, early: bool = False) -> Tensor:
    """Time steps 0..999, one per equal slice, in random order; early on with a density that grows with the noise."""
    slices = (torch.arange(count) + torch.rand(count)) / count
    return ((slices.sqrt() if early else slices) * 1000).long().clamp(0, 999)[torch.randperm(count)]


def lessons(scenes: Sequence[Scene]) -> tuple[list[int], list[int]]:
    """Numbers of scenes to draw from, early and later: shapes are learnt on large things, then everything."""
    times = {"small": 1, "medium": 3, "big": 16}
    return [n for n, scene in enumerate(scenes) for _ in range(times[scene.size])], list(range(len(scenes)))


@torch.no_grad()
def probe(
    unet: UNet2DConditionModel, text: CLIPTextModel, tokens: CLIPTokenizer, cache: tuple[Tensor, list[Scene]]
) -> str:
    """Error of the predicted clean latents with the right, no and another's caption: they must grow in this order."""
    rng, shares = random.Random(1), signal_shares()
    clean = cache[0][:PROBED].float()
    captions = [draw_caption(rng, scene) for scene in cache[1][:PROBED]]
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(3))
    lines = []
    for t in (450, 650, 850):
        step = torch.full((PROBED,), t)
        mixed = noised(clean, noise, shares[step])
        errors = []
        for words in (captions, [""] * PROBED, captions[7:] + captions[:7]):
            made = unet(mixed, step, text(encode(tokens, words)).last_hidden_state).sample
            errors.append(((made - noise) ** 2).mean().item() * (1 - shares[t].item()) / shares[t].item())
        lines.append(f"{t}: " + "/".join(f"{error:.3f}" for error in errors))
    return "clean error right/empty/shuffled caption at " + ", ".join(lines)


def loss_of(
    model: tuple[UNet2DConditionModel, CLIPTextModel], clean: Tensor, ids: Tensor, t: Tensor, least: float = 0.0
) -> Tensor:
    """Weighted squared error of the noise in `clean` [N, 4, 16, 16] at the steps t, captions as token ids [N, 77].

    least: bound on the weights from below, for what shows at low noise only.
    """
    unet, text = model
    shares = signal_shares()
    noise = torch.randn_like(clean)
    mixed = noised(clean, noise, shares[t]).bfloat16().to(memory_format=torch.channels_last)
    made = unet(mixed, t, text(ids).last_hidden_state).sample.float()
    return (((made - noise) ** 2).mean((1, 2, 3)) * loss_weights(shares)[t].clamp(min=least)).mean()


def train(rank: int, workers: int, budget: Budget) -> None:
    """One worker; rank 0 keeps the log, the checkpoint and the smoothed weights in `FOLDER`."""
    torch.manual_seed(0)
    tokens = CLIPTokenizer.from_pretrained(bpe.FOLDER)
    text = CLIPTextModel.from_pretrained(TEXT_FOLDER, dtype=torch.bfloat16).eval().requires_grad_(False)
    exact = CLIPTextModel.from_pretrained(TEXT_FOLDER, dtype=torch.float32).eval()
    twin, unet = build(), build()
    unet.load_state_dict(twin.state_dict())
    unet.set_attn_processor(AttnProcessor())  # the fused attention's backward is slow on a CPU
    unet = speed_up(unet).to(memory_format=torch.channels_last)
    masters = Masters(unet, orthogonal=True)
    state = load_state(FOLDER / "state.pt")
    if "flat" in state:
        masters.restore(state)
    rng = random.Random(f"unet {rank} {masters.step}")
    torch.manual_seed(rng.getrandbits(31))
    cache = latents.load(workers)
    early, late = lessons(cache[1])
    schedule, clock = Schedule(seconds=budget.seconds, rate=budget.rate), Clock(state["seconds"])
    done, kept, seen = state["seconds"] / budget.seconds, clock.seconds(), 0.0
    while done < 1:
        first = done < budget.early
        chosen = rng.choices(early if first else late, k=budget.batch)
        captions = ["" if rng.random() < UNCONDITIONAL else draw_caption(rng, cache[1][n]) for n in chosen]
        loss = loss_of((unet, text), cache[0][chosen].float(), encode(tokens, captions), draw_steps(len(chosen), first))
        loss.backward()
        done = masters.update(schedule, clock.seconds() / budget.seconds)
        seen = 0.99 * seen + 0.01 * loss.item() if seen else loss.item()
        if rank == 0 and (clock.seconds() - kept > 300 or done >= 1):
            kept = clock.seconds()
            masters.smoothed(twin)
            twin.save_pretrained(FOLDER / "unet")
            save(FOLDER / "state.pt", {**masters.state(), "seconds": kept})
            samples = masters.step * workers * budget.batch
            note(FOLDER / "log.txt", f"{kept:.0f} s, step {masters.step}, {samples} samples, loss {seen:.4f}")
            note(FOLDER / "log.txt", probe(twin, exact, tokens, cache))


def run(budget: Budget) -> Path:
    spread(train, budget.workers, budget)
    return FOLDER / "unet"
