"""demo-turbo's transformer: a flow from noise to the cached latents, then its own guidance taught to it.

x = (1 - sigma) * clean + sigma * noise. The network is told 1 - sigma and gives clean - noise, the velocity with its
sign turned, as Z-Image does. First the teacher learns from the data; then a student that starts as the teacher goes on
learning, from the teacher's answers with guidance and a little from the data: it needs no guidance, and its seeds
differ less.

`python -m training.turbo` goes on from its checkpoint, else from the weights in models/demo-turbo (`--fresh`: from
none). Delete a stage's checkpoint in training/work/turbo to train that stage again.
"""

import argparse
import copy
import random
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import ZImageTransformer2DModel
from torch import Tensor, nn
from transformers import Qwen3Model

from training import latents, turbo_evaluate, turbo_export, turbo_text
from training.engine import WORK, Clock, Masters, Schedule, load_state, note, save, spread
from training.scenes import draw_caption
from training.turbo_net import SHIFT, Block, block, build, forward
from training.unet import lessons

FOLDER = WORK / "turbo"
SHEETS, REPORT = Path(__file__).with_name("sheets"), Path(__file__).with_name("turbo_figures.json")
SHIPPED = Path(__file__).parents[1] / "models" / "demo-turbo"
UNCONDITIONAL = 0.1  # share of empty captions
GUIDANCE = 4.0  # that the student learns
FROM_DATA = 0.3  # how much of the teacher's error the student is shown: all of it would drown the guidance in noise
RATES = {"teacher": 2e-3, "student": 1e-3}  # of learning, at their highest
SMOOTH = {"teacher": 0.998, "student": 0.99}  # of the moving average
KEPT_EVERY = 180.0  # seconds between checkpoints
PROBED = 64  # latents


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What one part of the training may cost, and how it runs."""

    seconds: float
    rate: float
    batch: int = 48  # per worker
    workers: int = 1
    early: float = 0.0  # share of the budget spent on large things and noisy steps
    flat: float = 0.3  # share of the budget before the rate falls
    fresh: bool = False


def draw_sigmas(count: int, early: bool = False) -> Tensor:
    """One per equal slice of the shifted schedule, in random order; early on more of the noisy ones."""
    slices = (torch.arange(count) + torch.rand(count)) / count
    u = (slices.sqrt() if early else slices)[torch.randperm(count)]
    return SHIFT * u / (1 + (SHIFT - 1) * u)


def mixed(clean: Tensor, noise: Tensor, sigmas: Tensor) -> Tensor:
    share = sigmas.view(-1, 1, 1, 1)
    return (1 - share) * clean + share * noise


class Reader:
    """Captions -> states and which of them are said; the frozen text encoder without the layer that nobody reads."""

    def __init__(
        self,
        tokenizer: Path = turbo_text.TOKENIZER,
        folder: Path = turbo_text.FOLDER,
        dtype: torch.dtype = torch.bfloat16,
    ) -> None:
        self.words = turbo_text.read_tokenizer(tokenizer)
        self.model = Qwen3Model.from_pretrained(folder, dtype=dtype).eval().requires_grad_(False)
        self.model.layers, self.model.norm = self.model.layers[:-1], nn.Identity()
        self.model.config.num_hidden_layers -= 1

    @torch.no_grad()
    def __call__(self, captions: list[str]) -> tuple[Tensor, Tensor]:
        ids, said = turbo_text.encode(self.words, captions)
        return self.model(input_ids=ids, use_cache=False).last_hidden_state, said


Read = tuple[Tensor, Tensor]  # states [N, L, width], said [N, L]


@torch.no_grad()
def lesson(teacher: Any, run: Block, x: Tensor, time: Tensor, read: Read, nothing: Read, shown: Tensor) -> Tensor:
    """What the student shall give, float32: the teacher's guided answer, and a share of its error on the data."""
    answer, without = (forward(teacher, x, time, *states, run).float() for states in (read, nothing))
    return without + GUIDANCE * (answer - without) + FROM_DATA * (shown - answer)


@torch.no_grad()
def probe(net: Any, reader: Reader, cache: tuple[Tensor, list[Any]]) -> str:
    """Error of the predicted clean latents with the right, no and another's caption: they must grow in this order."""
    rng = random.Random(1)
    clean = cache[0][:PROBED].float()
    captions = [draw_caption(rng, scene) for scene in cache[1][:PROBED]]
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(3))
    lines = []
    for sigma in (0.5, 0.8, 0.95):
        sigmas = torch.full((PROBED,), sigma)
        errors = []
        for words in (captions, [""] * PROBED, captions[7:] + captions[:7]):
            made = forward(net, mixed(clean, noise, sigmas), 1 - sigmas, *reader(words))
            errors.append(((made - (clean - noise)) ** 2).mean().item() * sigma**2)
        lines.append(f"{sigma}: " + "/".join(f"{error:.3f}" for error in errors))
    return "clean error right/empty/shuffled caption at sigma " + ", ".join(lines)


def prepare(fresh: bool) -> None:
    """Tokenizer and text encoder into training/work: new ones, or, at a start from the shipped weights, theirs."""
    if not fresh and shipped() and not (FOLDER / "teacher.pt").exists():
        shutil.copytree(SHIPPED / "tokenizer", turbo_text.TOKENIZER, dirs_exist_ok=True)
        shutil.copytree(SHIPPED / "text_encoder", turbo_text.FOLDER, dirs_exist_ok=True)
    turbo_text.run()


def shipped() -> bool:
    return (SHIPPED / "transformer" / "config.json").exists()


def started(fresh: bool) -> ZImageTransformer2DModel:
    """A new network, or the shipped one to go on from."""
    if fresh or not shipped():
        return build()
    return ZImageTransformer2DModel.from_pretrained(SHIPPED / "transformer", torch_dtype=torch.float32)


def train(rank: int, workers: int, budget: Budget, stage: str) -> None:
    """One worker of the stage "teacher" or "student"; rank 0 keeps the log, the checkpoint, the smoothed weights."""
    torch.manual_seed(0)
    folder, pupil = FOLDER / stage, stage == "student"
    reader, exact = Reader(), Reader(dtype=torch.float32)
    run: Block = torch.compile(block, dynamic=False)
    teacher = ZImageTransformer2DModel.from_pretrained(FOLDER / "teacher") if pupil else None
    twin = copy.deepcopy(teacher) if teacher is not None else started(budget.fresh)
    net = copy.deepcopy(twin)
    masters = Masters(net, orthogonal=True, smooth=SMOOTH[stage])
    if teacher is not None:
        teacher = teacher.to(torch.bfloat16).requires_grad_(False)
    state = load_state(FOLDER / f"{stage}.pt")
    if "flat" in state:
        masters.restore(state)
    rng = random.Random(f"turbo {stage} {rank} {masters.step}")
    torch.manual_seed(rng.getrandbits(31))
    cache = latents.load(workers)
    early, late = lessons(cache[1])
    nothing = reader([""] * budget.batch)
    schedule = Schedule(seconds=budget.seconds, rate=budget.rate, flat=budget.flat)
    clock = Clock(state["seconds"])
    done, kept, seen = state["seconds"] / budget.seconds, clock.seconds(), 0.0
    while done < 1:
        first = done < budget.early
        chosen = rng.choices(early if first else late, k=budget.batch)
        read = reader(["" if rng.random() < UNCONDITIONAL else draw_caption(rng, cache[1][n]) for n in chosen])
        clean, sigmas = cache[0][chosen].float(), draw_sigmas(len(chosen), first)
        noise = torch.randn_like(clean)
        x = mixed(clean, noise, sigmas).bfloat16()
        wanted = clean - noise
        if teacher is not None:
            wanted = lesson(teacher, run, x, 1 - sigmas, read, nothing, wanted)
        loss = ((forward(net, x, 1 - sigmas, *read, run).float() - wanted) ** 2).mean()
        loss.backward()
        done = masters.update(schedule, clock.seconds() / budget.seconds)
        seen = 0.99 * seen + 0.01 * loss.item() if seen else loss.item()
        if rank == 0 and (clock.seconds() - kept > KEPT_EVERY or done >= 1):
            kept = clock.seconds()
            masters.smoothed(twin)
            twin.save_pretrained(folder)
            save(FOLDER / f"{stage}.pt", {**masters.state(), "seconds": kept})
            samples = masters.step * workers * budget.batch
            note(FOLDER / "log.txt", f"{stage} {kept:.0f} s, step {masters.step}, {samples} samples, loss {seen:.4f}")
            note(FOLDER / "log.txt", probe(twin, exact, cache))


@dataclass(frozen=True, kw_only=True)
class Options:
    """Budgets in minutes of each of so many cores."""

    minutes: float
    distil_minutes: float
    scenes: int
    workers: int
    batch: int
    fresh: bool
    vae: Path
    target: Path


def read_options() -> Options:
    parser = argparse.ArgumentParser(prog="python -m training.turbo", description=__doc__)
    parser.add_argument("--minutes", type=float, default=120, help="of the teacher")
    parser.add_argument("--distil-minutes", type=float, default=30, help="of the student")
    parser.add_argument("--scenes", type=int, default=64_000, help="in the latent cache (2 KB each)")
    parser.add_argument("--workers", type=int, default=2, help="single-threaded processes, one per core")
    parser.add_argument("--batch", type=int, default=48, help="per worker")
    parser.add_argument("--fresh", action="store_true", help="from random weights, not from the shipped ones")
    parser.add_argument("--vae", type=Path, default=SHIPPED.parent / "demo" / "vae", help="that encodes and decodes")
    parser.add_argument("--target", type=Path, default=SHIPPED)
    return Options(**vars(parser.parse_args()))


def run(options: Options) -> dict[str, object]:
    """Both parts, as far as they are not done, the folder they end in, and what it can do."""
    latents.run(options.vae, options.scenes, options.workers)
    prepare(options.fresh)
    for stage, minutes in (("teacher", options.minutes), ("student", options.distil_minutes)):
        new = stage == "teacher" and options.fresh
        budget = Budget(
            seconds=60 * minutes,
            rate=RATES[stage],
            batch=options.batch,
            workers=options.workers,
            early=0.2 if new else 0.0,
            fresh=options.fresh,
        )
        spread(train, options.workers, budget, stage)
    teacher, target = (
        turbo_export.run(FOLDER / stage, options.vae, place)
        for stage, place in (("teacher", FOLDER / "demo-turbo-teacher"), ("student", options.target))
    )
    figures = turbo_evaluate.run(target, teacher, SHEETS, REPORT)
    note(FOLDER / "log.txt", f"figures: {figures['captions']}")
    return figures


if __name__ == "__main__":
    run(read_options())
