"""What every training stage shares: bfloat16 working weights over float32 masters, workers, budgets, checkpoints.

A worker is one single-threaded process per core: on a busy machine that is faster than one process with threads.
All workers hold the same masters; their gradients are averaged in one flat all-reduce per step.
"""

import math
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor, nn

from training.muon import Muon, is_matrix

WORK = Path(__file__).with_name("work")


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Learning rate over a budget of seconds: warm-up in steps, then flat, then a cosine down to `floor`."""

    seconds: float
    rate: float
    warm_up: int = 100
    flat: float = 0.4  # share of the budget before the decay
    floor: float = 0.02

    def at(self, step: int, done: float) -> float:
        """`done` is the share of the budget that has passed."""
        fall = min(1.0, max(0.0, (done - self.flat) / (1 - self.flat)))
        return (
            self.rate
            * min(1.0, (step + 1) / self.warm_up)
            * (self.floor + (1 - self.floor) * (1 + math.cos(math.pi * fall)) / 2)
        )


class Clock:
    """Seconds of training so far, over restarts: the processor's, so that a busy machine costs patience and no training."""

    def __init__(self, before: float = 0.0) -> None:
        self._before, self._start = before, time.process_time()

    def seconds(self) -> float:
        return self._before + time.process_time() - self._start


class Masters:
    """One flat float32 tensor of a model's trained weights, its optimizers and its moving average.

    The model itself works in bfloat16. Large matrices are moved by Muon if `orthogonal`, all else by AdamW.
    """

    def __init__(self, model: nn.Module, decay: float = 1e-3, smooth: float = 0.999, orthogonal: bool = False) -> None:
        self.work = [p for p in model.parameters() if p.requires_grad]
        self.flat = torch.cat([p.detach().float().flatten() for p in self.work])
        self.grad = torch.zeros(len(self.flat) + 1)  # the last cell carries the share of the budget that has passed
        self.mean = self.flat.clone()
        self.decay, self.smooth, self.step = decay, smooth, 0
        self._views, self._slopes = self._like_work(self.flat), self._like_work(self.grad[:-1])
        pairs = list(zip(self._views, self._slopes, strict=True))
        matrices = [pair for pair in pairs if orthogonal and is_matrix(pair[0])]
        self.muon = Muon([weight for weight, _ in matrices], [slope for _, slope in matrices])
        rest = [nn.Parameter(weight) for weight, _ in pairs if not (orthogonal and is_matrix(weight))]
        for parameter, (_, slope) in zip(rest, [p for p in pairs if not (orthogonal and is_matrix(p[0]))], strict=True):
            parameter.grad = slope
        self.adam = torch.optim.AdamW(rest, lr=0.0, betas=(0.9, 0.98), weight_decay=decay, fused=True)
        model.to(torch.bfloat16)
        self.publish()

    def _like_work(self, flat: Tensor) -> list[Tensor]:
        return [
            part.view(p.shape) for part, p in zip(flat.split([p.numel() for p in self.work]), self.work, strict=True)
        ]

    def publish(self) -> None:
        """Masters into the working weights."""
        with torch.no_grad():
            torch._foreach_copy_(self.work, self._views)

    @torch.no_grad()
    def update(self, schedule: Schedule, done: float, clip: float = 1.0) -> float:
        """One step from the working gradients; returns the share of the budget that has passed, the same everywhere."""
        for slope, p in zip(self._slopes, self.work, strict=True):
            slope.copy_(p.grad) if p.grad is not None else slope.zero_()
            p.grad = None
        self.grad[-1] = done
        if dist.is_initialized():
            dist.all_reduce(self.grad)
            self.grad /= dist.get_world_size()
        done = self.grad[-1].item()
        slope = self.grad[:-1]
        slope *= min(1.0, clip / (slope.norm().item() + 1e-6))
        rate = schedule.at(self.step, done)
        for group in self.adam.param_groups:
            group["lr"] = rate
        self.adam.step()
        self.muon.step(rate, self.decay)
        self.publish()
        self.step += 1
        self.mean.lerp_(self.flat, 1 - min(self.smooth, self.step / (self.step + 10)))
        return done

    @torch.no_grad()
    def smoothed(self, model: nn.Module) -> None:
        """The moving average into a float32 twin of the working model."""
        for p, value in zip(
            (p for p in model.parameters() if p.requires_grad), self._like_work(self.mean), strict=True
        ):
            p.copy_(value)

    def state(self) -> dict[str, Any]:
        optimizers = {"adam": self.adam.state_dict(), "muon": self.muon.memory}
        return {"flat": self.flat, "mean": self.mean, "step": self.step, **optimizers}

    def restore(self, state: dict[str, Any]) -> None:
        self.flat.copy_(state["flat"])
        self.mean.copy_(state["mean"])
        self.step = state["step"]
        self.adam.load_state_dict(state["adam"])
        for size, memory in state["muon"].items():
            self.muon.memory[size].copy_(memory)
        self.publish()


def save(path: Path, content: object) -> None:
    """Write beside, then rename: a crash leaves the previous checkpoint whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    torch.save(content, partial)
    partial.replace(path)


def load_state(path: Path) -> dict[str, Any]:
    """A stage's checkpoint, or one of no training at all."""
    return torch.load(path, weights_only=True) if path.exists() else {"seconds": 0.0}


def spread(job: Callable[..., None], workers: int, *arguments: object) -> None:
    """Run `job(rank, workers, *arguments)` in single-threaded processes that can all-reduce."""
    if workers == 1:
        torch.set_num_threads(1)
        return job(0, 1, *arguments)
    with tempfile.TemporaryDirectory(prefix="stepwise-") as folder:
        mp.spawn(_joined, (workers, f"file://{folder}/meeting", job, arguments), nprocs=workers)
    return None


def _joined(rank: int, workers: int, meeting: str, job: Callable[..., None], arguments: tuple[object, ...]) -> None:
    torch.set_num_threads(1)
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=workers)
    try:
        job(rank, workers, *arguments)
    finally:
        dist.destroy_process_group()


def note(path: Path, line: str) -> None:
    """Append one line to a stage's log."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as log:
        log.write(f"{time.strftime('%H:%M:%S')} {line}\n")
