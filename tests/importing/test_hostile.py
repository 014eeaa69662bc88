"""Whatever comes in: a recipe that our own check passes, with sentences, or one sentence. Never anything else, and soon."""

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import MetadataError, UserError
from core.importing import Imported
from core.recipe import parse
from tests.importing.conftest import Read
from tests.importing.files import a1111_picture, advanced, comfyui_webp, node, png, two, workflow_of
from ui import texts


def outcome(reading: Read, data: bytes) -> Imported | None:
    """What it became, everything about it said in every language."""
    try:
        found = reading(data)
    except UserError as error:
        assert str(error).endswith(".") and "\n" not in texts.of("ja").error(error)
        return None
    assert parse(found.recipe.model_dump(mode="json")).key == found.recipe.key
    for note in found.notes:
        assert str(note).endswith(".") and texts.of("ja").template(note.template, note.values) and len(str(note)) < 700
    return found


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["enable", "euler", "normal", 1e308]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
LINKS = st.tuples(st.sampled_from([str(id) for id in range(12)]), st.integers(-1, 3)).map(list)
KINDS = st.sampled_from([
    "KSampler", "KSamplerAdvanced", "SamplerCustom", "SamplerCustomAdvanced", "VAEDecode", "SaveImage", "CheckpointLoaderSimple",
    "LoraLoader", "Power Lora Loader (rgthree)", "CLIPTextEncode", "CLIPTextEncodeFlux", "CLIPSetLastLayer", "ConditioningZeroOut",
    "FluxGuidance", "ModelSamplingFlux", "ModelSamplingDiscrete", "EmptyLatentImage", "LoadImage", "VAEEncode", "LatentUpscale",
    "BasicScheduler", "SplitSigmas", "CFGGuider", "RandomNoise", "KSamplerSelect", "PrimitiveInt", "VAELoader", "DualCLIPLoader",
])  # fmt: skip
NAMES = st.sampled_from([
    "seed", "noise_seed", "steps", "cfg", "sampler_name", "scheduler", "denoise", "start_at_step", "end_at_step", "add_noise",
    "return_with_leftover_noise", "model", "positive", "negative", "latent_image", "samples", "images", "pixels", "image", "vae", "clip",
    "text", "t5xxl", "guidance", "conditioning", "width", "height", "batch_size", "lora_name", "strength_model", "strength_clip",
    "ckpt_name", "vae_name", "clip_name1", "stop_at_clip_layer", "sampling", "max_shift", "base_shift", "sigmas", "step", "noise",
    "guider", "sampler", "value", "lora_1",
])  # fmt: skip
NODES = st.builds(
    lambda kind, inputs: {"class_type": kind, "inputs": inputs}, KINDS, st.dictionaries(NAMES, LINKS | VALUES, max_size=10)
)


@settings(max_examples=100, deadline=None)
@given(graph=st.dictionaries(st.sampled_from([str(id) for id in range(12)]), NODES | VALUES, max_size=12))
def test_any_graph(reading: Read, graph: dict[str, Any]) -> None:
    outcome(reading, json.dumps(graph).encode("utf-8", "surrogatepass"))


@settings(max_examples=100, deadline=None)
@given(place=st.sampled_from([*two()]), name=NAMES, value=LINKS | VALUES, more=st.dictionaries(NAMES, LINKS | VALUES, max_size=3))
def test_the_tutorials_graph_with_anything_in_it(reading: Read, place: str, name: str, value: object, more: dict[str, Any]) -> None:
    graph = two()
    graph[place]["inputs"] |= more | {name: value}
    outcome(reading, png(prompt=json.dumps(graph)))


@settings(max_examples=80, deadline=None)
@given(data=VALUES | st.fixed_dictionaries({"nodes": VALUES, "links": VALUES}) | st.fixed_dictionaries({"stepwise": VALUES}))
def test_any_json(reading: Read, data: object) -> None:
    outcome(reading, json.dumps(data).encode())


SOCKETS = st.fixed_dictionaries({"name": NAMES, "type": st.sampled_from(["MODEL", "LATENT"]), "link": st.integers(0, 20) | VALUES})
ON_SCREEN = st.fixed_dictionaries({
    "id": st.integers(0, 9) | VALUES, "type": KINDS | st.just("Reroute"), "mode": st.sampled_from([0, 2, 4]),
    "inputs": st.lists(SOCKETS, max_size=5), "widgets_values": st.lists(VALUES, max_size=10) | VALUES,
})  # fmt: skip
WIRES = st.tuples(*[st.integers(0, 20), *[st.integers(0, 9)] * 4], st.sampled_from(["MODEL", "LATENT"])).map(list)


@settings(max_examples=60, deadline=None)
@given(nodes=st.lists(ON_SCREEN, max_size=10), links=st.lists(WIRES, max_size=20))
def test_any_workflow(reading: Read, nodes: list[Any], links: list[Any]) -> None:
    outcome(reading, png(workflow=json.dumps({"nodes": nodes, "links": links})))


LINES = st.lists(
    st.tuples(
        st.sampled_from(["Steps", "Sampler", "Schedule type", "CFG scale", "Seed", "Size", "Model", "Model hash", "VAE", "Clip skip",
                         "Denoising strength", "Hashes", "Lora hashes", "Version", "Segments", "CFG schedule", "Shift"]),
        st.text(max_size=12) | st.floats().map(str) | st.integers().map(str) | VALUES.map(json.dumps)
        | st.sampled_from(["Stepwise", "Euler a", "512x512"]),
    ).map(": ".join), min_size=1, max_size=12,
)  # fmt: skip
PROMPTS = st.text(max_size=40) | st.text(alphabet="ab[]|:()<>0.5\\lora ", max_size=40)


@settings(max_examples=100, deadline=None)
@given(prompt=PROMPTS, negative=PROMPTS, lines=LINES)
def test_any_infotext(reading: Read, prompt: str, negative: str, lines: list[str]) -> None:
    text = f"{prompt}\nNegative prompt: {negative}\nSteps: 20, {', '.join(lines)}"
    outcome(reading, text.encode("utf-8", "surrogatepass"))
    if "\0" not in text:
        outcome(reading, a1111_picture("PNG", text.encode("utf-8", "replace").decode()))


@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=200), head=st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"RIFF\x10\0\0\0WEBP", b"\xff\xd8\xff", b"{"]))
def test_any_bytes(reading: Read, data: bytes, head: bytes) -> None:
    outcome(reading, head + data)


@settings(max_examples=100, deadline=None)
@given(at=st.integers(0, 5000), value=st.integers(0, 255))
def test_damaged_webps(reading: Read, at: int, value: int) -> None:
    data = bytearray(comfyui_webp(two(), {}))
    data[at % len(data)] = value
    outcome(reading, bytes(data))


LINKED = node("CLIPTextEncode", text=["70", 0], clip=["4", 1])
CASES = {
    "a circle of latents": (two({"latent_image": ["11", 0]}), "circle"),
    "a circle of models": (two(**{"4": node("LoraLoader", lora_name="x", model=["4", 0])}), "circle"),
    "a circle of values": (two(**{"6": LINKED, "70": node("P", value=["70", 0])}), "circle"),
    "infinite": (json.dumps(two({"cfg": 1})).replace('"cfg": 1,', '"cfg": 1e999,'), "cannot be inf"),
    "not a number": (two({"cfg": float("nan")}), "cannot be nan"),
    "text as steps": (two({"steps": "many"}), "steps of KSamplerAdvanced 10 cannot be 'many'"),
    "true as a seed": (two({"noise_seed": True}), "cannot be True"),
    "a list as a prompt": (two(**{"6": node("CLIPTextEncode", text=[1, 2, 3])}), "cannot be"),
    "too many steps": (two({"steps": 5000}), "steps must be at most 1000"),
    "a huge picture": (two(**{"5": node("EmptyLatentImage", width=10**6, height=64, batch_size=1)}), "width must be at most 4096"),
    "a seed too large": (two({"noise_seed": 2**64}), "seed must be below"),
    "a long number": ('{"1": %s}' % ("9" * 5000), "damaged"),
    "deep": ('{"1": ' + "[" * 200_000, "damaged"),
    "deep and whole": ('{"1": ' + "[" * 100_000 + "]" * 100_000 + "}", "damaged"),
    "too many nodes": ({str(k): node("KSampler") for k in range(6000)}, "6000 nodes"),
    "a chain without an end": (
        workflow_of(*[(str(100 + k), advanced([str(99 + k) if k else "5", 0])) for k in range(300)]), "circle",
    ),
    "no sampler": ({"1": node("LoadImage", image="a"), "2": node("SaveImage", images=["1", 0])}, "No KSampler"),
    "nothing": ({}, "no recipe and no workflow"),
    "a list": ([two()], "no recipe and no workflow"),
    "no picture": ("hello", "damaged"),
    "a prompt too long": (two(**{"6": node("CLIPTextEncode", text="x" * 30_000, clip=["4", 1])}), "prompt is too long"),
    "a lone surrogate": (two(**{"6": node("CLIPTextEncode", text="\ud800", clip=["4", 1])}), "cannot be stored"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_each_is_told_in_a_sentence(name: str, reading: Read) -> None:
    data, sentence = CASES[name]
    began = time.process_time()
    with pytest.raises(UserError, match=sentence) as caught:
        reading((data if isinstance(data, str) else json.dumps(data)).encode())
    assert str(caught.value).endswith(".") and time.process_time() - began < 5


@pytest.mark.parametrize("letter", ["a", "a,", "a: ", '"', "[", "<lora:", "Steps: 1, a: 2, b: 3\n", "(", "\\"])
def test_long_texts_take_moments(letter: str, reading: Read) -> None:
    """Nothing takes longer than in proportion to its length."""
    most = 2**18 // len(letter) - 30
    began = time.process_time()
    outcome(reading, ("Steps: 1, a: b, c: d, " + letter * most).encode())
    outcome(reading, (letter * most + "\nSteps: 1, a: b, c: d").encode())
    outcome(reading, json.dumps(two(**{"6": node("CLIPTextEncode", text=letter * 2**20, clip=["4", 1])})).encode())
    assert time.process_time() - began < 10


def test_graphs_that_lead_everywhere_take_moments(reading: Read) -> None:
    outputs = {f"s{k}": node("SaveImage", images=["8", 0]) for k in range(2000)}
    chain = {f"c{k}": node("LatentThing", samples=[f"c{k - 1}" if k else "5", 0]) for k in range(2000)}
    many = {f"lora_{k}": {"on": True, "lora": "x", "strength": 1} for k in range(9000)}
    rows = node("Power Lora Loader (rgthree)", model=["4", 0], **many)
    samplers = [(str(100 + k), advanced([str(99 + k) if k else "c1999", 0], model=["r", 0])) for k in range(190)]
    began = time.process_time()
    for graph in (two(**outputs, **chain), workflow_of(*samplers, **chain, **outputs, r=rows)):
        outcome(reading, json.dumps(graph).encode())
    assert time.process_time() - began < 10


def test_several_loras_of_one_node(reading: Read) -> None:
    rows = {"lora_1": {"on": True, "lora": "pixel-art.safetensors", "strength": 0.5}, "lora_2": {"on": False, "lora": "off"}}
    more = {"20": node("Power Lora Loader (rgthree)", model=["4", 0], clip=["4", 1], **rows),
            "6": node("CLIPTextEncode", text="a", clip=["20", 1]), "7": node("CLIPTextEncode", text="", clip=["20", 1])}  # fmt: skip
    found = outcome(reading, json.dumps(workflow_of(("10", advanced(["5", 0], model=["20", 0])), **more)).encode())
    assert found is not None and found.notes == ()
    assert [lora.model_dump() for lora in found.recipe.loras] == [{"name": "pixel-art", "model": 0.5, "text": 0.5}]


def test_texts_that_are_too_long_are_not_read(reading: Read) -> None:
    with pytest.raises(MetadataError, match="longer than 4096 KB"):
        reading(b"a" * (2**22 + 1))
    with pytest.raises(MetadataError, match="longer than 256 KB"):
        reading(a1111_picture("PNG", "a" * 2**19))
