"""What the text encoder gets is what the encoder is really given, with tokens that can be read."""

import shutil
from pathlib import Path

import pytest

from core import Pipeline
from core.errors import UnknownName
from core.inside.encoders import encoders_of
from core.inside.tokens import Encoder, Reading, readings
from core.models.library import Library
from core.prompt.encode import windows
from core.prompt.weights import chunks
from tests import tiny_models


@pytest.fixture(scope="module")
def library(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Library:
    """The demo models, and a tiny one of every other family."""
    root = tmp_path_factory.mktemp("models")
    for name in ("demo", "demo-turbo", "embeddings"):
        shutil.copytree(models / name, root / name)
    tiny_models.sdxl(root / "tiny-xl")
    tiny_models.flux(root / "tiny-flux")
    return Library(root)


def encoders(library: Library, name: str) -> tuple[Encoder, ...]:
    return encoders_of(library.model(name), library.embeddings())


def words(reading: Reading, read: int = 0, row: int = 0) -> list[str]:
    return [chip.text for chip in reading.reads[read].rows[row].chips if chip.kind != "template"]


def test_weights_and_words_of_the_demo(library: Library) -> None:
    (found,) = readings("a (red:1.3) apple", "comfyui", 4, encoders(library, "demo"))
    (read,) = found.reads
    (row,) = read.rows
    assert [(chip.text, chip.weight) for chip in row.chips] == [("a", 1.0), ("red", 1.3), ("apple", 1.0)]
    assert (row.room, row.padding, read.tokens, found.steps) == (75, 72, 3, (0, 1, 2, 3))


@pytest.mark.parametrize("weighting", ["comfyui", "a1111"])
def test_its_windows_are_the_encoder_s(library: Library, weighting: str) -> None:
    (encoder,) = encoders(library, "demo")
    text = "a (red:1.2) apple, on a blue background, " * 12 + "BREAK a [rabbit]"
    (found,) = readings(text, weighting, 1, [encoder])
    real = windows(encoder.tokenizer, chunks(text, weighting), weighting)
    assert len(real) == len(found.reads[0].rows) > 2
    for window, row in zip(real, found.reads[0].rows, strict=True):
        assert tuple(chip.weight for chip in row.chips) == window.weights[1 : 1 + len(row.chips)]
        assert window.ids[1 + len(row.chips)] == encoder.tokenizer.eos_token_id
        assert len(row.chips) + row.padding == 75
    assert [row.broken for row in found.reads[0].rows][-1]


def test_an_edit_is_read_twice_and_a_tag_by_nobody(library: Library) -> None:
    early, late = readings("a [cat:dog:3] <lora:pixel-art:0.5>", "comfyui", 8, encoders(library, "demo"))
    assert (early.steps, late.steps) == ((0, 1, 2), (3, 4, 5, 6, 7))
    assert (words(early), words(late)) == (["a", "cat"], ["a", "dog"])
    assert early.loras == ("<lora:pixel-art:0.5>",)


def test_an_embedding_stands_for_its_vectors(library: Library) -> None:
    (found,) = readings("moonlit apple", "comfyui", 1, encoders(library, "demo"))
    chips = found.reads[0].rows[0].chips
    assert [(chip.text, chip.kind) for chip in chips] == [("moonlit", "embedding")] * (len(chips) - 1) + [
        ("apple", "word")
    ]
    with pytest.raises(UnknownName):
        readings("embedding:nobody", "comfyui", 1, encoders(library, "demo"))


def test_trigger_words_are_marked_whole(library: Library) -> None:
    (found,) = readings("Red Apple, red, bored apple", "comfyui", 1, encoders(library, "demo"), ["red apple"])
    marked = [chip.text for chip in found.reads[0].rows[0].chips if chip.trigger]
    assert marked == ["red", "apple"]


def test_two_encoders_of_sdxl(library: Library) -> None:
    (found,) = readings("red apple", "comfyui", 1, encoders(library, "tiny-xl"))
    assert [read.title for read in found.reads] == ["CLIP 1", "CLIP 2"]
    assert words(found, 0) == words(found, 1) == ["red", "apple"]


def test_flux_reads_twice_and_uses_clip_s_first_window(library: Library) -> None:
    (found,) = readings("red apple " * 60, "comfyui", 1, encoders(library, "tiny-flux"))
    clip, t5 = found.reads
    assert (clip.title, t5.title) == ("CLIP", "T5")
    assert len(clip.rows) == 2 and clip.unused == 1
    assert len(t5.rows) == 1 and t5.rows[0].padding == max(0, 256 - t5.tokens - 1)


def test_qwen_reads_a_chat_and_has_an_end(library: Library) -> None:
    (encoder,) = encoders(library, "demo-turbo")
    (found,) = readings("a red apple", "comfyui", 1, [encoder])
    (read,) = found.reads
    assert (
        "".join(" " * (not chip.joined) + chip.text for chip in read.rows[0].chips if chip.kind == "word")
        == " a red apple"
    )
    assert read.rows[0].chips[0].text == "<|im_start|>" and read.too_long == 0
    assert read.most is not None
    (long,) = readings("apple " * 600, "comfyui", 1, [encoder])
    assert long.reads[0].too_long == len(long.reads[0].rows[0].chips) - read.most > 0


def test_letters_beyond_a_token_are_bytes(library: Library) -> None:
    (found,) = readings("青", "comfyui", 1, encoders(library, "demo"))
    chips = found.reads[0].rows[0].chips
    assert " ".join(chip.text for chip in chips) == "青".encode().hex(" ").upper()
    assert [chip.joined for chip in chips] == [False, True, True]


def test_nothing_is_loaded(models: Path, tmp_path: Path) -> None:
    pipe = Pipeline(models=models, data=tmp_path)
    encoders_of(pipe.library.model("demo"), pipe.library.embeddings())
    assert pipe.residency is None
