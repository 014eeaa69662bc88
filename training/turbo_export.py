"""demo-turbo's parts into one ordinary diffusers folder, float16, every file small enough for git."""

import json
from pathlib import Path

import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, ZImagePipeline, ZImageTransformer2DModel
from transformers import Qwen3Model

from training import turbo_text
from training.export import check_sizes, forget_paths
from training.turbo_net import SHIFT


def run(transformer: Path, vae: Path, target: Path) -> Path:
    """With the text encoder and the tokenizer of training/work; README.md in `target` stays."""
    decoder = AutoencoderKL.from_pretrained(vae)
    decoder.register_to_config(shift_factor=0.0)  # the stock pipeline adds it, None or not
    pipeline = ZImagePipeline(
        transformer=ZImageTransformer2DModel.from_pretrained(transformer),
        text_encoder=Qwen3Model.from_pretrained(turbo_text.FOLDER),
        tokenizer=turbo_text.read_tokenizer(),
        vae=decoder,
        scheduler=FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, shift=SHIFT),
    ).to(dtype=torch.float16)
    pipeline.save_pretrained(target)
    write_plainly(target / "tokenizer")
    for config in target.rglob("*.json"):
        if config.name in ("config.json", "tokenizer_config.json"):
            forget_paths(config)
    check_sizes(target)
    return target


def write_plainly(folder: Path) -> None:
    """vocab.json and merges.txt beside tokenizer.json, for readers of the older layout."""
    model = json.loads((folder / "tokenizer.json").read_text())["model"]
    (folder / "vocab.json").write_text(json.dumps(model["vocab"], ensure_ascii=False))
    pairs = (pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"])
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(pairs) + "\n")
