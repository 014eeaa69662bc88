"""The infotext of A1111, Forge and all who write it: prompt, negative, one line of `Key: value` pairs."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, cast

from core.errors import MetadataError
from core.images.infotext import SAMPLERS as LABELS
from core.images.infotext import SCHEDULES as SCHEDULE_LABELS
from core.importing.draft import Draft, finite, whole
from core.importing.prompts import from_a1111, without_tags
from core.importing.shelf import Shelf
from core.sampling import SAMPLERS, SCHEDULES

NEGATIVE = "Negative prompt:"
KEY = re.compile(r"\s*(\w[\w \-/]{0,60}):\s*")
QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"(?=\s*(?:,|$))')
LEAST_PAIRS = 3  # in a last line that is one of settings
MOST_PAIRS = 500

MORE_SAMPLERS: Mapping[str, str] = MappingProxyType({
    "k_euler": "euler", "k_euler_a": "euler_ancestral", "dpm2 ancestral": "dpm_2_ancestral", "k_lms": "lms",
    "euler ancestral": "euler_ancestral", "heunpp2": "heunpp2", "euler cfg++": "euler_cfg_pp",
    "euler a cfg++": "euler_ancestral_cfg_pp", "dpm++ 2m cfg++": "dpmpp_2m_cfg_pp", "res multistep": "res_multistep",
})  # fmt: skip
MORE_SCHEDULES: Mapping[str, str] = MappingProxyType({
    "uniform": "normal",  # k-diffusion's own levels: even timesteps
    "polyexponential": "exponential",  # the same at rho 1, which is what A1111 has
    "ddim": "ddim_uniform",
})  # fmt: skip
# What "Automatic" is for a sampler; even timesteps for all others (modules/sd_samplers_kdiffusion.py).
AUTOMATIC: Mapping[str, str] = MappingProxyType(
    dict.fromkeys(("dpmpp_2m", "dpmpp_sde", "dpmpp_2s_ancestral", "dpm_2", "dpm_2_ancestral"), "karras")
    | dict.fromkeys(("dpmpp_2m_sde", "dpmpp_2m_sde_heun", "dpmpp_3m_sde"), "exponential")
    | {"ddim": "ddim_uniform"}
)
READ = frozenset({
    "Steps", "Sampler", "Schedule type", "CFG scale", "Distilled CFG Scale", "Seed", "Size", "Model", "Model hash", "VAE",
    "VAE hash", "Clip skip", "Denoising strength", "RNG", "Lora hashes", "TI hashes", "Hashes", "Shift", "Segments", "CFG schedule",
})  # fmt: skip
WITHOUT_EFFECT = frozenset({"Version", "User", "Civitai resources", "Civitai metadata", "Template", "Negative Template"})

Pairs = Mapping[str, Any]
"""Key to text, or to what a bare JSON value held."""


def read(text: str, shelf: Shelf, draft: Draft) -> None:
    """Fills in the draft. Raises MetadataError where there are no settings."""
    prompt, negative, pairs = split(text)
    if not pairs:
        raise MetadataError("This text holds no settings: its last line has no pairs such as Steps: 20, Seed: 1.")
    ours = pairs.get("Version") == "Stepwise"
    steps, sampler = whole(pairs.get("Steps")), _sampler(pairs, draft)
    hashes = _hashes(pairs)
    draft.set(steps=steps, seed=whole(pairs.get("Seed")), cfg=finite(pairs.get("CFG scale")), clip_skip=whole(pairs.get("Clip skip")),
              guidance=finite(pairs.get("Distilled CFG Scale")), shift=finite(pairs.get("Shift")))  # fmt: skip
    draft.set(sampler=sampler, scheduler=_scheduler(pairs, sampler, draft))
    if ours:
        draft.set(prompt=prompt, negative=negative, segments=_json(pairs, "Segments"), cfg=_json(pairs, "CFG schedule"))
    else:
        draft.set(prompt=from_a1111(prompt, steps, lambda name: _lora(name, hashes, shelf, draft), draft),
                  negative=from_a1111(without_tags(negative, draft), steps, str, draft), weighting="a1111")  # fmt: skip
        _say_noise(pairs, draft)
    _model(pairs, hashes, shelf, draft)
    _size(pairs, draft)
    _picture(pairs, steps, draft)
    _embeddings(pairs, shelf, draft)
    _rest(pairs, draft)


def is_infotext(text: str) -> bool:
    return bool(split(text)[2])


def split(text: str) -> tuple[str, str, Pairs]:
    """Prompt, negative and settings. Settings are the last line that has at least three pairs, or begins with Steps."""
    lines = [line.strip() for line in text.strip().splitlines()]
    at = next((k for k in range(len(lines) - 1, -1, -1) if lines[k].startswith("Steps: ")), len(lines) - 1)
    pairs = dict(_pairs(lines[at])) if lines else {}
    pairs = pairs if len(pairs) >= LEAST_PAIRS else {}
    texts = lines[:at] if pairs else lines
    start = next((k for k, line in enumerate(texts) if line.startswith(NEGATIVE)), len(texts))
    negative = "\n".join(texts[start:]).removeprefix(NEGATIVE).strip()
    return "\n".join(texts[:start]), negative, MappingProxyType(pairs)


def _pairs(line: str) -> Iterator[tuple[str, Any]]:
    """One pass from comma to comma: a line of any length takes time in proportion."""
    at = 0
    for _ in range(MOST_PAIRS):
        if at >= len(line):
            return
        if key := KEY.match(line, at):
            value, at = _value(line, key.end())
            yield key[1], value
        comma = line.find(",", at)
        at = len(line) if comma < 0 else comma + 1


def _value(line: str, at: int) -> tuple[Any, int]:
    """A JSON string, a bare JSON object or list (Civitai's), or all up to the next comma."""
    try:
        if (quoted := QUOTED.match(line, at)) is not None:
            return json.loads(quoted[0]), quoted.end()
        if line[at : at + 1] in ("{", "["):
            return json.JSONDecoder().raw_decode(line, at)
    except (ValueError, RecursionError):
        pass  # then it is text like any other
    comma = line.find(",", at)
    end = len(line) if comma < 0 else comma
    return line[at:end].strip(), end


def _text(pairs: Pairs, key: str) -> str:
    value = pairs.get(key)
    return value.strip() if isinstance(value, str) else ""


def _json(pairs: Pairs, key: str) -> object:
    """JSON in a text: our own segments and schedules."""
    try:
        return json.loads(_text(pairs, key) or "null")
    except (ValueError, RecursionError):
        return None


def _sampler(pairs: Pairs, draft: Draft) -> str | None:
    name, _ = _divided(_text(pairs, "Sampler"))
    known = {label.casefold(): ours for ours, label in LABELS.items()} | dict(MORE_SAMPLERS)
    found = known.get(name.casefold(), name.casefold().replace(" ", "_"))
    if found in SAMPLERS:
        return found
    if name:
        draft.say("There is no sampler {name} here: the model's own is taken.", name=name)
    return None


def _scheduler(pairs: Pairs, sampler: str | None, draft: Draft) -> str | None:
    """The schedule by its own key, else from the end of the sampler's name, as older versions wrote it."""
    name = _text(pairs, "Schedule type") or _divided(_text(pairs, "Sampler"))[1]
    if name.casefold() in ("", "automatic"):
        if sampler is None:
            return None
        taken = AUTOMATIC.get(sampler, "normal")
        draft.say("The schedule was left to A1111: {name} is what it takes for {sampler}.", name=taken, sampler=sampler)
        return taken
    known = {label.casefold(): ours for ours, label in SCHEDULE_LABELS.items()} | dict(MORE_SCHEDULES)
    found = known.get(name.casefold(), name.casefold().replace(" ", "_"))
    if found in SCHEDULES:
        return found
    draft.say("There is no schedule {name} here: the model's own is taken.", name=name)
    return None


def _divided(sampler: str) -> tuple[str, str]:
    """ "DPM++ 2M Karras" -> its sampler and its schedule. """
    for label in ("Karras", "Exponential", "SGM Uniform", "Simple", "Beta"):
        if sampler.casefold().endswith(f" {label.casefold()}"):
            return sampler[: -len(label) - 1].strip(), label
    return sampler, ""


def _hashes(pairs: Pairs) -> dict[str, str]:
    """Hashes by kind and name: A1111's "Lora hashes", and the object that Civitai reads."""
    found: dict[str, str] = {}
    if isinstance(pairs.get("Hashes"), dict):
        theirs = cast("dict[str, object]", pairs["Hashes"])
        found |= {key: value.lower() for key, value in theirs.items() if isinstance(value, str)}
    for key, kind in (("Lora hashes", "lora"), ("TI hashes", "embed")):
        for part in _text(pairs, key).split(","):
            name, colon, digest = part.rpartition(":")
            if colon:
                found[f"{kind}:{name.strip()}"] = digest.strip().lower()
    return found


def _lora(name: str, hashes: Mapping[str, str], shelf: Shelf, draft: Draft) -> str:
    digest = hashes.get(f"lora:{name}", "")
    ours = shelf.lora(name, digest)
    if ours is None:
        draft.say("LoRA {name} (hash {digest}) is not here: put it into models/loras.", name=name, digest=digest or "?")
    return ours or name


def _model(pairs: Pairs, hashes: Mapping[str, str], shelf: Shelf, draft: Draft) -> None:
    name, digest = _text(pairs, "Model"), _text(pairs, "Model hash").lower() or hashes.get("model", "")
    ours = shelf.model(name, digest)
    if not name and not digest:
        draft.say("The file names no model: choose one.")
    elif ours is None:
        draft.say("Model {name} (hash {digest}) is not here: choose another, or put it into models.",
                  name=name or "?", digest=digest or "?")  # fmt: skip
    elif shelf.disagrees(ours, digest):
        draft.say("Model {name} has another hash here than {digest}: it may be another version.", name=ours, digest=digest)
    draft.set(model=ours or name or None)
    vae, digest = _text(pairs, "VAE"), _text(pairs, "VAE hash").lower()
    if vae and vae not in ("None", "Automatic"):
        own = shelf.vae(vae, digest)
        if own is None:
            draft.say("VAE {name} is not here: put it into models/vae, or leave the model's own.", name=vae)
        draft.set(vae=own or vae)


def _size(pairs: Pairs, draft: Draft) -> None:
    found = re.fullmatch(r"\s*(\d{1,5})\s*x\s*(\d{1,5})\s*", _text(pairs, "Size"))
    if found:
        draft.set(width=int(found[1]), height=int(found[2]))


def _picture(pairs: Pairs, steps: int | None, draft: Draft) -> None:
    """Image to image: the picture is not in the file, and A1111 runs but a share of its steps."""
    denoise = finite(pairs.get("Denoising strength"))
    if denoise is None or any(key.startswith("Hires") for key in pairs):
        return
    ran = min(int(min(max(denoise, 0.0), 0.999) * (steps or 0)) + 1, steps or 1)
    draft.say("It was made from a picture, which is not in the file: choose it again with denoise {denoise:g} and {ran} steps "
              "(A1111 ran that share of its {steps}).", denoise=denoise, ran=ran, steps=steps or "?")  # fmt: skip


def _say_noise(pairs: Pairs, draft: Draft) -> None:
    if _text(pairs, "RNG") == "CPU":
        draft.say("A1111 drew the starting noise on the CPU, as it is drawn here, but computes otherwise: "
                  "the picture will be alike and not the same.")  # fmt: skip
    else:
        draft.say("A1111 drew its noise on the GPU: the same seed gives another picture here.")


def _embeddings(pairs: Pairs, shelf: Shelf, draft: Draft) -> None:
    for key in _hashes(pairs):
        kind, _, name = key.partition(":")
        if kind == "embed" and not shelf.has_embedding(name):
            draft.say("Embedding {name} is not here: put it into models/embeddings.", name=name)


def _rest(pairs: Pairs, draft: Draft) -> None:
    """A sentence for each setting, or group of settings with one first word, that has no place in a recipe."""
    groups: dict[str, list[str]] = {}
    for key in pairs:
        if key not in READ | WITHOUT_EFFECT and (key, str(pairs[key])) not in (("Emphasis", "Original"), ("ENSD", "0")):
            groups.setdefault(key.split(" ")[0], []).append(key)
    for word, keys in groups.items():
        _say_group(word, keys, pairs, draft)


def _say_group(word: str, keys: Sequence[str], pairs: Pairs, draft: Draft) -> None:
    if word == "Hires":
        values = ", ".join(f"{key.removeprefix('Hires ')} {pairs[key]}" for key in keys)
        draft.say("Hires fix ({values}) is not carried over: the picture is made at its first size.", values=values)
    elif len(keys) > 1:
        draft.say("{name} with its {count} settings is not carried over.", name=word, count=len(keys))
    else:
        draft.say("{name} ({value}) is not carried over.", name=keys[0], value=pairs[keys[0]])
