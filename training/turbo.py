"""demo-turbo's transformer: a flow from noise to the cached latents, then its own guidance taught to it.

x = (1 - sigma) * clean + sigma * noise. The network is told 1 - sigma and gives clean - noise, the velocity with its
sign turned, as Z-Image does. First it learns from the data; then it goes on learning from what the demo model answers with
guidance at the same points (`turbo_guide.py`): it needs no guidance then, and its seeds differ less.

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
from training.turbo_guide import NOISIEST, Guide
from training.turbo_net import LAYERS, SHIFT, Block, block, build, forward, grown
from training.unet import lessons

FOLDER = WORK / "turbo"
SHEETS, REPORT = Path(__file__).with_name("sheets"), Path(__file__).with_name("turbo_figures.json")
SHIPPED = Path(__file__).parents[1] / "models" / "demo-turbo"
UNCONDITIONAL = 0.1  # share of empty captions
RATE = 2e-3  # of learning, at its highest
WEIGHTS = {"small": 1.7, "medium": 1.0, "big": 0.6}  # of what is learnt from the demo: a small thing has few pixels to err in
FLAT = 0.3  # share of a budget before the rate falls
SMOOTH = 0.998  # of the moving average
KEPT_EVERY = 180.0  # seconds between checkpoints
PROBED = 64  # latents


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What one part of the training may cost, and how it runs."""

    seconds: float
    demo: Path  # the folder of the model that guides
    batch: int = 48  # per worker
    workers: int = 1
    early: float = 0.0  # share of the budget spent on large things and noisy steps
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
    if not fresh and shipped() and not (FOLDER / "flow.pt").exists():
        shutil.copytree(SHIPPED / "tokenizer", turbo_text.TOKENIZER, dirs_exist_ok=True)
        shutil.copytree(SHIPPED / "text_encoder", turbo_text.FOLDER, dirs_exist_ok=True)
    turbo_text.run()


def shipped() -> bool:
    return (SHIPPED / "transformer" / "config.json").exists()


def started(fresh: bool) -> ZImageTransformer2DModel:
    """A new network, or the shipped one to go on from."""
    if fresh or not shipped():
        return build()
    return grown(ZImageTransformer2DModel.from_pretrained(SHIPPED / "transformer", torch_dtype=torch.float32), LAYERS)


def train(rank: int, workers: int, budget: Budget, stage: str) -> None:
    """One worker of the stage "flow" or "guided"; rank 0 keeps the log, the checkpoint, the smoothed weights."""
    torch.manual_seed(0)
    folder = FOLDER / stage
    reader, exact = Reader(), Reader(dtype=torch.float32)
    run: Block = torch.compile(block, dynamic=False)
    guide = Guide(budget.demo) if stage == "guided" else None
    flow = FOLDER / "flow"
    twin = ZImageTransformer2DModel.from_pretrained(flow) if guide and flow.exists() else started(budget.fresh)
    net = copy.deepcopy(twin)
    masters = Masters(net, orthogonal=True, smooth=SMOOTH)
    state = load_state(FOLDER / f"{stage}.pt")
    if "flat" in state:
        masters.restore(state)
    rng = random.Random(f"turbo {stage} {rank} {masters.step}")
    torch.manual_seed(rng.getrandbits(31))
    cache = latents.load(workers)
    early, late = lessons(cache[1])
    schedule = Schedule(seconds=budget.seconds, rate=RATE, flat=FLAT)
    clock = Clock(state["seconds"])
    done, kept, seen = state["seconds"] / budget.seconds, clock.seconds(), 0.0
    while done < 1:
        first = done < budget.early
        chosen = rng.choices(early if first else late, k=budget.batch)
        captions = ["" if rng.random() < UNCONDITIONAL else draw_caption(rng, cache[1][n]) for n in chosen]
        clean, sigmas = cache[0][chosen].float(), draw_sigmas(len(chosen), first)
        noise = torch.randn_like(clean)
        x, wanted, weights = mixed(clean, noise, sigmas), clean - noise, torch.ones(len(chosen))
        if guide is not None:
            wanted = guide.lesson(x, sigmas, captions, wanted)
            sizes = torch.tensor([WEIGHTS[cache[1][n].size] for n in chosen])
            weights = torch.where(sigmas > NOISIEST, weights, sizes)
        made = forward(net, x.bfloat16(), 1 - sigmas, *reader(captions), run)
        loss = (((made.float() - wanted) ** 2).mean((1, 2, 3)) * weights).mean()
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
    guided_minutes: float
    scenes: int
    workers: int
    batch: int
    fresh: bool
    demo: Path
    target: Path


def read_options() -> Options:
    parser = argparse.ArgumentParser(prog="python -m training.turbo", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60, help="of learning from the data; 0: go on with the demo at once")
    parser.add_argument("--guided-minutes", type=float, default=90, help="of learning from the demo model")
    parser.add_argument("--scenes", type=int, default=64_000, help="in the latent cache (2 KB each)")
    parser.add_argument("--workers", type=int, default=2, help="single-threaded processes, one per core")
    parser.add_argument("--batch", type=int, default=48, help="per worker")
    parser.add_argument("--fresh", action="store_true", help="from random weights, not from the shipped ones")
    parser.add_argument("--demo", type=Path, default=SHIPPED.parent / "demo", help="the model that guides, and its VAE")
    parser.add_argument("--target", type=Path, default=SHIPPED)
    return Options(**vars(parser.parse_args()))


def run(options: Options) -> dict[str, object]:
    """Both parts, as far as they are not done, the folder they end in, and what it can do."""
    vae = options.demo / "vae"
    latents.run(vae, options.scenes, options.workers)
    prepare(options.fresh)
    for stage, minutes in (("flow", options.minutes), ("guided", options.guided_minutes)):
        budget = Budget(
            seconds=60 * minutes,
            demo=options.demo,
            batch=options.batch,
            workers=options.workers,
            early=0.2 if stage == "flow" and options.fresh else 0.0,
            fresh=options.fresh,
        )
        if minutes:
            spread(train, options.workers, budget, stage)
    target = turbo_export.run(FOLDER / "guided", vae, options.target)
    figures = turbo_evaluate.run(target, options.demo, SHEETS, REPORT)
    note(FOLDER / "log.txt", f"figures: {figures['captions']}")
    return figures


if __name__ == "__main__":
    run(read_options())
