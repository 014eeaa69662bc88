"""Where a LoRA's modules are in a model, by every name that files use for them.

All names are compared flat: dots become underscores, as in kohya's files, so that one table serves every layout.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from torch import nn

from core.models import ldm

TEXTS = ("text_encoder", "text_encoder_2")
# What a file puts before a module's name, and the component that it means; "" is the denoiser, None is not said.
PREFIXES: tuple[tuple[str, str | None], ...] = (
    ("lora_unet_", ""), ("lora_transformer_", ""), ("lora_te1_", TEXTS[0]), ("lora_te2_", TEXTS[1]), ("lora_te_", TEXTS[0]),
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
    """A module of the model."""

    component: str
    module: str  # as in named_modules()

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


Outline = Mapping[str, Mapping[str, tuple[int, ...]]]
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
        self._found: dict[tuple[str, str], Place] = {}
        for component in components:
            names = list(components[component])
            for alias, module in text_names(names) if component in TEXTS else denoiser_names(names):
                self._found.setdefault((component, alias), Place(component=component, module=module))

    def find(self, module: str) -> Place | None:
        """The place that a file's module name means; a name without a prefix is looked for in the denoiser first."""
        component, rest = component_of(module)
        every = (self._denoiser, *self._texts) if component is None else (component or self._denoiser,)
        for name in every:
            place = self._found.get((name, flat_text(rest) if name in TEXTS else flat(rest)))
            if place is not None:
                return place
        return None


def flat(name: str) -> str:
    return name.replace(".", "_").replace("_processor_", "_")


def flat_text(name: str) -> str:
    """Of a text encoder: without the wrappers that checkpoints and some versions of transformers put around it."""
    name = flat(name)
    for wrapper in INSIDE:
        name = name.removeprefix(wrapper)
    head, attention, last = name.rpartition("_self_attn_")
    return head + attention + OLD_TEXT.get(last, last)


def text_names(parameters: list[str]) -> Iterator[tuple[str, str]]:
    """(flat name, module) for each module of a text encoder that has parameters."""
    for module in modules_of(parameters):
        yield flat_text(module), module


def denoiser_names(parameters: list[str]) -> Iterator[tuple[str, str]]:
    """(flat name, module) for each module of a denoiser that has parameters, under diffusers' and under LDM's names."""
    rename = ldm_namer(parameters)
    for module in modules_of(parameters):
        yield flat(module), module
        if module.endswith(".to_out.0"):
            yield flat(module.removesuffix(".0")), module
        if rename is not None:
            yield flat(rename(module + ".weight").removesuffix(".weight")), module


def modules_of(parameters: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.rpartition(".")[0] for name in parameters))


def ldm_namer(parameters: list[str]) -> Callable[[str], str] | None:
    """LDM's naming of a UNet, counted off from its own names; None for what is no such UNet."""
    starts = {".".join(name.split(".")[:4]) for name in parameters}
    layers = sum(name.startswith("down_blocks.0.resnets.") for name in starts)
    attentive = {name.split(".")[1] for name in starts if name.startswith("up_blocks.") and ".attentions." in name}
    return ldm.unet_name(layers, lambda i: str(i) in attentive) if layers else None
