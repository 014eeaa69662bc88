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
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

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


def seconds(work: Callable[[], object], rounds: int) -> float:
    """Median CPU time."""
    spent: list[float] = []
    for _ in range(rounds):
        began = time.process_time()
        work()
        spent.append(time.process_time() - began)
    return statistics.median(spent)


def switch(rounds: int, side: int) -> dict[str, float]:
    """Steps that a switch costs, and what a step with a LoRA costs by one without: ours, and unfused.

    side: latent cells, of a step with both halves of cfg. The switch costs the same at any size, so the smaller the harder.
    """
    unet = network()
    modules = factors(unet)
    with tempfile.TemporaryDirectory() as scratch:
        match = lora.read(kohya(modules, Path(scratch) / "lora.safetensors")).match({"denoiser": unet})
    weights = Patched({"denoiser": unet})
    sets = [[Patch(content="one", strength=s, deltas=match.deltas)] for s in (1.0, 0.5)]
    x, text = torch.randn(2, 4, side, side), torch.randn(2, 77, 768)

    @torch.inference_mode()
    def step() -> object:
        return unet(x, 500, encoder_hidden_states=text, return_dict=False)

    def back_and_forth() -> None:
        weights.set(sets[weights.key == (("one", 1.0),)])

    step()
    plain = seconds(step, rounds)
    first = seconds(lambda: weights.set(sets[0]), 1)
    between = seconds(back_and_forth, rounds)
    patched = seconds(step, rounds)
    rows = {"clean copies, GB": weights.nbytes / 1e9, "LoRA modules": float(match.applied)}
    off = seconds(lambda: weights.set([]), 1)
    unfused = with_adapters(unet, modules, step, rounds)
    return rows | {
        "CPU seconds of a step": plain,
        f"first switch, steps (at most {SHARE})": first / plain,
        f"switch between strengths, steps (at most {SHARE})": between / plain,
        "back to clean, steps": off / plain,
        "step with a LoRA / without": patched / plain,
        "the same unfused, diffusers' adapters": unfused / plain,
    }


def with_adapters(
    unet: Any, modules: dict[str, tuple[Tensor, Tensor]], step: Callable[[], object], rounds: int
) -> float:
    """CPU seconds of a step with the same LoRA as a peft adapter."""
    from peft import LoraConfig

    unet.add_adapter(LoraConfig(r=RANK, lora_alpha=RANK, target_modules=list(modules)))
    step()
    return seconds(step, rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--side", type=int, default=32)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for name, value in switch(arguments.rounds, arguments.side).items():
        print(f"  {name:50} {value:10.4f}", flush=True)


if __name__ == "__main__":
    main()
