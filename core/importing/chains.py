"""What leads into a sampler of ComfyUI: its model with LoRAs and shift, its prompts with their text encoders."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, cast

from core.importing.draft import finite
from core.importing.graph import Graph, Link, Node
from core.importing.prompts import from_comfyui
from core.importing.shelf import Shelf

LOADERS = {"CheckpointLoaderSimple": "ckpt_name", "CheckpointLoader": "ckpt_name", "ImageOnlyCheckpointLoader": "ckpt_name",
           "UNETLoader": "unet_name", "UnetLoaderGGUF": "unet_name", "UnetLoaderGGUFAdvanced": "unet_name",
           "DiffusersLoader": "model_path"}  # fmt: skip
ENCODERS = ("CLIPLoader", "DualCLIPLoader", "TripleCLIPLoader", "CLIPLoaderGGUF", "DualCLIPLoaderGGUF")
SHIFTS = ("ModelSamplingAuraFlow", "ModelSamplingSD3")
LORAS = ("LoraLoader", "LoraLoaderModelOnly", "Power Lora Loader (rgthree)")
PREDICTIONS = {"eps": "eps", "v_prediction": "v", "lcm": "lcm"}
MOST_ROWS = 100  # of a node with many LoRAs
TO_MODEL = ("model", "model1", "unet")
TO_CLIP = ("clip", "clip1")
TO_WORDS = ("conditioning", "positive", "conditioning_1", "conditioning_to", "cond1")
TO_NEGATIVE = ("negative", *TO_WORDS)


@dataclass(kw_only=True)
class Model:
    """A model as a sampler gets it. LoRAs in the order in which they act: node, name, strength."""

    name: str | None = None
    shift: float | None = None
    prediction: str | None = None
    loras: list[tuple[str, str, float]] = field(default_factory=list[tuple[str, str, float]])


@dataclass(kw_only=True)
class Words:
    """A conditioning: its text, what became of it, and the way to its text encoders."""

    text: str = ""
    zeroed: bool = False
    guidance: float | None = None
    clip_skip: int | None = None
    loras: list[tuple[str, str, float]] = field(default_factory=list[tuple[str, str, float]])


class Chains:
    """Follows them in one graph."""

    def __init__(self, graph: Graph, shelf: Shelf) -> None:
        self._graph, self._shelf, self._draft = graph, shelf, graph.draft

    def model(self, link: Link | None) -> Model:
        """From a sampler's `model` back to a loader. Raises MetadataError for a value that cannot be."""
        found = Model()
        for node, _ in self._graph.back(link, TO_MODEL):
            if node.kind in LOADERS:
                found.name = self._loaded(node)
                return found
            if node.kind in LORAS:
                found.loras[:0] = self._loras(node, "strength_model")
            elif node.kind in SHIFTS:
                found.shift = found.shift or self._graph.number(node, "shift")
            elif node.kind == "ModelSamplingFlux":
                found.shift = found.shift or self._flux_shift(node)
            elif node.kind == "ModelSamplingDiscrete":
                found.prediction = found.prediction or self._prediction(node)
            else:
                self._draft.say("{node} changes the model, which is not carried over.", node=node.title)
        self._draft.say("No loader of a model was found in the workflow: choose a model.")
        return found

    def _loaded(self, node: Node) -> str | None:
        name = self._graph.text(node, LOADERS[node.kind])
        if not name:
            self._draft.say("{node} names no model: choose one.", node=node.title)
            return None
        if (ours := self._shelf.model(name)) is None:
            self._draft.say("Model {name} is not here: choose another, or put it into models.", name=name)
        kept = self._graph.value(node, "weight_dtype")
        if kept not in (None, "default"):
            self._draft.say("{node} keeps the weights as {dtype}; here the memory setting decides that.", node=node.title,
                            dtype=kept)  # fmt: skip
        return ours or name.replace("\\", "/")

    def _prediction(self, node: Node) -> str | None:
        name = self._graph.text(node, "sampling") or ""
        if name not in PREDICTIONS:
            self._draft.say("{node} sets {name}, which is not known here.", node=node.title, name=name)
        found = PREDICTIONS.get(name)
        return "v_zsnr" if found == "v" and self._graph.flag(node, "zsnr", False) else found

    def _flux_shift(self, node: Node) -> float | None:
        """e^mu, mu on the line through both shifts at 256 and at 4096 patches of 16 x 16 pixels."""
        values = [self._graph.number(node, name) for name in ("max_shift", "base_shift", "width", "height")]
        high, low, width, height = (1.15 if values[0] is None else values[0], 0.5 if values[1] is None else values[1],
                                    values[2] or 1024.0, values[3] or 1024.0)  # fmt: skip
        mu = low + (high - low) * (width * height / 256 - 256) / (4096 - 256)
        return math.exp(mu) if abs(mu) < 10 else None

    def _loras(self, node: Node, strength: str) -> list[tuple[str, str, float]]:
        """The LoRAs of one node, with the strength on the model or on the text encoders."""
        if node.kind == "Power Lora Loader (rgthree)":
            values = [value for name, value in islice(node.inputs.items(), MOST_ROWS) if name.startswith("lora_")]
            rows = [cast("dict[str, Any]", value) for value in values if isinstance(value, dict)]
            on = [row for row in rows if row.get("on") is True and isinstance(row.get("lora"), str)]
            told = [(row["lora"], finite(row.get("strength"))) for row in on]
        else:
            told = [(self._graph.text(node, "lora_name"), self._graph.number(node, strength))]
        return [(node.id, name, 1.0 if value is None else value) for name, value in told if name]

    def words(self, link: Link | None, follow: Sequence[str] = TO_WORDS) -> Words:
        """From a sampler's conditioning back to its text, and on to its text encoders."""
        found = Words()
        for node, _ in self._graph.back(link, follow):
            if node.kind.startswith("CLIPTextEncode"):
                self._read_text(node, found)
                self._read_clip(node, found)
                return found
            if node.kind == "ConditioningZeroOut":
                found.zeroed = True
            elif node.kind == "FluxGuidance":
                found.guidance = found.guidance or self._graph.number(node, "guidance")
            else:
                self._draft.say("{node} changes the prompt, which is not carried over.", node=node.title)
        if link is not None:
            self._draft.say("The text of a prompt was not found in the workflow: write it anew.")
        return found

    def _read_text(self, node: Node, found: Words) -> None:
        texts = [self._graph.text(node, name) for name in ("text", "text_g", "t5xxl", "clip_g", "user_prompt", "prompt")]
        text = next((text for text in texts if text), "")
        second = self._graph.text(node, "text_l" if node.kind == "CLIPTextEncodeSDXL" else "clip_l")
        if second and second != text:
            self._draft.say("{node} gives its text encoders two texts: the first one is taken for both.", node=node.title)
        found.text = from_comfyui(text or second or "", self._draft)
        if node.kind == "CLIPTextEncodeFlux":
            found.guidance = found.guidance or self._graph.number(node, "guidance")

    def _read_clip(self, node: Node, found: Words) -> None:
        """LoRAs and clip skip on the way from a loader to the text."""
        for source, _ in self._graph.back(self._graph.link(node, *TO_CLIP), TO_CLIP):
            if source.kind in LORAS:
                found.loras[:0] = self._loras(source, "strength_clip")
            elif source.kind == "CLIPSetLastLayer":
                layer = self._graph.whole(source, "stop_at_clip_layer")
                found.clip_skip = found.clip_skip or (None if layer is None else abs(layer))
            elif source.kind not in (*LOADERS, *ENCODERS):
                self._draft.say("{node} changes the text encoder, which is not carried over.", node=source.title)

    def encoders(self, model: str) -> None:
        """Says which text encoders the workflow names and which are not the model's own here."""
        own = self._shelf.parts(model)
        for node in self._graph.nodes.values():
            names = [self._graph.value(node, name) for name in sorted(node.inputs) if name.startswith("clip_name")]
            for name in names if node.kind in ENCODERS else ():
                if isinstance(name, str) and name.replace("\\", "/").rpartition("/")[2] not in own:
                    self._draft.say("Text encoder {name} is not carried over: here a model's family chooses its own.", name=name)

    def set_of(self, model: Model, words: Words) -> list[dict[str, Any]]:
        """LoRAs of model and text encoders as one list: nodes that act on both stand once."""
        on_text = {(id, name): strength for id, name, strength in words.loras}
        on_model = {(id, name): strength for id, name, strength in model.loras}
        found: list[dict[str, Any]] = []
        for key in dict.fromkeys((*on_model, *on_text)):
            strengths = {"model": on_model.get(key, 0.0), "text": on_text.get(key, 0.0)}
            if any(strengths.values()):
                found.append({"name": self._lora(key[1]), **strengths})
        return found

    def _lora(self, name: str) -> str:
        ours = self._shelf.lora(name)
        if ours is None:
            self._draft.say("LoRA {name} is not here: put it into models/loras.", name=name)
        path = name.replace("\\", "/")
        return ours or (path.rpartition(".")[0] if path.endswith(".safetensors") else path)
