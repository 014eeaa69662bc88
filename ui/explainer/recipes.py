"""The strip of each card: one fixed recipe, and the setting that is moved in it."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any, Final

from PIL import Image, ImageDraw

from core.errors import UserError
from core.families.base import Defaults
from core.recipe import Recipe, parse
from core.sampling import cfg_is_off
from core.sweep import Axis, variants
from ui import form
from ui.context import Context

DEMO, TURBO = "demo", "demo-turbo"
PROMPT = "a red rabbit on a blue background"
OPEN_PROMPT = "a rabbit"  # what it leaves open is the seed's
PLACED_PROMPT = "a small red rabbit on the left on a blue background"  # much to read
PIXEL_PROMPT = "a big yellow star on a black background"
SEED = 7
FIRST: Mapping[str, Mapping[str, Any]] = MappingProxyType({DEMO: {"steps": 20, "cfg": 5.0}, TURBO: {}})

Data = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One picture of a strip: its recipe, and the value as it stands under it, itself or as a key of ui/texts."""

    recipe: Recipe
    text: str
    key: str = ""


@dataclass(frozen=True, kw_only=True)
class Strip:
    """What a card shows. `why`: the text that says why it is not of the model that was chosen, `note`: what to know of it."""

    model: str
    cells: tuple[Cell, ...]
    at: int = 0  # the cell that is looked at first
    why: str = ""
    note: str = ""
    source: str = ""  # the stored input that it starts from
    values: Mapping[str, str] = field(default_factory=dict[str, str])  # of the note


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """The model that strips are asked for, with what has to be known of it."""

    context: Context
    name: str

    @cached_property
    def defaults(self) -> Defaults | None:
        """None where it is not here."""
        return form.model_of(self.context, self.name).defaults

    @property
    def has_own_table(self) -> bool:
        """Of noise levels, as SD1.5 and SDXL have: no shift."""
        return self.defaults is not None and self.defaults.shift is None

    def recipe(self, changes: Data) -> Recipe:
        return parse(
            {"stepwise": 1, "model": self.name, "prompt": PROMPT, "seed": SEED, **FIRST.get(self.name, {}), **changes}
        )

    def cells(self, values: Iterable[Any], change: Callable[[Any], Data]) -> tuple[Cell, ...]:
        return tuple(Cell(recipe=self.recipe(change(value)), text=written(value)) for value in values)

    def instead(self, name: str) -> "Chosen":
        return Chosen(context=self.context, name=name)


def written(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


# --- the cards -----------------------------------------------------------------------------------------------------------

STEPS = (1, 2, 4, 6, 8, 12, 20, 30)
CFGS = (1.0, 2.0, 3.0, 5.0, 7.0, 9.0, 12.0)
SEEDS = (1, 2, 3, 4, 5, 6, 7)
SHIFTS = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0)
GUIDANCES = (1.0, 2.0, 3.5, 5.0, 7.0)
STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5)
WEIGHTS = (0.0, 0.1, 0.5, 1.0, 2.0, 3.0, 4.0)
DENOISES = (0.1, 0.3, 0.45, 0.6, 0.75, 0.9, 1.0)
FEW = {"sampler": 8, "scheduler": 5}  # steps at which they still differ
SAMPLERS = ("euler", "heun", "dpmpp_2m", "uni_pc", "euler_ancestral", "dpmpp_2m_sde", "lcm")
SCHEDULES = ("normal", "simple", "sgm_uniform", "beta", "karras", "exponential", "kl_optimal")
LAYERS = 7  # of the text encoder, at most
LORA, TRIGGER, LCM, EMBEDDING = "pixel-art", "pixelart", "lcm", "moonlit"


def steps(chosen: Chosen) -> Strip:
    return Strip(model=chosen.name, cells=chosen.cells(STEPS, lambda value: {"steps": value}), at=6)


def cfg(chosen: Chosen) -> Strip:
    without = chosen.defaults is not None and cfg_is_off(chosen.defaults.cfg)
    cells = chosen.cells(CFGS, lambda value: {"cfg": value})
    if not without:
        return Strip(model=chosen.name, cells=cells, at=3)
    return Strip(model=chosen.name, cells=cells, note="cfg", values={"model": chosen.name})


def seed(chosen: Chosen) -> Strip:
    return Strip(model=chosen.name, cells=chosen.cells(SEEDS, lambda value: {"seed": value, "prompt": OPEN_PROMPT}))


def sampler(chosen: Chosen) -> Strip:
    def change(name: str) -> Data:
        return {"sampler": name, "scheduler": "karras" if chosen.has_own_table else None, "steps": FEW["sampler"]}

    return Strip(model=chosen.name, cells=chosen.cells(SAMPLERS, change))


def scheduler(chosen: Chosen) -> Strip:
    return Strip(
        model=chosen.name, cells=chosen.cells(SCHEDULES, lambda name: {"scheduler": name, "steps": FEW["scheduler"]})
    )


def clip_skip(chosen: Chosen) -> Strip:
    if chosen.defaults is None or chosen.defaults.clip_skip is None:
        return _elsewhere(clip_skip(chosen.instead(DEMO)), "clip_skip")
    layers = _layers(chosen)
    cells = chosen.cells(range(1, min(layers, LAYERS) + 1), lambda value: {"clip_skip": value, "prompt": PLACED_PROMPT})
    return Strip(model=chosen.name, cells=cells, note="layers", values={"layers": str(layers)})


def shift(chosen: Chosen) -> Strip:
    if chosen.defaults is None or chosen.defaults.shift is None:
        return _elsewhere(shift(chosen.instead(TURBO)), "shift")
    return Strip(model=chosen.name, cells=chosen.cells(SHIFTS, lambda value: {"shift": value}), at=2)


def guidance(chosen: Chosen) -> Strip:
    if chosen.defaults is not None and chosen.defaults.guidance is not None:
        return Strip(model=chosen.name, cells=chosen.cells(GUIDANCES, lambda value: {"guidance": value}), at=2)
    # What stands in its place: guidance by a second pass, and guidance that was learnt.
    by_cfg, learnt = chosen.instead(DEMO), chosen.instead(TURBO)
    cells = (
        Cell(recipe=by_cfg.recipe({"cfg": 1.0}), text="", key="explain.cell.unguided"),
        Cell(recipe=by_cfg.recipe({}), text="", key="explain.cell.by_cfg"),
        Cell(recipe=learnt.recipe({}), text="", key="explain.cell.learnt"),
    )
    return Strip(model=TURBO, cells=cells, at=1, why="guidance", note="guidance")


def embedding(chosen: Chosen) -> Strip:
    demo = chosen.instead(DEMO)

    def change(weight: float) -> Data:
        named = EMBEDDING if weight == 1 else f"({EMBEDDING}:{weight:g})"
        return {"prompt": f"a cat, {named}" if weight else "a cat"}

    strip = Strip(model=DEMO, cells=demo.cells(WEIGHTS, change), at=3)
    return strip if chosen.name == DEMO else _elsewhere(strip, _takes(chosen, "embedding"))


def lora(chosen: Chosen) -> Strip:
    demo = chosen.instead(DEMO)
    loras = [{"name": LORA, "model": 1.0, "text": 1.0}]
    cells = demo.cells(
        STRENGTHS,
        lambda value: {
            "prompt": f"{PIXEL_PROMPT}, {TRIGGER}",
            "loras": [{**one, "model": value, "text": value} for one in loras],
        },
    )
    return _of_demo(Strip(model=DEMO, cells=cells, at=4), chosen)


def vae(chosen: Chosen) -> Strip:
    others = [name for name, _ in form.vae_choices(chosen.context) if name]
    cells = [
        Cell(recipe=chosen.recipe({}), text="", key="explain.cell.own"),
        Cell(recipe=chosen.recipe({"vae_tiling": True}), text="", key="explain.cell.tiles"),
        *(Cell(recipe=chosen.recipe({"vae": name}), text=name) for name in others),
    ]
    return Strip(model=chosen.name, cells=tuple(cells), note="vae")


def lcm(chosen: Chosen) -> Strip:
    demo = chosen.instead(DEMO)
    found = _lcm_of(chosen.context)
    if found is None:
        cells = [
            Cell(recipe=demo.recipe({"sampler": "lcm", "cfg": 1.0, "steps": count}), text=f"{count}") for count in (2, 4, 6, 8, 20)
        ]  # fmt: skip
        return _of_demo(Strip(model=DEMO, cells=tuple(cells), at=1, note="lcm.none"), chosen)
    fast = {"sampler": "lcm", "scheduler": "sgm_uniform", "cfg": 1.0, "prediction": "lcm", "loras": [{"name": found}]}
    plain = [(20, {}), (4, {})]
    cells = [
        *(Cell(recipe=demo.recipe({"steps": n, **more}), text=str(n), key="explain.cell.without") for n, more in plain),
        *(Cell(recipe=demo.recipe({"steps": n, **fast}), text=str(n), key="explain.cell.with") for n in (1, 2, 4, 8)),
    ]
    return _of_demo(Strip(model=DEMO, cells=tuple(cells), at=4, note="lcm"), chosen)


def noise(chosen: Chosen) -> Strip:
    count = _steps_of(chosen)
    middle = count // 2

    def cell(leftover: bool, add: bool) -> Cell:
        segments = [{"end": middle, "leftover_noise": leftover}, {"border": "restart", "add_noise": add}]
        name = f"explain.cell.{'left' if leftover else 'clean'}.{'add' if add else 'keep'}"
        return Cell(recipe=chosen.recipe({"segments": segments}), text=str(middle), key=name)

    ways = [(True, False), (False, False), (False, True), (True, True)]
    empty = Cell(recipe=chosen.recipe({"segments": [{"add_noise": False}]}), text="", key="explain.cell.empty")
    return Strip(
        model=chosen.name, cells=(*(cell(*way) for way in ways), empty), note="noise", values={"middle": str(middle)}
    )


def denoise(chosen: Chosen) -> Strip:
    image = chosen.context.pipe.inputs.add(sketch())
    cells = chosen.cells(DENOISES, lambda value: {"init": {"image": image, "denoise": value}})
    return Strip(model=chosen.name, cells=cells, at=3, note="denoise", source=image)


STRIPS: Final[Mapping[str, Callable[[Chosen], Strip]]] = MappingProxyType(
    {
        "steps": steps, "cfg": cfg, "seed": seed, "sampler": sampler, "scheduler": scheduler, "clip_skip": clip_skip,
        "embedding": embedding, "lora": lora, "vae": vae, "lcm": lcm, "denoise": denoise, "noise": noise, "shift": shift,
        "guidance": guidance,
    }
)  # fmt: skip
TABS: Final[Mapping[str, str]] = MappingProxyType(
    {"lora": "lora", "noise": "split"}
)  # where it is used; else text2image


# --- two settings at once ------------------------------------------------------------------------------------------------

AXES: Final[Mapping[str, Axis]] = MappingProxyType(
    {
        "steps": Axis(path=("steps",), values=(2, 4, 8, 12, 20)),
        "cfg": Axis(path=("cfg",), values=(1.0, 3.0, 5.0, 8.0, 12.0)),
        "seed": Axis(path=("seed",), values=(1, 2, 3, 4, 5)),
        "clip_skip": Axis(path=("clip_skip",), values=(1, 2)),
        "lora": Axis(path=("loras", "0", "model"), values=(0.0, 0.5, 1.0, 1.5)),
        "shift": Axis(path=("shift",), values=(1.0, 2.0, 3.0, 5.0, 7.0)),
    }
)


def pairs() -> dict[str, list[str]]:
    """What goes with what: nothing has both a shift and a clip skip, and the LoRA is the demo model's."""
    apart = ({"shift", "clip_skip"}, {"shift", "lora"})
    return {x: [y for y in AXES if y != x and {x, y} not in apart] for x in AXES}


def grid(chosen: Chosen, x: str, y: str) -> Strip:
    """Every value of one setting with every value of another, row by row."""
    across, down = AXES[x], AXES[y]
    model = TURBO if "shift" in (x, y) else DEMO
    changes = {"prompt": f"{PIXEL_PROMPT}, {TRIGGER}", "loras": [{"name": LORA}]} if "lora" in (x, y) else {}
    data = chosen.instead(model).recipe(changes).model_dump(mode="json", exclude_none=True)
    found = {variant.place: variant.recipe for variant in variants(data, [across, down])}
    places = [(k, j) for j in range(len(down.values)) for k in range(len(across.values))]
    cells = tuple(Cell(recipe=found[place], text=_place(across, down, place)) for place in places)
    return Strip(model=model, cells=cells, at=len(cells) // 2)


def _place(across: Axis, down: Axis, place: tuple[int, int]) -> str:
    return f"{written(across.values[place[0]])} × {written(down.values[place[1]])}"


# --- what is known of models ---------------------------------------------------------------------------------------------


def _elsewhere(strip: Strip, why: str) -> Strip:
    return replace(strip, why=why)


def _of_demo(strip: Strip, chosen: Chosen) -> Strip:
    """What is needed for it is here for the demo model alone."""
    return strip if chosen.name == DEMO else _elsewhere(strip, "demo")


def _takes(chosen: Chosen, what: str) -> str:
    try:
        entry = chosen.context.pipe.library.model(chosen.name)
    except UserError:
        return "demo"
    return "demo" if entry.family in ("sd15", "sdxl") else what


def _layers(chosen: Chosen) -> int:
    """Of the text encoder: its configuration says it, for a single file the family's."""
    entry = chosen.context.pipe.library.model(chosen.name)
    config = entry.path / "text_encoder" / "config.json"
    if not config.is_file():
        return 12  # CLIP-L, of SD1.5 and SDXL
    return int(json.loads(config.read_text(encoding="utf-8"))["num_hidden_layers"])


def _steps_of(chosen: Chosen) -> int:
    return int(FIRST.get(chosen.name, {}).get("steps") or (chosen.defaults.steps if chosen.defaults else 20))


def _lcm_of(context: Context) -> str | None:
    """An LCM LoRA of the demo model, by its name."""
    try:
        return context.pipe.loras.get(LCM).name
    except UserError:
        return None


def sketch() -> Image.Image:
    """A child's drawing to start from: a head with two ears."""
    picture = Image.new("RGB", (128, 128), (120, 170, 90))
    draw = ImageDraw.Draw(picture)
    for box in ((38, 18, 54, 70), (74, 18, 90, 70), (32, 48, 96, 112)):
        draw.ellipse(box, fill=(235, 150, 60))
    return picture
