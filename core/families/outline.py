"""A model of the library by the names and shapes of its parameters, as they are once it is loaded. No weight is read.

A diffusers folder's files have these names themselves. For a single file the denoiser is built without memory, from the
configuration that loading takes; a text encoder's names follow from the file's.
"""

from collections.abc import Mapping
from pathlib import Path

from torch import nn

from core.errors import ModelError
from core.families import configs_of, record_of
from core.families.model import Record
from core.models.companions import PartFile
from core.models.header import Header, read_header
from core.models.ldm import open_clip_name
from core.models.library import Entry
from core.models.loader import TextPart, made, read_json, weight_files
from core.models.lora import Outline, outline_of
from core.models.parts import LAYOUTS
from core.models.weights import Weights, build

Shapes = Mapping[str, tuple[int, ...]]
CLIP_LAYER = (
    "layer_norm1", "layer_norm2", "mlp.fc1", "mlp.fc2",
    "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.out_proj",
)  # fmt: skip


def outline(entry: Entry, configs: Path | None = None) -> Outline:
    """Its denoiser and text encoders, named as `LoadedModel.components` are. `configs`: as for `load`. Raises ModelError."""
    if entry.kind == "hub":
        raise ModelError("{name} must be fetched before it is known what fits it.", name=entry.id)
    family = record_of(entry)
    if entry.kind == "folder":
        folders = {"denoiser": family.denoiser.name, **{text.name: text.name for text in family.texts}}
        return {name: _of_files(entry.path / folder) for name, folder in folders.items()}
    configs = configs or configs_of(family)
    texts = {text.name: _text(entry, text, configs) for text in family.texts}
    return {**outline_of({"denoiser": _denoiser(entry, family, configs)}), **texts}


def _of_files(folder: Path) -> Shapes:
    headers = [read_header(file) for file in weight_files(folder)]
    return {name: info.shape for header in headers for name, info in header.tensors.items()}


def _denoiser(entry: Entry, family: Record, configs: Path) -> nn.Module:
    """Without memory."""
    import diffusers

    config = read_json(configs / f"{family.denoiser.name}.json")
    if entry.parts:
        home = entry.parts["denoiser"]
        with Weights([home.path]) as weights:
            config = LAYOUTS[family.denoiser.kind].config(weights, home.prefix, config)
    return build(lambda: made(getattr(diffusers, family.denoiser.kind), config))


def _text(entry: Entry, text: TextPart, configs: Path) -> Shapes:
    home = entry.parts.get(text.name) or PartFile(path=entry.path, prefix=text.prefix)
    header = read_header(home.path)
    if text.open_clip:
        layers = read_json(configs / f"{text.name}.json")["num_hidden_layers"]
        return _open_clip(header, home.prefix, layers)
    own = (name for name in header.tensors if name.startswith(home.prefix))
    return {name.removeprefix(home.prefix): header.shape(name) for name in own}


def _open_clip(header: Header, prefix: str, layers: int) -> Shapes:
    """transformers' names of the layers of an encoder that the file keeps in open_clip's, where q, k and v are one tensor."""
    shapes: dict[str, tuple[int, ...]] = {}
    for layer in range(layers):
        for module in CLIP_LAYER:
            for parameter in ("weight", "bias"):
                name = f"text_model.encoder.layers.{layer}.{module}.{parameter}"
                theirs, third = open_clip_name(name)
                rows, *columns = header.shape(prefix + theirs)
                shapes[name] = (rows if third is None else rows // 3, *columns)
    return shapes
