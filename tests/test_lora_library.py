"""The library of LoRAs: names, search, pages, notes, pictures beside files; and that a file is read once."""

import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import app
from core.errors import DamagedFile, ImageError, ModelError, StorageError, UnknownName
from core.lora_library import LoraLibrary, item, library, thumbnails

SD15 = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"
XL = "lora_unet_input_blocks_4_1_transformer_blocks_1_attn2_to_k"


def lora(path: Path, module: str = SD15, width: int = 768, **metadata: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {f"{module}.lora_down.weight": torch.ones(1, width), f"{module}.lora_up.weight": torch.ones(4, 1)}
    save_file(state, path, metadata=metadata or None)
    return path


@pytest.fixture
def models(tmp_path: Path) -> Path:
    (tmp_path / "models" / "loras").mkdir(parents=True)
    return tmp_path / "models"


@pytest.fixture
def loras(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoraLibrary]:
    monkeypatch.setattr(library, "FRESH", 0.0)  # every look scans
    monkeypatch.setattr(library, "PATIENCE", 60.0)  # and is waited for
    made = LoraLibrary(models, tmp_path / "data" / "loras.sqlite")
    yield made
    made.close()


def names(page: library.LoraPage) -> list[str]:
    return [found.name for found in page.items]


def test_names_and_folders(models: Path, loras: LoraLibrary) -> None:
    lora(models / "loras" / "style" / "ink.v1.safetensors", **{"modelspec.trigger_phrase": "inkstyle"})
    lora(models / "Lora" / "paper.safetensors", XL, 2048)
    lora(models / "LyCORIS" / "paper.safetensors")  # the second of that name
    lora(models / "loras" / ".hidden.safetensors")
    (models / "loras" / "ink.txt").write_text("notes of somebody else")
    assert names(loras.page()) == ["paper", "style/ink.v1"]
    ink = loras.get("style/ink.v1")
    assert (ink.family, ink.rank, ink.trigger_words, ink.has_text) == ("sd15", 1, ("inkstyle",), False)
    assert ink.path.read_bytes() and loras.get("paper").family == "sdxl"


def test_search_and_family(models: Path, loras: LoraLibrary) -> None:
    lora(models / "loras" / "Ink.safetensors", ss_output_name="Sumi-E", ss_sd_model_name="anything-v5")
    lora(models / "loras" / "paper.safetensors", XL, 2048, **{"modelspec.trigger_phrase": "origami"})
    lora(models / "loras" / "who.safetensors", "lora_te_text_model_encoder_layers_0_mlp_fc1")
    for search, found in (
        ("", ["Ink", "paper", "who"]), ("INK", ["Ink"]), ("sumi anything", ["Ink"]), ("origami", ["paper"]), ("ink origami", []),
        ("%", []), ("' OR 1=1 --", []),
    ):  # fmt: skip
        assert names(loras.page(search)) == found, search
    assert names(loras.page(family="sd15")) == ["Ink", "who"] and loras.page(family="sdxl").total == 2


def test_pages(models: Path, loras: LoraLibrary) -> None:
    first = lora(models / "loras" / "000.safetensors")
    for k in range(1, 120):
        os.link(first, models / "loras" / f"{k:03}.safetensors")
    page = loras.page()
    assert (page.total, page.pages, len(page.items), page.scanning) == (120, 3, 50, False)
    assert names(loras.page(page=2)) == [f"{k:03}" for k in range(100, 120)]
    assert loras.page(page=99).page == 2 and loras.page(page=-1).page == 0
    assert [found.name for found in loras.every()] == [f"{k:03}" for k in range(120)]


def test_a_file_is_read_once_until_it_changes(
    models: Path, loras: LoraLibrary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = lora(models / "loras" / "000.safetensors")
    for k in range(1, 300):
        os.link(first, models / "loras" / f"{k:03}.safetensors")
    reads: list[str] = []
    read = item.read

    def counted(path: Path) -> Any:
        reads.append(path.stem)
        return read(path)

    monkeypatch.setattr(item, "read", counted)
    assert loras.page().total == len(reads) == 300
    loras.page()
    other = LoraLibrary(models, tmp_path / "data" / "loras.sqlite")  # the next start
    assert other.page().total == len(reads) == 300
    other.close()
    (models / "loras" / "007.safetensors").unlink()
    (models / "loras" / "008.safetensors").unlink()
    lora(models / "loras" / "008.safetensors", XL, 2048)
    assert loras.page().total == 299 and reads[300:] == ["008"]
    assert loras.get("008").family == "sdxl"


def test_asking_by_name_sees_the_file_as_it_is_now(
    models: Path, loras: LoraLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    loras.wait()
    monkeypatch.setattr(library, "FRESH", 3600.0)
    lora(models / "loras" / "new.safetensors")
    assert loras.get("new").family == "sd15"
    lora(models / "loras" / "new.safetensors", XL, 2048)
    assert loras.get("new").family == "sdxl"
    (models / "loras" / "new.safetensors").unlink()
    with pytest.raises(UnknownName):
        loras.get("new")


@pytest.mark.parametrize(
    "name", ["../../x", "/etc/passwd", "inc", "ink.safetensors", "a\0b", "\ud800", "x" * 10_000, ""]
)
def test_unknown_names_list_the_nearest(models: Path, loras: LoraLibrary, name: str) -> None:
    lora(models / "loras" / "ink.safetensors")
    with pytest.raises(UnknownName, match=r"Unknown LoRA .*: choose one of ink\."):
        loras.get(name)


def test_what_is_wrong_is_shown_and_raised(models: Path, loras: LoraLibrary) -> None:
    (models / "loras" / "cut.safetensors").write_bytes(lora(models / "loras" / "x.safetensors").read_bytes()[:90])
    (models / "loras" / "old.pt").write_bytes(b"\x80\x04.")
    save_file({"decoder.conv_in.weight": torch.zeros(8, 4, 3, 3)}, models / "loras" / "vae.safetensors")
    said = {found.name: str(found.problem) for found in loras.page().items if found.problem}
    assert list(said) == ["cut", "old", "vae"]
    assert "is truncated" in said["cut"] and "is a pickle file" in said["old"] and "put it into vae" in said["vae"]
    with pytest.raises(DamagedFile, match=r"^cut\.safetensors is truncated"):
        loras.get("cut")
    with pytest.raises(ModelError, match="is a VAE and no LoRA"):
        loras.get("vae")


def test_links_that_lead_outside_are_dropped(models: Path, loras: LoraLibrary, tmp_path: Path) -> None:
    outside = lora(tmp_path / "outside.safetensors")
    (models / "loras" / "link.safetensors").symlink_to(outside)
    lora(models / "loras" / "real.safetensors")
    Image.new("RGB", (8, 8)).save(tmp_path / "secret.png")
    (models / "loras" / "real.png").symlink_to(tmp_path / "secret.png")
    assert names(loras.page()) == ["real"] and loras.thumbnail(loras.get("real")) is None


# ------------------------------------------------------------------ what people write


def test_notes_and_words_are_kept_beside_the_file(models: Path, loras: LoraLibrary, tmp_path: Path) -> None:
    path = lora(models / "loras" / "ink.safetensors", **{"modelspec.trigger_phrase": "inkstyle"})
    before = path.read_bytes()
    edited = loras.annotate("ink", ["Sumi", " brush , sumi-e"], "strength 0.7")
    assert (edited.trigger_words, edited.file_words, edited.notes) == (
        ("Sumi", "brush", "sumi-e"),
        ("inkstyle",),
        "strength 0.7",
    )
    assert names(loras.page("brush")) == names(loras.page("inkstyle")) == ["ink"] and path.read_bytes() == before
    lora(path, XL, 2048, **{"modelspec.trigger_phrase": "new"})  # a newer version of the file
    assert loras.get("ink").trigger_words == ("Sumi", "brush", "sumi-e") and loras.get("ink").notes == "strength 0.7"
    other = LoraLibrary(models, tmp_path / "data" / "loras.sqlite")
    assert other.get("ink").notes == "strength 0.7"
    other.close()
    assert loras.annotate("ink", None, "").trigger_words == ("new",)
    assert loras.annotate("ink", [], "").trigger_words == ()  # none at all is a choice


def test_hostile_notes(models: Path, loras: LoraLibrary) -> None:
    lora(models / "loras" / "ink.safetensors")
    edited = loras.annotate("ink", ["a\0b\ud800\n", "x" * 9000, *map(str, range(99))], "\ud800\0" + "y" * 9000)
    assert len(edited.trigger_words) == 12 and max(map(len, edited.trigger_words)) <= 200 and len(edited.notes) <= 4000
    edited.notes.encode()
    with pytest.raises(UnknownName):
        loras.annotate("nothing", None, "x")


# ------------------------------------------------------------------ thumbnails


@pytest.mark.parametrize("suffix", [".png", ".preview.png", ".webp", ".jpg"])
def test_thumbnails_from_files_beside(models: Path, loras: LoraLibrary, suffix: str) -> None:
    path = lora(models / "loras" / "sub" / "ink.v1.safetensors")
    assert loras.thumbnail(loras.get("sub/ink.v1")) is None
    beside = path.with_name("ink.v1" + suffix)
    Image.new("RGB", (1200, 600), "red").save(beside)
    small = loras.thumbnail(loras.get("sub/ink.v1"))
    assert small is not None and not small.is_relative_to(models)
    with Image.open(small) as picture:
        assert (picture.format, picture.size) == ("WEBP", (256, 128))
    assert loras.thumbnail(loras.get("sub/ink.v1")) == small
    Image.new("RGB", (64, 64), "blue").save(beside)
    assert loras.thumbnail(loras.get("sub/ink.v1")) != small


def test_thumbnails_are_bounded(models: Path, loras: LoraLibrary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest go; what is asked for again is made again."""
    monkeypatch.setattr(thumbnails, "MOST", 10)
    kept = tmp_path / "data" / "lora-thumbnails"
    for k in range(14):
        path = lora(models / "loras" / f"{k:02}.safetensors")
        Image.new("RGB", (8, 8), (k, 0, 0)).save(path.with_suffix(".png"))
        made = loras.thumbnail(loras.get(f"{k:02}"))
        assert made is not None
        os.utime(made, (k, k))
        assert len(list(kept.glob("*.webp"))) <= 10
    oldest, newest = loras.thumbnail(loras.get("00")), loras.thumbnail(loras.get("13"))
    assert oldest is not None and newest is not None and oldest.is_file() and newest.stat().st_mtime == 13


def test_a_picture_made_here_is_kept_beside_the_library(models: Path, loras: LoraLibrary, tmp_path: Path) -> None:
    path = lora(models / "loras" / "sub" / "ink.safetensors")
    Image.new("RGB", (64, 64), "blue").save(path.with_suffix(".png"))
    beside = loras.thumbnail(loras.get("sub/ink"))
    for colour in ("red", "green"):
        Image.new("RGB", (512, 256), colour).save(tmp_path / "made.png")
        loras.depict("sub/ink", tmp_path / "made.png")
        own = loras.thumbnail(loras.get("sub/ink"))
        assert own is not None and own != beside and len(list(own.parent.iterdir())) == 1
        with Image.open(own) as picture:
            red, green, _ = picture.convert("RGB").getpixel((5, 5))  # type: ignore[misc]
            assert picture.size == (256, 128) and (red > green) == (colour == "red")
    assert sorted(found.name for found in (models / "loras" / "sub").iterdir()) == ["ink.png", "ink.safetensors"]
    (tmp_path / "made.png").write_bytes(b"\x89PNG no more")
    with pytest.raises(ImageError):
        loras.depict("sub/ink", tmp_path / "made.png")
    assert loras.thumbnail(loras.get("sub/ink")) == own
    with pytest.raises(UnknownName):
        loras.depict("../x", tmp_path / "made.png")


def test_a_broken_picture_is_none(models: Path, loras: LoraLibrary) -> None:
    lora(models / "loras" / "ink.safetensors").with_suffix(".png").write_bytes(b"\x89PNG no more")
    assert loras.thumbnail(loras.get("ink")) is None and loras.thumbnail(loras.get("ink")) is None


def test_a_database_that_cannot_be_kept(models: Path, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where the folder should be")
    with pytest.raises(StorageError, match="could not be written"):
        LoraLibrary(models, tmp_path / "data" / "loras.sqlite").page()


# ------------------------------------------------------------------ `models` on the command line


@pytest.fixture
def listed(models: Path, tmp_path: Path) -> Any:
    """`app.py models` over two LoRAs, one with words and a bundled embedding, and two embeddings: its lines."""
    ink = {f"{SD15}.lora_down.weight": torch.ones(3, 768), f"{SD15}.lora_up.weight": torch.ones(4, 3)}
    ink |= {"bundle_emb.inky.string_to_param.*": torch.ones(2, 768)}
    save_file(ink, models / "loras" / "ink.safetensors", metadata={"modelspec.trigger_phrase": "inkstyle, sumi"})
    (models / "loras" / "cut.safetensors").write_bytes((models / "loras" / "ink.safetensors").read_bytes()[:90])
    (models / "embeddings").mkdir()
    save_file({"emb_params": torch.ones(2, 768)}, models / "embeddings" / "moon.safetensors")
    (models / "embeddings" / "old.pt").write_bytes(b"\x80\x04.")

    def lines(*more: str) -> list[str]:
        arguments = app.parser().parse_args(["--models", str(models), "--data", str(tmp_path / "data"), "models", *more])
        out = io.StringIO()
        assert arguments.run(arguments, out) == 0
        return out.getvalue().splitlines()

    return lines


def test_loras_and_embeddings_are_listed_for_people(listed: Any) -> None:
    rows = {line.split()[0]: line for line in listed()}
    assert list(rows) == ["moon", "old", "cut", "ink"]
    assert rows["ink"].split()[1:3] == ["lora", "sd15"] and rows["ink"].endswith("MiB  trigger words: inkstyle, sumi")
    assert rows["moon"].split()[1] == "embedding" and rows["moon"].endswith("ready")
    assert "cut.safetensors is truncated" in rows["cut"] and "pickle" in rows["old"]


def test_loras_and_embeddings_as_json(listed: Any, models: Path) -> None:
    rows = {row["id"]: row for row in map(json.loads, listed("--json"))}
    assert rows["ink"] == {
        "id": "ink", "kind": "lora", "family": "sd15", "bytes": (models / "loras" / "ink.safetensors").stat().st_size,
        "missing": [], "problem": None, "rank": 3, "trigger_words": ["inkstyle", "sumi"], "embeddings": ["inky"],
    }  # fmt: skip
    assert rows["cut"]["problem"].startswith("cut.safetensors is truncated") and rows["cut"]["trigger_words"] == []
    assert (rows["moon"]["kind"], rows["moon"]["problem"]) == ("embedding", None)
    assert rows["old"]["kind"] == "embedding" and "pickle" in rows["old"]["problem"]
    assert {"bytes", "family", "missing"} <= rows["moon"].keys()
