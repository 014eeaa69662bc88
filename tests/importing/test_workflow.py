"""Workflows as ComfyUI's screen keeps them give the same recipe as the graph that ran."""

import json
from typing import Any

from tests.importing.conftest import Read
from tests.importing.files import png, two

WIDGETS = {
    "KSamplerAdvanced": ("add_noise", "noise_seed", "CONTROL", "steps", "cfg", "sampler_name", "scheduler", "start_at_step",
                         "end_at_step", "return_with_leftover_noise"),
    "CheckpointLoaderSimple": ("ckpt_name",), "EmptyLatentImage": ("width", "height", "batch_size"), "CLIPTextEncode": ("text",),
    "VAEDecode": (), "SaveImage": ("filename_prefix",),
}  # fmt: skip
OUTPUTS = {"CheckpointLoaderSimple": ("MODEL", "CLIP", "VAE"), "EmptyLatentImage": ("LATENT",), "CLIPTextEncode": ("CONDITIONING",),
           "VAEDecode": ("IMAGE",), "KSamplerAdvanced": ("LATENT",)}  # fmt: skip


def on_screen(graph: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Nodes with sockets and widgets by position, and links as [id, from, slot, to, slot, type]."""
    nodes: list[dict[str, Any]] = []
    links: list[list[Any]] = []
    for id, node in graph.items():
        kind, sockets = node["class_type"], []
        for name, value in node["inputs"].items():
            if isinstance(value, list):
                type = OUTPUTS[graph[value[0]]["class_type"]][value[1]]
                links.append([len(links) + 1, int(value[0]), value[1], int(id), len(sockets), type])
                sockets.append({"name": name, "type": type, "link": len(links)})
        values = ["randomize" if name == "CONTROL" else node["inputs"][name] for name in WIDGETS[kind]]
        nodes.append({"id": int(id), "type": kind, "mode": 0, "inputs": sockets, "widgets_values": values, "pos": [0, 0]})
    return {"last_node_id": 99, "nodes": nodes, "links": links, "groups": [], "version": 0.4}


def wired(workflow: dict[str, Any], through: dict[str, Any], link: int) -> None:
    """Puts a node of one input into a link."""
    old = next(wire for wire in workflow["links"] if wire[0] == link)
    workflow["nodes"].append(through)
    workflow["links"].append([900 + through["id"], old[1], old[2], through["id"], 0, old[5]])
    through["inputs"] = [{"name": "", "type": "*", "link": 900 + through["id"]}]
    old[1], old[2] = through["id"], 0


def test_the_workflow_gives_the_recipe_of_the_graph(reading: Read) -> None:
    workflow = on_screen(two())
    wanted = reading(json.dumps(two()).encode())
    assert reading(json.dumps(workflow).encode()) == wanted
    assert reading(png(workflow=json.dumps(workflow))) == wanted
    names = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")
    newer = workflow | {"links": [dict(zip(names, link, strict=True)) for link in workflow["links"]]}
    assert reading(json.dumps(newer).encode()) == wanted


def test_reroutes_bypassed_and_muted_nodes(reading: Read) -> None:
    workflow = on_screen(two())
    model = next(wire[0] for wire in workflow["links"] if wire[5] == "MODEL")
    wired(workflow, {"id": 70, "type": "Reroute", "mode": 0}, model)
    wired(workflow, {"id": 71, "type": "LoraLoaderModelOnly", "mode": 4, "widgets_values": ["gone.safetensors", 1]}, model)
    workflow["nodes"] += [
        {"id": 72, "type": "PreviewImage", "mode": 2, "inputs": [{"name": "images", "type": "IMAGE", "link": 1}]},
        {"id": 73, "type": "Note", "mode": 0, "widgets_values": ["hello"]},
    ]
    assert reading(json.dumps(workflow).encode()) == reading(json.dumps(two()).encode())


def test_primitives_feed_widgets(reading: Read) -> None:
    workflow = on_screen(two())
    sampler = next(node for node in workflow["nodes"] if node["id"] == 10)
    sampler["widgets_values"][1] = 5  # what stood there before a node was connected
    sampler["inputs"].append({"name": "noise_seed", "type": "INT", "link": 800, "widget": {"name": "noise_seed"}})
    workflow["links"].append([800, 74, 0, 10, 9, "INT"])
    workflow["nodes"].append({"id": 74, "type": "PrimitiveNode", "mode": 0, "widgets_values": [1234, "fixed"]})
    assert reading(json.dumps(workflow).encode()) == reading(json.dumps(two()).encode())


def test_subgraphs_are_said(reading: Read) -> None:
    workflow = on_screen(two()) | {"definitions": {"subgraphs": [{"id": "x", "nodes": []}]}}
    assert "subgraphs" in str(reading(json.dumps(workflow).encode()).notes[0])
