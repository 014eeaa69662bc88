"""demo-turbo's tokenizer and text encoder: Qwen3's chat template over an own byte-level BPE, a Qwen3 of three layers.

The encoder learns to say what a caption names, as `text.py`'s does, and then stays as it is. What the transformer reads
are the states that go into the last layer, so only two of the three layers are ever used or trained.
"""

import random
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import Qwen2Tokenizer, Qwen3Config, Qwen3Model

from core.prompt.qwen import AFTER, BEFORE
from training.engine import WORK, note
from training.scenes import EMPTY_PRAISE, draw_caption, draw_scene
from training.text import ANSWERS, examples
from training.tokenizer import OTHER_WORDS, byte_letters

TOKENIZER, FOLDER = WORK / "turbo_tokenizer", WORK / "turbo_text"
END, TURN, TURN_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
WORDS = 1400  # tokens at most
CAPTIONS = 20_000
LENGTH = 32  # tokens that the transformer pads a caption to
TAIL = 5  # tokens behind the prompt: the turn's end, a line's end, the answer's beginning (three)
WIDTH = 128  # of a token's state
STEPS, BATCH, RATE = 1200, 64, 1.5e-3
CHAT = (
    "{%- for message in messages %}{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}"
    "{%- endfor %}{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{%- endif %}"
)


def written(rng: random.Random, caption: str) -> str:
    """A caption as people may type it: one in ten begins with a capital, one in ten ends with a full stop."""
    caption = caption[:1].upper() + caption[1:] if rng.random() < 0.1 else caption
    return caption + "." if caption and rng.random() < 0.1 else caption


def build_tokenizer(folder: Path = TOKENIZER) -> Qwen2Tokenizer:
    """Bytes, and the words of the captions: every one of them, with its leading space, is one token."""
    rng = random.Random(5)
    rare = [*OTHER_WORDS.split(), *" ".join(EMPTY_PRAISE).split(), "user", "assistant"]
    lines = [f"user\n{written(rng, draw_caption(rng, draw_scene(rng)))}\nassistant\n" for _ in range(CAPTIONS)]
    lines += [f"{word} {word}" for word in rare for _ in range(50)]
    bytes_only = Qwen2Tokenizer(vocab={END: 0} | {letter: n + 1 for n, letter in enumerate(byte_letters())}, merges=[])
    words = bytes_only.train_new_from_iterator(lines, vocab_size=WORDS, show_progress=False)
    words.add_special_tokens({"additional_special_tokens": [TURN, TURN_END]})
    words.eos_token, words.pad_token, words.chat_template = TURN_END, END, CHAT
    words.save_pretrained(folder)
    return read_tokenizer(folder)


def read_tokenizer(folder: Path = TOKENIZER) -> Qwen2Tokenizer:
    return Qwen2Tokenizer.from_pretrained(folder)


def build(words: Qwen2Tokenizer) -> Qwen3Model:
    return Qwen3Model(
        Qwen3Config(
            vocab_size=len(words),
            hidden_size=WIDTH,
            intermediate_size=3 * WIDTH,
            num_hidden_layers=3,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=32,
            tie_word_embeddings=True,
            max_position_embeddings=1024,
            bos_token_id=None,
            eos_token_id=words.eos_token_id,
            pad_token_id=words.pad_token_id,
        )
    )


def encode(words: Qwen2Tokenizer, captions: list[str], length: int = LENGTH) -> tuple[Tensor, Tensor]:
    """int64 and bool [N, length], padded on the right; longer captions lose words at their end."""
    before, after = (words(part, add_special_tokens=False)["input_ids"] for part in (BEFORE, AFTER))
    room = length - len(before) - len(after)
    rows = [
        before + words(caption, add_special_tokens=False)["input_ids"][:room] + after if caption else before + after
        for caption in captions
    ]
    ids = torch.full((len(rows), length), words.pad_token_id)
    said = torch.zeros(len(rows), length, dtype=torch.bool)
    for n, row in enumerate(rows):
        ids[n, : len(row)] = torch.tensor(row)
        said[n, : len(row)] = True
    return ids, said


def states(model: Qwen3Model, ids: Tensor) -> Tensor:
    """[N, L, WIDTH]: what goes into the last layer. Causal: the padding behind a caption changes nothing before it."""
    return model(input_ids=ids, output_hidden_states=True, use_cache=False).hidden_states[-2]


def summary(read: Tensor, said: Tensor) -> Tensor:
    """Each token's state [N, L, width] at unit length, averaged over the template's tail -> [N, width]."""
    even = read * torch.rsqrt(read.pow(2).mean(-1, keepdim=True) + 1e-6)
    ends = said.sum(1, keepdim=True)
    places = torch.arange(said.shape[1])
    tail = ((places >= ends - TAIL) & (places < ends)).to(read.dtype).unsqueeze(-1)
    return (even * tail).sum(1) / TAIL


def train(words: Qwen2Tokenizer, steps: int = STEPS) -> tuple[Qwen3Model, list[float]]:
    """The encoder and the heads' accuracy on 1000 fresh captions, in the order of `ANSWERS`."""
    torch.manual_seed(0)
    rng = random.Random(9)
    model = build(words)
    model.set_attn_implementation("eager")
    heads = nn.ModuleList(nn.Linear(WIDTH, len(answers) + 1) for answers in ANSWERS.values())
    optimizer = torch.optim.AdamW(
        [*model.parameters(), *heads.parameters()], lr=RATE, betas=(0.9, 0.98), weight_decay=1e-3
    )

    def logits(captions: list[str]) -> list[Tensor]:
        ids, said = encode(words, captions)
        read = summary(states(model, ids), said)
        return [head(read) for head in heads]

    for step in range(steps):
        captions, classes = examples(rng, BATCH)
        captions = [written(rng, each) for each in captions]
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
    """Resumed by its result: a minute or two, so there is no checkpoint in between."""
    if not TOKENIZER.exists():
        build_tokenizer()
    if not (folder / "config.json").exists():
        torch.set_num_threads(1)
        model, right = train(read_tokenizer(), steps)
        model.save_pretrained(folder)
        shares = ", ".join(f"{name} {share:.3f}" for name, share in zip(ANSWERS, right, strict=True))
        note(folder.parent / "turbo_text.txt", f"{steps} steps; right on fresh captions: {shares}")
    return folder
