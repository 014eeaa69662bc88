"""The form's controls. One look, one way to be switched off: `reason` names the text that says why.

A value that does not fit comes out as None (the family's own) where that means something, else as it is,
and the recipe refuses it in a sentence.
"""

import math
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar

from ui.components.widget import Widget

Choices = Iterable[tuple[str, str]]  # value, and what is shown: a text key or a plain name

MAX_TEXT = 20_000
MAX_NAME = 300
MAX_SEGMENTS = 400_000  # characters of all segments together


def clipped(value: Any, longest: int) -> str:
    # One more than allowed, so that the recipe sees that it is too long and says so.
    return value[: longest + 1] if isinstance(value, str) else ""


def finite(value: Any) -> float | int | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return value


# The label of a setting -> the card that its "?" opens (`card.<id>.…` in ui/texts).
CARD_OF: Mapping[str, str] = MappingProxyType(
    {
        **{name: name for name in ("steps", "cfg", "seed", "sampler", "scheduler", "clip_skip", "vae", "shift", "guidance", "denoise")},
        "inspect.shift": "shift", "inspect.noise_seed": "seed", "variety.seed": "seed", "variety.beside": "sampler",
        "inspect.add_noise": "noise", "inspect.leftover_noise": "noise", "loras": "lora", "lora.chosen": "lora", "prediction": "lcm",
    }
)  # fmt: skip


class Field(Widget):
    """Keywords have the names of the script's props: for an update Gradio builds the component anew from them.

    card: the card of its "?", "" for none; the one of its label where it is left out.
    """

    def __init__(
        self, value: Any = None, *, elem_id: str, label_key: str, hint_key: str = "", reason: str = "",
        card: str | None = None, **props: Any,
    ) -> None:  # fmt: skip
        card = CARD_OF.get(label_key, "") if card is None else card
        super().__init__(
            value, elem_id=elem_id, label_key=label_key, hint_key=hint_key, reason=reason, card=card, **props
        )


class Text(Field):
    """Free text; grows with its lines."""

    NAME: ClassVar[str] = "text"

    def clean(self, value: Any) -> str:
        return clipped(value, MAX_TEXT)


class Number(Field):
    """A number that may be left out: `ghost` says what it is then."""

    NAME: ClassVar[str] = "number"

    def clean(self, value: Any) -> float | int | None:
        return finite(value)


class Digits(Field):
    """A whole number as text, for those that a number of the browser cannot hold; "" leaves it out."""

    NAME: ClassVar[str] = "digits"

    def clean(self, value: Any) -> str:
        return clipped(value, 40).strip()


class Choice(Field):
    """One of a list; "" stands for null, the family's or the file's own."""

    NAME: ClassVar[str] = "choice"

    def __init__(self, value: str = "", *, choices: Choices, **props: Any) -> None:
        super().__init__(value, choices=[list(choice) for choice in choices], **props)

    def clean(self, value: Any) -> str:
        return clipped(value, MAX_NAME)


class Flag(Field):
    NAME: ClassVar[str] = "flag"

    def clean(self, value: Any) -> bool:
        return value is True


class Slide(Field):
    """A number with a slider for the usual range; the number field takes what the recipe allows."""

    NAME: ClassVar[str] = "slide"

    def __init__(self, value: float | None = None, *, low: float, high: float, step: float, **props: Any) -> None:
        super().__init__(value, low=low, high=high, step=step, **props)

    def clean(self, value: Any) -> float | int | None:
        return finite(value)


class Seed(Field):
    """Text, because a number of the browser loses seeds above 2^53; "" or -1 draws one."""

    NAME: ClassVar[str] = "seed"

    def clean(self, value: Any) -> str:
        return clipped(value, 40).strip() if not isinstance(value, int) else str(value)


class Size(Field):
    """Aspect ratio x megapixels -> width and height, rounded as the family needs; both can be typed."""

    NAME: ClassVar[str] = "size"

    def __init__(self, value: dict[str, int] | None = None, *, multiple: int, native: int, **props: Any) -> None:
        super().__init__(value, multiple=multiple, native=native, **props)

    def clean(self, value: Any) -> dict[str, int | None]:
        sides = value if isinstance(value, dict) else {}
        return {
            side: n if isinstance(n := sides.get(side), int) and n is not True else None for side in ("width", "height")
        }


class InputPicture(Field):
    """The picture that image to image starts from: its hash, and a small preview for the eye."""

    NAME: ClassVar[str] = "input_picture"

    def clean(self, value: Any) -> dict[str, str] | None:
        if not isinstance(value, dict) or not isinstance(value.get("image"), str):
            return None
        preview = value.get("preview")
        safe = isinstance(preview, str) and preview.startswith("data:image/jpeg;base64,") and len(preview) < 200_000
        return {"image": value["image"][:64], "preview": preview if safe else ""}


class Loras(Field):
    """LoRAs and their strengths, as JSON text of the recipe's own list; with `leaves`, "" leaves them to the run."""

    NAME: ClassVar[str] = "loras"

    def __init__(self, value: str = "", *, choices: Iterable[str] = (), inherited: str = "", **props: Any) -> None:
        super().__init__(value, choices=list(choices), inherited=inherited, **props)

    def clean(self, value: Any) -> str:
        return clipped(value, MAX_TEXT)


class Steps(Widget):
    """The run as tab-separated lines, a row a step: shown as a table, and what was pasted into it."""

    NAME: ClassVar[str] = "steps"
    TEMPLATE: ClassVar[str] = '<div class="sw-steps"></div>'

    def clean(self, value: Any) -> str:
        return clipped(value, MAX_SEGMENTS)


class Timeline(Field):
    """The segments of a run over its steps. Its value is described in ui/split/fields.py.

    view: what a plan says about them; steps: how many the run has as long as there is no view.
    """

    NAME: ClassVar[str] = "timeline"
    TEMPLATE: ClassVar[str] = '<section class="sw-timeline"></section>'

    def clean(self, value: Any) -> dict[str, Any]:
        parts = value if isinstance(value, dict) else {}
        chosen = parts.get("chosen")
        return {
            "segments": clipped(parts.get("segments"), MAX_SEGMENTS) or "[]",
            "chosen": chosen if isinstance(chosen, int) and not isinstance(chosen, bool) and chosen >= 0 else 0,
            "edited": clipped(parts.get("edited"), 40),
        }


class Carried(Widget):
    """What an opened recipe holds beyond this form: named, kept, and removable.

    JSON as text: a dict from the browser could be taken for a file reference by Gradio.
    """

    NAME: ClassVar[str] = "carried"

    def clean(self, value: Any) -> str:
        return clipped(value, 64_000) or "{}"


class SweepForm(Widget):
    """What is to be swept: axes as JSON text, for a dict from the browser could be taken for a file reference."""

    NAME: ClassVar[str] = "sweep_form"
    TEMPLATE: ClassVar[str] = '<section class="sw-sweep-form"></section>'

    def __init__(self, value: str = "", *, elem_id: str, view: Any = None, **props: Any) -> None:
        super().__init__(value, elem_id=elem_id, view=view, **props)

    def clean(self, value: Any) -> str:
        return clipped(value, 64_000)
