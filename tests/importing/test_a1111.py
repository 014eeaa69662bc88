"""Infotexts of A1111 and Forge, as these programs write them."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import MetadataError
from core.images import infotext, png
from core.importing import Imported, Shelf, read
from core.models.hashes import Hashes
from core.pipeline import Pipeline
from core.prompt.editing import choices, decided
from core.prompt.grammar import Text
from core.prompt.grammar import parse as tree_of
from core.recipe import parse
from tests.importing.conftest import Read
from tests.importing.files import a1111_picture
from tests.importing.files import png as a_png

WHOLE = """a castle, (red:1.2) roof,
[a moon] over it <lora:pixel-art:0.8>
Negative prompt: blurry, "text"
low quality
Steps: 24, Sampler: DPM++ 2M SDE, Schedule type: Karras, CFG scale: 6.5, Seed: 18446744073709551615, Size: 512x768, \
Model hash: 6ce0161689, Model: v1-5-pruned-emaonly, VAE hash: 235745af8d, VAE: vae-ft-mse-840000-ema-pruned.safetensors, \
Denoising strength: 0.35, Clip skip: 2, RNG: CPU, Hires upscale: 2, Hires steps: 10, Hires upscaler: Latent, \
ADetailer model: face_yolov8n.pt, ADetailer confidence: 0.3, Variation seed: 5, \
Lora hashes: "pixel-art: 0123456789ab", TI hashes: "moonlit: aa, easynegative: bb", Emphasis: No norm, Version: v1.10.1"""


def said(found: Imported) -> str:
    return " ".join(map(str, found.notes))


def last_line(**pairs: str) -> str:
    usual = {"Steps": "10", "Sampler": "Euler", "Schedule type": "Uniform", "CFG scale": "7", "Seed": "1", "Size": "512x512"}
    given = {key.replace("_", " "): value for key, value in pairs.items()}
    return ", ".join(f"{key}: {value}" for key, value in (usual | given).items() if value)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_whole_infotext(kind: str, reading: Read) -> None:
    found = reading(a1111_picture(kind, WHOLE))
    assert found.recipe == parse({
        "stepwise": 1, "prompt": "a castle, (red:1.2) roof,\n[a moon] over it <lora:pixel-art:0.8>",
        "negative": 'blurry, "text"\nlow quality', "weighting": "a1111", "steps": 24, "sampler": "dpmpp_2m_sde",
        "scheduler": "karras", "cfg": 6.5, "seed": 2**64 - 1, "width": 512, "height": 768, "model": "v1-5-pruned-emaonly",
        "vae": "vae-ft-mse-840000-ema-pruned.safetensors", "clip_skip": 2,
    })  # fmt: skip
    assert list(map(str, found.notes)) == [
        "A1111 drew the starting noise on the CPU, as it is drawn here, but computes otherwise: the picture will be alike and not "
        "the same.",
        "Model v1-5-pruned-emaonly (hash 6ce0161689) is not here: choose another, or put it into models.",
        "VAE vae-ft-mse-840000-ema-pruned.safetensors is not here: put it into models/vae, or leave the model's own.",
        "Embedding easynegative is not here: put it into models/embeddings.",
        "Hires fix (upscale 2, steps 10, upscaler Latent) is not carried over: the picture is made at its first size.",
        "ADetailer with its 2 settings is not carried over.",
        "Variation seed (5) is not carried over.",
        "Emphasis (No norm) is not carried over.",
    ]


@pytest.mark.parametrize(
    ("sampler", "schedule", "ours"),
    [
        ("Euler a", "Automatic", ("euler_ancestral", "normal")),
        ("DPM++ 2M Karras", "", ("dpmpp_2m", "karras")),  # as versions before 1.9 join them
        ("DPM++ 3M SDE Exponential", "", ("dpmpp_3m_sde", "exponential")),
        ("DPM++ 2M", "Automatic", ("dpmpp_2m", "karras")),
        ("DPM++ 2M SDE", "", ("dpmpp_2m_sde", "exponential")),
        ("Euler", "SGM Uniform", ("euler", "sgm_uniform")),
        ("Euler", "Polyexponential", ("euler", "exponential")),
        ("DPM2 a", "Beta", ("dpm_2_ancestral", "beta")),
        ("DDIM", "", ("ddim", "ddim_uniform")),
        ("HeunPP2", "Simple", ("heunpp2", "simple")),  # Forge's
        ("res_multistep", "linear_quadratic", ("res_multistep", "linear_quadratic")),  # ours
        ("DPM adaptive", "Align Your Steps", (None, None)),
    ],
)
def test_names_of_samplers_and_schedules(
    sampler: str, schedule: str, ours: tuple[str | None, str | None], reading: Read
) -> None:
    found = reading(f"a cat\n{last_line(Sampler=sampler, Schedule_type=schedule)}".encode())
    assert (found.recipe.sampler, found.recipe.scheduler) == ours
    assert ("There is no sampler DPM adaptive" in said(found)) == (ours[0] is None)


def test_forge_and_flux(reading: Read) -> None:
    pairs = {"CFG scale": "1", "Distilled CFG Scale": "3.5", "Model": "flux1-dev", "Module 1": "ae", "Module 2": "clip_l",
             "Module 3": "t5xxl_fp8", "Version": "f2.0.1"}  # fmt: skip
    found = reading(a1111_picture("PNG", f"a cat\n{last_line(**pairs)}"))
    assert (found.recipe.cfg, found.recipe.guidance, found.recipe.model) == (1.0, 3.5, "flux1-dev")
    assert "Module with its 3 settings is not carried over." in said(found) and "on the GPU" in said(found)


def test_image_to_image_says_what_to_choose(reading: Read) -> None:
    """A1111 runs int(0.6 * 20) + 1 of 20 steps."""
    found = reading(f"a cat\n{last_line(Steps='20', Denoising_strength='0.6')}".encode())
    assert "with denoise 0.6 and 13 steps" in said(found) and found.recipe.init is None


def test_civitais_objects_among_the_pairs(reading: Read) -> None:
    more = {"Hashes": '{"model": "6ce0161689", "lora:ink": "abcdef012345"}', "Civitai resources": '[{"type":"checkpoint","id":1}]'}
    found = reading(f"a cat <lora:ink:1>\n{last_line(**more, Version='v1.9.4')}".encode())
    assert "LoRA ink (hash abcdef012345) is not here" in said(found)
    assert "Model ? (hash 6ce0161689) is not here" in said(found)
    assert len(found.notes) == 3


def steps_of(prompt: str, steps: int) -> list[str]:
    """What our plan reads at each step."""
    tree = tree_of(prompt, "a1111")
    read = [decided(tree, iter(choices(prompt, "a1111", step, steps))) for step in range(steps)]
    return ["".join(node.text for node in tree if isinstance(node, Text)) for tree in read]


def an_edit_of_a1111(steps: int, n: float) -> list[str]:
    """Its schedule holds "a until step N"; step k, from 0, reads the first entry whose end is not below k."""
    end = int(n * steps + 1e-9) if isinstance(n, float) else n
    return ["a" if end >= 1 and k <= end else "b" for k in range(steps)]


def turns_of_a1111(steps: int, options: Sequence[str]) -> list[str]:
    """An entry for every step from 1 on, the first of which serves step 0 as well."""
    return [options[(max(k, 1) - 1) % len(options)] for k in range(steps)]


@settings(max_examples=60, deadline=None)
@given(steps=st.integers(1, 30), n=st.one_of(st.integers(0, 40), st.integers(0, 20).map(lambda n: n / 20)), data=st.data())
def test_every_step_reads_what_a1111_reads(reading: Read, steps: int, n: float, data: st.DataObject) -> None:
    written = reading(f"[a:b:{n}]\n{last_line(Steps=str(steps))}".encode()).recipe.prompt
    assert steps_of(written, steps) == an_edit_of_a1111(steps, n)
    options = data.draw(st.lists(st.sampled_from("cdef"), min_size=2, max_size=5))
    written = reading(f"[{'|'.join(options)}]\n{last_line(Steps=str(steps))}".encode()).recipe.prompt
    assert steps_of(written, steps) == turns_of_a1111(steps, options)


def test_a1111s_own_example(reading: Read) -> None:
    """facts: [a:b:5] of 10 runs 6 steps of a; [a|b] runs a a b a b."""
    found = reading(f"((x)) [a:b:5] [c|d] \\(e\\)\n{last_line()}".encode())
    assert steps_of(found.recipe.prompt, 10) == [
        f" {edit} {turn} (e)" for edit, turn in zip("aaaaaabbbb", "ccdcdcdcdc", strict=True)
    ]
    assert found.recipe.prompt.startswith("((x)) [a:b:6]") and "a step later than written" in said(found)


def test_tags(reading: Read) -> None:
    prompt = "<lyco:pixel-art:0.5:0.8> <lora:Pixel-Art:1:lbw=FACE> <lora:gone:0.7> <hypernet:h:1> a AND b"
    found = reading(f"{prompt}\nNegative prompt: bad <lora:gone:1>\n{last_line()}".encode())
    assert found.recipe.prompt == "<lora:pixel-art:te=0.5:unet=0.8> <lora:pixel-art:1> <lora:gone:0.7>  a AND b"
    assert found.recipe.negative == "bad"
    for part in ("LoRA gone (hash ?) is not here", "<hypernet:h:1>", "negative prompt has no effect", "lbw", "AND joins"):
        assert part in said(found)


def test_a_model_is_known_by_its_hash_or_by_its_name(pipe: Pipeline, tmp_path: Path, reading: Read) -> None:
    found = reading(f"a\n{last_line(Model='pixel-art')}".encode())
    assert "Model pixel-art" in said(found)  # a LoRA is no model
    assert reading(f"a\n{last_line(Model='Demo')}".encode()).recipe.model == "demo"
    folder = tmp_path / "loras" / "sub"
    folder.mkdir(parents=True)
    (folder / "renamed.safetensors").write_bytes((pipe.library.root / "loras" / "pixel-art.safetensors").read_bytes())
    mine = Pipeline(models=tmp_path, device="cpu", data=tmp_path / "data")
    shelf = Shelf(mine.library, mine.loras, mine.hashes)
    text = f'<lora:theirs:1>\n{last_line(Lora_hashes=json.dumps("theirs: HASH"))}'
    mine.hashes.wait(folder / "renamed.safetensors")
    digest = Hashes(tmp_path / "data" / "hashes.sqlite").remembered(folder / "renamed.safetensors")
    assert digest is not None
    found = read(text.replace("HASH", digest[:12]).encode(), shelf)
    assert found.recipe.prompt == "<lora:sub/renamed:1>"
    assert read(text.replace("HASH", "0" * 12).encode(), shelf).recipe.prompt == "<lora:theirs:1>"
    assert read(f"<lora:renamed:1>\n{last_line()}".encode(), shelf).recipe.prompt == "<lora:sub/renamed:1>"
    mine.close()


def test_our_own_infotext_comes_back_where_our_chunk_was_lost(reading: Read) -> None:
    recipe = parse({
        "stepwise": 1, "model": "demo", "prompt": "[a:b:5] (c:1.2)", "negative": "d", "width": 64, "height": 64, "seed": 3, "steps": 8,
        "sampler": "res_multistep", "scheduler": "beta", "cfg": {"0": 2.0, "4": 5.0}, "clip_skip": 2, "vae": None,
        "segments": [{"end": 4}, {"prompt": "e, f: g", "border": "restart", "noise_seed": 2**64 - 1}],
    })  # fmt: skip
    found = reading(a1111_picture("WEBP", infotext.write(recipe, {})))
    assert found.recipe == recipe and found.notes == ()


def test_other_programs_are_named(reading: Read) -> None:
    with pytest.raises(MetadataError, match="SwarmUI made this picture"):
        reading(a_png(parameters='{"sui_image_params": {"prompt": "a"}}'))
    with pytest.raises(MetadataError, match="InvokeAI made this picture"):
        reading(a_png(invokeai_metadata="{}"))
    with pytest.raises(MetadataError, match="carries no recipe"):
        reading(a_png())


def test_our_pictures_and_recipes_are_exact(reading: Read, tmp_path: Path) -> None:
    from PIL import Image

    recipe = parse({"stepwise": 1, "prompt": "赤い兎", "seed": 2**64 - 1, "segments": [{"end": 3}, {"cfg": {"3": 2.0}}]})
    png.save(Image.new("RGB", (8, 8)), tmp_path / "a.png", recipe, {"device": "cpu"})
    found = reading(tmp_path / "a.png")
    assert (found.recipe, found.made_with, found.ours, found.notes) == (recipe, {"device": "cpu"}, True, ())
    exif = Image.Exif()
    envelope = {"recipe": recipe.model_dump(mode="json"), "made_with": {}}
    exif[0x0110] = f"stepwise:{json.dumps(envelope)}"
    Image.new("RGB", (8, 8)).save(tmp_path / "a.webp", exif=exif)
    (tmp_path / "a.json").write_text(recipe.model_dump_json())
    (tmp_path / "b.json").write_text(json.dumps(envelope), encoding="utf-8-sig")
    assert all(reading(tmp_path / name).recipe == recipe for name in ("a.webp", "a.json", "b.json"))
