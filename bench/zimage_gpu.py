"""Z-Image at full size, with random weights, on a GPU: nine steps at 1024 px against ZImagePipeline, and each memory level under a cap.

    python -m bench.zimage_gpu FOLDER            writes 20 GB of weights into FOLDER, once, and measures; rows for bench/RESULTS.md
    python -m bench.zimage_gpu FOLDER --tiny     the same way through a model of demo-turbo's size, also on a CPU

A cap is torch's own, for the process: every level and cap has a process of its own, and so its own peak. Random weights cost what
real ones do.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from bench.starting import ROOT
from core import Pipeline
from core.families.base import TextRequest
from core.models.residency import LEVELS
from core.recipe import Recipe
from core.sampling import starting_noise

MODEL, STEPS, ROUNDS = "z-image-random", 9, 3
CAPS = (8, 12, 16)  # GB
CLASSES = {
    "transformer": ("diffusers", "ZImageTransformer2DModel"), "text_encoder": ("transformers", "Qwen3Model"),
    "vae": ("diffusers", "AutoencoderKL"),
}  # fmt: skip


def recipe(side: int) -> Recipe:
    return Recipe(
        stepwise=1, model=MODEL, prompt="an old fisherman mends a net", seed=1, width=side, height=side, steps=STEPS
    )


# ------------------------------------------------------------------ the weights


def write(root: Path, tiny: bool) -> None:
    """A diffusers folder below `root`, in bfloat16, one component in memory at a time; demo-turbo's tokenizer serves both sizes."""
    folder, demo = root / MODEL, ROOT / "models" / "demo-turbo"
    if (folder / "model_index.json").is_file():
        return
    for part, (library, name) in CLASSES.items():
        own, usual = demo / part / "config.json", ROOT / "core" / "families" / "configs" / "z_image" / f"{part}.json"
        config = json.loads((own if tiny else usual).read_text()) | {"_class_name": name}
        (folder / part).mkdir(parents=True, exist_ok=True)
        (folder / part / "config.json").write_text(json.dumps(config))
        stem = "model" if library == "transformers" else "diffusion_pytorch_model"
        save_file(dict(drawn(part, config)), folder / part / f"{stem}.safetensors")
    for part in ("tokenizer", "scheduler"):
        shutil.copytree(demo / part, folder / part, dirs_exist_ok=True)
    (folder / "model_index.json").write_text((demo / "model_index.json").read_text())  # last: now it is a model


def drawn(part: str, config: dict[str, Any]) -> Iterator[tuple[str, Tensor]]:
    """Names and random weights, small enough that a forward pass stays finite; norms are one."""
    import diffusers
    import transformers

    generator = torch.Generator().manual_seed(0)
    with torch.device("meta"):
        if part == "text_encoder":
            module: Any = transformers.Qwen3Model(transformers.Qwen3Config.from_dict(config))
        else:
            module = getattr(diffusers, CLASSES[part][1]).from_config(config)
    for name, wanted in module.state_dict().items():
        if wanted.ndim == 1:
            yield (
                name,
                torch.full(wanted.shape, float("norm" in name and name.endswith("weight")), dtype=torch.bfloat16),
            )
        else:
            yield name, torch.randn(wanted.shape, generator=generator, dtype=torch.bfloat16) * 0.02


# ------------------------------------------------------------------ measuring


def settled(device: torch.device) -> float:
    """Seconds on the wall, when the device has done all that it was asked."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def seconds(run: Callable[[], object], device: torch.device) -> float:
    began = settled(device)
    run()
    return settled(device) - began


def against_diffusers(root: Path, side: int, device: str, data: Path) -> dict[str, float]:
    """Nine steps and a decode, ours and ZImagePipeline's over the same modules, embeddings, sigmas and start, in turns."""
    from diffusers import FlowMatchEulerDiscreteScheduler, ZImagePipeline

    ours = Pipeline(models=root, device=device, trajectory_bytes=0, data=data, memory="resident")
    wanted = recipe(side).model_copy(update={"sampler": "euler"})
    first = ours.generate(wanted)  # warm
    model: Any = ours._main
    sigmas = [float(step.leg.sigmas[step.index]) for step in ours.plan(wanted).steps]
    theirs: Any = ZImagePipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=1.0), vae=model._vae, transformer=model._net,
        text_encoder=None, tokenizer=None,
    )  # fmt: skip
    theirs.set_progress_bar_config(disable=True)
    embeds = [model.encode_text(TextRequest(text=wanted.prompt, width=side, height=side)).context[0]]
    noise = starting_noise(wanted.seed, tuple(first.latents.shape)).to(model.device)

    def other(output: str = "pil") -> Any:
        return theirs(
            prompt_embeds=embeds, latents=noise.clone(), sigmas=sigmas, num_inference_steps=STEPS, guidance_scale=0.0,
            height=side, width=side, output_type=output,
        ).images  # fmt: skip

    with torch.inference_mode():
        apart = (other("latent").float().cpu() - first.latents).abs().max()
        times = [[seconds(run, model.device) for run in (lambda: ours.generate(wanted), other)] for _ in range(ROUNDS)]
    mine, its = (statistics.median(one) for one in zip(*times, strict=True))
    return {"ratio": mine / its, "ours": mine, "diffusers": its, "apart": float(apart)}


def at_level(root: Path, side: int, device: str, level: str, cap: float | None, data: Path) -> dict[str, Any]:
    """A second picture at a level, with the process held to `cap` GB: seconds, peak, and the level that it had at last."""
    where = torch.device(device)
    if where.type == "cuda":
        total = torch.cuda.get_device_properties(where).total_memory
        torch.cuda.set_per_process_memory_fraction(
            1.0 if cap is None else min(1.0, cap * 1e9 / total), where.index or 0
        )
        torch.cuda.reset_peak_memory_stats(where)
    pipe = Pipeline(models=root, device=device, trajectory_bytes=0, data=data, memory=level)
    pipe.generate(recipe(side))
    took = seconds(lambda: pipe.generate(recipe(side)), where)
    assert pipe.residency is not None
    peak = torch.cuda.max_memory_reserved(where) / 1e9 if where.type == "cuda" else None
    return {
        "asked": level,
        "cap": cap,
        "level": pipe.residency.level,
        "why": str(pipe.residency),
        "seconds": took,
        "peak": peak,
    }


def apart(root: Path, side: int, device: str, level: str, cap: float | None) -> dict[str, Any]:
    """`at_level` in a process of its own; memory that runs out for good is a result too."""
    command = [
        sys.executable,
        "-m",
        "bench.zimage_gpu",
        str(root),
        "--side",
        str(side),
        "--device",
        device,
        "--level",
        level,
    ]
    done = subprocess.run([*command, *(["--cap", str(cap)] if cap else [])], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        return {"asked": level, "cap": cap, "level": "none", "why": done.stderr.strip().splitlines()[-1][:200]}
    return json.loads(done.stdout.splitlines()[-1])


def row(found: dict[str, Any]) -> str:
    """A line of the table of levels."""
    cap = "none" if found["cap"] is None else f"{found['cap']:g} GB"
    took = f"{found['seconds']:.2f} s" if "seconds" in found else "–"
    peak = "not measured" if found.get("peak") is None else f"{found['peak']:.1f} GB"
    return f"| {cap} | {found['asked']} | {found['level']} | {took} | {peak} |"


def main(given: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="bench.zimage_gpu", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tiny", action="store_true", help="a model of demo-turbo's size, 64 px, in this process")
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--level", choices=("auto", *LEVELS), help="only this level; prints JSON")
    parser.add_argument("--cap", type=float, metavar="GB")
    told = parser.parse_args(given)
    side, data = 64 if told.tiny else told.side, told.folder / "data"
    if told.device == "cpu" and not told.tiny:
        parser.error("no CUDA device is here: run it where one is, or with --tiny")
    write(told.folder, told.tiny)
    if told.level:
        print(json.dumps(at_level(told.folder, side, told.device, told.level, told.cap, data)))
        return
    found = against_diffusers(told.folder, side, told.device, data)
    print(f"| ours / diffusers | **{found['ratio']:.3f}** ({found['ours']:.2f} s, {found['diffusers']:.2f} s) |")
    print(f"| largest difference of the latents | {found['apart']:.2g} |\n")
    print("| cap | asked for | level at last | a picture | peak |\n|---|---|---|---|---|")
    for cap in (None,) if told.tiny else (None, *CAPS):
        for level in LEVELS if cap is None else ("auto", *LEVELS[1:]):
            where = (told.folder, side, told.device, level, cap)
            measured = at_level(*where, data) if told.tiny else apart(*where)
            print(row(measured), flush=True)


if __name__ == "__main__":
    main()
