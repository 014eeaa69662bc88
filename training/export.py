"""The finished parts into one ordinary diffusers folder, float16, every file small enough for git."""

import json
import shutil
from pathlib import Path

import torch
from diffusers import AutoencoderKL, EulerDiscreteScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer

from training import tokenizer as bpe
from training.unet import BETAS

FILE_LIMIT, FOLDER_LIMIT = 10 * 2**20, 30 * 2**20  # bytes
SCHEDULER = {
    "beta_schedule": "scaled_linear",
    "beta_start": BETAS[0],
    "beta_end": BETAS[1],
    "prediction_type": "epsilon",
    "timestep_spacing": "linspace",
    "steps_offset": 1,
}
# read by other schedulers made from this config; DDIM's own default, clipping, ruins latents
FOR_OTHER_SCHEDULERS = {"clip_sample": False, "set_alpha_to_one": False, "skip_prk_steps": True}


def run(unet: Path, text: Path, vae: Path, target: Path) -> Path:
    """From the folders of the parts; README.md in `target` stays."""
    pipeline = StableDiffusionPipeline(
        unet=UNet2DConditionModel.from_pretrained(unet),
        text_encoder=CLIPTextModel.from_pretrained(text),
        vae=AutoencoderKL.from_pretrained(vae),
        tokenizer=CLIPTokenizer.from_pretrained(bpe.FOLDER),
        scheduler=EulerDiscreteScheduler(**SCHEDULER),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).to(dtype=torch.float16)
    pipeline.save_pretrained(target)
    for name in ("vocab.json", "merges.txt", "special_tokens_map.json"):  # for readers of the older layout
        shutil.copy(bpe.FOLDER / name, target / "tokenizer" / name)
    for config in target.rglob("*.json"):
        if config.name in ("config.json", "tokenizer_config.json"):
            forget_paths(config)
    scheduler = target / "scheduler" / "scheduler_config.json"
    scheduler.write_text(
        json.dumps(json.loads(scheduler.read_text()) | FOR_OTHER_SCHEDULERS, indent=2, sort_keys=True) + "\n"
    )
    check_sizes(target)
    return target


def forget_paths(config: Path) -> None:
    """The libraries note where a part was loaded from; that says nothing on another machine."""
    content = json.loads(config.read_text())
    content.pop("_name_or_path", None)
    content.pop("name_or_path", None)
    config.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")


def check_sizes(folder: Path) -> None:
    sizes = {file: file.stat().st_size for file in folder.rglob("*") if file.is_file()}
    large = [f"{file.name} {size}" for file, size in sizes.items() if size >= FILE_LIMIT]
    if large or sum(sizes.values()) >= FOLDER_LIMIT:
        raise ValueError(f"too large for the repository: {large}, together {sum(sizes.values())} bytes")
