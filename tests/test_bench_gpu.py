"""The way that the GPU figures are measured, walked on the CPU with a model of demo-turbo's size."""

import re
from pathlib import Path

import pytest

from bench import zimage_gpu
from core.models.residency import LEVELS


def test_the_way_is_walked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Written once, the same pictures as ZImagePipeline's, a row for each level, and nothing said that was not measured."""
    monkeypatch.setattr(zimage_gpu, "ROUNDS", 1)
    monkeypatch.setattr(zimage_gpu, "LEVELS", LEVELS[:3:2])
    zimage_gpu.main([str(tmp_path), "--tiny", "--device", "cpu"])
    said = capsys.readouterr().out
    apart = re.search(r"largest difference of the latents \| (\S+) ", said)
    assert apart and float(apart[1]) < 1e-4
    rows = [line for line in said.splitlines() if line.startswith("| none")]
    assert [row.split(" | ")[1:3] for row in rows] == [["resident", "resident"], ["stream", "stream"]]
    assert all(row.endswith("| not measured |") for row in rows)
    written = tmp_path / zimage_gpu.MODEL / "transformer" / "diffusion_pytorch_model.safetensors"
    before = written.stat().st_mtime_ns
    zimage_gpu.main([str(tmp_path), "--tiny", "--device", "cpu", "--level", "stream"])
    assert '"level": "stream"' in capsys.readouterr().out and written.stat().st_mtime_ns == before


def test_without_a_gpu_the_full_size_is_refused(tmp_path: Path) -> None:
    """Before 20 GB are written."""
    with pytest.raises(SystemExit):
        zimage_gpu.main([str(tmp_path), "--device", "cpu"])
    assert not list(tmp_path.iterdir())
