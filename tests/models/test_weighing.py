"""What a model will take is known from its files' headers: to the byte what loading makes, and before a number is read."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from core import Pipeline, families
from core.errors import DamagedFile, ModelError, OutOfMemory
from core.families import load
from core.models.host import spare_bytes
from core.models.library import Library
from core.models.residency import LEVELS, Needs, Residency
from core.models.weights import Weights, byte_size
from core.recipe import parse
from tests import tiny_models

CPU = torch.device("cpu")
COMPONENTS = ("text_encoder", "denoiser", "vae")
KINDS = ("sd15", "sdxl", "z-image", "flux", "parts.safetensors", "scaled.safetensors", "half.safetensors")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every family as a folder; Z-Image in ComfyUI's three files, its denoiser in float32, in scaled fp8 and in bfloat16."""
    root = tmp_path_factory.mktemp("models")
    for kind in ("sd15", "sdxl", "flux"):
        getattr(tiny_models, kind)(root / kind)
    pipe: Any = tiny_models.z_image(root / "z-image")
    for folder in ("diffusion_models", "text_encoders", "vae"):
        (root / folder).mkdir()
    weights = tiny_models.dense(tiny_models.comfy_z_image(pipe.transformer))
    save_file(weights, root / "diffusion_models" / "parts.safetensors")
    save_file({name: one.bfloat16() for name, one in weights.items()}, root / "diffusion_models" / "half.safetensors")
    save_file(tiny_models.scaled_fp8(weights, "scale_weight")[0], root / "diffusion_models" / "scaled.safetensors")
    save_file(tiny_models.dense(pipe.text_encoder.state_dict()), root / "text_encoders" / "qwen.safetensors")
    save_file(tiny_models.dense(tiny_models.ldm_vae(pipe.vae)), root / "vae" / "ae.safetensors")
    pipe.tokenizer.save_pretrained(root / "tokenizers" / "qwen3")
    (root / "configs").mkdir()
    usual = Path(families.__file__).parent / "configs" / "z_image"
    told: dict[str, Any] = {
        "transformer": {"axes_dims": [4, 6, 6], "axes_lens": [256, 32, 32]},
        "vae": {"norm_num_groups": 4},
    }
    for name in ("transformer", "vae", "text_encoder"):
        config = json.loads((usual / f"{name}.json").read_text()) | told.get(name, {})
        (root / "configs" / f"{name}.json").write_text(json.dumps(config))
    return root


def read(root: Path, name: str, dtype: torch.dtype | None = None) -> Any:
    """A model of the folder; what no shape tells of a single file this small is in configurations of its own."""
    entry = Library(root).model(name)
    return load(entry, device=CPU, dtype=dtype, configs=root / "configs" if entry.parts else None)


@pytest.fixture
def numbers(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How many tensors have been read with their numbers so far."""
    read, seen = Weights.read, list[str]()

    def reading(weights: Weights, name: str, rows: slice | None = None) -> torch.Tensor:
        tensor = read(weights, name, rows)
        seen.extend([name] * (not tensor.is_meta))
        return tensor

    monkeypatch.setattr(Weights, "read", reading)
    return lambda: len(seen)


@pytest.fixture
def never_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Headers are looked at first, however small the model is."""
    monkeypatch.setattr(families, "GROWN", 2**40)


@pytest.fixture
def weighed(monkeypatch: pytest.MonkeyPatch, never_small: None, numbers: Callable[[], int]) -> Iterator[list[Needs]]:
    """What was found before loading; not a number was read for it."""
    found, weigh = list[Needs](), families.weighed

    def weighing(*given: Any) -> Needs:
        before = numbers()
        found.append(weigh(*given))
        assert numbers() == before
        return found[-1]

    monkeypatch.setattr(families, "weighed", weighing)
    monkeypatch.setattr(families, "spare_bytes", lambda: 2**40)
    yield found


@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
@pytest.mark.parametrize("kind", KINDS)
def test_headers_tell_what_loading_makes(
    root: Path, kind: str, dtype: torch.dtype | None, weighed: list[Needs]
) -> None:
    """Every component at every level, to the byte: but for tables of a text encoder that no file holds, below a kilobyte."""
    model = read(root, kind, dtype)
    (before,), after = weighed, model.memory._needs
    assert before.working == after.working
    for level in LEVELS:
        for whole in (True, False):
            at = Residency(level, whole=whole)
            assert [before.of(name, at) for name in COMPONENTS] == [after.of(name, at) for name in COMPONENTS]
    assert after.weights == sum(byte_size(model.memory._parts[name]) for name in COMPONENTS) > 1000


def test_a_vae_of_its_own_is_weighed(root: Path, weighed: list[Needs]) -> None:
    other: Any = tiny_models.vae(block_out_channels=[8, 16, 16])
    save_file(tiny_models.dense(tiny_models.ldm_vae(other)), root / "vae" / "other.safetensors")
    library = Library(root)
    try:
        load(library.model("sd15"), library.vae("other.safetensors"), device=CPU)
    finally:
        (root / "vae" / "other.safetensors").unlink()
    assert weighed[0].of("vae", Residency("resident")) == byte_size(other)


def test_the_level_is_chosen_before_a_number_is_read(
    root: Path, weighed: list[Needs], numbers: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A budget for each level, as on a GPU."""
    monkeypatch.setattr("core.models.residency.ladder", partial(_told, LEVELS))
    choose, name = families.choose, "parts.safetensors"
    chosen: list[tuple[str, int]] = []

    def choosing(*given: Any) -> Residency:
        found = choose(*given)
        chosen.append((found.level, numbers()))
        return found

    monkeypatch.setattr(families, "choose", choosing)
    read(root, name)
    for level in LEVELS:
        before, free = numbers(), weighed[0].at(Residency(level, whole=False))
        monkeypatch.setattr(families, "free_bytes", partial(_told, free))
        model = read(root, name)
        assert chosen[-1] == (level, before) and model.residency.level == level
        assert numbers() > before


def _told(answer: Any, device: torch.device) -> Any:
    return answer


def test_a_model_that_does_not_fit_into_memory_is_refused_before_it_is_read(
    root: Path, numbers: Callable[[], int], never_small: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In a sentence; what is said to be forced is tried; what fits just so is loaded."""
    needed = (
        load(Library(root).model("sdxl"), device=CPU, memory="resident").memory.needed
        - families.FAMILIES["sdxl"].working_bytes
    )
    run = parse({"stepwise": 1, "model": "sdxl", "prompt": "a", "steps": 1, "width": 64, "height": 64})
    before = numbers()
    monkeypatch.setattr(families, "spare_bytes", lambda: needed - 1)
    with pytest.raises(OutOfMemory, match=r"^sdxl needs 0\.0 GB of memory, 0\.0 GB are free: close other programs"):
        Pipeline(models=root, device="cpu", data=tmp_path).generate(run)
    assert numbers() == before
    assert Pipeline(models=root, device="cpu", data=tmp_path, memory="resident").generate(run).images
    monkeypatch.setattr(families, "spare_bytes", lambda: needed)
    assert Pipeline(models=root, device="cpu", data=tmp_path).generate(run).images


def test_a_small_model_does_not_wait_for_its_headers(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a CPU there is nothing to choose, and 20 times its files fit."""
    name = "parts.safetensors"
    entry = Library(root).model(name)
    assert entry.size_bytes == sum((root / folder / name).stat().st_size for folder, name in (
        ("diffusion_models", "parts.safetensors"), ("text_encoders", "qwen.safetensors"), ("vae", "ae.safetensors")
    ))  # fmt: skip

    def refused(*given: Any) -> None:
        pytest.fail("it was weighed")

    monkeypatch.setattr(families, "weighed", refused)
    monkeypatch.setattr(families, "spare_bytes", lambda: families.GROWN * entry.size_bytes)
    assert read(root, name).residency.level == "resident"
    monkeypatch.setattr(families, "spare_bytes", lambda: families.GROWN * entry.size_bytes - 1)
    with pytest.raises(pytest.fail.Exception):
        read(root, name)


def test_what_is_wrong_is_said_before_anything_is_read(
    root: Path, numbers: Callable[[], int], never_small: None, tmp_path: Path
) -> None:
    """fp8 whose scales are missing: the headers tell."""
    net = tiny_models.z_image(tmp_path / "z").transformer
    weights, _ = tiny_models.scaled_fp8(tiny_models.dense(tiny_models.comfy_z_image(net)), "scale_weight")
    gone = next(name for name in weights if name.endswith(".scale_weight"))
    path = root / "diffusion_models" / "scaleless.safetensors"
    save_file({name: one for name, one in weights.items() if name != gone}, path)
    try:
        with pytest.raises(ModelError, match="the scale of") as refused:
            read(root, path.name)
    finally:
        path.unlink()
    assert isinstance(refused.value, DamagedFile) and numbers() == 0


# --- the machine's own memory ------------------------------------------------------------------------------------------


def test_spare_memory(tmp_path: Path) -> None:
    """Of the machine, with swap; within a control group what its limit leaves, where that is less."""
    meminfo, group = tmp_path / "meminfo", tmp_path / "group"
    assert spare_bytes(meminfo, group) is None
    meminfo.write_text("MemTotal: 9000 kB\nMemAvailable:    5000 kB\nHugePages_Total:       0\nSwapFree: 1000 kB\n")
    assert spare_bytes(meminfo, group) == 6000 * 1024
    group.mkdir()
    (group / "memory.max").write_text("max\n")
    (group / "memory.current").write_text("4096\n")
    assert spare_bytes(meminfo, group) == 6000 * 1024
    (group / "memory.max").write_text("1000000\n")
    (group / "memory.stat").write_text("anon 1\ninactive_file 1000\nactive_file 96\n")
    assert spare_bytes(meminfo, group) == 1_000_000 - 4096 + 1096
    (group / "memory.current").write_text("2000000\n")
    assert spare_bytes(meminfo, group) == 0
    meminfo.write_text("nonsense\n\nMemAvailable: many\n")
    (group / "memory.max").write_text("\n")
    assert spare_bytes(meminfo, group) is None


def test_this_machine_tells() -> None:
    spare = spare_bytes()
    assert spare is None or 2**20 < spare < 2**50
