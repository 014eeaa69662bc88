"""The settings that have a card, in the order of reading. Their words are `card.<id>.…` in ui/texts."""

from typing import Final

CARDS: Final = (
    "steps", "cfg", "seed", "sampler", "scheduler", "clip_skip", "embedding", "lora", "vae", "lcm", "denoise", "noise", "shift",
    "guidance",
)  # fmt: skip
PARTS: Final = ("title", "what", "like", "low", "high", "none", "usual")
