"""Where a LoRA's modules are in a model, by every name that files use for them.

All names are compared flat: dots become underscores, as in kohya's files, so that one table serves every layout.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from core.models import dit_names, ldm
from core.models.lora.deltas import Rows

TEXTS = ("text_encoder", "text_encoder_2")
# What a file puts before a module's name, and the component that it means; "" is the denoiser, None is not said.
PREFIXES: tuple[tuple[str, str | None], ...] = (
    ("lora_unet_", ""), ("lora_transformer_", ""), ("lora_te1_", TEXTS[0]), ("lora_te2_", TEXTS[1]), ("lora_te_", TEXTS[0]),
    ("lora_te3_", TEXTS[1]), ("text_encoders.t5xxl.", TEXTS[1]), ("t5xxl.", TEXTS[1]),  # Flux.1's T5, numbered as in SD3
    ("unet.", ""), ("transformer.", ""), ("text_encoder.", TEXTS[0]), ("text_encoder_2.", TEXTS[1]),
    ("model.diffusion_model.", ""), ("diffusion_model.", ""), ("lycoris_", None),
    ("text_encoders.clip_l.", TEXTS[0]), ("clip_l.", TEXTS[0]), ("text_encoders.clip_g.", TEXTS[1]), ("clip_g.", TEXTS[1]),
    ("cond_stage_model.", TEXTS[0]), ("conditioner.embedders.0.", TEXTS[0]), ("conditioner.embedders.1.", TEXTS[1]),
)  # fmt: skip
WRAPPERS = ("base_model.model.", "base_model.", "module.")
INSIDE = ("transformer_", "model_", "text_model_")  # between a text encoder's prefix and its own names
OLD_TEXT = {"to_q": "q_proj", "to_k": "k_proj", "to_v": "v_proj", "to_out": "out_proj"}  # diffusers before 0.17


@dataclass(frozen=True, kw_only=True)
class Place:
    """A module of the model that a file's module changes, or a part of it does."""

    component: str
    module: str  # as in named_modules()
    rows: Rows = ()  # of the file's module, which may have several of ours below each other; (): all

    def parameter(self, name: str) -> str:
        return f"{self.module}.{name}" if self.module else name


def component_of(module: str) -> tuple[str | None, str]:
    """A file's module name as (component, rest): "" is the denoiser, None where the file does not say."""
    rest = module
    for wrapper in WRAPPERS:
        rest = rest.removeprefix(wrapper)
    for prefix, component in PREFIXES:
        if rest.startswith(prefix):
            return component, rest.removeprefix(prefix)
    return None, rest


Shape = tuple[int, ...]
Outline = Mapping[str, Mapping[str, Shape]]
"""A model by its components' parameters: component -> parameter, as in named_parameters() -> shape."""


def outline_of(components: Mapping[str, nn.Module]) -> Outline:
    """Of modules in memory, or of ones without any (meta)."""
    return {
        component: {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
        for component, model in components.items()
    }


class Places:
    """The modules of a model's components by their flat names."""

    def __init__(self, components: Outline) -> None:
        self.shapes = {
            (component, name): shape for component, shapes in components.items() for name, shape in shapes.items()
        }
        self._denoiser = next((name for name in components if name not in TEXTS), "")
        self._texts = tuple(name for name in TEXTS if name in components)
        self._found: dict[tuple[str, str], tuple[Place, ...]] = {}
        for component, shapes in components.items():
            aliases = text_names(shapes) if component in TEXTS else denoiser_names(shapes)
            for alias, module, rows in aliases:
                place = Place(component=component, module=module, rows=rows)
                others = self._found.get((component, alias), ())
                if rows or not others:
                    self._found[component, alias] = (*others, place)

    def find(self, module: str) -> tuple[Place, ...]:
        """The places that a file's module name means; a name without a prefix is looked for in the denoiser first."""
        component, rest = component_of(module)
        every = (self._denoiser, *self._texts) if component is None else (component or self._denoiser,)
        found = (self._found.get((name, flat_text(rest) if name in TEXTS else flat(rest)), ()) for name in every)
        return next(filter(None, found), ())

    def shape(self, places: Sequence[Place], parameter: str) -> Shape | None:
        """Of a parameter of the file's module: those of its places below each other; None where one has none."""
        shapes = [self.shapes.get((place.component, place.parameter(parameter))) for place in places]
        known = [shape for shape in shapes if shape]
        if not known or len(known) < len(shapes):
            return None
        return sum(shape[0] for shape in known), *known[0][1:]


def flat(name: str) -> str:
    return name.replace(".", "_").replace("_processor_", "_")


def flat_text(name: str) -> str:
    """Of a text encoder: without the wrappers that checkpoints and some versions of transformers put around it."""
    name = flat(name)
    for wrapper in INSIDE:
        name = name.removeprefix(wrapper)
    head, attention, last = name.rpartition("_self_attn_")
    return head + attention + OLD_TEXT.get(last, last)


Alias = tuple[str, str, Rows]
"""A flat name, the module that it means, and which rows of the file's module are that one's."""


def text_names(parameters: Iterable[str]) -> Iterator[Alias]:
    """For each module of a text encoder that has parameters."""
    for module in modules_of(parameters):
        yield flat_text(module), module, ()


def denoiser_names(shapes: Mapping[str, Shape]) -> Iterator[Alias]:
    """For each module of a denoiser that has parameters, under diffusers' names and under those of its makers."""
    rename = ldm_namer(shapes)
    for module in modules_of(shapes):
        yield flat(module), module, ()
        if module.endswith(".to_out.0"):
            yield flat(module.removesuffix(".0")), module, ()
        if rename is not None:
            yield flat(rename(module + ".weight").removesuffix(".weight")), module, ()
    for module, (name, rows) in dit_names.modules(modules_of(shapes), shapes).items():
        if flat(name) != flat(module):
            yield flat(name), module, rows


def modules_of(parameters: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.rpartition(".")[0] for name in parameters))


def ldm_namer(parameters: Iterable[str]) -> Callable[[str], str] | None:
    """LDM's naming of a UNet, counted off from its own names; None for what is no such UNet."""
    starts = {".".join(name.split(".")[:4]) for name in parameters}
    layers = sum(name.startswith("down_blocks.0.resnets.") for name in starts)
    attentive = {name.split(".")[1] for name in starts if name.startswith("up_blocks.") and ".attentions." in name}
    return ldm.unet_name(layers, lambda i: str(i) in attentive) if layers else None
