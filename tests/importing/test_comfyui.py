"""Workflows of ComfyUI become the recipes that somebody would have written for them."""

import json
import math
from typing import Any

import pytest
import torch

from core.errors import MetadataError
from core.importing import Imported
from core.pipeline import Pipeline
from core.prompt.grammar import Text
from core.prompt.grammar import parse as tree_of
from core.recipe import Recipe, parse
from tests.importing.conftest import Read
from tests.importing.files import Graph, advanced, comfyui_webp, node, png, two, workflow_of

RECIPE = {
    "stepwise": 1, "model": "demo", "noise": "comfyui", "seed": 1234, "width": 64, "height": 64, "steps": 4, "cfg": 5.0,
    "sampler": "euler", "scheduler": "normal", "prompt": "a red apple", "negative": "text, watermark",
}  # fmt: skip
LORA = {"name": "pixel-art", "model": 1.0, "text": 1.0}
WITH_LORA = {
    "20": node("LoraLoader", lora_name="pixel-art.safetensors", strength_model=1, strength_clip=1, model=["4", 0], clip=["4", 1]),
    "12": node("CLIPTextEncode", text="a red rabbit", clip=["20", 1]),
    "17": node("CLIPTextEncode", text="text, watermark", clip=["20", 1]),
}  # fmt: skip

# The tutorial's experiments: a workflow, and what a person writes for it by hand.
EXPERIMENTS: dict[str, tuple[Graph, dict[str, Any]]] = {
    "divide": (
        two(second={"positive": ["6", 0]}),
        {"segments": [{"end": 2}, {"border": "restart", "noise_seed": 0}]},
    ),
    "no noise": (workflow_of(("10", advanced(["5", 0], add_noise="disable"))), {"segments": [{"add_noise": False}]}),
    "apple to rabbit": (
        two(), {"segments": [{"end": 2}, {"border": "restart", "noise_seed": 0, "prompt": "a red rabbit"}]},
    ),
    "LoRA from step 2": (
        two(second={"model": ["20", 0], "negative": ["17", 0]}, **WITH_LORA),
        {"segments": [{"end": 2}, {"border": "restart", "noise_seed": 0, "prompt": "a red rabbit", "loras": [LORA]}]},
    ),
    "noise in the middle": (
        two({"end_at_step": 10000, "return_with_leftover_noise": "disable"},
            {"add_noise": "enable", "noise_seed": 123, "start_at_step": 1}),
        {"segments": [{}, {"start": 1, "border": "restart", "add_noise": True, "noise_seed": 123, "prompt": "a red rabbit"}]},
    ),
    "ends clean in the middle": (
        two({"return_with_leftover_noise": "disable"}),
        {"segments": [{"end": 2, "leftover_noise": False},
                      {"start": 2, "border": "restart", "noise_seed": 0, "prompt": "a red rabbit"}]},
    ),
    "other steps in the second": (
        two(second={"steps": 6, "start_at_step": 3, "cfg": 2.5, "sampler_name": "dpmpp_2m", "scheduler": "karras"}),
        {"segments": [{"end": 2}, {"start": 3, "border": "restart", "noise_seed": 0, "prompt": "a red rabbit", "steps": 6,
                                   "cfg": 2.5, "sampler": "dpmpp_2m", "scheduler": "karras"}]},
    ),
    "blind first steps": (
        two({"positive": ["13", 0]}, **{"13": node("ConditioningZeroOut", conditioning=["12", 0])}),
        {"prompt": "a red rabbit", "segments": [{"end": 2, "conditioning": "zero"}, {"border": "restart", "noise_seed": 0}]},
    ),
}  # fmt: skip


def settled(pipe: Pipeline, recipe: Recipe) -> dict[str, Any]:
    """What a run of it really is: every default, flag and start written out."""
    data = pipe.plan(recipe).recipe.model_dump(mode="json")
    common = {name: data[name] for name in ("prompt", "negative", "cfg", "sampler", "scheduler", "steps", "loras")}
    for segment in data["segments"]:
        segment |= {name: value for name, value in common.items() if segment[name] is None}
        segment["noise_seed"] = data["seed"] if segment["noise_seed"] is None else segment["noise_seed"]
    return data


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_tutorials_experiments(name: str, pipe: Pipeline, reading: Read) -> None:
    graph, written = EXPERIMENTS[name]
    hand = parse(RECIPE | written)
    found = reading(png(prompt=json.dumps(graph), workflow="{}"))
    assert settled(pipe, found.recipe) == settled(pipe, hand) and found.notes == () and not found.ours
    made, wanted = pipe.generate(found.recipe), pipe.generate(hand)
    assert torch.equal(made.latents, wanted.latents)
    assert made.latents.isfinite().all()


def test_one_sampler_is_a_plain_recipe(reading: Read) -> None:
    graph = workflow_of(("3", node("KSampler", seed=2**64 - 1, steps=4, cfg=5, sampler_name="euler", scheduler="normal", denoise=1,
                                   model=["4", 0], positive=["6", 0], negative=["7", 0], latent_image=["5", 0])))  # fmt: skip
    assert reading(png(prompt=json.dumps(graph))).recipe.key == parse(RECIPE | {"seed": 2**64 - 1}).key


def test_two_advanced_samplers_have_the_key_of_the_recipe_by_hand(reading: Read) -> None:
    hand = RECIPE | {"segments": [{"end": 2}, {"start": 2, "border": "restart", "noise_seed": 0, "prompt": "a red rabbit"}]}
    graph = two()
    for data in (png(prompt=json.dumps(graph)), comfyui_webp(graph, {"nodes": []}), json.dumps(graph).encode(),
                 json.dumps({"client_id": "x", "prompt": graph}).encode()):  # fmt: skip
        assert reading(data).recipe.key == parse(hand).key


def test_what_comfyui_writes_beside_numbers_does_no_harm(reading: Read) -> None:
    """It writes NaN for nodes that change every time, which is no JSON."""
    graph = two()
    graph["10"]["is_changed"] = [math.nan]
    assert "NaN" in json.dumps(graph)
    assert reading(png(prompt=json.dumps(graph))).recipe == reading(png(prompt=json.dumps(two()))).recipe


def said(found: Imported) -> str:
    return " ".join(map(str, found.notes))


def test_z_image_with_its_parts(pipe: Pipeline, reading: Read) -> None:
    """The variety workflow: three loaders, a shift, two blind steps on zeroed words, cfg 1."""
    sampler = {"noise_seed": 7, "steps": 9, "cfg": 1, "sampler_name": "res_multistep", "scheduler": "simple"}
    more = {
        "4": node("UNETLoader", unet_name="demo-turbo", weight_dtype="default"),
        "30": node("CLIPLoader", clip_name="qwen_3_4b.safetensors", type="lumina2", device="default"),
        "31": node("VAELoader", vae_name="ae.safetensors"),
        "32": node("ModelSamplingAuraFlow", shift=3.1, model=["4", 0]),
        "5": node("EmptySD3LatentImage", width=128, height=128, batch_size=1),
        "6": node("CLIPTextEncode", text="a red rabbit", clip=["30", 0]),
        "7": node("ConditioningZeroOut", conditioning=["6", 0]),
        "8": node("VAEDecode", samples=["11", 0], vae=["31", 0]),
    }
    blind = {"positive": ["7", 0], "model": ["32", 0]} | sampler
    graph = two(blind, {"positive": ["6", 0], "model": ["32", 0], **sampler, "noise_seed": 7}, **more)
    found = reading(png(prompt=json.dumps(graph)))
    hand = {
        "stepwise": 1, "model": "demo-turbo", "vae": "ae.safetensors", "noise": "comfyui", "seed": 7, "width": 128, "height": 128,
        "steps": 9, "cfg": 1.0, "sampler": "res_multistep", "scheduler": "simple", "shift": 3.1, "prompt": "a red rabbit",
        "segments": [{"end": 2, "conditioning": "zero"}, {"start": 2, "border": "restart"}],
    }  # fmt: skip
    assert found.recipe.key == parse(hand).key
    assert "Text encoder qwen_3_4b.safetensors is not carried over" in said(found)
    assert "VAE ae.safetensors is not here" in said(found)
    assert len(pipe.plan(found.recipe.model_copy(update={"vae": None})).steps) == 9


def test_flux_with_its_custom_sampler(reading: Read) -> None:
    graph = workflow_of(
        ("13", node("SamplerCustomAdvanced", noise=["25", 0], guider=["22", 0], sampler=["16", 0], sigmas=["17", 0],
                    latent_image=["5", 0])),
        **{
            "25": node("RandomNoise", noise_seed=99), "16": node("KSamplerSelect", sampler_name="euler"),
            "17": node("BasicScheduler", scheduler="simple", steps=20, denoise=1, model=["30", 0]),
            "22": node("BasicGuider", model=["30", 0], conditioning=["26", 0]),
            "26": node("FluxGuidance", guidance=3.5, conditioning=["6", 0]),
            "30": node("ModelSamplingFlux", max_shift=1.15, base_shift=0.5, width=1024, height=1024, model=["31", 0]),
            "31": node("LoraLoaderModelOnly", lora_name="sub\\mine.safetensors", strength_model=0.8, model=["4", 0]),
            "4": node("UNETLoader", unet_name="flux1-dev.safetensors", weight_dtype="fp8_e4m3fn"),
            "5": node("EmptySD3LatentImage", width=1024, height=1024, batch_size=2),
        },
    )  # fmt: skip
    found = reading(json.dumps(graph).encode())
    recipe = found.recipe
    assert (recipe.cfg, recipe.guidance, recipe.seed, recipe.steps, recipe.batch, recipe.segments) == (1, 3.5, 99, 20, 2, ())
    assert recipe.shift == pytest.approx(math.exp(1.15))  # 1024 x 1024 are 4096 patches, the upper end of the line
    assert [lora.model_dump() for lora in recipe.loras] == [{"name": "sub/mine", "model": 0.8, "text": 0.0}]
    for part in ("Model flux1-dev.safetensors is not here", "LoRA sub\\mine.safetensors is not here", "fp8_e4m3fn", "noise of a batch"):
        assert part in said(found)


def test_split_sigmas_are_segments(reading: Read) -> None:
    def part(before: list[object], noise: str, slot: int) -> dict[str, Any]:
        return node("SamplerCustomAdvanced", noise=[noise, 0], guider=["22", 0], sampler=["16", 0], sigmas=["18", slot],
                    latent_image=before)  # fmt: skip

    graph = workflow_of(
        ("10", part(["5", 0], "25", 0)), ("11", part(["10", 0], "26", 1)),
        **{
            "25": node("RandomNoise", noise_seed=99), "26": node("DisableNoise"),
            "16": node("KSamplerSelect", sampler_name="euler"), "18": node("SplitSigmas", step=3, sigmas=["17", 0]),
            "17": node("BasicScheduler", scheduler="simple", steps=8, denoise=1, model=["4", 0]),
            "22": node("CFGGuider", model=["4", 0], positive=["6", 0], negative=["7", 0], cfg=4),
        },
    )  # fmt: skip
    hand = RECIPE | {"seed": 99, "steps": 8, "scheduler": "simple", "cfg": 4.0,
                     "segments": [{"end": 3}, {"start": 3, "border": "restart", "noise_seed": 0}]}  # fmt: skip
    assert reading(json.dumps(graph).encode()).recipe.key == parse(hand).key


def test_a_second_pass_at_less_denoise_is_a_later_start_in_a_longer_schedule(reading: Read) -> None:
    second = node("KSampler", seed=5, steps=4, cfg=5, sampler_name="euler", scheduler="normal", denoise=0.5, model=["4", 0],
                  positive=["6", 0], negative=["7", 0], latent_image=["10", 0])  # fmt: skip
    graph = workflow_of(("10", advanced(["5", 0])), ("11", second))
    hand = {"segments": [{}, {"start": 4, "steps": 8, "border": "restart", "add_noise": True, "noise_seed": 5}]}
    assert reading(json.dumps(graph).encode()).recipe.key == parse(RECIPE | hand).key
    between = {"15": node("LatentUpscale", upscale_method="nearest-exact", width=128, height=128, crop="disabled", samples=["10", 0])}
    graph["11"]["inputs"]["latent_image"] = ["15", 0]
    found = reading(json.dumps(graph | between).encode())
    assert found.recipe.key == parse(RECIPE).key
    assert said(found) == "LatentUpscale 15 between two samplers are not carried over: the recipe is the part before them."


def test_an_input_picture_is_named(reading: Read) -> None:
    first = node("KSampler", seed=5, steps=4, cfg=5, sampler_name="euler", scheduler="normal", denoise=0.6, model=["4", 0],
                 positive=["6", 0], negative=["7", 0], latent_image=["14", 0])  # fmt: skip
    graph = workflow_of(("10", first), **{"14": node("VAEEncode", pixels=["15", 0], vae=["4", 2]),
                                          "15": node("LoadImage", image="cat.png", upload="image")})  # fmt: skip
    found = reading(json.dumps(graph).encode())
    assert (found.recipe.steps, found.recipe.segments, found.recipe.init, found.recipe.width) == (4, (), None, None)
    assert "starts from the picture cat.png" in said(found) and "denoise 0.6" in said(found)


def test_values_may_come_from_primitive_nodes(reading: Read) -> None:
    graph = two({"noise_seed": ["40", 0], "steps": ["41", 0]}, {"steps": ["41", 0]}, **{
        "40": node("PrimitiveInt", value=1234), "41": node("SomethingElse", a=["40", 0], seed="x", int=4),
        "6": node("CLIPTextEncode", text=["42", 0], clip=["4", 1]), "42": node("PrimitiveStringMultiline", value="a red apple"),
    })  # fmt: skip
    assert reading(json.dumps(graph).encode()).recipe == reading(json.dumps(two()).encode()).recipe
    graph["42"] = node("Wildcards", template="a {red|blue} apple", mode=3)
    found = reading(json.dumps(graph).encode())
    assert found.recipe.prompt == "" and "text of CLIPTextEncode 6 comes from Wildcards 42, which is not read." in said(found)


def test_texts_that_only_we_would_read_stay_texts(reading: Read) -> None:
    graph = two(**{"6": node("CLIPTextEncode", text="(a:1.2) [b:c:3] [d|e] BREAK f <lora:pixel-art:1>", clip=["4", 1])})
    found = reading(json.dumps(graph).encode())
    tree = tree_of(found.recipe.prompt)
    assert [node.text for node in tree if isinstance(node, Text)] == [" [b:c:3] [d|e] break f "] and len(tree) == 2
    assert len(found.notes) == 3


def test_what_has_no_place_is_said(reading: Read) -> None:
    graph = two(
        {"model": ["50", 0], "positive": ["51", 0], "sampler_name": "dpm_fast"},
        **{"50": node("FreeU_V2", b1=1.3, model=["4", 0]), "51": node("ControlNetApplyAdvanced", strength=1, positive=["6", 0]),
           "6": node("CLIPTextEncode", text="a red apple", clip=["52", 0]), "52": node("CLIPMergeSimple", clip1=["4", 1]),
           "53": node("ImageUpscaleWithModel", image=["8", 0]), "9": node("SaveImage", images=["53", 0]),
           "54": node("PreviewImage", images=["8", 0])},
    )  # fmt: skip
    found = reading(json.dumps(graph).encode())
    for title in ("FreeU_V2 50", "ControlNetApplyAdvanced 51", "CLIPMergeSimple 52", "ImageUpscaleWithModel 53", "dpm_fast",
                  "2 pictures"):  # fmt: skip
        assert title in said(found)
    assert found.recipe.sampler is None and found.recipe.prompt == "a red apple"
    assert found.recipe.segments[1].sampler == "euler"


def test_noise_that_a_gpu_draws_is_said(reading: Read) -> None:
    found = reading(json.dumps(two({"sampler_name": "euler_ancestral"}, {"sampler_name": "euler_ancestral"})).encode())
    assert said(found) == "On a GPU ComfyUI draws the noise of euler_ancestral there: a picture made so comes out differently."


def test_samplers_that_do_nothing_are_left_out(reading: Read) -> None:
    found = reading(json.dumps(two({"start_at_step": 3, "end_at_step": 2}, {"add_noise": "enable", "start_at_step": 0})).encode())
    assert found.recipe.segments == () and found.recipe.prompt == "a red rabbit"
    assert "KSamplerAdvanced 10 ends before it starts" in said(found)
    with pytest.raises(MetadataError, match="nothing to run"):
        reading(json.dumps(workflow_of(("10", advanced(["5", 0], start_at_step=4)))).encode())


def test_settings_that_only_the_first_sampler_has_stay_with_it(pipe: Pipeline, reading: Read) -> None:
    more = {"60": node("CLIPSetLastLayer", stop_at_clip_layer=-2, clip=["4", 1]),
            "6": node("CLIPTextEncode", text="a red apple", clip=["60", 0])}  # fmt: skip
    recipe = reading(json.dumps(two(**more)).encode()).recipe
    assert (recipe.clip_skip, recipe.segments[0].clip_skip, recipe.segments[1].clip_skip) == (None, 2, None)
    shifted = two({"model": ["61", 0]}, **{"61": node("ModelSamplingSD3", shift=5, model=["4", 0])})
    shifted["4"]["inputs"]["ckpt_name"] = "demo-turbo"
    recipe = reading(json.dumps(shifted).encode()).recipe
    assert (recipe.shift, recipe.segments[0].shift, recipe.segments[1].shift) == (None, 5.0, None)
    plan = pipe.plan(recipe.model_copy(update={"width": 128, "height": 128}))
    assert plan.steps[1].sigma != plan.steps[2].sigma and plan.notes == ()
