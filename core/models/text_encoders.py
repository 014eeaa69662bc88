"""The text encoders, from a configuration and a source of weights."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Protocol

import torch
from torch import nn

from core.errors import ModelError
from core.models.weights import Source, build, fill

Config = Mapping[str, Any]


class Maker(Protocol):
    """Makes one kind of text encoder, on the CPU, ready for inference. Raises ModelError."""

    def __call__(
        self, config: Config, source: Source, dtype: torch.dtype, *, projection: bool, file: str
    ) -> nn.Module: ...


def clip(config: Config, source: Source, dtype: torch.dtype, *, projection: bool, file: str) -> nn.Module:
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    kind = CLIPTextModelWithProjection if projection else CLIPTextModel
    model = _filled(lambda: kind(CLIPTextConfig(**config)), source, dtype, file)
    for module in model.modules():  # the one buffer that no file holds: 0, 1, 2 ...
        if hasattr(module, "position_ids"):
            count = module.get_parameter("position_embedding.weight").shape[0]
            module.register_buffer("position_ids", torch.arange(count)[None], persistent=False)
    return model


def qwen3(config: Config, source: Source, dtype: torch.dtype, *, projection: bool, file: str) -> nn.Module:
    from transformers import Qwen3Config, Qwen3Model
    from transformers.models.qwen3.modeling_qwen3 import Qwen3RotaryEmbedding

    shape: Any = Qwen3Config.from_dict(dict(config))
    model = _filled(lambda: Qwen3Model(shape), source, dtype, file)
    model.rotary_emb = Qwen3RotaryEmbedding(shape)  # its frequencies are in no file
    return model


def t5(config: Config, source: Source, dtype: torch.dtype, *, projection: bool, file: str) -> nn.Module:
    from transformers import T5Config, T5EncoderModel

    shape: Any = T5Config.from_dict(dict(config))
    model: Any = _filled(lambda: T5EncoderModel(shape), source, dtype, file)
    model.encoder.embed_tokens = model.shared  # one table under two names
    return model


MAKERS: Mapping[str, Maker] = MappingProxyType({"clip": clip, "qwen3": qwen3, "t5": t5})


def _filled(make: Callable[[], Any], source: Source, dtype: torch.dtype, file: str) -> Any:
    try:
        empty = build(make)
    except (TypeError, ValueError, KeyError, AttributeError, ZeroDivisionError) as error:
        raise ModelError(
            "The configuration of this {part} cannot be used: {reason}.", part="text encoder", reason=str(error)[:200]
        ) from error
    return fill(empty, source, dtype, part="text encoder", file=file)
