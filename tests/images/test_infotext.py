"""The infotext, read by a reader that follows A1111's rules (modules/infotext_utils.py) and knows nothing of ours."""

import json
import re

from hypothesis import given, settings
from hypothesis import strategies as st

from core.images import infotext
from core.recipe import Recipe, parse

# A1111's own expressions: a key, then a JSON string or anything up to a comma.
PAIR = re.compile(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')


def as_a1111_reads(text: str) -> tuple[str, str, dict[str, str]]:
    *lines, last = text.strip().split("\n")
    if len(PAIR.findall(last)) < 3:
        lines, last = [*lines, last], ""
    prompt: list[str] = []
    negative: list[str] = []
    target = prompt
    for line in (line.strip() for line in lines):
        if line.startswith("Negative prompt:"):
            target, line = negative, line[16:].strip()
        target.append(line)
    pairs = {key: json.loads(v) if len(v) > 1 and v[0] == v[-1] == '"' else v for key, v in PAIR.findall(last)}
    return "\n".join(prompt), "\n".join(negative), pairs


def a_recipe(**fields: object) -> Recipe:
    return parse({
        "stepwise": 1, "model": "demo", "width": 128, "height": 96, "seed": 1234, "steps": 20, "sampler": "dpmpp_2m",
        "scheduler": "karras", "cfg": 5.0, **fields,
    })  # fmt: skip


def test_the_whole_text() -> None:
    text = infotext.write(
        a_recipe(
            prompt="a red apple, shiny", negative="blurry", clip_skip=2, shift=3.0, guidance=3.5, vae="vae: one",
            init={"image": "0" * 64, "denoise": 0.6}, segments=[{"end": 10}, {"prompt": "x", "cfg": 4.0}],
        ),
        {"model_hash": "0123456789abcdef", "vae_hash": "fedcba9876543210"},
    )  # fmt: skip
    assert text == (
        "a red apple, shiny\n"
        "Negative prompt: blurry\n"
        "Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 5, Distilled CFG Scale: 3.5, Seed: 1234, "
        'Size: 128x96, Model hash: 0123456789, Model: demo, VAE hash: fedcba9876, VAE: "vae: one", '
        "Denoising strength: 0.6, Clip skip: 2, RNG: CPU, Shift: 3, "
        'Segments: "[{\\"end\\":10},{\\"prompt\\":\\"x\\",\\"cfg\\":4.0}]", Version: Stepwise'
    )


def test_what_is_absent_is_left_out() -> None:
    text = infotext.write(parse({"stepwise": 1, "clip_skip": 1}), {})
    assert text == "\nSeed: 0, Model: demo, RNG: CPU, Version: Stepwise"
    assert as_a1111_reads(text)[2]["Seed"] == "0"


def test_names_that_a1111_lacks_stay_ours() -> None:
    pairs = as_a1111_reads(infotext.write(a_recipe(sampler="res_multistep", scheduler="linear_quadratic"), {}))[2]
    assert (pairs["Sampler"], pairs["Schedule type"]) == ("res_multistep", "linear_quadratic")


def test_loras_stand_in_the_prompt_as_tags() -> None:
    loras = [{"name": "a"}, {"name": "b", "model": 0.5, "text": 0.25}, {"name": "c", "model": {"3": 1.0}}]
    assert infotext.write(a_recipe(prompt="p", loras=loras), {}).startswith("p <lora:a:1> <lora:b:te=0.25:unet=0.5>\n")


NASTY = st.text(
    alphabet=st.one_of(st.sampled_from('\n:,"\\{}[]() Steps'), st.characters(exclude_categories=["Cs"])), max_size=200
)
PROMPT = NASTY.filter(lambda text: "\0" not in text and "Negative prompt:" not in text)


def stripped(text: str) -> str:
    return "\n".join(line.strip() for line in text.split("\n"))


@settings(max_examples=200, deadline=None)
@given(prompt=PROMPT, negative=PROMPT, other=PROMPT, model=PROMPT.filter(bool))
def test_a1111_reads_what_was_meant(prompt: str, negative: str, other: str, model: str) -> None:
    recipe = a_recipe(prompt=prompt, negative=negative, model=model, segments=[{"end": 3}, {"prompt": other}])
    read_prompt, read_negative, pairs = as_a1111_reads(infotext.write(recipe, {"model_hash": "a" * 64}))
    # Its reader strips each line, and whole lines of white at the two ends of the text.
    assert read_prompt.strip() == stripped(prompt).strip()
    assert read_negative.strip() == stripped(negative).strip()
    assert json.loads(pairs["Segments"]) == [{"end": 3}, {"prompt": other}]
    assert (pairs["Steps"], pairs["Seed"], pairs["Size"], pairs["Model hash"]) == ("20", "1234", "128x96", "a" * 10)
