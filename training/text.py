"""The text encoder, pre-trained to say what a caption names: without this the UNet takes hours to listen to it.

Linear heads read object, colour, background, place and size off the mean of the states behind the caption's end; each
has a class for "not said". Scenes and captions are drawn anew in every step.
"""

import random
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from training import tokenizer as bpe
from training.engine import WORK, note
from training.scenes import (
    BACKGROUNDS,
    COLOURS,
    EMPTY_PRAISE,
    OBJECTS,
    PLACES,
    SIZES,
    Scene,
    caption,
    draw_scene,
    mentioned,
)

FOLDER = WORK / "text_encoder"
WIDTH = 128  # of a token's state
ANSWERS: dict[str, tuple[str, ...]] = {
    "thing": tuple(OBJECTS), "colour": tuple(COLOURS), "background": tuple(BACKGROUNDS),
    "place": tuple(PLACES), "size": tuple(SIZES),
}  # fmt: skip
STEPS, BATCH, RATE = 1500, 64, 1.5e-3


def build(tokens: CLIPTokenizer) -> CLIPTextModel:
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokens),
            hidden_size=WIDTH,
            projection_dim=WIDTH,
            intermediate_size=4 * WIDTH,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=bpe.LENGTH,
            hidden_act="quick_gelu",
            bos_token_id=tokens.bos_token_id,
            eos_token_id=tokens.eos_token_id,
            pad_token_id=tokens.pad_token_id,
        )
    )


def encode(tokens: CLIPTokenizer, captions: list[str]) -> Tensor:
    """int64 [N, 77]."""
    return tokens(captions, padding="max_length", truncation=True, max_length=bpe.LENGTH, return_tensors="pt").input_ids


def labels(scene: Scene, names: frozenset[str]) -> list[int]:
    """One class per head; the last class of each is "not said"."""
    said = {"thing": scene.thing} | {name: getattr(scene, name) for name in names}
    return [answers.index(said[name]) if name in said else len(answers) for name, answers in ANSWERS.items()]


def examples(rng: random.Random, count: int) -> tuple[list[str], Tensor]:
    """Captions and int64 [count, heads]; one in twenty is empty and says nothing."""
    captions, classes = [], []
    for _ in range(count):
        scene = draw_scene(rng)
        names = mentioned(rng, scene)
        empty = rng.random() < 0.05
        words = "" if empty else caption(rng, scene, names)
        if rng.random() < 0.1:
            words = f"{words}, {rng.choice(EMPTY_PRAISE)}".removeprefix(", ")
        captions.append(words)
        classes.append([len(answers) for answers in ANSWERS.values()] if empty else labels(scene, names))
    return captions, torch.tensor(classes)


def summary(states: Tensor, ids: Tensor, end: int) -> Tensor:
    """Mean of the states [N, 77, width] from the end token on -> [N, width]."""
    behind = (ids == end).to(states.dtype).unsqueeze(-1)
    return (states * behind).sum(1) / behind.sum(1)


def train(tokens: CLIPTokenizer, steps: int = STEPS) -> tuple[CLIPTextModel, list[float]]:
    """The encoder and the heads' accuracy on 1000 fresh captions, in the order of `ANSWERS`."""
    torch.manual_seed(0)
    rng = random.Random(9)
    model = build(tokens)
    model.set_attn_implementation("eager")
    heads = nn.ModuleList(nn.Linear(WIDTH, len(answers) + 1) for answers in ANSWERS.values())
    weights = [*model.parameters(), *heads.parameters()]
    optimizer = torch.optim.AdamW(weights, lr=RATE, betas=(0.9, 0.98), weight_decay=1e-3)

    def logits(captions: list[str]) -> list[Tensor]:
        ids = encode(tokens, captions)
        read = summary(model(ids).last_hidden_state, ids, tokens.eos_token_id)
        return [head(read) for head in heads]

    for step in range(steps):
        captions, classes = examples(rng, BATCH)
        loss = torch.stack([F.cross_entropy(out, classes[:, k]) for k, out in enumerate(logits(captions))]).sum()
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1, (step + 1) / 50, (steps - step) / (steps / 3))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    captions, classes = examples(random.Random(10), 1000)
    with torch.no_grad():
        right = [(out.argmax(1) == classes[:, k]).float().mean().item() for k, out in enumerate(logits(captions))]
    return model, right


def run(folder: Path = FOLDER, steps: int = STEPS) -> Path:
    """Resumed by its result: seconds to minutes, so there is no checkpoint in between."""
    if not (folder / "config.json").exists():
        torch.set_num_threads(1)
        model, right = train(CLIPTokenizer.from_pretrained(bpe.FOLDER), steps)
        model.save_pretrained(folder)
        shares = ", ".join(f"{name} {share:.3f}" for name, share in zip(ANSWERS, right, strict=True))
        note(folder.parent / "text.txt", f"{steps} steps; right on fresh captions: {shares}")
    return folder
