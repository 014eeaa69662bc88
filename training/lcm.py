"""An LCM LoRA for the demo model, `lcm`: four steps without guidance in place of twenty with it.

A latent consistency model (Luo et al. 2023) gives, from any point of its teacher's way, the way's end. The demo model is
so small that the ends need not be guessed from one step to the next: whole ways are walked beforehand by Euler's method
with guidance, from noise or from a noised picture of the training set, and the student, the same UNet with a low-rank
change and without guidance, learns to say at every point where it will end.
"""

import random
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from core.sampling.model_sampling import EpsDiscrete, LCMDistilled, per_image
from training import latents, lora
from training.engine import WORK, Clock, Schedule, load_state, note, save
from training.groupnorm import speed_up
from training.scenes import Scene, draw_caption
from training.text import encode

FOLDER = WORK / "lcm"
NAME = "lcm"
STEPS, GUIDANCE = 20, 5.0  # of a way: what the demo model's pictures are usually drawn with
SHARD = 32  # ways, walked side by side
RANK = 12
PARTS = (*lora.UNET_PARTS, "conv_shortcut", "time_emb_proj", "downsamplers.0.conv", "upsamplers.0.conv")
SOFTNESS = 0.02  # latents; the loss is square below it and straight above
NOISY, DISTILLED = EpsDiscrete(), LCMDistilled()


@dataclass(frozen=True, kw_only=True)
class Effort:
    """What it costs: about half an hour of one core."""

    shards: int = 56
    seconds: float = 20 * 60  # of training, the ways not counted
    batch: int = 32
    rate: float = 2e-3
    workers: int = 2  # that the latents were cached by


@dataclass(frozen=True)
class Ways:
    """Points of many ways in the order [way, level]; sigmas [levels] are those of all these ways."""

    points: Tensor  # [ways, levels, 4, 16, 16], latents with their noise, variance about 1
    sigmas: Tensor
    ends: Tensor  # [ways, 4, 16, 16]
    context: Tensor  # [ways, 77, width]

    def draw(self, count: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Points with their sigmas, ends and captions, noisy ones oftener: the first steps of four matter most."""
        chosen = torch.multinomial(0.3 + NOISY.timestep(self.sigmas) / 1000, count, replacement=True)
        ways = torch.randint(0, len(self.ends), (count,))
        return self.points[ways, chosen].float(), self.sigmas[chosen], self.ends[ways].float(), self.context[ways]


class Teacher:
    """The demo UNet with guidance."""

    def __init__(self, folder: Path, guidance: float = GUIDANCE) -> None:
        self.tokens = CLIPTokenizer.from_pretrained(folder / "tokenizer")
        self.text = CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=torch.float32).eval()
        unet = read_unet(folder).requires_grad_(False).to(torch.bfloat16)
        self.unet = unet.to(memory_format=torch.channels_last)
        self.guidance = guidance

    def read(self, captions: list[str]) -> Tensor:
        """[N, 77, width]"""
        return self.text(encode(self.tokens, captions)).last_hidden_state

    @torch.no_grad()
    def walk(self, x: Tensor, sigmas: list[float], captions: list[str]) -> Ways:
        """From x [N, 4, 16, 16] at the first sigma down to the end, by Euler's method through all sigmas."""
        said, points = self.read(captions), []
        for sigma, below in zip(sigmas, [*sigmas[1:], 0.0], strict=True):
            seen = NOISY.input(x, sigma)
            points.append(seen.half())
            x = x + self.guided(seen, torch.full((len(x),), sigma), said) * (below - sigma)
        return Ways(torch.stack(points, 1), torch.tensor(sigmas), x.half(), said.half())

    @torch.no_grad()
    def guided(self, seen: Tensor, sigmas: Tensor, said: Tensor) -> Tensor:
        """The noise in `seen` [N, 4, 16, 16] at the sigmas [N] for captions as `read` gives them, with guidance."""
        both = torch.cat([self.read([""]).expand_as(said), said])
        without, within = predict(self.unet, torch.cat([seen, seen]), torch.cat([sigmas, sigmas]), both).chunk(2)
        return without + self.guidance * (within - without)


def read_unet(folder: Path) -> nn.Module:
    unet = UNet2DConditionModel.from_pretrained(folder / "unet", torch_dtype=torch.float32)
    unet.set_attn_processor(AttnProcessor())  # the fused attention's backward is slow on a CPU
    return speed_up(unet)


def predict(unet: nn.Module, seen: Tensor, sigma: Tensor, context: Tensor) -> Tensor:
    """The noise that the UNet sees in `seen` [N, 4, 16, 16], as core tells it the sigma ([] or [N])."""
    seen = seen.bfloat16().to(memory_format=torch.channels_last)
    return unet(seen, NOISY.timestep(sigma), context.bfloat16()).sample.float()


def said_end(unet: nn.Module, seen: Tensor, sigma: Tensor, context: Tensor) -> Tensor:
    """The student's answer at its points [N, 4, 16, 16], as the app reads it with `prediction: lcm`.

    Its boundary condition changes nothing that float16 could hold (c_skip is below 1e-5 everywhere), so the answer is the
    same that the app reads without it.
    """
    x = seen * per_image((1 + sigma**2).sqrt(), seen)
    return DISTILLED.denoised(x, sigma, predict(unet, seen, sigma, context))


def distance(said: Tensor, end: Tensor) -> Tensor:
    """Mean of sqrt(d^2 + c^2) - c, which forgives what cannot be known more than squares do."""
    return ((said - end).square() + SOFTNESS**2).sqrt().sub(SOFTNESS).mean()


def levels(rng: random.Random, start: int) -> list[float]:
    """Sigmas of a way at even distances, from all noise (start 0) or from the start-th level on; no two ways' agree."""
    stride, offset = 1000 / STEPS, rng.random()
    steps = [999, *(round(999 - (step + offset) * stride) for step in range(STEPS))]
    return [float(NOISY.sigmas[step]) for step in steps if step >= 0][start:]


def walk_shard(teacher: Teacher, number: int, cache: tuple[Tensor, list[Scene]]) -> Ways:
    """Shard `number`: every other one from noise, the rest from noised pictures, each with a caption of its own scene."""
    rng, rows = random.Random(f"{NAME} {number}"), slice(number * SHARD, (number + 1) * SHARD)
    sigmas = levels(rng, rng.randrange(1, STEPS - 3) if number % 2 else 0)
    captions = [draw_caption(rng, scene) for scene in cache[1][rows]]
    clean = cache[0][rows].float() * (number % 2)
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(rng.getrandbits(40)))
    return teacher.walk(NOISY.noise_scaling(sigmas[0], noise, clean), sigmas, captions)


def gather(folder: Path, effort: Effort) -> list[Ways]:
    """All ways, walked or read. A shard is a file: what was walked before a stop is kept."""
    files = [FOLDER / "ways" / f"{number}.pt" for number in range(effort.shards)]
    if not all(file.exists() for file in files):
        teacher, cache = Teacher(folder), latents.load(effort.workers)
        for number, file in enumerate(files):
            if not file.exists():
                save(file, vars(walk_shard(teacher, number, cache)))
                note(FOLDER / "log.txt", f"ways {number * SHARD} to {(number + 1) * SHARD}")
    return [Ways(**torch.load(file, weights_only=True)) for file in files]


@torch.no_grad()
def probe(unet: nn.Module, ways: Ways) -> str:
    """Mean distance of the answers from the ends at four levels of ways that are not trained on."""
    errors = []
    for level in (0, 5, 10, 15):
        sigma = ways.sigmas[level].expand(len(ways.ends))
        said = said_end(unet, ways.points[:, level].float(), sigma, ways.context)
        errors.append(f"{ways.sigmas[level]:.2f}: {distance(said, ways.ends.float()).item():.4f}")
    return "off at sigma " + ", ".join(errors)


def train(folder: Path, effort: Effort) -> dict[str, lora.LowRank]:
    """The UNet's changes by kohya's names; the first shard is kept for the probe."""
    kept, *ways = gather(folder, effort)
    torch.manual_seed(0)
    unet = read_unet(folder)
    changes = lora.low_rank(unet, PARTS, RANK)
    unet.to(memory_format=torch.channels_last)
    weights = [p for change in changes.values() for p in change.parameters()]
    optimizer = torch.optim.AdamW(weights, lr=0.0, betas=(0.9, 0.98), weight_decay=1e-2)
    state = load_state(FOLDER / "state.pt")
    restore(weights, optimizer, state)
    schedule, clock = Schedule(seconds=effort.seconds, rate=effort.rate, warm_up=30, flat=0.3), Clock(state["seconds"])
    rng, step, seen = random.Random(f"{NAME} {state.get('step', 0)}"), state.get("step", 0), 0.0
    torch.manual_seed(rng.getrandbits(40))
    while (done := clock.seconds() / effort.seconds) < 1:
        points, sigmas, ends, context = draw(rng, ways, effort.batch)
        loss = distance(said_end(unet, points, sigmas, context), ends)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.param_groups[0]["lr"] = schedule.at(step, done)
        optimizer.step()
        step, seen = step + 1, 0.97 * seen + 0.03 * loss.item() if seen else loss.item()
        if step % 50 == 0:
            save(FOLDER / "state.pt", kept_state(weights, optimizer, step, clock.seconds()))
            note(FOLDER / "log.txt", f"{clock.seconds():.0f} s, step {step}: loss {seen:.4f}, {probe(unet, kept)}")
    note(FOLDER / "log.txt", f"done, step {step}: loss {seen:.4f}, {probe(unet, kept)}")
    return dict(lora.named_as_kohya(changes, {}))


def draw(rng: random.Random, ways: list[Ways], count: int) -> tuple[Tensor, ...]:
    """Points of eight shards, so that a batch has many levels."""
    parts = [one.draw(count // 8) for one in rng.choices(ways, k=8)]
    return tuple(torch.cat(column) for column in zip(*parts, strict=True))


def kept_state(
    weights: list[nn.Parameter], optimizer: torch.optim.Optimizer, step: int, seconds: float
) -> dict[str, object]:
    return {"weights": [p.detach() for p in weights], "adam": optimizer.state_dict(), "step": step, "seconds": seconds}


def restore(weights: list[nn.Parameter], optimizer: torch.optim.Optimizer, state: dict) -> None:
    with torch.no_grad():
        for p, value in zip(weights, state.get("weights", weights), strict=True):
            p.copy_(value)
    if "adam" in state:
        optimizer.load_state_dict(state["adam"])


def run(folder: Path, target: Path, effort: Effort | None = None) -> Path:
    """From the exported demo model in `folder` to a LoRA file. Goes on where it stopped."""
    made = FOLDER / f"{NAME}.safetensors"
    if not made.exists():
        torch.set_num_threads(1)
        about = {
            "ss_output_name": NAME,
            "modelspec.title": "LCM: four steps",
            "modelspec.description": "Latent consistency for the demo model: sampler lcm, cfg 1, four steps.",
        }
        lora.write(train(folder, effort or Effort()), about, made)
    return lora.put(made, target)


if __name__ == "__main__":
    models = Path(__file__).parents[1] / "models"
    run(models / "demo", models / "loras" / f"{NAME}.safetensors")
