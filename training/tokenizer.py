"""A small byte-level BPE in CLIP's format, learnt from the captions: every word of the vocabulary is one token."""

import json
import random
from collections import Counter
from itertools import pairwise
from pathlib import Path

from transformers import CLIPTokenizer

from training.engine import WORK
from training.scenes import EMPTY_PRAISE, draw_caption, draw_scene

FOLDER = WORK / "tokenizer"
LENGTH = 77  # tokens of a prompt
MERGES = 1400  # at most
CAPTIONS = 20_000
START, END = "<|startoftext|>", "<|endoftext|>"
OTHER_WORDS = (  # that users and later LoRAs may write
    "pixel art pixelart style photo photograph drawing painting sketch watercolor realistic cartoon anime blurry ugly "
    "low bad worst best high quality beautiful cute shiny dark bright light flat soft sharp detailed simple plain "
    "and or with without the of two three many in to from very grey background scene picture image logo sticker icon"
)


def byte_letters() -> list[str]:
    """GPT-2's printable stand-ins for the 256 bytes, in byte order."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = {byte: chr(byte) for byte in plain}
    letters |= {byte: chr(256 + n) for n, byte in enumerate(b for b in range(256) if b not in letters)}
    return [letters[byte] for byte in range(256)]


def count_words(captions: int) -> Counter[str]:
    rng = random.Random(5)
    counts: Counter[str] = Counter()
    for _ in range(captions):
        counts.update(draw_caption(rng, draw_scene(rng)).replace(",", " , ").replace("-", " - ").split())
    for word in [*OTHER_WORDS.split(), *" ".join(EMPTY_PRAISE).split()]:
        counts[word] += 50
    return counts


def learn_merges(counts: Counter[str], most: int = MERGES) -> list[tuple[str, str]]:
    """Byte-pair encoding: join the most frequent neighbours again and again; ties go by spelling."""
    letters = byte_letters()
    words = {word: [letters[byte] for byte in word.encode()] for word in counts}
    for parts in words.values():
        parts[-1] += "</w>"
    merges: list[tuple[str, str]] = []
    while len(merges) < most:
        pairs: Counter[tuple[str, str]] = Counter()
        for word, parts in words.items():
            for pair in pairwise(parts):
                pairs[pair] += counts[word]
        if not pairs:
            break
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        merges.append(best)
        words = {word: joined(parts, best) for word, parts in words.items()}
    return merges


def joined(parts: list[str], pair: tuple[str, str]) -> list[str]:
    made: list[str] = []
    for part in parts:
        if made and (made[-1], part) == pair:
            made[-1] += part
        else:
            made.append(part)
    return made


def build(folder: Path = FOLDER) -> CLIPTokenizer:
    """Learn, write vocab.json and merges.txt, and load them as the stock tokenizer does."""
    merges = learn_merges(count_words(CAPTIONS))
    letters = byte_letters()
    tokens = [*letters, *(letter + "</w>" for letter in letters), *("".join(pair) for pair in merges), START, END]
    vocabulary = {token: number for number, token in enumerate(dict.fromkeys(tokens))}
    special = {"bos_token": START, "eos_token": END, "unk_token": END, "pad_token": END}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(" ".join(pair) for pair in merges) + "\n")
    (folder / "special_tokens_map.json").write_text(json.dumps(special, indent=2))
    config = {"tokenizer_class": "CLIPTokenizer", "model_max_length": LENGTH, **special}
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2))
    return CLIPTokenizer.from_pretrained(folder)
