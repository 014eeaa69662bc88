"""Textual inversions: a file that holds the vectors of known words must act as those words, bit for bit."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from core import Pipeline, Result
from core.errors import ModelError, UnknownName
from core.events import Planned
from core.families import load
from core.families.base import TextRequest
from core.models.embedding import read
from core.models.library import Library
from core.prompt.embeddings import Reference, split
from core.recipe import parse
from tests.tiny_models import sdxl

BASE = {"stepwise": 1, "seed": 7, "steps": 2, "cfg": 4.0, "width": 64, "height": 64, "sampler": "euler"}
WORDS = "red apple"


@pytest.fixture(scope="module")
def folder(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo, an SDXL, and the vectors of WORDS in every format."""
    root = tmp_path_factory.mktemp("models")
    shutil.copytree(models / "demo", root / "demo", copy_function=os.link)
    sdxl(root / "big")
    (root / "embeddings" / "sub").mkdir(parents=True)
    rows = vectors(root, "demo", 0)
    save_file({"emb_params": rows}, root / "embeddings" / "fruit.safetensors")
    save_file({"string_to_param.*": rows}, root / "embeddings" / "sub" / "older.safetensors")
    save_file({"<fruit>": rows}, root / "embeddings" / "token.safetensors")
    save_file({"<fruit>": rows[-1].clone()}, root / "embeddings" / "one-row.safetensors")
    save_file({"emb_params": rows[:, :-1].clone()}, root / "embeddings" / "narrow.safetensors")
    big = {part: vectors(root, "big", place) for place, part in enumerate(("clip_l", "clip_g"))}
    save_file(big, root / "embeddings" / "two-part.safetensors")
    return root


def vectors(root: Path, name: str, place: int) -> Tensor:
    """Rows of a text encoder's own embedding matrix, [n, D]."""
    encoder = load(Library(root).model(name), device=torch.device("cpu")).encoders[place]  # type: ignore[attr-defined]
    ids = encoder.tokenizer(WORDS, add_special_tokens=False)["input_ids"]
    return encoder.model.get_input_embeddings().weight[ids].clone()


@pytest.fixture(scope="module")
def bare(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return Pipeline(models=folder, device="cpu", trajectory_bytes=0, data=tmp_path_factory.mktemp("bare"))


def made(pipe: Pipeline, prompt: str, **fields: Any) -> Result:
    return pipe.generate(parse({**BASE, "prompt": prompt, **fields}))


@pytest.mark.parametrize("weighting", ["comfyui", "a1111"])
@pytest.mark.parametrize(
    ("named", "plain"),
    [
        ("a embedding:fruit", f"a {WORDS}"),
        ("a embedding:sub/older.safetensors, b", f"a {WORDS}, b"),
        ("a token", f"a {WORDS}"),
        ("a TOKEN on red", f"a {WORDS} on red"),
        ("a (embedding:fruit:1.3)", f"a ({WORDS}:1.3)"),
        ("[a:fruit:1]", f"[a:{WORDS}:1]"),
        ("x BREAK fruit", f"x BREAK {WORDS}"),
        ("a red embedding:one-row", f"a {WORDS}"),
    ],
)
def test_vectors_of_words_act_as_the_words(bare: Pipeline, named: str, plain: str, weighting: str) -> None:
    one, other = made(bare, named, weighting=weighting), made(bare, plain, weighting=weighting)
    assert torch.equal(one.latents, other.latents)


def test_nothing_of_it_stays_in_the_model(bare: Pipeline) -> None:
    before = made(bare, "a cat")
    assert not torch.equal(made(bare, "a cat, fruit").latents, before.latents)
    assert torch.equal(made(bare, "a cat").latents, before.latents)
    negative = made(bare, "a cat", negative="fruit")
    assert torch.equal(negative.latents, made(bare, "a cat", negative=WORDS).latents)


def test_sdxl_s_two_parts_go_to_two_encoders(folder: Path) -> None:
    model = load(Library(folder).model("big"), device=torch.device("cpu"))
    two = read("two-part", folder / "embeddings" / "two-part.safetensors", model.components)
    named = model.encode_text(TextRequest(text="a two-part", embeddings=(two,)))
    plain = model.encode_text(TextRequest(text=f"a {WORDS}"))
    assert torch.equal(named.context, plain.context)
    assert named.pooled is not None and plain.pooled is not None and torch.equal(named.pooled, plain.pooled)


def test_it_is_said_and_carried_by_its_content(bare: Pipeline, folder: Path) -> None:
    events = list(bare.run(parse({**BASE, "prompt": "a fruit"})))
    notes = [str(note) for note in next(event for event in events if isinstance(event, Planned)).notes]
    rows = load_file(folder / "embeddings" / "fruit.safetensors")["emb_params"]
    assert notes == [f"fruit in the prompt is an embedding of {len(rows)} vectors."]
    assert len(json.loads(events[-1].made_with["embedding_hashes"])["fruit"]) == 64


@pytest.mark.parametrize(
    ("prompt", "model", "error", "words"),
    [
        ("embedding:nobody", "demo", UnknownName, "Unknown embedding 'nobody': choose one of "),
        ("embedding:../../etc/passwd", "demo", UnknownName, "Unknown embedding"),
        ("narrow", "demo", ModelError, "is for another family"),
        ("fruit", "big", ModelError, "is for another family"),
    ],
)
def test_refusals(bare: Pipeline, prompt: str, model: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        made(bare, prompt, model=model)


def test_names_are_words_of_their_own() -> None:
    names = {"bad": 1, "bad-hands": 2}
    assert list(split("x bad-hands,bad badly not-bad", names)) == [
        "x ", Reference("bad-hands"), ",", Reference("bad"), " badly not-bad",
    ]  # fmt: skip
    assert list(split("plain", {})) == ["plain"] and list(split("", names)) == []
