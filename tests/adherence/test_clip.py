"""CLIP where a person has it: a tiny random one against transformers' own pipeline of it; what is found, and what is not."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from core.adherence import Asked, Measures
from core.adherence.clip import FOLDER, Clip, find
from core.adherence.judge import FOLDER as JUDGE
from core.errors import ModelError
from core.images.preview import pictures
from tests import tiny_models

ASKED = Asked(prompt="the (blue:1.2) rabbit", model="some.safetensors", width=64, height=64)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    tiny_models.clip_model(folder / FOLDER / "tiny-clip")
    return folder


@pytest.fixture(autouse=True)
def no_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whatever CLIP this machine has in Hugging Face's cache."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))


def test_points_are_the_clip_score_of_the_reference(root: Path) -> None:
    """Against CLIPModel.from_pretrained and CLIPImageProcessor."""
    from transformers import CLIPImageProcessor, CLIPModel, CLIPTokenizer

    folder = root / FOLDER / "tiny-clip"
    theirs, words = CLIPModel.from_pretrained(folder).eval(), CLIPTokenizer.from_pretrained(folder)
    processor = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    clip, seen = Clip(folder), []
    for picture in (*pictures(3, 64, 5), Image.new("RGB", (64, 64), "red")):
        reading = clip.read(picture, ASKED)
        with torch.inference_mode():
            both = theirs(
                **words(["the blue rabbit"], return_tensors="pt"),
                pixel_values=processor(picture, return_tensors="pt").pixel_values,
            )
        cosine = float(torch.cosine_similarity(both.image_embeds, both.text_embeds))
        assert reading.points == pytest.approx(100 * min(1, max(0, 2.5 * cosine)), abs=0.5)
        assert reading.features is not None
        assert torch.allclose(reading.features, both.image_embeds[0], atol=0.01)
        seen.append(reading.points)
    assert len(set(seen)) > 1, "it looks at the picture"


def test_it_speaks_for_every_model_and_before_the_judge(root: Path, models: Path, tmp_path: Path) -> None:
    assert isinstance(Measures(root).of(ASKED), Clip)
    shutil.copytree(root / FOLDER, tmp_path / FOLDER)
    shutil.copytree(models / JUDGE, tmp_path / JUDGE)
    demo = Asked(prompt="a red rabbit", model="demo", width=128, height=128)
    assert isinstance(Measures(tmp_path).of(demo), Clip)
    assert Measures(root).of(Asked(prompt=" ", model="demo", width=128, height=128)) == "words"


def test_it_gives_its_memory_back_and_reads_again(root: Path) -> None:
    clip, picture = Clip(root / FOLDER / "tiny-clip"), Image.new("RGB", (40, 90), "blue")
    first = clip.read(picture, ASKED)
    clip.release()
    assert clip._loaded is None  # pyright: ignore[reportPrivateUsage]
    assert clip.read(picture, ASKED).points == first.points


def test_a_prompt_of_any_length_is_read(root: Path) -> None:
    long = Asked(prompt="the rabbit " * 300, model="x", width=8, height=8)
    assert np.isfinite(Clip(root / FOLDER / "tiny-clip").read(Image.new("RGB", (8, 8)), long).points)


@pytest.mark.parametrize("lack", ["config.json", "model.safetensors", "vocab.json", "text tower", "nothing"])
def test_only_a_whole_clip_is_found(root: Path, tmp_path: Path, lack: str) -> None:
    folder = tmp_path / FOLDER / "one"
    shutil.copytree(root / FOLDER / "tiny-clip", folder)
    if lack == "text tower":
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config["vision_config"]))
    elif lack != "nothing":
        (folder / lack).unlink()
        (folder / "tokenizer.json").unlink(missing_ok=True)
    assert find(tmp_path) == (folder if lack == "nothing" else None)


def test_the_hub_s_cache_is_looked_into_and_nothing_fetched(root: Path, tmp_path: Path) -> None:
    assert find(tmp_path) is None
    snapshot = tmp_path / "hub" / "models--openai--clip-vit-base-patch32" / "snapshots" / "abc"
    shutil.copytree(root / FOLDER / "tiny-clip", snapshot)
    refs = snapshot.parents[1] / "refs"
    refs.mkdir()
    (refs / "main").write_text("abc")
    found = find(tmp_path / "empty")
    assert found == snapshot
    assert Clip(snapshot).title == "openai/clip-vit-base-patch32"


def test_a_damaged_one_is_told_in_a_sentence(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "one"
    shutil.copytree(root / FOLDER / "tiny-clip", folder)
    config = json.loads((folder / "config.json").read_text())
    config["projection_dim"] = 99
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError):
        Clip(folder).read(Image.new("RGB", (8, 8)), ASKED)
