"""Memory: which level is chosen and said, who is on the device when, and what happens when memory runs out."""

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import nn

from core.errors import ModelError, UnknownName
from core.models.memory import Memory, NoRoom, free_bytes, is_out_of_memory, pick_device, pick_dtype, share
from core.models.residency import LEVELS, Needs, Residency, below, choose

CPU, GPU, MPS = torch.device("cpu"), torch.device("cuda", 0), torch.device("mps")
SIZES = ("text_encoder", "denoiser", "vae")
GB = 1_000_000_000


class Part(nn.Module):
    """A component that notes where it is moved instead of moving; with `room` False the device has no space for it."""

    def __init__(self) -> None:
        super().__init__()
        self.moves: list[str] = []
        self.room = True

    def to(self, device: torch.device) -> "Part":  # type: ignore[override]
        if torch.device(device).type == "cuda" and not self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        self.moves.append(torch.device(device).type)
        return self


def memory(level: str) -> tuple[Memory, dict[str, Part]]:
    parts = {name: Part() for name in SIZES}
    return Memory(parts, GPU, Residency(level)), parts


def linear(gigabytes: float) -> nn.Module:
    """A layer of a size, in float16, without any memory."""
    return nn.Linear(1000, round(gigabytes * GB / 2000), bias=False, dtype=torch.float16, device="meta")


def network(blocks: int, each: float, beside: float) -> nn.Module:
    """Blocks in a list, and a layer before them; in gigabytes."""
    net = nn.Module()
    net.embed, net.blocks = linear(beside), nn.ModuleList(linear(each) for _ in range(blocks))
    return net


@pytest.fixture(scope="module")
def needs() -> Needs:
    """Z-Image's proportions: a text encoder of 7.4 + 0.6 GB, a denoiser of 11.2 + 0.8, a VAE of 0.2; 2 GB of work."""
    texts = nn.ModuleList([network(37, 0.2, 0.6)])
    parts: Mapping[str, Any] = {"text_encoder": texts, "denoiser": network(28, 0.4, 0.8), "vae": linear(0.2)}
    return Needs(parts, 2 * GB)


@pytest.mark.parametrize(
    ("free", "level", "peak", "said"),
    [
        (24, "resident", 22.2, "stays on the GPU: it needs 22.2 GB, 24.0 GB are free."),
        (16, "swap", 14.0, "take turns on the GPU: together they need 22.2 GB, 16.0 GB are free."),
        (8, "stream", 3.6, "block by block, which takes longer: in one piece the larger needs 14.0 GB, 8.0 GB are free."),
        (3.4, "fp8", 3.2, "in 8 bits, which changes pictures a little: even block by block it needs 3.6 GB, 3.4 GB are free."),
        (1, "fp8", 3.2, "even block by block it needs 3.6 GB, 1.0 GB are free."),
    ],
)  # fmt: skip
def test_the_first_level_that_fits(needs: Needs, free: float, level: str, peak: float, said: str) -> None:
    """8, 16 and 24 GB cards. Down to the last level, what it needs at its peak is within what is free."""
    found = choose(needs, GPU, round(free * GB))
    assert found.level == level and said in str(found)
    assert needs.at(found) / GB == pytest.approx(peak, abs=0.01)


def test_in_8_bits_the_denoiser_is_there_in_one_piece_where_it_fits(needs: Needs) -> None:
    """Half of 11.2 GB in blocks, 0.8 beside them as they are, 2 to work: 8.4 GB."""
    whole, parts = choose(needs, GPU, 9 * GB, "fp8"), choose(needs, GPU, 8 * GB, "fp8")
    assert whole.whole and needs.at(whole) / GB == pytest.approx(8.4, abs=0.05) and not whole.streams("denoiser")
    assert parts.streams("denoiser") and parts.streams("text_encoder") and not parts.streams("vae")


def test_where_free_memory_is_not_known(needs: Needs) -> None:
    assert str(choose(needs, CPU, None)) == "The whole model stays in memory (20.20 GB): it runs on the CPU."
    assert str(choose(needs, MPS, None)) == "The whole model stays on the device (22.2 GB)."


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("device", [CPU, GPU])
def test_a_setting_is_obeyed_and_said(needs: Needs, level: str, device: torch.device) -> None:
    found = choose(needs, device, 8 * GB, level)
    assert found.level == level and "as the memory setting says" in str(found)


def test_settings_that_are_refused(needs: Needs) -> None:
    with pytest.raises(UnknownName, match="Unknown memory level 'low': choose one of auto, resident, swap, stream, fp8"):
        choose(needs, GPU, None, "low")
    with pytest.raises(ModelError, match="cannot hold weights in 8 bits"):
        choose(needs, MPS, None, "fp8")


def test_every_way_down() -> None:
    """Each device goes as far as it helps, and each component too."""

    def way(device: torch.device, lowest: str) -> list[tuple[str, bool]]:
        at: Residency | None = Residency("resident")
        steps: list[tuple[str, bool]] = []
        while at is not None:
            steps.append((at.level, at.whole))
            at = below(at, device, lowest)
        return steps

    assert way(GPU, "fp8") == [("resident", True), ("swap", True), ("stream", True), ("fp8", False)]
    assert way(GPU, "stream") == [("resident", True), ("swap", True), ("stream", True)]
    assert way(MPS, "fp8") == [("resident", True), ("swap", True), ("stream", True)]
    assert way(CPU, "fp8") == [("resident", True)]
    said = below(Residency("fp8"), GPU, "fp8")
    assert said is not None and not said.whole and below(said, GPU, "fp8") is None
    assert below(Residency("fp8"), GPU, "stream") is None


def test_swap_takes_turns() -> None:
    owner, parts = memory("swap")
    with owner.use("text_encoder"):
        assert parts["text_encoder"].moves == ["cuda"]
    assert parts["text_encoder"].moves == ["cuda", "cpu"]
    owner.bring("denoiser")
    owner.bring("denoiser")
    assert parts["denoiser"].moves == ["cuda"]
    with pytest.raises(ValueError, match="stop"), owner.use("vae"):
        assert parts["denoiser"].moves == ["cuda", "cpu"]
        raise ValueError("stop")
    assert parts["vae"].moves == ["cuda", "cpu"]


def test_resident_stays() -> None:
    owner, parts = memory("resident")
    for name in ("text_encoder", "denoiser", "vae", "denoiser"):
        with owner.use(name):
            pass
    assert all(part.moves == ["cuda"] for part in parts.values())
    owner.release()
    assert all(part.moves == ["cuda", "cpu"] for part in parts.values())


def test_one_level_down_the_others_leave() -> None:
    owner, parts = memory("resident")
    owner.bring("text_encoder")
    parts["denoiser"].room = False
    with pytest.raises(NoRoom):
        owner.bring("denoiser")
    assert parts["denoiser"].moves == ["cpu"]  # what had moved already is back
    assert owner.lower("denoiser") and owner.residency.level == "swap" and "Memory ran out" in str(owner.residency)
    assert parts["text_encoder"].moves == ["cuda", "cpu"]
    parts["denoiser"].room = True
    owner.bring("denoiser")
    assert parts["denoiser"].moves == ["cpu", "cuda"]


def test_one_level_down_the_component_at_work_may_stay() -> None:
    owner, parts = memory("resident")
    owner.bring("vae")
    owner.bring("denoiser")
    assert owner.lower("denoiser")
    assert parts["denoiser"].moves == ["cuda"] and parts["vae"].moves == ["cuda", "cpu"]
    assert owner.lower("denoiser") and owner.residency.level == "stream"
    assert parts["denoiser"].moves == ["cuda", "cpu"]


def test_nothing_left_to_try() -> None:
    owner, parts = memory("swap")
    parts["vae"].room = False
    with pytest.raises(NoRoom):
        owner.bring("vae")
    assert parts["vae"].moves == ["cpu"] and not owner.lower("vae")
    assert str(owner.too_large("vae")) == (
        "The VAE needs 0.0 GB on the GPU, which are not free: close what else uses the GPU."
    )


def test_moved_weights_can_be_changed_outside_inference_mode() -> None:
    part = nn.Linear(2, 2)
    owner = Memory({"denoiser": part}, torch.device("meta"), Residency("resident"))
    with torch.inference_mode():
        owner.bring("denoiser")
    assert not part.weight.is_inference()


def test_out_of_memory_is_told_from_bugs() -> None:
    with pytest.raises(RuntimeError) as full:
        torch.empty(10**15)
    with pytest.raises(RuntimeError) as bug:
        torch.zeros(2) @ torch.zeros(3)
    assert is_out_of_memory(full.value) and is_out_of_memory(torch.OutOfMemoryError("x"))
    assert is_out_of_memory(RuntimeError("MPS backend out of memory (MPS allocated: 8.00 GB, …)"))
    assert not is_out_of_memory(bug.value)


@pytest.mark.parametrize(("fraction", "left"), [(1.0, 17), (0.5, 9), (0.1, 0)])
def test_free_memory_of_a_gpu(monkeypatch: pytest.MonkeyPatch, fraction: float, left: int) -> None:
    """24 GB, 15 free; this process has reserved 5 and uses 3. Held to a share of the card, it has no more than that."""
    told = {"memory_reserved": 5 * GB, "memory_allocated": 3 * GB, "mem_get_info": (15 * GB, 24 * GB)}
    for name, answer in (told | {"get_per_process_memory_fraction": fraction}).items():
        monkeypatch.setattr(torch.cuda, name, lambda device, answer=answer: answer)
    assert free_bytes(GPU) == left * GB


def test_devices() -> None:
    assert pick_device("cpu") == torch.device("cpu") and pick_device("auto").type in {"cpu", "cuda", "mps"}
    assert free_bytes(torch.device("cpu")) is None
    assert pick_dtype(torch.device("cpu"), torch.float16) == torch.float32
    assert pick_dtype(GPU, torch.bfloat16) == torch.bfloat16 and pick_dtype(GPU, torch.float32) == torch.float16


def test_an_unknown_device_is_a_sentence() -> None:
    with pytest.raises(UnknownName, match="Unknown device 'gpu': choose one of auto, cpu"):
        pick_device("gpu")


def test_models_of_a_run_take_turns_where_they_do_not_fit_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.models.residency.byte_size", lambda part: 2_100_000_000)
    (one, first), (two, second) = memory("resident"), memory("resident")
    monkeypatch.setattr("core.models.memory.free_bytes", lambda device: 13_000_000_000)
    assert share([one, two], GPU) is None
    monkeypatch.setattr("core.models.memory.free_bytes", lambda device: 12_000_000_000)
    assert "take turns on the GPU: together they need 12.6 GB, 12.0 GB are free." in str(share([one, two], GPU))
    one.bring("denoiser")
    two.bring("denoiser")
    assert first["denoiser"].moves == ["cuda", "cpu"] and second["denoiser"].moves == ["cuda"]
    one.bring("vae")
    assert second["denoiser"].moves == ["cuda", "cpu"]
    share([two], GPU)
    two.bring("vae")
    assert first["vae"].moves == ["cuda"]


def test_the_other_model_leaves_when_memory_runs_out() -> None:
    (one, first), (two, second) = memory("resident"), memory("resident")
    one.share([two], alone=False)
    two.share([one], alone=False)
    one.bring("denoiser")
    two.bring("denoiser")
    assert two.lower("denoiser") and first["denoiser"].moves == ["cuda", "cpu"]
    assert second["denoiser"].moves == ["cuda"] and two.residency.level == "resident"
    assert two.lower("denoiser") and two.residency.level == "swap"
