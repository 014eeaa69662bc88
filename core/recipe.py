"""A recipe is what a person wrote: JSON, versioned, frozen. Every bound is checked here and nowhere else.

Names of models, samplers and schedules are looked up in their own tables when the plan is made.
"""

import hashlib
import json
import re
import secrets
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Strict,
    Tag,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from core.errors import RecipeError

SEEDS = 2**64
LAST_STEP = 10_000  # ComfyUI's widget bound, which people paste as "to the end"


def _drawn(seed: int) -> int:
    # 32 bits: easy to read out, and no other tool's seed field loses digits of it.
    return secrets.randbits(32) if seed == -1 else seed


def _multiple_of_8(pixels: int) -> int:
    if pixels % 8:
        near = max(16, round(pixels / 8) * 8)
        raise PydanticCustomError("size", "must be a multiple of 8", {"near": near})
    return pixels


def _step_numbers(value: object) -> object:
    """JSON has only text as keys: {"6": 1.0} -> {6: 1.0}; anything that is no plain number stays and is refused."""
    if not isinstance(value, Mapping):
        return value
    return {int(k) if isinstance(k, str) and re.fullmatch(r"\d{1,5}", k) else k: v for k, v in value.items()}


def _no_surrogates(text: str) -> str:
    # A lone surrogate cannot be written to a file or a database: refuse it here, not after the work is done.
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise PydanticCustomError("text", "has characters that cannot be stored", {}) from error
    if "\x00" in text:
        raise PydanticCustomError("text", "has characters that cannot be stored", {})
    return text


Flag = Annotated[bool, Strict()]
Text = Annotated[str, Strict(), Field(max_length=20_000), AfterValidator(_no_surrogates)]
Name = Annotated[str, Strict(), Field(min_length=1, max_length=300), AfterValidator(_no_surrogates)]
Seed = Annotated[int, Strict(), Field(ge=-1, lt=SEEDS), AfterValidator(_drawn)]
Pixels = Annotated[int, Strict(), Field(ge=16, le=4096), AfterValidator(_multiple_of_8)]
Steps = Annotated[int, Strict(), Field(ge=1, le=1000)]
StepIndex = Annotated[int, Strict(), Field(ge=0, le=LAST_STEP)]
Cfg = Annotated[float, Strict(), Field(ge=0, le=100, allow_inf_nan=False)]
Shift = Annotated[float, Strict(), Field(gt=0, le=100, allow_inf_nan=False)]
Strength = Annotated[float, Strict(), Field(ge=-100, le=100, allow_inf_nan=False)]
Denoise = Annotated[float, Strict(), Field(gt=0, le=1, allow_inf_nan=False)]
ClipSkip = Annotated[int, Strict(), Field(ge=1, le=64)]
Digest = Annotated[str, Strict(), Field(pattern=r"^[0-9a-f]{64}$")]

# A schedule {step: value}: a value holds until the next step named; the first one also before it.
CfgSchedule = Annotated[dict[StepIndex, Cfg], Field(min_length=1, max_length=1000), BeforeValidator(_step_numbers)]
StrengthSchedule = Annotated[
    dict[StepIndex, Strength], Field(min_length=1, max_length=1000), BeforeValidator(_step_numbers)
]


def _kind_of_number(value: object) -> str:
    return "schedule" if isinstance(value, Mapping) else "number"


CfgValue = Annotated[
    Annotated[Cfg, Tag("number")] | Annotated[CfgSchedule, Tag("schedule")], Discriminator(_kind_of_number)
]
StrengthValue = Annotated[
    Annotated[Strength, Tag("number")] | Annotated[StrengthSchedule, Tag("schedule")], Discriminator(_kind_of_number)
]

Prediction = Literal["eps", "v", "v_zsnr", "lcm"]
Weighting = Literal["comfyui", "a1111"]
ConditioningKind = Literal["prompt", "zero", "empty"]
Border = Literal["continue", "restart"]


class Part(BaseModel):
    """Frozen, unknown fields refused; null means absent."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        return {name: value for name, value in data.items() if value is not None or name not in cls.model_fields}


class Lora(Part):
    """One LoRA and its strengths; `text` acts on the text encoders."""

    name: Name
    model: StrengthValue = 1.0
    text: StrengthValue = 1.0


class InitImage(Part):
    """Image to image: a stored input and how much of the run is done on it."""

    image: Digest
    denoise: Denoise = 1.0


class InitTrajectory(Part):
    """Go on from a kept step of another run."""

    trajectory: Digest
    start: StepIndex


def _kind_of_init(value: object) -> str:
    return (
        "trajectory"
        if isinstance(value, InitTrajectory) or (isinstance(value, Mapping) and "trajectory" in value)
        else "image"
    )


Init = Annotated[
    Annotated[InitImage, Tag("image")] | Annotated[InitTrajectory, Tag("trajectory")], Discriminator(_kind_of_init)
]


class Segment(Part):
    """A stretch of steps with something of its own. What it leaves out comes from the recipe."""

    start: StepIndex | None = None
    end: StepIndex | None = None
    prompt: Text | None = None
    negative: Text | None = None
    conditioning: ConditioningKind = "prompt"
    cfg: CfgValue | None = None
    guidance: Cfg | None = None
    sampler: Name | None = None
    model: Name | None = None
    loras: tuple[Lora, ...] | None = Field(default=None, max_length=64)
    clip_skip: ClipSkip | None = None
    weighting: Weighting | None = None
    add_noise: Flag | None = None
    noise_seed: Seed | None = None
    leftover_noise: Flag | None = None
    border: Border = "continue"
    # Only in a segment that restarts:
    steps: Steps | None = None
    scheduler: Name | None = None
    shift: Shift | None = None

    @model_validator(mode="after")
    def _forwards(self) -> Self:
        if self.start is not None and self.end is not None and self.end < self.start:
            raise PydanticCustomError("backwards", "ends before it starts", {"start": self.start, "end": self.end})
        return self


class Recipe(Part):
    """What a person wrote. See DESIGN: every field but `stepwise` may be left out; null means the family's own.

    Raises pydantic's ValidationError; `parse` raises RecipeError with one sentence instead.
    """

    stepwise: Literal[1]
    model: Name = "demo"
    vae: Name | None = None
    prediction: Prediction | None = None
    width: Pixels | None = None
    height: Pixels | None = None
    batch: Annotated[int, Strict(), Field(ge=1, le=64)] = 1
    batching: Literal["exact", "fast"] = "exact"
    seed: Seed = 0
    noise: Literal["keyed", "comfyui"] = "keyed"
    steps: Steps | None = None
    sampler: Name | None = None
    scheduler: Name | None = None
    cfg: CfgValue | None = None
    shift: Shift | None = None
    guidance: Cfg | None = None
    clip_skip: ClipSkip | None = None
    weighting: Weighting = "comfyui"
    vae_tiling: Flag = False
    prompt: Text = ""
    negative: Text = ""
    loras: tuple[Lora, ...] = Field(default=(), max_length=64)
    segments: tuple[Segment, ...] = Field(default=(), max_length=256)
    init: Init | None = None

    @property
    def key(self) -> str:
        """64 hexadecimal digits: equal recipes have equal keys."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()


def parse(data: object) -> Recipe:
    """Checked recipe from untrusted data. Raises RecipeError: one sentence about the first thing that is wrong."""
    if isinstance(data, Recipe):
        return data
    try:
        return Recipe.model_validate(data)
    except ValidationError as error:
        raise _sentence(error.errors(include_url=False)[0]) from error


def _sentence(detail: ErrorDetails) -> RecipeError:
    """The first complaint of pydantic in our words."""
    unions = {"number", "schedule", "image", "trajectory", "[key]"}
    path = [str(part) if re.fullmatch(r"[\w-]{1,40}|\[key\]", str(part)) else repr(part)[:40] for part in detail["loc"]]
    # The tag of a union is no part of the path that a user wrote; a real `image` field is followed by nothing.
    field = ".".join(
        part
        for i, part in enumerate(path)
        if part not in unions or (part in {"image", "trajectory"} and i == len(path) - 1)
    )
    context: dict[str, Any] = detail.get("ctx", {})
    value = repr(detail["input"])[:60]
    match detail["type"]:
        case "missing" if field == "stepwise":
            return RecipeError('This is no recipe of ours: it needs "stepwise": 1.')
        case "missing":
            return RecipeError("The recipe lacks {field}: add it.", field=field)
        case "extra_forbidden":
            return RecipeError("A recipe has no field {field}: take it out.", field=field)
        case "int_type" | "int_from_float" | "int_parsing":
            return RecipeError("{field} must be a whole number, not {value}.", field=field, value=value)
        case "float_type" | "float_parsing" | "finite_number":
            return RecipeError("{field} must be a number, not {value}.", field=field, value=value)
        case "bool_type":
            return RecipeError("{field} must be true or false, not {value}.", field=field, value=value)
        case "string_type":
            return RecipeError("{field} must be text, not {value}.", field=field, value=value)
        case "greater_than_equal":
            return RecipeError(
                "{field} must be at least {bound}, not {value}.", field=field, bound=context["ge"], value=value
            )
        case "greater_than":
            return RecipeError(
                "{field} must be above {bound}, not {value}.", field=field, bound=context["gt"], value=value
            )
        case "less_than_equal":
            return RecipeError(
                "{field} must be at most {bound}, not {value}.", field=field, bound=context["le"], value=value
            )
        case "less_than":
            return RecipeError(
                "{field} must be below {bound}, not {value}.", field=field, bound=context["lt"], value=value
            )
        case "literal_error":
            return RecipeError(
                "{field} must be one of {choices}, not {value}.", field=field, choices=context["expected"], value=value
            )
        case "size":
            return RecipeError(
                "{field} must be a multiple of 8, not {value}: take {near}.",
                field=field,
                value=value,
                near=context["near"],
            )
        case "backwards":
            return RecipeError(
                "{field} ends at step {end}, before it starts at {start}: swap them.", field=field, **context
            )
        case "string_too_long" | "too_long":
            return RecipeError("{field} is too long: at most {bound}.", field=field, bound=context["max_length"])
        case "string_too_short" | "too_short":
            return RecipeError("{field} is empty: fill it in or leave it out.", field=field)
        case "text" | "string_unicode":
            return RecipeError("{field} has characters that cannot be stored: take them out.", field=field)
        case "string_pattern_mismatch":
            return RecipeError("{field} must be 64 hexadecimal digits, not {value}.", field=field, value=value)
        case _:
            return RecipeError(
                "{field} cannot be read: {value} does not fit there.", field=field or "The recipe", value=value
            )


def at_step(value: float | Mapping[int, float], step: int) -> float:
    """The value that a number or a schedule {step: value} has at a step of the run."""
    if not isinstance(value, Mapping):
        return float(value)
    named = [s for s in value if s <= step]
    return float(value[max(named) if named else min(value)])


def assign(data: dict[str, Any], path: Sequence[str], value: object) -> None:
    """Sets one field by its path, e.g. ("segments", "0", "end"). What is missing on the way is made, a list one at a time.

    Raises RecipeError for a place that cannot be.
    """
    here: Any = data
    for name, below in zip(path, (*path[1:], None), strict=True):
        empty: Any = value if below is None else [] if below.isdecimal() else {}
        place: Any = name
        if isinstance(here, list) and name.isdecimal() and int(name) <= len(here):
            place = int(name)
            here += [empty] if place == len(here) else []
        elif not isinstance(here, dict):
            raise RecipeError("The recipe has no place {path} to set: write its parent first.", path=".".join(path))
        elif here.get(name) is None:
            here[name] = empty
        if below is None:
            here[place] = value
        here = here[place]
