"""CLIP (Radford et al. 2021), where a person has it: the cosine of picture and prompt, and how far pictures lie apart in its eyes.

Points are CLIPScore (Hessel et al. 2021): 2.5 times the cosine, from 0 to 1, times 100. It is looked for and never fetched.
"""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from core.adherence.measure import Asked, Reading, Silence
from core.adherence.words import spoken
from core.errors import ModelError
from core.models import tokenizers
from core.models.loader import read_json, weight_files
from core.models.weights import Weights, build, fill, renamed

FOLDER = "clip_vision"  # below models/, where ComfyUI keeps such models
CACHED = (  # in Hugging Face's cache of this machine, if they are there: the best first
    "openai/clip-vit-large-patch14", "laion/CLIP-ViT-H-14-laion2B-s32B-b79K", "openai/clip-vit-base-patch16",
    "openai/clip-vit-base-patch32",
)  # fmt: skip
SCORE = 2.5  # Hessel et al., equation 1
MEAN, DEVIATION = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)  # OpenAI's, of RGB in 0..1


def find(models: Path) -> Path | None:
    """A folder with a whole CLIP model: text and vision, weights that are no pickle, and its tokenizer."""
    return next((folder for folder in _candidates(models) if _is_whole(folder)), None)


def _candidates(models: Path) -> Iterator[Path]:
    from huggingface_hub import try_to_load_from_cache

    root = models / FOLDER
    yield from sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else ()
    for name in CACHED:
        config = try_to_load_from_cache(name, "config.json")
        if isinstance(config, str):
            yield Path(config).parent


def _is_whole(folder: Path) -> bool:
    with suppress(ModelError):
        config = read_json(folder / "config.json")
        whole = config.get("model_type") == "clip" and {"text_config", "vision_config"} <= config.keys()
        return whole and tokenizers.KINDS["clip"].is_in(folder) and bool(weight_files(folder))
    return False


class Clip:
    """Reads any picture and any prompt, of which it sees the first 77 tokens."""

    name: Literal["clip"] = "clip"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._loaded: tuple[Any, Any] | None = None  # model, tokenizer

    @property
    def title(self) -> str:
        cached = self._folder.parent.parent.name.removeprefix("models--").replace("--", "/")
        return cached if self._folder.parent.name == "snapshots" else self._folder.name

    def silence(self, asked: Asked) -> Silence | None:
        return None if spoken(asked.prompt).strip() else "words"

    @torch.inference_mode()
    def read(self, picture: Image.Image, asked: Asked) -> Reading:
        self._loaded = self._loaded or (load(self._folder), tokenizers.read("clip", self._folder))
        model, words = self._loaded
        limit = model.config.text_config.max_position_embeddings
        tokens = words([spoken(asked.prompt)], truncation=True, max_length=limit, return_tensors="pt")
        pixels = prepared(picture, model.config.vision_config.image_size)
        seen = model(input_ids=tokens.input_ids, attention_mask=tokens.attention_mask, pixel_values=pixels)
        cosine = float(seen.image_embeds[0] @ seen.text_embeds[0])
        return Reading(points=100 * min(1.0, SCORE * max(0.0, cosine)), features=seen.image_embeds[0].clone())

    def release(self) -> None:
        self._loaded = None


def load(folder: Path) -> Any:
    """A CLIPModel in float32 on the CPU: the accelerator's memory is the picture's. Raises ModelError."""
    from transformers import CLIPConfig, CLIPModel

    with Weights(weight_files(folder)) as weights:
        config = read_json(folder / "config.json")
        try:
            empty = build(lambda: CLIPModel(CLIPConfig(**config)))
        except (TypeError, ValueError, KeyError, AttributeError, ZeroDivisionError) as error:
            reason = str(error)[:200]
            raise ModelError(
                "The configuration of this {part} cannot be used: {reason}.", part="CLIPModel", reason=reason
            ) from error
        model: Any = fill(empty, renamed(weights, str), torch.float32, part="CLIPModel", file=weights.title)
    for part in model.modules():  # the buffers that no file holds: 0, 1, 2 ...
        if hasattr(part, "position_ids"):
            count = part.position_embedding.weight.shape[0]
            part.register_buffer("position_ids", torch.arange(count)[None], persistent=False)
    return model


def prepared(picture: Image.Image, side: int) -> Tensor:
    """As CLIP was trained: scaled until the shorter side fits, the middle cut out. [1, 3, side, side]"""
    square = ImageOps.fit(picture.convert("RGB"), (side, side), Image.Resampling.BICUBIC)
    values = (np.asarray(square, np.float32) / 255 - np.array(MEAN, np.float32)) / np.array(DEVIATION, np.float32)
    return torch.from_numpy(values).permute(2, 0, 1)[None]
