"""The numbers in the cards' words, read from the code: a text that says what is usual can never be out of date."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.families import configs_of
from core.families.flux import DEV, SCHNELL
from core.families.model import Record
from core.families.sd15 import SD15
from core.families.sdxl import SDXL
from core.families.z_image import BASE, TURBO
from core.recipe import SEEDS, Lora
from ui import texts
from ui.bindings import DENOISE

LCM_STEPS = (4, 8)  # Luo et al., "LCM-LoRA", 2023: 4 steps, a little more in up to 8
LCM_CFG = 2.0  # the same: guidance was distilled, more than this is too much
ANIME_CLIP_SKIP = 2  # of NovelAI's SD1.5, from which most of them descend
OFF = "1"  # the CFG at which the negative cancels out: core.sampling.cfg_is_off

Numbers = Mapping[str, Mapping[str, str]]  # card -> placeholder -> number


def numbers() -> Numbers:
    """For every card with placeholders in its words."""
    sd15, sdxl, flux, schnell, turbo, base = (one.defaults for one in (SD15, SDXL, DEV, SCHNELL, TURBO, BASE))
    assert (sd15.steps, sd15.cfg, sd15.scheduler) == (sdxl.steps, sdxl.cfg, sdxl.scheduler)  # one number for both
    side = flux.width
    return {
        "embedding": {"weight": "1"},  # of a name without brackets
        "vae": {
            "downscale": str(_downscale(SD15)), "sd15": str(_vae(SD15)["latent_channels"]),
            "flux": str(_vae(DEV)["latent_channels"]),
        },
        "lcm": {"sampler": "lcm", "few": str(LCM_STEPS[0]), "many": str(LCM_STEPS[1]), "cfg": _short(LCM_CFG), "off": OFF},
        "sampler": {"sd15": sd15.sampler, "flux": flux.sampler, "z_image": turbo.sampler},
        "steps": {
            "sd15": str(sd15.steps), "flux": str(flux.steps), "schnell": str(schnell.steps), "turbo": str(turbo.steps),
            "base": str(base.steps),
        },
        "cfg": {"sd15": _short(sd15.cfg), "base": _short(base.cfg), "off": OFF},
        "seed": {"least": "0", "most": f"{SEEDS - 1}", "drawn": "−1"},
        "clip_skip": {
            "last": str(sd15.clip_skip), "sd15": str(sd15.clip_skip), "sdxl": str(sdxl.clip_skip), "anime": str(ANIME_CLIP_SKIP)
        },
        "scheduler": {"sd15": sd15.scheduler, "flux": flux.scheduler},
        "shift": {
            "turbo": _short(turbo.shift), "base": _short(base.shift), "schnell": _short(schnell.shift),
            "flux": _short(flux.shift_at(side, side)), "side": str(side),
        },
        "guidance": {"flux": _short(flux.guidance), "off": OFF},
        "lora": {"strength": _short(Lora(name="any").model)},
        "denoise": {"usual": _short(DENOISE), "whole": "1"},
    }  # fmt: skip


def filled(words: Mapping[str, str]) -> dict[str, str]:
    """Words of any kind, the cards' with their numbers in."""
    known = numbers()
    return {key: text.format(**_of(key, known)) if _is_card(key) else text for key, text in words.items()}


def _is_card(key: str) -> bool:
    return key.startswith("card.") and bool(texts.fields_of(texts.WORDS[texts.DEFAULT].get(key, "")))


def _of(key: str, known: Numbers) -> Mapping[str, str]:
    return known[key.split(".")[1]]


def _vae(family: Record) -> Mapping[str, Any]:
    return json.loads((Path(configs_of(family)) / "vae.json").read_text(encoding="utf-8"))


def _downscale(family: Record) -> int:
    return 2 ** (len(_vae(family)["block_out_channels"]) - 1)


def _short(value: Any) -> str:
    assert isinstance(value, int | float) and math.isfinite(value)
    return f"{value:.3g}"
