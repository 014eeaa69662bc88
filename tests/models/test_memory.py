"""Residency: what is chosen and said, who is on the device when, and what happens when memory runs out."""

import pytest
import torch
from torch import nn

from core.errors import OutOfMemory, UnknownName
from core.models.memory import Memory, Residency, choose, free_bytes, is_out_of_memory, pick_device, pick_dtype, share

GPU = torch.device("cuda", 0)
SIZES = {"text_encoder": 1_000_000_000, "denoiser": 5_000_000_000, "vae": 300_000_000}


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
    return Memory(parts, GPU, Residency(level, ())), parts


def test_choice_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (
        str(choose(SIZES, torch.device("cpu"), 0)) == "The whole model stays in memory (6.30 GB): it runs on the CPU."
    )
    monkeypatch.setattr("core.models.memory.free_bytes", lambda device: 8_000_000_000)
    whole = choose(SIZES, GPU, 1_000_000_000)
    assert whole.level == "resident"
    assert str(whole) == "The whole model stays on the GPU: it needs 7.3 GB, 8.0 GB are free."
    turns = choose(SIZES, GPU, 2_000_000_000)
    assert turns.level == "swap" and "take turns on the GPU: together they need 8.3 GB, 8.0 GB are free." in str(turns)


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


def test_one_level_down_when_memory_runs_out() -> None:
    owner, parts = memory("resident")
    owner.bring("text_encoder")
    parts["denoiser"].room = False

    def freed(device: torch.device) -> Part:
        parts["denoiser"].room = True
        return Part.to(parts["text_encoder"], device)

    parts["text_encoder"].to = freed  # type: ignore[method-assign]
    owner.bring("denoiser")
    assert owner.residency.level == "swap" and "Memory ran out" in str(owner.residency)
    assert parts["text_encoder"].moves == ["cuda", "cpu"] and parts["denoiser"].moves[-1] == "cuda"


def test_nothing_left_to_try() -> None:
    owner, parts = memory("swap")
    parts["vae"].room = False
    with pytest.raises(OutOfMemory, match=r"The VAE needs 0.0 GB on the GPU, which are not free"):
        owner.bring("vae")
    assert parts["vae"].moves == ["cpu"]


def test_moved_weights_can_be_changed_outside_inference_mode() -> None:
    part = nn.Linear(2, 2)
    owner = Memory({"denoiser": part}, torch.device("meta"), Residency("resident", ()))
    with torch.inference_mode():
        owner.bring("denoiser")
    assert not part.weight.is_inference()


def test_out_of_memory_is_told_from_bugs() -> None:
    with pytest.raises(RuntimeError) as full:
        torch.empty(10**15)
    with pytest.raises(RuntimeError) as bug:
        torch.zeros(2) @ torch.zeros(3)
    assert is_out_of_memory(full.value) and is_out_of_memory(torch.OutOfMemoryError("x"))
    assert not is_out_of_memory(bug.value)


def test_devices() -> None:
    assert pick_device("cpu") == torch.device("cpu") and pick_device("auto").type in {"cpu", "cuda", "mps"}
    assert free_bytes(torch.device("cpu")) is None
    assert pick_dtype(torch.device("cpu"), torch.float16) == torch.float32
    assert pick_dtype(GPU, torch.bfloat16) == torch.bfloat16 and pick_dtype(GPU, torch.float32) == torch.float16


def test_an_unknown_device_is_a_sentence() -> None:
    with pytest.raises(UnknownName, match="Unknown device 'gpu': choose one of auto, cpu"):
        pick_device("gpu")


def test_models_of_a_run_take_turns_where_they_do_not_fit_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.models.memory.byte_size", lambda parts: 6_300_000_000)
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
    assert two.take_turns(keep="denoiser") and first["denoiser"].moves == ["cuda", "cpu"]
    assert second["denoiser"].moves == ["cuda"] and two.residency.level == "resident"
    assert two.take_turns(keep="denoiser") and two.residency.level == "swap"
