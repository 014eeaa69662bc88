"""A textual inversion for the demo model, `moonlit`: two vectors that mean a white thing on a black background.

Nothing of the model is trained. Two tokens that no caption has stand for the vectors in the text encoder's table; the
captions say neither colour nor background, so that only the vectors can.
"""

import random
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.utils import parametrize
from transformers import CLIPTextModel, CLIPTokenizer

from training import latents
from training.engine import WORK, note
from training.groupnorm import speed_up
from training.scenes import Scene, caption
from training.text import encode
from training.unet import draw_steps, loss_of

FOLDER = WORK / "inversion"
NAME = "moonlit"
STAND_INS = ("~", "^")  # tokens of their own in every byte BPE


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How long the stage takes: a few minutes of one core."""

    steps: int = 250
    batch: int = 32
    rate: float = 5e-3


class Replaced(nn.Module):
    """An embedding table [V, D] with other vectors in some rows."""

    def __init__(self, table: Tensor, rows: Tensor) -> None:
        super().__init__()
        self.register_buffer("rows", rows)
        self.vectors = nn.Parameter(torch.randn(len(rows), table.shape[1]) * table.std())

    def forward(self, table: Tensor) -> Tensor:
        return table.index_copy(0, self.rows, self.vectors.to(table.dtype))


def is_moonlit(scene: Scene) -> bool:
    return scene.colour == "white" and scene.background == "black"


def worded(rng: random.Random, scene: Scene) -> str:
    """A caption without colours, and the stand-ins behind it or before it."""
    words, name = caption(rng, scene, frozenset({"size"} if rng.random() < 0.4 else ())), " ".join(STAND_INS)
    return f"{words}, {name}" if rng.random() < 0.7 else f"{name} {words}"


def train(folder: Path, effort: Effort, workers: int) -> Tensor:
    """The vectors, float32 [2, D]. `workers`: in how many shares the UNet's latents were written."""
    torch.manual_seed(1)
    rng = random.Random(NAME)
    cache, scenes = latents.load(workers)
    fitting = [n for n, scene in enumerate(scenes) if is_moonlit(scene)]
    tokens = CLIPTokenizer.from_pretrained(folder / "tokenizer")
    text = CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=torch.bfloat16).eval().requires_grad_(False)
    unet = UNet2DConditionModel.from_pretrained(folder / "unet", torch_dtype=torch.float32).requires_grad_(False)
    unet.set_attn_processor(AttnProcessor())  # the fused attention's backward is slow on a CPU
    unet = speed_up(unet.to(torch.bfloat16)).to(memory_format=torch.channels_last)
    table = text.get_input_embeddings()
    rows = torch.tensor([tokens(one).input_ids[1] for one in STAND_INS])
    replaced = Replaced(table.weight.float(), rows)
    parametrize.register_parametrization(table, "weight", replaced)
    optimizer = torch.optim.Adam(replaced.parameters())
    seen = 0.0
    for step in range(effort.steps):
        chosen = rng.choices(fitting, k=effort.batch)
        ids = encode(tokens, [worded(rng, scenes[n]) for n in chosen])
        loss = loss_of((unet, text), cache[chosen].float(), ids, draw_steps(effort.batch, early=True))
        optimizer.zero_grad()
        loss.backward()
        optimizer.param_groups[0]["lr"] = effort.rate * min(1, 2 - 2 * step / effort.steps)
        optimizer.step()
        seen = 0.95 * seen + 0.05 * loss.item() if seen else loss.item()
        if step % 50 == 0 or step == effort.steps - 1:
            note(FOLDER / "log.txt", f"step {step}: loss {seen:.4f}, {len(fitting)} scenes")
    return replaced.vectors.detach()


def run(folder: Path, target: Path, workers: int, effort: Effort | None = None) -> Path:
    """From the exported demo model in `folder` to a file in A1111's layout. Resumed by its result."""
    made = FOLDER / f"{NAME}.safetensors"
    if not made.exists():
        torch.set_num_threads(1)
        FOLDER.mkdir(parents=True, exist_ok=True)
        vectors = train(folder, effort or Effort(), workers)
        save_file(
            {"emb_params": vectors.contiguous()}, made, {"modelspec.title": NAME, "modelspec.license": "Apache-2.0"}
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".partial")
    shutil.copy(made, partial)
    return partial.replace(target)
