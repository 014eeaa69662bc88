"""A1111's infotext: the text under `parameters` that Civitai and every gallery tool can read.

Prompt, a line of the negative one, then one line of `Key: value` pairs (stable-diffusion-webui,
modules/infotext_utils.py). It is for others; our own recipe travels in its own chunk and loses nothing.
"""

import json
from collections.abc import Iterator, Mapping

from core.recipe import InitImage, Lora, Recipe, at_step

# A1111's labels; a name that A1111 does not have stays ours, and its reader keeps it as text.
SAMPLERS: Mapping[str, str] = {
    "euler": "Euler",
    "euler_ancestral": "Euler a",
    "heun": "Heun",
    "dpm_2": "DPM2",
    "dpm_2_ancestral": "DPM2 a",
    "lms": "LMS",
    "dpmpp_2s_ancestral": "DPM++ 2S a",
    "dpmpp_sde": "DPM++ SDE",
    "dpmpp_2m": "DPM++ 2M",
    "dpmpp_2m_sde": "DPM++ 2M SDE",
    "dpmpp_2m_sde_heun": "DPM++ 2M SDE Heun",
    "dpmpp_3m_sde": "DPM++ 3M SDE",
    "ddim": "DDIM",
    "uni_pc": "UniPC",
    "lcm": "LCM",
}
SCHEDULES: Mapping[str, str] = {
    "normal": "Normal",
    "simple": "Simple",
    "karras": "Karras",
    "exponential": "Exponential",
    "sgm_uniform": "SGM Uniform",
    "ddim_uniform": "DDIM",
    "beta": "Beta",
    "kl_optimal": "KL Optimal",
}


def write(recipe: Recipe, made_with: Mapping[str, str]) -> str:
    """The infotext of a picture: what the recipe asks for, and the hashes of what made it."""
    lines = [" ".join([recipe.prompt, *_lora_tags(recipe.loras)]).strip()]
    if recipe.negative:
        lines.append(f"Negative prompt: {recipe.negative}")
    lines.append(", ".join(f"{key}: {_quoted(value)}" for key, value in _pairs(recipe, made_with) if value))
    return "\n".join(lines)


def _pairs(recipe: Recipe, made_with: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Key and value in A1111's order; an empty value is left out."""
    yield "Steps", _number(recipe.steps)
    yield "Sampler", SAMPLERS.get(recipe.sampler or "", recipe.sampler or "")
    yield "Schedule type", SCHEDULES.get(recipe.scheduler or "", recipe.scheduler or "")
    yield "CFG scale", _number(None if recipe.cfg is None else at_step(recipe.cfg, 0))
    yield "Distilled CFG Scale", _number(recipe.guidance)
    yield "Seed", str(recipe.seed)
    yield "Size", f"{recipe.width}x{recipe.height}" if recipe.width and recipe.height else ""
    yield "Model hash", made_with.get("model_hash", "")[:10]
    yield "Model", recipe.model
    yield "VAE hash", made_with.get("vae_hash", "")[:10]
    yield "VAE", recipe.vae or ""
    yield "Denoising strength", _number(recipe.init.denoise if isinstance(recipe.init, InitImage) else None)
    yield "Clip skip", str(recipe.clip_skip) if (recipe.clip_skip or 1) > 1 else ""
    yield "RNG", "CPU"  # the starting noise is drawn there, as with A1111's setting of that name
    yield "Shift", _number(recipe.shift)
    yield "CFG schedule", json.dumps(recipe.cfg) if isinstance(recipe.cfg, Mapping) else ""
    yield "Segments", _segments(recipe) if len(recipe.segments) > 1 else ""
    yield "Version", "Stepwise"


def _quoted(value: str) -> str:
    """A JSON string if and only if a comma, a colon or a newline would end the value too early."""
    return json.dumps(value, ensure_ascii=False) if any(mark in value for mark in ",:\n") else value


def _number(value: float | None) -> str:
    """As a person writes it: 7 and 7.5, never 7.0."""
    if value is None:
        return ""
    return str(int(value)) if float(value).is_integer() else str(value)


def _lora_tags(loras: tuple[Lora, ...]) -> Iterator[str]:
    """Strengths that change over the run have no such tag."""
    for lora in loras:
        if isinstance(lora.model, Mapping) or isinstance(lora.text, Mapping):
            continue
        if lora.model == lora.text:
            yield f"<lora:{lora.name}:{_number(lora.model)}>"
        else:
            yield f"<lora:{lora.name}:te={_number(lora.text)}:unet={_number(lora.model)}>"


def _segments(recipe: Recipe) -> str:
    parts = [part.model_dump(mode="json", exclude_defaults=True) for part in recipe.segments]
    return json.dumps(parts, ensure_ascii=False, separators=(",", ":"))
