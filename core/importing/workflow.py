"""ComfyUI's own workflow files (nodes, links, widgets by position) as an API graph."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, cast

from core.errors import MetadataError
from core.importing.draft import Draft, whole
from core.importing.graph import MOST_NODES, Graph, Node

CONTROL = "control_after_generate"  # the widget after every seed, which no API file has
SIZE = ("width", "height", "batch_size")
WIDGETS: Mapping[str, Sequence[str]] = MappingProxyType({
    "KSampler": ("seed", CONTROL, "steps", "cfg", "sampler_name", "scheduler", "denoise"),
    "KSamplerAdvanced": ("add_noise", "noise_seed", CONTROL, "steps", "cfg", "sampler_name", "scheduler", "start_at_step",
                         "end_at_step", "return_with_leftover_noise"),
    "SamplerCustom": ("add_noise", "noise_seed", CONTROL, "cfg"),
    "RandomNoise": ("noise_seed", CONTROL), "KSamplerSelect": ("sampler_name",), "CFGGuider": ("cfg",),
    "BasicScheduler": ("scheduler", "steps", "denoise"), "SplitSigmas": ("step",),
    "CheckpointLoaderSimple": ("ckpt_name",), "UNETLoader": ("unet_name", "weight_dtype"), "UnetLoaderGGUF": ("unet_name",),
    "CLIPLoader": ("clip_name",), "DualCLIPLoader": ("clip_name1", "clip_name2"), "VAELoader": ("vae_name",),
    "LoraLoader": ("lora_name", "strength_model", "strength_clip"), "LoraLoaderModelOnly": ("lora_name", "strength_model"),
    "CLIPTextEncode": ("text",), "CLIPTextEncodeFlux": ("clip_l", "t5xxl", "guidance"),
    "CLIPTextEncodeSDXL": ("width", "height", "crop_w", "crop_h", "target_width", "target_height", "text_g", "text_l"),
    "CLIPSetLastLayer": ("stop_at_clip_layer",), "FluxGuidance": ("guidance",),
    "ModelSamplingAuraFlow": ("shift",), "ModelSamplingSD3": ("shift",), "ModelSamplingDiscrete": ("sampling", "zsnr"),
    "ModelSamplingFlux": ("max_shift", "base_shift", "width", "height"),
    "EmptyLatentImage": SIZE, "EmptySD3LatentImage": SIZE, "LoadImage": ("image",),
    "PrimitiveInt": ("value",), "PrimitiveFloat": ("value",), "PrimitiveString": ("value",),
    "PrimitiveStringMultiline": ("value",), "PrimitiveNode": ("value",),
})  # fmt: skip
MUTED, BYPASSED = 2, 4  # modes of a node
ABSENT = ("Note", "MarkdownNote")


@dataclass(frozen=True, kw_only=True)
class _Wire:
    """From an output to an input."""

    origin: str
    slot: int
    kind: str  # MODEL, CLIP, LATENT, …


def from_workflow(data: Mapping[str, Any], draft: Draft) -> Graph:
    """The graph that ComfyUI would run. Raises MetadataError."""
    nodes = [cast("dict[str, Any]", node) for node in _list(data.get("nodes")) if isinstance(node, dict)]
    wires = dict(_wires(_list(data.get("links"))))
    if len(nodes) > MOST_NODES or len(wires) > 4 * MOST_NODES:
        raise MetadataError("This workflow has {count} nodes: at most {most} are read.", count=len(nodes), most=MOST_NODES)
    definitions = data.get("definitions")
    if isinstance(definitions, dict) and _list(cast("dict[str, Any]", definitions).get("subgraphs")):
        draft.say("The workflow has subgraphs, which are not looked into: save it in ComfyUI with Export (API), or take a picture "
                  "that it made.")  # fmt: skip
    by_id = {str(node.get("id")): node for node in nodes}
    read = (_node(node, wires, by_id) for node in nodes if node.get("mode") not in (MUTED, BYPASSED))
    return Graph([node for node in read if node is not None and node.kind not in (*ABSENT, "Reroute")], draft)


def _wires(links: Sequence[object]) -> Iterator[tuple[int, _Wire]]:
    """[id, from, slot, to, slot, type], or the same by name in newer files."""
    for link in links:
        if isinstance(link, dict):
            named = cast("dict[str, Any]", link)
            link = [named.get(key) for key in ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")]
        if isinstance(link, list) and len(parts := cast("list[Any]", link)) >= 6:
            id, slot = whole(parts[0]), whole(parts[2])
            if id is not None and slot is not None:
                yield id, _Wire(origin=str(parts[1]), slot=slot, kind=str(parts[5]))


def _node(data: Mapping[str, Any], wires: Mapping[int, _Wire], by_id: Mapping[str, Mapping[str, Any]]) -> Node | None:
    kind = data.get("type")
    if not isinstance(kind, str):
        return None
    inputs = _widgets(kind, data.get("widgets_values"))
    for socket in _sockets(data):
        wire = _source(whole(socket.get("link")), wires, by_id)
        if isinstance(socket.get("name"), str) and wire is not None:
            inputs[socket["name"]] = [wire.origin, wire.slot]
    return Node(str(data.get("id")), kind, inputs)


def _source(link: int | None, wires: Mapping[int, _Wire], by_id: Mapping[str, Mapping[str, Any]]) -> _Wire | None:
    """Where a link really comes from: reroutes and bypassed nodes hand on their input of the same type."""
    for _ in range(len(wires) + 1):
        wire = None if link is None else wires.get(link)
        node = None if wire is None else by_id.get(wire.origin)
        if wire is None or node is None or node.get("mode") == MUTED:
            return None
        if node.get("type") != "Reroute" and node.get("mode") != BYPASSED:
            return wire
        sockets = [socket for socket in _sockets(node) if socket.get("type") in (wire.kind, "*") or node.get("type") == "Reroute"]
        link = next((whole(socket.get("link")) for socket in sockets if socket.get("link") is not None), None)
    return None


def _widgets(kind: str, values: object) -> dict[str, object]:
    if isinstance(values, dict):
        return dict(cast("dict[str, object]", values))
    return {name: value for name, value in zip(WIDGETS.get(kind, ()), _list(values), strict=False) if name != CONTROL}


def _sockets(node: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [cast("dict[str, Any]", socket) for socket in _list(node.get("inputs")) if isinstance(socket, dict)]


def _list(value: object) -> list[object]:
    return cast("list[object]", value) if isinstance(value, list) else []
