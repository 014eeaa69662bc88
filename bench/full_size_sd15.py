"""A full-size SD1.5 checkpoint of random weights (fp16, LDM layout, 2 GB), and what it costs to load and run it.

    python bench/full_size_sd15.py write FOLDER       makes FOLDER/checkpoints/full.safetensors and its tokenizer
    python bench/full_size_sd15.py measure FOLDER     seconds and peak memory of loading, one forward pass, one decode

Measure in a process of its own: the peak is the process's. Needs a tokenizer to copy: the demo model's will do.
"""

import argparse
import json
import resource
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from core.families import load  # noqa: E402
from core.families.base import TextRequest  # noqa: E402
from core.models import ldm, loader  # noqa: E402
from core.models.library import Library  # noqa: E402

CONFIGS = ROOT / "core" / "families" / "configs" / "sd15"


def write(folder: Path, tokenizer: Path) -> None:
    """The checkpoint and its tokenizer, laid out as a models folder."""
    unet, vae, clip = (json.loads((CONFIGS / f"{name}.json").read_text()) for name in ("unet", "vae", "text_encoder"))
    names = {
        "unet": loader.under("model.diffusion_model.", loader.unet_names(unet)),
        "vae": loader.under("first_stage_model.", ldm.vae_name(len(vae["block_out_channels"]))),
        "clip": loader.under("cond_stage_model.transformer.text_model.", ldm.clip_name),
    }
    state: dict[str, Tensor] = {}
    generator = torch.Generator().manual_seed(0)

    def draw(part: str, module: Any) -> None:
        for key, wanted in module.state_dict().items():
            state[names[part](key)] = values(key, wanted, generator)

    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    draw("unet", loader.build(lambda: loader.made(UNet2DConditionModel, unet)))
    draw("vae", loader.build(lambda: loader.made(AutoencoderKL, vae)))
    draw("clip", loader.build(lambda: CLIPTextModel(CLIPTextConfig(**clip))))
    (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    save_file(state, folder / "checkpoints" / "full.safetensors")
    shutil.copytree(tokenizer, folder / "tokenizers" / "clip", dirs_exist_ok=True)


def values(key: str, wanted: Tensor, generator: torch.Generator) -> Tensor:
    """Small enough that a forward pass stays finite: norms are one, the rest is drawn."""
    if wanted.ndim == 1:
        return torch.full(wanted.shape, float("norm" in key and key.endswith("weight")), dtype=torch.float16)
    return (torch.randn(wanted.shape, generator=generator) * 0.02).half()


def memory() -> dict[str, float]:
    """GB: the peak of all resident pages, and what is held now of its own (mapped files left out)."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"peak": round(peak, 2), "own": round(int(status["RssAnon"].split()[0]) / 2**20, 2)}


def clocks() -> tuple[float, float]:
    """Seconds on the wall and of this process: on a busy machine only the second means much."""
    return time.perf_counter(), time.process_time()


def measure(folder: Path) -> None:
    import diffusers.models  # noqa: F401  # its import is not what is measured
    import transformers.models.clip.modeling_clip  # noqa: F401

    def told(what: str, began: tuple[float, float]) -> None:
        wall, cpu = (now - then for now, then in zip(clocks(), began, strict=True))
        print(f"{what:16} {wall:7.2f} s, {cpu:7.2f} s of CPU   {memory()} GiB", flush=True)

    print(f"threads {torch.get_num_threads()}, before: {memory()} GiB")
    began = clocks()
    entry = Library(folder).model("full.safetensors")
    told("scan", began)
    began = clocks()
    model = load(entry, device=torch.device("cpu"))
    told("load", began)
    with torch.inference_mode():
        began = clocks()
        cond = model.encode_text(TextRequest(text="a red rabbit"))
        told("text", began)
        x = torch.randn(1, 4, 64, 64, generator=torch.Generator().manual_seed(0))
        for what in ("forward, first", "forward, second"):
            began = clocks()
            out = model.forward(x, torch.tensor([500.0]), cond)
            told(what, began)
        began = clocks()
        pixels = model.decode(x)
        told("decode", began)
    print("finite:", bool(out.isfinite().all()), bool(pixels.isfinite().all()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", choices=["write", "measure"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tokenizer", type=Path, default=ROOT / "models" / "demo" / "tokenizer")
    arguments = parser.parse_args()
    if arguments.what == "write":
        write(arguments.folder, arguments.tokenizer)
    else:
        measure(arguments.folder)


if __name__ == "__main__":
    main()
