"""The VAE: 128 px to 4 x 16 x 16 and back. First both halves on crops; then, latents standardised, the decoder alone."""

import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn
from torch.nn import functional as F

from training.engine import WORK, Clock, Masters, Schedule, load_state, note, save, spread
from training.groupnorm import speed_up
from training.scenes import SIDE, Scene, Studio, draw_scene

FOLDER = WORK / "vae"
SCALING = 0.18215  # the SD1.5 constant; the encoder is rescaled so that it gives unit latents here, too
CROP = 64  # pixels
KL_WEIGHT = 2e-4  # per latent element


@dataclass(frozen=True, kw_only=True)
class Phase:
    """One of the two trainings."""

    name: str
    decoder_only: bool
    seconds: float
    rate: float
    batch: int = 8  # per worker


def build() -> AutoencoderKL:
    """Residual branches start near zero: 17.9 dB after 35 CPU seconds against 15.5 after 95 without."""
    vae = AutoencoderKL(
        block_out_channels=(16, 32, 64, 96),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=8,
        sample_size=SIDE,
        scaling_factor=SCALING,
        mid_block_add_attention=False,
        use_quant_conv=False,
        use_post_quant_conv=False,
    )
    with torch.no_grad():
        for name, p in vae.named_parameters():
            if name.endswith("conv2.weight"):
                nn.init.normal_(p, std=1e-3)
        vae.decoder.conv_out.weight.mul_(0.3)
    return vae


def to_tensor(pictures: list[np.ndarray]) -> Tensor:
    """uint8 [H, W, 3] each -> float [N, 3, H, W] in -1..1, channels last."""
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1


def draw_crops(rng: random.Random, studio: Studio, count: int) -> Tensor:
    """Crops [count, 3, CROP, CROP] of fresh scenes; of three places the busiest is taken, mostly."""
    crops = []
    for _ in range(count):
        picture = studio.render(draw_scene(rng))
        places = [
            (rng.randrange(SIDE - CROP + 1), rng.randrange(SIDE - CROP + 1))
            for _ in range(3 if rng.random() < 0.85 else 1)
        ]
        cuts = [picture[y : y + CROP, x : x + CROP] for y, x in places]
        crops.append(max(cuts, key=lambda cut: float(cut[::4, ::4].std((0, 1)).sum())))
    return to_tensor(crops)


def distance(made: Tensor, real: Tensor) -> Tensor:
    """L1 of pixels, of their differences to the neighbours and of 4 x 4 means, and the squared error."""
    pixels = (made - real).abs().mean() + ((made - real) ** 2).mean()
    edges = sum((made.diff(dim=axis) - real.diff(dim=axis)).abs().mean() for axis in (2, 3))
    blocks = (F.avg_pool2d(made, 4) - F.avg_pool2d(real, 4)).abs().mean()
    return pixels + 0.5 * edges + 0.5 * blocks


def loss_of(vae: nn.Module, real: Tensor, phase: Phase) -> Tensor:
    """The decoder alone also learns to bear a little noise, as the UNet's latents are never exact."""
    if phase.decoder_only:
        with torch.no_grad():
            mean = vae.encoder(real.bfloat16()).float().chunk(2, 1)[0]
        noise = torch.randn_like(mean) * 0.05 / SCALING * torch.rand(len(mean), 1, 1, 1)
        return distance(vae.decoder((mean + noise).bfloat16()).float(), real)
    mean, log_variance = vae.encoder(real.bfloat16()).float().chunk(2, 1)
    log_variance = log_variance.clamp(-20, 6)
    latent = mean + torch.randn_like(mean) * torch.exp(0.5 * log_variance)
    divergence = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).mean()
    return distance(vae.decoder(latent.bfloat16()).float(), real) + KL_WEIGHT * divergence


@torch.no_grad()
def psnr(vae: AutoencoderKL, pictures: Tensor) -> float:
    """Mean over pictures of the peak signal to noise ratio in dB of a round trip."""
    made = vae.decode(vae.encode(pictures).latent_dist.mode()).sample.clamp(-1, 1)
    return (10 * torch.log10(4 / ((made - pictures) ** 2).mean((1, 2, 3)))).mean().item()


@torch.no_grad()
def standardise(vae: AutoencoderKL, pictures: Tensor) -> None:
    """Absorb each channel's mean and deviation into the neighbouring convolutions: latents * SCALING ~ N(0, 1)."""
    latents = vae.encode(pictures).latent_dist.mode()
    mean, deviation = latents.mean((0, 2, 3)), latents.std((0, 2, 3)) * SCALING
    last, first = vae.encoder.conv_out, vae.decoder.conv_in
    first.bias += (first.weight * mean[:, None, None]).sum((1, 2, 3))
    first.weight *= deviation[:, None, None]
    last.bias[:4] = (last.bias[:4] - mean) / deviation
    last.weight[:4] /= deviation[:, None, None, None]
    last.bias[4:] -= 2 * deviation.log()


def judged_pictures(studio: Studio, count: int = 32) -> Tensor:
    """Always the same whole pictures, apart from the training's."""
    scenes: list[Scene] = [draw_scene(random.Random(10**6 + index)) for index in range(count)]
    return to_tensor([studio.render(scene) for scene in scenes])


def train(rank: int, workers: int, phase: Phase, start: AutoencoderKL | None) -> None:
    """One worker; rank 0 keeps the log, the checkpoint and the smoothed weights in `FOLDER`."""
    torch.manual_seed(0)
    twin = start or build()
    checkpoint = FOLDER / f"{phase.name}.pt"
    fast = speed_up(build()).to(memory_format=torch.channels_last)
    fast.load_state_dict(twin.state_dict())
    for model in (twin, fast):
        model.encoder.requires_grad_(not phase.decoder_only)
    if phase.decoder_only:
        fast.encoder.to(torch.bfloat16)
    masters = Masters(fast, decay=1e-4, smooth=0.998)
    state = load_state(checkpoint)
    if "flat" in state:
        masters.restore(state)
    rng = random.Random(f"{phase.name} {rank} {masters.step}")
    torch.manual_seed(rng.getrandbits(31))
    studio, clock = Studio(), Clock(state["seconds"])
    schedule = Schedule(seconds=phase.seconds, rate=phase.rate, warm_up=40, flat=0.5)
    sample = judged_pictures(studio, 16)
    done, told, loss_seen = state["seconds"] / phase.seconds, clock.seconds(), 0.0
    while done < 1:
        real = draw_crops(rng, studio, phase.batch).to(memory_format=torch.channels_last)
        loss = loss_of(fast, real, phase)
        loss.backward()
        done = masters.update(schedule, clock.seconds() / phase.seconds)
        loss_seen = 0.98 * loss_seen + 0.02 * loss.item() if loss_seen else loss.item()
        if rank == 0 and (clock.seconds() - told > 60 or done >= 1):
            told = clock.seconds()
            masters.smoothed(twin)
            twin.save_pretrained(FOLDER / phase.name)
            save(checkpoint, {**masters.state(), "seconds": told})
            note(
                FOLDER / "log.txt",
                f"{phase.name} {told:.0f} s, step {masters.step}, loss {loss_seen:.4f}, PSNR {psnr(twin, sample):.2f} dB",
            )


def run(minutes: tuple[float, float], workers: int) -> Path:
    """Both phases, each resumed or skipped by its checkpoint; returns the folder of the finished VAE."""
    joint = Phase(name="joint", decoder_only=False, seconds=60 * minutes[0], rate=2e-3)
    spread(train, workers, joint, None)
    middle = FOLDER / "standard"
    if not middle.exists():
        vae = AutoencoderKL.from_pretrained(FOLDER / joint.name)
        standardise(vae, judged_pictures(Studio(), 256))
        vae.save_pretrained(middle)
    decoder = Phase(name="decoder", decoder_only=True, seconds=60 * minutes[1], rate=1.5e-3)
    spread(train, workers, decoder, AutoencoderKL.from_pretrained(middle))
    return FOLDER / decoder.name
