"""What a LoRA costs in a run of SD1.5's size: the switch, and the steps after it. Against diffusers' unfused adapters, in turns.

    python -m bench.switching      a UNet of random weights, a LoRA of rank 16 on all attention and feed-forward layers

CPU seconds of this process, so that a busy machine does not decide. Needs 10 GB of memory.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from core.models import loader, lora
from core.models.patch import Patch, Patched

CONFIG = Path(__file__).parents[1] / "core" / "families" / "configs" / "sd15" / "unet.json"
RANK = 16
LAYERS = ("to_q", "to_k", "to_v", "to_out.0", "ff.net.0.proj", "ff.net.2")
SHARE = 1.5  # of a step, that a switch may cost


def network() -> Any:
    """SD1.5's UNet, float32. All weights are alike: what a product costs does not depend on them."""
    from diffusers import UNet2DConditionModel

    unet = loader.build(lambda: loader.made(UNet2DConditionModel, json.loads(CONFIG.read_text()))).to_empty(
        device="cpu"
    )
    for parameter in unet.requires_grad_(False).parameters():
        parameter.fill_(0.001)
    return unet.eval()


def factors(unet: nn.Module) -> dict[str, tuple[Tensor, Tensor]]:
    """up and down of every layer that LoRAs usually have."""
    linear = (
        (name, part) for name, part in unet.named_modules() if name.endswith(LAYERS) and isinstance(part, nn.Linear)
    )
    return {
        name: (torch.randn(part.out_features, RANK) * 0.01, torch.randn(RANK, part.in_features) * 0.01)
        for name, part in linear
    }


def kohya(modules: dict[str, tuple[Tensor, Tensor]], path: Path) -> Path:
    tensors: dict[str, Tensor] = {}
    for name, (up, down) in modules.items():
        key = "lora_unet_" + name.replace(".", "_")
        tensors |= {f"{key}.lora_up.weight": up, f"{key}.lora_down.weight": down}
    save_file(tensors, path)
    return path


def seconds(work: Callable[[], object]) -> float:
    """CPU time of one call."""
    began = time.process_time()
    work()
    return time.process_time() - began


def medians(rounds: int, *works: Callable[[], object]) -> list[float]:
    """Median CPU time of each, done in turns, so that what else the machine does falls on all of them."""
    spent = [[seconds(work) for work in works] for _ in range(rounds)]
    return [statistics.median(times) for times in zip(*spent, strict=True)]


def switch(rounds: int, side: int) -> dict[str, float]:
    """Steps that a switch costs, and what a step with a LoRA costs by one without: ours, and unfused.

    side: latent cells, of a step with both halves of cfg. The switch costs the same at any size, so the smaller the harder.
    """
    unet = network()
    modules = factors(unet)
    with tempfile.TemporaryDirectory() as scratch:
        match = lora.read(kohya(modules, Path(scratch) / "lora.safetensors")).match({"denoiser": unet})
    weights = Patched({"denoiser": unet})
    whole, half = ([Patch(content="one", strength=s, deltas=match.deltas)] for s in (1.0, 0.5))
    x, text = torch.randn(2, 4, side, side), torch.randn(2, 77, 768)

    @torch.inference_mode()
    def step() -> object:
        return unet(x, 500, encoder_hidden_states=text, return_dict=False)

    step()
    first = seconds(partial(weights.set, whole))
    rows = {"clean copies, GB": weights.nbytes / 1e9, "LoRA modules": float(match.applied)}
    weights.set([])
    # Twice each: the step after a switch finds the caches cold, and is not what a constant LoRA costs.
    put = [partial(weights.set, patches) for patches in (whole, half, [])]
    _, plain, on, _, patched, between, off = medians(rounds, step, step, put[0], step, step, put[1], put[2])
    weights.set(whole)
    work = [operations(step)]
    weights.set([])
    work.append(operations(step))
    bare, unfused, more = with_adapters(unet, modules, step, rounds)
    return rows | {
        "CPU seconds of a step": plain,
        f"first switch, steps (at most {SHARE})": first / plain,
        f"later switch, steps (at most {SHARE})": on / plain,
        f"switch between strengths, steps (at most {SHARE})": between / plain,
        "back to clean, steps": off / plain,
        "step with a LoRA / without": patched / plain,
        "the same unfused, diffusers' adapters": unfused / bare,
        "floating-point operations with a LoRA / without": work[0] / work[1],
        "the same unfused": more / work[1],
    }


def operations(step: Callable[[], object]) -> float:
    """Floating-point operations of a step's products and convolutions: exact, however busy the machine is."""
    with FlopCounterMode(display=False) as counter:
        step()
    return float(counter.get_total_flops())


def with_adapters(
    unet: Any, modules: dict[str, tuple[Tensor, Tensor]], step: Callable[[], object], rounds: int
) -> tuple[float, float, float]:
    """CPU seconds of a step without and with the same LoRA as a peft adapter, in turns; the operations of one with it."""
    from peft import LoraConfig

    unet.add_adapter(LoraConfig(r=RANK, lora_alpha=RANK, target_modules=list(modules)))
    unet.disable_adapters()
    step()
    turns = (step, step, unet.enable_adapters, step, step, unet.disable_adapters)
    _, bare, _, _, unfused, _ = medians(rounds, *turns)
    unet.enable_adapters()
    return bare, unfused, operations(step)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--side", type=int, default=32)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for name, value in switch(arguments.rounds, arguments.side).items():
        print(f"  {name:50} {value:10.4f}", flush=True)


if __name__ == "__main__":
    main()
