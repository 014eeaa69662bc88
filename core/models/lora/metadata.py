"""What trainers write into a LoRA's metadata: trigger words, tags, base model, title. Foreign text: bounded, and broken JSON is no error.

Keys: `ss_*` of kohya's sd-scripts, `modelspec.*` of Stability's ModelSpec 1.0, and the peft configuration of diffusers.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any, cast

JSON_LIMIT = 4 * 2**20  # letters
TAG_LIMIT = 50_000  # tags that are counted
PATTERNS = 2000  # of modules that have ranks or alphas of their own
TAGS, WORDS, LETTERS = 100, 12, 200  # that are kept: tags, trigger words, letters of each


@dataclass(frozen=True, kw_only=True)
class About:
    """What a LoRA file says of itself."""

    title: str = ""
    base_model: str = ""
    trigger_words: tuple[str, ...] = ()
    tags: tuple[tuple[str, int], ...] = ()  # of the training captions, the most frequent first


def about(metadata: Mapping[str, str]) -> About:
    """From a file's metadata. Never raises."""
    by_folder = _tag_counts(metadata.get("ss_tag_frequency", ""))
    counts = Counter[str]()
    for folder in by_folder:
        counts.update(folder)
    architecture = metadata.get("modelspec.architecture", "").partition("/")[0]
    base = metadata.get("ss_sd_model_name") or metadata.get("ss_base_model_version") or architecture
    return About(
        title=clean(metadata.get("modelspec.title") or metadata.get("ss_output_name", "")),
        base_model=re.sub(r"\.(safetensors|ckpt)$", "", re.split(r"[\\/]", clean(base))[-1]),
        trigger_words=_trigger_words(metadata, by_folder),
        tags=tuple(counts.most_common(TAGS)),
    )


def _trigger_words(metadata: Mapping[str, str], by_folder: list[Counter[str]]) -> tuple[str, ...]:
    """What the trainer says, else the most frequent tag of each training folder."""
    said = (
        metadata.get("modelspec.trigger_phrase") or metadata.get("ss_trigger_words") or metadata.get("trigger_word", "")
    )
    words = split_words(said[: WORDS * LETTERS])
    return words or split_words(",".join(folder.most_common(1)[0][0] for folder in by_folder[:WORDS] if folder))


def split_words(text: str) -> tuple[str, ...]:
    """`a, b, a` -> ("a", "b"): trigger words as people write them, each once."""
    words = (clean(word) for word in text.split(","))
    return tuple(dict.fromkeys(word for word in words if word))[:WORDS]


def _tag_counts(text: str) -> list[Counter[str]]:
    """`ss_tag_frequency`: {training folder: {tag: how often}}."""
    counted = 0
    folders: list[Counter[str]] = []
    for folder in json_object(text).values():
        tags = Counter[str]()
        for tag, count in cast(dict[str, Any], folder).items() if isinstance(folder, dict) else ():
            if counted < TAG_LIMIT and type(count) is int and 0 < count < 2**31 and clean(tag):
                tags[clean(tag)] += count
                counted += 1
        folders.append(tags)
    return folders


def clean(text: str) -> str:
    """One line that can be stored and shown: no control characters, no lone surrogates, no more than 200 letters."""
    shown = "".join(letter if letter.isprintable() else " " for letter in text[: 2 * LETTERS])
    return " ".join(shown.split())[:LETTERS]


def json_object(text: str) -> dict[str, Any]:
    """An object from untrusted JSON; empty for anything else."""
    if len(text) > JSON_LIMIT:
        return {}
    try:
        found: Any = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return cast(dict[str, Any], found) if isinstance(found, dict) else {}


@dataclass(frozen=True, kw_only=True)
class PeftScales:
    """How peft scales a LoRA whose file has no alpha of its own: alpha / r, or alpha / sqrt(r) (rsLoRA)."""

    config: Mapping[str, Any]

    def scale(self, module: str, rank: int | None) -> float:
        """Of a module by its name below its component. rank: the file's, None where its tensors have none (a whole LoKr).

        1 where nothing is said, as ComfyUI has it.
        """
        rank = rank or self._of(module, "rank_pattern", self.config.get("r"))
        alpha = self._of(module, "alpha_pattern", self.config.get("lora_alpha", self.config.get("alpha")))
        if type(alpha) not in (int, float) or not 0 <= abs(alpha) < 1e6 or type(rank) is not int or rank < 1:
            return 1.0
        return alpha / (math.sqrt(rank) if self.config.get("use_rslora") is True else rank)

    def _of(self, module: str, patterns: str, otherwise: Any) -> Any:
        """A module's own value: of the first pattern that its name, or an end of it, fits (peft's `get_pattern_key`)."""
        fitting = (value for pattern, value in self._patterns[patterns] if pattern.match(module[:LETTERS]))
        return next(fitting, otherwise)

    @cached_property
    def _patterns(self) -> dict[str, list[tuple[re.Pattern[str], Any]]]:
        """Compiled once: a file may have one for each module."""
        found: dict[str, list[tuple[re.Pattern[str], Any]]] = {}
        for kind in ("rank_pattern", "alpha_pattern"):
            told = self.config.get(kind)
            own = cast(dict[str, Any], told) if isinstance(told, dict) else {}
            every = islice(own.items(), PATTERNS)
            found[kind] = [(re.compile(rf"(.*\.)?({_expression(pattern)})$"), value) for pattern, value in every]
        return found


def _expression(pattern: str) -> str:
    """A foreign regular expression if it cannot take for ever: two repetitions at most, none of a group; else as plain letters."""
    plain = re.escape(pattern.removeprefix("^"))
    if len(pattern) > LETTERS or len(re.findall(r"[*+?]", pattern)) > 2 or re.search(r"\)[*+?]|\(\?|[{}]|\\\d", pattern):
        return plain
    try:
        re.compile(pattern)
    except re.error:
        return plain
    return pattern


def peft_scales(metadata: Mapping[str, str], component: str) -> PeftScales:
    """Those that diffusers' trainers keep for a component in `lora_adapter_metadata`, under `unet.lora_alpha` and so on."""
    config = json_object(metadata.get("lora_adapter_metadata", ""))
    prefix = component + "."
    return PeftScales(
        config={key.removeprefix(prefix): value for key, value in config.items() if key.startswith(prefix)}
    )
